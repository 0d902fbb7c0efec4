//! Invitations, from the one who invites to the one who comes.

use byline_core::address::Address;
use byline_core::error::Refusal;
use byline_core::limits::{QUESTION_BYTES_MAX, QUESTIONS_MAX, UNANSWERED_MS, UNDER_WAY_MAX};
use byline_core::message::body::Access;
use byline_core::runtime::{CallError, Invitation, Seat};
use serde_json::{Value, json};

use crate::world::kitchen::KITCHEN;
use crate::world::room::kicks;
use crate::world::{self, InFlight, Who, World, count};

/// A Reporter of a closed object with a name, and somebody else.
fn host_and_guest() -> (World, Who, Who, Seat) {
    let mut world = World::new();
    let (host, guest) = (world.runtime(), world.runtime());
    let reporter = world.creates_as(host, "kitchen", count(0), |create| {
        create.access = Access::default();
        create.name = Some("the kitchen".to_owned());
    });
    world.settles();
    (world, host, guest, reporter)
}

fn invites(world: &mut World, reporter: &Seat, to: &Address) -> u64 {
    let (who, now) = (world.who(reporter), world.now);
    let call = world.machine(who).invite(reporter, to, now).unwrap();
    world.settles();
    call
}

fn last(world: &World, guest: Who) -> (Address, Invitation) {
    world.place(guest).invited.last().unwrap().clone()
}

fn answers(world: &mut World, guest: Who, number: u64, answer: Result<(), Refusal>) -> bool {
    let open = world.machine(guest).answer_invitation(number, answer);
    world.settles();
    open
}

/// A hyperty that the node knows: it has asked for something.
fn known(world: &mut World, guest: Who, name: &str) -> Address {
    let hyperty = world.hyperty(guest, name);
    let (now, url) = (world.now, world::address("kitchen"));
    world.machine(guest).read(&hyperty, url, now).unwrap();
    world.settles();
    hyperty
}

fn person(world: &mut World, guest: Who) -> Address {
    world.machine(guest).identity().as_str().parse().unwrap()
}

#[test]
fn who_is_invited_is_let_in_comes_and_says_so() {
    let (mut world, host, guest, reporter) = host_and_guest();
    let hyperty = known(&mut world, guest, "observer");
    let call = invites(&mut world, &reporter, &hyperty);
    let (to, invitation) = last(&world, guest);
    assert_eq!(to, hyperty);
    let identity = world.machine(host).identity().clone();
    assert_eq!(invitation.identity, Some(identity));
    assert_eq!(
        (&invitation.object, &invitation.from),
        (&reporter.object, &reporter.hyperty)
    );
    assert_eq!(invitation.schema.as_deref(), Some("Context"));
    assert_eq!(invitation.name.as_deref(), Some("the kitchen"));
    assert_eq!(world.place(host).done.get(&call), None);
    let observer = world.subscribes(guest, "kitchen");
    answers(&mut world, guest, invitation.number, Ok(()));
    assert_eq!(world.place(host).done[&call], Ok(()));
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn a_person_is_invited_wherever_it_is() {
    let (mut world, _, guest, reporter) = host_and_guest();
    let to = person(&mut world, guest);
    invites(&mut world, &reporter, &to);
    let (at, invitation) = last(&world, guest);
    assert_eq!(
        at,
        *world.machine(guest).url(),
        "for the person, by any of its hyperties"
    );
    let observer = world.subscribes_as(guest, "any", "kitchen");
    assert!(answers(&mut world, guest, invitation.number, Ok(())));
    assert!(
        !answers(&mut world, guest, invitation.number, Ok(())),
        "answered once"
    );
    world.assert_follows(&observer, &reporter);
}

#[test]
fn who_does_not_come_says_why() {
    let (mut world, host, guest, reporter) = host_and_guest();
    let to = person(&mut world, guest);
    let call = invites(&mut world, &reporter, &to);
    let number = last(&world, guest).1.number;
    let now = world.now;
    assert!(world.machine(guest).hold(number, 3_600_000, now));
    // Seen, and thought about for longer than any request takes.
    world.passes(3_000_000);
    let no = Refusal::forbidden("I am not hungry");
    answers(&mut world, guest, number, Err(no.clone()));
    assert_eq!(world.place(host).done[&call], Err(no));
    world.assert_all_answered();
}

#[test]
fn who_stays_silent_or_is_not_there_has_not_come() {
    let (mut world, host, guest, reporter) = host_and_guest();
    let to = person(&mut world, guest);
    let call = invites(&mut world, &reporter, &to);
    world.passes(UNANSWERED_MS);
    assert_eq!(world.place(host).done[&call].clone().unwrap_err().code, 408);
    assert_eq!(world.place(guest).gone, [last(&world, guest).1.number]);
    let nobody = "user-guid://nobody".parse().unwrap();
    let call = invites(&mut world, &reporter, &nobody);
    assert_eq!(world.place(host).done[&call].clone().unwrap_err().code, 404);
    world.assert_all_answered();
}

#[test]
fn an_invitation_is_said_again_after_a_cut_and_is_the_same() {
    let (mut world, host, guest, reporter) = host_and_guest();
    let to = person(&mut world, guest);
    let call = invites(&mut world, &reporter, &to);
    world.blinks(host, InFlight::Lost);
    world.passes(5_000);
    assert_eq!(world.place(guest).invited.len(), 1);
    let number = last(&world, guest).1.number;
    answers(&mut world, guest, number, Ok(()));
    assert_eq!(world.place(host).done[&call], Ok(()));
    world.assert_all_answered();
}

#[test]
fn who_waits_to_be_let_in_is_by_an_invitation() {
    let (mut world, host, guest, _) = host_and_guest();
    let reporter = world.creates_as(host, "hall", count(0), |create| {
        (create.access, create.approve) = (Access::default(), true);
    });
    let observer = world.subscribes(guest, "hall");
    world.settles();
    assert_eq!(world.state(&observer), "waiting");
    invites(&mut world, &reporter, &observer.hyperty);
    world.assert_follows(&observer, &reporter);
}

#[test]
fn an_open_object_keeps_no_list_of_the_invited() {
    let (mut world, host, guest, _) = host_and_guest();
    let reporter = world.creates(host, "hall", count(0));
    world.settles();
    let to = person(&mut world, guest);
    invites(&mut world, &reporter, &to);
    let number = last(&world, guest).1.number;
    answers(&mut world, guest, number, Ok(()));
    let now = world.now;
    world
        .machine(host)
        .allow(&reporter, "user-guid://x", now)
        .unwrap();
    world.settles();
    let told = world.place(host).received.last().unwrap().clone();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told["body"]["access"],
        json!({"public": true, "anonymous": false})
    );
}

