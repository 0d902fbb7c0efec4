//! The tests of the crate, in one program: one for each file would link the crate anew each time. Each file is a module
//! here, which `./dev check` looks after.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

mod backup;
mod chat;
mod chat_goes_on;
mod cuts;
mod devices;
mod errors;
mod flow;
mod full_disk;
mod handover;
mod identity;
mod input;
mod kills;
mod owners;
mod people;
mod screen;
mod stopping;
mod storing;
