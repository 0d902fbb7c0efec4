//! Readers whom `access` leaves open: the application of the Reporter is asked.

use byline_core::error::Refusal;
use byline_core::limits::{HELD_MS, QUESTIONS_MAX};
use byline_core::message::body::Access;
use byline_core::runtime::{Asking, Seat};
use serde_json::{Value, json};

use crate::world::children::text;
use crate::world::kitchen::{KITCHEN, code};
use crate::world::room::{closed, kicks};
use crate::world::{Client, InFlight, Who, World, count, of};

/// A Reporter that is asked about everybody, a reader who asks, and what the Reporter is asked.
fn asking() -> (World, Who, Who, Seat, Seat, Asking) {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime());
    let reporter = reports(&mut world, owner);
    let observer = world.subscribes(guest, "kitchen");
    world.settles();
    let asking = asked(&world, owner);
    (world, owner, guest, reporter, observer, asking)
}

fn reports(world: &mut World, owner: Who) -> Seat {
    let reporter = world.creates_as(owner, "kitchen", count(0), |create| {
        (create.access, create.approve) = (Access::default(), true);
    });
    world.settles();
    reporter
}

fn asked(world: &World, owner: Who) -> Asking {
    world.place(owner).asked.last().unwrap().1.clone()
}

fn decides(world: &mut World, owner: Who, asking: &Asking, answer: Result<(), Refusal>) -> bool {
    let open = world.machine(owner).decide(asking.number, answer);
    world.settles();
    open
}

#[test]
fn the_application_is_asked_and_the_reader_waits_and_is_let_in() {
    let (mut world, owner, guest, reporter, observer, asking) = asking();
    assert_eq!(world.state(&observer), "waiting");
    assert_eq!(asking.hyperty, observer.hyperty);
    let identity = world.machine(guest).identity().clone();
    assert_eq!(
        (asking.identity.as_ref(), asking.read),
        (Some(&identity), false)
    );
    world.writes(&reporter, "n", 1);
    // Longer than any request takes: it is held.
    world.passes(120_000);
    assert_eq!(world.place(owner).asked.len(), 1);
    assert!(decides(&mut world, owner, &asking, Ok(())));
    world.assert_follows(&observer, &reporter);
    assert!(
        !decides(&mut world, owner, &asking, Ok(())),
        "answered once"
    );
    world.assert_all_answered();
}

#[test]
fn a_reader_is_told_why_it_is_not_let_in() {
    let (mut world, owner, _, _, observer, asking) = asking();
    decides(
        &mut world,
        owner,
        &asking,
        Err(Refusal::forbidden("not before noon")),
    );
    assert_eq!(
        closed(&world, &observer),
        Some((403, "not before noon".to_owned()))
    );
    world.assert_all_answered();
}

#[test]
fn who_was_let_in_comes_back_without_being_asked_about() {
    let (mut world, owner, guest, reporter, observer, asking) = asking();
    decides(&mut world, owner, &asking, Ok(()));
    world.unsubscribes(&observer);
    world.settles();
    let again = world.subscribes(guest, "kitchen");
    world.settles();
    world.assert_follows(&again, &reporter);
    // Another hyperty of the same person asks for itself.
    let other = world.subscribes_as(guest, "other", "kitchen");
    world.settles();
    assert_eq!(world.state(&other), "waiting");
    assert_eq!(world.place(owner).asked.len(), 2);
}

#[test]
fn who_was_put_out_is_asked_about_again_once_it_is_allowed() {
    let (mut world, owner, guest, reporter, observer, asking) = asking();
    decides(&mut world, owner, &asking, Ok(()));
    kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    assert_eq!(closed(&world, &observer).map(|(code, _)| code), Some(403));
    let identity = world.machine(guest).identity().to_string();
    let now = world.now;
    world
        .machine(owner)
        .allow(&reporter, &identity, now)
        .unwrap();
    world.settles();
    world.unsubscribes(&observer);
    let again = world.subscribes(guest, "kitchen");
    world.settles();
    assert_eq!(world.state(&again), "waiting");
    assert_eq!(world.place(owner).asked.len(), 2);
}

#[test]
fn a_read_that_is_let_in_is_no_grant() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime());
    let reporter = reports(&mut world, owner);
    let call = world.reads(guest, "kitchen");
    world.settles();
    let asking = asked(&world, owner);
    assert!(asking.read);
    world.passes(60_000);
    decides(&mut world, owner, &asking, Ok(()));
    let read = world.place(guest).reads[&call][0].clone().unwrap();
    assert_eq!(read.data, world.reporter(&reporter).data());
    let observer = world.subscribes(guest, "kitchen");
    world.settles();
    assert_eq!(world.state(&observer), "waiting");
}

