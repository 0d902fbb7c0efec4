//! The vectors of docs/vectors, which other implementations read too, hold for this one. They are
//! never written here.

use byline_core::address::Address;
use byline_core::error::Refusal;
use byline_core::identity::encode_bytes;
use byline_core::message::decode;
use byline_core::node;
use byline_core::object::{Change, ChangeFields, ChangeShape, Hash, Path, apply, parse};
use byline_core::stream::{Commit, CommitHeader, ObserverStream, Position};
use byline_core::time::Time;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, kitchen};
use crate::world::{Client, World};

/// The list `section` of a file of docs/vectors, which is not empty.
fn vectors(file: &str, section: &str) -> Vec<Value> {
    let path = format!("{}/../../docs/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let all: Value = serde_json::from_str(&text).unwrap();
    let list = all[section].as_array().unwrap().clone();
    assert!(!list.is_empty(), "{file}, {section}");
    list
}

fn text<'v>(vector: &'v Value, field: &str) -> &'v str {
    vector[field].as_str().unwrap()
}

/// As a document: what is read by this crate's own rules.
fn document(value: &Value) -> Value {
    parse(&value.to_string()).unwrap()
}

#[test]
fn paths_are_read_and_written() {
    for vector in vectors("paths.json", "paths") {
        let keys: Path = vector["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap())
            .collect();
        assert_eq!(
            Path::parse(text(&vector, "text")),
            Ok(keys.clone()),
            "{vector}"
        );
        assert_eq!(keys.to_string(), text(&vector, "written"));
        assert_eq!(Path::parse(text(&vector, "written")), Ok(keys));
    }
    for vector in vectors("paths.json", "invalid") {
        assert!(Path::parse(text(&vector, "text")).is_err(), "{vector}");
    }
}

#[test]
fn changes_give_their_result_or_are_refused() {
    for vector in vectors("changes.json", "changes") {
        let before = document(&vector["document"]);
        let changes: Result<Vec<Change>, _> = vector["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| ChangeFields::parse(&change.to_string())?.into_change())
            .collect();
        let refused = vector["refused"].as_str();
        let Ok(changes) = changes else {
            assert_eq!(refused, Some("malformed"), "{vector}");
            continue;
        };
        assert_ne!(refused, Some("malformed"), "{vector}");
        for (change, wire) in changes.iter().zip(vector["changes"].as_array().unwrap()) {
            assert!(ChangeShape::check(&wire.to_string()).is_ok(), "{vector}");
            let again = serde_json::to_string(change).unwrap();
            assert_eq!(&serde_json::from_str::<Change>(&again).unwrap(), change);
        }
        let mut data = before.clone();
        match apply(&mut data, &changes) {
            Ok(applied) => {
                assert_eq!(
                    (refused, &data),
                    (None, &document(&vector["result"])),
                    "{vector}"
                );
                assert_eq!(applied.changed(), vector["changed"] != false, "{vector}");
                applied.undo(&mut data, &changes);
            }
            Err(error) => assert_eq!(refused, Some("apply"), "{vector}: {error}"),
        }
        assert_eq!(data, before, "{vector}");
    }
}

#[test]
fn hashes_are_those_of_the_canonical_form() {
    for vector in vectors("hashes.json", "hashes") {
        let document =
            parse(text(&vector, "text")).unwrap_or_else(|error| panic!("{vector}: {error}"));
        let canonical = serde_json_canonicalizer::to_string(&document).unwrap();
        assert_eq!(canonical, text(&vector, "canonical"), "{vector}");
        assert_eq!(
            Hash::of(&document).to_string(),
            text(&vector, "hash"),
            "{vector}"
        );
        assert_eq!(parse(&canonical), Ok(document));
    }
    for vector in vectors("hashes.json", "refused") {
        assert!(parse(text(&vector, "text")).is_err(), "{vector}");
    }
}

/// An Observer whose copy is `data`, one version before the commit.
fn observer(vector: &Value, before: Position) -> ObserverStream {
    let mut observer = ObserverStream::new();
    let mut value = object(&vector["said"]);
    value["data"] = vector["before"].clone();
    let content = json!({"code": 200, "epoch": before.epoch, "position": before, "value": value});
    assert_eq!(observer.content(&content.to_string()).closed, None);
    observer
}

/// An object that says these fields of itself.
fn object(fields: &Value) -> Value {
    let mut object = json!({"url": KITCHEN});
    for (field, value) in fields.as_object().into_iter().flatten() {
        object[field] = value.clone();
    }
    object
}

#[test]
fn commits_are_read_written_and_applied() {
    for vector in vectors("commits.json", "commits") {
        let body = vector["body"].to_string();
        let position: Position = serde_json::from_value(vector["position"].clone()).unwrap();
        let base: Option<Position> = serde_json::from_value(vector["base"].clone()).unwrap();
        let peeked = CommitHeader::peek(&body).unwrap();
        assert_eq!((peeked.position, peeked.base), (position, base), "{vector}");
        let commit = Commit::decode(&body).unwrap();
        assert_eq!((commit.position, commit.base), (position, base));
        let changes: Vec<Change> = serde_json::from_value(vector["changes"].clone()).unwrap();
        assert_eq!(commit.changes, changes, "{vector}");
        let source = Address::parse(text(&vector["body"], "source")).unwrap();
        let written = commit.encode(&source, text(&vector["body"], "lastModified"));
        let written: Value = serde_json::from_str(written.get()).unwrap();
        assert_eq!(written, vector["body"], "{vector}");
        let from = base.unwrap_or(Position::new(position.epoch, position.version - 1));
        let mut observer = observer(&vector, from);
        let reaction = observer.commit(&body);
        assert_eq!(
            (reaction.recover, reaction.closed),
            (false, None),
            "{vector}"
        );
        assert_eq!(observer.position(), Some(position));
        let data = observer.data().unwrap();
        assert_eq!(*data, document(&vector["after"]), "{vector}");
        let says = serde_json::to_value(observer.metadata().unwrap()).unwrap();
        assert_eq!(says, object(&vector["says"]), "{vector}");
        assert_eq!(
            Hash::of(&data).to_string(),
            text(&vector, "hash"),
            "{vector}"
        );
    }
}

#[test]
fn a_commit_that_is_none_is_refused_and_one_that_does_not_fit_is_a_divergence() {
    for vector in vectors("commits.json", "malformed") {
        let body = vector["body"].to_string();
        assert_eq!(CommitHeader::peek(&body).unwrap_err().code, 400, "{vector}");
        assert_eq!(Commit::decode(&body).unwrap_err().code, 400, "{vector}");
    }
    for vector in vectors("commits.json", "diverging") {
        let body = vector["body"].to_string();
        let position = CommitHeader::peek(&body).unwrap().position;
        let from = Position::new(position.epoch, position.version - 1);
        let mut observer = observer(&vector, from);
        assert!(observer.commit(&body).recover, "{vector}");
        assert_eq!(*observer.data().unwrap(), document(&vector["before"]));
        assert_eq!((observer.position(), observer.have()), (Some(from), None));
        assert_eq!(observer.counters().divergences, 1);
    }
}

#[test]
fn refusals_are_read_and_written() {
    for vector in vectors("refusals.json", "forms") {
        let refusal: Refusal = decode(&vector["body"].to_string()).unwrap();
        assert_eq!(serde_json::to_value(&refusal).unwrap(), vector["body"]);
        assert_eq!(
            serde_json::to_value(refusal.retry).unwrap(),
            vector["retry"]
        );
    }
    for vector in vectors("refusals.json", "read") {
        let refusal: Refusal = decode(&vector["body"].to_string()).unwrap();
        assert_eq!(
            serde_json::to_value(refusal.retry).unwrap(),
            vector["retry"],
            "{vector}"
        );
    }
    for vector in vectors("refusals.json", "invalid") {
        assert!(
            decode::<Refusal>(&vector["body"].to_string()).is_err(),
            "{vector}"
        );
    }
}

/// A world in which the kitchen is held, and the client that `given` says.
fn given(given: &str) -> (World, Client, Client, u64) {
    if given == "first second" {
        let mut world = World::at(Time::from_unix_ms(1_700_000_000_000));
        let (asker, nobody) = (world.client(3), world.stranger(1));
        return (world, asker, nobody, 0);
    }
    let (mut world, reporter, _, epoch) = kitchen();
    let asker = match given {
        "asker" => world.client(3),
        "second" => world.client(1),
        "holder" => reporter.clone(),
        "stranger" => world.stranger(3),
        "anonymous" => {
            let mut client = world.stranger(3);
            // An id that is minted would need its key.
            client.runtime = "hyperty-runtime://localhost/somebody".into();
            client.hyperty = "hyperty://localhost/somebody".into();
            let from = client.runtime.clone();
            let opened = world.asks(&client, "open", &from, "mn:/session", json!({}));
            assert_eq!(opened["body"]["code"], 200, "{opened}");
            client
        }
        other => panic!("`{other}` is not known here"),
    };
    (world, asker, reporter, epoch)
}

#[test]
fn every_situation_is_answered_with_its_code() {
    for vector in vectors("refusals.json", "situations") {
        let (mut world, asker, reporter, epoch) = given(text(&vector, "given"));
        let frame = match vector["frame"].as_str() {
            Some(frame) => frame.to_owned(),
            None => {
                let mut message = vector["message"].clone();
                message["id"] = json!(5);
                message.to_string()
            }
        };
        let frame = frame
            .replace("\"$epoch\"", &epoch.to_string())
            .replace("$runtime", &asker.runtime)
            .replace("$hyperty", &asker.hyperty)
            .replace("$publicKey", &asker.key.public().to_string())
            .replace("$nonce", &encode_bytes(&asker.nonce))
            .replace("$other", &reporter.hyperty);
        let before = world.frames(&asker).len();
        world.says(&asker, &frame);
        if let Some(ms) = vector["after_ms"].as_u64() {
            assert_eq!(world.frames(&asker).len(), before, "too early: {vector}");
            world.passes(ms);
        }
        if vector["lost"] == true {
            world.drops(&reporter);
            world.node_says(node::Input::Timeout);
        }
        let answers = world.frames(&asker).split_off(before);
        assert_eq!(answers.len(), 1, "one answer: {vector}, {answers:?}");
        let (answer, body) = (&answers[0], &answers[0]["body"]);
        assert_eq!(answer["type"], "response");
        assert_eq!(body["code"], vector["code"], "{vector}, {answer}");
        assert_eq!(body.get("retry"), vector.get("retry"), "{vector}, {answer}");
        let desc = text(body, "desc");
        assert!(!desc.is_empty() && !desc.contains('\n'), "{answer}");
        if vector.get("message").is_some() {
            assert_eq!(answer["id"], 5);
        }
    }
}
