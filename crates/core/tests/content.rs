//! A node that keeps what an object holds (protocol.md §7): it answers readers itself, whether the Reporter
//! is there or not, and what it keeps is bounded.

use byline_core::limits::{GRACE_MS, STORED_SAID_MS};
use byline_core::runtime::{Create, FlushError, Seat};
use byline_core::storage::Table;
use byline_core::{State, stream::Position};
use serde_json::{Value, json};

use crate::world::disk::Cut;
use crate::world::kitchen::{KITCHEN, answers_readers, code};
use crate::world::room::{closed, kicks, writes_up_to};
use crate::world::{Client, InFlight, Who, World, count, of, sm};

fn kept(create: &mut Create) {
    create.cache = Some(true);
}

/// A Reporter whose object the node keeps, and that has written five times.
fn room(mut world: World) -> (World, Who, Seat) {
    let owner = world.runtime();
    let reporter = world.creates_as(owner, "room", count(0), kept);
    world.settles();
    writes_up_to(&mut world, &reporter, 1..=5);
    world.settles();
    assert_eq!(world.node.gauges().kept_objects, 1);
    (world, owner, reporter)
}

/// A Reporter that says everything itself and holds the kitchen, which the node keeps.
fn kitchen(mut world: World) -> (World, Client, u64) {
    let reporter = world.client(1);
    let claimed = world.claims(&reporter, KITCHEN, json!({"cache": true}));
    assert_eq!(claimed["body"]["cache"], true, "{claimed}");
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    answers_readers(&mut world, &reporter, (epoch, 0));
    assert_eq!(world.node.gauges().kept_objects, 1);
    (world, reporter, epoch)
}

/// Commits the versions from `first` on, without a look at what is answered.
fn burst(
    world: &mut World,
    epoch: u64,
    reporter: &Client,
    versions: std::ops::RangeInclusive<u64>,
) {
    for version in versions {
        let body = json!({"epoch": epoch, "version": version, "source": reporter.hyperty,
            "lastModified": "2026-11-21T10:00:00Z", "attribute": "n", "value": version});
        let to = format!("{KITCHEN}/changes");
        let frame = json!({"id": null, "type": "update", "from": KITCHEN, "to": to, "body": body});
        world.says(reporter, &frame.to_string());
    }
}

fn subscribes(world: &mut World, client: &Client, hyperty: &str, have: Value) -> Value {
    let body = json!({"source": hyperty, "have": have});
    let to = format!("{KITCHEN}/subscription");
    world.asks(client, "subscribe", hyperty, &to, body)
}

#[test]
fn who_joins_while_the_reporter_is_away_has_the_last_state_and_knows_that_it_is_stale() {
    let (mut world, owner, reporter) = room(World::new());
    world.cut(owner, InFlight::Lost);
    for ms in [0, 2 * GRACE_MS] {
        world.passes(ms);
        let guest = world.runtime();
        let observer = world.subscribes(guest, "room");
        world.settles();
        assert_eq!(world.state(&observer), "stale", "after {ms} ms");
        world.assert_equal(&observer, &reporter);
    }
    let guest = world.runtime();
    let observer = world.subscribes(guest, "room");
    let read = world.reads(guest, "room");
    world.settles();
    assert_eq!(
        world.place(guest).reads[&read][0].as_ref().unwrap().data["n"],
        5
    );
    world.heals(owner);
    world.passes(60_000);
    world.writes(&reporter, "n", 6);
    world.passes(1_000);
    world.assert_follows(&observer, &reporter);
    world.assert_all_answered();
}

#[test]
fn whoever_the_node_answers_follows_live_and_the_reporter_hears_nothing_of_it() {
    let (mut world, owner, reporter) = room(World::new());
    let before = world.place(owner).received.len();
    let guest = world.runtime();
    let observer = world.subscribes(guest, "room");
    world.settles();
    world.writes(&reporter, "n", 6);
    world.settles();
    world.assert_follows(&observer, &reporter);
    world.cut(guest, InFlight::Lost);
    writes_up_to(&mut world, &reporter, 7..=9);
    world.settles();
    world.heals(guest);
    world.passes(50);
    let heard = world.place(owner).received[before..].iter();
    let asked = heard.filter(|frame| !frame.contains("\"presence\""));
    assert_eq!(asked.count(), 0);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
}

