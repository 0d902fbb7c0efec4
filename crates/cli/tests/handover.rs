//! An object that one user hands over to another.

use crate::common::program::Ended;
use crate::common::{Home, Node, Program, byline, observe, report};

const KITCHEN: &str = "ctxt://localhost/kitchen";

/// The first user has stored the object and is gone; the second waits for it, and this is who that is.
fn stored_and_awaited(home: &Home, node: &Node) -> (Program, String) {
    let mut ann = report(
        home,
        &node.url,
        "ann",
        KITCHEN,
        r#"{"n": 1}"#,
        &["--public", "--exit", "--store", &store(home, "ann")],
    );
    ann.end_input();
    ann.ended().assert_success();
    let accepts = ["--accept", "--store", &store(home, "bob")];
    let mut bob = byline(home, &node.url, "bob", &["report", KITCHEN], &accepts);
    bob.write(r#"{"n": 2}"#);
    let waits = bob.error_line();
    let identity = waits.rsplit(' ').next().unwrap().to_owned();
    (bob, identity)
}

fn store(home: &Home, user: &str) -> String {
    home.path().join(user).display().to_string()
}

fn delegates(home: &Home, node: &Node, to: &str) -> Ended {
    let delegate = ["delegate", KITCHEN, to];
    let more = ["--store", &store(home, "ann")];
    byline(home, &node.url, "ann", &delegate, &more).ended()
}

#[test]
fn who_accepts_goes_on_with_the_object_and_who_had_it_reads_it() {
    let home = Home::new("handover");
    let node = Node::start();
    let (bob, bobs) = stored_and_awaited(&home, &node);
    let told = delegates(&home, &node, &bobs);
    told.assert_success();
    assert_eq!(told.events().last().unwrap()["event"], "delegated");
    bob.event_named("created");
    assert_eq!(bob.event_named("reported")["version"], 1);
    let (_reader, copy) = observe(&home, &node.url, "ann", KITCHEN, &[]);
    assert_eq!(copy["data"]["n"], 2);
    let again = delegates(&home, &node, &bobs);
    assert!(again.complaint().contains(KITCHEN), "{again:?}");
}

#[test]
fn nothing_is_handed_over_to_nobody_or_from_a_folder_without_it() {
    let home = Home::new("handover-refused");
    let node = Node::start();
    let (_bob, bobs) = stored_and_awaited(&home, &node);
    let nobody = delegates(&home, &node, "user-guid://nobody");
    assert!(nobody.complaint().contains("404"), "{nobody:?}");
    let other = ["--store", &store(&home, "eve")];
    let nothing = byline(
        &home,
        &node.url,
        "eve",
        &["delegate", KITCHEN, &bobs],
        &other,
    );
    let nothing = nothing.ended();
    assert!(nothing.complaint().contains("is not stored"), "{nothing:?}");
}
