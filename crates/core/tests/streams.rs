//! What an Observer's stream does with commits that come twice, late, early or wrong.

use std::collections::BTreeSet;

use byline_core::address::Address;
use byline_core::limits::{GAP_COMMITS_MAX, HASH_BYTES_MAX, HASH_EVERY_MS};
use byline_core::object::{Change, Hash, Metadata, Path};
use byline_core::stream::{Commit, Head, ObserverStream, Origin, Position, ReporterStream};
use byline_core::time::Time;
use serde_json::{Value, json};

const EPOCH: u64 = 7;

fn hyperty() -> Address {
    Address::parse("hyperty://localhost/h").unwrap()
}

fn at(version: u64) -> Position {
    Position::new(EPOCH, version)
}

/// A Reporter that is claimed, and a copy of its first state.
fn pair() -> (ReporterStream, ObserverStream) {
    let data = json!({"n": 0, "pad": "x".repeat(2_000)});
    let metadata = Metadata::new("ctxt://localhost/kitchen");
    let mut reporter = ReporterStream::new(metadata, hyperty(), data).unwrap();
    reporter.claimed(EPOCH, at(0));
    let mut observer = ObserverStream::new();
    let reaction = observer.content(&reporter.content(None, false));
    assert_eq!(reaction.changed.len(), 1);
    (reporter, observer)
}

fn set(key: &str, value: impl Into<Value>) -> Vec<Change> {
    let path = Path::root().child(key);
    let value = value.into();
    vec![Change::Set { path, value }]
}

fn head(epoch: u64, position: Position, hash: Option<Hash>) -> Head {
    Head {
        epoch,
        position,
        reporter: hyperty(),
        identity: None,
        owners: BTreeSet::new(),
        live: true,
        since: None,
        hash,
        children: None,
        missed: false,
        stored: None,
    }
}

/// The bodies of the commits that set `n` to these numbers.
fn commits(reporter: &mut ReporterStream, n: std::ops::RangeInclusive<u64>) -> Vec<String> {
    let written = n.map(|n| {
        reporter.write(set("n", n), Time::default()).unwrap();
        reporter.next_unsent().unwrap().unwrap().get().to_owned()
    });
    written.collect()
}

#[test]
fn a_commit_that_comes_twice_is_applied_once() {
    let (mut reporter, mut observer) = pair();
    let commits = commits(&mut reporter, 1..=2);
    for body in [
        &commits[0],
        &commits[0],
        &commits[1],
        &commits[0],
        &commits[1],
    ] {
        assert!(!observer.commit(body).recover);
    }
    assert_eq!(observer.steps(), 3);
    assert_eq!(observer.counters().duplicates, 3);
    assert_eq!(observer.data(), Some(reporter.data()));
}

#[test]
fn a_gap_is_recovered_and_what_came_before_is_kept() {
    let (mut reporter, mut observer) = pair();
    let commits = commits(&mut reporter, 1..=4);
    for body in [&commits[3], &commits[1], &commits[2]] {
        let reaction = observer.commit(body);
        assert!(reaction.recover && reaction.changed.is_empty());
    }
    assert_eq!(observer.position(), Some(at(0)), "never a skip");
    // The missing one comes late: all follow, one by one, in order.
    let reaction = observer.commit(&commits[0]);
    assert!(!reaction.recover);
    let positions: Vec<Position> = reaction.changed.iter().map(|step| step.position).collect();
    assert_eq!(positions, [at(1), at(2), at(3), at(4)]);
    assert_eq!(observer.data(), Some(reporter.data()));
}

#[test]
fn a_recovery_closes_the_gap_in_one_step() {
    let (mut reporter, mut observer) = pair();
    let commits = commits(&mut reporter, 1..=5);
    let answer = reporter.content(observer.have(), false);
    observer.commit(&commits[2]);
    observer.commit(&commits[3]);
    let reaction = observer.content(&answer);
    assert!(!reaction.recover);
    let [step] = &reaction.changed[..] else {
        panic!("{reaction:?}");
    };
    assert_eq!((step.position, step.origin), (at(5), Origin::CatchUp));
    assert_eq!(observer.counters().catch_ups, 1);
    // An answer that ends in the middle: the rest is what came meanwhile.
    let late = commits_after(&mut reporter, &mut observer);
    assert_eq!(late, reporter.position());
}

fn commits_after(reporter: &mut ReporterStream, observer: &mut ObserverStream) -> Option<Position> {
    let first = commits(reporter, 6..=6);
    let answer = reporter.content(observer.have(), false);
    let rest = commits(reporter, 7..=8);
    observer.commit(&rest[0]);
    observer.commit(&rest[1]);
    let reaction = observer.content(&answer);
    assert!(!reaction.recover);
    assert_eq!(
        reaction.changed.len(),
        1,
        "one step, whatever came together"
    );
    assert!(observer.commit(&first[0]).changed.is_empty());
    observer.position()
}

