//! Two devices of one owner, what a Reporter knows of a reader's past, and objects that are quiet.

use byline_core::State;
use byline_core::error::Reason;
use byline_core::limits::QUIET_MS;
use byline_core::object::{Change, Path};
use byline_core::stream::{Origin, Written};
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers_readers, code, kitchen};
use crate::world::room::room;
use crate::world::{World, count};

// Two devices of one owner.

#[test]
fn a_second_device_takes_over_from_where_the_object_is_and_gets_back_what_it_wrote_beside() {
    let (mut world, _, _, reporter, observer) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(50), |create| create.take = true);
    world.writes(&second, "mine", true);
    world.passes(10_000);
    assert_eq!(world.state(&second), "live");
    let refusal = match world.states(&reporter).last() {
        Some(State::Closed(refusal)) => refusal.clone(),
        state => panic!("{state:?}"),
    };
    assert_eq!(refusal.reason, Some(Reason::Superseded));
    assert_eq!(
        world.reporter(&second).data()["n"],
        1,
        "it goes on from the object"
    );
    let rejected = world.place(device).rejected.clone();
    let path = Path::root().child("mine");
    let value = json!(true);
    let written = Written {
        changes: vec![Change::Set { path, value }],
        ..Written::default()
    };
    assert_eq!(rejected, [(second.clone(), vec![written])]);
    world.writes(&second, "n", 2);
    world.settles();
    world.assert_follows(&observer, &second);
    let origins = &world.mirror(&observer).origins;
    assert!(!origins.contains(&Origin::Rewound), "nobody lost anything");
    world.assert_all_answered();
}

#[test]
fn a_device_without_take_is_told_that_the_object_is_held() {
    let (mut world, _, _, reporter, _) = room();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(50), |_| {});
    world.passes(10_000);
    match world.states(&second).last() {
        Some(State::Closed(refusal)) => assert_eq!(refusal.reason, Some(Reason::Held)),
        state => panic!("{state:?}"),
    }
    assert_eq!(world.state(&reporter), "live");
}

/// The Reporter's side of trace 8.
#[test]
fn a_reporter_says_which_position_of_a_reader_is_still_part_of_the_object() {
    let (mut world, owner, _, reporter, _) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    let epoch = world.reporter(&reporter).position().unwrap().epoch;
    for (have, kept) in [
        (json!([epoch, 1]), Value::Null),
        (json!([epoch, 2]), json!([epoch, 1])),
        (json!([epoch + 1, 1]), json!([epoch, 1])),
        (json!([epoch - 1, 9]), Value::Null),
    ] {
        assert_eq!(told_kept(&mut world, &have), kept, "{have}");
    }
    assert_eq!(world.place(owner).refused.len(), 0);
}

#[test]
fn a_device_that_caught_up_knows_what_the_object_went_through_before() {
    let (mut world, owner, _, reporter, _) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    let first = world.reporter(&reporter).position().unwrap();
    // The node forgets; the same device writes on, under another epoch.
    world.node_restarts();
    world.passes(60_000);
    world.writes(&reporter, "n", 2);
    world.settles();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(9), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(world.state(&second), "live");
    for (have, kept) in [
        (json!([first.epoch, 1]), Value::Null),
        (json!([first.epoch, 2]), json!(first)),
        (json!([first.epoch + 1, 5]), json!(first)),
    ] {
        assert_eq!(told_kept(&mut world, &have), kept, "{have}");
    }
    assert_eq!(world.place(owner).refused.len(), 0);
}

/// What a reader that stands at `have` is told of its position.
fn told_kept(world: &mut World, have: &Value) -> Value {
    let reader = world.client(7);
    let body = json!({"source": reader.hyperty, "have": {"data": have}});
    let to = "ctxt://localhost/room/subscription";
    let answer = world.asks(&reader, "subscribe", &reader.hyperty, to, body);
    answer["body"]["kept"].clone()
}

// Quiet objects.

#[test]
fn a_quiet_object_gets_one_head_with_its_hash() {
    let (mut world, _, guest, reporter, observer) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    let before = world.place(guest).received.len();
    world.passes(QUIET_MS * 4);
    let received = world.place(guest).received[before..].to_vec();
    let heads: Vec<Value> = received
        .iter()
        .map(|frame| serde_json::from_str(frame).unwrap())
        .filter(|frame: &Value| frame["type"] == "update")
        .collect();
    assert_eq!(heads.len(), 1, "{received:?}");
    let hash = byline_core::object::Hash::of(&world.data(&observer));
    assert_eq!(heads[0]["body"]["hash"], json!(hash));
    assert_eq!(world.observer(&observer).counters().divergences, 0);
}

#[test]
fn a_copy_that_differs_from_what_its_reporter_says_is_mended_once_and_then_given_up() {
    let (mut world, reporter, _, epoch) = kitchen();
    let guest = world.runtime();
    let observer = world.subscribes(guest, "kitchen");
    world.settles();
    answers_readers(&mut world, &reporter, (epoch, 0));
    let wrong = byline_core::object::Hash::of(&json!({"other": true}));
    let head = json!({"epoch": epoch, "position": [epoch, 0], "reporter": reporter.hyperty,
        "live": true, "hash": wrong});
    let changes = format!("{KITCHEN}/changes");
    world.asks(&reporter, "update", KITCHEN, &changes, head.clone());
    answers_readers(&mut world, &reporter, (epoch, 0));
    assert_eq!(world.state(&observer), "live", "it took a snapshot");
    world.asks(&reporter, "update", KITCHEN, &changes, head);
    match world.states(&observer).last() {
        Some(State::Closed(refusal)) => assert_eq!(refusal.reason, Some(Reason::Diverged)),
        state => panic!("{state:?}"),
    }
    assert_eq!(world.observer(&observer).counters().divergences, 2);
    // A head that says anything else than what is here passes to nobody.
    let lie =
        json!({"epoch": epoch, "position": [epoch, 9], "reporter": reporter.hyperty, "live": true});
    let refused = world.asks(&reporter, "update", KITCHEN, &changes, lie);
    assert_eq!(code(&refused), 409);
}
