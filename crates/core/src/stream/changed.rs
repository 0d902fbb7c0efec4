//! What an Observer's copy tells of itself: the steps it makes, and what it needs.

use serde_json::Value;

use super::Position;
use crate::error::Refusal;
use crate::object::{ApplyError, Change, apply, diff};

/// Where a change of the copy came from (protocol.md §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The whole object.
    Snapshot,
    /// Commits that were missing, as one net change.
    CatchUp,
    /// One commit, as it was made.
    Live,
    /// The whole object, without commits that were seen here: the node had lost its record, and a
    /// Reporter came back that did not have them. [`Changed::kept`] says which.
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

/// Changes that were applied, and what stood before each.
pub(crate) fn edits(changes: Vec<Change>, before: Vec<Option<Value>>) -> Vec<Edit> {
    changes
        .into_iter()
        .zip(before)
        .map(|(change, before)| Edit { change, before })
        .collect()
}

/// What leads from one document to another.
pub(crate) fn edits_between(before: &Value, after: &Value) -> Option<Vec<Edit>> {
    let changes = diff(before, after);
    let applied = apply(&mut before.clone(), &changes).ok()?;
    Some(edits(changes, applied.into_before()))
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
    /// What the object says of itself is different, beside its data.
    pub metadata: bool,
    /// Of a [`Origin::Rewound`], the last position of before that is still part of the object, as far
    /// as that is known: the commits that the copy had after it are gone.
    pub kept: Option<Position>,
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
    /// Something is missing: subscribe again with [`ObserverStream::have`](super::ObserverStream::have).
    pub recover: bool,
    /// Going on would not help: the copy stays as it is.
    pub closed: Option<Refusal>,
}

impl Reaction {
    pub(super) fn closed(refusal: Refusal) -> Self {
        Self {
            closed: Some(refusal),
            ..Self::default()
        }
    }

    pub(super) fn recover() -> Self {
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
    /// Snapshots taken.
    pub snapshots: u64,
    /// Snapshots without commits that the copy had.
    pub rewinds: u64,
    /// Recoveries by the commits that were missing.
    pub catch_ups: u64,
}
