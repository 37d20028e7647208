//! The JavaScript engine of Countersign's JavaScript agents: QuickJS, and what stands between it and the contract.
//!
//! It is compiled once, started once, and its memory is kept as it then is: every agent and every run begins from that
//! image. The agent itself is data: a [`Bundle`] of bytecode that the host hands over when the run begins. Nothing here
//! reads a clock or randomness but the run's.

#[path = "../../build/src/bundle.rs"]
mod bundle;
mod engine;
mod natives;

#[allow(missing_docs, clippy::too_many_arguments, reason = "generated from the WIT, which documents them")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "countersign:agent/interpreted-agent", generate_all });
}

use bindings::countersign::interpreter::interpreter;
use bindings::{Card, Context, Guest, Intent, ToolError};
use bundle::Bundle;
use std::cell::RefCell;

struct Agent;

bindings::export!(Agent with_types_in bindings);

impl Guest for Agent {
    fn handle_intent(intent: Intent, context: Context) -> Result<Option<Card>, ToolError> {
        let program = interpreter::program();
        let Some(bundle) = Bundle::decode(&program) else {
            return Err(engine::error(
                "INTERNAL_ERROR",
                "The component carries no program for this interpreter.",
            ));
        };
        engine::run(bundle, &intent, &context)
    }
}

/// Microseconds since 1970, the one thing QuickJS asks of its surroundings.
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    // While the image is made there is no run, and no time.
    if engine::is_running() { interpreter::now() * 1000.0 } else { 0.0 }
}

thread_local! {
    /// What passes between the builder and `compile`.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Starts the engine. Called once, before the image is taken.
#[unsafe(no_mangle)]
extern "C" fn initialize() {
    engine::start();
}

/// For the builder: room for a bundle of sources of so many bytes.
#[unsafe(no_mangle)]
extern "C" fn room(length: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        *buffer = vec![0; length];
        buffer.as_mut_ptr()
    })
}

/// For the builder: compiles the sources in the room. Zero where there is now bytecode, one where there is an error.
#[unsafe(no_mangle)]
extern "C" fn compile() -> u32 {
    let sources = BUFFER.take();
    let compiled = match Bundle::decode(&sources) {
        Some(bundle) => engine::compile(bundle),
        None => Err("not a bundle".into()),
    };
    let failed = compiled.is_err();
    BUFFER.set(compiled.map_or_else(String::into_bytes, |bundle| bundle.encode()));
    failed.into()
}

/// For the builder: where the outcome lies.
#[unsafe(no_mangle)]
extern "C" fn outcome() -> *const u8 {
    BUFFER.with_borrow(|buffer| buffer.as_ptr())
}

/// For the builder: how many bytes it has.
#[unsafe(no_mangle)]
extern "C" fn outcome_length() -> usize {
    BUFFER.with_borrow(Vec::len)
}
