//! Everything that needs the real binary or real guests, in one program: linking wasmtime takes longer than running it.

mod support;

mod cli;
mod crash;
mod hostile;
mod install;
mod mail;
mod matrix;
mod scenarios;
mod tidy;