#[test]
fn a_thousand_readers_are_current_again_without_one_message_to_the_reporter() {
    let mut world = World::new();
    let clients: Vec<_> = (2..6).map(|identity| world.client(identity)).collect();
    let (mut world, reporter, epoch) = kitchen(world);
    burst(&mut world, epoch, &reporter, 1..=20);
    let before = world.frames(&reporter).len();
    for client in clients {
        for one in 0..250 {
            let hyperty = format!("{}{one}", client.hyperty);
            let have = json!({"data": [epoch, 15 + one % 6]});
            let answer = subscribes(&mut world, &client, &hyperty, have);
            assert_eq!(answer["body"]["position"], json!([epoch, 20]), "{answer}");
            let commits = answer["body"]["commits"].as_array();
            let value = answer["body"].get("value");
            assert!(commits.is_some() != value.is_some());
        }
    }
    assert_eq!(world.frames(&reporter).len(), before);
    assert_eq!(world.node.counters().kept_answers, 1_000);
    world.passes(1_000);
    let told = world.frames(&reporter).split_off(before);
    assert!(
        told.iter()
            .all(|frame| frame["body"]["method"] == "presence")
    );
}

#[test]
fn after_a_hundred_thousand_commits_what_rests_and_what_joining_costs_is_as_after_a_hundred() {
    let (mut world, reporter, epoch) = kitchen(World::with_disk());
    let mut costs = vec![];
    let mut first = 1;
    for last in [100, 100_000] {
        burst(&mut world, epoch, &reporter, first..=last);
        first = last + 1;
        let joining = world.client(2);
        let answer = subscribes(&mut world, &joining, &joining.hyperty, Value::Null);
        assert_eq!(answer["body"]["value"]["data"]["n"], last, "{answer}");
        let bytes = answer.to_string().len();
        costs.push(bytes);
        let rows = world.disk().table(Table::Commits).len();
        assert!(rows <= 1_024, "{rows} commits rest");
        assert!(world.disk().bytes() < 300_000, "{}", world.disk().bytes());
        let (held, bytes) = (world.node.gauges().kept_bytes, world.disk().bytes());
        assert!(held < 300_000, "{held} bytes are kept, {bytes} rest");
    }
    assert!(costs[1] <= costs[0] + 20, "{costs:?}");
}

#[test]
fn a_claimant_that_has_diverged_learns_from_the_node_when_nobody_else_has_the_object() {
    let (mut world, owner, _) = room(World::new());
    world.cut(owner, InFlight::Lost);
    world.passes(GRACE_MS * 2);
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "room", count(50), kept);
    world.passes(10_000);
    assert_eq!(world.state(&second), "live");
    assert_eq!(
        world.reporter(&second).data()["n"],
        5,
        "it goes on from there"
    );
    let guest = world.runtime();
    let observer = world.subscribes(guest, "room");
    world.writes(&second, "n", 51);
    world.settles();
    world.assert_follows(&observer, &second);
    // And the first, which knows nothing of that, hands back what it has beside it.
    world.heals(owner);
    world.passes(60_000);
    world.assert_follows(&observer, &second);
}

