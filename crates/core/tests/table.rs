//! The table of requests (protocol.md, appendix C), cell by cell: whatever becomes of the receiver of a
//! request, its asker gets what the cell says, once.

mod many_authors;
mod requests;
mod scene;

use std::collections::BTreeMap;

use scene::{Receiver, Scene};

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
const APPENDIX: &str = "## Appendix C.";

/// What the document says of each request and receiver; `None` where that cannot be.
fn cells() -> BTreeMap<(String, Receiver), Option<Vec<u64>>> {
    let (_, appendix) = PROTOCOL.split_once(APPENDIX).expect("the appendix");
    let rows = appendix
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2);
    let mut cells = BTreeMap::new();
    for row in rows {
        let fields: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [request, _, answers @ ..] = fields.as_slice() else {
            panic!("a row names a request and its address: {row}");
        };
        assert_eq!(answers.len(), Receiver::ALL.len(), "{row}");
        for (receiver, answer) in Receiver::ALL.into_iter().zip(answers) {
            let codes = match *answer {
                "none" => Some(vec![]),
                reason if reason.starts_with("— ") => None,
                codes => Some(
                    codes
                        .split(", ")
                        .map(|code| code.parse().unwrap())
                        .collect(),
                ),
            };
            let before = cells.insert(((*request).to_owned(), receiver), codes);
            assert_eq!(before, None, "{request} stands there once");
        }
    }
    cells
}

#[track_caller]
fn holds(request: &str, receiver: Receiver) {
    let expected = cells().remove(&(request.to_owned(), receiver));
    let expected = expected.flatten().expect("a cell of the document");
    let mut scene = Scene::new();
    assert_eq!(scene.plays(request, receiver), expected);
    scene.world.assert_all_answered();
}

/// One test for each receiver of each request, and the list of them.
macro_rules! table {
    ($($module:ident, $request:literal: $($receiver:ident)+;)+) => {
        const CASES: &[(&str, Receiver)] = &[$($(($request, case::$receiver)),+),+];
        $(mod $module {
            $(#[test]
            fn $receiver() {
                super::holds($request, super::case::$receiver);
            })+
        })+
    };
}

/// The receivers, by the names of the tests.
#[allow(non_upper_case_globals, reason = "they name tests")]
mod case {
    use super::Receiver;

    pub(super) const alive: Receiver = Receiver::Alive;
    pub(super) const dies_before: Receiver = Receiver::DiesBefore;
    pub(super) const dies_after: Receiver = Receiver::DiesAfter;
    pub(super) const unknown: Receiver = Receiver::Unknown;
    pub(super) const not_permitted: Receiver = Receiver::NotPermitted;
    pub(super) const over_a_limit: Receiver = Receiver::OverALimit;
}

table! {
    open, "open": alive unknown not_permitted over_a_limit;
    re_open, "re-open": alive unknown not_permitted over_a_limit;
    ping, "ping": alive unknown not_permitted;
    close, "close": alive unknown not_permitted;
    claim, "claim": alive unknown not_permitted over_a_limit;
    subscribe, "subscribe": alive dies_before dies_after unknown not_permitted over_a_limit;
    subscribe_and_hold, "subscribe, hold":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    subscribe_to_many, "subscribe to many":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    unsubscribe, "unsubscribe": alive dies_before unknown not_permitted;
    read, "read": alive dies_before dies_after unknown not_permitted over_a_limit;
    commit, "update, a commit": alive dies_before dies_after unknown not_permitted over_a_limit;
    head, "update, a head": alive dies_before dies_after unknown not_permitted;
    delete, "delete": alive dies_before unknown not_permitted;
    kick, "execute kick": alive dies_before unknown not_permitted over_a_limit;
    allow, "execute allow": alive dies_before unknown not_permitted;
    access, "execute access": alive dies_before unknown not_permitted over_a_limit;
    delegate, "execute delegate": alive dies_before unknown not_permitted over_a_limit;
    execute_at_a_hyperty, "execute, to a hyperty":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    execute_at_a_runtime, "execute, to a runtime":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    any_type_to_a_peer, "any other, to a peer":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    any_type_to_an_object, "any other, to an object": alive dies_before unknown not_permitted;
    any_type_to_the_node, "any other, to the node": alive unknown not_permitted;
    child_made, "create, a child":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    child_changed, "update, a child":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    child_deleted, "delete, a child":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    execute_at_an_object, "execute, to an object":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    chunk, "read, a chunk":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    observers, "execute observers": alive dies_before unknown not_permitted;
    invitation_of_a_hyperty, "create, an invitation":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    invitation_of_a_person, "create, an invitation of a person":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    event_to_children, "event, to children":
        alive dies_before dies_after unknown not_permitted over_a_limit;
    event, "event": alive dies_before dies_after unknown not_permitted over_a_limit;
}

#[test]
fn every_cell_has_its_case_and_every_case_its_cell() {
    let can_be = |(cell, codes): ((String, Receiver), Option<Vec<u64>>)| codes.map(|_| cell);
    let cells: Vec<_> = cells().into_iter().filter_map(can_be).collect();
    let owned = |(request, receiver): &(&str, Receiver)| ((*request).to_owned(), *receiver);
    let mut cases: Vec<_> = CASES.iter().map(owned).collect();
    cases.sort_unstable();
    assert_eq!(cells, cases);
}
