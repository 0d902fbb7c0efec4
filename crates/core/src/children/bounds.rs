//! No collection, log or answer grows without a limit, whatever is written: tests of their limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::write::Write;
use super::{Act, ChildCommit, ChildId, NotTaken, Observed, Reported, answer, digest, page};
use crate::address::Address;
use crate::limits::{
    CHILDREN_ANSWER_BYTES_MAX, CHILDREN_AUTHORS_MAX, CHILDREN_BYTES_MAX, CHILDREN_HAVE_BYTES_MAX,
    CHILDREN_OVER_MAX, HISTORY_COMMITS_MAX, MODERATED_MAX, PAGE_BYTES_MAX, PAGE_CHILDREN_MAX,
};
use crate::stream::{COUNT_MAX, Position};
use crate::time::Time;

const NAME: &str = "chat";

fn author(number: usize) -> Address {
    Address::join("hyperty", "localhost", &format!("{number:05}"))
}

/// A collection that `author(0)` reports.
fn reported(keep: usize) -> Reported {
    Reported::new(author(0), keep)
}

fn creation(from: &Address, seq: u64, value: Value) -> ChildCommit {
    let id = ChildId::new(from.clone(), seq);
    commit(
        from,
        seq,
        Act::Create(id, Time::from_unix_ms(seq), Arc::new(value)),
    )
}

fn commit(from: &Address, seq: u64, act: Act) -> ChildCommit {
    ChildCommit {
        from: from.clone(),
        identity: None,
        position: Position::new(1, seq),
        base: None,
        act,
    }
}

fn refused(reported: &mut Reported, commit: &ChildCommit) -> Option<u16> {
    match reported.take(commit) {
        Ok(_) => None,
        Err(NotTaken::Refused(refusal)) => Some(refusal.code),
        Err(NotTaken::Gap(_)) => Some(409),
    }
}

/// The Reporter does what is overdue, as its commit number `seq`.
fn makes_room(reported: &mut Reported, seq: u64) -> Option<Write> {
    let overdue = reported.overdue(&BTreeSet::new())?;
    let act = reported.act(&overdue, Time::default());
    assert_eq!(refused(reported, &commit(&author(0), seq, act)), None);
    Some(overdue)
}

fn names(collections: [(&str, Reported); 1]) -> BTreeMap<String, Reported> {
    collections.map(|(name, one)| (name.to_owned(), one)).into()
}

#[test]
fn what_comes_before_the_oldest_have_left_is_bounded() {
    let mut full = reported(10);
    let last = (10 + CHILDREN_OVER_MAX) as u64;
    for seq in 1..=last {
        assert_eq!(
            refused(&mut full, &creation(&author(1), seq, json!({}))),
            None
        );
    }
    let one_more = creation(&author(1), last + 1, json!({}));
    assert_eq!(refused(&mut full, &one_more), Some(429));
    let gone = makes_room(&mut full, 1);
    assert!(matches!(gone, Some(Write::Moderate(ids)) if ids.len() == MODERATED_MAX));
    assert_eq!(refused(&mut full, &one_more), None, "the same commit again");
}

#[test]
fn the_oldest_leave_where_the_bytes_are_too_many() {
    let mut heavy = reported(10_000);
    let pad = "x".repeat(250_000);
    let count = (CHILDREN_BYTES_MAX / 250_000 + 2) as u64;
    for seq in 1..=count {
        let value = json!({ "pad": pad });
        assert_eq!(refused(&mut heavy, &creation(&author(1), seq, value)), None);
    }
    let Some(Write::Moderate(oldest)) = makes_room(&mut heavy, 1) else {
        panic!("nothing is overdue");
    };
    assert_eq!(oldest[0], ChildId::new(author(1), 1));
    assert!(oldest.len() < 4, "{oldest:?}");
    assert_eq!(heavy.overdue(&BTreeSet::new()), None);
}

