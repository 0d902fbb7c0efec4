//! Readers that do not keep up (protocol.md §7): what they lack is dropped, not queued, and they come
//! back by themselves; nobody hears anything for having been parked.

use byline_core::node::Input;
use byline_core::runtime::Seat;
use byline_core::stream::Origin;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, code, kitchen};
use crate::world::{Client, InFlight, Who, World, count};

/// A Reporter of two objects and a slow and a fast reader of both.
struct Two {
    world: World,
    slow: Who,
    objects: [Seat; 2],
    slow_copies: [Seat; 2],
    fast_copies: [Seat; 2],
}

const IDS: [&str; 2] = ["heavy", "light"];

fn two() -> Two {
    let mut world = World::new();
    let (reporter, slow, fast) = (world.runtime(), world.runtime(), world.runtime());
    let objects = IDS.map(|id| world.creates(reporter, id, count(0)));
    world.settles();
    let slow_copies = IDS.map(|id| world.subscribes(slow, id));
    let fast_copies = IDS.map(|id| world.subscribes(fast, id));
    world.settles();
    Two {
        world,
        slow,
        objects,
        slow_copies,
        fast_copies,
    }
}

impl Two {
    /// Writes as often as it takes `n` there, with everybody reading who can.
    fn write(&mut self, object: usize, from: u64, to: u64) {
        for n in from..=to {
            self.world.writes(&self.objects[object], "n", n);
            self.world.settles();
        }
    }

    fn assert_all_follow(&self) {
        for (object, reporter) in self.objects.iter().enumerate() {
            for copies in [&self.slow_copies, &self.fast_copies] {
                self.world.assert_follows(&copies[object], reporter);
            }
        }
    }

    /// How many commits and heads of an object the slow reader was sent.
    fn heard(&self, id: &str) -> usize {
        let from = format!("\"from\":\"ctxt://localhost/{id}\"");
        let received = &self.world.place(self.slow).received;
        let published = received.iter().filter(|frame| frame.contains(&from));
        published
            .filter(|frame| frame.contains("\"type\":\"update\""))
            .count()
    }
}

#[test]
fn a_parked_reader_hears_one_head_and_recovers() {
    let mut two = two();
    two.world.stalls(two.slow);
    two.write(0, 1, 5);
    two.world.overflows(two.slow, &["heavy"]);
    // What follows is not even queued.
    two.write(0, 6, 10);
    two.write(1, 1, 3);
    assert_eq!(two.world.node.gauges().parked, 1);
    assert_eq!(two.world.node.gauges().routes, 4);
    two.world
        .assert_follows(&two.fast_copies[0], &two.objects[0]);
    let before = two.heard("heavy");
    two.world.drains(two.slow);
    assert_eq!(two.heard("heavy"), before + 1);
    two.assert_all_follow();
    let origins = &two.world.mirror(&two.slow_copies[0]).origins;
    assert_eq!(origins.last(), Some(&Origin::CatchUp));
    // The other object never left.
    assert!(
        !two.world
            .mirror(&two.slow_copies[1])
            .origins
            .contains(&Origin::CatchUp)
    );
    let counters = two.world.node.counters();
    assert_eq!((counters.parkings, counters.wakes), (1, 1));
    assert_eq!(two.world.node.gauges().parked, 0);
    two.write(0, 11, 12);
    two.assert_all_follow();
    two.world.assert_all_answered();
}

#[test]
fn both_objects_of_one_reader_may_be_parked_more_than_once() {
    let mut two = two();
    for round in 0..3 {
        two.world.stalls(two.slow);
        two.write(0, 10 * round + 1, 10 * round + 4);
        two.write(1, 10 * round + 1, 10 * round + 2);
        two.world.overflows(two.slow, &IDS);
        two.write(0, 10 * round + 5, 10 * round + 6);
        two.world.drains(two.slow);
        two.assert_all_follow();
    }
    let counters = two.world.node.counters();
    assert_eq!((counters.parkings, counters.wakes), (6, 6));
}

