//! From sources to bytecode, by the engine that will run it.

use crate::bundle::Bundle;
use crate::{Problem, RUNTIME};
use anyhow::Context as _;
use std::sync::OnceLock;
use wasmtime::{Config, Engine, Linker, Memory, Module, Store, TypedFunc};

/// Compiles every module of a bundle of sources. Modules are not evaluated, so no code of the agent runs.
///
/// # Errors
///
/// What QuickJS does not take, with file, line and column.
pub fn compile(sources: &Bundle) -> Result<Bundle, Problem> {
    let compiled = start().and_then(|mut compiler| compiler.compile(&sources.encode()));
    match compiled {
        Ok(Ok(bytes)) => Bundle::decode(&bytes)
            .ok_or_else(|| Problem { message: "the JavaScript engine gave no bytecode".into() }),
        Ok(Err(message)) => Err(Problem { message }),
        Err(error) => Err(Problem { message: format!("the JavaScript engine gave up: {error:#}") }),
    }
}

struct Compiler {
    store: Store<()>,
    memory: Memory,
    room: TypedFunc<u32, u32>,
    compile: TypedFunc<(), u32>,
    outcome: TypedFunc<(), u32>,
    outcome_length: TypedFunc<(), u32>,
}

/// Stack of the compiler, in bytes: what can run nested so deep can be compiled.
const STACK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The engine as machine code, made once in a process.
fn module() -> anyhow::Result<&'static Module> {
    static MODULE: OnceLock<Module> = OnceLock::new();
    match MODULE.get() {
        Some(module) => Ok(module),
        None => {
            let mut config = Config::new();
            config.max_wasm_stack(STACK_BYTES_MAX).async_stack_size(STACK_BYTES_MAX);
            let module = Module::new(&Engine::new(&config)?, RUNTIME)?;
            Ok(MODULE.get_or_init(|| module))
        }
    }
}

fn start() -> anyhow::Result<Compiler> {
    let module = module()?;
    let mut linker = Linker::new(module.engine());
    // Compiling calls no tool and reads no clock.
    linker.define_unknown_imports_as_traps(module)?;
    let mut store = Store::new(module.engine(), ());
    let instance = linker.instantiate(&mut store, module)?;
    Ok(Compiler {
        memory: instance.get_memory(&mut store, "memory").context("the engine has no memory")?,
        room: instance.get_typed_func(&mut store, "room")?,
        compile: instance.get_typed_func(&mut store, "compile")?,
        outcome: instance.get_typed_func(&mut store, "outcome")?,
        outcome_length: instance.get_typed_func(&mut store, "outcome_length")?,
        store,
    })
}

impl Compiler {
    fn compile(&mut self, sources: &[u8]) -> anyhow::Result<Result<Vec<u8>, String>> {
        let Compiler { store, memory, room, compile, outcome, outcome_length } = self;
        let at = room.call(&mut *store, u32::try_from(sources.len())?)?;
        memory.write(&mut *store, at as usize, sources)?;
        let failed = compile.call(&mut *store, ())? != 0;
        let (at, length) = (outcome.call(&mut *store, ())?, outcome_length.call(&mut *store, ())?);
        let mut bytes = vec![0; length as usize];
        memory.read(&*store, at as usize, &mut bytes)?;
        Ok(if failed { Err(String::from_utf8_lossy(&bytes).into_owned()) } else { Ok(bytes) })
    }
}