#[test]
fn authors_of_whom_no_child_is_left_are_forgotten_for_others_and_may_come_again() {
    let mut crowd = reported(10);
    let room = CHILDREN_AUTHORS_MAX - MODERATED_MAX;
    for number in 1..=room {
        let from = author(number);
        assert_eq!(refused(&mut crowd, &creation(&from, 1, json!({}))), None);
        let delete = Act::Delete(ChildId::new(from.clone(), 1));
        if number > 5 {
            assert_eq!(refused(&mut crowd, &commit(&from, 2, delete)), None);
        }
    }
    assert_eq!(crowd.overdue(&BTreeSet::new()), None);
    let mut crowd = names([(NAME, crowd)]);
    let mut reader = Observed::default();
    let whole = answer(&crowd, &BTreeMap::new(), "nobody", true);
    reader.content(&serde_json::to_string(&whole).unwrap());
    let reported = crowd.get_mut(NAME).unwrap();
    let nothing = commit(&author(room + 1), 1, Act::Nothing);
    assert_eq!(refused(reported, &nothing), None);
    reader.commit(NAME, &nothing);
    let Some(overdue @ Write::Forget(_)) = reported.overdue(&BTreeSet::new()) else {
        panic!("nobody is forgotten");
    };
    let forget = commit(&author(0), 1, reported.act(&overdue, Time::default()));
    assert_eq!(refused(reported, &forget), None);
    let received = reader.commit(NAME, &forget);
    assert!(!received.recover);
    for number in 1..=5 {
        assert_ne!(
            reported.collection.position(&author(number)),
            Position::default()
        );
    }
    let silent = author(6);
    assert_eq!(reported.collection.position(&silent), Position::default());
    let next = commit(&silent, 3, Act::Nothing);
    assert_eq!(
        reported.take(&next),
        Err(NotTaken::Gap(Position::default()))
    );
    let again = ChildCommit {
        position: Position::new(2, 1),
        ..creation(&silent, 1, json!({}))
    };
    assert_eq!(refused(reported, &again), None);
    reader.commit(NAME, &again);
    assert!(
        !reader.differs(digest(&crowd).unwrap()),
        "a reader forgets them too"
    );
}

#[test]
fn there_are_no_more_authors_than_may_be() {
    let mut crowd = reported(CHILDREN_AUTHORS_MAX);
    for number in 1..=CHILDREN_AUTHORS_MAX {
        let first = creation(&author(number), 1, json!({}));
        assert_eq!(refused(&mut crowd, &first), None);
    }
    let stranger = author(CHILDREN_AUTHORS_MAX + 1);
    for first in [
        creation(&stranger, 1, json!({})),
        commit(&stranger, 1, Act::Nothing),
    ] {
        assert_eq!(refused(&mut crowd, &first), Some(429));
    }
    let close = commit(&author(0), 1, Act::Close(true));
    assert_eq!(refused(&mut crowd, &close), None, "the Reporter has room");
}

#[test]
fn the_log_keeps_so_many_commits_and_a_reader_from_before_is_paged_anew() {
    let mut long = reported(10_000);
    for seq in 1..=HISTORY_COMMITS_MAX as u64 + 10 {
        assert_eq!(
            refused(&mut long, &creation(&author(1), seq, json!({}))),
            None
        );
    }
    let newest = HISTORY_COMMITS_MAX as u64 + 10;
    let missing = |have: &[(usize, u64)]| {
        let position = |(number, at): &(usize, u64)| (author(*number), Position::new(1, *at));
        let have = have.iter().map(position).collect();
        long.log
            .after(&have, &long.collection)
            .map(|missing| missing.len())
    };
    assert_eq!(missing(&[(1, 9)]), None);
    assert_eq!(missing(&[(1, 10)]), Some(HISTORY_COMMITS_MAX));
    assert_eq!(missing(&[(1, newest)]), Some(0));
    assert_eq!(missing(&[(1, newest + 1)]), None, "from the future");
    assert_eq!(missing(&[(1, newest), (2, 1)]), None, "of nobody known");
}

#[test]
fn a_page_holds_so_many_children_and_bytes_and_a_large_child_alone() {
    let mut small = reported(10_000);
    for seq in 1..=PAGE_CHILDREN_MAX as u64 + 1 {
        assert_eq!(
            refused(&mut small, &creation(&author(1), seq, json!({}))),
            None
        );
    }
    let count = |reported: Reported| {
        let page = page(&names([(NAME, reported)]), NAME, None, &BTreeMap::new()).unwrap();
        let page = serde_json::to_value(page).unwrap();
        let next = page["children"][NAME].get("next").is_some();
        (
            page["children"][NAME]["page"].as_array().unwrap().len(),
            next,
        )
    };
    assert_eq!(count(small), (PAGE_CHILDREN_MAX, true));
    for (length, expected) in [(PAGE_BYTES_MAX / 3, 2), (PAGE_BYTES_MAX - 20, 1)] {
        let mut large = reported(10_000);
        for seq in 1..=4 {
            let value = json!({"pad": "x".repeat(length)});
            assert_eq!(refused(&mut large, &creation(&author(1), seq, value)), None);
        }
        assert_eq!(count(large), (expected, true));
    }
}

