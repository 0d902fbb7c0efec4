//! Children that the node takes in their Reporter's place (protocol.md §9): what it has said of them, and what it
//! finds of that when it comes back; and what was said at each place of every author's stream, whoever takes.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::Address;
use byline_core::children::{Act, ChildCommit, ChildId};
use byline_core::message::body::{ChildCommitted, Claim, Claimed};
use byline_core::message::{Header, Type};
use byline_core::object::Change;
use byline_core::storage::{Table, key};
use byline_core::stream::Position;
use serde_json::Value;

use super::children::{Where, place_of};
use super::{Oracle, Rule};
use crate::disk::Disk;
use crate::totals::{Count, Totals};
use crate::world::Peer;

/// What is known of the node's part in children.
#[derive(Debug, Default)]
pub(super) struct Takings {
    /// The objects of which it takes what is written to children, as it said to their last claim.
    takes: BTreeSet<Address>,
    /// What was said at each place of a stream: for ever, whoever took it.
    said: BTreeMap<(Where, Address, Position), String>,
    /// Where the write with this number was said to be, and in which reign.
    writes: BTreeMap<u64, (u64, Position)>,
    /// How far authors' streams have come, as the node itself said.
    stands: BTreeMap<(Where, Address), Position>,
}

impl Takings {
    pub(super) fn takes(&self, object: &Address) -> bool {
        self.takes.contains(object)
    }

    /// What it had of an object is no more.
    fn lets_go(&mut self, object: &Address) {
        self.stands.retain(|((of, _), _), _| of != object);
    }

    fn is_now(&mut self, object: &Address, takes: bool) {
        if takes {
            self.takes.insert(object.clone());
        } else {
            self.takes.remove(object);
            self.lets_go(object);
        }
    }
}

/// The number of the value that a commit gives its child.
pub(super) fn number_of(act: &Act) -> Option<u64> {
    match act {
        Act::Create(_, _, value) => value["n"].as_u64(),
        Act::Update(_, changes) => changes.iter().find_map(|change| match change {
            Change::Set { path, value } if path.to_string() == "n" => value.as_u64(),
            Change::Replace { data } => data.get("n")?.as_u64(),
            _ => None,
        }),
        _ => None,
    }
}

fn is_a_liars(author: &str) -> bool {
    author.ends_with("/liar")
}

impl Oracle {
    /// Whether the node takes what is written to the children of `object`.
    pub(crate) fn node_takes(&self, object: &Address) -> bool {
        self.takings.takes(object)
    }

    /// A claim is granted: it says who takes from now on.
    pub(super) fn children_claimed(&mut self, claim: &Claim, claimed: &Claimed, peer: Peer) {
        let url = &claim.url;
        let takes = claimed.cache && !claim.children.is_empty();
        let whole = claimed.children.is_some();
        let afresh = claim.base == Some(None);
        let kept = !whole || !afresh && takes;
        self.expects(kept, Rule::Child, || {
            format!("{url} was claimed by {claim:?}, and is answered {claimed:?}")
        });
        let before = self.takings.takes(url);
        self.takings.is_now(url, takes);
        if !whole {
            self.takings.lets_go(url);
        }
        self.children
            .claimed(url, peer, whole, afresh || before && !takes);
    }

    /// Another process begins to report the object. What the node has of children, it keeps.
    pub(crate) fn children_begin(&mut self, object: &Address) {
        let takes = self.takings.takes(object);
        self.children.begins(object, takes);
    }

    /// The node has no disk: of children it has nothing.
    pub(super) fn children_are_forgotten(&mut self) {
        for object in std::mem::take(&mut self.takings.takes) {
            self.children.begins(&object, false);
        }
        self.takings.stands.clear();
    }

    /// A Reporter tells the node itself of its children.
    pub(super) fn copies_come(&self, frame: &str, totals: &mut Totals) {
        let answers =
            |header: &Header<'_>| header.kind == Type::Response && header.to.ends_with("/sm");
        let told = Header::peek(frame).ok().filter(answers);
        if told.is_some_and(|header| header.body.contains("\"children\":{")) {
            totals.one(Count::ChildrenCopied);
        }
    }

    /// The node itself takes a commit from `sender`.
    pub(super) fn node_takes_child(
        &mut self,
        sender: Option<Peer>,
        place: &Where,
        header: &Header<'_>,
    ) {
        let commit = ChildCommit::decode(header.kind, &header.from, header.body);
        let Ok(commit) = commit.as_ref() else {
            return self.breaks(Rule::Child, || format!("the node takes {header:?}"));
        };
        let holder = self.books.holder(place.0.as_str());
        let decides = matches!(
            commit.act,
            Act::Moderate(_) | Act::Close(_) | Act::Forget(_)
        );
        self.expects(!decides || sender == holder, Rule::Holder, || {
            format!("{sender:?} decides on children where {holder:?} holds: {header:?}")
        });
        let reign = self.children.reign(&place.0);
        if let Some(n) = number_of(&commit.act).filter(|_| !is_a_liars(&header.from)) {
            self.children.taken_in.insert(n, reign);
        }
        let (author, at) = (&commit.from, commit.position);
        self.children.is_taken(place, author, at, &commit.act);
        if let Act::Forget(authors) = &commit.act {
            for author in authors.keys() {
                let stream = (place.clone(), author.clone());
                self.takings.stands.remove(&stream);
            }
        }
    }

