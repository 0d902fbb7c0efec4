//! An object that its Reporter hands over to somebody else, and objects with several owners.

use byline_core::State;
use byline_core::address::Address;
use byline_core::error::{Reason, Refusal};
use byline_core::limits::{HANDOVER_MS, HELD_MS, OWNERS_MAX, WITHHELD_BYTES_MAX};
use byline_core::message::body::Access;
use byline_core::runtime::{CallError, Invitation, Seat};
use serde_json::{Value, json};

use crate::world::children::text;
use crate::world::kitchen::{KITCHEN, answers, answers_readers, code, kitchen};
use crate::world::room::closed;
use crate::world::{Client, InFlight, Who, World, count, of, sm};

/// A closed object of the first, and who is to have it.
fn host_and_heir() -> (World, Who, Who, Seat) {
    host_and_heir_in(World::new())
}

fn host_and_heir_in(mut world: World) -> (World, Who, Who, Seat) {
    let (host, heir) = (world.runtime(), world.runtime());
    let private = |create: &mut byline_core::runtime::Create| create.access = Access::default();
    let reporter = world.creates_as(host, "room", count(0), private);
    world.settles();
    (world, host, heir, reporter)
}

fn identity(world: &mut World, who: Who) -> Address {
    world.machine(who).identity().as_str().parse().unwrap()
}

/// Says that the object is to be handed over, and gives what the other is told.
fn hands_over(world: &mut World, reporter: &Seat, heir: Who, keep: bool) -> (u64, Invitation) {
    let to = identity(world, heir);
    let (host, now) = (world.who(reporter), world.now);
    let call = world.machine(host).delegate(reporter, &to, keep, now);
    world.settles();
    let (_, invitation) = world.place(heir).invited.last().unwrap().clone();
    (call.unwrap(), invitation)
}

fn takes_over(world: &mut World, heir: Who, invitation: &Invitation) -> Seat {
    let seat = world.creates_as(heir, "room", count(50), |create| {
        create.access = Access::default();
    });
    world
        .machine(heir)
        .answer_invitation(invitation.number, Ok(()));
    world.passes(10_000);
    assert_eq!(world.state(&seat), "live", "{:?}", world.states(&seat));
    seat
}

fn reason(world: &World, seat: &Seat) -> Option<Reason> {
    match world.states(seat).last() {
        Some(State::Closed(refusal)) => refusal.reason,
        state => panic!("{state:?}"),
    }
}

