//! One collection of children: the same copy at its Reporter and at every reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::child::{Child, ChildChange, ChildChangeKind, ChildrenChanged};
use super::rest::Unstored;
use super::{Act, ChildCommit, ChildId, encoded_child};
use crate::address::Address;
use crate::limits::{
    CHILDREN_AUTHORS_MAX, CHILDREN_BYTES_MAX, CHILDREN_OVER_BYTES_MAX, CHILDREN_OVER_MAX, KEEP_MAX,
};
use crate::object::{Change, apply};
use crate::stream::{Origin, Position, edits};
use crate::time::Time;

/// What a child takes beside its value, about: its id, twice, and its place.
const CHILD_OVERHEAD_BYTES: usize = 512;
/// What an author takes, about.
const STREAM_OVERHEAD_BYTES: usize = 256;

/// How much of a collection is here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Extent {
    /// Nothing: not even where its streams stand.
    #[default]
    Unknown,
    /// Where its streams stand, and all children from this one on; older ones follow.
    From(Time, ChildId),
    /// All of it.
    Whole,
}

/// What became of a commit.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// It was here already.
    Old,
    /// One before it is missing.
    Ahead,
    /// It was taken.
    Done(Vec<ChildChange>),
    /// It does not fit what is here, which so is not what it should be.
    Misfit,
    /// There is more than a collection may hold.
    Full,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stream {
    pub(super) position: Position,
    /// The highest number its author has used, deleted ones included.
    pub(super) number: u64,
    /// How many of its children are there.
    pub(super) children: usize,
    /// Which of all commits its last one was.
    pub(super) turn: u64,
}

/// One collection of an object's children (protocol.md §9), ordered by when they were made, then by
/// id.
#[derive(Clone, Debug)]
pub struct Collection {
    pub(super) children: BTreeMap<ChildId, Child>,
    pub(super) order: BTreeSet<(Time, ChildId)>,
    pub(super) streams: BTreeMap<Address, Stream>,
    /// Children that the Reporter deleted before their `create` came, and where that is.
    pub(super) gone: BTreeMap<ChildId, Position>,
    /// How many commits were taken.
    pub(super) turns: u64,
    pub(super) bytes: usize,
    /// How many children its Reporter keeps.
    pub(super) keep: usize,
    pub(super) closed: bool,
    pub(super) extent: Extent,
    pub(super) steps: u64,
    /// Where it rests: what of it is to be stored.
    pub(super) unstored: Option<Unstored>,
}

impl Default for Collection {
    fn default() -> Self {
        Self::of(KEEP_MAX, Extent::Unknown)
    }
}

impl Stream {
    /// Its author has used the numbers up to this one.
    pub(super) fn has_used(&mut self, number: u64) {
        self.number = self.number.max(number);
    }
}

impl Collection {
    pub(super) const fn of(keep: usize, extent: Extent) -> Self {
        Self {
            children: BTreeMap::new(),
            order: BTreeSet::new(),
            streams: BTreeMap::new(),
            gone: BTreeMap::new(),
            turns: 0,
            bytes: 0,
            keep,
            closed: false,
            extent,
            steps: 0,
            unstored: None,
        }
    }

    /// How many children there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there is no child.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// A child.
    #[must_use]
    pub fn get(&self, id: &ChildId) -> Option<&Child> {
        self.children.get(id)
    }

