//! The reader's side of a stream: a copy that is some position of the original, always.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{Commit, Head, Position};
use crate::error::Refusal;
use crate::limits::{DATA_BYTES_MAX, GAP_BYTES_MAX, GAP_COMMITS_MAX};
use crate::message::{body::Content, decode};
use crate::object::{ApplyError, Change, DataObject, Hash, Metadata, apply, diff, encoded_len};

/// Where a change of the copy came from (protocol.md §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The whole object.
    Snapshot,
    /// Commits that were missing, as one net change.
    CatchUp,
    /// One commit, as it was made.
    Live,
    /// The whole object, at a lower position than the copy had: the node had lost its record, and
    /// commits that were seen here are gone.
    Rewound,
}

/// One change of the copy, and what stood in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The change.
    pub change: Change,
    /// What it replaced or removed, if anything.
    pub before: Option<Value>,
}

/// One step of a copy: visible whole, never in part.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Its number among the copy's steps: 1, 2, 3 …
    pub number: u64,
    /// Where the copy stands after it.
    pub position: Position,
    /// Where it came from.
    pub origin: Origin,
    /// What changed, in order; applied to the data before, it gives the data after.
    pub edits: Vec<Edit>,
}

impl Changed {
    /// Makes the same step with a document of the caller's own. Costs as much as the edits do.
    ///
    /// # Errors
    /// [`ApplyError`] when `data` is not what the copy was before this step.
    pub fn apply_to(&self, data: &mut Value) -> Result<(), ApplyError> {
        for edit in &self.edits {
            let _undo = apply(data, std::slice::from_ref(&edit.change))?;
        }
        Ok(())
    }
}

/// What to do after something was received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reaction {
    /// The steps that the copy made, oldest first.
    pub changed: Vec<Changed>,
    /// Something is missing: subscribe again with [`ObserverStream::have`].
    pub recover: bool,
    /// Going on would not help: the copy stays as it is.
    pub closed: Option<Refusal>,
}

impl Reaction {
    fn recover() -> Self {
        Self {
            recover: true,
            ..Self::default()
        }
    }
}

/// What an Observer met and got over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObserverCounters {
    /// Commits that were here already.
    pub duplicates: u64,
    /// Commits that came before one they follow.
    pub gaps: u64,
    /// Commits of a superseded claim.
    pub refused: u64,
    /// Commits that did not fit the copy, or led to another hash.
    pub divergences: u64,
    /// Snapshots at a lower position than the copy's.
    pub rewinds: u64,
}

/// An object's own data as one Observer has it (protocol.md §4, apply rule).
#[derive(Debug, Default)]
pub struct ObserverStream {
    copy: Option<Copy>,
    claim: Claim,
    gap: Gap,
    /// The copy is known to be wrong: only a snapshot mends it.
    diverged: bool,
    counters: ObserverCounters,
    steps: u64,
}

#[derive(Debug)]
struct Copy {
    metadata: Metadata,
    data: Arc<Value>,
    /// Never below the length of `data` as JSON.
    data_bytes: usize,
    position: Position,
}

/// The newest claim heard of. Commits of older epochs are refused, but for those that lead to it.
#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    epoch: u64,
    /// The last position heard of in it: commits up to here belong to its history.
    position: Position,
}

impl Claim {
    fn heard(&mut self, epoch: u64, position: Position) {
        if epoch >= self.epoch {
            *self = Self { epoch, position };
        }
    }
}

/// Commits that came before one they follow, in order.
#[derive(Debug, Default)]
struct Gap {
    commits: BTreeMap<Position, Commit>,
    bytes: usize,
}

enum Place {
    Next,
    Old,
    Ahead,
}

impl ObserverStream {
    /// A stream without a copy yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The copy. Cheap; holding it costs one copy of the data at the next change.
    #[must_use]
    pub fn data(&self) -> Option<Arc<Value>> {
        self.copy.as_ref().map(|copy| Arc::clone(&copy.data))
    }