#[test]
fn what_came_before_the_first_snapshot_is_one_step_with_it() {
    let (mut reporter, _) = pair();
    commits(&mut reporter, 1..=6);
    let answer = reporter.content(None, false);
    let mut observer = ObserverStream::new();
    for body in commits(&mut reporter, 7..=8) {
        assert!(observer.commit(&body).recover);
    }
    let reaction = observer.content(&answer);
    assert_eq!(reaction.changed.len(), 1);
    assert_eq!(reaction.changed[0].position, at(8));
    assert_eq!(observer.data(), Some(reporter.data()));
}

#[test]
fn a_gap_is_bounded() {
    let (mut reporter, mut observer) = pair();
    let commits = commits(&mut reporter, 1..=200);
    for body in &commits[1..] {
        observer.commit(body);
    }
    let reaction = observer.commit(&commits[0]);
    assert_eq!(reaction.changed.len(), 1 + GAP_COMMITS_MAX);
    assert!(
        !observer
            .content(&reporter.content(observer.have(), false))
            .recover
    );
    assert_eq!(observer.data(), Some(reporter.data()));
}

#[test]
fn a_wrong_hash_shows_nothing_and_a_snapshot_mends_it() {
    let (mut reporter, mut observer) = pair();
    let bodies = commits(&mut reporter, 1..=3);
    let mut forged = Commit::decode(&bodies[0]).unwrap();
    forged.hash = Some(Hash::of(&json!({})));
    let forged = forged.encode(&hyperty(), "2026-11-21T10:00:00Z");
    let reaction = observer.commit(forged.get());
    assert!(reaction.recover);
    assert_eq!(reaction.changed, [], "a wrong state is not shown");
    assert_eq!(observer.counters().divergences, 1);
    assert_eq!(observer.have(), None, "only a snapshot helps");
    // Nothing is applied to a copy that is wrong; a late snapshot is not taken for the whole.
    let reaction = observer.commit(&bodies[0]);
    assert!(reaction.recover && reaction.changed.is_empty());
    observer.commit(&bodies[1]);
    let reaction = observer.content(&reporter.content(None, false));
    assert!(!reaction.recover);
    assert_eq!(reaction.changed[0].origin, Origin::Snapshot);
    assert_eq!(observer.data(), Some(reporter.data()));
    let more = commits(&mut reporter, 4..=4);
    assert_eq!(observer.commit(&more[0]).changed.len(), 1);
    // A snapshot that is not what its hash says ends it, and does not loop.
    let wrong = reporter.content(None, false).replace("\"n\":4", "\"n\":5");
    let closed = ObserverStream::new().content(&wrong).closed.unwrap();
    assert!(closed.desc.starts_with("diverged"));
}

#[test]
fn a_commit_that_does_not_fit_or_cannot_be_read_is_a_divergence() {
    let (mut reporter, observer) = pair();
    let good = commits(&mut reporter, 1..=1).remove(0);
    let bad = [
        good.replace("\"n\"", "\"pad.deeper\""),
        good.replace("\"value\":1", "\"value\":1,\"value\":2"),
        good.replace("\"value\":1", "\"value\":1e400"),
        "{}".to_owned(),
        String::new(),
    ];
    drop(observer);
    for body in bad {
        let (reporter, mut observer) = pair();
        let reaction = observer.commit(&body);
        assert!(reaction.recover && reaction.changed.is_empty(), "{body}");
        assert_eq!(observer.counters().divergences, 1, "{body}");
        assert_eq!(observer.data(), Some(reporter.data()), "nothing changed");
    }
}

#[test]
fn heads_say_what_is_missing() {
    let (mut reporter, mut observer) = pair();
    commits(&mut reporter, 1..=2);
    assert!(!observer.head(&head(EPOCH, at(0), None)).recover, "equal");
    assert!(observer.head(&head(EPOCH, at(2), None)).recover, "ahead");
    observer.content(&reporter.content(observer.have(), false));
    assert!(!observer.head(&head(EPOCH, at(1), None)).recover, "late");
    assert!(
        !observer
            .head(&head(EPOCH - 1, Position::new(EPOCH - 1, 9), None))
            .recover,
        "superseded"
    );
    assert!(
        observer.head(&head(EPOCH + 1, at(1), None)).recover,
        "a claim that lacks what was seen"
    );
    assert!(
        !observer.head(&head(EPOCH + 1, at(2), None)).recover,
        "one that goes on from here"
    );
    let wrong = Some(Hash::of(&json!({})));
    assert!(
        observer.head(&head(EPOCH + 1, at(2), wrong)).recover,
        "another hash"
    );
    assert_eq!(observer.have(), None);
}

