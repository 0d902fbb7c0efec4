//! Children: who wrote which, where each collection stands as its application was told, and what was
//! decided for good.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::{Address, Resource, Target};
use byline_core::children::{
    Act, Child, ChildChangeKind, ChildCommit, ChildHeader, ChildId, ChildrenChanged, Collection,
};
use byline_core::identity::Identity;
use byline_core::message::body::ChildCommitted;
use byline_core::message::{Header, Type};
use byline_core::runtime::Seat;
use byline_core::stream::{Origin, Position};
use serde_json::{Value, json};

use super::{Oracle, Rule};
use crate::totals::{Count, Totals};
use crate::world::Peer;

/// The collection of an object, by its name.
pub(crate) type Where = (Address, String);

/// The value that the write with this number gives a child: all of it, whatever was there before.
pub(crate) fn value(n: u64) -> Value {
    let text = "é".repeat(usize::try_from(n % 5).unwrap_or_default());
    json!({"n": n, "twice": 2 * n, "text": text})
}

/// What an author asked for, until its call ends.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// A child with the value of this number.
    Value(u64),
    /// A child that is no more.
    Deleted(Where, ChildId),
    /// Something else.
    Other,
}

/// Whose child the value of a write is.
#[derive(Debug)]
struct Written {
    place: Where,
    id: ChildId,
    identity: Identity,
}

/// The time in which one Reporter has an object's collections: another one may begin without.
#[derive(Debug, Default)]
struct Reign {
    number: u64,
    last: Option<Peer>,
}

/// What is known of all children.
#[derive(Debug, Default)]
pub(crate) struct Children {
    written: BTreeMap<u64, Written>,
    /// The values that a Reporter took.
    taken: BTreeSet<u64>,
    /// The values whose authors were told that they are safe.
    safe: BTreeSet<u64>,
    /// The children that left at a Reporter.
    left: BTreeSet<(Where, ChildId)>,
    /// The children that their authors, or a Reporter, asked to be no more.
    unwanted: BTreeSet<(Where, ChildId)>,
    reigns: BTreeMap<Address, Reign>,
    /// In which reign the node passed on a commit of an author.
    passed: BTreeMap<(Where, Address, Position), u64>,
    /// In which reign the node passed on that a child is removed for good.
    removed: BTreeMap<(Where, ChildId), u64>,
    /// The commits that authors sent, to know one that is sent again.
    sent: BTreeSet<(String, String, Position)>,
}

/// One collection as an application was told of it.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    children: BTreeMap<ChildId, Child>,
    closed: bool,
    steps: u64,
    /// Those that it was told are removed for good.
    removed: BTreeSet<ChildId>,
    /// The values that it was told of as they came, and the children: of a Reporter, what it took.
    took: BTreeSet<u64>,
    made: BTreeSet<ChildId>,
}

impl Children {
    /// Another process reports the object, or the same one anew: it may know nothing of before.
    pub(super) fn begins(&mut self, object: &Address) {
        self.reign_of(object).number += 1;
    }

    /// `peer` has claimed the object.
    pub(super) fn claimed(&mut self, object: &Address, peer: Peer) {
        let reign = self.reign_of(object);
        if reign.last.replace(peer) != Some(peer) {
            reign.number += 1;
        }
    }

    pub(crate) fn wrote(&mut self, n: u64, seat: &Seat, name: &str, id: &ChildId, who: &Identity) {
        let written = Written {
            place: (seat.object.clone(), name.to_owned()),
            id: id.clone(),
            identity: who.clone(),
        };
        self.written.insert(n, written);
    }

    pub(crate) fn is_unwanted(&mut self, place: Where, id: ChildId) {
        self.unwanted.insert((place, id));
    }

    /// A commit reaches the node; says whether it did before.
    pub(super) fn is_sent_again(&mut self, header: &Header<'_>) -> bool {
        let commit = ChildHeader::peek(header.kind, header.body);
        commit.is_ok_and(|commit| {
            let key = (header.from.to_string(), header.to.to_string());
            !self.sent.insert((key.0, key.1, commit.position))
        })
    }

    fn reign_of(&mut self, object: &Address) -> &mut Reign {
        self.reigns.entry(object.clone()).or_default()
    }

    fn reign(&self, object: &Address) -> u64 {
        self.reigns.get(object).map_or(0, |reign| reign.number)
    }
}

/// The collection that an address is of.
pub(super) fn place_of(address: &str) -> Option<Where> {
    match Target::of(address) {
        Target::Object(url, Resource::Children(name)) => {
            Some((Address::parse(url).ok()?, name.to_owned()))
        }
        _ => None,
    }
}