#[test]
fn names_that_do_not_fit_into_an_answer_are_read_one_by_one() {
    let mut collections = BTreeMap::new();
    for number in 0..16 {
        let mut one = reported(10_000);
        let value = json!({"pad": "x".repeat(PAGE_BYTES_MAX - 20)});
        assert_eq!(refused(&mut one, &creation(&author(1), 1, value)), None);
        collections.insert(format!("n{number:02}"), one);
    }
    let answer = answer(&collections, &BTreeMap::new(), "nobody", true);
    let body = serde_json::to_string(&answer).unwrap();
    assert!(
        body.len() < CHILDREN_ANSWER_BYTES_MAX + 1_000,
        "{}",
        body.len()
    );
    let mut reader = Observed::default();
    assert_eq!(reader.content(&body).closed, None);
    let mut pages = 0;
    while let Some((name, after)) = reader.next_page() {
        let page = page(&collections, &name, after.as_ref(), &BTreeMap::new()).unwrap();
        let received = reader.page(&serde_json::to_string(&page).unwrap());
        assert_eq!((received.recover, received.closed), (false, None));
        pages += 1;
    }
    assert_eq!(pages, 9, "seven came with the answer");
    assert!(!reader.differs(digest(&collections).unwrap()));
}

#[test]
fn a_have_says_no_more_than_fits_a_request_that_waits() {
    let mut crowd = reported(10_000);
    for number in 1..=1_000 {
        let first = creation(&author(number), 1, json!({}));
        assert_eq!(refused(&mut crowd, &first), None);
    }
    let few = reported(10);
    let collections = BTreeMap::from([("crowd".to_owned(), crowd), ("few".to_owned(), few)]);
    let mut reader = Observed::default();
    let whole = answer(&collections, &BTreeMap::new(), "nobody", true);
    reader.content(&serde_json::to_string(&whole).unwrap());
    while let Some((name, after)) = reader.next_page() {
        let page = page(&collections, &name, after.as_ref(), &BTreeMap::new()).unwrap();
        reader.page(&serde_json::to_string(&page).unwrap());
    }
    let have = reader.have();
    assert!(serde_json::to_string(&have).unwrap().len() <= CHILDREN_HAVE_BYTES_MAX);
    assert_eq!(have.keys().collect::<Vec<_>>(), ["few"]);
}

#[test]
fn pages_that_go_round_are_not_followed() {
    let mut reader = Observed::default();
    let resource = ChildId::new(author(1), 1);
    let child = json!({"resource": resource, "created": "2026-11-21T10:00:00Z", "value": {},
        "position": [1, 1], "origin": [1, 1]});
    let next = json!(["2026-11-21T10:00:00Z", resource]);
    let first = json!({"childrenResources": [NAME],
        "children": {NAME: {"at": {}, "page": [child], "next": next}}});
    assert_eq!(reader.content(&first.to_string()).closed, None);
    let again = json!({"children": {NAME: {"page": [child], "next": next}}});
    let closed = reader.page(&again.to_string()).closed.unwrap();
    assert_eq!(closed.code, 400);
    let mut other = Observed::default();
    other.content(&first.to_string());
    let nothing = other.page(r#"{"children":{}}"#);
    assert!(
        nothing.recover,
        "who answers with no page is not asked again at once"
    );
}

#[test]
fn numbers_of_nobody_or_beyond_what_counts_are_not_believed() {
    let told = |number: u64, whose| {
        let answer = json!({"childrenResources": [NAME], "children": {NAME: {
            "at": {author(1).as_str(): [1, 1]}, "numbers": {author(whose).as_str(): number}, "page": []}}});
        let closed = Observed::default().content(&answer.to_string()).closed;
        closed.map(|refusal| refusal.code)
    };
    assert_eq!(told(COUNT_MAX, 1), None);
    assert_eq!(told(0, 1), Some(400));
    assert_eq!(told(COUNT_MAX + 1, 1), Some(400));
    assert_eq!(told(1, 2), Some(400));
}
