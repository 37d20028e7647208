//! Drives a run until it answers, must wait, or is stopped.
//!
//! `compile` turns a component into something that can be instantiated in microseconds; `run` executes one segment of one
//! run, live or as a branch; `drive` is the loop around it: look ahead when the agent asks, put the run down, or end it.
//! `limits` is every bound, `wasi` all that a guest gets beside its tools, `interpreter` what one that is interpreted gets.

mod compile;
mod drive;
mod interpreter;
pub mod limits;
mod run;
pub mod wasi;

pub use compile::Compiled;
pub use drive::{Driven, Pickup, Ports};
pub use run::{End, Run};

use crate::agent::Package;
use crate::refusals::{Code, Problem, Result};
use crate::tools;
use limits::Limits;
use std::path::PathBuf;
use std::sync::Mutex;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// The one engine of a process.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<Run>,
    /// Components ready to be instantiated.
    compiled: Mutex<compile::Memory>,
    cache: Option<compile::Cache>,
    /// Bounds the segments that execute at once to what the pool can hold.
    slots: tokio::sync::Semaphore,
    limits: Limits,
}

impl Engine {
    /// Starts the engine. Compiled components are kept below `cache`, if it can be trusted.
    ///
    /// # Errors
    ///
    /// When wasmtime cannot run on this machine at all.
    pub fn new(cache: Option<PathBuf>, limits: Limits) -> anyhow::Result<Engine> {
        // Pooled memory needs address space (4 GiB and guards for each memory). Where that is rationed, instances are
        // made on demand: slower by a few times, otherwise the same.
        let wasmtime = wasmtime::Engine::new(&config(true)).or_else(|error| {
            tracing::warn!(blame = "host", "no memory pool, making instances on demand: {error:#}");
            wasmtime::Engine::new(&config(false))
        })?;
        let mut linker = Linker::new(&wasmtime);
        wasi::link(&mut linker)?;
        interpreter::link(&mut linker)?;
        tools::link(&mut linker)?;
        tick(&wasmtime)?;
        let cache = cache.and_then(|dir| compile::Cache::open(dir, &wasmtime));
        let slots = tokio::sync::Semaphore::new(limits::SEGMENTS_MAX);
        Ok(Engine { wasmtime, linker, compiled: Mutex::default(), cache, slots, limits })
    }

    /// A fresh engine with the same settings, as after a restart.
    pub(crate) fn restart(self) -> anyhow::Result<Engine> {
        let Engine { cache, limits, .. } = self;
        Engine::new(cache.map(compile::Cache::into_dir), limits)
    }

    /// Refuses a component that imports what no agent may have, or does not export what an agent must.
    ///
    /// # Errors
    ///
    /// `FOREIGN_IMPORT` with the list, `MISSING_EXPORT`, or `MALFORMED_COMPONENT` where it does not compile.
    pub fn check(&self, package: &Package) -> Result<()> {
        let foreign: Vec<_> =
            package.imports.iter().filter(|import| !is_allowed(import)).map(String::as_str).collect();
        if !foreign.is_empty() {
            let message = format!("the component imports what no agent may have: {}", listed(&foreign));
            return Err(Problem::new(Code::ForeignImport, message)
                .hint("`countersign wit` prints the tools; build without files, sockets and HTTP")
                .into());
        }
        if !package.exports.iter().any(|export| export == "handle-intent") {
            return Err(Problem::new(Code::MissingExport, "the component does not export `handle-intent`")
                .hint("`countersign wit` prints the world an agent must implement")
                .into());
        }
        self.load(package.digest, || Ok(package.bytes.clone()))?;
        Ok(())
    }
}

/// The first names of a list a stranger made as long as they liked.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| crate::printable::short(name, 100)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether an agent may import this interface, in whatever compatible version.
fn is_allowed(import: &str) -> bool {
    let interface = import.split('@').next().unwrap_or_default();
    wasi::ALLOWED.contains(&interface)
        || interface == "countersign:types/types"
        || interface == interpreter::IMPORT
        || tools::ROOMS.iter().any(|room| room.import == interface)
}

/// The engine's settings. They are part of the key of every cached compilation.
fn config(pooled: bool) -> Config {
    let mut config = Config::new();
    // A replay must compute what the run computed, on any machine.
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    config.consume_fuel(true).epoch_interruption(true);
    // Imports are synchronous for the guest: calls have one order, and one is outstanding.
    config.concurrency_support(false);
    config.shared_memory(false).wasm_memory64(false);
    config.max_wasm_stack(limits::STACK_BYTES_MAX).async_stack_size(limits::STACK_BYTES_MAX + (1 << 20));
    config.async_stack_zeroing(true);
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let slots = limits::SEGMENTS_MAX as u32;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * limits::INSTANCES_MAX as u32)
        .total_memories(slots * limits::MEMORIES_MAX as u32)
        .total_tables(slots * limits::TABLES_MAX as u32)
        .total_stacks(slots)
        .max_core_instances_per_component(limits::INSTANCES_MAX as u32)
        .max_memories_per_component(limits::MEMORIES_MAX as u32)
        .max_tables_per_component(limits::TABLES_MAX as u32)
        .max_memory_size(limits::MEMORY_BYTES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20);
    // Resetting only the pages a guest has touched needs Linux 6.7. Without it, keeping pages resident costs more than
    // it saves.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(1 << 20)
            .table_keep_resident(1 << 20)
            .async_stack_keep_resident(16 << 10);
    }
    pool
}

/// Makes busy guests yield. The thread ends with the engine.
fn tick(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new().name("tick".into()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(limits::TICK);
        }
    })?;
    Ok(())
}
