//! Builds agents from JavaScript and TypeScript: gathers the modules, compiles them to bytecode with the very engine that
//! will run them, and wraps that engine and the bytecode into a component.
//!
//! ```no_run
//! let component = countersign_js::build("agent.ts".as_ref(), &["messages.list"]).unwrap();
//! ```

pub mod bundle;
mod compiler;
mod component;
mod sources;
mod typescript;

pub use component::PROGRAM_SECTION;
pub use sources::{MODULES_MAX, Problem, SOURCE_BYTES_MAX, gather};

use bundle::Bundle;
use std::path::Path;

/// The engine: `guest-sdk/js/runtime`, compiled and started. `tests/runtime.rs` builds it again and compares.
pub const RUNTIME: &[u8] = include_bytes!("../../runtime.wasm");

/// Stack of the thread that builds, in bytes. What is not used takes no memory.
const STACK_BYTES: usize = 512 * 1024 * 1024;

/// Builds the component of the agent whose first module is `entry`. It imports of the tools exactly `calls`, and the approval tool,
/// which needs no capability.
///
/// The same sources give the same bytes, wherever they lie.
///
/// # Errors
///
/// What is wrong in the sources, with file, line and column.
pub fn build(entry: &Path, calls: &[&str]) -> Result<Vec<u8>, Problem> {
    // The parser recurses: code that nests deeper than a thread's stack is wide would end the process.
    std::thread::scope(|scope| {
        let built = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || {
            let free =
                ["approval.request", "approval.result"].into_iter().filter(|free| !calls.contains(free));
            let calls: Vec<&str> = calls.iter().copied().chain(free).collect();
            let known = calls.iter().map(|call| (*call).to_owned()).collect();
            let sources = Bundle { calls: known, modules: gather(entry)? };
            let program = compiler::compile(&sources)?.encode();
            component::component(&calls, &program)
                .map_err(|error| Problem { message: format!("cannot build the component: {error:#}") })
        });
        let failed = |what: &str| Problem { message: format!("cannot build the component: {what}") };
        let built = built.map_err(|error| failed(&error.to_string()))?;
        built.join().unwrap_or_else(|_| Err(failed("the builder failed")))
    })
}