    /// The children, oldest first; from the other end the newest come first. Costs a search for each.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&ChildId, &Child)> {
        let child = |(_, id)| self.children.get_key_value(id);
        self.order
            .iter()
            .filter_map(move |key| child((&key.0, &key.1)))
    }

    /// Whether all children are here: on joining, the oldest come last.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.extent == Extent::Whole
    }

    /// Whether the Reporter has closed it: nobody else writes to it then.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many steps it has made: the number of the last [`ChildrenChanged`].
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Where an author's stream stands; `[0, 0]` when it never wrote.
    #[must_use]
    pub fn position(&self, author: &Address) -> Position {
        self.streams
            .get(author)
            .map_or_else(Position::default, |stream| stream.position)
    }

    /// The authors, and where their streams stand.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = (&Address, Position)> {
        let position = |(author, stream): (_, &Stream)| (author, stream.position);
        self.streams.iter().map(position)
    }

    pub(super) fn stream(&self, author: &str) -> Option<Stream> {
        self.streams.get(author).copied()
    }

    /// Its Reporter keeps so many children from now on.
    pub(crate) fn keeps_at_most(&mut self, keep: usize) {
        if self.keep != keep {
            self.keep = keep;
            self.marks(|unstored| unstored.header = true);
        }
    }

    /// Bytes that it owns, about.
    pub(crate) fn bytes_owned(&self) -> usize {
        self.bytes + self.len() * CHILD_OVERHEAD_BYTES + self.streams.len() * STREAM_OVERHEAD_BYTES
    }

    /// Takes a commit by the apply rule: never skips, never guesses.
    pub(super) fn take(&mut self, commit: &ChildCommit) -> Taken {
        if commit.position <= self.position(&commit.from) {
            Taken::Old
        } else if !self.follows(commit) {
            Taken::Ahead
        } else if !self.has_room_for(commit) {
            Taken::Full
        } else if let Some(changes) = self.perform(commit) {
            self.advance(commit);
            Taken::Done(changes)
        } else {
            Taken::Misfit
        }
    }

    /// Whether `commit` is the next of its author's stream.
    pub(super) fn follows(&self, commit: &ChildCommit) -> bool {
        let (mine, at) = (self.position(&commit.from), commit.position);
        if at.epoch == mine.epoch {
            at.version == mine.version + 1
        } else {
            at.version == 1 && commit.base.unwrap_or_default() == mine
        }
    }

    /// Whether `changes` apply to a child, whatever it comes to.
    pub(super) fn fits(&self, id: &ChildId, changes: &[Change]) -> bool {
        let child = self.children.get(id);
        child.is_some_and(|child| apply(&mut Value::clone(&child.value), changes).is_ok())
    }

    /// Whether `commit` may make it larger. What only takes away always has room.
    pub(super) fn has_room_for(&self, commit: &ChildCommit) -> bool {
        let author =
            self.streams.contains_key(&commit.from) || self.streams.len() < CHILDREN_AUTHORS_MAX;
        match commit.act {
            Act::Create(..) => author && self.has_room(),
            Act::Update(..) => self.bytes < CHILDREN_BYTES_MAX + CHILDREN_OVER_BYTES_MAX,
            Act::Nothing => author,
            Act::Delete(_) | Act::Moderate(_) | Act::Close(_) | Act::Forget(_) => true,
        }
    }

    /// Whether there is room for one more child.
    pub(super) fn has_room(&self) -> bool {
        let bytes = self.bytes < CHILDREN_BYTES_MAX + CHILDREN_OVER_BYTES_MAX;
        bytes && self.len() < self.keep + CHILDREN_OVER_MAX
    }

    fn advance(&mut self, commit: &ChildCommit) {
        let stream = self.streams.entry(commit.from.clone()).or_default();
        self.turns += 1;
        stream.turn = self.turns;
        stream.position = commit.position;
        // What deletes a child, or deleted it before it came, may be all that is left to tell of it.
        if let Act::Create(id, ..) | Act::Delete(id) = &commit.act {
            stream.has_used(id.number());
        }
        let (author, position) = (&commit.from, commit.position);
        let awaits = self.gone.len();
        self.gone.retain(|id, of| {
            let awaited = id.author() != author || position < *of;
            if !awaited {
                stream.has_used(id.number());
            }
            awaited
        });
        let header = self.gone.len() < awaits;
        self.marks(|unstored| {
            unstored.authors.insert(author.clone());
            unstored.header |= header;
        });
    }

    /// What a commit does; `None` when it cannot.
    fn perform(&mut self, commit: &ChildCommit) -> Option<Vec<ChildChange>> {
        match &commit.act {
            Act::Create(id, made, value) => {
                let gone = self.gone.get(id).is_some_and(|of| commit.position <= *of);
                if gone {
                    return Some(vec![]);
                }
                let child = Child {
                    value: Arc::clone(value),
                    created: made.rfc3339(),
                    identity: commit.identity.clone(),
                    position: commit.position,
                    origin: commit.position,
                    made: *made,
                    bytes: encoded_child(value)?,
                };
                if self.children.contains_key(id) {
                    return None;
                }
                self.insert(id.clone(), child.clone());
                Some(vec![ChildChange::new(id, ChildChangeKind::Added(child))])
            }
            Act::Update(id, changes) => {
                let Some(child) = self.children.get_mut(id) else {
                    // Of a collection that is not all here, it may be a child that is still to come.
                    let to_come = !self.is_whole() || self.gone.contains_key(id);
                    return to_come.then(Vec::new);
                };
                let value = Arc::make_mut(&mut child.value);
                let applied = apply(value, changes).ok()?;
                let Some(bytes) = encoded_child(value) else {
                    applied.undo(value, changes);
                    return None;
                };
                self.bytes = self.bytes - child.bytes + bytes;
                child.bytes = bytes;
                child.position = commit.position;
                let kind = ChildChangeKind::Updated {
                    edits: edits(changes.clone(), applied.into_before()),
                    child: child.clone(),
                };
                self.marks(|unstored| unstored.child(id));
                Some(vec![ChildChange::new(id, kind)])
            }
            Act::Delete(id) => Some(self.remove(id, false).into_iter().collect()),
            Act::Moderate(of) => self.moderate(of),
            Act::Close(closed) => {
                self.closes(*closed);
                Some(vec![])
            }
            Act::Forget(authors) => {
                self.forget_authors(authors);
                Some(vec![])
            }
            Act::Nothing => Some(vec![]),
        }
    }

    /// It is closed, or open.
    pub(super) fn closes(&mut self, closed: bool) {
        self.closed = closed;
        self.marks(|unstored| unstored.header = true);
    }

    /// So much of it is here from now on.
    pub(super) fn reaches(&mut self, extent: Extent) {
        self.extent = extent;
        self.marks(|unstored| unstored.header = true);
    }

    pub(super) fn insert(&mut self, id: ChildId, child: Child) {
        self.bytes += child.bytes;
        // Of many children of one author its address is kept once.
        let author = self.count(&id, |children| children + 1);
        let id = ChildId::new(author, id.number());
        self.order.insert((child.made, id.clone()));
        self.marks(|unstored| {
            unstored.author(&id);
            unstored.child(&id);
        });
        self.children.insert(id, child);
    }

    pub(super) fn remove(&mut self, id: &ChildId, moderated: bool) -> Option<ChildChange> {
        let child = self.children.remove(id)?;
        self.bytes -= child.bytes;
        self.count(id, |children| children - 1);
        self.order.remove(&(child.made, id.clone()));
        self.marks(|unstored| unstored.child(id));
        let kind = ChildChangeKind::Removed { moderated };
        Some(ChildChange::new(id, kind))
    }

    /// Counts the author's children anew. Gives its address as it is here.
    fn count(&mut self, id: &ChildId, counted: impl FnOnce(usize) -> usize) -> Address {
        // A first child comes before its author's stream does.
        let stream = self.streams.entry(id.author().clone());
        let author = stream.key().clone();
        let stream = stream.or_default();
        stream.children = counted(stream.children);
        author
    }

    /// The step that these changes are, when it is one.
    pub(super) fn step(
        &mut self,
        origin: Origin,
        changes: Vec<ChildChange>,
        was_closed: bool,
    ) -> Option<ChildrenChanged> {
        if changes.is_empty() && self.closed == was_closed {
            return None;
        }
        self.steps += 1;
        Some(ChildrenChanged {
            number: self.steps,
            origin,
            changes,
            closed: self.closed,
        })
    }
}