#[test]
fn a_newer_claim_continues_by_its_base_and_an_older_one_is_refused() {
    let (mut reporter, mut observer) = pair();
    let first = commits(&mut reporter, 1..=1);
    observer.commit(&first[0]);
    let (mut fork, _) = pair();
    let forked = commits(&mut fork, 1..=2);
    reporter.claimed(EPOCH + 1, at(1));
    // The node has said who writes now; what the other still sends fits, and is not taken.
    assert!(!observer.head(&head(EPOCH + 1, at(1), None)).recover);
    assert!(observer.commit(&forked[1]).changed.is_empty());
    assert_eq!(observer.counters().refused, 1);
    let second = commits(&mut reporter, 2..=2);
    assert!(second[0].contains("\"base\":[7,1]"), "{}", second[0]);
    assert_eq!(observer.commit(&second[0]).changed.len(), 1);
    assert_eq!(observer.position(), Some(Position::new(EPOCH + 1, 2)));
    // The superseded Reporter's next commit changes nothing, whichever way it comes.
    assert!(observer.commit(&forked[1]).changed.is_empty());
    let reaction = observer.content(&fork.content(None, false));
    assert!(
        reaction.changed.is_empty() && reaction.recover,
        "a snapshot of an older claim"
    );
    assert_eq!(observer.data(), Some(reporter.data()));
}

#[test]
fn a_copy_that_a_forgetful_node_leaves_behind_is_rewound_and_says_so() {
    let (mut reporter, mut observer) = pair();
    for body in commits(&mut reporter, 1..=3) {
        observer.commit(&body);
    }
    // Another device has only the first commit, and claims where nobody remembers the others.
    let (mut device, _) = pair();
    commits(&mut device, 1..=1);
    device.claiming();
    device.claimed(EPOCH + 1, at(1));
    let reaction = observer.content(&device.content(observer.have(), false));
    assert_eq!(reaction.changed[0].origin, Origin::Rewound);
    assert_eq!(observer.counters().rewinds, 1);
    assert_eq!(observer.data(), Some(device.data()));
    let next = commits(&mut device, 2..=2);
    assert_eq!(observer.commit(&next[0]).changed.len(), 1);
}

#[test]
fn overwriting_one_key_for_long_does_not_end_the_hashes() {
    let (mut reporter, _) = pair();
    let mut now = Time::from_unix_ms(1_000_000);
    let (writes, mut hashes) = (HASH_BYTES_MAX / 1_000 * 3, 0);
    for n in 0..writes {
        now = now.plus_ms(HASH_EVERY_MS);
        let text = format!("{n:0>1000}");
        reporter.write(set("text", text), now).unwrap();
        let body = reporter.next_unsent().unwrap().unwrap();
        hashes += usize::from(Commit::decode(body.get()).unwrap().hash.is_some());
    }
    assert_eq!(hashes, writes);
}

#[test]
fn a_write_that_is_refused_changes_nothing() {
    let (mut reporter, _) = pair();
    let before = reporter.data();
    let large = "x".repeat(1 << 20);
    for changes in [
        set("n", 1e20),
        set("large", large),
        vec![
            set("n", 1).remove(0),
            Change::Remove {
                path: Path::root().child("none"),
            },
        ],
        vec![Change::Remove { path: Path::root() }],
    ] {
        assert!(reporter.write(changes, Time::default()).is_err());
    }
    assert!(reporter.replace(json!([]), Time::default()).is_err());
    assert!(
        !reporter.write(set("n", 0), Time::default()).unwrap(),
        "no change, no commit"
    );
    assert!(!reporter.write(vec![], Time::default()).unwrap());
    for n in 0..4 {
        let half = "y".repeat(1_000_000);
        reporter
            .write(set(&format!("k{n}"), half), Time::default())
            .unwrap();
    }
    let too_much = set("more", "z".repeat(500_000));
    assert!(reporter.write(too_much, Time::default()).is_err());
    assert_eq!(reporter.data()["n"], before["n"]);
    assert_eq!((reporter.position(), reporter.unsent()), (Some(at(4)), 4));
}

#[test]
fn who_is_far_behind_an_object_that_stayed_small_gets_the_whole() {
    let (mut reporter, _) = pair();
    commits(&mut reporter, 1..=1_000);
    let is_whole = |reporter: &mut ReporterStream, have| {
        let body: Value = serde_json::from_str(&reporter.content(Some(have), false)).unwrap();
        assert_eq!(body["commits"].is_array(), body["value"].is_null());
        body["value"].is_object()
    };
    assert!(
        is_whole(&mut reporter, at(900)),
        "100 commits are more than 2 kB"
    );
    assert!(!is_whole(&mut reporter, at(995)));
    // What is written afterwards counts again.
    commits(&mut reporter, 1_001..=2_000);
    assert!(is_whole(&mut reporter, at(1_900)));
}
