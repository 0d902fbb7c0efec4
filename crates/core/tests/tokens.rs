//! A runtime whose node asks for tokens: when it asks for a newer one, and that nothing is lost when that comes late
//! (protocol.md §3).

use byline_core::limits::{GRACE_MS, TOKEN_AHEAD_MS};
use byline_core::runtime::Connection;
use byline_core::stream::Origin;

use crate::world::passes::{HOUR_MS, MINUTE_MS, identity, room};
use crate::world::{self, World, count};

#[test]
fn a_runtime_without_a_token_asks_for_one_and_goes_on_when_it_has_it() {
    let mut world = World::of_people();
    let who = world.runtime();
    let reporter = world.creates(who, "room", count(0));
    world.passes(HOUR_MS);
    let place = world.place(who);
    let [Connection::NeedsAuth(why)] = place.connection.as_slice() else {
        panic!("{:?}", place.connection)
    };
    assert!(why.contains("token"), "{why}");
    assert_eq!((place.tokens_asked, place.sent), (1, 1), "asked once");
    assert_eq!(place.refused, []);
    let token = world.pass("ana", HOUR_MS);
    world.authenticates(who, token);
    world.settles();
    assert_eq!(world.state(&reporter), "live");
    assert_eq!(*world.machine(who).identity(), identity("ana"));
    let live = [Connection::Connecting, Connection::Live];
    assert_eq!(world.place(who).connection[1..], live);
}

#[test]
fn tokens_that_are_refused_again_and_again_are_asked_for_less_and_less() {
    let mut world = World::of_people();
    let who = world.runtime_as("ana", 0);
    for _ in 0..12 {
        world.passes(30_000);
        let asked = world.place(who).tokens_asked;
        world.authenticates(who, "nonsense".to_owned());
        world.settles();
        assert_eq!(world.place(who).tokens_asked, asked, "not at once");
        assert_eq!(world.place(who).refused, []);
    }
    assert_eq!(world.place(who).tokens_asked, 12);
}

#[test]
fn a_runtime_asks_for_a_newer_token_ahead_and_nothing_is_interrupted() {
    let (mut world, _, ben, reporter, observer) = room(2 * MINUTE_MS);
    let tenth = 12_000;
    world.passes(2 * MINUTE_MS - tenth - 1);
    assert_eq!(world.place(ben).tokens_asked, 0);
    world.passes(1);
    assert_eq!(world.place(ben).tokens_asked, 1);
    let token = world.pass("ben", HOUR_MS / 2);
    world.authenticates(ben, token);
    world.passes(HOUR_MS / 2 - TOKEN_AHEAD_MS - 1);
    assert_eq!(world.place(ben).tokens_asked, 1);
    world.passes(1);
    assert_eq!(world.place(ben).tokens_asked, 2);
    world.writes(&reporter, "n", 1);
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.place(ben).connection, [Connection::Live]);
    let origins = &world.mirror(&observer).origins;
    assert_eq!(origins[..], [Origin::Snapshot, Origin::Live], "no recovery");
}

#[test]
fn a_token_that_ends_no_later_is_not_asked_for_ahead_again() {
    let (mut world, _, ben, _, observer) = room(MINUTE_MS);
    let same = world.pass("ben", MINUTE_MS);
    world.passes(54_000);
    assert_eq!(world.place(ben).tokens_asked, 1);
    world.authenticates(ben, same);
    world.passes(5_999);
    assert_eq!(world.place(ben).tokens_asked, 1);
    assert_eq!(world.state(&observer), "live");
    world.passes(1);
    assert_eq!(world.place(ben).tokens_asked, 2);
}

#[test]
fn a_copy_catches_up_when_its_runtime_has_a_newer_token() {
    let (mut world, _, ben, reporter, observer) = room(MINUTE_MS);
    world.passes(MINUTE_MS);
    assert_eq!(world.state(&observer), "stale");
    assert_eq!(
        world.place(ben).tokens_asked,
        2,
        "ahead, and when it was told"
    );
    world.writes(&reporter, "n", 1);
    world.writes(&reporter, "n", 2);
    world.settles();
    assert_eq!(world.data(&observer)["n"], 0);
    let token = world.pass("ben", HOUR_MS);
    world.authenticates(ben, token);
    world.settles();
    world.assert_follows(&observer, &reporter);
    let connection = &world.place(ben).connection;
    assert!(
        matches!(connection[1], Connection::NeedsAuth(_)),
        "{connection:?}"
    );
    assert_eq!(connection[2..], [Connection::Connecting, Connection::Live]);
    assert!(!world.mirror(&observer).origins[1..].contains(&Origin::Snapshot));
    world.assert_all_answered();
}

