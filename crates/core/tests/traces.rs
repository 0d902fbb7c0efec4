//! Fourteen traces that broke an earlier text of the protocol, found by exploring a small model of it:
//! one node, one object, two devices of one owner, a reader or two, cuts, crashes and restarts. Each
//! is a test under its number. Traces 11 to 13 are about children: `child_traces.rs`.

use byline_core::State;
use byline_core::error::{Reason, Refusal};
use byline_core::limits::{GRACE_MS, REQUEST_MS, SILENCE_MS};
use byline_core::node::Input;
use byline_core::runtime::{self, Create, Seat};
use byline_core::stream::Position;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, answers_readers, code, dropped, kitchen};
use crate::world::room::{closed, kicks, room};
use crate::world::{Client, InFlight, Who, World, count, of, sm};

fn refusal(world: &World, seat: &Seat) -> Refusal {
    match world.states(seat).last() {
        Some(State::Closed(refusal)) => refusal.clone(),
        state => panic!("{state:?}"),
    }
}

/// Starts afresh, whoever holds the object.
fn taking(create: &mut Create) {
    create.discard = true;
    create.take = true;
}

/// A device that has written (epoch, 2) crashes, has lost it, and opens within its grace time: its
/// claim from (epoch, 1) is not the one it held, or it would write another (epoch, 2).
#[test]
fn trace_01_a_device_that_lost_its_last_commit_does_not_write_that_version_again() {
    let (mut world, device, reader, epoch) = kitchen();
    for version in 1..=2 {
        world.commits(&device, KITCHEN, (epoch, version), Value::Null);
    }
    let again = device.at(world.connects());
    assert_eq!(code(&world.opens(&again, "open", &again.runtime)), 200);
    let heard = world.counts(&reader, "update");
    let refused = world.claims(&again, KITCHEN, json!({"base": [epoch, 1]}));
    assert_eq!(code(&refused), 409);
    assert!(of(&refused, "desc").starts_with("diverged"), "{refused}");
    let commit = world.commits(&again, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(code(&commit), 403, "{commit}");
    assert_eq!(world.counts(&reader, "update"), heard);
    world.assert_all_answered();
}

/// A kick is on its way when its reader, whose session is over, asks anew: no 200 of the Reporter lets
/// it in.
#[test]
fn trace_02_a_kick_on_its_way_is_before_every_answer_that_would_let_its_reader_in() {
    let (mut world, owner, guest, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    let call = kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.cut(guest, InFlight::Lost);
    world.passes(GRACE_MS + 1_000);
    world.heals(guest);
    world.passes(1_000);
    world.heals(owner);
    world.passes(60_000);
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &observer).unwrap().0, 403);
    assert_eq!(world.node.gauges().routes, 0);
    world.assert_all_answered();
}

#[test]
fn trace_03_who_was_put_out_stays_out_when_the_node_forgets_or_another_device_claims() {
    let (mut world, owner, guest, reporter, observer) = room();
    kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    world.node_restarts();
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "live");
    let again = world.subscribes_as(guest, "another", "room");
    world.passes(1_000);
    assert_eq!(closed(&world, &again).unwrap().0, 403, "the node forgot");
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(9), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(world.state(&second), "live");
    assert_eq!(world.place(owner).refused.len(), 0);
    let third = world.subscribes_as(guest, "third", "room");
    world.passes(1_000);
    let heard = closed(&world, &third).unwrap().0;
    assert_eq!(heard, 403, "another device claims");
}

/// A subscribe is forwarded into a half-open socket: it is answered when its Reporter re-opens.
#[test]
fn trace_04_what_was_asked_into_a_half_open_socket_is_answered_when_another_is_opened() {
    let (mut world, reporter, _, epoch) = kitchen();
    let asker = world.client(3);
    assert_eq!(world.subscribes_raw(&asker, KITCHEN), Value::Null);
    let asked = world.frames(&reporter).pop().unwrap();
    let (back, _) = world.reopens(&reporter);
    let answer = world.frames(&asker).pop().unwrap();
    assert_eq!((code(&answer), of(&answer, "retry").as_str()), (503, "now"));
    answers(&mut world, &back, &asked, (epoch, 0));
    assert_eq!(world.node.gauges().routes, 1, "it asks again");
    world.assert_all_answered();
}

#[test]
fn trace_04_a_half_open_reporter_comes_back_and_its_readers_follow() {
    let (mut world, owner, guest, reporter, observer) = room();
    world.goes_half_open(owner);
    world.writes(&reporter, "n", 1);
    let other = world.subscribes_as(guest, "other", "room");
    world.passes(SILENCE_MS + 2 * REQUEST_MS + 60_000);
    world.assert_follows(&observer, &reporter);
    world.assert_follows(&other, &reporter);
    world.assert_all_answered();
}