    /// A child commit goes to all who have the object: no other was ever said in its place, and what it writes was said
    /// in no other.
    pub(super) fn child_is_said(&mut self, header: &Header<'_>) {
        if !matches!(header.kind, Type::Create | Type::Update | Type::Delete)
            || is_a_liars(&header.from)
        {
            return;
        }
        let (Some(place), Ok(author)) = (place_of(&header.to), Address::parse(&header.from)) else {
            return;
        };
        let commit = ChildCommit::decode(header.kind, &header.from, header.body);
        let Ok(commit) = commit else { return };
        let at = commit.position;
        let text = format!("{:?} {}", header.kind, header.body);
        let said = (place.clone(), author.clone(), at);
        let before = self.takings.said.insert(said, text.clone());
        self.expects(
            before.as_ref().is_none_or(|before| *before == text),
            Rule::Seen,
            || format!("{place:?}: {author} said at {at} {before:?}, and now {text}"),
        );
        let reign = self.children.reign(&place.0);
        if let Some(n) = number_of(&commit.act) {
            let before = self.takings.writes.insert(n, (reign, at));
            let twice = before.is_some_and(|(once, place)| once == reign && place != at);
            self.expects(!twice, Rule::Child, || {
                format!(
                    "{place:?}: {author} wrote {n} once, and it was taken at {before:?} and {at}"
                )
            });
        }
        self.stream_stands(place, author, at);
    }

    /// The node says that it has a commit.
    pub(super) fn child_is_answered(&mut self, place: &Where, header: &Header<'_>) {
        let committed = header.decode::<ChildCommitted>();
        if let (Ok(committed), Ok(author)) = (committed, Address::parse(&header.to)) {
            self.stream_stands(place.clone(), author, committed.position);
        }
    }

    /// The node says that the stream of `author` has come to `at`.
    pub(super) fn stream_stands(&mut self, place: Where, author: Address, at: Position) {
        if self.takings.takes(&place.0) && !is_a_liars(author.as_str()) {
            let stands = self.takings.stands.entry((place, author)).or_default();
            *stands = at.max(*stands);
        }
    }

    /// The node comes back with the claim of `object` in `row`: it has all of the children that it said, unless another
    /// claim was `asked` for that it may have granted.
    pub(super) fn children_return(&mut self, object: &str, row: &Value, disk: &Disk, asked: bool) {
        let Ok(url) = Address::object(object) else {
            return;
        };
        let names = row["children"]
            .as_array()
            .is_some_and(|names| !names.is_empty());
        let takes = names && row["cache"] == true;
        if asked {
            self.takings.lets_go(&url);
            self.children.begins(&url, false);
            return self.takings.is_now(&url, takes);
        }
        let same = takes == self.takings.takes(&url);
        self.expects(same, Rule::Stored, || {
            format!("{object} comes back as {row}, and another takes its children")
        });
        let rows: BTreeMap<&[u8], &[u8]> = disk.table(Table::Collections).collect();
        let stands = self
            .takings
            .stands
            .iter()
            .filter(|((of, _), _)| of.0 == url);
        let lost = stands.filter_map(|((place, author), said)| {
            let key = key(&[
                object.as_bytes(),
                place.1.as_bytes(),
                author.as_str().as_bytes(),
            ]);
            let row = rows.get(&*key).copied().unwrap_or_default();
            let row: Value = serde_json::from_slice(row).unwrap_or_default();
            let at: Option<Position> = serde_json::from_value(row["position"].clone()).ok();
            (at < Some(*said)).then(|| format!("{place:?}: {author} at {at:?}, and said {said}"))
        });
        let lost: Vec<String> = lost.collect();
        self.expects(lost.is_empty(), Rule::Stored, || {
            format!("the node comes back without children that it had: {lost:?}")
        });
    }

    /// A Reporter that follows has a write in its collection: the node has taken it.
    pub(super) fn is_followed(&mut self, place: &Where, n: u64) {
        let taken = !self.takings.takes(&place.0) || self.children.taken.contains(&n);
        self.expects(taken, Rule::Holder, || {
            format!("{place:?}: its Reporter has {n}, and the node, who decides, did not take it")
        });
    }

    /// What authors were told is safe is with the node that took it, and so with all, or left there.
    pub(crate) fn safe_at_the_node(
        &mut self,
        object: &Address,
        there: &BTreeMap<(Where, ChildId), u64>,
    ) {
        if !self.takings.takes(object) {
            return;
        }
        let reign = self.children.reign(object);
        let children = &self.children;
        let lost = children.safe.iter().find(|n| {
            let taken = children.taken_in.get(n) == Some(&reign);
            let written = children.written.get(n).filter(|_| taken);
            written.is_some_and(|written| {
                let child = (written.place.clone(), written.id.clone());
                let newer = there.get(&child).is_some_and(|there| there >= *n);
                written.place.0 == *object && !newer && !children.left.contains(&child)
            })
        });
        let lost = lost.and_then(|n| Some((*n, self.children.written.get(n)?)));
        let lost = lost.map(|(n, written)| format!("{:?}: {} with {n}", written.place, written.id));
        self.expects(lost.is_none(), Rule::Stored, || {
            format!("{lost:?} was safe, the node took it, and it is gone")
        });
    }
}
