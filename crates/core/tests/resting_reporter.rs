//! A Reporter whose object rests: what it wrote is there after a power cut, wherever that falls.

use byline_core::State;
use byline_core::error::Reason;
use byline_core::limits::{FOLD_COMMITS_MAX, HISTORY_COMMITS_MAX, QUIET_MS};
use byline_core::message::body::Access;
use byline_core::runtime::{CallError, Create, FlushError, Role, Seat};
use byline_core::storage::Table;
use byline_core::stream::Origin;
use serde_json::json;

use crate::world::{InFlight, Who, World, count};

fn storing(create: &mut Create) {
    create.store = true;
}

/// A Reporter with a store and a reader without, and their seats.
fn room() -> (World, Who, Who, Seat, Seat) {
    let mut world = World::new();
    let (owner, guest) = (world.runtime_with_disk(), world.runtime());
    let reporter = world.creates_as(owner, "room", count(0), storing);
    world.settles();
    let observer = world.subscribes(guest, "room");
    world.settles();
    world.assert_follows(&observer, &reporter);
    (world, owner, guest, reporter, observer)
}

#[test]
fn what_was_written_is_there_again_under_the_same_address_and_is_followed() {
    let (mut world, owner, _, reporter, observer) = room();
    for n in 1..=5 {
        world.writes(&reporter, "n", n);
    }
    world.settles();
    let position = world.reporter(&reporter).position();
    let url = world.machine(owner).url().clone();
    let resumed = world.power_cut(owner);
    assert_eq!(resumed.len(), 1);
    assert_eq!(
        (&resumed[0].seat, resumed[0].role),
        (&reporter, Role::Reporter)
    );
    assert_eq!(*world.machine(owner).url(), url);
    assert_eq!(*world.reporter(&reporter).data(), count(5));
    assert_eq!(world.reporter(&reporter).position(), position);
    world.passes(5_000);
    assert_eq!(world.state(&reporter), "live");
    world.writes(&reporter, "n", 6);
    world.settles();
    world.assert_follows(&observer, &reporter);
    let origins = &world.mirror(&observer).origins;
    assert!(!origins.contains(&Origin::Rewound), "{origins:?}");
    assert_eq!(world.observer(&observer).counters().snapshots, 1);
}

#[test]
fn what_wakes_when_there_is_a_session_already_goes_on_at_once() {
    let (mut world, owner, _, reporter, observer) = room();
    world.starts_asleep(owner);
    world.subscribes_as(owner, "another", "room");
    world.passes(10_000);
    assert_ne!(world.state(&observer), "live");
    world.wakes(owner);
    world.settles();
    world.assert_follows(&observer, &reporter);
}

#[test]
fn a_commit_is_sent_when_it_is_stored_and_not_before() {
    let (mut world, owner, _, reporter, observer) = room();
    world.disk_of(owner).waits = true;
    world.writes(&reporter, "n", 1);
    assert_eq!(world.reporter(&reporter).data()["n"], 1, "shown at once");
    world.collects();
    world.writes(&reporter, "n", 2);
    world.settles();
    assert_eq!(world.data(&observer)["n"], 0);
    assert!(world.writes_to_disk(owner));
    world.settles();
    let first = world.data(&observer)["n"].clone();
    assert!(world.writes_to_disk(owner), "what was written meanwhile");
    world.settles();
    assert_eq!(
        (first, world.data(&observer)["n"].clone()),
        (json!(1), json!(2))
    );
    assert!(!world.writes_to_disk(owner), "nothing more is to be stored");
}

#[test]
fn a_claim_says_where_the_object_stands_when_that_is_stored_and_not_before() {
    let (mut world, owner, _, reporter, _) = room();
    world.disk_of(owner).waits = true;
    world.writes(&reporter, "n", 1);
    world.node_restarts();
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "claiming");
    world.disk_of(owner).waits = false;
    world.writes_to_disk(owner);
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "live");
}

