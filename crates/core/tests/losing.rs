//! A Reporter that loses its object to another device: what it wrote and is no part of it comes back, and it does
//! not take the object again by itself.

use byline_core::State;
use byline_core::error::Reason;
use byline_core::object::Change;
use byline_core::runtime::{Create, Seat};
use byline_core::storage::Table;
use serde_json::Value;

use crate::world::room::closed;
use crate::world::{InFlight, Who, World, count};

/// A Reporter of an object that its node keeps, and a reader.
fn room() -> (World, Who, Seat, Seat) {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime());
    let reporter = world.creates_as(owner, "room", count(0), |create| create.cache = Some(true));
    world.settles();
    let observer = world.subscribes(guest, "room");
    world.settles();
    (world, owner, reporter, observer)
}

/// Why a seat is closed.
fn reason(world: &World, seat: &Seat) -> Option<Reason> {
    match world.states(seat).last() {
        Some(State::Closed(refusal)) => refusal.reason,
        state => panic!("{state:?}"),
    }
}

/// The values that came back, in their order.
fn rejected(world: &World, who: Who) -> Vec<Value> {
    let written = world.place(who).rejected.iter().flat_map(|(_, all)| all);
    let values = written.flat_map(|one| &one.changes).map(|change| {
        let Change::Set { value, .. } = change else {
            panic!("{change:?}")
        };
        value.clone()
    });
    values.collect()
}

fn takes(world: &mut World, device: Who) -> Seat {
    let seat = world.creates_as(device, "room", count(50), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(world.state(&seat), "live");
    seat
}

#[test]
fn what_was_on_its_way_when_the_object_was_taken_comes_back() {
    let (mut world, owner, reporter, observer) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    let device = world.runtime_of(1);
    world.cut(owner, InFlight::Lost);
    for n in 2..=4 {
        world.writes(&reporter, "n", n);
    }
    let second = takes(&mut world, device);
    world.writes(&second, "n", 10);
    world.heals(owner);
    world.passes(10_000);
    assert_eq!(reason(&world, &reporter), Some(Reason::Superseded));
    assert_eq!(rejected(&world, owner), [2, 3, 4]);
    assert!(!world.machine(owner).is_settling(&reporter));
    world.assert_follows(&observer, &second);
    world.assert_all_answered();
}

#[test]
fn of_what_a_lost_socket_had_taken_only_that_comes_back_which_did_not_arrive() {
    let (mut world, owner, reporter, _) = room();
    world.writes(&reporter, "n", 1);
    world.collects();
    world.cut(owner, InFlight::Delivered);
    world.writes(&reporter, "n", 2);
    let device = world.runtime_of(1);
    takes(&mut world, device);
    world.heals(owner);
    world.passes(10_000);
    assert_eq!(rejected(&world, owner), [2]);
}

#[test]
fn it_is_asked_until_somebody_says_what_the_object_is() {
    let (mut world, owner, reporter, _) = room();
    let device = world.runtime_of(1);
    world.cut(owner, InFlight::Lost);
    world.writes(&reporter, "n", 1);
    // The node keeps nothing under this claim, and who holds the object is away.
    takes(&mut world, device);
    world.cut(device, InFlight::Lost);
    world.heals(owner);
    world.passes(5_000);
    assert_eq!(reason(&world, &reporter), Some(Reason::Superseded));
    assert!(world.machine(owner).is_settling(&reporter));
    assert_eq!(rejected(&world, owner), Vec::<Value>::new());
    world.heals(device);
    world.passes(60_000);
    assert_eq!(rejected(&world, owner), [1]);
}

#[test]
fn what_was_written_before_it_was_known_that_another_has_the_object_comes_back() {
    let (mut world, _, _, observer) = room();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(50), |_| {});
    world.writes(&second, "n", 51);
    world.passes(10_000);
    assert_eq!(reason(&world, &second), Some(Reason::Held));
    assert_eq!(rejected(&world, device), [51]);
    assert_eq!(world.data(&observer)["n"], 0);
}