#[test]
fn what_waits_for_a_slow_reader_when_its_token_ends_is_not_for_it() {
    let (mut world, _, ben, reporter, observer) = room(MINUTE_MS);
    world.stalls(ben);
    world.writes(&reporter, "n", 1);
    world.settles();
    world.passes_for_the_node(MINUTE_MS);
    world.drains(ben);
    assert_eq!(world.data(&observer)["n"], 0);
    assert_eq!(world.state(&observer), "stale");
    let token = world.pass("ben", HOUR_MS);
    world.authenticates(ben, token);
    world.settles();
    world.assert_follows(&observer, &reporter);
}

#[test]
fn a_reporter_loses_nothing_of_what_it_writes_while_its_token_has_ended() {
    let mut world = World::of_people();
    let ana = world.runtime_as("ana", MINUTE_MS);
    let ben = world.runtime_as("ben", HOUR_MS);
    let reporter = world.creates(ana, "room", count(0));
    let observer = world.subscribes(ben, "room");
    world.settles();
    let epoch = world.reporter(&reporter).position().unwrap().epoch;
    // On its way when the token ends.
    world.passes(MINUTE_MS - 1);
    world.writes(&reporter, "n", 1);
    world.moves_once();
    world.writes(&reporter, "n", 2);
    world.passes_for_the_node(1);
    world.settles();
    world.writes(&reporter, "n", 3);
    world.settles();
    assert_eq!(world.state(&observer), "stale");
    let token = world.pass("ana", HOUR_MS);
    world.authenticates(ana, token);
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.data(&observer)["n"], 3);
    world.writes(&reporter, "n", 4);
    world.settles();
    let now = world.reporter(&reporter).position().unwrap().epoch;
    assert_eq!(now, epoch, "its claim goes on");
    world.assert_all_answered();
}

#[test]
fn a_runtime_whose_token_comes_late_opens_anew_and_has_everything_back() {
    let (mut world, ana, ben, reporter, observer) = room(MINUTE_MS);
    world.passes(MINUTE_MS + GRACE_MS + 1);
    assert!(world.place(ben).link.is_none(), "4003");
    assert_eq!(world.node.gauges().sessions, 1);
    world.writes(&reporter, "n", 1);
    world.passes(HOUR_MS / 2);
    let token = world.pass("ben", HOUR_MS);
    world.authenticates(ben, token);
    world.passes(30_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.place(ana).connection, [Connection::Live]);
}

#[test]
fn a_token_that_comes_as_the_old_one_ends_is_not_lost() {
    for cut in [false, true] {
        let (mut world, _, ben, reporter, observer) = room(MINUTE_MS);
        world.passes(MINUTE_MS - 1);
        let token = world.pass("ben", HOUR_MS);
        world.authenticates(ben, token);
        world.passes_for_the_node(1);
        if cut {
            world.blinks(ben, world::InFlight::Lost);
        }
        world.writes(&reporter, "n", 1);
        world.passes(10_000);
        world.assert_follows(&observer, &reporter);
        assert_eq!(world.place(ben).connection.last(), Some(&Connection::Live));
        world.assert_all_answered();
    }
}

#[test]
fn another_persons_token_leaves_a_live_session_as_it_is_and_a_suspended_one_waiting() {
    let (mut world, _, ben, reporter, observer) = room(MINUTE_MS);
    let other = world.pass("eve", HOUR_MS);
    world.authenticates(ben, other.clone());
    world.writes(&reporter, "n", 1);
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.passes(MINUTE_MS);
    world.authenticates(ben, other);
    world.settles();
    let Some(Connection::NeedsAuth(why)) = world.place(ben).connection.last() else {
        panic!("{:?}", world.place(ben).connection)
    };
    assert!(why.contains("another person"), "{why}");
    assert_eq!(world.place(ben).refused, []);
    let token = world.pass("ben", HOUR_MS);
    world.authenticates(ben, token);
    world.settles();
    world.assert_follows(&observer, &reporter);
}
