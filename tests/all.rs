//! Everything that needs the real binary or real guests, in one program: linking wasmtime takes longer than running it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says why")]

mod support;

mod again;
mod attacks;
mod backup;
mod bodies;
mod browser;
mod cli;
mod crash;
mod decisions;
mod display;
mod doctor;
mod examples;
mod faults;
mod first_agent;
mod hostile;
mod install;
mod javascript;
mod kit;
mod languages;
mod lies;
mod line;
mod mail;
mod matrix;
mod notify;
mod outbox;
mod question;
mod races;
mod readers;
mod remote;
mod scenarios;
mod serving;
mod signing;
mod storm;
mod templates;
mod tenants;
mod tidy;
mod transports;
mod upgrade;
mod wrong_clock;
mod xss;
