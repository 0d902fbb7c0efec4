//! The three of the traces of `traces.rs` that are about children, each under its number.

use byline_core::children::ChildId;
use serde_json::json;

use crate::world::children::{Mistreated, text};
use crate::world::kitchen::code;
use crate::world::{self, Client, InFlight, World};

const ROOM: &str = "ctxt://localhost/room";

/// The first commit of an epoch, by an author that says everything itself.
fn begins(world: &mut World, author: &Client, number: u64, epoch: u64, base: Option<[u64; 2]>) {
    let mut body = json!({"resource": format!("{}#{number}", author.hyperty), "epoch": epoch,
        "seq": 1, "created": world.now.rfc3339(), "value": text(&format!("{epoch}"))});
    if let Some(base) = base {
        body["base"] = json!(base);
    }
    let chat = format!("{ROOM}/children/chat");
    let hyperty = author.hyperty.clone();
    let answer = world.asks(author, "create", &hyperty, &chat, body);
    assert_eq!(code(&answer), 200, "{answer}");
}

/// A reader has lost the one commit of an author's epoch, and the author begins another: what it lost
/// is not missed for ever.
#[test]
fn trace_11_an_epoch_that_begins_says_what_came_before_it() {
    let (mut world, reporter, observers) = World::with_room(1);
    let author = world.client(9);
    world.subscribes_raw(&author, ROOM);
    world.settles();
    world.stalls(1);
    begins(&mut world, &author, 1, 1, None);
    assert!(world.mistreats_child(1, Mistreated::Lost));
    world.drains(1);
    assert_eq!(world.texts(&reporter), ["1"]);
    assert!(world.chat(&observers[0]).is_empty(), "it was lost");
    world.passes(1);
    begins(&mut world, &author, 2, 2, Some([1, 1]));
    world.settles();
    assert_eq!(world.texts(&observers[0]), ["1", "2"]);
    world.assert_same_children(&reporter, &observers);
    world.assert_all_answered();
}

/// An author has deleted its newest child and forgets its stream: the child's number is not used for
/// another.
#[test]
fn trace_12_the_number_of_a_deleted_child_is_not_used_again() {
    let (mut world, reporter, observers) = World::with_room(2);
    let (author, other) = (observers[0].clone(), observers[1].clone());
    let (first, _) = world.writes_child(&author, text("deleted"));
    world.deletes_child(&author, &first);
    world.settles();
    world.unsubscribes(&author);
    world.settles();
    let again = world.subscribes(1, "room");
    assert_eq!(again, author, "the same hyperty");
    world.settles();
    let (second, call) = world.writes_child(&again, text("new"));
    assert_eq!(second, ChildId::new(author.hyperty.clone(), 2));
    world.settles();
    assert_eq!(world.done(&again, call), Some(Ok(())));
    assert_eq!(world.texts(&other), ["new"]);
    world.assert_same_children(&reporter, &[again, other]);
}

/// The Reporter says that a child is safe, and then loses all it has: readers do not keep what it
/// lacks, one that was away neither, and its author goes on.
#[test]
fn trace_13_what_its_reporter_has_lost_is_nobodys() {
    let (mut world, _, observers) = World::with_room(2);
    let (lost, call) = world.writes_child(&observers[0], text("lost"));
    world.settles();
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    assert_eq!(world.texts(&observers[1]), ["lost"]);
    world.cut(2, InFlight::Lost);
    world.cut(0, InFlight::Lost);
    let device = world.runtime_of(1);
    let reporter = world.creates_as(device, "room", world::count(1), |create| {
        create.children = [("chat".to_owned(), 100)].into();
        create.discard = true;
        create.take = true;
    });
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "live");
    world.assert_same_children(&reporter, &observers[..1]);
    assert!(world.chat(&observers[0]).is_empty());
    let (next, call) = world.writes_child(&observers[0], text("kept"));
    assert!(next.number() > lost.number());
    world.settles();
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    world.heals(2);
    world.passes(60_000);
    assert_eq!(world.texts(&observers[1]), ["kept"]);
    world.assert_same_children(&reporter, &observers);
    world.assert_all_answered();
}

/// A child is with a reader, its author was never told that it is safe, and its Reporter loses all it has: what
/// the author says again, later and so dated anew, is not taken for what the reader has.
#[test]
fn what_is_said_again_to_a_reporter_that_lost_it_is_told_apart() {
    let (mut world, _, observers) = World::with_room(2);
    world.stalls(1);
    world.writes_child(&observers[0], text("said"));
    world.settles();
    assert_eq!(world.texts(&observers[1]), ["said"]);
    for one in [0, 1, 2] {
        world.cut(one, InFlight::Lost);
    }
    let device = world.runtime_of(1);
    let reporter = world.creates_as(device, "room", world::count(1), |create| {
        create.children = [("chat".to_owned(), 100)].into();
        create.discard = true;
        create.take = true;
    });
    world.passes(10_000);
    world.heals(1);
    world.passes(20_000);
    assert_eq!(world.texts(&reporter), ["said"]);
    world.heals(2);
    world.passes(60_000);
    world.assert_same_children(&reporter, &observers);
    world.assert_all_answered();
}
