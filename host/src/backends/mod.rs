//! Back ends of rooms. They know the rooms' traits and nothing of guests.

pub mod import;
pub mod local;
pub mod rehearsal;