#[test]
fn who_is_cut_and_asks_again_asks_the_same_question() {
    let (mut world, owner, guest, reporter, observer, asking) = asking();
    world.blinks(guest, InFlight::Delivered);
    world.passes(5_000);
    assert_eq!(world.state(&observer), "waiting");
    assert_eq!(world.place(owner).asked.len(), 1, "it is still the same");
    decides(&mut world, owner, &asking, Ok(()));
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn a_cut_of_the_reporter_ends_its_questions_and_they_are_asked_anew() {
    let (mut world, owner, _, reporter, observer, asking) = asking();
    world.blinks(owner, InFlight::Lost);
    world.passes(5_000);
    assert_eq!(world.place(owner).gone, [asking.number]);
    let anew = asked(&world, owner);
    assert_ne!(anew.number, asking.number);
    assert!(
        !decides(&mut world, owner, &asking, Ok(())),
        "nobody waits for that"
    );
    decides(&mut world, owner, &anew, Ok(()));
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn who_may_read_is_let_in_or_refused_when_that_is_said_meanwhile() {
    for (access, expected) in [
        (json!({"public": true}), "live"),
        (json!({"deny": ["everybody"]}), "closed"),
    ] {
        let (mut world, owner, guest, reporter, observer, asking) = asking();
        let identity = world.machine(guest).identity().to_string();
        let access = access.to_string().replace("everybody", &identity);
        let access = serde_json::from_str(&access).unwrap();
        let now = world.now;
        world.machine(owner).access(&reporter, access, now).unwrap();
        world.settles();
        assert_eq!(world.state(&observer), expected);
        assert_eq!(world.place(owner).gone, [asking.number]);
        world.assert_all_answered();
    }
}

#[test]
fn a_question_is_open_as_long_as_the_application_says_and_a_day_otherwise() {
    let (mut world, owner, guest, _, _, asking) = asking();
    let now = world.now;
    assert!(world.machine(owner).hold(asking.number, 90_000, now));
    world.passes(89_000);
    assert_eq!(world.place(owner).gone, [0; 0]);
    world.passes(1_000);
    assert_eq!(world.place(owner).gone, [asking.number]);
    // The reader is told 408, and asks again by and by.
    world.passes(60_000);
    let anew = asked(&world, owner);
    assert_ne!(anew.number, asking.number);
    world.cut(guest, InFlight::Lost);
    world.passes(HELD_MS);
    assert_eq!(world.place(owner).gone, [asking.number, anew.number]);
}

#[test]
fn what_the_node_says_was_granted_is_not_asked_about() {
    let (mut world, owner, _, reporter, ..) = asking();
    let ask = |hyperty: &str, granted: bool| {
        json!({"id": 77, "type": "subscribe", "from": format!("hyperty://localhost/{hyperty}"),
            "to": format!("{KITCHEN}/subscription"),
            "body": {"identity": "user-guid://somebody", "granted": granted}})
    };
    for (hyperty, granted) in [("known", true), ("known", false), ("new", false)] {
        world.hands_to_runtime(owner, &ask(hyperty, granted).to_string());
    }
    let asked = &world.place(owner).asked;
    assert_eq!(asked.len(), 2, "about the guest, and about the new one");
    assert_eq!(asked[1].1.hyperty.as_str(), "hyperty://localhost/new");
    assert_eq!(asked[1].0, reporter);
}

#[test]
fn who_writes_a_child_while_it_may_read_no_longer_is_not_approved_by_that() {
    let (mut world, reporter, observers) = World::with_room(1);
    let (owner, guest) = (world.who(&reporter), &observers[0]);
    let (_, call) = world.writes_child(guest, text("hello"));
    world.moves_once();
    let now = world.now;
    let access = world
        .machine(owner)
        .access(&reporter, Access::default(), now);
    access.unwrap();
    world.settles();
    assert_eq!(world.done(guest, call), Some(Err(403)));
    assert_eq!(closed(&world, guest).map(|(code, _)| code), Some(403));
    assert!(world.chat(&reporter).is_empty());
}

#[test]
fn as_many_wait_as_may_and_the_next_is_refused() {
    let mut world = World::new();
    let owner = world.runtime();
    reports(&mut world, owner);
    let mut last = Value::Null;
    let clients: Vec<Client> = (0..=QUESTIONS_MAX / 32).map(|_| world.client(9)).collect();
    for client in clients {
        for n in 0..32 {
            let hyperty = format!("{}/{n}", client.hyperty);
            let to = format!("{KITCHEN}/subscription");
            let body = json!({"source": hyperty});
            last = world.asks(&client, "subscribe", &hyperty, &to, body);
        }
    }
    assert_eq!(code(&last), 429, "{last}");
    assert!(of(&last, "desc").contains("256"));
    assert_eq!(world.place(owner).asked.len(), QUESTIONS_MAX);
}