#[test]
fn who_may_not_read_gets_nothing_and_whom_the_record_leaves_open_is_the_reporters_to_decide_on() {
    let (mut world, reporter, _) = kitchen(World::new());
    let (denied, anonymous) = (world.client(2), world.client(3));
    let identity = denied.identity();
    let kick = json!({"method": "kick", "params": [KITCHEN, identity.as_str(), 403, "out"]});
    assert_eq!(
        code(&world.asks(&reporter, "execute", &reporter.hyperty, &sm(), kick)),
        200
    );
    assert_eq!(code(&world.subscribes_raw(&denied, KITCHEN)), 403);
    let private = json!({"public": false});
    let access = json!({"method": "access", "params": [KITCHEN, private]});
    world.asks(&reporter, "execute", &reporter.hyperty, &sm(), access);
    assert_eq!(world.subscribes_raw(&anonymous, KITCHEN), Value::Null);
    let asked = world.frames(&reporter).pop().unwrap();
    assert_eq!(asked["type"], "subscribe");
    // Its owner, at another device, needs nobody's word.
    let device = world.client(1);
    assert_eq!(code(&world.subscribes_raw(&device, KITCHEN)), 200);
}

#[test]
fn a_deletion_and_a_claim_that_wants_none_of_it_remove_what_is_kept() {
    let (mut world, reporter, epoch) = kitchen(World::with_disk());
    burst(&mut world, epoch, &reporter, 1..=3);
    assert_eq!(world.disk().table(Table::Snapshots).len(), 1);
    assert_eq!(world.disk().table(Table::Commits).len(), 3);
    let claimed = world.claims(&reporter, KITCHEN, json!({"base": [epoch, 3]}));
    assert_eq!(claimed["body"]["cache"], false);
    let nothing = |world: &mut World| {
        assert!(world.disk().table(Table::Snapshots).is_empty());
        assert!(world.disk().table(Table::Commits).is_empty());
        assert_eq!(world.node.gauges().kept_bytes, 0);
    };
    nothing(&mut world);
    let claimed = world.claims(
        &reporter,
        KITCHEN,
        json!({"base": [epoch, 3], "cache": true}),
    );
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    let read = world.frames(&reporter).pop().unwrap();
    assert_eq!(read["type"], "read", "it is asked for anew");
    let body = json!({"code": 200, "epoch": epoch, "position": [epoch - 1, 3],
        "value": {"url": KITCHEN, "data": {"n": 3}}});
    let answer = json!({"id": read["id"], "type": "response", "from": read["to"], "to": read["from"],
        "body": body});
    world.says(&reporter, &answer.to_string());
    assert_eq!(world.disk().table(Table::Snapshots).len(), 1);
    world.deletes(&reporter, KITCHEN);
    nothing(&mut world);
}

#[test]
fn of_more_than_may_be_kept_what_was_not_used_the_longest_is_dropped() {
    let mut world = World::with_disk();
    world.node.keep_content(200_000);
    let owner = world.runtime();
    let large = || json!({"n": 0, "pad": "x".repeat(60_000)});
    let seats: Vec<Seat> = ["a", "b", "c"]
        .iter()
        .map(|id| world.creates_as(owner, id, large(), kept))
        .collect();
    world.settles();
    assert_eq!(world.node.gauges().kept_objects, 3);
    world.writes(&seats[0], "n", 1);
    world.settles();
    world.creates_as(owner, "d", large(), kept);
    world.settles();
    assert!(world.node.gauges().kept_bytes <= 200_000);
    let snapshots = world.disk().table(Table::Snapshots);
    let rests = |id: &str| snapshots.contains_key(&format!("ctxt://localhost/{id}"));
    assert!(
        !rests("b") && rests("a") && rests("d"),
        "b was used the longest ago"
    );
    let guest = world.runtime();
    let observer = world.subscribes(guest, "b");
    world.settles();
    world.assert_follows(&observer, &seats[1]);
}

#[test]
fn flushed_does_not_wait_for_a_node_that_keeps_the_object_no_longer() {
    let mut world = World::with_disk();
    world.node.keep_content(100_000);
    let owner = world.runtime_with_disk();
    let large = || json!({"n": 0, "pad": "x".repeat(60_000)});
    let stored = world.creates_as(owner, "a", large(), |create| {
        kept(create);
        create.store = true;
    });
    let only_kept = world.creates_as(owner, "b", large(), kept);
    world.passes(1_000);
    world.creates_as(owner, "c", large(), kept);
    world.passes(1_000);
    for seat in [&stored, &only_kept] {
        world.writes(seat, "n", 1);
    }
    let calls = [&stored, &only_kept].map(|seat| world.flushes(seat).unwrap());
    world.passes(40_000);
    let flushed = &world.place(owner).flushed;
    assert_eq!(flushed.get(&calls[0]), Some(&Ok(())), "it is stored here");
    assert_eq!(
        flushed.get(&calls[1]),
        Some(&Err(FlushError::NotKept(only_kept.object.clone())))
    );
}

