//! The tests of the crate, in one program: one for each file would link the crate anew each time. Each file is a module
//! here, which `./dev check` looks after.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod documents;
mod world;

mod approval;
mod authority;
mod child_codecs;
mod child_commits;
mod child_refusals;
mod child_traces;
mod children;
mod children_devices;
mod children_properties;
mod codec_damage;
mod codecs;
mod commit_properties;
mod content;
mod crowds;
mod describing;
mod devices;
mod executing;
mod file_lies;
mod files;
mod goes_on;
mod handover;
mod identities;
mod inviting;
mod kept_children;
mod local;
mod losing;
mod node_requests;
mod node_rests;
mod object_apply;
mod object_properties;
mod object_shape;
mod object_syncher;
mod object_text_properties;
mod observers;
mod own_grants;
mod owners;
mod owners_rest;
mod parking;
mod people;
mod pinning;
mod presence;
mod recovery;
mod requests;
mod resting_children;
mod resting_observer;
mod resting_readers;
mod resting_reporter;
mod strangers;
mod stream_properties;
mod streams;
mod sync;
mod table;
mod taking;
mod tokens;
mod traces;
mod traces_stored;
mod vectors;
