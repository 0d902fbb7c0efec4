//! Another device of the owner's takes an object over: its children come with it.

use byline_core::runtime::Seat;
use serde_json::json;

use crate::world::children::text;
use crate::world::{self, InFlight, Who, World};

/// A room with children of two authors, more than a page of them.
fn full_room() -> (World, Seat, Vec<Seat>) {
    let mut world = World::new();
    let owner = world.runtime();
    let reporter = world.creates_room(owner, "room", 1_000);
    world.settles();
    let observers = [(); 2].map(|()| {
        let guest = world.runtime();
        world.subscribes(guest, "room")
    });
    world.settles();
    for n in 0..450 {
        let seat = if n % 3 == 0 { &reporter } else { &observers[0] };
        world.writes_child(seat, text(&format!("{n}")));
        world.passes(u64::from(n % 7 == 0));
    }
    world.settles();
    (world, reporter, observers.into())
}

#[test]
fn a_device_that_takes_an_object_takes_its_children_over() {
    let (mut world, first, observers) = full_room();
    world.closes_children(&first, true);
    world.settles();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", world::count(0), |create| {
        create.children = [("chat".to_owned(), 1_000)].into();
        create.take = true;
    });
    let (_, early) = world.writes_child(&second, text("written while it claimed"));
    world.passes(60_000);
    assert_eq!(world.state(&second), "live");
    assert_eq!(world.state(&first), "closed");
    assert_eq!(world.done(&second, early), Some(Ok(())));
    assert_eq!(world.chat(&second).len(), 451);
    world.assert_same_children(&second, &observers);
    assert!(world.chat(&second).is_closed());
    world.closes_children(&second, false);
    world.settles();
    let (id, call) = world.writes_child(&observers[0], text("on it goes"));
    world.settles();
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    let moderated = world.deletes_child(&second, &id);
    let mut theirs = world.chat(&second).iter().rev();
    let of_the_first = theirs.find(|(id, _)| *id.author() == first.hyperty);
    let of_the_first = of_the_first.unwrap().0.clone();
    drop(theirs);
    world.deletes_child(&second, &of_the_first);
    world.settles();
    assert_eq!(world.done(&second, moderated), Some(Ok(())));
    assert!(world.chat(&observers[1]).get(&of_the_first).is_none());
    world.assert_same_children(&second, &observers);
    world.assert_all_answered();
}

#[test]
fn a_reporter_that_writes_on_after_another_of_its_hyperties_collides_with_nothing() {
    let (mut world, first, observers) = full_room();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", world::count(0), |create| {
        create.children = [("chat".to_owned(), 1_000)].into();
        create.take = true;
    });
    world.passes(60_000);
    // The first takes it back, under the same hyperty as before.
    let again = world.creates_as(0, "room", world::count(0), |create| {
        create.children = [("chat".to_owned(), 1_000)].into();
        create.take = true;
    });
    assert_eq!(again, first);
    world.passes(60_000);
    assert_eq!(
        (&*world.state(&again), &*world.state(&second)),
        ("live", "closed")
    );
    let (id, call) = world.writes_child(&again, text("again"));
    world.updates_child(&again, &id, "text", json!("and again"));
    world.settles();
    assert_eq!(world.done(&again, call), Some(Ok(())));
    assert_eq!(world.texts(&observers[1]).last().unwrap(), "and again");
    world.assert_same_children(&again, &observers);
}

/// The object is this device's from now on.
fn takes(world: &mut World, who: Who, cache: bool) -> Seat {
    let seat = world.creates_as(who, "room", world::count(0), |create| {
        create.children = [("chat".to_owned(), 100)].into();
        (create.store, create.cache, create.take) = (true, Some(cache), true);
    });
    world.passes(60_000);
    assert_eq!(world.state(&seat), "live");
    seat
}

#[test]
fn what_was_under_way_when_an_object_was_lost_shares_its_place_with_nothing() {
    let ways = [InFlight::Lost, InFlight::Delivered];
    for (cache, in_flight) in ways.map(|way| [(true, way), (false, way)]).concat() {
        let mut world = World::new();
        let (owner, guest) = (world.runtime_with_disk(), world.runtime());
        let device = world.runtime_with_disk_of(1);
        let reporter = takes(&mut world, owner, cache);
        let observer = world.subscribes(guest, "room");
        world.writes_child(&reporter, text("safe"));
        world.settles();
        takes(&mut world, device, cache);
        takes(&mut world, owner, cache);
        world.writes_child(&reporter, text("under way"));
        world.collects();
        world.cut(owner, in_flight);
        takes(&mut world, device, cache);
        world.heals(owner);
        world.passes(60_000);
        assert_eq!(world.state(&reporter), "closed");
        takes(&mut world, owner, cache);
        let (_, call) = world.writes_child(&reporter, text("after"));
        world.passes(60_000);
        assert_eq!(world.done(&reporter, call), Some(Ok(())));
        assert_eq!(world.texts(&observer).last().unwrap(), "after");
        world.assert_same_children(&reporter, &[observer]);
    }
}

/// The observer forgets what it knew of the streams that it wrote.
fn begins_anew(world: &mut World, observer: &Seat) {
    world.unsubscribes(observer);
    world.subscribes(world.who(observer), "room");
    world.passes(1_000);
}

#[test]
fn who_has_lost_its_stream_writes_to_no_place_that_its_reporter_has_lost() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime_with_disk(), world.runtime());
    let device = world.runtime_with_disk_of(1);
    takes(&mut world, owner, true);
    let author = world.subscribes(guest, "room");
    world.settles();
    world.writes_child(&author, text("everywhere"));
    world.settles();
    world.cut(owner, InFlight::Lost);
    takes(&mut world, device, true);
    begins_anew(&mut world, &author);
    let (id, call) = world.writes_child(&author, text("at the second device"));
    world.settles();
    assert_eq!(world.done(&author, call), Some(Ok(())));
    let lost = world.chat(&author).get(&id).unwrap().position;
    // The first comes back to a node that knows neither of them.
    world.cut(device, InFlight::Lost);
    world.node_restarts();
    world.heals(owner);
    world.passes(60_000);
    begins_anew(&mut world, &author);
    let (again, call) = world.writes_child(&author, text("at the first"));
    world.settles();
    assert_eq!(world.done(&author, call), Some(Ok(())));
    assert_eq!(again, id, "nobody here knows of the other");
    assert_ne!(world.chat(&author).get(&again).unwrap().position, lost);
}
