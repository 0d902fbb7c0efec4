//! Objects that stay inside one runtime.

use byline_core::limits::{HISTORY_COMMITS_MAX, QUIET_MS};
use byline_core::runtime::{CallError, Seat};
use byline_core::stream::Origin;
use serde_json::{Value, json};

use crate::world::room::closed;
use crate::world::{InFlight, Who, World, count};

/// A runtime without a node, an object of its own, and one of its hyperties that observes it.
fn alone() -> (World, Who, Seat, Seat) {
    let mut world = World::new();
    let who = world.runtime();
    world.cut(who, InFlight::Lost);
    let reporter = local(&mut world, who, "kitchen");
    let observer = world.subscribes(who, "kitchen");
    world.settles();
    (world, who, reporter, observer)
}

fn local(world: &mut World, who: Who, id: &str) -> Seat {
    world.creates_as(who, id, count(0), |create| {
        create.local = true;
        create.children = [("chat".to_owned(), 10)].into();
    })
}

#[test]
fn it_is_written_and_followed_without_a_node() {
    let (mut world, who, reporter, observer) = alone();
    assert_eq!(world.state(&reporter), "live");
    for n in 1..=3 {
        world.writes(&reporter, "n", n);
    }
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.mirror(&observer).origins[1..], [Origin::Live; 3]);
    let second = world.subscribes_as(who, "second", "kitchen");
    world.settles();
    world.assert_follows(&second, &reporter);
    let call = world.reads(who, "kitchen");
    world.settles();
    let read = world.place(who).reads[&call][0].clone().unwrap();
    assert_eq!(read.data, world.reporter(&reporter).data());
    world.passes(2 * QUIET_MS);
    world.unsubscribes(&second);
    world.writes(&reporter, "n", 4);
    world.settles();
    world.assert_follows(&observer, &reporter);
    let sent = world.place(who).sent;
    assert_eq!(sent, 1, "what opens a session, and nothing of the object");
}

#[test]
fn a_node_that_comes_and_goes_hears_and_changes_nothing_of_it() {
    let (mut world, who, reporter, observer) = alone();
    world.heals(who);
    world.passes(60_000);
    let stranger = world.runtime();
    let outside = world.subscribes(stranger, "kitchen");
    world.settles();
    world.writes(&reporter, "n", 1);
    world.settles();
    world.blinks(who, InFlight::Lost);
    world.writes(&reporter, "n", 2);
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.states(&observer).len(), 1, "it was live all the time");
    world.passes(60_000);
    assert_eq!(world.state(&outside), "waiting");
    assert_eq!(
        (world.node.gauges().routes, world.node.counters().commits),
        (0, 0)
    );
    // What others say of it is not believed, and answered.
    let frames = [
        json!({"id": 1, "type": "read", "from": "hyperty://localhost/h", "to": reporter.object, "body": {}}),
        json!({"type": "delete", "from": reporter.object.resource("subscription"),
            "to": reporter.object.resource("changes")}),
        json!({"type": "update", "from": reporter.object, "to": reporter.object.resource("changes"),
            "body": {"epoch": u64::MAX >> 12, "version": 1, "attribute": "n", "value": "theirs"}}),
    ];
    for frame in frames {
        world.hands_to_runtime(who, &frame.to_string());
    }
    assert_eq!(world.place(who).refusals, [404]);
    world.assert_follows(&observer, &reporter);
}

#[test]
fn who_waited_for_it_at_the_node_has_it_when_it_is_made_here() {
    let mut world = World::new();
    let who = world.runtime();
    let observer = world.subscribes(who, "kitchen");
    world.settles();
    assert_eq!(world.state(&observer), "waiting");
    let reporter = local(&mut world, who, "kitchen");
    world.settles();
    world.assert_follows(&observer, &reporter);
}

#[test]
fn more_than_its_history_at_once_is_a_snapshot() {
    let (mut world, _, reporter, observer) = alone();
    for n in 0..=HISTORY_COMMITS_MAX as u64 {
        world.writes(&reporter, "n", n + 1);
    }
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.writes(&reporter, "n", 0);
    world.settles();
    world.assert_follows(&observer, &reporter);
}