#[test]
fn a_device_that_lost_its_object_does_not_take_it_again_by_itself() {
    let mut world = World::new();
    let owner = world.runtime_with_disk();
    let storing = |create: &mut Create| create.store = true;
    let reporter = world.creates_as(owner, "room", count(0), storing);
    let _stranger = world.runtime();
    world.settles();
    let device = world.runtime_of(1);
    let second = takes(&mut world, device);
    assert_eq!(reason(&world, &reporter), Some(Reason::Superseded));
    // Now that nobody holds it, it could.
    world.cut(device, InFlight::Lost);
    world.passes(60_000);
    world.power_cut(owner);
    world.passes(60_000);
    assert_eq!(closed(&world, &reporter).unwrap().0, 409);
    world.heals(device);
    world.passes(60_000);
    assert_eq!(world.state(&second), "live");
    // Its application may.
    let again = world.creates_as(owner, "room", count(1), |create| {
        storing(create);
        create.take = true;
    });
    world.passes(10_000);
    assert_eq!(world.state(&again), "live");
    assert_eq!(reason(&world, &second), Some(Reason::Superseded));
}

#[test]
fn an_object_that_another_device_held_from_the_start_does_not_rest_here() {
    let mut world = World::new();
    let (device, _stranger) = (world.runtime_with_disk(), world.runtime());
    let other = world.runtime_of(1);
    world.creates(other, "hall", count(0));
    world.settles();
    let refused = world.creates_as(device, "hall", count(1), |create| create.store = true);
    world.passes(1_000);
    assert_eq!(reason(&world, &refused), Some(Reason::Held));
    assert_eq!(world.disk_of(device).count(Table::Claims), 0);
    assert_eq!(world.power_cut(device), []);
}

#[test]
fn what_came_back_from_an_object_that_may_not_be_read_rests_no_longer() {
    let mut world = World::new();
    let (owner, _stranger) = (world.runtime_with_disk(), world.runtime());
    let device = world.runtime_of(1);
    let reporter = world.creates_as(owner, "room", count(0), |create| create.store = true);
    world.settles();
    world.cut(owner, InFlight::Lost);
    world.power_cut(owner);
    for n in 1..=3 {
        world.writes(&reporter, "n", n);
    }
    world.passes(1_000);
    assert_eq!(world.disk_of(owner).count(Table::Unnumbered), 3);
    let identity = world.machine(owner).identity().to_string();
    world.creates_as(device, "room", count(50), |create| {
        (create.take, create.discard) = (true, true);
        create.access.deny = vec![identity];
    });
    world.passes(60_000);
    world.heals(owner);
    world.passes(60_000);
    assert_eq!(reason(&world, &reporter), Some(Reason::Held));
    assert_eq!(rejected(&world, owner), [1, 2, 3]);
    assert!(!world.machine(owner).is_settling(&reporter));
    assert_eq!(world.disk_of(owner).count(Table::Unnumbered), 0);
    assert_eq!(world.power_cut(owner), [], "a later life has none of it");
}

#[test]
fn an_object_that_nobody_knows_any_more_is_kept_by_who_lost_it() {
    let mut world = World::new();
    let (owner, _stranger) = (world.runtime_with_disk(), world.runtime());
    let device = world.runtime_of(1);
    let storing = |create: &mut Create| create.store = true;
    let reporter = world.creates_as(owner, "room", count(0), storing);
    world.settles();
    world.cut(owner, InFlight::Lost);
    world.writes(&reporter, "n", 1);
    world.creates_as(device, "room", count(50), |create| {
        (create.take, create.discard) = (true, true);
    });
    world.passes(10_000);
    world.cut(device, InFlight::Lost);
    world.heals(owner);
    world.passes(5_000);
    assert!(world.machine(owner).is_settling(&reporter));
    world.node_restarts();
    world.passes(60_000);
    assert_eq!(rejected(&world, owner), Vec::<Value>::new());
    let again = world.creates_as(owner, "room", count(7), storing);
    world.passes(10_000);
    assert_eq!(world.state(&again), "live");
    assert_eq!(*world.reporter(&again).data(), count(1));
}
