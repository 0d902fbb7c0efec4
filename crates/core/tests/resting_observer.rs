//! An Observer whose copy rests: it is there at once after a power cut, can be read offline, and goes on from
//! where it was.

use byline_core::State;
use byline_core::limits::FOLD_COMMITS_MAX;
use byline_core::runtime::{CallError, Criteria, Role, Seat};
use byline_core::storage::Table;
use byline_core::stream::Origin;
use serde_json::json;

use crate::world::{InFlight, Who, World, count};

/// A Reporter and a reader whose copy rests, and their seats.
fn room() -> (World, Who, Who, Seat, Seat) {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime_with_disk());
    let reporter = world.creates(owner, "room", count(0));
    world.settles();
    let observer = world.subscribes(guest, "room");
    world.machine(guest).keep(&observer).unwrap();
    world.settles();
    world.assert_follows(&observer, &reporter);
    (world, owner, guest, reporter, observer)
}

fn stale_since(world: &World, seat: &Seat) -> Option<u64> {
    match world.states(seat).last() {
        Some(State::Stale(since)) => Some(since.unix_ms()),
        _ => None,
    }
}

#[test]
fn a_copy_is_there_at_once_and_says_since_when_it_stands_still() {
    let (mut world, _, guest, reporter, observer) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    let followed = world.now.unix_ms();
    world.passes(10_000);
    world.cut(guest, InFlight::Lost);
    let resumed = world.power_cut(guest);
    assert_eq!(
        (&resumed[0].seat, resumed[0].role),
        (&observer, Role::Observer)
    );
    assert_eq!(world.data(&observer), count(1));
    assert_eq!(stale_since(&world, &observer), Some(followed));
    let metadata = world.observer(&observer).metadata().unwrap();
    assert_eq!(metadata.schema.as_deref(), Some("Context"));
}

#[test]
fn what_was_missed_comes_as_one_net_change_that_says_how_it_came() {
    let (mut world, _, guest, reporter, observer) = room();
    world.cut(guest, InFlight::Lost);
    for n in 1..=9 {
        world.writes(&reporter, "n", n);
    }
    world.settles();
    world.power_cut(guest);
    world.heals(guest);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
    let origins = &world.mirror(&observer).origins[1..];
    assert_eq!(origins, [Origin::CatchUp], "and not one for each commit");
    // So much that the whole is less.
    world.cut(guest, InFlight::Lost);
    for n in 10..=100 {
        world.writes(&reporter, "n", n);
    }
    world.settles();
    world.power_cut(guest);
    world.heals(guest);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.mirror(&observer).origins[1..], [Origin::Snapshot]);
}

#[test]
fn commits_are_folded_here_too_and_a_batch_brings_only_what_is_new() {
    let (mut world, _, guest, reporter, observer) = room();
    for n in 1..=2 * FOLD_COMMITS_MAX as u64 {
        world.writes(&reporter, "n", n);
        world.settles();
        let commits = world.disk_of(guest).count(Table::Commits);
        assert!(commits <= FOLD_COMMITS_MAX, "{commits}");
        assert_ne!((n, commits), (5, 0), "not each is a snapshot");
    }
    world.power_cut(guest);
    assert_eq!(world.data(&observer), count(2 * FOLD_COMMITS_MAX as u64));
}

/// Invariants 1 and 7: the copy is a state of its Reporter wherever the power is cut, and never goes back below
/// what was stored.
#[test]
fn a_power_cut_at_any_batch_leaves_a_copy_that_its_reporter_was() {
    for at in 1..25 {
        let (mut world, _, guest, reporter, observer) = room();
        world.disk_of(guest).waits = true;
        let mut stored = world.observer(&observer).position();
        for n in 1..=at {
            world.writes(&reporter, "n", n);
            match n % 5 {
                1 => world.blinks(guest, InFlight::Lost),
                2 => world.passes(3_000),
                3 => world.describes(&reporter, "floor", json!(n)),
                _ => {}
            }
            world.settles();
            let position = world.observer(&observer).position();
            if n % 3 == 0 && world.writes_to_disk(guest) {
                world.writes_to_disk(guest);
                stored = position;
            }
        }
        world.power_cut(guest);
        world.disk_of(guest).waits = false;
        assert!(world.observer(&observer).position() >= stored);
        world.passes(40_000);
        world.assert_follows(&observer, &reporter);
        let origins = &world.mirror(&observer).origins;
        assert!(!origins.contains(&Origin::Rewound), "{origins:?}");
    }
}

#[test]
fn a_subscription_without_a_copy_yet_rests_too() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime_with_disk());
    let observer = world.subscribes(guest, "room");
    world.machine(guest).keep(&observer).unwrap();
    world.settles();
    world.power_cut(guest);
    let reporter = world.creates(owner, "room", count(1));
    world.passes(5_000);
    world.assert_follows(&observer, &reporter);
}

#[test]
fn nothing_rests_of_who_unsubscribed_or_of_what_is_deleted() {
    let (mut world, _, guest, _, observer) = room();
    world.unsubscribes(&observer);
    world.settles();
    assert_eq!(world.disk_of(guest).count(Table::Snapshots), 0);
    assert_eq!(world.power_cut(guest), []);
    let (mut world, owner, guest, reporter, observer) = room();
    let now = world.now;
    world.machine(owner).delete(&reporter, now).unwrap();
    world.settles();
    assert_eq!(world.state(&observer), "closed");
    assert_eq!(world.power_cut(guest), []);
}

#[test]
fn subscribing_again_gives_the_copy_that_rested() {
    let (mut world, _, guest, _, observer) = room();
    world.power_cut(guest);
    let (hyperty, now) = (observer.hyperty.clone(), world.now);
    let url = observer.object.clone();
    let again = world.machine(guest).subscribe(&hyperty, url.clone(), now);
    assert_eq!(again.as_ref(), Ok(&observer));
    assert_eq!(world.data(&observer), count(0));
    let twice = world.machine(guest).subscribe(&hyperty, url.clone(), now);
    assert_eq!(twice, Err(CallError::Observed(url)));
}

#[test]
fn what_rests_is_found_by_what_it_is_and_all_that_is_said_must_hold() {
    let (mut world, _, guest, reporter, observer) = room();
    let own = world.creates_as(guest, "own", count(0), |create| {
        (create.store, create.name) = (true, Some("mine".to_owned()));
    });
    world.creates(guest, "passing", count(0));
    world.settles();
    world.power_cut(guest);
    let found = |criteria: Criteria| -> Vec<Seat> {
        let found = world.place(guest).runtime.resting(&criteria);
        found.into_iter().map(|one| one.seat).collect()
    };
    let all = || Criteria {
        schema: Some("Context".to_owned()),
        ..Criteria::default()
    };
    let mut both = vec![own.clone(), observer.clone()];
    both.sort();
    assert_eq!(found(all()), both);
    let named = Criteria {
        name: Some("mine".to_owned()),
        ..all()
    };
    assert_eq!(found(named.clone()), std::slice::from_ref(&own));
    let by = |hyperty: &Seat| Some(hyperty.hyperty.clone());
    let of_other = Criteria {
        reporter: by(&reporter),
        ..all()
    };
    assert_eq!(found(of_other), std::slice::from_ref(&observer));
    let neither = Criteria {
        reporter: by(&reporter),
        ..named
    };
    assert_eq!(found(neither), []);
    let of_hyperty = Criteria {
        hyperty: by(&observer),
        ..Criteria::default()
    };
    assert_eq!(found(of_hyperty), [observer]);
}
