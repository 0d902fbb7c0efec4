//! What was cut off, away or forgotten comes back and lacks nothing.

use byline_core::limits::{GRACE_MS, HISTORY_COMMITS_MAX, QUIET_MS, REQUEST_MS, SILENCE_MS};
use byline_core::stream::Origin;

use crate::world::room::{pair, writes_up_to};
use crate::world::{InFlight, World, count};

#[test]
fn an_observer_that_was_cut_off_gets_the_commits_it_missed_as_one_step() {
    let (mut world, _, b, reporter, observer) = pair();
    world.cut(b, InFlight::Lost);
    assert_eq!(world.state(&observer), "stale");
    writes_up_to(&mut world, &reporter, 1..=4);
    world.passes(1_000);
    assert_eq!(world.data(&observer), count(0));
    world.heals(b);
    world.passes(5_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(
        world.mirror(&observer).origins,
        [Origin::Snapshot, Origin::CatchUp]
    );
    world.assert_all_answered();
}

#[test]
fn an_observer_that_missed_more_than_the_history_gets_a_snapshot() {
    let (mut world, _, b, reporter, observer) = pair();
    world.cut(b, InFlight::Lost);
    let many = HISTORY_COMMITS_MAX as u64 + 10;
    writes_up_to(&mut world, &reporter, 1..=many);
    world.heals(b);
    world.passes(5_000);
    world.assert_follows(&observer, &reporter);
    let origins = &world.mirror(&observer).origins;
    assert_eq!(*origins, [Origin::Snapshot, Origin::Snapshot]);
}

#[test]
fn an_observer_that_was_away_longer_than_the_grace_time_subscribes_anew() {
    let (mut world, _, b, reporter, observer) = pair();
    world.cut(b, InFlight::Lost);
    world.passes(GRACE_MS + 1);
    assert_eq!(world.node.gauges().routes, 0);
    world.writes(&reporter, "n", 1);
    world.heals(b);
    world.passes(30_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.mirror(&observer).origins[1..], [Origin::CatchUp]);
}

#[test]
fn a_reporter_that_was_cut_off_loses_nothing_it_wrote() {
    for in_flight in [InFlight::Lost, InFlight::Delivered] {
        let (mut world, a, _, reporter, observer) = pair();
        writes_up_to(&mut world, &reporter, 1..=3);
        world.cut(a, in_flight);
        world.passes(100);
        assert_eq!(world.state(&observer), "stale");
        assert_eq!(world.state(&reporter), "stale");
        writes_up_to(&mut world, &reporter, 4..=6);
        world.passes(1_000);
        world.heals(a);
        world.passes(5_000);
        assert_eq!(world.data(&observer), count(6));
        world.assert_follows(&observer, &reporter);
        assert_eq!(world.state(&reporter), "live");
        world.assert_all_answered();
    }
}

#[test]
fn a_reporter_that_was_away_longer_than_the_grace_time_continues_its_claim() {
    let (mut world, a, _, reporter, observer) = pair();
    writes_up_to(&mut world, &reporter, 1..=2);
    world.settles();
    let epoch = world.reporter(&reporter).position().unwrap().epoch;
    // Twice: the second time nothing was written under the claim that the first made.
    for n in [3, 4, 5] {
        world.cut(a, InFlight::Lost);
        world.passes(GRACE_MS + 1);
        world.writes(&reporter, "n", n);
        assert_eq!(world.state(&observer), "stale");
        world.heals(a);
        world.passes(31_000);
        world.assert_follows(&observer, &reporter);
    }
    let position = world.reporter(&reporter).position().unwrap();
    assert_eq!(position.version, 5, "versions go on");
    assert!(position.epoch > epoch);
    let origins = &world.mirror(&observer).origins;
    assert_eq!(origins[1..], [Origin::Live; 5], "commits, not snapshots");
}

#[test]
fn what_is_written_under_a_claim_that_sent_nothing_yet_is_not_diverged() {
    let (mut world, a, _, reporter, observer) = pair();
    world.writes(&reporter, "n", 1);
    world.settles();
    // A new claim, under which nothing reaches the node.
    world.cut(a, InFlight::Lost);
    world.passes(GRACE_MS + 1);
    world.heals(a);
    world.passes(31_000);
    world.writes(&reporter, "n", 2);
    world.cut(a, InFlight::Lost);
    world.writes(&reporter, "n", 3);
    world.passes(GRACE_MS + 1);
    // And one more, so that three claims' commits are under way.
    world.heals(a);
    world.passes(31_000);
    world.writes(&reporter, "n", 4);
    world.settles();
    assert_eq!(world.state(&reporter), "live");
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.data(&observer), count(4));
}