#[test]
fn who_accepts_has_the_object_as_it_is_and_who_had_it_observes() {
    let (mut world, host, heir, reporter) = host_and_heir();
    world.writes(&reporter, "n", 1);
    world.settles();
    let (call, invitation) = hands_over(&mut world, &reporter, heir, false);
    assert!(invitation.delegate);
    assert_eq!(world.state(&reporter), "live", "until the other has it");
    world.writes(&reporter, "n", 2);
    world.settles();
    let second = takes_over(&mut world, heir, &invitation);
    assert_eq!(world.place(host).done[&call], Ok(()));
    assert_eq!(reason(&world, &reporter), Some(Reason::Superseded));
    assert_eq!(world.reporter(&second).data()["n"], 2);
    let observer = world.subscribes(host, "room");
    world.writes(&second, "n", 3);
    world.settles();
    world.assert_follows(&observer, &second);
    let owner = world.machine(heir).identity().clone();
    assert_eq!(world.observer(&observer).identity(), Some(&owner));
    // It is not theirs any more.
    let again = world.creates_as(host, "room", count(9), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(closed(&world, &again).unwrap().0, 403);
    world.assert_all_answered();
}

#[test]
fn who_hands_an_object_over_and_stays_an_owner_may_take_it_back() {
    let (mut world, host, heir, reporter) = host_and_heir();
    let (_, invitation) = hands_over(&mut world, &reporter, heir, true);
    let second = takes_over(&mut world, heir, &invitation);
    let again = world.creates_as(host, "room", count(9), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(world.state(&again), "live");
    assert_eq!(reason(&world, &second), Some(Reason::Superseded));
    // And the other, who owns it too.
    let third = world.creates_as(heir, "room", count(9), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(world.state(&third), "live");
}

#[test]
fn who_says_no_owns_nothing_and_everything_is_as_before() {
    let (mut world, host, heir, reporter) = host_and_heir();
    let (call, invitation) = hands_over(&mut world, &reporter, heir, false);
    let no = Refusal::forbidden("not mine to keep");
    world
        .machine(heir)
        .answer_invitation(invitation.number, Err(no.clone()));
    world.settles();
    assert_eq!(world.place(host).done[&call], Err(no));
    let seat = world.creates_as(heir, "room", count(50), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(closed(&world, &seat).unwrap().0, 403);
    assert_eq!(world.state(&reporter), "live");
    world.assert_all_answered();
}

#[test]
fn who_reads_as_an_owner_reads_no_more_when_it_is_none() {
    let mut world = World::new();
    let (host, heir) = (world.runtime(), world.runtime());
    let reporter = world.creates_as(host, "room", count(0), |create| {
        create.access = Access::default();
        create.children = [("chat".to_owned(), 100)].into();
    });
    world.settles();
    let (_, invitation) = hands_over(&mut world, &reporter, heir, false);
    let observer = world.subscribes(heir, "room");
    world.settles();
    world.assert_follows(&observer, &reporter);
    let (_, call) = world.writes_child(&observer, text("I look at it first"));
    world.settles();
    assert_eq!(world.done(&observer, call), Some(Ok(())));
    let no = Refusal::forbidden("not mine to keep");
    world
        .machine(heir)
        .answer_invitation(invitation.number, Err(no));
    world.passes(10_000);
    assert_eq!(closed(&world, &observer).unwrap().0, 403);
    world.assert_all_answered();
}

#[test]
fn an_object_is_handed_over_to_nobody_who_is_not_known() {
    let (mut world, host, _, reporter) = host_and_heir();
    let (now, nobody) = (world.now, Address::parse("hyperty://localhost/x").unwrap());
    let refused = world.machine(host).delegate(&reporter, &nobody, false, now);
    assert_eq!(refused, Err(CallError::Unknown(nobody)));
}

/// A hand-over whose heir is not there when the node has started anew, and for how long it stays away.
fn interrupted(away_ms: u64) -> (World, Who, Who, u64) {
    let mut world = World::with_disk();
    world.passes(1_000);
    let (mut world, host, heir, reporter) = host_and_heir_in(world);
    let (call, _) = hands_over(&mut world, &reporter, heir, false);
    world.cut(heir, InFlight::Lost);
    world.node_restarts();
    world.passes(away_ms);
    assert_eq!(world.state(&reporter), "live");
    (world, host, heir, call)
}

#[test]
fn who_is_not_there_yet_when_the_node_has_started_anew_has_not_said_no() {
    let (mut world, host, heir, call) = interrupted(60_000);
    assert_eq!(world.place(host).done.get(&call), None);
    world.heals(heir);
    let comes_again = |_| {
        world.passes(1_000);
        world.place(heir).invited.len() == 2
    };
    assert!((0..60).any(comes_again));
    let (_, again) = world.place(heir).invited.last().unwrap().clone();
    takes_over(&mut world, heir, &again);
    assert_eq!(world.place(host).done[&call], Ok(()));
    world.assert_all_answered();
}

#[test]
fn who_does_not_come_back_for_a_day_has_said_no() {
    let (mut world, host, heir, call) = interrupted(HELD_MS + 60_000);
    let absent = world.place(host).done[&call].as_ref().unwrap_err();
    assert_eq!(absent.code, 404);
    world.heals(heir);
    let seat = world.creates_as(heir, "room", count(50), |create| create.take = true);
    world.passes(60_000);
    assert_eq!(closed(&world, &seat).unwrap().0, 403);
}

#[test]
fn a_reporter_that_never_stops_writing_hands_its_object_over_all_the_same() {
    let (mut world, host, heir, reporter) = host_and_heir();
    let guest = world.runtime();
    let person = identity(&mut world, guest);
    let now = world.now;
    world.machine(host).invite(&reporter, &person, now).unwrap();
    world.settles();
    let observer = world.subscribes(guest, "room");
    world.settles();
    let (_, invitation) = hands_over(&mut world, &reporter, heir, false);
    let second = world.creates_as(heir, "room", count(50), |_| {});
    world
        .machine(heir)
        .answer_invitation(invitation.number, Ok(()));
    let mut n = 0;
    for round in 0..10_000 {
        if world.state(&second) == "live" {
            break;
        }
        assert!(round < 9_999, "{:?}", world.states(&second));
        if world.tries_to_write(&reporter, "n", n).is_ok() {
            n += 1;
        }
        world.moves_once();
        if round % 20 == 0 {
            world.now = world.now.plus_ms(100);
            world.ticks();
        }
    }
    world.passes(30_000);
    assert_eq!(reason(&world, &reporter), Some(Reason::Superseded));
    world.assert_follows(&observer, &second);
    assert!(!world.place(host).rejected.is_empty(), "the last moment");
    assert_eq!(world.observer(&observer).counters().rewinds, 0);
    world.assert_all_answered();
}

// What the node does, said by hand.

fn delegates(world: &mut World, reporter: &Client, heir: &Client) -> Value {
    let params = json!([KITCHEN, heir.hyperty, heir.identity()]);
    let body = json!({"method": "delegate", "params": params});
    world.asks(reporter, "execute", &reporter.hyperty, &sm(), body)
}

/// An heir who has been behind three times.
fn behind() -> (World, Client, Client, Client, u64) {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    let heir = world.client(3);
    world.subscribes_raw(&heir, KITCHEN);
    let asked = world.frames(&reporter).pop().unwrap();
    answers(&mut world, &reporter, &asked, (epoch, 1));
    is_behind(&mut world, &reporter, &heir, epoch);
    (world, reporter, reader, heir, epoch)
}

/// The kitchen is handed over to an heir, who is behind three times.
fn is_behind(world: &mut World, reporter: &Client, heir: &Client, epoch: u64) {
    assert_eq!(code(&delegates(world, reporter, heir)), 200);
    for _ in 0..3 {
        let refused = world.claims(heir, KITCHEN, json!({"base": [epoch, 0]}));
        assert_eq!(
            (code(&refused), of(&refused, "reason").as_str()),
            (409, "diverged")
        );
    }
}

#[test]
fn commits_are_withheld_when_the_other_was_behind_three_times_and_never_seen_when_it_claims() {
    let (mut world, reporter, reader, heir, epoch) = behind();
    let seen = world.counts(&reader, "update");
    for version in 2..=4 {
        let refused = world.commits(&reporter, KITCHEN, (epoch, version), Value::Null);
        assert_eq!(refused, Value::Null);
    }
    assert_eq!(world.counts(&reader, "update"), seen);
    let claimed = world.claims(&heir, KITCHEN, json!({"base": [epoch, 1]}));
    assert_eq!(code(&claimed), 200, "{claimed}");
    let frames = world.frames(&reader);
    let updates = frames.iter().filter(|one| one["type"] == "update");
    let commits = updates.filter(|one| one["body"]["version"].as_u64() > Some(1));
    assert_eq!(commits.count(), 0);
    let told = world.frames(&reporter).pop().unwrap();
    assert_eq!(told["body"]["method"], "superseded", "{told}");
}

#[test]
fn what_was_withheld_goes_out_in_its_order_when_the_other_does_not_claim() {
    let (mut world, reporter, reader, heir, epoch) = behind();
    let late = world.client(4);
    for version in 2..=3 {
        world.commits(&reporter, KITCHEN, (epoch, version), Value::Null);
    }
    let before = world.counts(&reporter, "subscribe");
    assert_eq!(world.subscribes_raw(&late, KITCHEN), Value::Null);
    assert_eq!(world.counts(&reporter, "subscribe"), before, "it waits");
    // Whom it is handed to is answered.
    let read = world.asks(&heir, "read", &heir.hyperty, KITCHEN, json!({}));
    assert_eq!(read, Value::Null);
    assert_eq!(world.counts(&reporter, "read"), 1);
    world.passes(HANDOVER_MS);
    let versions: Vec<_> = world
        .frames(&reader)
        .iter()
        .filter_map(|one| one["body"]["version"].as_u64())
        .collect();
    assert!(versions.ends_with(&[2, 3]), "{versions:?}");
    assert_eq!(world.counts(&reporter, "subscribe"), before + 1);
    answers_readers(&mut world, &reporter, (epoch, 3));
    world.commits(&reporter, KITCHEN, (epoch, 4), Value::Null);
    assert_eq!(world.counts(&late, "update"), 1);
    world.assert_all_answered();
}

#[test]
fn a_second_hand_over_withholds_for_as_long_as_the_first_would_have() {
    let (mut world, reporter, reader, heir, epoch) = behind();
    world.passes(HANDOVER_MS - 1_000);
    is_behind(&mut world, &reporter, &heir, epoch);
    let seen = world.counts(&reader, "update");
    world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
    world.passes(2_000);
    assert_eq!(world.counts(&reader, "update"), seen, "the first is over");
    world.passes(HANDOVER_MS);
    assert_eq!(world.counts(&reader, "update"), seen + 1);
}

#[test]
fn more_than_is_withheld_goes_out_at_once() {
    let (mut world, reporter, reader, _, epoch) = behind();
    let seen = world.counts(&reader, "update");
    let large = "x".repeat(WITHHELD_BYTES_MAX / 2);
    for version in 2..=4 {
        let body = json!({"epoch": epoch, "version": version, "source": reporter.hyperty,
            "lastModified": "2026-11-21T10:00:00Z", "attribute": "n", "value": large});
        let changes = format!("{KITCHEN}/changes");
        world.asks(&reporter, "update", KITCHEN, &changes, body);
    }
    assert_eq!(world.counts(&reader, "update"), seen + 3);
}

#[test]
fn only_who_holds_an_object_hands_it_over_and_to_so_many_at_most() {
    let (mut world, reporter, _, epoch) = kitchen();
    let (other, stranger) = (world.client(1), world.client(4));
    for one in [&other, &stranger] {
        assert_eq!(code(&delegates(&mut world, one, &stranger)), 403);
    }
    let to = |to: Value| json!({"method": "delegate", "params": [KITCHEN, to]});
    let half = to(json!("hyperty://localhost/x"));
    let refused = world.asks(&reporter, "execute", &reporter.hyperty, &sm(), half);
    assert_eq!(code(&refused), 400, "{refused}");
    for owner in 1..=OWNERS_MAX {
        let identity = format!("user-guid://{owner}");
        let params = json!([KITCHEN, identity, identity]);
        let body = json!({"method": "delegate", "params": params});
        // One is to have it at a time: the one before is none any more.
        let answer = world.asks(&reporter, "execute", &reporter.hyperty, &sm(), body);
        assert_eq!(code(&answer), 200, "{answer}");
    }
    // Each who has it stays an owner.
    let mut holder = reporter;
    for owner in 1..=OWNERS_MAX {
        let next = world.client(100 + u8::try_from(owner).unwrap());
        let params = json!([KITCHEN, next.hyperty, next.identity(), true]);
        let body = json!({"method": "delegate", "params": params});
        let answer = world.asks(&holder, "execute", &holder.hyperty, &sm(), body);
        let expected = if owner < OWNERS_MAX { 200 } else { 429 };
        assert_eq!(code(&answer), expected, "{owner}: {answer}");
        if owner < OWNERS_MAX {
            let claimed = world.claims(&next, KITCHEN, json!({"base": [epoch, 0]}));
            assert_eq!(code(&claimed), 200, "{claimed}");
            holder = next;
        }
    }
}

#[test]
fn who_is_to_have_an_object_that_another_owner_takes_meanwhile_owns_nothing() {
    let (mut world, first, _, epoch) = kitchen();
    let (second, heir) = (world.client(3), world.client(4));
    let params = json!([KITCHEN, second.hyperty, second.identity(), true]);
    let body = json!({"method": "delegate", "params": params});
    let answer = world.asks(&first, "execute", &first.hyperty, &sm(), body);
    assert_eq!(code(&answer), 200, "{answer}");
    let claimed = world.claims(&second, KITCHEN, json!({"base": [epoch, 0]}));
    assert_eq!(code(&claimed), 200, "{claimed}");
    assert_eq!(code(&delegates(&mut world, &second, &heir)), 200);
    let taken = world.claims(&first, KITCHEN, json!({"base": [epoch, 0], "take": true}));
    assert_eq!(code(&taken), 200, "{taken}");
    let refused = world.claims(&heir, KITCHEN, json!({"base": [epoch, 0], "take": true}));
    assert_eq!(code(&refused), 403, "{refused}");
}

#[test]
fn each_of_several_owners_reads_commands_and_is_not_put_out() {
    let (mut world, host, heir, reporter) = host_and_heir();
    let (_, invitation) = hands_over(&mut world, &reporter, heir, true);
    let second = takes_over(&mut world, heir, &invitation);
    let observer = world.subscribes(host, "room");
    world.settles();
    world.assert_follows(&observer, &second);
    let own = identity(&mut world, host);
    let now = world.now;
    let kick = world
        .machine(heir)
        .kick(&second, own.as_str(), "out", now)
        .unwrap();
    world.settles();
    assert_eq!(world.place(heir).done[&kick].clone().unwrap_err().code, 409);
    let command = byline_core::message::body::Command::Allow(
        second.object.clone(),
        "user-guid://x".to_owned(),
    );
    let call = world.machine(host).command_as_owner(command, now).unwrap();
    world.settles();
    assert!(world.place(host).answered[&call].is_ok());
}