#[test]
fn a_quiet_object_says_where_it_stands_when_that_is_stored_and_not_before() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime_with_disk(), world.client(9));
    let device = world.runtime_with_disk_of(1);
    let takes = |create: &mut Create| {
        (create.store, create.take, create.discard) = (true, true, true);
    };
    let reporter = world.creates_as(owner, "room", count(0), takes);
    world.settles();
    let body = json!({"source": guest.hyperty});
    let to = reporter.object.resource("subscription");
    let answer = world.asks(&guest, "subscribe", &guest.hyperty, to.as_str(), body);
    assert_eq!(answer["body"]["code"], 200, "{answer}");
    world.writes(&reporter, "n", 1);
    world.settles();
    world.creates_as(device, "room", count(0), takes);
    world.settles();
    world.disk_of(owner).waits = true;
    let again = world.creates_as(owner, "room", count(0), takes);
    while world.state(&again) != "live" {
        assert!(world.writes_to_disk(owner));
        world.settles();
    }
    let epoch = world.reporter(&again).position().unwrap().epoch;
    let hashes = |world: &World| {
        let frames = world.frames(&guest).into_iter();
        let said = frames.filter(|frame| frame["body"]["position"][0] == epoch);
        said.filter(|frame| !frame["body"]["hash"].is_null())
            .count()
    };
    world.passes(2 * QUIET_MS);
    assert_eq!(hashes(&world), 0);
    world.writes_to_disk(owner);
    world.settles();
    assert_eq!(hashes(&world), 1);
}