#[test]
fn a_node_that_forgot_everything_is_told_everything_again() {
    let (mut world, _, _, reporter, observer) = pair();
    writes_up_to(&mut world, &reporter, 1..=3);
    world.settles();
    world.node_restarts();
    world.writes(&reporter, "n", 4);
    assert_eq!(world.state(&observer), "stale");
    world.passes(40_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.data(&observer), count(4));
    let origins = &world.mirror(&observer).origins;
    assert!(
        !origins[1..].contains(&Origin::Snapshot),
        "by base: {origins:?}"
    );
    assert!(!origins.contains(&Origin::Rewound));
    world.writes(&reporter, "n", 5);
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn a_history_that_overflows_offline_becomes_a_snapshot() {
    for away_ms in [1_000, GRACE_MS + 1] {
        let (mut world, a, _, reporter, observer) = pair();
        world.writes(&reporter, "n", 1);
        world.settles();
        world.cut(a, InFlight::Lost);
        let many = HISTORY_COMMITS_MAX as u64 * 2;
        writes_up_to(&mut world, &reporter, 2..=many);
        world.passes(away_ms);
        world.heals(a);
        world.passes(31_000);
        assert_eq!(world.state(&reporter), "live");
        world.assert_follows(&observer, &reporter);
        assert_eq!(world.reporter(&reporter).position().unwrap().version, many);
        assert_eq!(
            world.mirror(&observer).origins.last(),
            Some(&Origin::Snapshot)
        );
        world.writes(&reporter, "n", 0);
        world.settles();
        world.assert_follows(&observer, &reporter);
    }
}

#[test]
fn a_history_that_overflows_while_claiming_becomes_a_snapshot() {
    let mut world = World::new();
    let (a, b) = (world.runtime(), world.runtime());
    let reporter = world.creates(a, "kitchen", count(0));
    let observer = world.subscribes(b, "kitchen");
    let many = HISTORY_COMMITS_MAX as u64 + 5;
    writes_up_to(&mut world, &reporter, 1..=many);
    world.passes(5_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.reporter(&reporter).position().unwrap().version, many);
    // And while claiming again.
    world.node_restarts();
    world.passes(900);
    writes_up_to(&mut world, &reporter, many + 1..=2 * many);
    world.passes(40_000);
    world.assert_follows(&observer, &reporter);
}

#[test]
fn a_dead_connection_is_found_by_silence_and_costs_one_ping() {
    let (mut world, a, b, reporter, observer) = pair();
    world.goes_half_open(b);
    world.writes(&reporter, "n", 1);
    let before = world.place(b).sent;
    world.passes(SILENCE_MS + REQUEST_MS - 1);
    assert_eq!(world.place(b).sent - before, 1, "one ping");
    world.passes(31_000);
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
    // A quiet one is asked once in a while, and heads are sent once.
    world.passes(QUIET_MS + 1);
    let (before, received) = (world.node.counters().frames, world.place(b).received.len());
    world.passes(SILENCE_MS * 10);
    let pings = world.node.counters().frames - before;
    assert!((18..=22).contains(&pings), "{pings} pings of two runtimes");
    let received = world.place(b).received.len() - received;
    assert!((9..=11).contains(&received), "{received} answers, no heads");
    assert!(world.place(a).refused.is_empty());
}

#[test]
fn a_cut_at_any_frame_of_opening_and_claiming_does_not_matter() {
    for frames in 0..14 {
        for in_flight in [InFlight::Lost, InFlight::Delivered] {
            let mut world = World::new();
            let (a, b) = (world.runtime(), world.runtime());
            let reporter = world.creates(a, "kitchen", count(0));
            let observer = world.subscribes(b, "kitchen");
            world.writes(&reporter, "n", 1);
            for _ in 0..frames {
                world.moves_once();
            }
            world.blinks(a, in_flight);
            world.blinks(b, in_flight);
            world.passes(70_000);
            world.assert_follows(&observer, &reporter);
            world.assert_all_answered();
        }
    }
}