    /// Where the copy stands.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.copy.as_ref().map(|copy| copy.position)
    }

    /// What the object says of itself.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.copy.as_ref().map(|copy| &copy.metadata)
    }

    /// How many steps the copy has made: the number of the last [`Changed`].
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// What was met and got over.
    #[must_use]
    pub const fn counters(&self) -> ObserverCounters {
        self.counters
    }

    /// What to say in `have` when recovering: nothing when only a snapshot helps.
    #[must_use]
    pub fn have(&self) -> Option<Position> {
        if self.diverged { None } else { self.position() }
    }

    /// Takes the body of a commit, by the apply rule: never skips, never guesses.
    pub fn commit(&mut self, body: &str) -> Reaction {
        let reaction = self.receive(body);
        self.numbered(reaction)
    }

    fn numbered(&mut self, mut reaction: Reaction) -> Reaction {
        for changed in &mut reaction.changed {
            self.steps += 1;
            changed.number = self.steps;
        }
        reaction
    }

    fn receive(&mut self, body: &str) -> Reaction {
        let Ok(commit) = Commit::decode(body) else {
            return self.diverge();
        };
        let Position { epoch, .. } = commit.position;
        if epoch < self.claim.epoch && commit.position > self.claim.position {
            self.counters.refused += 1;
            return Reaction::default();
        }
        self.claim.epoch = self.claim.epoch.max(epoch);
        match self.place(&commit) {
            Place::Old => {
                self.counters.duplicates += 1;
                Reaction::default()
            }
            Place::Ahead => {
                self.counters.gaps += 1;
                self.gap.keep(commit);
                Reaction::recover()
            }
            Place::Next => {
                let mut reaction = self.apply(commit, Origin::Live);
                self.close_gap(&mut reaction);
                reaction
            }
        }
    }

    /// Takes a head: whether something is missing.
    pub fn head(&mut self, head: &Head) -> bool {
        if head.epoch < self.claim.epoch {
            return false;
        }
        self.claim.heard(head.epoch, head.position);
        let Some(copy) = &self.copy else { return true };
        if head.position == copy.position {
            let differs = head.hash.is_some_and(|hash| hash != Hash::of(&copy.data));
            self.diverged |= differs;
            self.counters.divergences += u64::from(differs);
            return differs;
        }
        // Inside one epoch a lower head is only late; otherwise whatever differs is news.
        head.position > copy.position || head.epoch != copy.position.epoch
    }

    /// Takes the body of the 200 of a `subscribe`: a snapshot, the missing commits, or nothing new.
    /// The copy makes at most one step, whatever came together (protocol.md §7).
    pub fn content(&mut self, body: &str) -> Reaction {
        let content: Content<'_> = match decode(body) {
            Ok(content) => content,
            Err(refusal) => {
                return Reaction {
                    closed: Some(refusal),
                    ..Reaction::default()
                };
            }
        };
        if content.epoch < self.claim.epoch {
            return Reaction::recover();
        }
        self.claim.heard(content.epoch, content.position);
        let before = self
            .copy
            .as_ref()
            .map(|copy| (copy.position, Arc::clone(&copy.data)));
        let mut reaction = Reaction::default();
        let mut origin = Origin::CatchUp;
        match (content.value, &content.commits) {
            (Some(value), _) => match self.snapshot(value, &content) {
                Ok(from) => origin = from.unwrap_or(origin),
                Err(refusal) => reaction.closed = Some(refusal),
            },
            (None, commits) => self.missing(commits.as_deref().unwrap_or_default(), &mut reaction),
        }
        self.close_gap(&mut reaction);
        reaction.changed.clear();
        reaction.changed.extend(self.step(before, origin));
        reaction.recover |=
            reaction.closed.is_none() && self.position().is_none_or(|mine| mine < content.position);
        self.numbered(reaction)
    }

    /// Takes a snapshot, unless the copy is ahead of it under the same claim: then it is only late.
    fn snapshot(
        &mut self,
        value: &RawValue,
        content: &Content<'_>,
    ) -> Result<Option<Origin>, Refusal> {
        let mut origin = Origin::Snapshot;
        if let Some(copy) = &self.copy
            && content.position < copy.position
        {
            if content.epoch == copy.position.epoch && !self.diverged {
                return Ok(None);
            }
            self.counters.rewinds += 1;
            origin = Origin::Rewound;
        }
        let DataObject { metadata, data } = DataObject::parse(value.get())
            .map_err(|error| Refusal::malformed(format!("field `body.value`: {error}")))?;
        if content.hash.is_some_and(|hash| hash != Hash::of(&data)) {
            self.counters.divergences += 1;
            return Err(Refusal::conflict(
                "diverged: the snapshot is not what its hash says",
            ));
        }
        self.diverged = false;
        let data_bytes = value.get().len();
        let position = content.position;
        self.copy = Some(Copy {
            metadata,
            data: Arc::new(data),
            data_bytes,
            position,
        });
        Ok(Some(origin))
    }

    fn missing(&mut self, commits: &[&RawValue], reaction: &mut Reaction) {
        for body in commits {
            let step = self.receive(body.get());
            reaction.closed = reaction.closed.take().or(step.closed);
        }
        reaction.recover |= self.diverged;
    }

    /// The one net change from `before` to the copy as it is, if it has moved.
    fn step(&self, before: Option<(Position, Arc<Value>)>, origin: Origin) -> Option<Changed> {
        let copy = self.copy.as_ref()?;
        let position = copy.position;
        let edits = match before {
            Some((was, _)) if was == position && origin == Origin::CatchUp => return None,
            Some((_, before)) => {
                let changes = diff(&before, &copy.data);
                let mut scratch = Value::clone(&before);
                let applied = apply(&mut scratch, &changes).ok()?;
                edits(changes, applied.into_before())
            }
            None => {
                let data = copy.data.as_object().cloned().unwrap_or_default();
                edits(vec![Change::Replace { data }], vec![None])
            }
        };
        Some(Changed {
            number: 0,
            position,
            origin,
            edits,
        })
    }

    fn place(&self, commit: &Commit) -> Place {
        let Some(mine) = self.position() else {
            return Place::Ahead;
        };
        let next = mine.version + 1;
        if commit.position <= mine {
            Place::Old
        } else if commit.position.version == next
            && (commit.position.epoch == mine.epoch || commit.base == Some(mine))
        {
            Place::Next
        } else {
            Place::Ahead
        }
    }

    fn apply(&mut self, commit: Commit, origin: Origin) -> Reaction {
        let Some(copy) = &mut self.copy else {
            return Reaction::recover();
        };
        if copy.data_bytes + commit.bytes > DATA_BYTES_MAX {
            let Some(exact) = encoded_len(&*copy.data, DATA_BYTES_MAX) else {
                let desc = format!("the object has grown over {DATA_BYTES_MAX} bytes");
                let closed = Some(Refusal::too_large(desc));
                return Reaction {
                    closed,
                    ..Reaction::default()
                };
            };
            copy.data_bytes = exact;
        }
        let Ok(applied) = apply(Arc::make_mut(&mut copy.data), &commit.changes) else {
            return self.diverge();
        };
        copy.data_bytes += commit.bytes;
        copy.position = commit.position;
        let differs = commit.hash.is_some_and(|hash| hash != Hash::of(&copy.data));
        self.diverged |= differs;
        self.counters.divergences += u64::from(differs);
        let edits = edits(commit.changes, applied.into_before());
        let changed = Changed {
            number: 0,
            position: commit.position,
            origin,
            edits,
        };
        Reaction {
            changed: vec![changed],
            recover: differs,
            closed: None,
        }
    }

    /// Applies what follows now, and forgets what is here already.
    fn close_gap(&mut self, reaction: &mut Reaction) {
        while !self.diverged
            && let Some(commit) = self.gap.first()
        {
            match self.place(commit) {
                Place::Ahead => break,
                Place::Old => drop(self.gap.pop()),
                Place::Next => {
                    let Some(commit) = self.gap.pop() else { break };
                    let next = self.apply(commit, Origin::Live);
                    reaction.changed.extend(next.changed);
                    reaction.recover |= next.recover;
                    reaction.closed = reaction.closed.take().or(next.closed);
                }
            }
        }
    }

    fn diverge(&mut self) -> Reaction {
        self.counters.divergences += 1;
        self.diverged = true;
        Reaction::recover()
    }
}

impl Gap {
    /// Keeps `commit`, unless the gap is full: the recovery that is under way brings it again.
    fn keep(&mut self, commit: Commit) {
        let fits =
            self.commits.len() < GAP_COMMITS_MAX && self.bytes + commit.bytes <= GAP_BYTES_MAX;
        if fits && !self.commits.contains_key(&commit.position) {
            self.bytes += commit.bytes;
            self.commits.insert(commit.position, commit);
        }
    }

    fn first(&self) -> Option<&Commit> {
        self.commits.first_key_value().map(|(_, commit)| commit)
    }

    fn pop(&mut self) -> Option<Commit> {
        let (_, commit) = self.commits.pop_first()?;
        self.bytes -= commit.bytes;
        Some(commit)
    }
}

fn edits(changes: Vec<Change>, before: Vec<Option<Value>>) -> Vec<Edit> {
    changes
        .into_iter()
        .zip(before)
        .map(|(change, before)| Edit { change, before })
        .collect()
}