#[test]
fn what_was_written_while_offline_rests_and_is_numbered_in_another_life() {
    let (mut world, owner, _, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    for n in 1..=3 {
        world.writes(&reporter, "n", n);
    }
    world.settles();
    world.power_cut(owner);
    world.writes(&reporter, "n", 4);
    world.collects();
    world.power_cut(owner);
    assert_eq!(*world.reporter(&reporter).data(), count(4));
    assert_eq!(
        world.disk_of(owner).count(Table::Unnumbered),
        1,
        "of this life"
    );
    world.heals(owner);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
    let position = world.reporter(&reporter).position().unwrap();
    assert_eq!(position.version, 4);
    assert_eq!(world.disk_of(owner).count(Table::Unnumbered), 0);
    assert_eq!(
        world.observer(&observer).counters().snapshots,
        1,
        "commits led there"
    );
}

#[test]
fn more_than_its_memory_holds_is_written_offline_and_nothing_of_it_is_lost() {
    let (mut world, owner, _, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    let many = HISTORY_COMMITS_MAX as u64 * 3;
    for n in 1..=many {
        world.writes(&reporter, "n", n);
        world.collects();
    }
    let rows = world.disk_of(owner).rows.len();
    assert!(
        rows < HISTORY_COMMITS_MAX + FOLD_COMMITS_MAX + 10,
        "{rows} rows"
    );
    world.power_cut(owner);
    assert_eq!(*world.reporter(&reporter).data(), count(many));
    world.writes(&reporter, "n", many + 1);
    world.heals(owner);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(
        world.reporter(&reporter).position().unwrap().version,
        many + 1
    );
    world.power_cut(owner);
    assert_eq!(*world.reporter(&reporter).data(), count(many + 1));
}

#[test]
fn commits_are_folded_when_they_outgrow_the_whole() {
    let (mut world, owner, _, reporter, _) = room();
    for n in 1..=3 * FOLD_COMMITS_MAX as u64 {
        world.writes(&reporter, "n", n);
        world.collects();
        let commits = world.disk_of(owner).count(Table::Commits);
        assert!(commits <= FOLD_COMMITS_MAX, "{commits}");
    }
    assert_eq!(world.disk_of(owner).count(Table::Snapshots), 1);
    world.power_cut(owner);
    assert_eq!(
        *world.reporter(&reporter).data(),
        count(3 * FOLD_COMMITS_MAX as u64)
    );
}

/// Invariants 7 and 8: at each batch, and between two, the power is cut once.
#[test]
fn a_power_cut_at_any_batch_leaves_what_was_stored_and_replaces_nothing_that_was_seen() {
    let mut cuts = 0;
    for at in 0.. {
        for done in [false, true] {
            let (mut world, owner, _, reporter, observer) = room();
            world.disk_of(owner).waits = true;
            let steps = world.disk_of(owner).batches + at;
            let mut written = 0;
            let mut stored = 0;
            while world.disk_of(owner).batches < steps && written < 40 {
                written += 1;
                world.writes(&reporter, "n", written);
                match written % 7 {
                    2 => world.describes(&reporter, "floor", json!(written)),
                    3 => world.blinks(owner, InFlight::Lost),
                    5 => world.passes(1_000),
                    _ => world.settles(),
                }
                if written % 2 == 0 {
                    let flush = world.flushes(&reporter).unwrap();
                    world.writes_to_disk(owner);
                    world.settles();
                    if world.place(owner).flushed.contains_key(&flush) {
                        stored = written;
                    }
                }
            }
            if written >= 40 {
                assert!(cuts > 20, "{cuts} cuts");
                return;
            }
            cuts += 1;
            if done {
                world.writes_to_disk(owner);
                world.moves_once();
            }
            let seen = world.data(&observer)["n"].as_u64().unwrap();
            world.power_cut(owner);
            world.disk_of(owner).waits = false;
            let n = world.reporter(&reporter).data()["n"].as_u64().unwrap();
            assert!(n >= seen, "{n} is there, and {seen} was seen");
            assert!(n >= stored && n <= written, "{stored} ≤ {n} ≤ {written}");
            world.passes(40_000);
            world.writes(&reporter, "after", true);
            world.settles();
            world.assert_follows(&observer, &reporter);
            let origins = &world.mirror(&observer).origins;
            assert!(!origins.contains(&Origin::Rewound), "{origins:?}");
        }
    }
}

#[test]
fn a_power_cut_while_claiming_leaves_an_object_that_is_claimed_then() {
    for batches in 0..4 {
        let mut world = World::new();
        let (owner, guest) = (world.runtime_with_disk(), world.runtime());
        let observer = world.subscribes(guest, "room");
        world.settles();
        world.disk_of(owner).waits = true;
        let reporter = world.creates_as(owner, "room", count(0), storing);
        world.writes(&reporter, "n", 1);
        for _ in 0..batches {
            world.moves_once();
            world.moves_once();
            world.writes_to_disk(owner);
        }
        let resumed = world.power_cut(owner);
        world.disk_of(owner).waits = false;
        if batches == 0 {
            assert_eq!(resumed, [], "nothing was stored");
            assert_eq!(
                world.state(&observer),
                "waiting",
                "and nobody has heard of it"
            );
            continue;
        }
        world.passes(5_000);
        world.writes(&reporter, "n", 2);
        world.settles();
        assert_eq!(*world.reporter(&reporter).data(), count(2));
        world.assert_follows(&observer, &reporter);
    }
}

#[test]
fn a_full_disk_is_told_to_who_wants_to_know_and_all_goes_on_when_there_is_room() {
    let (mut world, owner, _, reporter, observer) = room();
    world.disk_of(owner).waits = true;
    world.writes(&reporter, "n", 1);
    let first = world.flushes(&reporter).unwrap();
    world.settles();
    assert!(
        !world.place(owner).flushed.contains_key(&first),
        "it is not stored"
    );
    world.fails_to_write(owner, "the disk is full");
    let full = FlushError::NotStored("the disk is full".into());
    assert_eq!(world.place(owner).flushed[&first], Err(full.clone()));
    world.writes(&reporter, "n", 2);
    assert_eq!(world.flushes(&reporter), Err(full));
    assert_eq!(world.data(&observer)["n"], 0);
    world.writes_to_disk(owner);
    let second = world.flushes(&reporter).unwrap();
    world.writes_to_disk(owner);
    world.settles();
    assert_eq!(world.place(owner).flushed[&second], Ok(()));
    world.assert_follows(&observer, &reporter);
}

#[test]
fn delivered_waits_for_what_is_not_stored() {
    let (mut world, owner, _, reporter, _) = room();
    world.disk_of(owner).waits = true;
    world.writes(&reporter, "n", 1);
    let call = world.delivers(owner);
    world.settles();
    assert!(world.place(owner).delivered.is_empty());
    world.writes_to_disk(owner);
    world.settles();
    assert_eq!(world.place(owner).delivered, [call]);
}

#[test]
fn nothing_rests_of_an_object_without_a_store() {
    let mut world = World::new();
    let owner = world.runtime_with_disk();
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        create.cache = Some(true);
    });
    world.settles();
    world.writes(&reporter, "n", 1);
    world.settles();
    let tables: Vec<_> = world
        .disk_of(owner)
        .rows
        .keys()
        .map(|(table, _)| *table)
        .collect();
    assert_eq!(tables, [Table::Keys, Table::Addresses]);
    let not_kept = Err(FlushError::NotKept(reporter.object.clone()));
    assert_eq!(
        world.flushes(&reporter),
        not_kept,
        "nor does the node store it, as it said at the claim"
    );
    assert_eq!(world.power_cut(owner), []);
}

