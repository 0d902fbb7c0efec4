//! Children: who wrote which, which of them a Reporter took, and what was decided for good.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::{Address, Resource, Target};
use byline_core::children::{Act, ChildCommit, ChildHeader, ChildId, Collection};
use byline_core::identity::Identity;
use byline_core::message::body::ChildCommitted;
use byline_core::message::{Header, Type};
use byline_core::runtime::Seat;
use byline_core::stream::Position;
use serde_json::{Value, json};

use super::taking::number_of;
use super::{Oracle, Rule};
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
pub(super) struct Written {
    pub(super) place: Where,
    pub(super) id: ChildId,
    pub(super) identity: Identity,
}

/// The time in which one has an object's collections, a Reporter or the node: another one may begin without.
#[derive(Debug, Default)]
struct Reign {
    number: u64,
    last: Option<Peer>,
}

/// What is known of all children.
#[derive(Debug, Default)]
pub(crate) struct Children {
    pub(super) written: BTreeMap<u64, Written>,
    /// The values that a Reporter took.
    pub(super) taken: BTreeSet<u64>,
    /// In which reign the node took a value in a Reporter's place.
    pub(super) taken_in: BTreeMap<u64, u64>,
    /// The values whose authors were told that they are safe.
    pub(super) safe: BTreeSet<u64>,
    /// Where the author's stream stood when a Reporter took a child.
    pub(super) made: BTreeMap<(Where, ChildId), Position>,
    /// The children that left at a Reporter.
    pub(super) left: BTreeSet<(Where, ChildId)>,
    /// The children that their authors, or a Reporter, asked to be no more.
    pub(super) unwanted: BTreeSet<(Where, ChildId)>,
    reigns: BTreeMap<Address, Reign>,
    /// In which reign the node passed on a commit of an author.
    pub(super) passed: BTreeMap<(Where, Address, Position), u64>,
    /// The children that commits would remove for good, until the node says whether they do.
    removing: BTreeMap<(Where, Address, Position), Vec<ChildId>>,
    /// In which reign the node passed on that a child is removed for good.
    pub(super) removed: BTreeMap<(Where, ChildId), u64>,
    /// What authors sent to each place of their streams: to know one that is sent again, and what a Reporter has that
    /// told nobody of it.
    sent: BTreeMap<(Where, Address, Position), Act>,
}

impl Children {
    /// Another process reports the object, or the same one anew: it may know nothing of before. Where the node `has`
    /// the children, that makes no difference.
    pub(super) fn begins(&mut self, object: &Address, has: bool) {
        let reign = self.reign_of(object);
        reign.last = None;
        reign.number += u64::from(!has);
    }