impl Oracle {
    /// The node lets everybody have a child commit: its holder took it, or made it. Says of which
    /// collection, when the frame is about one.
    pub(super) fn node_took_child(&mut self, sender: Option<Peer>, header: &Header<'_>) -> bool {
        let answers = header.kind == Type::Response;
        let about = if answers { &header.from } else { &header.to };
        let Some(place) = place_of(about) else {
            return false;
        };
        let holder = self.books.holder(place.0.as_str());
        self.expects(sender.is_some() && sender == holder, Rule::Holder, || {
            format!("{sender:?} decides on children where {holder:?} holds: {header:?}")
        });
        let author = if answers { &header.to } else { &header.from };
        let (Ok(author), Some(at)) = (Address::parse(author), self.commit_of(&place, header))
        else {
            return true;
        };
        let reign = self.children.reign(&place.0);
        self.children.passed.insert((place, author, at), reign);
        true
    }

    /// Where the author's stream stands after the commit that `header` brings or answers.
    fn commit_of(&mut self, place: &Where, header: &Header<'_>) -> Option<Position> {
        if header.kind == Type::Response {
            let committed = header.decode::<ChildCommitted>();
            return committed.ok().map(|committed| committed.position);
        }
        let commit = ChildCommit::decode(header.kind, &header.from, header.body).ok()?;
        if let Act::Moderate(of) = commit.act {
            let reign = self.children.reign(&place.0);
            for id in of.into_keys() {
                self.children.removed.insert((place.clone(), id), reign);
            }
        }
        Some(commit.position)
    }

    /// What an object's Reporter says of its children holds nothing of those that it removed for good.
    pub(super) fn removed_are_not_told(&mut self, header: &Header<'_>) {
        let Target::Object(url, _) = Target::of(&header.from) else {
            return;
        };
        let of = |((place, _), reign): &(&(Where, ChildId), &u64)| {
            *place.0.as_str() == *url && **reign == self.children.reign(&place.0)
        };
        let mut removed = self.children.removed.iter().filter(of).peekable();
        if removed.peek().is_none() {
            return;
        }
        let body: Value = header.decode().unwrap_or_default();
        let found = removed.find(|((place, id), _)| {
            let said = body["children"][&place.1].to_string();
            said.contains(&format!("\"resource\":\"{id}\""))
        });
        let found = found.map(|(key, _)| key.clone());
        self.expects(found.is_none(), Rule::Child, || {
            format!(
                "{found:?} was removed for good, and is told: {}",
                header.body
            )
        });
    }

    /// A call of an author has ended well.
    pub(crate) fn child_is_safe(&mut self, asked: Asked) {
        match asked {
            Asked::Value(n) => {
                let taken = self.children.taken.contains(&n);
                self.expects(taken, Rule::Child, || {
                    format!("the child with {n} is said to be safe, and no Reporter has it")
                });
                self.children.safe.insert(n);
            }
            Asked::Deleted(place, id) => {
                let left = self.children.left.contains(&(place, id.clone()));
                self.expects(left, Rule::Child, || {
                    format!("{id} is said to be deleted, and is with every Reporter")
                });
            }
            Asked::Other => {}
        }
    }

    /// A collection made a step; `keep` says how many its Reporter keeps, when that is who is told.
    pub(crate) fn children_step(
        &mut self,
        place: &Where,
        copy: &mut Copy,
        changed: &ChildrenChanged,
        keep: Option<(usize, &Address)>,
        totals: &mut Totals,
    ) {
        copy.steps += 1;
        self.expects(copy.steps == changed.number, Rule::Copy, || {
            format!(
                "{place:?}: step {} is told as {}",
                copy.steps, changed.number
            )
        });
        totals.one(match (changed.origin, keep.is_some()) {
            (Origin::Live, _) => Count::ChildSteps,
            (_, true) => Count::ChildrenAdopted,
            (Origin::CatchUp, _) => Count::ChildrenCaughtUp,
            _ => Count::ChildrenPaged,
        });
        if changed.origin != Origin::Live && keep.is_some() {
            // What another had is taken over: with what that decided.
            copy.took.clear();
            copy.made.clear();
            copy.removed.clear();
        }
        let was_closed = std::mem::replace(&mut copy.closed, changed.closed);
        for change in &changed.changes {
            let id = &change.id;
            if changed.origin == Origin::Live
                && let Some((keep, own)) = keep
            {
                let late = was_closed && copy.closed && id.author() != own;
                let may = !late || matches!(change.kind, ChildChangeKind::Removed { .. });
                self.expects(may, Rule::Child, || {
                    format!("{id} is written where its Reporter takes nothing: {change:?}")
                });
                self.reporter_step(place, copy, id, &change.kind, (keep, totals));
            }
            match &change.kind {
                ChildChangeKind::Added(child) => {
                    let known = copy.children.insert(id.clone(), child.clone());
                    self.expects(known.is_none(), Rule::Copy, || {
                        format!("{place:?}: {id} is added, and was there")
                    });
                    self.stays_removed(place, copy, id);
                    self.child(place, id, child);
                }
                ChildChangeKind::Updated { child, .. } => {
                    let before = copy.children.insert(id.clone(), child.clone());
                    match before {
                        None => self.breaks(Rule::Copy, || {
                            format!("{place:?}: {id} is changed, and was not there")
                        }),
                        Some(before) => self.goes_on(place, id, &before, child),
                    }
                    self.child(place, id, child);
                }
                ChildChangeKind::Removed { moderated } => {
                    let known = copy.children.remove(id).is_some();
                    self.expects(known, Rule::Copy, || {
                        format!("{place:?}: {id} is removed, and was not there")
                    });
                    if *moderated {
                        copy.removed.insert(id.clone());
                    }
                }
            }
        }
    }

