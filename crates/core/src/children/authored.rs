//! What an author does next, whatever it is answered, and that its rows say the same: tests of its queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::collection::{Extent, Taken};
use super::write::{Answer, Write};
use super::{Act, Authoring, ChildCommit, ChildId, Collection, RestoredWrites, Yours};
use crate::address::Address;
use crate::entropy::Entropy;
use crate::error::Retry;
use crate::object::{Change, Path};
use crate::storage::{self, Batch, Table, key};
use crate::stream::Position;
use crate::time::Time;

const PLACE: &[u8] = b"comm://d/room";
const NAME: &str = "chat";

type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

fn author() -> Address {
    Address::join("hyperty", "d", "author")
}

fn at(epoch: u64, seq: u64) -> Position {
    Position::new(epoch, seq)
}

/// An author whose stream stands at `[1, 9]`, and the collection.
fn authoring() -> (Authoring, Collection) {
    let yours = Yours {
        position: at(1, 9),
        number: 9,
    };
    let authoring = Authoring::new(author(), Some(yours), Time::default());
    (authoring, Collection::of(100, Extent::Whole))
}

fn creates(authoring: &mut Authoring) -> ChildId {
    let (id, value) = (authoring.next_id(), Arc::new(json!({"n": 1})));
    let write = Write::Create(id.clone(), Arc::clone(&value));
    let here = Collection::of(100, Extent::Whole);
    authoring.push(id.number(), write, 7, Some(value), &here);
    id
}

fn sends(authoring: &mut Authoring) -> Option<ChildCommit> {
    authoring.due(Time::default())?;
    authoring.send(|write| match write {
        Write::Moderate(_) | Write::Forget(_) => write.unplaced(),
        _ => write.act(Time::from_unix_ms(5)),
    })
}

fn drains(authoring: &mut Authoring) {
    authoring.drained(&mut Entropy::new([1; 32]), Time::default());
    authoring.until = None;
}

#[test]
fn after_a_refusal_for_good_an_author_goes_on_in_a_new_epoch() {
    let (mut author, here) = authoring();
    creates(&mut author);
    let kept = creates(&mut author);
    let refused = sends(&mut author).unwrap();
    assert_eq!((refused.position, refused.base), (at(2, 1), Some(at(1, 9))));
    let ended = author.answered(refused.position, Answer::Refused, &here);
    assert_eq!(ended.len(), 1);
    drains(&mut author);
    let next = sends(&mut author).unwrap();
    // The place of what was refused may be with a reader that had it from a Reporter that lost it since.
    assert_eq!((next.position, next.base), (at(3, 1), Some(at(1, 9))));
    assert!(matches!(next.act, Act::Create(id, ..) if id == kept));
}

#[test]
fn who_has_lost_its_stream_begins_elsewhere_each_time_also_where_its_clock_was_set_back() {
    let yours = Yours {
        position: at(1_000_000, 9),
        number: 9,
    };
    let begins = |now| Authoring::new(author(), Some(yours), Time::from_unix_ms(now)).epoch;
    assert_eq!(begins(2_000_000), 2_000_000);
    let [once, again] = [700_001, 700_002].map(begins);
    assert!(once > 1_000_000 && again > 1_000_000 && once != again);
}

#[test]
fn what_makes_a_child_is_dated_anew_once_in_each_connection() {
    let (mut author, here) = authoring();
    creates(&mut author);
    for connection in 1..=2 {
        let sent = sends(&mut author).unwrap();
        assert!(author.may_date(sent.position), "connection {connection}");
        let node = Time::from_unix_ms(connection);
        author.answered(sent.position, Answer::Dated(node), &here);
        drains(&mut author);
        let again = sends(&mut author).unwrap();
        // In the second it goes elsewhere, and has its date when it is sent.
        let dated = [node, Time::from_unix_ms(5)][usize::from(connection > 1)];
        assert!(matches!(again.act, Act::Create(_, made, _) if made == dated));
        assert!(!author.may_date(again.position), "once is enough");
        author.cut();
    }
}

#[test]
fn what_waited_long_enough_for_another_answer_is_dated_again() {
    let (mut author, here) = authoring();
    creates(&mut author);
    for at in [60_000, 130_000] {
        let sent = sends(&mut author).unwrap();
        assert!(author.may_date(sent.position), "for {at}");
        author.answered(sent.position, Answer::Dated(Time::from_unix_ms(at)), &here);
        drains(&mut author);
        let again = sends(&mut author).unwrap();
        author.answered(again.position, Answer::Later(Retry::Now), &here);
        drains(&mut author);
    }
}

#[test]
fn what_may_have_been_taken_with_its_date_gets_another_in_another_place() {
    let (mut author, here) = authoring();
    creates(&mut author);
    let first = sends(&mut author).unwrap().position;
    author.answered(first, Answer::Later(Retry::Now), &here);
    drains(&mut author);
    assert_eq!(sends(&mut author).unwrap().position, first, "as it was");
    author.answered(first, Answer::Dated(Time::from_unix_ms(77)), &here);
    drains(&mut author);
    let anew = sends(&mut author).unwrap();
    assert_eq!(anew.position, at(first.epoch + 1, 1));
    assert_eq!(anew.base, Some(at(1, 9)));
}

