//! Back ends of rooms. They know the rooms' traits and nothing of guests.

pub mod command;
pub mod import;
pub mod local;
pub mod reading;
pub mod rehearsal;
pub mod smtp;
