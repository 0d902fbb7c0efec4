//! A room that a machine reports and another follows, and what its owner does about readers.

use byline_core::State;
use byline_core::runtime::Seat;

use super::{Who, World, count};

/// A Reporter, a reader, and their seats on the room.
pub fn room() -> (World, Who, Who, Seat, Seat) {
    following("room")
}

/// The same on the kitchen.
pub fn pair() -> (World, Who, Who, Seat, Seat) {
    following("kitchen")
}

fn following(id: &str) -> (World, Who, Who, Seat, Seat) {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime());
    let reporter = world.creates(owner, id, count(0));
    world.settles();
    let observer = world.subscribes(guest, id);
    world.settles();
    world.assert_follows(&observer, &reporter);
    (world, owner, guest, reporter, observer)
}

pub fn kicks(world: &mut World, reporter: &Seat, reader: &str) -> u64 {
    let (who, now) = (world.who(reporter), world.now);
    let call = world
        .machine(who)
        .kick(reporter, reader, "no shouting", now);
    call.unwrap()
}

/// Code and reason, when the seat is closed.
pub fn closed(world: &World, seat: &Seat) -> Option<(u16, String)> {
    match world.states(seat).last() {
        Some(State::Closed(refusal)) => Some((refusal.code, refusal.desc.to_string())),
        _ => None,
    }
}

pub fn writes_up_to(world: &mut World, reporter: &Seat, n: std::ops::RangeInclusive<u64>) {
    for n in n {
        world.writes(reporter, "n", n);
    }
}
