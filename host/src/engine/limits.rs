//! Every limit of a segment, in one table, and the one limiter that counts memory.
//!
//! A segment is what runs between two waits. The figures bound what a hostile agent can cost; `ARCHITECTURE.md` shows
//! the same table, and a test reads each of them back from the engine.

use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Bytes of linear memory, summed over all memories of an instance.
pub const MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Linear memories of one component.
pub const MEMORIES_MAX: usize = 8;
/// Tables of one component.
pub const TABLES_MAX: usize = 32;
/// Elements of one table.
pub const TABLE_ELEMENTS_MAX: usize = 40_000;
/// Core instances of one component.
pub const INSTANCES_MAX: usize = 128;
/// Bytes of stack.
pub const STACK_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes one call may carry from the guest to the host.
pub const CALL_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Handles a component may hold.
pub const HANDLES_MAX: usize = 1024;
/// Resources the host may hold for a guest.
pub const RESOURCES_MAX: usize = 1024;
/// Random bytes per call.
pub const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of log kept for a run; what comes after is counted and dropped.
pub const LOG_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a card.
pub const CARD_BYTES_MAX: usize = 256 * 1024;
/// Segments that execute at the same time in one process.
pub const SEGMENTS_MAX: usize = 64;
/// How often a busy guest yields.
pub const TICK: Duration = Duration::from_millis(10);

/// The limits that depend on how fast the work is expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel per segment; about one unit per instruction. Deterministic, so the same run always gets as far.
    pub fuel_max: u64,
    /// Wall time per segment, host calls included.
    pub wall_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fuel_max: 10_000_000_000, wall_max: Duration::from_secs(60) }
    }
}

/// A guest wanted more memory, tables or instances than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent wanted more than {max} {what}")]
pub struct Exceeded {
    /// Of what.
    pub what: &'static str,
    /// How many there are.
    pub max: usize,
}

/// Counts memory over all memories of one instance. Deterministic: a replay meets the same bounds.
///
/// A refused growth stops the run with a reason, rather than telling the guest `-1`, which most allocators turn into a
/// crash that looks like the agent's own.
#[derive(Debug, Default)]
pub struct Limiter {
    memory_bytes: usize,
}

impl Limiter {
    /// Bytes in use. Memory never shrinks.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if total > MEMORY_BYTES_MAX {
            return Err(Exceeded { what: "bytes of memory", max: MEMORY_BYTES_MAX }.into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        match desired > TABLE_ELEMENTS_MAX {
            true => Err(Exceeded { what: "table elements", max: TABLE_ELEMENTS_MAX }.into()),
            false => Ok(true),
        }
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed_over_all_memories() {
        let mut limiter = Limiter::default();
        let half = MEMORY_BYTES_MAX / 2;
        assert!(limiter.memory_growing(0, half, None).unwrap());
        assert!(limiter.memory_growing(0, half, None).unwrap());
        assert!(limiter.memory_growing(half, half + 1, None).is_err());
    }
}