#[test]
fn a_route_parked_behind_the_answer_that_started_it_recovers_too() {
    let mut world = World::new();
    let (reporter, slow) = (world.runtime(), world.runtime());
    let object = world.creates(reporter, "heavy", count(0));
    let other = world.creates(reporter, "light", count(0));
    world.settles();
    let light = world.subscribes(slow, "light");
    world.settles();
    world.stalls(slow);
    let copy = world.subscribes(slow, "heavy");
    world.settles();
    // The answer waits, and what follows it is dropped.
    world.writes(&object, "n", 1);
    world.settles();
    world.overflows(slow, &["heavy"]);
    world.writes(&object, "n", 2);
    world.settles();
    assert_eq!(world.data(&copy), Value::Null, "nothing is taken");
    world.drains(slow);
    world.assert_follows(&copy, &object);
    world.assert_follows(&light, &other);
    world.assert_all_answered();
}

#[test]
fn a_subscribe_on_a_parked_route_does_not_wake_it() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    world.parks(reader.connection, KITCHEN);
    subscribe_again(&mut world, &reporter, &reader, (epoch, 1));
    let before = world.counts(&reader, "update");
    world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(world.counts(&reader, "update"), before);
    world.node_says(Input::Drained(reader.connection));
    assert_eq!(world.counts(&reader, "update"), before + 1);
    let head = world.frames(&reader).pop().unwrap();
    assert_eq!(head["body"]["position"], json!([epoch, 2]));
    // One connection gets each commit once.
    world.commits(&reporter, KITCHEN, (epoch, 3), Value::Null);
    assert_eq!(world.counts(&reader, "update"), before + 2);
}

#[test]
fn a_parked_reader_hears_that_its_object_is_deleted_and_nothing_on_waking() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    world.parks(reader.connection, KITCHEN);
    let answer = world.deletes(&reporter, KITCHEN);
    assert_eq!(code(&answer), 200, "{answer}");
    assert_eq!(world.counts(&reader, "delete"), 1);
    let before = world.frames(&reader).len();
    world.node_says(Input::Drained(reader.connection));
    assert_eq!(world.frames(&reader).len(), before);
    assert_eq!(world.node.gauges().parked, 0);
}

#[test]
fn a_reader_parked_on_a_lost_socket_is_not_parked_on_the_next() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    world.parks(reader.connection, KITCHEN);
    world.drops(&reader);
    assert_eq!(world.node.gauges().parked, 0);
    let (again, opened) = world.reopens(&reader);
    let head = &opened["body"]["heads"][KITCHEN];
    assert_eq!(head["position"], json!([epoch, 1]), "{opened}");
    world.node_says(Input::Drained(reader.connection));
    world.node_says(Input::Drained(again.connection));
    assert_eq!(world.counts(&again, "update"), 0);
    world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(world.counts(&again, "update"), 1);
    assert_eq!(world.counts(&reader, "update"), 1);
}

#[test]
fn a_parked_readers_session_ends_without_a_trace() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    world.parks(reader.connection, KITCHEN);
    let close = json!({"type": "close", "from": reader.runtime, "to": "mn:/session"});
    world.says(&reader, &close.to_string());
    let gauges = world.node.gauges();
    assert_eq!((gauges.routes, gauges.parked), (0, 0));
    world.node_says(Input::Drained(reader.connection));
    assert_eq!(world.node.counters().wakes, 0);
}

#[test]
fn a_cut_while_parked_ends_in_a_copy_that_follows() {
    for in_flight in [InFlight::Lost, InFlight::Delivered] {
        let mut two = two();
        two.world.stalls(two.slow);
        two.write(0, 1, 5);
        two.world.overflows(two.slow, &["heavy"]);
        two.write(0, 6, 7);
        two.world.blinks(two.slow, in_flight);
        two.world.passes(1_000);
        two.assert_all_follow();
        assert_eq!(two.world.node.gauges().parked, 0);
    }
}

/// A driver may say it of an object that a connection does not read, or no longer.
#[test]
fn parking_what_is_not_read_changes_nothing() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    let stranger = world.client(3);
    world.parks(stranger.connection, KITCHEN);
    world.parks(reporter.connection, KITCHEN);
    assert_eq!(world.node.counters().parkings, 0);
    world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(world.counts(&reader, "update"), 2);
}

/// Subscribes once more and is answered.
fn subscribe_again(world: &mut World, reporter: &Client, reader: &Client, at: (u64, u64)) {
    assert_eq!(world.subscribes_raw(reader, KITCHEN), Value::Null);
    let asked = world.frames(reporter).pop().unwrap();
    answers(world, reporter, &asked, at);
}
