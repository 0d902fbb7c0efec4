//! What an object says of itself beside its data, and how that changes.

use byline_core::address::Address;
use byline_core::limits::{HISTORY_COMMITS_MAX, METADATA_BYTES_MAX};
use byline_core::object::Metadata;
use byline_core::runtime::Seat;
use byline_core::stream::{
    Commit, CommitHeader, ObserverStream, Origin, Position, ReporterStream, WriteError, Written,
};
use byline_core::time::Time;
use serde_json::{Map, Value, json};

use crate::world::kitchen::{KITCHEN, code, kitchen};
use crate::world::room::pair;
use crate::world::{InFlight, World, count};

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn describes(world: &mut World, reporter: &Seat, patch: Value) {
    let (who, now) = (world.who(reporter), world.now);
    let machine = world.machine(who);
    assert_eq!(machine.describe(reporter, map(patch), now), Ok(true));
    world.settles();
}

fn said(world: &World, observer: &Seat) -> (Option<String>, Map<String, Value>) {
    let metadata = world.observer(observer).metadata().unwrap().clone();
    (metadata.name, metadata.more)
}

fn stream() -> ReporterStream {
    let hyperty = Address::parse("hyperty://localhost/h").unwrap();
    let mut reporter = ReporterStream::new(Metadata::new(KITCHEN), hyperty, count(0)).unwrap();
    reporter.claimed(7, Position::new(7, 0));
    reporter
}

fn observing(reporter: &mut ReporterStream) -> ObserverStream {
    let mut observer = ObserverStream::new();
    observer.content(&reporter.content(None, false));
    observer
}

