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
pub use sources::{Problem, gather};

use bundle::Bundle;
use std::path::Path;

/// The engine: `guest-sdk/js/runtime`, compiled and started. `tests/runtime.rs` builds it again and compares.
pub const RUNTIME: &[u8] = include_bytes!("../../runtime.wasm");

/// Builds the component of the agent whose first module is `entry`. It imports of the tools exactly `calls`.
///
/// The same sources give the same bytes, wherever they lie.
///
/// # Errors
///
/// What is wrong in the sources, with file, line and column.
pub fn build(entry: &Path, calls: &[&str]) -> Result<Vec<u8>, Problem> {
    let sources =
        Bundle { calls: calls.iter().map(|call| (*call).to_owned()).collect(), modules: gather(entry)? };
    let program = compiler::compile(&sources)?.encode();
    component::component(calls, &program)
        .map_err(|error| Problem { message: format!("cannot build the component: {error:#}") })
}
