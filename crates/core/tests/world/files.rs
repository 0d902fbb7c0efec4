//! Files in a room of a world: sent, and fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use byline_core::children::ChildId;
use byline_core::error::Refusal;
use byline_core::runtime::{ChildError, Seat};

use super::{World, count};

/// A content that is another for each `seed`, and has no two chunks alike.
pub fn content(seed: u8, bytes: usize) -> Arc<[u8]> {
    let mut state = u32::from(seed) + 1;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(byte).collect()
}

/// A Reporter who keeps files or does not, and so many who observe.
pub fn room(keeps: bool, observers: usize) -> (World, Seat, Vec<Seat>) {
    let mut world = World::new();
    let owner = world.runtime();
    let reporter = world.creates_as(owner, "kitchen", count(0), |create| {
        create.children = BTreeMap::from([("chat".to_owned(), 100)]);
        create.files = BTreeSet::from_iter(keeps.then(|| "chat".to_owned()));
    });
    world.settles();
    let observers = (0..observers).map(|_| {
        let guest = world.runtime();
        world.subscribes(guest, "kitchen")
    });
    let observers: Vec<_> = observers.collect();
    world.settles();
    (world, reporter, observers)
}

pub fn tries_to_send(
    world: &mut World,
    seat: &Seat,
    content: &Arc<[u8]>,
) -> Result<(ChildId, u64), ChildError> {
    let (who, now, content) = (world.who(seat), world.now, Arc::clone(content));
    let machine = world.machine(who);
    machine.send_file(seat, "chat", "cat.png", "image/png", content, now)
}

pub fn sends(world: &mut World, seat: &Seat, content: &Arc<[u8]>) -> ChildId {
    let (id, call) = tries_to_send(world, seat, content).unwrap();
    world.settles();
    assert_eq!(world.done(seat, call), Some(Ok(())));
    id
}

pub fn tries_to_fetch(world: &mut World, seat: &Seat, id: &ChildId) -> Result<u64, ChildError> {
    let (who, now) = (world.who(seat), world.now);
    world.machine(who).fetch(seat, "chat", id, now)
}

pub fn fetches(world: &mut World, seat: &Seat, id: &ChildId) -> u64 {
    tries_to_fetch(world, seat, id).unwrap()
}

/// How a fetch has ended, once it has.
pub fn fetched(world: &World, seat: &Seat, call: u64) -> Option<Result<Arc<[u8]>, Refusal>> {
    let place = world.place(world.who(seat));
    place.fetched.get(&call).cloned()
}

#[track_caller]
pub fn assert_fetched(world: &World, seat: &Seat, call: u64, content: &Arc<[u8]>) {
    match fetched(world, seat, call) {
        Some(Ok(bytes)) => assert!(bytes == *content, "{} bytes, others", bytes.len()),
        other => panic!("{:?}", other.map(|end| end.map(|bytes| bytes.len()))),
    }
}

/// The code and the reason of a fetch that has failed.
#[track_caller]
pub fn failed(world: &World, seat: &Seat, call: u64) -> (u16, String) {
    let refusal = fetched(world, seat, call)
        .expect("it has ended")
        .unwrap_err();
    (refusal.code, refusal.desc.into_owned())
}
