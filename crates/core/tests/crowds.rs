//! Many objects in one runtime: none of its copies is refused for being one of many.

use byline_core::limits::{
    GRACE_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX, UNDER_WAY_MAX, WAITING_PER_ASKER_BYTES_MAX,
};
use byline_core::runtime::Seat;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers_readers, code, kitchen};
use crate::world::{InFlight, World, count, sm};

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

// Many in one request.

#[test]
fn a_session_that_starts_anew_asks_for_all_copies_of_a_hyperty_at_once() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime());
    let names: Vec<String> = (0..10).map(|n| format!("many/{n}")).collect();
    let reporters: Vec<Seat> = names
        .iter()
        .map(|name| world.creates(owner, name, count(0)))
        .collect();
    let observers: Vec<Seat> = names
        .iter()
        .map(|name| world.subscribes(guest, name))
        .collect();
    world.settles();
    let waits = world.subscribes(guest, "nobody");
    world.settles();
    world.node_restarts();
    let sent = world.place(guest).sent;
    world.passes(60_000);
    for (observer, reporter) in observers.iter().zip(&reporters) {
        world.writes(reporter, "n", 1);
        world.settles();
        world.assert_follows(observer, reporter);
    }
    assert_eq!(world.state(&waits), "waiting");
    // Two to open, one for all.
    assert!(
        world.place(guest).sent - sent < 8,
        "{}",
        world.place(guest).sent - sent
    );
    world.assert_all_answered();
}

#[test]
fn each_object_of_a_batch_has_its_own_answer_and_the_batch_one() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let (late, denied) = (world.client(3), world.client(4));
    let private = "ctxt://localhost/private";
    let deny = json!({"access": {"public": true, "deny": [late.identity(), denied.identity()]}});
    world.claims(&reporter, private, deny);
    let objects = json!({KITCHEN: null, private: null, "ctxt://localhost/none": null,
        "ctxt://elsewhere/x": null, "hyperty://localhost/x": null});
    let body = json!({"source": late.hyperty, "objects": objects});
    let many = world.asks(&late, "subscribe", &late.hyperty, &sm(), body);
    assert_eq!(code(&many), 207, "{many}");
    let of = |url: &str| many["body"]["objects"][url]["code"].as_u64().unwrap();
    assert_eq!(
        [of(KITCHEN), of(private), of("ctxt://localhost/none")],
        [102, 403, 503]
    );
    assert_eq!(
        [of("ctxt://elsewhere/x"), of("hyperty://localhost/x")],
        [404, 400]
    );
    answers_readers(&mut world, &reporter, (epoch, 0));
    let answer = world.answer(&late, &json!(KITCHEN));
    assert_eq!(
        (code(&answer), &answer["from"]),
        (200, &json!(format!("{KITCHEN}/subscription")))
    );
    assert_eq!(world.node.gauges().routes, 2);
    // As somebody else, malformed, without an id, too many.
    let too_many: serde_json::Map<String, Value> = (0..100)
        .map(|n| (format!("ctxt://localhost/{n}"), Value::Null))
        .collect();
    for (body, expected) in [
        (
            json!({"source": reader.hyperty, "objects": {KITCHEN: null}}),
            207,
        ),
        (json!({"objects": [KITCHEN]}), 400),
        (json!({"objects": {"kitchen": null}}), 400),
        (json!({"objects": too_many}), 429),
    ] {
        let answer = world.asks(&denied, "subscribe", &denied.hyperty, &sm(), body);
        assert_eq!(code(&answer), expected, "{answer}");
        if expected == 207 {
            assert_eq!(answer["body"]["objects"][KITCHEN]["code"], 403);
        }
    }
    let unnamed =
        json!({"type": "subscribe", "from": late.hyperty, "to": sm(), "body": {"objects": {}}});
    world.says(&late, &unnamed.to_string());
    assert_eq!(code(&world.frames(&late).pop().unwrap()), 400);
    world.assert_all_answered();
}
