//! The server: an HTTP API, and an inbox where people sign.

#![forbid(unsafe_code)]

pub mod inbox;
pub mod view;
