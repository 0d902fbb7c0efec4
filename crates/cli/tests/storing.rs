//! What a report stores, and a report that goes on.

use serde_json::Value;

use crate::common::document::document;
use crate::common::{Home, Node, observe, report};

const KITCHEN: &str = "ctxt://localhost/kitchen";
const ROUNDS: u64 = 3;
/// Lines of which some are stored and some on their way when the report is killed.
const BURST: u64 = 300;

#[test]
fn a_report_that_goes_on_lets_in_whom_it_let_in_and_says_so_where_public_was_asked_for() {
    let home = Home::new("storing-public");
    let (node, store) = (Node::start(), home.path().join("ann"));
    let store = ["--store", store.to_str().unwrap()];
    let mut ann = report(&home, &node.url, "ann", KITCHEN, "{}", &store);
    ann.kill();
    let public = [&["--public"], &store[..]].concat();
    let ann = report(&home, &node.url, "ann", KITCHEN, "{}", &public);
    let told = ann.error_line();
    assert!(told.contains("`byline access URL --public`"), "{told}");
}

fn version_of(event: &Value) -> u64 {
    event["version"].as_u64().unwrap()
}

#[test]
fn a_report_that_is_killed_goes_on_with_all_that_it_has_told_to_be_stored() {
    let home = Home::new("storing");
    let (data, store) = (home.path().join("node"), home.path().join("ann"));
    let node = Node::start_with_data(&data);
    let more = ["--public", "--store", store.to_str().unwrap()];
    let mut bob = None;
    let mut line = 0;
    let mut last_stored = 0;
    for _ in 0..ROUNDS {
        let first = document(line).to_string();
        let mut ann = report(&home, &node.url, "ann", KITCHEN, &first, &more);
        if bob.is_none() {
            bob = Some(observe(&home, &node.url, "bob", KITCHEN, &[]).0);
        }
        for _ in 0..BURST {
            line += 1;
            ann.write(&document(line).to_string());
        }
        let first = ann.event_named("reported");
        assert!(version_of(&first) > last_stored, "{first} {last_stored}");
        last_stored = version_of(&ann.event_named("stored"));
        ann.kill();
        line += 1;
    }
    let first = document(line).to_string();
    let ann = report(&home, &node.url, "ann", KITCHEN, &first, &more);
    let reported = ann.event_named("reported");
    assert!(
        version_of(&reported) > last_stored,
        "{reported} {last_stored}"
    );
    let same = |event: &Value| event["data"] == document(line);
    let seen = bob.unwrap().event_where(same);
    assert_eq!(seen["hash"], reported["hash"]);
    assert_eq!(seen["version"], reported["version"]);
}