#[test]
fn a_reporter_hears_what_survives_a_power_cut_and_not_more_often_than_it_should() {
    let (mut world, reporter, epoch) = kitchen(World::with_disk());
    let stored = |world: &World| {
        let frames = world.frames(&reporter).into_iter();
        let heard = frames.filter_map(|frame| frame["body"]["stored"].as_u64());
        heard.collect::<Vec<_>>()
    };
    assert_eq!(stored(&world), [0], "the whole");
    burst(&mut world, epoch, &reporter, 1..=50);
    assert_eq!(stored(&world), [0]);
    world.passes(STORED_SAID_MS);
    assert_eq!(stored(&world), [0, 50]);
    world.passes(10 * STORED_SAID_MS);
    assert_eq!(stored(&world), [0, 50], "there is nothing new");
    world.disk().waits = true;
    burst(&mut world, epoch, &reporter, 51..=51);
    world.passes(STORED_SAID_MS);
    assert_eq!(stored(&world), [0, 50], "not before it is stored");
    world.stores();
    assert_eq!(stored(&world), [0, 50, 51]);
}

#[test]
fn a_restarted_node_serves_what_it_kept_though_nobody_reports_it() {
    let (mut world, owner, reporter) = room(World::with_disk());
    let guest = world.runtime();
    let observer = world.subscribes(guest, "room");
    world.settles();
    let before = world.reporter(&reporter).position();
    world.cut(owner, InFlight::Lost);
    world.node_restarts();
    world.passes(60_000);
    assert_eq!(world.state(&observer), "stale");
    let late = world.runtime();
    let late = world.subscribes(late, "room");
    world.passes(1_000);
    assert_eq!(world.state(&late), "stale");
    assert_eq!(world.observer(&late).position(), before);
    world.heals(owner);
    world.passes(60_000);
    world.writes(&reporter, "n", 6);
    world.passes(1_000);
    world.assert_follows(&late, &reporter);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.observer(&observer).counters().rewinds, 0);
}