/// An author of whom a child is safe and everywhere, and the collection.
fn with_a_child() -> (Authoring, ChildId, Collection) {
    let mut authoring = Authoring::new(author(), None, Time::from_unix_ms(5));
    let mut here = Collection::of(100, Extent::Whole);
    let id = creates(&mut authoring);
    let made = sends(&mut authoring).unwrap();
    assert!(matches!(here.take(&made), Taken::Done(_)));
    authoring.answered(made.position, Answer::Safe, &here);
    authoring.settle(&here);
    (authoring, id, here)
}

fn sets(authoring: &mut Authoring, id: &ChildId, key: &str, here: &Collection) {
    let mut value = authoring.child(id, here).unwrap();
    Arc::make_mut(&mut value)[key] = json!(2);
    let write = Write::Update(id.clone(), vec![set(key)]);
    authoring.push(1, write, 3, Some(value), here);
}

fn set(key: &str) -> Change {
    Change::Set {
        path: Path::root().child(key),
        value: json!(2),
    }
}

fn whole(value: &serde_json::Value) -> Change {
    Change::Replace {
        data: value.as_object().unwrap().clone(),
    }
}

fn changes(commit: Option<ChildCommit>) -> Vec<Change> {
    match commit.map(|commit| commit.act) {
        Some(Act::Update(_, changes)) => changes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_loss_the_first_change_of_a_child_says_the_whole_and_the_next_what_changes() {
    let (mut author, id, here) = with_a_child();
    for key in ["lost", "a", "b"] {
        sets(&mut author, &id, key, &here);
    }
    let lost = sends(&mut author).unwrap().position;
    author.answered(lost, Answer::Safe, &here);
    let cut = sends(&mut author);
    assert_eq!(changes(cut), [set("a")], "nothing is lost yet");
    author.cut();
    let (position, number) = (at(5, 1), 1);
    author.stands(Some(Yours { position, number }));
    let first = sends(&mut author);
    assert_eq!(first.as_ref().unwrap().base, Some(position));
    assert_eq!(changes(first), [whole(&json!({"n": 1, "lost": 2, "a": 2}))]);
    assert_eq!(changes(sends(&mut author)), [set("b")]);
}

#[test]
fn who_writes_by_a_copy_that_has_what_is_lost_says_the_whole() {
    let (mut author, id, here) = with_a_child();
    let (position, number) = (at(4, 4), 1);
    author.stands(Some(Yours { position, number }));
    sets(&mut author, &id, "a", &here);
    assert_eq!(
        changes(sends(&mut author)),
        [whole(&json!({"n": 1, "a": 2}))]
    );
}

#[test]
fn what_came_back_before_it_was_known_to_be_safe_is_not_done_twice_in_the_next_life() {
    let (mut author, id, mut here) = with_a_child();
    author.rests();
    let list = Path::root().child("list");
    let (path, values) = (list.child("0"), vec![json!(8)]);
    let lists = [
        (
            Change::Set {
                path: list,
                value: json!([7]),
            },
            json!([7]),
        ),
        (Change::Insert { path, values }, json!([8, 7])),
    ];
    let mut value = author.child(&id, &here).unwrap();
    for (change, list) in lists {
        Arc::make_mut(&mut value)["list"] = list;
        let write = Write::Update(id.clone(), vec![change]);
        author.push(1, write, 3, Some(Arc::clone(&value)), &here);
        let sent = sends(&mut author).unwrap();
        assert!(matches!(here.take(&sent), Taken::Done(_)));
        // The first is known to be safe when the second is not yet.
        let before = here.position(&author.author).version - 1;
        author.answered(at(5, before), Answer::Safe, &here);
    }
    let mut disk = Disk::new();
    store(&mut disk, &mut author);
    let again = restored(&disk, &here).unwrap();
    assert_eq!(again.child(&id, &here), Some(value));
}

/// One thing that befalls an author.
#[derive(Clone, Debug)]
enum Step {
    Create,
    Update(usize),
    Delete(usize),
    Urge,
    Send,
    Answer(usize, u8),
    Cut,
    Stands(u64, u64),
    Abandon,
    Store,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Create),
        2 => (0..8_usize).prop_map(Step::Update),
        1 => (0..8_usize).prop_map(Step::Delete),
        1 => Just(Step::Urge),
        4 => Just(Step::Send),
        3 => (0..8_usize, 0..5_u8).prop_map(|(one, how)| Step::Answer(one, how)),
        1 => Just(Step::Cut),
        1 => (0..4_u64, 0..4_u64).prop_map(|(epoch, seq)| Step::Stands(epoch, seq)),
        1 => Just(Step::Abandon),
        3 => Just(Step::Store),
    ]
}

