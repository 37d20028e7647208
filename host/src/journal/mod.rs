//! The record of every answer the host gave a run, and the one way through it.
//!
//! `entry` is what is recorded, `effect` the one way out to the guest, `commit` what becomes durable together, `stop` the
//! ways a call ends the segment instead of answering.

mod commit;
mod effect;
mod entry;
mod stop;

pub use commit::{Ask, Change, Commit, Committed, Ledger, NewApproval};
pub use effect::{Journal, Live, Mode, Owner, Record, RunClock};
pub use entry::{Answer, Entry};
pub use stop::{Fault, Stop, ToolError};

/// How many calls one run may make.
pub const CALLS_MAX: usize = 10_000;
/// How many bytes of requests and answers one run may record.
pub const JOURNAL_BYTES_MAX: usize = 50 * 1024 * 1024;