/// The body of a commit at [7, 1] with these fields.
fn body(fields: &str) -> String {
    format!(r#"{{"epoch":7,"version":1,"source":"hyperty://localhost/h",{fields}}}"#)
}

#[test]
fn readers_learn_what_an_object_says_of_itself() {
    let (mut world, _, _, reporter, observer) = pair();
    describes(
        &mut world,
        &reporter,
        json!({"name": "kitchen", "floor": 2, "open": true}),
    );
    assert_eq!(
        said(&world, &observer),
        (
            Some("kitchen".into()),
            map(json!({"floor": 2, "open": true}))
        )
    );
    world.assert_follows(&observer, &reporter);
    describes(
        &mut world,
        &reporter,
        json!({"name": null, "open": null, "floor": [1]}),
    );
    assert_eq!(said(&world, &observer), (None, map(json!({"floor": [1]}))));
    // Who comes later has it with the snapshot.
    let guest = world.runtime();
    let late = world.subscribes(guest, "kitchen");
    world.settles();
    assert_eq!(said(&world, &late), said(&world, &observer));
}

#[test]
fn who_was_away_is_told_once_that_it_is_another() {
    let (mut world, _, guest, reporter, observer) = pair();
    world.cut(guest, InFlight::Lost);
    describes(&mut world, &reporter, json!({"floor": 1}));
    describes(&mut world, &reporter, json!({"floor": 2}));
    world.heals(guest);
    world.passes(5_000);
    world.assert_follows(&observer, &reporter);
    assert_eq!(said(&world, &observer).1, map(json!({"floor": 2})));
    assert_eq!(
        world.mirror(&observer).origins,
        [Origin::Snapshot, Origin::CatchUp]
    );
}

#[test]
fn what_is_said_while_claiming_is_sent_with_the_claim() {
    let mut world = World::new();
    let (owner, guest) = (world.runtime(), world.runtime());
    let observer = world.subscribes(guest, "kitchen");
    let reporter = world.creates(owner, "kitchen", count(0));
    let now = world.now;
    let patch = map(json!({"name": "kitchen"}));
    assert_eq!(
        world.machine(owner).describe(&reporter, patch, now),
        Ok(true)
    );
    world.settles();
    assert_eq!(world.reporter(&reporter).position().unwrap().version, 1);
    world.assert_follows(&observer, &reporter);
    assert_eq!(said(&world, &observer).0.as_deref(), Some("kitchen"));
}

#[test]
fn a_step_says_whether_the_metadata_is_another() {
    let mut reporter = stream();
    let mut observer = observing(&mut reporter);
    let now = Time::from_unix_ms(9_000);
    assert_eq!(reporter.describe(map(json!({"name": "a"})), now), Ok(true));
    let step = observer
        .commit(reporter.next_unsent().unwrap().unwrap().get())
        .changed
        .remove(0);
    assert_eq!((step.metadata, step.edits.len()), (true, 0));
    reporter.replace(count(1), now).unwrap();
    let step = observer
        .commit(reporter.next_unsent().unwrap().unwrap().get())
        .changed
        .remove(0);
    assert_eq!((step.metadata, step.edits.len()), (false, 1));
    // As one net change.
    let have = observer.have();
    for n in [2, 3] {
        reporter.replace(count(n), now.plus_ms(n)).unwrap();
    }
    let step = observer
        .content(&reporter.content(have, false))
        .changed
        .remove(0);
    assert_eq!((step.metadata, step.origin), (false, Origin::CatchUp));
    let have = observer.have();
    reporter.describe(map(json!({"name": "b"})), now).unwrap();
    reporter.replace(count(4), now).unwrap();
    let step = observer
        .content(&reporter.content(have, false))
        .changed
        .remove(0);
    assert_eq!(
        (step.metadata, step.origin, step.edits.len()),
        (true, Origin::CatchUp, 1)
    );
    reporter.replace(count(5), now).unwrap();
    // When it was changed is no change of it.
    let step = observer
        .content(&reporter.content(None, false))
        .changed
        .remove(0);
    assert_eq!((step.metadata, step.origin), (false, Origin::Snapshot));
}

#[test]
fn what_is_the_same_is_no_commit_and_what_may_not_be_said_changes_nothing() {
    let mut reporter = stream();
    let now = Time::from_unix_ms(9_000);
    assert_eq!(
        reporter.describe(map(json!({"name": "a", "x": 1})), now),
        Ok(true)
    );
    let before = reporter.metadata().clone();
    for patch in [
        json!({}),
        json!({"name": "a"}),
        json!({"x": 1.0, "gone": null}),
    ] {
        assert_eq!(reporter.describe(map(patch), now), Ok(false));
    }
    for fixed in [
        "url",
        "schema",
        "reporter",
        "runtime",
        "created",
        "lastModified",
        "epoch",
        "version",
        "data",
    ] {
        let refused = reporter
            .describe(map(json!({"name": "b", fixed: "c"})), now)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("`{fixed}` of an object must be left as it is")
        );
    }
    for wrong in [
        json!({"name": 1}),
        json!({"status": []}),
        json!({"x": 1e300 as u64}),
    ] {
        reporter.describe(map(wrong), now).unwrap_err();
    }
    let large = map(json!({"x": "y".repeat(METADATA_BYTES_MAX)}));
    let refused = reporter.describe(large.clone(), now).unwrap_err();
    assert!(
        matches!(
            refused,
            WriteError::TooLarge {
                what: "metadata",
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!((reporter.metadata(), reporter.unsent()), (&before, 1));
    let hyperty = Address::parse("hyperty://localhost/h").unwrap();
    let metadata = Metadata {
        more: large,
        ..Metadata::new(KITCHEN)
    };
    assert!(ReporterStream::new(metadata, hyperty, json!({})).is_err());
}

#[test]
fn a_commit_may_change_both_and_is_visible_whole_or_not_at_all() {
    let mut reporter = stream();
    let mut observer = observing(&mut reporter);
    let both = body(r#""metadata":{"name":"a"},"attribute":"n","value":1"#);
    CommitHeader::peek(&both).unwrap();
    let step = observer.commit(&both).changed.remove(0);
    assert_eq!((step.metadata, step.edits.len()), (true, 1));
    let name = |observer: &ObserverStream| observer.metadata().unwrap().name.clone();
    assert_eq!(name(&observer).as_deref(), Some("a"));
    for (fields, why) in [
        (
            r#""metadata":{"name":"b"},"attribute":"x.y","value":1"#,
            "the data does not fit",
        ),
        (
            r#""metadata":{"name":5},"attribute":"n","value":2"#,
            "a name is text",
        ),
    ] {
        let next = body(fields).replace(r#""version":1"#, r#""version":2"#);
        CommitHeader::peek(&next).unwrap();
        let mut observer = observing(&mut reporter);
        observer.commit(&both);
        assert!(observer.commit(&next).recover, "{why}");
        assert_eq!(name(&observer).as_deref(), Some("a"), "{why}");
        assert_eq!(observer.data().unwrap()["n"], 1, "{why}");
    }
}

#[test]
fn a_copy_whose_metadata_grows_over_its_limit_is_closed() {
    let mut reporter = stream();
    let mut observer = observing(&mut reporter);
    for version in 1..=2 {
        let half = "x".repeat(METADATA_BYTES_MAX / 2);
        let fields = format!(r#""metadata":{{"field-{version}":"{half}"}}"#);
        let next = body(&fields).replace(r#""version":1"#, &format!(r#""version":{version}"#));
        let closed = observer.commit(&next).closed;
        assert_eq!(closed.is_some(), version > 1);
        if let Some(refusal) = closed {
            assert_eq!(refusal.code, 413);
        }
    }
}

#[test]
fn node_and_readers_refuse_the_same_metadata() {
    for fields in [
        r#""metadata":{}"#,
        r#""metadata":[]"#,
        r#""metadata":"name""#,
        r#""metadata":null"#,
        r#""metadata":{"schema":"other"}"#,
        r#""metadata":{"name":"a","reporter":null}"#,
        r#""metadata":{"data":{}},"attribute":"n","value":1"#,
        r#""metadata":{"name":"a"},"changes":[]"#,
        r#""metadata":{"name":"a"},"attribute":7"#,
    ] {
        let body = body(fields);
        for refusal in [
            CommitHeader::peek(&body).unwrap_err(),
            Commit::decode(&body).unwrap_err(),
        ] {
            assert_eq!(refusal.code, 400, "{fields}");
        }
    }
    let (mut world, reporter, reader, epoch) = kitchen();
    let says = |world: &mut World, metadata: Value| {
        let body =
            json!({"epoch": epoch, "version": 1, "source": reporter.hyperty, "metadata": metadata});
        world.asks(
            &reporter,
            "update",
            KITCHEN,
            &format!("{KITCHEN}/changes"),
            body,
        )
    };
    assert_eq!(code(&says(&mut world, json!({"runtime": "mine"}))), 400);
    assert_eq!(
        says(&mut world, json!({"name": "the kitchen"})),
        Value::Null
    );
    let passed = world.frames(&reader).pop().unwrap();
    assert_eq!(passed["body"]["metadata"], json!({"name": "the kitchen"}));
}

#[test]
fn what_a_second_device_said_beside_comes_back() {
    let (mut world, _, _, reporter, _) = pair();
    describes(&mut world, &reporter, json!({"name": "first"}));
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "kitchen", count(50), |create| create.take = true);
    let now = world.now;
    let metadata = map(json!({"name": "second"}));
    world
        .machine(device)
        .describe(&second, metadata.clone(), now)
        .unwrap();
    world.passes(10_000);
    let written = Written {
        metadata,
        ..Written::default()
    };
    assert_eq!(
        world.place(device).rejected,
        [(second.clone(), vec![written])]
    );
    assert_eq!(
        world.reporter(&second).metadata().name.as_deref(),
        Some("first")
    );
}

#[test]
fn metadata_commits_are_remembered_as_all_others_are() {
    let mut reporter = stream();
    for n in 0..=HISTORY_COMMITS_MAX {
        let now = Time::from_unix_ms(9_000);
        reporter.describe(map(json!({"n": n})), now).unwrap();
    }
    assert!(!reporter.reaches(Position::new(7, 0)));
    assert!(reporter.reaches(Position::new(7, 1)));
}
