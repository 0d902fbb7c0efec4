//! Reporters, Observers and the node between them: what happens, told as it happens.

use byline_core::State;
use byline_core::limits::{GRACE_MS, REQUEST_MS};
use byline_core::runtime::Input;
use byline_core::stream::Origin;
use serde_json::json;

use crate::world::room::{pair, writes_up_to};
use crate::world::{InFlight, World, count};

#[test]
fn an_observer_gets_a_snapshot_and_then_every_commit() {
    let (mut world, _, _, reporter, observer) = pair();
    writes_up_to(&mut world, &reporter, 1..=5);
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.data(&observer), count(5));
    let mut expected = vec![Origin::Snapshot];
    expected.extend([Origin::Live; 5]);
    assert_eq!(world.mirror(&observer).origins, expected);
    assert_eq!(world.reporter(&reporter).position().unwrap().version, 5);
    world.assert_all_answered();
}

#[test]
fn what_is_written_while_claiming_arrives_in_order_after_the_claim() {
    let mut world = World::new();
    let (a, b) = (world.runtime(), world.runtime());
    let reporter = world.creates(a, "kitchen", count(0));
    let observer = world.subscribes(b, "kitchen");
    writes_up_to(&mut world, &reporter, 1..=3);
    assert_eq!(world.reporter(&reporter).position(), None);
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.reporter(&reporter).position().unwrap().version, 3);
}

#[test]
fn a_late_joiner_gets_the_state_as_it_is_and_no_past() {
    let (mut world, _, b, reporter, first) = pair();
    writes_up_to(&mut world, &reporter, 1..=9);
    world.settles();
    let c = world.runtime();
    let late = world.subscribes(c, "kitchen");
    world.settles();
    world.assert_follows(&late, &reporter);
    assert_eq!(world.mirror(&late).origins, [Origin::Snapshot]);
    // A joiner in the middle of writing misses nothing and gets nothing twice.
    world.writes(&reporter, "n", 10);
    let other = world.subscribes_as(b, "other", "kitchen");
    world.writes(&reporter, "n", 11);
    world.settles();
    for observer in [&first, &late, &other] {
        world.assert_follows(observer, &reporter);
    }
}

#[test]
fn two_hyperties_of_one_runtime_each_have_their_own_copy() {
    let (mut world, _, b, reporter, first) = pair();
    let second = world.subscribes_as(b, "second", "kitchen");
    world.settles();
    let before = world.place(b).received.len();
    world.writes(&reporter, "n", 1);
    world.settles();
    let frames = world.place(b).received.len() - before;
    assert_eq!(frames, 1, "a route belongs to the session");
    world.assert_follows(&first, &reporter);
    world.assert_follows(&second, &reporter);
    world.unsubscribes(&first);
    world.writes(&reporter, "n", 2);
    world.settles();
    world.assert_follows(&second, &reporter);
    // A refused one does not come back to life by the other's route.
    assert_eq!(world.node.gauges().routes, 1);
}

#[test]
fn a_reporter_on_its_own_address_again_starts_a_new_epoch_and_ends_the_old_one() {
    let (mut world, a, _, old, observer) = pair();
    writes_up_to(&mut world, &old, 1..=3);
    world.settles();
    let before = world.reporter(&old).position().unwrap();
    let again = world.runtime_of(1);
    let new = world.creates_as(again, "kitchen", count(100), |create| {
        create.discard = true;
        create.take = true;
    });
    world.passes(2_000);
    let after = world.reporter(&new).position().unwrap();
    assert!(after.epoch > before.epoch);
    assert_eq!(after.version, 0);
    world.assert_follows(&observer, &new);
    assert_eq!(
        world.mirror(&observer).origins.last(),
        Some(&Origin::Snapshot)
    );
    let Some(State::Closed(why)) = world.states(&old).last() else {
        panic!("{:?}", world.states(&old));
    };
    assert!(why.desc.contains("superseded"), "{why}");
    assert!(world.tries_to_write(&old, "n", 4).is_err());
    assert!(world.place(a).refused.is_empty(), "its session lives on");
    world.writes(&new, "n", 101);
    world.settles();
    world.assert_follows(&observer, &new);
}

#[test]
fn a_second_reporter_of_one_owner_does_not_get_what_the_first_holds() {
    let (mut world, _, _, first, observer) = pair();
    let again = world.runtime_of(1);
    let second = world.creates(again, "kitchen", count(7));
    world.passes(2_000);
    let Some(State::Closed(why)) = world.states(&second).last() else {
        panic!("{:?}", world.states(&second));
    };
    assert!(why.desc.starts_with("held"), "{why}");
    world.writes(&first, "n", 1);
    world.settles();
    world.assert_follows(&observer, &first);
}