    /// `peer` has claimed the object, of which the node has all children, or not.
    pub(super) fn claimed(&mut self, object: &Address, peer: Peer, whole: bool, afresh: bool) {
        let reign = self.reign_of(object);
        let other = reign.last.replace(peer) != Some(peer);
        if afresh || other && !whole {
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
        let commit = ChildCommit::decode(header.kind, &header.from, header.body);
        let (Some(place), Ok(commit)) = (place_of(&header.to), commit) else {
            return false;
        };
        let key = (place, commit.from, commit.position);
        self.sent.insert(key, commit.act).is_some()
    }

    /// Whoever decides takes a commit of `author`.
    pub(super) fn is_taken(&mut self, place: &Where, author: &Address, at: Position, act: &Act) {
        if !author.as_str().ends_with("/liar") {
            self.taken.extend(number_of(act));
        }
        match act {
            Act::Create(id, ..) => {
                self.made.insert((place.clone(), id.clone()), at);
            }
            Act::Delete(id) => {
                self.left.insert((place.clone(), id.clone()));
            }
            Act::Moderate(ids) => {
                let ids = ids.keys().map(|id| (place.clone(), id.clone()));
                self.left.extend(ids);
            }
            _ => {}
        }
    }

    /// A Reporter is there again with its collection: what it had taken and told nobody of, it has taken.
    pub(crate) fn return_with(&mut self, place: &Where, there: &Collection) {
        for (author, stands) in there.positions() {
            let of = |at| (place.clone(), author.clone(), at);
            let sent = self.sent.range(of(Position::default())..=of(stands));
            let sent: Vec<_> = sent.map(|((.., at), act)| (*at, act.clone())).collect();
            for (at, act) in sent {
                self.is_taken(place, author, at, &act);
            }
        }
        let unwanted = self.unwanted.iter().filter(|(of, _)| of == place);
        let gone = unwanted.filter(|(_, id)| there.get(id).is_none());
        self.left.extend(gone.cloned());
    }

    /// A commit reaches the node that would remove children for good.
    pub(super) fn is_removing(&mut self, header: &Header<'_>) {
        let place = place_of(&header.to);
        let liar = header.from.ends_with("/liar");
        let moderates = header.kind == Type::Delete && header.body.contains("\"of\"") && !liar;
        let (Some(place), Ok(author)) = (place.filter(|_| moderates), Address::parse(&header.from))
        else {
            return;
        };
        if let Ok(commit) = ChildCommit::decode(header.kind, &header.from, header.body)
            && let Act::Moderate(of) = commit.act
        {
            let key = (place, author, commit.position);
            self.removing.insert(key, of.into_keys().collect());
        }
    }

    /// The node says that a commit is taken: what that removes for good is removed.
    pub(super) fn are_removed(&mut self, place: &Where, header: &Header<'_>) {
        let committed = header.decode::<ChildCommitted>();
        let (Ok(committed), Ok(author)) = (committed, Address::parse(&header.to)) else {
            return;
        };
        let key = (place.clone(), author, committed.position);
        let reign = self.reign(&place.0);
        for id in self.removing.remove(&key).unwrap_or_default() {
            self.removed.insert((place.clone(), id), reign);
        }
    }

    fn reign_of(&mut self, object: &Address) -> &mut Reign {
        self.reigns.entry(object.clone()).or_default()
    }

    pub(super) fn reign(&self, object: &Address) -> u64 {
        self.reigns.get(object).map_or(0, |reign| reign.number)
    }
}

/// The collection that an address is of.
pub(crate) fn place_of(address: &str) -> Option<Where> {
    match Target::of(address) {
        Target::Object(url, Resource::Children(name)) => {
            Some((Address::parse(url).ok()?, name.to_owned()))
        }
        _ => None,
    }
}

/// Where the author's stream stands after the commit that `header` brings or answers.
fn commit_of(header: &Header<'_>) -> Option<Position> {
    if header.kind == Type::Response {
        let committed = header.decode::<ChildCommitted>();
        return committed.ok().map(|committed| committed.position);
    }
    let commit = ChildHeader::peek(header.kind, header.body).ok()?;
    Some(commit.position)
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
        if self.node_takes(&place.0) {
            self.expects(!answers, Rule::Holder, || {
                format!("{sender:?} decides on children where the node does: {header:?}")
            });
            self.node_takes_child(sender, &place, header);
        } else {
            let holder = self.books.holder(place.0.as_str());
            self.expects(sender.is_some() && sender == holder, Rule::Holder, || {
                format!("{sender:?} decides on children where {holder:?} holds: {header:?}")
            });
        }
        let author = if answers { &header.to } else { &header.from };
        let (Ok(author), Some(at)) = (Address::parse(author), commit_of(header)) else {
            return true;
        };
        let reign = self.children.reign(&place.0);
        self.children.passed.insert((place, author, at), reign);
        true
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
            let of = &body["children"][&place.1];
            let told = |said: &Value| said["resource"] == id.to_string();
            let page = of["page"].as_array().into_iter().flatten();
            let commits = of["commits"].as_array().into_iter().flatten();
            // Its author may have deleted it, too.
            let mut there = commits.filter(|commit| commit["type"] != "delete");
            page.clone().any(told) || there.any(|commit| told(&commit["body"]))
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
                let key = (place.clone(), id.clone());
                let children = &self.children;
                let made = children.made.get(&key);
                let made = made.map(|at| (place.clone(), id.author().clone(), *at));
                // Whoever has the collection now was never asked to delete what only another had.
                let here = made.and_then(|made| children.passed.get(&made).copied())
                    == Some(children.reign(&place.0));
                let left = children.left.contains(&key);
                self.expects(left || !here, Rule::Child, || {
                    format!("{id} is said to be deleted, and its Reporter has it")
                });
            }
            Asked::Other => {}
        }
    }
}