/// A reader joins while its Reporter is away, after a burst; the power fails at some batch.
fn story(cut: Option<Cut>) -> usize {
    let mut world = World::with_disk();
    world.disk().cut = cut;
    let owner = world.runtime();
    let reporter = world.creates_as(owner, "room", count(0), kept);
    world.passes(60_000);
    for n in 1..=10 {
        world.writes(&reporter, "n", n);
        world.moves_once();
    }
    world.passes(60_000);
    world.cut(owner, InFlight::Delivered);
    world.passes(60_000);
    let guest = world.runtime();
    let observer = world.subscribes(guest, "room");
    world.passes(60_000);
    assert_eq!(world.state(&observer), "stale", "{cut:?}");
    assert_eq!(world.data(&observer)["n"], 10, "{cut:?}");
    world.heals(owner);
    world.passes(60_000);
    world.writes(&reporter, "n", 11);
    world.passes(60_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(world.observer(&observer).counters().rewinds, 0);
    world.assert_all_answered();
    world.disk().batches
}

#[test]
fn whenever_the_power_fails_what_the_node_keeps_is_what_its_reporter_wrote() {
    let batches = story(None);
    assert!(batches > 10, "{batches}");
    for at in 1..=batches {
        story(Some(Cut::Before(at)));
        story(Some(Cut::After(at)));
    }
}

#[test]
fn trace_10_with_a_store_a_device_that_lost_its_last_commit_goes_on_from_the_nodes() {
    let (mut world, reporter, epoch) = kitchen(World::with_disk());
    burst(&mut world, epoch, &reporter, 1..=2);
    world.node_restarts();
    let device = world.client(1);
    let refused = world.claims(&device, KITCHEN, json!({"base": [epoch, 1], "cache": true}));
    assert_eq!(of(&refused, "reason"), "diverged", "not alone: {refused}");
    let have = json!({"source": device.hyperty, "have": {"data": [epoch, 1]}});
    let read = world.asks(&device, "read", &device.hyperty, KITCHEN, have);
    assert_eq!(read["body"]["value"]["data"]["n"], 2, "{read}");
    let claimed = world.claims(&device, KITCHEN, json!({"base": [epoch, 2], "cache": true}));
    assert_eq!(code(&claimed), 200, "{claimed}");
}

#[test]
fn what_a_reader_has_seen_that_the_kept_stream_lacks_is_told() {
    let (mut world, reporter, epoch) = kitchen(World::new());
    burst(&mut world, epoch, &reporter, 1..=2);
    // Another history: a fresh start, two commits long.
    let afresh = json!({"base": null, "cache": true});
    let claimed = world.claims(&reporter, KITCHEN, afresh);
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    let read = world.frames(&reporter).pop().unwrap();
    assert_eq!(read["type"], "read");
    let body = json!({"code": 200, "epoch": epoch, "position": [epoch, 0], "lineage": [[epoch - 1, 1]],
        "value": {"url": KITCHEN, "data": {"n": 0}}});
    let answer = json!({"id": read["id"], "type": "response", "from": read["to"], "to": read["from"],
        "body": body});
    world.says(&reporter, &answer.to_string());
    let reader = world.client(2);
    let have = json!({"data": [epoch - 1, 2]});
    let answer = subscribes(&mut world, &reader, &reader.hyperty, have);
    assert_eq!(answer["body"]["kept"], json!([epoch - 1, 1]), "{answer}");
}

#[test]
fn a_kick_is_before_every_answer_from_what_is_kept() {
    let (mut world, owner, reporter) = room(World::with_disk());
    let guest = world.runtime();
    let observer = world.subscribes(guest, "room");
    world.settles();
    let call = kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &observer).unwrap().0, 403);
    world.cut(owner, InFlight::Lost);
    world.node_restarts();
    let again = world.subscribes_as(guest, "again", "room");
    world.passes(60_000);
    match world.states(&again).last() {
        Some(State::Closed(refusal)) => {
            assert_eq!(refusal.code, 403);
        }
        state => panic!("{state:?}"),
    }
    assert_eq!(world.observer(&again).position(), None::<Position>);
}

#[test]
fn who_begins_afresh_hears_nothing_of_what_was_stored_before() {
    let (mut world, reporter, epoch) = kitchen(World::with_disk());
    burst(&mut world, epoch, &reporter, 1..=2);
    world.disk().waits = true;
    world.claims(&reporter, KITCHEN, json!({"cache": true, "base": null}));
    world.passes(STORED_SAID_MS);
    world.stores();
    let frames = world.frames(&reporter).into_iter();
    let heard = frames.filter_map(|frame| frame["body"]["stored"].as_u64());
    assert_eq!(heard.collect::<Vec<_>>(), [0], "of the first claim");
}

#[test]
fn who_begins_afresh_hears_nothing_of_what_was_being_stored() {
    let (mut world, reporter, epoch) = kitchen(World::with_disk());
    world.passes(STORED_SAID_MS);
    world.disk().waits = true;
    burst(&mut world, epoch, &reporter, 1..=2);
    world.claims(&reporter, KITCHEN, json!({"base": null}));
    world.stores();
    world.stores();
    world.passes(STORED_SAID_MS);
    let frames = world.frames(&reporter).into_iter();
    let heard = frames.filter_map(|frame| frame["body"]["stored"].as_u64());
    assert_eq!(heard.collect::<Vec<_>>(), [0], "of the first claim");
}
