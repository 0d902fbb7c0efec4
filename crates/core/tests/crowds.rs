//! Many objects in one runtime: none of its copies is refused for being one of many.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use byline_core::limits::{
    GRACE_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX, UNDER_WAY_MAX, WAITING_PER_ASKER_BYTES_MAX,
};
use serde_json::json;
use world::{InFlight, World, count};

/// More than the node lets one asker have unanswered.
const MANY: usize = 3 * UNANSWERED_PER_ASKER_MAX;

#[test]
fn a_runtime_recovers_many_copies_at_once_and_none_is_refused() {
    let mut world = World::new();
    let (a, b) = (world.runtime(), world.runtime());
    let name = |index| format!("object/{index}");
    let objects: Vec<_> = (0..MANY)
        .map(|index| world.creates(a, &name(index), count(0)))
        .collect();
    world.settles();
    let copies: Vec<_> = (0..MANY)
        .map(|index| world.subscribes(b, &name(index)))
        .collect();
    world.settles();
    world.cut(b, InFlight::Lost);
    for object in &objects {
        world.writes(object, "n", 1);
    }
    world.heals(b);
    world.passes(1_000);
    for (copy, object) in copies.iter().zip(&objects) {
        world.assert_follows(copy, object);
    }
    assert_eq!(world.node.counters().refused.get(&429), None);
    world.assert_all_answered();
}

#[test]
fn no_more_requests_are_under_way_than_the_node_allows() {
    let mut world = World::new();
    let silent = world.client(1);
    let b = world.runtime();
    for index in 0..MANY {
        let url = format!("ctxt://localhost/object/{index}");
        world.claims(&silent, &url, json!({"access": {"public": true}}));
        world.subscribes(b, &format!("object/{index}"));
    }
    world.settles();
    assert_eq!(world.counts(&silent, "subscribe"), UNDER_WAY_MAX);
    // The others have their turn when the first are given up.
    world.passes(UNANSWERED_MS);
    assert!(world.counts(&silent, "subscribe") >= 2 * UNDER_WAY_MAX);
    assert_eq!(world.node.counters().refused.get(&429), None);
}

#[test]
fn copies_that_wait_for_their_reporters_leave_room_for_other_requests() {
    let mut world = World::new();
    let (a, b) = (world.runtime(), world.runtime());
    let kitchen = world.creates(a, "kitchen", count(0));
    world.settles();
    let waiting: Vec<_> = (0..MANY)
        .map(|index| world.subscribes(b, &format!("nobody/{index}")))
        .collect();
    let copy = world.subscribes(b, "kitchen");
    world.settles();
    world.assert_follows(&copy, &kitchen);
    assert!(waiting.iter().all(|seat| world.state(seat) == "waiting"));
    assert_eq!(world.node.gauges().unanswered, MANY);
    // Each is served when its Reporter comes, and all are forgotten with who asked.
    let object = world.creates(a, "nobody/7", count(7));
    world.settles();
    world.assert_follows(&waiting[7], &object);
    assert_eq!(world.node.gauges().unanswered, MANY - 1);
    world.cut(b, InFlight::Lost);
    world.passes(2 * GRACE_MS);
    assert_eq!(world.node.gauges().unanswered, 0);
}

#[test]
fn what_waits_for_one_asker_is_bounded_in_bytes() {
    let mut world = World::new();
    let asker = world.client(3);
    let long = "x".repeat(900);
    let mut refused = None;
    for index in 0..WAITING_PER_ASKER_BYTES_MAX / 900 {
        let url = format!("ctxt://localhost/{index}/{long}");
        let body = json!({"source": asker.hyperty, "hold": true});
        let answer = world.asks(
            &asker,
            "subscribe",
            &asker.hyperty,
            &format!("{url}/subscription"),
            body,
        );
        if answer["body"]["code"] == 429 {
            refused = Some(index);
            break;
        }
    }
    let waited = refused.expect("there is a limit");
    assert_eq!(world.node.gauges().unanswered, waited);
    world.drops(&asker);
    world.passes(2 * GRACE_MS);
    assert_eq!(world.node.gauges().objects, 0);
}
