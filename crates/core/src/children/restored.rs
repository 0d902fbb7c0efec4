//! Whatever is done to a collection, its rows say what is there: tests of what rests of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::collection::{Extent, Stream};
use super::rest::Restored;
use super::{Act, ChildCommit, ChildId, Collection, Observed, Reported, answer};
use crate::address::Address;
use crate::object::{Change, Path};
use crate::storage::{Batch, Table, Write, key};
use crate::stream::{Origin, Position};
use crate::time::Time;

const PLACE: &[u8] = b"comm://d/room";
const NAME: &str = "chat";

type Disk = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn author(number: u64) -> Address {
    Address::join("hyperty", "d", &number.to_string())
}

fn commit(from: u64, seq: u64, act: Act) -> ChildCommit {
    ChildCommit {
        from: author(from),
        identity: None,
        position: Position::new(1, seq),
        base: None,
        act,
    }
}

fn creation(from: u64, seq: u64) -> ChildCommit {
    let made = Time::from_unix_ms(seq);
    let act = Act::Create(
        ChildId::new(author(from), seq),
        made,
        Arc::new(json!({"n": seq})),
    );
    commit(from, seq, act)
}

/// One of everything, by author 0, who reports, and others.
fn commits() -> Vec<ChildCommit> {
    let id = |from, number| ChildId::new(author(from), number);
    let to = Change::Set {
        path: Path::root().child("n"),
        value: json!(7),
    };
    let others = BTreeMap::from([
        (id(1, 2), Position::new(1, 2)),
        (id(3, 4), Position::new(1, 4)),
    ]);
    vec![
        creation(1, 1),
        creation(1, 2),
        creation(1, 3),
        commit(1, 4, Act::Update(id(1, 1), vec![to])),
        commit(1, 5, Act::Delete(id(1, 3))),
        commit(0, 1, Act::Moderate(others)),
        commit(2, 1, Act::Nothing),
        commit(0, 2, Act::Close(true)),
        commit(0, 3, Act::Forget([(author(2), Position::new(1, 1))].into())),
        commit(3, 1, Act::Nothing),
        commit(3, 2, Act::Nothing),
        commit(3, 3, Act::Nothing),
        commit(3, 4, Act::Nothing),
    ]
}

fn store(disk: &mut Disk, collection: &mut Collection) {
    let mut batch = Batch::default();
    collection.write_rows(PLACE, NAME, &mut batch);
    assert!(!collection.is_to_be_stored());
    for write in batch.writes() {
        match write {
            Write::Put(row) => drop(disk.insert((row.table, row.key.clone()), row.value.clone())),
            Write::Remove(table, key) => drop(disk.remove(&(*table, key.clone()))),
            Write::RemoveRange(..) => panic!("nothing goes by its range"),
        }
    }
}

fn restored(disk: &Disk) -> Result<Collection, String> {
    let mut restored = Restored::default();
    for ((table, key), value) in disk {
        restored.row(*table, &key[PLACE.len() + 1..], value)?;
    }
    Ok(restored.collections()?.remove(NAME).unwrap())
}

fn assert_same(one: &Collection, other: &Collection) {
    assert!(one.iter().eq(other.iter()));
    let streams = |of: &Collection| {
        let stream = |(author, one): (&Address, &Stream)| {
            (author.clone(), one.position, one.number, one.children)
        };
        of.streams.iter().map(stream).collect::<Vec<_>>()
    };
    assert_eq!(streams(one), streams(other));
    assert_eq!(one.gone, other.gone);
    assert_eq!(
        (one.keep, one.closed, one.bytes),
        (other.keep, other.closed, other.bytes)
    );
    assert_eq!(one.is_whole(), other.is_whole());
}

#[test]
fn after_each_commit_the_rows_say_what_is_there() {
    let (mut disk, mut collection) = (Disk::new(), Collection::of(10, Extent::Whole));
    collection.rests();
    for commit in commits() {
        collection.take(&commit);
        store(&mut disk, &mut collection);
        let restored = restored(&disk).unwrap();
        assert_same(&restored, &collection);
        assert!(!restored.is_to_be_stored());
        // What was restored rests on.
        collection = restored;
    }
    assert_eq!((collection.len(), collection.gone.len()), (1, 0));
}

#[test]
fn what_comes_page_by_page_or_from_another_session_is_stored_as_it_then_is() {
    let mut reported = Reported::new(author(0), 1_000);
    for seq in 1..=300 {
        reported.take(&creation(1, seq)).unwrap();
    }
    let theirs = BTreeMap::from([(NAME.to_owned(), reported)]);
    let (mut disk, mut reader) = (Disk::new(), Observed::default());
    let mut old = Collection::of(1_000, Extent::Whole);
    old.rests();
    for commit in [creation(2, 1), creation(1, 1)] {
        old.take(&commit);
    }
    store(&mut disk, &mut old);
    let first = answer(&theirs, &BTreeMap::new(), "nobody", true);
    reader.content(&serde_json::to_string(&first).unwrap());
    old.adopt(reader.get(NAME).unwrap().clone(), Origin::Snapshot);
    store(&mut disk, &mut old);
    assert_same(&restored(&disk).unwrap_or_default(), &old);
    assert!(!old.is_whole());
    old.adopt(theirs[NAME].collection.clone(), Origin::Snapshot);
    store(&mut disk, &mut old);
    assert_same(&restored(&disk).unwrap(), &old);
    assert_eq!(old.len(), 300);
}

#[test]
fn rows_that_cannot_be_are_told() {
    let mut disk = Disk::new();
    let mut collection = Collection::of(10, Extent::Whole);
    collection.rests();
    collection.take(&creation(1, 1));
    store(&mut disk, &mut collection);
    let of = |parts: &[&str]| {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        key(&[&[PLACE], parts.as_slice()].concat())
    };
    let child = of(&[NAME, "hyperty://d/1#1"]);
    let stream = of(&[NAME, "hyperty://d/1"]);
    for (table, key, value) in [
        (Table::Children, of(&[NAME]), "{}"),
        (Table::Children, of(&["changes", "hyperty://d/1#1"]), "{}"),
        (Table::Children, of(&[NAME, "hyperty://d/1#01"]), "{}"),
        (Table::Children, child, r#"{"created":"","value":{}}"#),
        (
            Table::Collections,
            stream,
            r#"{"position":[0,0],"number":1}"#,
        ),
        (Table::Collections, of(&[NAME]), r#"{"keep":0}"#),
        (Table::Collections, of(&["votes", "x"]), "{}"),
    ] {
        let mut damaged = disk.clone();
        damaged.insert((table, key), value.into());
        assert!(restored(&damaged).is_err(), "{value}");
    }
    disk.remove(&(Table::Collections, of(&[NAME])));
    assert!(restored(&disk).is_err(), "of a collection nothing is known");
}
