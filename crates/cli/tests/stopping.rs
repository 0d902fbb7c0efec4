//! Signals, and nodes that end and come back.

use rustix::process::Signal;

use crate::common::document::document;
use crate::common::{Home, Node, Program, observe, report, write};

const OBJECT: &str = "ctxt://localhost/kitchen";
const UNTIL: [&str; 4] = ["--until-version", "30", "--timeout", "60"];

/// Reports on through `stop`, which ends the node, and the start of another in its place; the
/// Observer must end with everything, and never go back.
fn goes_on_after(stop: impl FnOnce(Node) -> Node, test: &str) {
    let home = Home::new(test);
    let node = Node::start();
    let first = document(0).to_string();
    let mut reporter = report(&home, &node.url, "ann", OBJECT, &first, &["--public"]);
    let (observer, _) = observe(&home, &node.url, "bob", OBJECT, &UNTIL);
    let mut hashes = Vec::new();
    let mut lines = |reporter: &mut Program, versions: std::ops::RangeInclusive<u64>| {
        for version in versions {
            let reported = write(reporter, &document(version).to_string());
            assert_eq!(reported["version"], version);
            hashes.push(reported["hash"].clone());
        }
    };
    lines(&mut reporter, 1..=10);
    observer.event_where(|event| event["version"] == 10);
    let node = stop(node);
    lines(&mut reporter, 11..=30);

    let mut version = 10;
    while let Some(line) = observer.next_line() {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(next) = event["version"].as_u64() {
            assert!(next >= version, "back from {version}: {event}");
            version = next;
            assert_eq!(event["data"], document(version));
            assert_eq!(event["hash"], hashes[version as usize - 1]);
        }
    }
    assert_eq!(version, 30);
    observer.ended().assert_success();
    drop(node);
}

#[test]
fn nothing_is_lost_when_a_node_is_killed_and_another_takes_its_place() {
    goes_on_after(
        |mut node| {
            node.program.kill();
            node.again()
        },
        "node-killed",
    );
}

#[test]
fn nothing_is_lost_when_a_node_stops_and_another_takes_its_place() {
    goes_on_after(
        |node| {
            node.program.signal(Signal::TERM);
            let Node { program, url } = node;
            program.ended().assert_success();
            Node::in_place_of(&url)
        },
        "node-stopped",
    );
}

#[test]
fn what_was_written_while_there_was_no_node_is_there_afterwards() {
    let home = Home::new("no-node");
    let mut node = Node::start();
    let first = document(0).to_string();
    let mut reporter = report(&home, &node.url, "ann", OBJECT, &first, &["--public"]);
    let (observer, _) = observe(&home, &node.url, "bob", OBJECT, &UNTIL);
    node.program.kill();
    observer.event_where(|event| event["state"] == "stale");
    for version in 1..=30 {
        write(&mut reporter, &document(version).to_string());
    }
    let node = node.again();
    let last = observer.event_where(|event| event["version"] == 30);
    assert_eq!(last["data"], document(30));
    observer.ended().assert_success();
    drop(node);
}

#[test]
fn a_node_stops_on_either_signal_as_soon_as_it_is_ready() {
    for signal in [Signal::TERM, Signal::INT] {
        let node = Node::start();
        node.program.signal(signal);
        node.program.ended().assert_success();
    }
}

#[test]
fn report_stays_after_its_input_until_it_is_stopped() {
    let home = Home::new("stays");
    let node = Node::start();
    for (signal, object) in [
        (Signal::INT, "ctxt://localhost/one"),
        (Signal::TERM, "ctxt://localhost/two"),
    ] {
        let mut reporter = report(&home, &node.url, "ann", object, r#"{"n": 0}"#, &[]);
        let reported = write(&mut reporter, r#"{"n": 1}"#);
        reporter.end_input();
        let (observer, snapshot) = observe(&home, &node.url, "ann", object, &[]);
        assert_eq!(
            snapshot["hash"], reported["hash"],
            "it still answers readers"
        );
        reporter.signal(signal);
        reporter.ended().assert_success();
        observer.event_where(|event| event["state"] == "stale");
        observer.signal(signal);
        observer.ended().assert_success();
    }
}

#[test]
fn what_was_reported_before_a_signal_arrives() {
    let home = Home::new("signal");
    let node = Node::start();
    let first = document(0).to_string();
    let mut reporter = report(&home, &node.url, "ann", OBJECT, &first, &[]);
    let (observer, _) = observe(&home, &node.url, "ann", OBJECT, &UNTIL);
    for version in 1..=30 {
        write(&mut reporter, &document(version).to_string());
    }
    reporter.signal(Signal::INT);
    reporter.ended().assert_success();
    observer.ended().assert_success();
}

#[test]
fn people_are_told_once_of_an_outage_that_lasts() {
    let home = Home::new("outage");
    let mut node = Node::start();
    let mut reporter = report(&home, &node.url, "ann", OBJECT, r#"{"n": 0}"#, &[]);
    let key = home.key("ann");
    let observer = Program::start(
        &[
            &["observe", OBJECT, "--node", &node.url, "--key", &key],
            &UNTIL[..],
        ]
        .concat(),
    );
    assert!(observer.error_line().contains("at version 0"));
    node.program.kill();
    let told = observer.error_line();
    assert!(
        told.starts_with("stale since 20") && told.contains("trying to reconnect"),
        "{told}"
    );
    let node = node.again();
    assert_eq!(observer.error_line(), "live again");
    for version in 1..=30 {
        write(&mut reporter, &document(version).to_string());
    }
    let ended = observer.ended();
    ended.assert_success();
    assert!(ended.errors.is_empty(), "{ended:#?}");
    drop(node);
}
