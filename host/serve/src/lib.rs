//! The server: an HTTP API, and an inbox where people sign.

#![forbid(unsafe_code)]

mod connections;
pub mod http;
pub mod inbox;
pub mod runs;
pub mod server;
pub mod streams;
pub mod view;
mod work;

pub use server::{Options, Server, serve};
