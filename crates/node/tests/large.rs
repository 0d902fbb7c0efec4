//! An object of a million entries.

use byline_core::object::{Hash, Path};
use byline_core::stream::Origin;
use serde_json::json;

use crate::support::machine::Machine;
use crate::support::node;

const ENTRIES: usize = 1_000_000;

#[test]
fn an_object_of_a_million_entries_is_followed_like_any_other() {
    let node = node();
    let mut reporter = Machine::connect(&node, 1);
    let object = reporter.creates("many", json!({"list": vec![0; ENTRIES], "last": 0}));
    let mut observer = Machine::connect(&node, 2);
    let copy = observer.subscribes("many");
    assert!(reporter.take());
    observer.follows_to(&copy, reporter.position(&object));
    let list = Path::root().child("list");
    reporter.writes(&object, list.child((ENTRIES / 2).to_string()), json!(1));
    reporter.writes(
        &object,
        Path::root().child("last"),
        json!({"many": ENTRIES}),
    );
    reporter.writes(&object, list.child((ENTRIES - 1).to_string()), json!(-0.5));
    observer.follows_to(&copy, reporter.position(&object));
    let data = observer.data(&copy);
    assert_eq!(data["list"].as_array().map(Vec::len), Some(ENTRIES));
    assert_eq!(data["list"][ENTRIES / 2], 1);
    assert_eq!(Hash::of(&data), Hash::of(&reporter.data(&object)));
    let origins: Vec<_> = observer
        .changes
        .iter()
        .map(|(_, told)| told.origin)
        .collect();
    let live = [Origin::Live; 3];
    assert_eq!(origins, [&[Origin::Snapshot][..], &live].concat());
}