fn takes(author: &mut Authoring, here: &Collection, sent: &mut Vec<Position>, step: Step) {
    let update = |id| {
        let (path, value) = (Path::root().child("n"), json!(2));
        Write::Update(id, vec![Change::Set { path, value }])
    };
    match step {
        Step::Create => drop(creates(author)),
        Step::Update(one) => author.push(
            1,
            update(ChildId::new(self::author(), 1 + one as u64)),
            3,
            None,
            here,
        ),
        Step::Delete(one) => {
            let id = ChildId::new(self::author(), 1 + one as u64);
            author.push(1, Write::Delete(id), 0, None, here);
        }
        Step::Urge => author.urge(Write::Forget(vec![self::author()])),
        Step::Send => sent.extend(sends(author).map(|commit| commit.position)),
        Step::Answer(one, how) => {
            if one < sent.len() {
                let position = sent.remove(one);
                let answer = match how {
                    0 => Answer::Refused,
                    1 => Answer::Gap(at(3, 3)),
                    2 if author.may_date(position) => Answer::Dated(Time::from_unix_ms(77)),
                    3 => Answer::Later(Retry::Now),
                    _ => Answer::Safe,
                };
                author.answered(position, answer, here);
                drains(author);
            }
        }
        Step::Cut => {
            author.cut();
            sent.clear();
        }
        Step::Stands(epoch, seq) => {
            let position = at(epoch, seq);
            drop(author.stands(Some(Yours {
                position,
                number: 3,
            })));
        }
        Step::Abandon => {
            author.abandon();
            sent.clear();
        }
        Step::Store => {}
    }
}

fn store(disk: &mut Disk, author: &mut Authoring) {
    let mut batch = Batch::default();
    author.write_rows(PLACE, NAME, &mut batch);
    assert!(!author.is_to_be_stored());
    for write in batch.writes() {
        match write {
            storage::Write::Put(row) => {
                assert_eq!(row.table, Table::ChildWrites);
                disk.insert(row.key.clone(), row.value.clone());
            }
            storage::Write::Remove(_, key) => drop(disk.remove(key)),
            storage::Write::RemoveRange(..) => panic!("nothing goes by its range"),
        }
    }
}

fn restored(disk: &Disk, here: &Collection) -> Result<Authoring, String> {
    let mut restored = RestoredWrites::default();
    for (key, value) in disk {
        restored.row(&key[PLACE.len() + 1..], value, &author())?;
    }
    let mut all = restored.authoring(&author(), |_| Some(here))?;
    Ok(all.remove(NAME).unwrap())
}

/// What an author is about to do.
fn told(author: &Authoring) -> String {
    let queue: Vec<_> = author
        .queue
        .iter()
        .map(|one| (&one.write, &one.sent))
        .collect();
    format!(
        "{} {} {} {queue:?}",
        author.epoch, author.safe, author.number
    )
}

proptest! {
    #[test]
    fn whatever_befalls_an_author_its_rows_say_what_it_is_about_to_do(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (mut author, here) = authoring();
        author.rests();
        let (mut disk, mut sent) = (Disk::new(), vec![]);
        for step in steps {
            takes(&mut author, &here, &mut sent, step.clone());
            if matches!(step, Step::Store) {
                store(&mut disk, &mut author);
                let again = restored(&disk, &here).unwrap();
                prop_assert_eq!(told(&again), told(&author));
                prop_assert!(!again.is_to_be_stored());
            }
        }
    }
}

#[test]
fn rows_of_an_author_that_cannot_be_are_told() {
    let (mut author, here) = authoring();
    author.rests();
    for _ in 0..3 {
        creates(&mut author);
    }
    sends(&mut author).unwrap();
    sends(&mut author).unwrap();
    let mut disk = Disk::new();
    store(&mut disk, &mut author);
    assert!(restored(&disk, &here).is_ok());
    let row = |number: u64| key(&[PLACE, NAME.as_bytes(), &number.to_be_bytes()]);
    for (key, value) in [
        (key(&[PLACE, NAME.as_bytes()]), r#"{"epoch":1}"#),
        (key(&[PLACE, NAME.as_bytes(), b"x"]), "{}"),
        (key(&[PLACE, b"changes"]), "{}"),
        (row(1), "{}"),
        (
            row(9),
            r#"{"type":"update","body":{"epoch":0,"seq":1,"closed":true}}"#,
        ),
        (row(0), r#"{"type":"update","body":{"epoch":0,"seq":1}}"#),
        (
            row(1),
            r#"{"type":"update","sent":true,"body":{"epoch":1,"seq":1,"closed":true}}"#,
        ),
        (
            row(1),
            r#"{"type":"update","sent":true,"body":{"epoch":7,"seq":1,"closed":true}}"#,
        ),
        (
            row(0),
            r#"{"type":"delete","body":{"epoch":0,"seq":1,"resource":"hyperty://d/other#1"}}"#,
        ),
    ] {
        let mut damaged = disk.clone();
        damaged.insert(key, value.into());
        assert!(restored(&damaged, &here).is_err(), "{value}");
    }
    disk.remove(&key(&[PLACE, NAME.as_bytes()]));
    assert!(
        restored(&disk, &here).is_err(),
        "of its author nothing is known"
    );
}
