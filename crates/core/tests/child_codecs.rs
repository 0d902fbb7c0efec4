//! Child commits are read as they were written, by the node, the Reporter and a reader alike, and
//! refused by the field that is wrong, however they are damaged.

use byline_core::children::{Act, ChildCommit, ChildHeader, ChildId};
use byline_core::message::Type;
use byline_core::message::body::Subscribe;
use byline_core::message::decode;
use byline_core::object::{Hash, parse};
use byline_core::stream::{ChildrenPositions, Digest, Head, Position};
use byline_core::time::Time;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::documents::{HYPERTY, cases, damage, document};

fn vectors(section: &str) -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/vectors/children.json"
    );
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let list = all[section].as_array().unwrap().clone();
    assert!(!list.is_empty(), "{section}");
    list
}

fn kind(vector: &Value) -> Type {
    match vector["type"].as_str().unwrap() {
        "create" => Type::Create,
        "update" => Type::Update,
        "delete" => Type::Delete,
        other => panic!("{other}"),
    }
}

#[test]
fn every_form_of_a_child_commit_is_read_and_written() {
    for vector in vectors("commits") {
        let body = vector["body"].to_string();
        let from = vector["from"].as_str().unwrap();
        let position: Position = serde_json::from_value(vector["position"].clone()).unwrap();
        let base: Option<Position> = serde_json::from_value(vector["base"].clone()).unwrap();
        let peeked = ChildHeader::peek(kind(&vector), &body).unwrap();
        assert_eq!((peeked.position, peeked.base), (position, base), "{vector}");
        let commit = ChildCommit::decode(kind(&vector), from, &body).unwrap();
        assert_eq!((commit.position, commit.base), (position, base), "{vector}");
        assert_eq!(commit.kind(), kind(&vector));
        let written: Value = serde_json::from_str(commit.encode().get()).unwrap();
        assert_eq!(written, vector["body"], "{vector}");
        let mut stranger = vector["body"].clone();
        stranger["x-unknown"] = json!({"nested": [1]});
        let known = ChildCommit::decode(kind(&vector), from, &stranger.to_string());
        assert_eq!(known, Ok(commit), "an unknown field does no harm");
    }
}

#[test]
fn what_is_no_child_commit_is_refused() {
    for vector in vectors("refused") {
        let from = vector["from"].as_str().unwrap();
        let refused = ChildCommit::decode(kind(&vector), from, &vector["body"].to_string());
        let refusal = refused.expect_err(vector["name"].as_str().unwrap());
        assert_eq!(json!(refusal.code), vector["code"], "{vector}: {refusal}");
        assert!(refusal.desc.starts_with("field `body"), "{refusal}");
    }
    let large = json!({"resource": format!("{HYPERTY}#1"), "epoch": 7, "seq": 1,
        "created": "2026-11-21T10:00:00Z", "value": {"pad": "x".repeat(256 << 10)}});
    let refused = ChildCommit::decode(Type::Create, HYPERTY, &large.to_string());
    assert_eq!(refused.unwrap_err().code, 413);
}

#[test]
fn a_digest_of_children_has_one_hash() {
    for vector in vectors("digests") {
        let positions: ChildrenPositions =
            serde_json::from_value(vector["positions"].clone()).unwrap();
        let digest = Digest {
            data: None,
            children: positions.clone(),
        };
        let written = serde_json::to_value(&digest).unwrap();
        assert_eq!(written["children"], vector["positions"], "{vector}");
        let hash = Hash::of(&serde_json::to_value(positions).unwrap()).to_string();
        assert_eq!(json!(hash), vector["hash"], "{vector}");
    }
}

#[test]
fn what_a_reader_asks_of_children_and_hears_of_them_is_read_and_written() {
    let after = json!(["2026-11-21T10:00:00.000Z", format!("{HYPERTY}#7")]);
    for wire in [
        json!({"children": false}),
        json!({"children": {"name": "chat"}}),
        json!({"children": {"name": "chat", "after": after}}),
        json!({"have": {"data": [7, 2], "children": {"chat": {HYPERTY: [1, 2]}}}}),
    ] {
        let body: Subscribe = decode(&wire.to_string()).unwrap();
        assert_eq!(serde_json::to_value(body).unwrap(), wire);
    }
    for wrong in [
        json!("all"),
        json!({}),
        json!({"name": "chat", "after": "x"}),
    ] {
        let refused = decode::<Subscribe>(&json!({"children": wrong}).to_string());
        let refusal = refused.unwrap_err();
        assert!(
            refusal.desc.starts_with("field `body.children"),
            "{refusal}"
        );
    }
    let head = json!({"epoch": 8, "position": [7, 2], "reporter": HYPERTY, "live": true,
        "children": "RBNvo1WzZ4oRRq0W9-hkng", "missed": true});
    let read: Head = decode(&head.to_string()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), head);
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_child_of_any_content_is_read_as_it_was_written(
        value in document(), number in 1..1_u64 << 53, made in 0..4_000_000_000_000_u64
    ) {
        let id = ChildId::new(HYPERTY.parse().unwrap(), number);
        let value = parse(&value.to_string()).unwrap();
        let commit = ChildCommit {
            from: HYPERTY.parse().unwrap(),
            identity: None,
            position: Position::new(7, number),
            base: None,
            act: Act::Create(id, Time::from_unix_ms(made), Arc::new(value)),
        };
        let read = ChildCommit::decode(Type::Create, HYPERTY, commit.encode().get());
        prop_assert_eq!(read, Ok(commit));
    }

    #[test]
    fn a_damaged_child_commit_is_read_or_refused(
        which in any::<Index>(), damage in prop::collection::vec(damage(), 1..4)
    ) {
        let commits = vectors("commits");
        let vector = &commits[which.index(commits.len())];
        let mut bytes = vector["body"].to_string().into_bytes();
        damage.iter().for_each(|damage| damage.to(&mut bytes));
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        let peeked = ChildHeader::peek(kind(vector), text);
        match ChildCommit::decode(kind(vector), HYPERTY, text) {
            Ok(commit) => {
                let peeked = peeked.unwrap();
                prop_assert_eq!(peeked.position, commit.position);
                // What is read once is written so that it is read the same.
                let again = ChildCommit::decode(commit.kind(), HYPERTY, commit.encode().get());
                prop_assert_eq!(again, Ok(commit));
            }
            Err(refusal) => {
                prop_assert!(matches!(refusal.code, 400 | 403 | 413), "{}", refusal);
                prop_assert!(refusal.desc.starts_with("field `body"), "{}", refusal);
                prop_assert!(!refusal.desc.contains('\n'), "{}", refusal);
            }
        }
    }
}