    /// A Reporter takes a commit: what it decides.
    fn reporter_step(
        &mut self,
        place: &Where,
        copy: &mut Copy,
        id: &ChildId,
        kind: &ChildChangeKind,
        (keep, totals): (usize, &mut Totals),
    ) {
        match kind {
            ChildChangeKind::Added(child) => {
                let new = copy.made.insert(id.clone());
                self.expects(new, Rule::Child, || {
                    format!("{place:?}: {id} is made a second time")
                });
                self.takes(copy, child);
                if !self.is_an_authors(id) {
                    totals.one(Count::GuestChildren);
                }
            }
            ChildChangeKind::Updated { child, .. } => self.takes(copy, child),
            ChildChangeKind::Removed { moderated } => {
                let key = (place.clone(), id.clone());
                let wanted = !self.children.unwanted.contains(&key);
                let prunes = *moderated && copy.children.len() > keep;
                if wanted && prunes {
                    totals.one(Count::ChildrenPruned);
                }
                let guest = !self.is_an_authors(id);
                self.expects(!wanted || prunes || guest, Rule::Child, || {
                    format!("{place:?}: {id} is removed, and nobody wanted that")
                });
                self.children.left.insert(key);
            }
        }
    }

    fn takes(&mut self, copy: &mut Copy, child: &Child) {
        if let Some(n) = child.value["n"].as_u64() {
            copy.took.insert(n);
            self.children.taken.insert(n);
        }
    }

    /// Whether somebody whose writes are known made the child: a guest's are not.
    fn is_an_authors(&self, id: &ChildId) -> bool {
        !id.author().as_str().ends_with("/liar")
    }

    /// A child is as its author wrote it.
    fn child(&mut self, place: &Where, id: &ChildId, child: &Child) {
        if !self.is_an_authors(id) {
            return;
        }
        let n = child.value["n"].as_u64().unwrap_or_default();
        let written = self.children.written.get(&n);
        let right = written.is_some_and(|written| {
            written.place == *place
                && written.id == *id
                && child.identity.as_ref() == Some(&written.identity)
        });
        self.expects(right, Rule::Child, || {
            format!("{id} is {child:?}, and its author wrote no such thing")
        });
        self.expects(*child.value == value(n), Rule::Whole, || {
            format!("{id} shows half a commit: {}", child.value)
        });
    }

    /// Versions of a child go up, unless another Reporter begins without what was there.
    fn goes_on(&mut self, place: &Where, id: &ChildId, before: &Child, after: &Child) {
        let passed = (place.clone(), id.author().clone(), before.position);
        let passed = self.children.passed.get(&passed).copied();
        let back = after.position < before.position;
        let same = passed == Some(self.children.reign(&place.0));
        self.expects(!(back && same), Rule::Child, || {
            format!(
                "{place:?}: {id} went from {} to {}",
                before.position, after.position
            )
        });
    }

    /// What its Reporter removed does not come back, as long as that Reporter has the collection.
    fn stays_removed(&mut self, place: &Where, copy: &Copy, id: &ChildId) {
        if !copy.removed.contains(id) {
            return;
        }
        let removed = self.children.removed.get(&(place.clone(), id.clone()));
        let same = removed.copied() == Some(self.children.reign(&place.0));
        self.expects(!same, Rule::Child, || {
            format!("{place:?}: {id} was removed by its Reporter, and is back")
        });
    }

    /// All steps are told: they give the collection.
    pub(crate) fn children_mirror(&mut self, place: &Where, copy: &Copy, there: &Collection) {
        let same = copy.closed == there.is_closed()
            && copy.steps == there.steps()
            && copy.children.len() == there.len()
            && there.iter().all(|(id, child)| {
                copy.children
                    .get(id)
                    .is_some_and(|told| told.value == child.value)
            });
        self.expects(same, Rule::Copy, || {
            format!("{place:?}: the steps give {copy:?}, the collection is {there:?}")
        });
    }

    /// What authors were told is safe is with the Reporter that took it, or left there.
    pub(crate) fn safe_children(&mut self, place: &Where, copy: &Copy) {
        for n in &copy.took {
            let Some(written) = self.children.written.get(n) else {
                continue;
            };
            let there = copy.children.get(&written.id);
            let there = there.and_then(|child| child.value["n"].as_u64());
            let left = (place.clone(), written.id.clone());
            let kept = there.is_some_and(|there| there >= *n) || self.children.left.contains(&left);
            if self.children.safe.contains(n) && !kept {
                let id = written.id.clone();
                return self.breaks(Rule::Child, || {
                    format!("{place:?}: {id} with {n} was safe, and its Reporter has {there:?}")
                });
            }
        }
    }
}