#[test]
fn a_runtime_without_a_store_says_so() {
    let mut world = World::new();
    let owner = world.runtime();
    let hyperty = world.hyperty(owner, "reporter");
    let create = Create {
        data: json!({}),
        store: true,
        ..Create::default()
    };
    let now = world.now;
    let created = world.machine(owner).create(&hyperty, create, now);
    assert_eq!(created, Err(CallError::NoStore));
}

#[test]
fn who_may_read_and_who_was_let_in_is_known_again() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime_with_disk(), world.runtime());
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        storing(create);
        (create.access, create.approve) = (Access::default(), true);
    });
    world.settles();
    let observer = world.subscribes(guest, "room");
    world.settles();
    let (_, asking) = world.place(owner).asked[0].clone();
    world.machine(owner).decide(asking.number, Ok(()));
    world.settles();
    assert_eq!(world.state(&observer), "live");
    // The node forgets, so that only the Reporter knows.
    world.power_cut(owner);
    world.node_restarts();
    world.passes(60_000);
    assert!(world.place(owner).asked.is_empty(), "it is not asked again");
    world.writes(&reporter, "n", 1);
    world.settles();
    world.assert_follows(&observer, &reporter);
}

#[test]
fn a_deletion_that_was_not_answered_is_said_again_and_then_nothing_rests() {
    let (mut world, owner, _, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    let now = world.now;
    world.machine(owner).delete(&reporter, now).unwrap();
    world.settles();
    world.power_cut(owner);
    assert!(world.tries_to_write(&reporter, "n", 1).is_err());
    world.heals(owner);
    world.passes(60_000);
    assert_eq!(world.state(&observer), "closed");
    assert_eq!(world.state(&reporter), "closed");
    assert_eq!(world.disk_of(owner).count(Table::Snapshots), 0);
    assert_eq!(world.disk_of(owner).count(Table::Claims), 0);
    assert_eq!(world.power_cut(owner), []);
}

#[test]
fn created_again_it_asks_as_the_application_says_then_and_from_then_on() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime_with_disk(), world.runtime());
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        storing(create);
        create.access = Access::default();
    });
    world.settles();
    world.power_cut(owner);
    let again = Create {
        data: count(0),
        url: Some(reporter.object.clone()),
        store: true,
        approve: true,
        ..Create::default()
    };
    let now = world.now;
    let created = world
        .machine(owner)
        .create(&reporter.hyperty, again, now)
        .unwrap();
    assert_eq!(created, reporter);
    world.settles();
    world.power_cut(owner);
    world.settles();
    world.subscribes(guest, "room");
    world.settles();
    assert_eq!(world.place(owner).asked.len(), 1);
}