/// The device that was asked has lost the object when it answers: its asker is told to ask again.
#[test]
fn trace_05_a_taken_objects_askers_are_answered_and_its_first_holder_starts_no_route() {
    let (mut world, first, _, epoch) = kitchen();
    let asker = world.client(3);
    world.subscribes_raw(&asker, KITCHEN);
    let asked = world.frames(&first).pop().unwrap();
    let second = world.client(1);
    let with = json!({"base": [epoch, 0], "take": true});
    assert_eq!(code(&world.claims(&second, KITCHEN, with)), 200);
    let answer = world.frames(&asker).pop().unwrap();
    assert_eq!((code(&answer), of(&answer, "retry").as_str()), (503, "now"));
    let before = dropped(&world);
    answers(&mut world, &first, &asked, (epoch, 0));
    assert_eq!(dropped(&world), before + 1);
    assert_eq!(world.node.gauges().routes, 1);
    world.assert_all_answered();
}

/// Moves frame by frame until the claim of `who` is on its way.
fn until_it_claims(world: &mut World, who: Who) {
    let on_its_way = |world: &World| {
        let link = world.place(who).link.as_ref();
        link.is_some_and(|link| link.up.iter().any(|frame| frame.contains("\"claim\"")))
    };
    for _ in 0..100 {
        if on_its_way(world) {
            return;
        }
        world.moves_once();
    }
    panic!("it claims nothing");
}

/// A device takes the object and is cut before it hears so; another takes it meanwhile. The first does
/// not say `take` again, which nobody meant any more.
#[test]
fn trace_06_a_take_is_not_said_again_after_a_lost_socket() {
    let (mut world, _, _, _, observer) = room();
    let (b, c) = (world.runtime_of(1), world.runtime_of(1));
    let second = world.creates_as(b, "room", count(50), taking);
    until_it_claims(&mut world, b);
    world.cut(b, InFlight::Delivered);
    let third = world.creates_as(c, "room", count(60), taking);
    world.passes(1_000);
    world.heals(b);
    world.passes(10_000);
    assert_eq!(world.state(&third), "live");
    assert_eq!(world.state(&second), "closed");
    world.assert_follows(&observer, &third);
}

/// The same, with the word that the object is taken crossing the repeated claim: the node and both
/// devices agree who holds it.
#[test]
fn trace_06_a_claim_that_crosses_superseded_leaves_one_holder() {
    let (mut world, _, _, first, observer) = room();
    let (a, b) = (world.runtime_of(1), world.runtime_of(1));
    let second = world.creates_as(b, "room", count(50), taking);
    until_it_claims(&mut world, b);
    world.cut(b, InFlight::Delivered);
    world.heals(b);
    // It re-opens, which takes its next attempt to connect, and claims again.
    let now = world.machine(b).poll_timeout().unwrap();
    world.now = now;
    world.machine(b).handle(runtime::Input::Timeout, now);
    until_it_claims(&mut world, b);
    // The other's claim is handed over first: what the node says to `b` crosses what `b` says.
    let third = world.creates_as(a, "room", count(60), taking);
    world.passes(10_000);
    assert_eq!(world.state(&third), "live");
    assert_eq!(refusal(&world, &first).reason, Some(Reason::Superseded));
    assert_eq!(refusal(&world, &second).reason, Some(Reason::Held));
    world.writes(&third, "n", 61);
    world.settles();
    world.assert_follows(&observer, &third);
    world.assert_all_answered();
}

/// A node forgets while a reader is at (epoch, 2), and a device claims that is at (epoch, 1): the
/// reader goes back, and is told what was kept.
fn goes_back(writes_after: bool) {
    let (mut world, reporter, _, epoch) = kitchen();
    let guest = world.runtime();
    let observer = world.subscribes(guest, "kitchen");
    world.settles();
    answers_readers(&mut world, &reporter, (epoch, 0));
    for version in 1..=2 {
        world.commits(&reporter, KITCHEN, (epoch, version), Value::Null);
    }
    let at = world.observer(&observer).position();
    assert_eq!(at, Some(Position::new(epoch, 2)));
    world.node_restarts();
    world.passes(2_000);
    let device = world.client(1);
    let claimed = world.claims(&device, KITCHEN, json!({"base": [epoch, 1]}));
    let next = claimed["body"]["epoch"].as_u64().unwrap();
    let mut at = [epoch, 1];
    if writes_after {
        world.commits(&device, KITCHEN, (next, 2), json!([epoch, 1]));
        at = [next, 2];
    }
    world.passes(60_000);
    for frame in world.frames(&device) {
        if frame["type"] == "subscribe" {
            let body = json!({"code": 200, "epoch": next, "position": at, "kept": [epoch, 1],
                "value": {"url": KITCHEN, "data": {"n": 1}}});
            let answer = json!({"id": frame["id"], "type": "response", "from": frame["to"],
                "to": frame["from"], "body": body});
            world.says(&device, &answer.to_string());
        }
    }
    let stream = world.observer(&observer);
    assert_eq!(stream.position(), Some(Position::new(at[0], at[1])));
    assert_eq!(stream.counters().rewinds, 1);
    assert_eq!(world.state(&observer), "live");
}

