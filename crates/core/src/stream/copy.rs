//! A copy of an object's own data, and the next commit applied to it (protocol.md §4).

use std::sync::Arc;

use serde_json::Value;

use super::{Commit, Position};
use crate::error::Refusal;
use crate::limits::{DATA_BYTES_MAX, METADATA_BYTES_MAX};
use crate::object::{Applied, DataObject, Hash, Metadata, apply, encoded_len};

/// The whole object at a position.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) metadata: Metadata,
    pub(super) data: Arc<Value>,
    /// Never below the length of `data` as JSON.
    data_bytes: usize,
    pub(super) position: Position,
}

/// Where a copy stood, and what it held.
pub(super) type Was = (Position, Arc<Value>, Metadata);

/// Why a commit cannot be applied. The copy is as it was.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The object would be larger than any may be.
    TooLarge(Refusal),
    /// It does not apply, or leads to another hash than it says.
    Diverges,
}

impl Copy {
    /// `object` at `position`, which has `bytes` as JSON.
    pub(super) fn new(position: Position, object: DataObject, bytes: usize) -> Self {
        let DataObject { metadata, data } = object;
        Self {
            metadata,
            data: Arc::new(data),
            data_bytes: bytes,
            position,
        }
    }

    pub(super) fn was(&self) -> Was {
        (self.position, Arc::clone(&self.data), self.metadata.clone())
    }

    /// Whether `commit` comes next (protocol.md §4): one version on, in the same epoch or in one that begins here.
    pub(super) fn is_before(&self, commit: &Commit) -> bool {
        commit.position.version == self.position.version + 1
            && (commit.position.epoch == self.position.epoch || commit.base == Some(self.position))
    }

    /// Applies the commit that comes next, all of it or nothing. Costs a copy of the data when somebody else holds it.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(super) fn apply(&mut self, commit: &Commit) -> Result<Applied, Unfit> {
        if self.data_bytes + commit.bytes > DATA_BYTES_MAX {
            let exact = encoded_len(&*self.data, DATA_BYTES_MAX);
            self.data_bytes = exact.ok_or_else(|| too_large("", DATA_BYTES_MAX))?;
        }
        let described = self.described(commit)?;
        let data = Arc::make_mut(&mut self.data);
        let applied = apply(data, &commit.changes).map_err(|_| Unfit::Diverges)?;
        if commit.hash.is_some_and(|hash| hash != Hash::of(data)) {
            applied.undo(data, &commit.changes);
            return Err(Unfit::Diverges);
        }
        if let Some(described) = described {
            self.metadata = described;
        }
        self.data_bytes += commit.bytes;
        self.position = commit.position;
        Ok(applied)
    }

    /// The metadata after `commit`, when it changes them.
    fn described(&self, commit: &Commit) -> Result<Option<Metadata>, Unfit> {
        if commit.metadata.is_empty() {
            return Ok(None);
        }
        let mut next = self.metadata.clone();
        let merged = next.merge(commit.metadata.clone());
        merged.map_err(|_| Unfit::Diverges)?;
        match encoded_len(&next, METADATA_BYTES_MAX) {
            Some(_) => Ok(Some(next)),
            None => Err(too_large("'s metadata", METADATA_BYTES_MAX)),
        }
    }
}

fn too_large(what: &str, bytes_max: usize) -> Unfit {
    let desc = format!("the object{what} has grown over {bytes_max} bytes");
    Unfit::TooLarge(Refusal::too_large(desc))
}
