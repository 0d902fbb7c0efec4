//! What of a stream rests: a snapshot, and the commits after it until they outgrow it
//! (docs/decisions/0010-one-batch-at-a-time.md).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Commit, Position};
use crate::limits::{FOLD_BYTES_MIN, FOLD_COMMITS_MAX};
use crate::object::{Metadata, apply};
use crate::storage::{Batch, Table, below, key};

/// What is to be stored of a stream.
#[derive(Debug)]
pub(super) struct Rest {
    /// What the next batch brings, when that is not the whole.
    fresh: Vec<(Position, Arc<RawValue>)>,
    /// The next batch brings the whole.
    whole: bool,
    /// What stands behind the snapshot that rests, `fresh` included.
    commits: usize,
    bytes: usize,
    snapshot_bytes: usize,
}

impl Rest {
    /// Nothing rests yet.
    pub(super) const fn new() -> Self {
        Self {
            fresh: Vec::new(),
            whole: true,
            commits: 0,
            bytes: 0,
            snapshot_bytes: 0,
        }
    }

    /// All of `rows` rests.
    pub(super) fn of(rows: &Rows) -> Self {
        let behind = rows.commits.iter().chain(&rows.unnumbered);
        Self {
            fresh: Vec::new(),
            whole: false,
            commits: rows.commits.len() + rows.unnumbered.len(),
            bytes: behind.map(|row| row.get().len()).sum(),
            snapshot_bytes: rows.snapshot.get().len(),
        }
    }

    /// The commit at `position` is to be stored.
    pub(super) fn push(&mut self, position: Position, body: &Arc<RawValue>) {
        self.count(body.get().len());
        if !self.whole {
            self.fresh.push((position, Arc::clone(body)));
        }
    }

    /// A row of so many bytes comes behind the snapshot. Is it too much, all is folded into another.
    pub(super) fn count(&mut self, bytes: usize) {
        self.commits += 1;
        self.bytes += bytes;
        if self.commits > FOLD_COMMITS_MAX || self.bytes > self.snapshot_bytes.max(FOLD_BYTES_MIN) {
            self.renew();
        }
    }

    /// No commits lead from what rests to here.
    pub(super) fn renew(&mut self) {
        self.whole = true;
        self.fresh.clear();
    }

    /// Whether the next batch brings the whole.
    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether there is anything for the next batch.
    pub(super) fn is_due(&self) -> bool {
        self.whole || !self.fresh.is_empty()
    }

    /// Puts into `batch` what is to be stored of the stream that has its rows at `place`.
    pub(super) fn store(
        &mut self,
        batch: &mut Batch,
        place: &[u8],
        snapshot: impl FnOnce() -> Vec<u8>,
    ) {
        if !std::mem::take(&mut self.whole) {
            for (position, body) in self.fresh.drain(..) {
                let key = key(&[place, &position.to_bytes()]);
                batch.put(Table::Commits, key, body.get());
            }
            return;
        }
        let snapshot = snapshot();
        (self.commits, self.bytes, self.snapshot_bytes) = (0, 0, snapshot.len());
        batch.remove_range(Table::Commits, below(place));
        batch.put(Table::Snapshots, place, snapshot);
    }
}

/// The rows of one stream, as they were found.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) snapshot: Box<RawValue>,
    /// In the order of their positions.
    pub(crate) commits: Vec<Box<RawValue>>,
    /// What has no position, in the order in which it was written.
    pub(crate) unnumbered: Vec<Box<RawValue>>,
    /// The version that the first of these will have.
    pub(crate) unnumbered_from: u64,
}

/// A snapshot as it rests.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotRow {
    /// The last commit with a position that is in it.
    pub(super) position: Position,
    /// The version up to which everything written is in it: above `position`, what has no position yet.
    pub(super) version: u64,
    /// Where the object's earlier epochs ended, as far as its Reporter knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lineage: Vec<Position>,
    /// Metadata and data.
    pub(super) value: Box<RawValue>,
}

#[derive(Deserialize)]
struct Dated {
    #[serde(rename = "lastModified")]
    last_modified: Option<String>,
}

impl SnapshotRow {
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(rows: &Rows) -> Result<Self, String> {
        serde_json::from_str(rows.snapshot.get()).map_err(|error| error.to_string())
    }
}

/// A commit at rest, to be done again.
#[derive(Debug)]
pub(super) struct Redo {
    pub(super) commit: Commit,
    last_modified: Option<String>,
}

impl Redo {
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(body: &RawValue) -> Result<Self, String> {
        let dated: Dated = serde_json::from_str(body.get()).map_err(|error| error.to_string())?;
        Ok(Self {
            commit: Commit::decode(body.get()).map_err(|refusal| refusal.to_string())?,
            last_modified: dated.last_modified,
        })
    }

    /// # Errors
    /// Why it does not fit.
    pub(super) fn apply(&self, data: &mut Value, metadata: &mut Metadata) -> Result<(), String> {
        let _undo = apply(data, &self.commit.changes).map_err(|error| error.to_string())?;
        let described = metadata.merge(self.commit.metadata.clone());
        described.map_err(|error| error.to_string())?;
        if self.last_modified.is_some() {
            metadata.last_modified.clone_from(&self.last_modified);
        }
        Ok(())
    }
}