#[test]
fn creating_it_again_gives_what_went_on_by_itself() {
    let (mut world, owner, _, reporter, _) = room();
    world.writes(&reporter, "n", 1);
    world.settles();
    world.power_cut(owner);
    let hyperty = reporter.hyperty.clone();
    let create = |data| Create {
        data,
        url: Some(reporter.object.clone()),
        store: true,
        ..Create::default()
    };
    let now = world.now;
    let again = world.machine(owner).create(&hyperty, create(count(9)), now);
    assert_eq!(again.as_ref(), Ok(&reporter));
    assert_eq!(*world.reporter(&reporter).data(), count(1));
    let twice = world.machine(owner).create(&hyperty, create(count(9)), now);
    assert_eq!(twice, Err(CallError::Reported(reporter.object.clone())));
}

#[test]
fn who_lost_its_object_gets_back_what_it_wrote_beside_and_takes_it_up_as_it_is() {
    let (mut world, owner, _, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    world.power_cut(owner);
    world.writes(&reporter, "mine", true);
    world.settles();
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(7), |create| {
        (create.take, create.discard) = (true, true);
    });
    world.passes(60_000);
    world.power_cut(owner);
    world.heals(owner);
    world.passes(60_000);
    let held = match world.states(&reporter).last() {
        Some(State::Closed(refusal)) => refusal.reason,
        state => panic!("{state:?}"),
    };
    assert_eq!(held, Some(Reason::Held));
    assert_eq!(world.place(owner).rejected[0].1.len(), 1, "it is not lost");
    assert_eq!(*world.reporter(&reporter).data(), count(7));
    let reporter = world.creates_as(owner, "room", count(8), |create| {
        storing(create);
        create.take = true;
    });
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "live");
    assert_eq!(world.place(owner).rejected.len(), 1);
    assert_eq!(world.state(&second), "closed");
    world.writes(&reporter, "n", 10);
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.power_cut(owner);
    assert_eq!(world.reporter(&reporter).data()["n"], 10);
    assert_eq!(world.reporter(&reporter).data().get("mine"), None);
}

#[test]
fn delivered_does_not_wait_for_what_was_given_back() {
    let (mut world, owner, _, reporter, _) = room();
    world.cut(owner, InFlight::Lost);
    world.power_cut(owner);
    for n in 1..=3 {
        world.writes(&reporter, "n", n);
    }
    let device = world.runtime_of(1);
    world.creates_as(device, "room", count(7), |create| {
        (create.take, create.discard) = (true, true);
    });
    world.passes(60_000);
    world.power_cut(owner);
    world.heals(owner);
    world.passes(60_000);
    let reporter = world.creates_as(owner, "room", count(8), |create| {
        storing(create);
        create.take = true;
    });
    let call = world.delivers(owner);
    world.passes(60_000);
    assert_eq!(world.state(&reporter), "live");
    assert_eq!(world.place(owner).rejected.len(), 1);
    assert_eq!(world.place(owner).delivered, [call]);
}

#[test]
fn an_object_of_this_runtime_alone_rests_too() {
    let mut world = World::new();
    let owner = world.runtime_with_disk();
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        storing(create);
        create.local = true;
    });
    let observer = world.subscribes(owner, "room");
    world.writes(&reporter, "n", 1);
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.power_cut(owner);
    let observer = world.subscribes(owner, "room");
    world.writes(&reporter, "n", 2);
    world.settles();
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.data(&observer)["n"], 2);
}

#[test]
fn flushed_waits_for_the_node_too_where_that_stores_the_object() {
    let mut world = World::with_disk();
    world.passes(1_000);
    let owner = world.runtime_with_disk();
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        storing(create);
        create.cache = Some(true);
    });
    world.passes(5_000);
    world.disk().waits = true;
    world.writes(&reporter, "n", 1);
    let call = world.flushes(&reporter).unwrap();
    world.settles();
    assert!(
        !world.place(owner).flushed.contains_key(&call),
        "it is stored here alone"
    );
    world.disk().waits = false;
    world.stores();
    world.passes(5_000);
    assert_eq!(world.place(owner).flushed[&call], Ok(()));
}