#[test]
fn who_was_put_out_is_not_invited() {
    let (mut world, host, guest, reporter) = host_and_guest();
    let to = person(&mut world, guest);
    kicks(&mut world, &reporter, to.as_str());
    let now = world.now;
    let refused = world.machine(host).invite(&reporter, &to, now);
    assert_eq!(refused, Err(CallError::Denied(to)));
}

#[test]
fn whom_the_node_does_not_let_in_is_not_invited() {
    let (mut world, host, guest, _) = host_and_guest();
    let full = (0..1024).map(|n| format!("user-guid://{n}")).collect();
    let reporter = world.creates_as(host, "hall", count(0), |create| {
        create.access = Access {
            authorise: full,
            ..Access::default()
        };
    });
    world.settles();
    let to = person(&mut world, guest);
    let call = invites(&mut world, &reporter, &to);
    assert_eq!(world.place(host).done[&call].clone().unwrap_err().code, 413);
    assert_eq!(world.place(guest).invited.len(), 0);
}

#[test]
fn many_are_invited_by_turns() {
    let (mut world, host, guest, reporter) = host_and_guest();
    let hyperties: Vec<Address> = (0..UNDER_WAY_MAX + 2)
        .map(|n| known(&mut world, guest, &format!("guest-{n}")))
        .collect();
    let calls: Vec<u64> = hyperties
        .iter()
        .map(|hyperty| invites(&mut world, &reporter, hyperty))
        .collect();
    assert_eq!(world.place(guest).invited.len(), UNDER_WAY_MAX);
    for index in 0..hyperties.len() {
        let number = world.place(guest).invited[index].1.number;
        answers(&mut world, guest, number, Ok(()));
    }
    assert!(
        calls
            .iter()
            .all(|call| world.place(host).done[call].is_ok())
    );
    world.assert_all_answered();
}

#[test]
fn an_invitation_that_is_none_or_over_a_limit_is_refused() {
    let (mut world, _, guest, _) = host_and_guest();
    let to = world.machine(guest).url().resource("sm");
    let says = |world: &mut World, id: usize, from: &str, name: &str| {
        let source = format!("hyperty://localhost/h{id}");
        let body = json!({"source": source, "schema": "Context", "value": {"name": name}});
        let frame = json!({"id": id, "type": "create", "from": from, "to": to, "body": body});
        world.hands_to_runtime(guest, &frame.to_string());
    };
    says(&mut world, 0, "hyperty://localhost/h", "no object");
    let from = format!("{KITCHEN}/subscription");
    says(&mut world, 0, &from, &"x".repeat(QUESTION_BYTES_MAX));
    for id in 0..=QUESTIONS_MAX {
        says(&mut world, id, &from, "come");
    }
    assert_eq!(world.place(guest).refusals, [404, 413, 429]);
    assert_eq!(world.place(guest).invited.len(), QUESTIONS_MAX);
}
