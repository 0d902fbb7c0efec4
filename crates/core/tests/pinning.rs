//! Whose an object is: its readers know, and follow nobody else to whom it was not handed over.

use byline_core::runtime::Criteria;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, code, kitchen};
use crate::world::room::{closed, room};
use crate::world::{InFlight, World, count};

#[test]
fn a_reader_follows_another_device_of_the_same_identity() {
    let (mut world, owner, _, _, observer) = room();
    let identity = world.machine(owner).identity().clone();
    assert_eq!(world.observer(&observer).identity(), Some(&identity));
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(5), |create| {
        (create.take, create.discard) = (true, true);
    });
    world.passes(10_000);
    world.assert_follows(&observer, &second);
    assert_eq!(world.observer(&observer).identity(), Some(&identity));
}

/// A node without a store has forgotten whose the object is, and somebody else is there first.
#[test]
fn a_reader_does_not_follow_a_stranger_whom_a_forgetful_node_lets_in() {
    let (mut world, owner, guest, _, observer) = room();
    let before = world.data(&observer);
    world.cut(owner, InFlight::Lost);
    world.node_restarts();
    world.passes(2_000);
    let stranger = world.runtime();
    let other = world.creates_as(stranger, "room", count(666), |_| {});
    world.passes(60_000);
    assert_eq!(world.state(&other), "live");
    let (code, why) = closed(&world, &observer).unwrap();
    assert_eq!(code, 409, "{why}");
    assert_eq!(world.data(&observer), before);
    // Who subscribes anew follows whom the node names.
    let again = world.subscribes_as(guest, "another", "room");
    world.settles();
    world.assert_follows(&again, &other);
}

#[test]
fn a_head_that_names_a_stranger_is_followed_no_further() {
    let (mut world, _, guest, reporter, observer) = room();
    let (url, position) = (
        observer.object.as_str(),
        world.reporter(&reporter).position(),
    );
    let head = json!({"epoch": position.unwrap().epoch + 1, "position": position, "live": true,
        "reporter": "hyperty://localhost/another", "identity": "user-guid://another"});
    let frame = json!({"id": null, "type": "update", "from": url, "to": format!("{url}/changes"),
        "body": head});
    world.hands_to_runtime(guest, &frame.to_string());
    assert_eq!(closed(&world, &observer).map(|(code, _)| code), Some(409));
}

#[test]
fn whose_a_copy_is_rests_with_it_and_is_what_it_is_found_by() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime_with_disk());
    let reporter = world.creates(owner, "room", count(0));
    let observer = world.subscribes(guest, "room");
    world.settles();
    world.machine(guest).keep(&observer).unwrap();
    world.settles();
    let identity = world.machine(owner).identity().clone();
    world.cut(guest, InFlight::Lost);
    world.power_cut(guest);
    assert_eq!(world.observer(&observer).identity(), Some(&identity));
    let of = |user: &str| Criteria {
        user: Some(user.into()),
        ..Criteria::default()
    };
    let found = world.machine(guest).resting(&of(identity.as_str()));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].seat, observer);
    let none = world.machine(guest).resting(&of("user-guid://another"));
    assert_eq!(none, []);
    // What this runtime reports is its own user's.
    let own = world.creates_as(guest, "hall", count(0), |create| create.store = true);
    world.heals(guest);
    world.passes(10_000);
    world.assert_follows(&observer, &reporter);
    let user = world.machine(guest).identity().clone();
    let found = world.machine(guest).resting(&of(user.as_str()));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].seat, own);
}

#[test]
fn a_reporter_does_not_say_itself_whose_its_object_is() {
    let (mut world, reporter, _, epoch) = kitchen();
    let reader = world.client(3);
    world.subscribes_raw(&reader, KITCHEN);
    let asked = world.frames(&reporter).pop().unwrap();
    let body = json!({"code": 200, "epoch": epoch, "position": [epoch, 0],
        "identity": "user-guid://another", "value": {"url": KITCHEN, "data": {}}});
    let answer = json!({"id": asked["id"], "type": "response", "from": asked["to"],
        "to": asked["from"], "body": body});
    world.says(&reporter, &answer.to_string());
    let refused = world.frames(&reader).pop().unwrap();
    assert_eq!(code(&refused), 503, "{refused}");
    assert_eq!(world.node.gauges().routes, 1, "the first reader's");
    let head = json!({"epoch": epoch, "position": [epoch, 0], "reporter": reporter.hyperty,
        "live": true, "identity": "user-guid://another"});
    let changes = format!("{KITCHEN}/changes");
    let refused = world.asks(&reporter, "update", KITCHEN, &changes, head);
    assert_eq!(code(&refused), 409, "{refused}");
}

#[test]
fn the_node_says_whose_an_object_is_beside_what_its_reporter_answers() {
    let (world, reporter, reader, _) = kitchen();
    let answer = world
        .frames(&reader)
        .into_iter()
        .rfind(|one| one["type"] == "response")
        .unwrap();
    assert_eq!(answer["body"]["identity"], json!(reporter.identity()));
    assert_eq!(answer["body"]["owners"], Value::Null);
    assert_eq!(answer["body"]["value"]["data"]["n"], 0);
}