#[test]
fn who_observes_before_anybody_claims_waits_and_then_follows() {
    let mut world = World::new();
    let (a, b) = (world.runtime(), world.runtime());
    let observer = world.subscribes(b, "kitchen");
    world.passes(60_000);
    assert_eq!(world.state(&observer), "waiting");
    let held = |frame: &&String| frame.contains("\"code\":102");
    assert_eq!(world.place(b).received.iter().filter(held).count(), 1);
    let reporter = world.creates(a, "kitchen", count(1));
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn who_waits_is_told_so_once() {
    let (mut world, a, b, reporter, _) = pair();
    world.cut(a, InFlight::Lost);
    let other = world.subscribes_as(b, "other", "kitchen");
    world.passes(GRACE_MS * 3);
    let held = |frame: &&String| frame.contains("\"code\":102");
    assert_eq!(world.place(b).received.iter().filter(held).count(), 1);
    world.heals(a);
    world.passes(40_000);
    world.assert_follows(&other, &reporter);
}

#[test]
fn a_reporter_gone_for_good_leaves_its_observers_stale() {
    let (mut world, a, b, reporter, observer) = pair();
    world.writes(&reporter, "n", 1);
    world.settles();
    world.cut(a, InFlight::Lost);
    let gone = world.now;
    world.passes(GRACE_MS * 4);
    assert_eq!(world.states(&observer).last(), Some(&State::Stale(gone)));
    assert_eq!(world.data(&observer), count(1));
    // Who comes now waits, and who was there may come and go.
    world.blinks(b, InFlight::Lost);
    let other = world.subscribes_as(b, "other", "kitchen");
    world.passes(5_000);
    assert_eq!(world.states(&observer).last(), Some(&State::Stale(gone)));
    assert_eq!(world.state(&other), "waiting");
    world.heals(a);
    world.passes(40_000);
    world.assert_follows(&observer, &reporter);
    world.assert_follows(&other, &reporter);
}

#[test]
fn a_read_fetches_once_and_is_answered_in_any_case() {
    let (mut world, a, b, reporter, _) = pair();
    let unknown = world.reads(b, "cellar");
    world.writes(&reporter, "n", 8);
    let known = world.reads(b, "kitchen");
    world.settles();
    let refusal = world.place(b).reads[&unknown][0].clone().unwrap_err();
    assert_eq!(refusal.code, 404);
    let snapshot = world.place(b).reads[&known][0].clone().unwrap();
    assert_eq!(*snapshot.data, count(8));
    assert_eq!(
        Some(snapshot.position),
        world.reporter(&reporter).position()
    );
    // One whose connection is cut is asked again.
    let cut = world.reads(b, "kitchen");
    world.blinks(b, InFlight::Lost);
    world.passes(5_000);
    assert!(world.place(b).reads[&cut][0].is_ok());
    // Nobody answers, or nobody is there to ask.
    world.goes_half_open(a);
    let silent = world.reads(b, "kitchen");
    world.cut(b, InFlight::Delivered);
    let offline = world.reads(b, "kitchen");
    world.passes(REQUEST_MS + 1);
    for call in [silent, offline] {
        let refusal = world.place(b).reads[&call][0].clone().unwrap_err();
        assert_eq!(refusal.code, 408, "{refusal}");
    }
}

#[test]
fn unsubscribing_ends_delivery_at_any_moment() {
    let (mut world, _, b, reporter, observer) = pair();
    world.unsubscribes(&observer);
    world.settles();
    assert_eq!(world.node.gauges().routes, 0);
    let before = world.place(b).received.len();
    world.writes(&reporter, "n", 1);
    world.settles();
    assert_eq!(world.place(b).received.len(), before, "not a frame");
    // While the answer is on its way.
    let observer = world.subscribes(b, "kitchen");
    world.unsubscribes(&observer);
    world.settles();
    assert_eq!(world.node.gauges().routes, 0);
    // While offline, and while somebody waits for somebody.
    let observer = world.subscribes(b, "kitchen");
    let waiting = world.subscribes(b, "cellar");
    world.settles();
    world.cut(b, InFlight::Lost);
    world.unsubscribes(&observer);
    world.heals(b);
    world.passes(5_000);
    assert_eq!(world.node.gauges().routes, 0);
    world.unsubscribes(&waiting);
    world.settles();
    assert_eq!(world.node.gauges().objects, 1);
    assert_eq!(world.node.gauges().unanswered, 0);
    // And again, right away.
    let observer = world.subscribes(b, "kitchen");
    world.unsubscribes(&observer);
    let observer = world.subscribes(b, "kitchen");
    world.passes(5_000);
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn a_delivery_is_told_when_everything_is_at_the_node() {
    let (mut world, a, _, reporter, observer) = pair();
    world.writes(&reporter, "n", 1);
    let first = world.delivers(a);
    assert!(world.place(a).delivered.is_empty());
    world.settles();
    assert_eq!(world.place(a).delivered, [first]);
    // Cut with the commits on their way.
    world.writes(&reporter, "n", 2);
    let second = world.delivers(a);
    world.cut(a, InFlight::Lost);
    world.passes(1_000);
    assert_eq!(world.place(a).delivered, [first]);
    world.heals(a);
    while world.place(a).delivered.len() == 1 {
        assert_ne!(world.data(&observer), count(3), "{second}");
        world.passes(100);
    }
    assert_eq!(world.place(a).delivered, [first, second]);
    assert_eq!(world.data(&observer), count(2));
    // A runtime that reports nothing is told too, after a cut as well.
    let b = world.who(&observer);
    world.cut(b, InFlight::Lost);
    let third = world.delivers(b);
    world.heals(b);
    world.passes(5_000);
    assert_eq!(world.place(b).delivered, [third]);
    // Many deliveries do not multiply.
    let before = world.node.counters().frames;
    for n in 0..50 {
        world.writes(&reporter, "n", 100 + n);
        world.delivers(a);
    }
    world.settles();
    assert_eq!(world.place(a).delivered.len(), 52);
    assert_eq!(world.node.counters().frames - before, 100);
}

#[test]
fn a_claim_in_a_nodes_first_second_is_made_later() {
    let mut world = World::at(World::new().now);
    let a = world.runtime();
    let reporter = world.creates(a, "kitchen", count(0));
    world.passes(900);
    assert_eq!(world.reporter(&reporter).position(), None);
    world.passes(1_500);
    assert_eq!(world.state(&reporter), "live");
}

#[test]
fn one_busy_object_does_not_hold_up_another() {
    let (mut world, a, _, busy, _) = pair();
    let calm = world.creates(a, "zebra", count(0));
    world.settles();
    for n in 1..=10 {
        world.writes(&busy, "n", n);
    }
    world.writes(&calm, "n", 1);
    let now = world.now;
    let mut turns = vec![];
    while let Some(output) = world.machine(a).poll_output(now) {
        turns.push(format!("{output:?}").contains("zebra"));
    }
    assert!(turns[..2].contains(&true), "{turns:?}");
}

#[test]
fn after_the_end_everything_is_closed_and_nothing_hangs() {
    let (mut world, a, b, reporter, observer) = pair();
    let now = world.now;
    world.machine(a).close(now);
    world.machine(b).close(now);
    world.passes(1_000);
    assert_eq!(world.state(&reporter), "closed");
    assert_eq!(world.state(&observer), "closed");
    let late = world.subscribes(b, "cellar");
    let read = world.reads(b, "cellar");
    let made = world.creates(a, "cellar", json!({}));
    world.passes(120_000);
    assert_eq!(world.state(&late), "closed");
    assert_eq!(world.state(&made), "closed");
    assert!(world.place(b).reads[&read][0].is_err());
    assert!(
        world.machine(a).poll_timeout().is_none(),
        "no timer is left"
    );
    assert_eq!(world.node.gauges(), byline_core::node::Gauges::default());
}

#[test]
fn what_an_observer_was_not_told_in_its_life_is_not_told_to_the_next() {
    let (mut world, _, b, reporter, observer) = pair();
    let epoch = world.reporter(&reporter).position().unwrap().epoch;
    let (url, now) = (observer.object.clone(), world.now);
    let commit = json!({"type": "update", "from": url, "to": url.resource("changes"),
        "body": {"epoch": epoch, "version": 1, "attribute": "n", "value": 1}});
    // Its driver is busy: what comes out is not asked for yet.
    let input = Input::Received(&commit.to_string());
    world.machine(b).handle(input, now);
    world.unsubscribes(&observer);
    assert!(!world.place(b).mirrors.contains_key(&observer));
    let again = world.subscribes(b, "kitchen");
    world.settles();
    world.assert_follows(&again, &reporter);
}
