//! The tests of the crate, in one program: one for each file would link the crate anew each time. Each file is a module
//! here, which `./dev check` looks after.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod crowds;
mod delivery;
mod frames;
mod keeping;
mod large;
mod limits;
mod memory;
mod people;
mod slow_readers;
mod stopping;
mod tls;
mod upgrade;
