//! Who reads an object whose Reporter has a store: what it is answered rests there, and is the object at some position.

use byline_core::limits::HISTORY_COMMITS_MAX;
use byline_core::runtime::Seat;

use crate::world::{Who, World, count};

/// A Reporter with a store, which answers its readers itself.
fn reported() -> (World, Who, Seat) {
    let mut world = World::new();
    let owner = world.runtime_with_disk();
    let reporter = world.creates_as(owner, "room", count(0), |create| create.store = true);
    world.settles();
    (world, owner, reporter)
}

#[test]
fn a_reader_is_answered_though_its_reporter_never_stops_writing() {
    let (mut world, owner, reporter) = reported();
    world.disk_of(owner).waits = true;
    let late = world.runtime();
    let second = world.subscribes(late, "room");
    for n in 1..=40 {
        world.writes(&reporter, "n", n);
        world.settles();
        world.writes_to_disk(owner);
        world.writes(&reporter, "m", n);
        world.settles();
    }
    assert_eq!(world.state(&second), "live", "in the middle of it");
    while world.writes_to_disk(owner) {}
    world.settles();
    world.assert_follows(&second, &reporter);
    assert_eq!(world.observer(&second).counters().divergences, 0);
}

#[test]
fn a_reader_that_waits_through_a_claim_is_not_shown_what_had_no_position() {
    let (mut world, owner, reporter) = reported();
    let guest = world.client(9);
    world.disk_of(owner).waits = true;
    world.writes(&reporter, "n", 1);
    world.collects();
    world.subscribes_raw(&guest, reporter.object.as_str());
    let many = HISTORY_COMMITS_MAX as u64 + 1;
    for n in 2..=many {
        world.writes(&reporter, "n", n);
        world.collects();
    }
    // Its history does not reach back to what the node has, and what it says in its claim is stored first.
    assert_eq!(world.state(&reporter), "claiming");
    assert!(world.writes_to_disk(owner) && world.writes_to_disk(owner));
    world.writes(&reporter, "n", many + 1);
    world.collects();
    assert!(world.writes_to_disk(owner));
    world.settles();
    assert_eq!(world.state(&reporter), "live");
    while world.writes_to_disk(owner) {
        world.settles();
    }
    let mut frames = world.frames(&guest).into_iter();
    let answer = frames.find(|frame| frame["body"]["value"].is_object());
    let body = &answer.expect("it is answered")["body"];
    assert_eq!(body["position"][1], body["value"]["data"]["n"]);
}
