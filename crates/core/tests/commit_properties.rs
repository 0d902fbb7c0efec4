//! Properties of commits: what a Reporter writes is on the wire, and at an Observer, what it was.

use byline_core::address::Address;
use byline_core::message::{Header, Type, encode};
use byline_core::object::{Change, Hash, Metadata, apply};
use byline_core::stream::{Commit, CommitHeader, ObserverStream, Origin, Position, ReporterStream};
use byline_core::time::Time;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use crate::documents::{
    HYPERTY, OBJECT, cases, change, deep, document, long_lists, map_of, near, value,
};

fn hyperty() -> Address {
    Address::parse(HYPERTY).unwrap()
}

/// A Reporter of `data` that has claimed, and an Observer that has its snapshot.
fn pair(data: &Value) -> (ReporterStream, ObserverStream) {
    let mut reporter = ReporterStream::new(Metadata::new(OBJECT), hyperty(), data.clone()).unwrap();
    reporter.claimed(7, Position::new(7, 0));
    let mut observer = ObserverStream::new();
    let reaction = observer.content(&reporter.content(None, false));
    assert_eq!((reaction.recover, reaction.closed), (false, None));
    (reporter, observer)
}

/// Hands over what the Reporter has not sent, by way of the frame and the node's peek at it.
fn sends(
    reporter: &mut ReporterStream,
    observer: &mut ObserverStream,
) -> Result<usize, TestCaseError> {
    let mut sent = 0;
    while let Some(body) = reporter.next_unsent().unwrap() {
        let changes = format!("{OBJECT}/changes");
        let frame = encode("null", Type::Update, OBJECT, &changes, &body);
        let header = Header::peek(&frame).unwrap();
        let before = observer.data().unwrap();
        let commit = Commit::decode(header.body).unwrap();
        let peeked = CommitHeader::peek(header.body).unwrap();
        prop_assert_eq!(
            (peeked.position, peeked.base),
            (commit.position, commit.base)
        );
        let reaction = observer.commit(header.body);
        prop_assert_eq!((reaction.recover, &reaction.closed), (false, &None));
        prop_assert_eq!(reaction.changed.len(), 1);
        let step = &reaction.changed[0];
        prop_assert_eq!(
            (step.position, step.origin),
            (commit.position, Origin::Live)
        );
        let mut mirror = Value::clone(&before);
        step.apply_to(&mut mirror).unwrap();
        prop_assert_eq!(&mirror, &*observer.data().unwrap());
        sent += 1;
    }
    prop_assert_eq!(&observer.data(), &Some(reporter.data()));
    prop_assert_eq!(observer.position(), reporter.position());
    prop_assert_eq!(
        Hash::of(&observer.data().unwrap()),
        Hash::of(&reporter.data())
    );
    prop_assert_eq!(observer.counters().divergences, 0);
    Ok(sent)
}

