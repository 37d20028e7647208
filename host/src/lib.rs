//! Countersign runs untrusted agents as WebAssembly components, and lets nothing leave until a person has signed exactly
//! the bytes that will leave.
//!
//! The life of one intent, in reading order: a door hands it to [`host`]; [`engine`] runs the agent; each import lands in
//! its room under [`tools`]; the room asks [`journal`] for the recorded answer, or goes live: [`authority`] admits, the
//! room's rules check, the back end acts, the journal records. An agent that asks a person is run ahead to see what it
//! would send; [`approval`] is bound to that, [`store`] keeps it, and the run is put down. The decision picks it up again.
//!
//! `ARCHITECTURE.md` beside this crate holds the code map, the invariants and the limits.

#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod address;
pub mod agent;
pub mod approval;
pub mod audit;
pub mod authority;
pub mod backends;
pub mod clock;
pub mod config;
pub mod desk;
pub mod digest;
pub mod engine;
pub mod host;
pub mod intent;
pub mod journal;
pub mod meters;
pub mod moment;
pub mod notify;
pub mod people;
pub mod printable;
pub mod refusals;
pub mod schedule;
pub mod store;
pub mod tools;
