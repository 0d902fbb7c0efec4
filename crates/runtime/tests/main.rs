//! The tests of the crate, in one program: one for each file would link the crate anew each time. Each file is a module
//! here, which `./dev check` looks after.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

mod children;
mod commands;
mod examples;
mod executions;
mod files;
mod following;
mod local;
mod notifications;
mod opening;
mod owners;
mod presence;
mod requests;
mod sessions;
mod storing;
mod typed;
mod writing;