/// The Observer gets from the first document to the others, each by one commit that may carry a hash.
fn follows(documents: &[Value]) -> Result<(), TestCaseError> {
    let (mut reporter, mut observer) = pair(&documents[0]);
    for (number, pair) in documents.windows(2).enumerate() {
        let now = Time::from_unix_ms(number as u64 * 3_000 + 3_000);
        let changed = reporter.replace(pair[1].clone(), now).unwrap();
        prop_assert_eq!(changed, pair[0] != pair[1]);
        prop_assert_eq!(sends(&mut reporter, &mut observer)?, usize::from(changed));
        prop_assert_eq!(&*reporter.data(), &pair[1]);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn an_observer_follows_from_any_document_to_any_other(documents in prop::collection::vec(document(), 2..5)) {
        follows(&documents)?;
    }

    #[test]
    fn an_observer_follows_small_differences((before, after) in near()) {
        follows(&[before.clone(), after, before])?;
    }

    #[test]
    fn an_observer_follows_documents_as_deep_as_may_be(documents in prop::collection::vec(deep(), 2..4)) {
        follows(&documents)?;
    }

    #[test]
    fn a_commit_is_applied_there_as_it_was_here((before, after) in near(), others in prop::collection::vec(change(), 0..3)) {
        let (mut reporter, mut observer) = pair(&before);
        let mut here = before.clone();
        let mut changes = byline_core::object::diff(&before, &after);
        changes.extend(others);
        let fits = apply(&mut here, &changes);
        let written = reporter.write(changes, Time::from_unix_ms(9_000));
        prop_assert_eq!(&*reporter.data(), &here);
        match (fits, written) {
            (Ok(applied), Ok(changed)) => prop_assert_eq!(applied.changed(), changed),
            (Err(_), Err(_)) => prop_assert_eq!(&here, &before),
            (fits, written) => prop_assert!(false, "{fits:?} here, {written:?} there"),
        }
        sends(&mut reporter, &mut observer)?;
    }

    #[test]
    fn a_commit_that_does_not_fit_shows_nothing_and_a_snapshot_mends_it(
        before in document(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let (mut reporter, mut observer) = pair(&before);
        let commit = Commit { position: Position::new(7, 1), base: None, changes, metadata: Map::new(), hash: None, bytes: 0 };
        let reaction = observer.commit(commit.encode(&hyperty(), "2026-11-21T10:00:00Z").get());
        if reaction.recover {
            prop_assert_eq!(&*observer.data().unwrap(), &before);
            prop_assert_eq!((observer.position(), observer.have()), (Some(Position::new(7, 0)), None));
            reporter.write(vec![set("mended", json!(true))], Time::from_unix_ms(9_000)).unwrap();
            observer.content(&reporter.content(observer.have(), false));
            prop_assert_eq!(observer.data(), Some(reporter.data()));
        } else {
            prop_assert_eq!(observer.position(), Some(Position::new(7, 1)));
        }
    }

    #[test]
    fn what_an_object_says_of_itself_follows(patches in prop::collection::vec(patch(), 1..6)) {
        let (mut reporter, mut observer) = pair(&json!({"n": 0}));
        for patch in patches {
            let changed = reporter.describe(patch, Time::from_unix_ms(9_000)).unwrap();
            prop_assert_eq!(sends(&mut reporter, &mut observer)?, usize::from(changed));
            prop_assert_eq!(&observer.metadata().unwrap().name, &reporter.metadata().name);
            prop_assert_eq!(&observer.metadata().unwrap().more, &reporter.metadata().more);
        }
        let mut late = ObserverStream::new();
        late.content(&reporter.content(None, false));
        prop_assert_eq!(late.metadata(), Some(reporter.metadata()));
    }

    /// A commit that is damaged on its way is never applied as another than was sent, unless it
    /// still is a whole commit of that version.
    #[test]
    fn a_damaged_commit_is_read_by_both_or_refused(
        changes in prop::collection::vec(change(), 1..3),
        metadata in document(),
        at in any::<Index>(),
        with in any::<u8>(),
        kind in 0..3_u8,
    ) {
        let commit = Commit { position: Position::new(7, 1), base: None, changes, metadata: map_of(metadata), hash: None, bytes: 0 };
        let mut bytes = commit.encode(&hyperty(), "2026-11-21T10:00:00Z").get().as_bytes().to_vec();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = with,
            1 => _ = bytes.remove(at),
            _ => bytes.insert(at, with),
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        match (CommitHeader::peek(text), Commit::decode(text)) {
            (Ok(peeked), Ok(read)) => prop_assert_eq!((peeked.position, peeked.base), (read.position, read.base)),
            // The node sees of a value its first byte only.
            (Ok(_), Err(refusal)) | (Err(refusal), Err(_)) => {
                prop_assert_eq!(refusal.code, 400);
                prop_assert!(!refusal.desc.is_empty() && !refusal.desc.contains('\n'));
            }
            (Err(refusal), Ok(read)) => prop_assert!(false, "the node refuses what a reader takes: {refusal}, {read:?}"),
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn an_observer_follows_long_lists((before, after) in long_lists()) {
        follows(&[before, after])?;
    }
}

/// What an object may say of itself: a few fields, so that they meet again, and its name.
fn patch() -> impl Strategy<Value = Map<String, Value>> {
    let field = prop_oneof![Just("a"), Just("b"), Just("status of the door")];
    let more = prop::collection::btree_map(field.prop_map(str::to_owned), value(), 0..3);
    let name = prop::option::of(prop_oneof![
        Just(json!("n")),
        Just(json!("m")),
        Just(Value::Null)
    ]);
    (more, name).prop_map(|(more, name)| {
        let name = name.map(|name| ("name".to_owned(), name));
        more.into_iter().chain(name).collect()
    })
}

fn set(key: &str, value: Value) -> Change {
    let path = [key].into_iter().collect();
    Change::Set { path, value }
}

#[test]
fn a_commit_has_one_change_or_a_list_of_them_and_never_none() {
    for changes in [
        r#""changes":[]"#,
        r#""changes":[{"attribute":"a"}],"attribute":"b""#,
        r#""lastModified":"2026-11-21T10:00:00Z""#,
    ] {
        let body = format!(r#"{{"epoch":7,"version":1,{changes}}}"#);
        assert_eq!(CommitHeader::peek(&body).unwrap_err().code, 400, "{body}");
        assert_eq!(Commit::decode(&body).unwrap_err().code, 400, "{body}");
    }
}

#[test]
fn an_epoch_or_version_that_no_double_holds_is_refused() {
    for (epoch, version) in [(1_u64 << 53, 1), (7, 1 << 53), (u64::MAX, u64::MAX)] {
        let body = format!(r#"{{"epoch":{epoch},"version":{version},"attribute":"n","value":1}}"#);
        for refusal in [
            CommitHeader::peek(&body).unwrap_err(),
            Commit::decode(&body).unwrap_err(),
        ] {
            assert_eq!(refusal.code, 400);
            assert!(refusal.desc.contains("2^53 - 1"), "{refusal}");
        }
    }
    let largest = (1_u64 << 53) - 1;
    let body = format!(r#"{{"epoch":{largest},"version":{largest},"attribute":"n","value":1}}"#);
    assert!(CommitHeader::peek(&body).is_ok() && Commit::decode(&body).is_ok());
}