#[test]
fn its_end_is_told_and_its_address_is_free_again() {
    let (mut world, who, reporter, observer) = alone();
    let now = world.now;
    let call = world.machine(who).delete(&reporter, now).unwrap();
    world.settles();
    assert_eq!(world.place(who).done[&call], Ok(()));
    assert_eq!(closed(&world, &observer).map(|(code, _)| code), Some(410));
    world.unsubscribes(&observer);
    let reporter = local(&mut world, who, "kitchen");
    let observer = world.subscribes(who, "kitchen");
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.machine(who).close(now);
    world.settles();
    assert_eq!(world.state(&reporter), "closed");
    assert_eq!(world.state(&observer), "closed");
}

#[test]
fn it_is_commanded_about_by_nobody_for_nobody_else_reads_it() {
    let (mut world, who, reporter, observer) = alone();
    let (now, url) = (world.now, reporter.object.clone());
    let machine = world.machine(who);
    let reader = observer.hyperty.as_str();
    let local = Err(CallError::Local(url));
    assert_eq!(machine.kick(&reporter, reader, "out", now), local);
    assert_eq!(machine.allow(&reporter, reader, now), local);
    assert_eq!(
        machine.access(
            &reporter,
            byline_core::message::body::Access::default(),
            now
        ),
        local
    );
    assert_eq!(machine.invite(&reporter, &observer.hyperty, now), local);
}

#[test]
fn its_readers_ask_its_application_though_there_is_no_node() {
    let (mut world, who, reporter, observer) = alone();
    let now = world.now;
    let call = world
        .machine(who)
        .execute(&observer, "heat", json!(1), now)
        .unwrap();
    world.settles();
    let (seat, asked) = world.place(who).executing[0].clone();
    assert_eq!((seat, &asked.params), (reporter.clone(), &json!(1)));
    let identity = world.machine(who).identity().clone();
    assert_eq!(asked.identity, Some(identity));
    // A cut is none of it.
    world.heals(who);
    world.passes(5_000);
    world.blinks(who, InFlight::Lost);
    world
        .machine(who)
        .answer_execute(asked.number, Ok(json!("warm")))
        .unwrap();
    world.settles();
    assert_eq!(world.place(who).answered[&call], Ok(json!("warm")));
    // Without a copy there is nobody to ask for it.
    let hyperty = world.hyperty(who, "stranger");
    let frame = Seat {
        hyperty,
        object: reporter.object,
    };
    let now = world.now;
    assert!(
        world
            .machine(who)
            .execute(&frame, "heat", Value::Null, now)
            .is_err()
    );
}

#[test]
fn its_children_are_everybodys_here_though_there_is_no_node() {
    let (mut world, who, reporter, observer) = alone();
    let now = world.now;
    let machine = world.machine(who);
    let (mine, by_reporter) = machine
        .create_child(&reporter, "chat", json!({"a": 1}), now)
        .unwrap();
    let (theirs, by_observer) = machine
        .create_child(&observer, "chat", json!({"b": 1}), now)
        .unwrap();
    machine
        .send_event(&observer, "chat", json!("psst"), now)
        .unwrap();
    world.settles();
    let own = world.machine(who).identity().clone();
    for call in [by_reporter, by_observer] {
        assert_eq!(world.place(who).done[&call], Ok(()));
    }
    for seat in [&reporter, &observer] {
        let chat = world.place(who).runtime.children(seat, "chat").unwrap();
        for id in [&mine, &theirs] {
            assert_eq!(
                chat.get(id).unwrap().identity.as_ref(),
                Some(&own),
                "{seat:?} {id}"
            );
        }
    }
    let heard: Vec<&Seat> = world
        .place(who)
        .events
        .iter()
        .map(|(seat, ..)| seat)
        .collect();
    assert_eq!(heard, [&observer, &reporter]);
    let now = world.now;
    let machine = world.machine(who);
    let call = machine
        .delete_child(&reporter, "chat", &theirs, now)
        .unwrap();
    let refused = machine.create_child(&observer, "none", json!({}), now);
    assert!(refused.is_err());
    world.settles();
    assert_eq!(world.place(who).done[&call], Ok(()));
    let chat = world
        .place(who)
        .runtime
        .children(&observer, "chat")
        .unwrap();
    assert!(chat.get(&theirs).is_none());
}
