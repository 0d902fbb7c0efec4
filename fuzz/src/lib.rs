//! What a fuzzer feeds to Byline: each target is one function of bytes that panics when something
//! is wrong.
//!
//! `./dev fuzz` drives them with coverage; `tests/corpora.rs` runs every case that was kept, in
//! `corpus/<target>.txt`, on any toolchain. What a run adds is beside the build; libFuzzer's own
//! `-set_cover_merge=1 -use_counters=0` finds the few of it that are worth keeping here.

mod clients;
mod documents;
mod messages;
mod node;
mod runtime;
mod script;
mod stream;

/// A function of bytes that panics when something is wrong.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `corpus/`.
pub const TARGETS: [(&str, Target); 7] = [
    ("commit", stream::commit),
    ("frame", messages::frame),
    ("json", documents::json),
    ("node", node::node),
    ("observer", stream::observer),
    ("path", documents::path),
    ("runtime", runtime::runtime),
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}
