//! Every case that a fuzzer found worth keeping, on any toolchain.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use byline_fuzz::{TARGETS, target};

/// Bytes of all corpora together.
const BYTES_MAX: usize = 200 << 10;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The cases of one target, one a line in base64.
fn cases(name: &str) -> Vec<(String, Vec<u8>)> {
    let file = corpus().join(format!("{name}.txt"));
    let text = fs::read_to_string(&file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(!text.is_empty(), "{} is empty", file.display());
    let case = |line: &str| (line.to_owned(), STANDARD.decode(line).unwrap());
    text.lines().map(case).collect()
}

fn runs(name: &str) {
    let target = target(name).unwrap();
    let fails =
        |(_, bytes): &&(String, Vec<u8>)| catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err();
    let cases = cases(name);
    let failing: Vec<_> = cases.iter().filter(fails).map(|(line, _)| line).collect();
    assert!(failing.is_empty(), "these fail: {failing:#?}");
}

#[test]
fn every_commit_that_was_kept_passes() {
    runs("commit");
}

#[test]
fn every_frame_that_was_kept_passes() {
    runs("frame");
}

#[test]
fn every_document_that_was_kept_passes() {
    runs("json");
}

#[test]
fn every_run_of_a_node_that_was_kept_passes() {
    runs("node");
}

#[test]
fn every_run_of_an_observer_that_was_kept_passes() {
    runs("observer");
}

#[test]
fn every_path_that_was_kept_passes() {
    runs("path");
}

#[test]
fn every_run_of_a_runtime_that_was_kept_passes() {
    runs("runtime");
}

#[test]
fn each_corpus_is_a_targets_and_all_of_them_are_small() {
    let files = fs::read_dir(corpus()).unwrap();
    let mut names: Vec<String> = files
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
    let bytes: usize = names
        .iter()
        .flat_map(|name| cases(name))
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes: keep fewer");
}
