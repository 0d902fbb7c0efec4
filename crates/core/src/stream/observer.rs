//! The reader's side of a stream: a copy that is some position of the original, always.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::changed::{edits, edits_between};
use super::copy::{Copy, Unfit, Was};
use super::gap::{Claim, Gap};
use super::rest::Rest;
use super::{Changed, Commit, Head, ObserverCounters, Origin, Position, Reaction};
use crate::error::{Reason, Refusal};
use crate::identity::Identity;
use crate::message::{body::Content, decode};
use crate::object::{Change, DataObject, Hash, Metadata};

/// An object's own data as one Observer has it (protocol.md §4, apply rule).
#[derive(Debug, Default)]
pub struct ObserverStream {
    pub(super) copy: Option<Copy>,
    pub(super) claim: Claim,
    gap: Gap,
    /// The copy is known to be wrong: only a snapshot mends it.
    pub(super) diverged: bool,
    /// Where the copy was last mended so. Wrong there again, it cannot be mended.
    mended: Option<Position>,
    counters: ObserverCounters,
    steps: u64,
    /// Whose the object is.
    pub(super) pinned: Option<Identity>,
    /// What is to be stored, where it rests.
    pub(super) rest: Option<Rest>,
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
        if self.claim.refuses(commit.position) {
            self.counters.refused += 1;
            return Reaction::default();
        }
        self.claim.epoch = self.claim.epoch.max(epoch);
        match self.place(&commit) {
            // What fits a copy that is wrong makes no right one: it waits for the snapshot.
            Place::Next if self.diverged => {
                self.gap.keep(commit);
                Reaction::recover()
            }
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
                if let Some(changed) = reaction.changed.first() {
                    self.keep(changed.position, body);
                }
                self.close_gap(&mut reaction);
                reaction
            }
        }
    }

    /// Takes a head: says whether something is missing. Costs a pass over the copy when the head has a
    /// hash.
    pub fn head(&mut self, head: &Head) -> Reaction {
        if head.epoch < self.claim.epoch {
            return Reaction::default();
        }
        if let Err(refusal) = self.pin(head.identity.as_ref(), &head.owners) {
            return Reaction::closed(refusal);
        }
        self.claim.heard(head.epoch, head.position);
        let Some(copy) = &self.copy else {
            return Reaction::recover();
        };
        if head.position == copy.position {
            let differs = head.hash.is_some_and(|hash| hash != Hash::of(&copy.data));
            return if differs {
                self.diverge()
            } else {
                Reaction::default()
            };
        }
        // Inside one epoch a lower head is only late; otherwise whatever differs is news.
        let news = head.position > copy.position || head.epoch != copy.position.epoch;
        Reaction {
            recover: news,
            ..Reaction::default()
        }
    }

    /// Takes the body of the 200 of a `subscribe`: a snapshot, the missing commits, or nothing new.
    /// The copy makes at most one step, whatever came together (protocol.md §7).
    pub fn content(&mut self, body: &str) -> Reaction {
        let content: Content<'_> = match decode(body) {
            Ok(content) => content,
            Err(refusal) => return Reaction::closed(refusal),
        };
        if content.epoch < self.claim.epoch {
            return Reaction::recover();
        }
        if let Err(refusal) = self.pin(content.identity.as_ref(), &content.owners) {
            return Reaction::closed(refusal);
        }
        self.claim.heard(content.epoch, content.position);
        let before = self.copy.as_ref().map(Copy::was);
        let mut reaction = Reaction::default();
        let mut origin = Origin::CatchUp;
        match (content.value, &content.commits) {
            (Some(value), _) => match self.snapshot(value, &content) {
                Ok(from) => {
                    self.counters.snapshots += u64::from(from.is_some());
                    origin = from.unwrap_or(origin);
                }
                Err(refusal) => reaction.closed = Some(refusal),
            },
            (None, commits) => self.missing(commits.as_deref().unwrap_or_default(), &mut reaction),
        }
        self.close_gap(&mut reaction);
        reaction.changed.clear();
        let kept = content.kept.filter(|_| origin == Origin::Rewound);
        let step = self.step(before, origin);
        self.counters.catch_ups += u64::from(step.is_some() && origin == Origin::CatchUp);
        reaction
            .changed
            .extend(step.map(|step| Changed { kept, ..step }));
        let behind = self.position().is_none_or(|mine| mine < content.position);
        let missing = behind || self.diverged || self.gap.first().is_some();
        reaction.recover = reaction.closed.is_none() && missing;
        self.numbered(reaction)
    }

    /// Takes a snapshot, unless the copy is ahead of it under the same claim: then it is only late.
    fn snapshot(
        &mut self,
        value: &RawValue,
        content: &Content<'_>,
    ) -> Result<Option<Origin>, Refusal> {
        let mut origin = Origin::Snapshot;
        if let Some(copy) = &self.copy {
            let lower = content.position < copy.position;
            if lower && content.epoch == copy.position.epoch {
                return Ok(None);
            }
            if lower || content.kept.is_some() {
                self.counters.rewinds += 1;
                origin = Origin::Rewound;
            }
        }
        let object = DataObject::parse(value.get())
            .map_err(|error| Refusal::malformed(format!("field `body.value`: {error}")))?;
        if content
            .hash
            .is_some_and(|hash| hash != Hash::of(&object.data))
        {
            self.counters.divergences += 1;
            let desc = "diverged: the snapshot is not what its hash says";
            return Err(Refusal::conflict(desc).because(Reason::Diverged));
        }
        if std::mem::take(&mut self.diverged) {
            self.mended = Some(content.position);
        }
        self.copy = Some(Copy::new(content.position, object, value.get().len()));
        self.keep_whole();
        Ok(Some(origin))
    }

    fn missing(&mut self, commits: &[&RawValue], reaction: &mut Reaction) {
        for body in commits {
            let step = self.receive(body.get());
            reaction.closed = reaction.closed.take().or(step.closed);
        }
    }

    /// The one net change from `before` to the copy as it is, if it has moved.
    fn step(&self, before: Option<Was>, origin: Origin) -> Option<Changed> {
        let copy = self.copy.as_ref()?;
        let position = copy.position;
        let said = |(_, _, metadata): &Was| copy.metadata.says_as(metadata);
        let metadata = !before.as_ref().is_some_and(said);
        let edits = match before {
            Some((was, ..)) if was == position && origin == Origin::CatchUp => return None,
            Some((was, before, _)) => {
                let edits = edits_between(&before, &copy.data)?;
                if was == position && edits.is_empty() && !metadata {
                    return None;
                }
                edits
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
            metadata,
            kept: None,
        })
    }

    fn place(&self, commit: &Commit) -> Place {
        match &self.copy {
            Some(copy) if commit.position <= copy.position => Place::Old,
            Some(copy) if copy.is_before(commit) => Place::Next,
            _ => Place::Ahead,
        }
    }

    fn apply(&mut self, commit: Commit, origin: Origin) -> Reaction {
        let Some(copy) = &mut self.copy else {
            return Reaction::recover();
        };
        let applied = match copy.apply(&commit) {
            Ok(applied) => applied,
            Err(Unfit::TooLarge(refusal)) => return Reaction::closed(refusal),
            Err(Unfit::Diverges) => return self.diverge(),
        };
        let changed = Changed {
            number: 0,
            position: commit.position,
            origin,
            metadata: !commit.metadata.is_empty(),
            edits: edits(commit.changes, applied.into_before()),
            kept: None,
        };
        Reaction {
            changed: vec![changed],
            ..Reaction::default()
        }
    }

    /// Applies what follows now, and forgets what is here already.
    fn close_gap(&mut self, reaction: &mut Reaction) {
        while !self.diverged
            && let Some(commit) = self.gap.first()
        {
            if self.claim.refuses(commit.position) {
                self.counters.refused += 1;
                drop(self.gap.pop());
                continue;
            }
            match self.place(commit) {
                Place::Ahead => break,
                Place::Old => drop(self.gap.pop()),
                Place::Next => {
                    let Some(commit) = self.gap.pop() else { break };
                    let next = self.apply(commit, Origin::Live);
                    self.keep_whole();
                    reaction.changed.extend(next.changed);
                    reaction.recover |= next.recover;
                    reaction.closed = reaction.closed.take().or(next.closed);
                }
            }
        }
    }

    /// The copy is not what it should be: a snapshot mends it, once at the same position (§4).
    fn diverge(&mut self) -> Reaction {
        self.counters.divergences += 1;
        let again = self.mended.is_some() && self.mended == self.position();
        self.diverged = true;
        if again {
            let desc =
                "diverged: the copy is not what its Reporter says, though it took a snapshot";
            return Reaction::closed(Refusal::conflict(desc).because(Reason::Diverged));
        }
        Reaction::recover()
    }
}