#[test]
fn trace_07_a_reader_ahead_of_a_device_that_writes_nothing_goes_back_and_is_told() {
    goes_back(false);
}

#[test]
fn trace_08_a_seen_commit_that_another_replaces_is_told() {
    goes_back(true);
}

/// Epochs have run ahead of the clock when the node forgets: no two claims get the same all the same.
#[test]
fn trace_09_no_two_claims_have_the_same_epoch_though_the_node_forgets_in_between() {
    let mut world = World::new();
    let first = world.client(1);
    let mut epochs = vec![];
    let claims = |world: &mut World, who: &Client, with: Value| {
        let claimed = world.claims(who, KITCHEN, with);
        claimed["body"]["epoch"].as_u64().unwrap_or_default()
    };
    for _ in 0..20 {
        epochs.push(claims(&mut world, &first, json!({"base": null})));
    }
    assert!(epochs[19] > world.now.unix_ms(), "ahead of the clock");
    world.node_restarts();
    let (first, second) = (world.client(1), world.client(1));
    let refused = world.claims(&second, KITCHEN, json!({"base": null}));
    assert_eq!(code(&refused), 503, "not in its first second");
    world.passes(1_000);
    epochs.push(claims(&mut world, &second, json!({"base": null})));
    let own = json!({"base": [epochs[19], 4], "take": true});
    assert_eq!(claims(&mut world, &first, own), 0, "another history");
    epochs.push(claims(
        &mut world,
        &first,
        json!({"base": null, "take": true}),
    ));
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[test]
fn trace_10_a_claimant_that_has_diverged_with_nobody_to_learn_from_is_told_so() {
    let (mut world, owner, _, reporter, _) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    world.cut(owner, InFlight::Lost);
    world.passes(GRACE_MS * 2);
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(50), |_| {});
    world.passes(10_000);
    assert_eq!(refusal(&world, &second).reason, Some(Reason::Alone));
}

/// A parked reader that is put out, or may no longer read, hears that, and nothing on waking.
#[test]
fn trace_14_a_kick_leaves_nothing_parked_to_be_woken() {
    let private = json!({"public": false});
    for command in [
        json!({"method": "kick", "params": [KITCHEN, "", 403, "out"]}),
        json!({"method": "access", "params": [KITCHEN, private]}),
    ] {
        let (mut world, reporter, reader, epoch) = kitchen();
        world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
        world.parks(reader.connection, KITCHEN);
        let mut body = command.clone();
        if body["method"] == "kick" {
            body["params"][1] = json!(reader.hyperty);
        }
        let answer = world.asks(&reporter, "execute", &reporter.hyperty, &sm(), body);
        assert_eq!(code(&answer), 200, "{answer}");
        let last = world.frames(&reader).pop().unwrap();
        assert_eq!(last["body"]["method"], "revoked", "{last}");
        let before = world.frames(&reader).len();
        world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
        world.node_says(Input::Drained(reader.connection));
        assert_eq!(world.frames(&reader).len(), before, "after {command}");
        let gauges = world.node.gauges();
        assert_eq!((gauges.routes, gauges.parked), (0, 0));
    }
}

#[test]
fn trace_14_who_unsubscribed_hears_nothing_on_waking() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    world.parks(reader.connection, KITCHEN);
    let to = format!("{KITCHEN}/subscription");
    let answer = world.asks(&reader, "unsubscribe", &reader.hyperty, &to, json!({}));
    assert_eq!(code(&answer), 200);
    let before = world.counts(&reader, "update");
    world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
    world.node_says(Input::Drained(reader.connection));
    assert_eq!(world.counts(&reader, "update"), before);
    assert_eq!(world.node.gauges().parked, 0);
    // A new route is a new one, and not parked.
    world.subscribes_raw(&reader, KITCHEN);
    let asked = world.frames(&reporter).pop().unwrap();
    answers(&mut world, &reporter, &asked, (epoch, 2));
    world.commits(&reporter, KITCHEN, (epoch, 3), Value::Null);
    assert_eq!(world.counts(&reader, "update"), before + 1);
}
