//! The web inbox: where people sign.

pub mod pages;
pub mod seal;
