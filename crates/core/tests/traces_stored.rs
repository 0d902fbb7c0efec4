//! Of the traces in `traces.rs`, those that a node without a store lets happen, or comes close to, where it has one:
//! nothing is forked, forgotten or taken back, whenever it starts again.

use byline_core::State;
use byline_core::error::Reason;
use byline_core::stream::Origin;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers_readers, code};
use crate::world::room::{closed, kicks};
use crate::world::{Client, InFlight, World, count, of};

/// A Reporter with a commit at (epoch, 2) that a reader has, at a node with a store.
fn kitchen() -> (World, Client, Client, u64) {
    let mut world = World::with_disk();
    let (device, reader) = (world.client(1), world.client(2));
    let claimed = world.claims(&device, KITCHEN, json!({}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    world.subscribes_raw(&reader, KITCHEN);
    answers_readers(&mut world, &device, (epoch, 0));
    for version in 1..=2 {
        world.commits(&device, KITCHEN, (epoch, version), Value::Null);
    }
    assert_eq!(world.counts(&reader, "update"), 2);
    (world, device, reader, epoch)
}

#[test]
fn trace_01_a_device_that_lost_its_last_commit_does_not_write_it_again_though_the_node_restarts() {
    let (mut world, _, _, epoch) = kitchen();
    world.node_restarts();
    let device = world.client(1);
    let refused = world.claims(&device, KITCHEN, json!({"base": [epoch, 1]}));
    assert_eq!(
        (code(&refused), of(&refused, "reason").as_str()),
        (409, "alone")
    );
    let commit = world.commits(&device, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(code(&commit), 403, "{commit}");
}

/// The device's own store is behind, too: what it wrote and had not stored was not sent.
#[test]
fn trace_01_a_device_with_a_store_has_all_that_readers_have_when_its_power_fails() {
    let mut world = World::with_disk();
    let (owner, guest) = (world.runtime_with_disk(), world.runtime());
    let reporter = world.creates_as(owner, "room", count(0), |create| create.store = true);
    world.passes(10_000);
    let observer = world.subscribes(guest, "room");
    world.settles();
    world.writes(&reporter, "n", 1);
    world.settles();
    world.disk_of(owner).waits = true;
    world.writes(&reporter, "n", 2);
    world.settles();
    assert_eq!(world.data(&observer)["n"], 1);
    world.power_cut(owner);
    world.disk_of(owner).waits = false;
    world.passes(60_000);
    world.writes(&reporter, "n", 3);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.observer(&observer).counters().rewinds, 0);
}

#[test]
fn trace_03_who_was_put_out_stays_out_when_the_node_restarts_and_another_device_claims() {
    let mut world = World::with_disk();
    let (owner, guest) = (world.runtime(), world.runtime());
    let reporter = world.creates(owner, "room", count(0));
    world.passes(10_000);
    let observer = world.subscribes(guest, "room");
    world.settles();
    kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    world.cut(owner, InFlight::Lost);
    world.node_restarts();
    // It has never heard of the kick, and its own `access` denies nobody.
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(9), |create| create.discard = true);
    world.passes(60_000);
    assert_eq!(world.state(&second), "live");
    let again = world.subscribes_as(guest, "another", "room");
    world.passes(60_000);
    assert_eq!(closed(&world, &again).unwrap().0, 403);
}

/// What took a reader back when the node forgot: with a record the device that is behind is refused.
fn does_not_go_back(writes_after: bool) {
    let mut world = World::with_disk();
    let (owner, guest) = (world.runtime_with_disk(), world.runtime());
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        (create.store, create.cache) = (true, Some(true));
    });
    world.passes(10_000);
    let observer = world.subscribes(guest, "room");
    world.settles();
    let behind = world.disk_of(owner).clone();
    world.writes(&reporter, "n", 1);
    world.settles();
    let seen = world.observer(&observer).position().unwrap();
    // An older backup of the device, and a node that starts again.
    *world.disk_of(owner) = behind;
    world.node_restarts();
    world.power_cut(owner);
    if writes_after {
        world.writes(&reporter, "mine", true);
    }
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "live");
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.data(&observer)["n"], 1);
    let stream = world.observer(&observer);
    assert!(stream.position().unwrap() >= seen);
    assert_eq!(stream.counters().rewinds, 0);
    assert!(!world.mirror(&observer).origins.contains(&Origin::Rewound));
    let rejected: usize = world
        .place(owner)
        .rejected
        .iter()
        .map(|(_, all)| all.len())
        .sum();
    assert_eq!(rejected, usize::from(writes_after));
}

#[test]
fn trace_07_a_device_that_is_behind_and_writes_nothing_takes_no_reader_back() {
    does_not_go_back(false);
}

#[test]
fn trace_08_a_device_that_is_behind_and_writes_replaces_nothing_that_was_seen() {
    does_not_go_back(true);
}

#[test]
fn trace_09_epochs_go_up_though_the_node_restarts_between_claims() {
    let mut world = World::with_disk();
    let mut epochs: Vec<u64> = vec![];
    for _ in 0..20 {
        let client = world.client(1);
        let with = json!({"base": null, "take": true});
        let claimed = world.claims(&client, KITCHEN, with);
        // At once: with a record there is no first second.
        assert_eq!(code(&claimed), 200, "{claimed}");
        epochs.extend(claimed["body"]["epoch"].as_u64());
        if epochs.len().is_multiple_of(3) {
            world.node_restarts();
        }
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
    assert!(epochs[19] > world.now.unix_ms(), "ahead of the clock");
}

/// Nobody is there to learn from, and the node keeps what the object is: a diverged claimant goes on from that.
#[test]
fn trace_10_a_claimant_that_has_diverged_learns_from_the_node_what_the_object_is() {
    let mut world = World::with_disk();
    let owner = world.runtime();
    let reporter = world.creates_as(owner, "room", count(0), |create| create.cache = Some(true));
    world.passes(10_000);
    world.writes(&reporter, "n", 1);
    world.settles();
    world.cut(owner, InFlight::Lost);
    world.node_restarts();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(50), |_| {});
    world.passes(60_000);
    assert_eq!(world.state(&second), "live");
    assert_eq!(world.reporter(&second).data()["n"], 1);
    world.heals(owner);
    world.passes(60_000);
    match world.states(&reporter).last() {
        Some(State::Closed(refusal)) => assert_eq!(refusal.reason, Some(Reason::Superseded)),
        state => panic!("{state:?}"),
    }
}
