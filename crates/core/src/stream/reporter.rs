//! The author's side of a stream: writes are checked, applied, numbered and remembered at once.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::answering::Snapshot;
use super::lineage::note_end;
use super::reporter_rest::Stored;
use super::{Commit, History, Position};
use crate::address::Address;
use crate::limits::{
    COMMIT_BYTES_MAX, DATA_BYTES_MAX, HASH_BYTES_MAX, HASH_EVERY_MS, HISTORY_BYTES_MAX,
    HISTORY_COMMITS_MAX, METADATA_BYTES_MAX,
};
use crate::object::{
    ApplyError, Change, Hash, JsonError, Metadata, MetadataError, Misfit, apply, diff, encoded_len,
    normalise,
};
use crate::time::Time;

/// Why a write changed nothing. It is the caller's to mend; the object is as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A value is no I-JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A change does not fit the data.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// What the object is to say of itself cannot be.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// What the application's type holds cannot be the data, or the data cannot be that type.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// `data` must be an object.
    #[error("data must be a JSON object")]
    NotAnObject,
    /// More than a limit.
    #[error("{what} would have more than {limit} bytes as JSON: at most that many are allowed")]
    TooLarge {
        /// What would be too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The object is no longer this Reporter's.
    #[error("this Reporter is closed: {0}")]
    Closed(String),
}

/// What one commit writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// What it changes of the data, in order.
    pub changes: Vec<Change>,
    /// What it changes of the metadata: each field replaces the one there, `null` removes it.
    pub metadata: Map<String, Value>,
}

impl Written {
    /// As it rests while it has no position.
    pub(super) fn encode(&self, source: &Address, metadata: &Metadata) -> Arc<RawValue> {
        let commit = Commit {
            position: Position::default(),
            base: None,
            changes: self.changes.clone(),
            metadata: self.metadata.clone(),
            hash: None,
            bytes: 0,
        };
        let modified = metadata.last_modified.as_deref().unwrap_or_default();
        commit.encode(source, modified)
    }
}

/// The history no longer holds what the node lacks: readers must take a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten;

/// An object's own data as its Reporter has it (protocol.md §4).
#[derive(Debug)]
pub struct ReporterStream {
    pub(super) metadata: Metadata,
    pub(super) source: Address,
    pub(super) data: Arc<Value>,
    /// Never below the length of `data` as JSON; made exact when that matters.
    pub(super) data_bytes: usize,
    /// Whether it is exactly that length.
    pub(super) measured: bool,
    /// The claim's epoch; `None` while a claim is not answered.
    pub(super) epoch: Option<u64>,
    /// Where each earlier epoch of the object ended, oldest first; the newest [`LINEAGE_MAX`].
    pub(super) lineage: Vec<Position>,
    pub(super) history: History,
    /// The position up to which [`ReporterStream::next_unsent`] has handed out commits.
    pub(super) sent: Position,
    pub(super) unnumbered: Unnumbered,
    /// When a commit last carried a hash.
    hashed: Time,
    pub(super) snapshot: Option<Snapshot>,
    /// How far it is stored, where it rests.
    pub(super) stored: Option<Stored>,
}

/// Commits written while claiming: they get their positions with the claim's epoch. Bounded like a
/// history; of what leaves, only the number is kept.
#[derive(Debug, Default)]
pub(super) struct Unnumbered {
    pub(super) commits: VecDeque<(Written, usize)>,
    bytes: usize,
    forgotten: u64,
}

impl ReporterStream {
    /// A stream not yet claimed, beginning with `data`. `source` is the hyperty that writes.
    ///
    /// # Errors
    /// [`WriteError`] when `data` is no I-JSON object within the limits.
    pub fn new(metadata: Metadata, source: Address, data: Value) -> Result<Self, WriteError> {
        encoded_bytes("metadata", &metadata, METADATA_BYTES_MAX)?;
        let data = object(normalise(data)?)?;
        let data_bytes = encoded_bytes("data", &data, DATA_BYTES_MAX)?;
        Ok(Self {
            metadata,
            source,
            data: Arc::new(data),
            data_bytes,
            measured: true,
            epoch: None,
            lineage: Vec::new(),
            history: History::new(Position::default()),
            sent: Position::default(),
            unnumbered: Unnumbered::default(),
            hashed: Time::default(),
            snapshot: None,
            stored: None,
        })
    }

    /// What the object says of itself.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The data as it is now. Cheap; holding it costs one copy of the data at the next write.
    #[must_use]
    pub fn data(&self) -> Arc<Value> {
        Arc::clone(&self.data)
    }

    /// The position of the last commit that has one; `None` before the first claim is answered.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let position = self.history.position();
        (position != Position::default()).then_some(position)
    }

    /// Writes `changes` as one commit: whole or not at all. Costs as much as the changes do, more
    /// only when there are several of them. Says whether anything changed: what changes nothing is
    /// no commit.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn write(&mut self, changes: Vec<Change>, now: Time) -> Result<bool, WriteError> {
        let changes: Vec<Change> = changes
            .into_iter()
            .map(Change::normalise)
            .collect::<Result<_, JsonError>>()?;
        let bytes = encoded_bytes("a commit", &changes, COMMIT_BYTES_MAX)?;
        let data = Arc::make_mut(&mut self.data);
        let applied = apply(data, &changes)?;
        if !applied.changed() {
            return Ok(false);
        }
        if self.data_bytes + bytes > DATA_BYTES_MAX {
            match encoded_bytes("data", data, DATA_BYTES_MAX) {
                Ok(exact) => self.data_bytes = exact,
                Err(error) => {
                    applied.undo(data, &changes);
                    return Err(error);
                }
            }
        }
        self.data_bytes += bytes;
        self.measured = false;
        let metadata = Map::new();
        self.commit(Written { changes, metadata }, bytes, now);
        Ok(true)
    }

    /// Changes what the object says of itself, as one commit: each field of `patch` replaces the one there,
    /// `null` removes it. Says whether anything changed.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then. [`WriteError::Metadata`] for what is said when an object is
    /// made or claimed, or with each commit: `url`, `schema`, `reporter`, `runtime`, `created`, `epoch`,
    /// `version`, `lastModified`.
    pub fn describe(&mut self, patch: Map<String, Value>, now: Time) -> Result<bool, WriteError> {
        let patch = match normalise(Value::Object(patch))? {
            Value::Object(patch) => patch,
            _ => Map::new(),
        };
        patch
            .keys()
            .try_for_each(|field| Metadata::may_change(field))?;
        let mut next = self.metadata.clone();
        next.merge(patch.clone())?;
        if next == self.metadata {
            return Ok(false);
        }
        let bytes = encoded_bytes("metadata", &next, METADATA_BYTES_MAX)?;
        self.metadata = next;
        let written = Written {
            changes: vec![],
            metadata: patch,
        };
        self.commit(written, bytes, now);
        Ok(true)
    }

    fn commit(&mut self, written: Written, bytes: usize, now: Time) {
        self.metadata.last_modified = Some(now.rfc3339());
        let hash = self.hash_if_due(now);
        match self.epoch {
            Some(epoch) => self.number(epoch, written, hash),
            None => {
                self.unnumbered.push(written, bytes);
                if let Some(stored) = &mut self.stored {
                    stored.rest.count(bytes);
                }
            }
        }
    }

    /// Makes `next` the object's state: one commit of the differences. Costs a pass over both.
    ///
    /// # Errors
    /// As [`ReporterStream::write`].
    pub fn replace(&mut self, next: Value, now: Time) -> Result<bool, WriteError> {
        let next = object(normalise(next)?)?;
        self.write(diff(&self.data, &next), now)
    }

    /// A claim is on its way: what is written from here on waits for its epoch.
    pub const fn claiming(&mut self) {
        self.epoch = None;
    }

    /// The claim was answered: `epoch` is its epoch, `node` the position that the node has. What was
    /// written meanwhile gets its positions.
    pub fn claimed(&mut self, epoch: u64, node: Position) {
        let first = self.position().is_none();
        if first {
            self.history = History::new(Position::new(epoch, 0));
        }
        self.epoch = Some(epoch);
        self.sent = node;
        let unnumbered = std::mem::take(&mut self.unnumbered);
        if let Some(stored) = &mut self.stored {
            stored.number();
            if first || unnumbered.forgotten > 0 {
                stored.rest.renew();
            }
        }
        if unnumbered.forgotten > 0 {
            self.begins(epoch);
            let version = self.history.position().version + unnumbered.forgotten;
            self.history = History::new(Position::new(epoch, version));
        }
        for (written, _) in unnumbered.commits {
            self.number(epoch, written, None);
        }
    }

    /// The session goes on, and the node has everything up to `node`.
    pub const fn resume(&mut self, node: Position) {
        self.sent = node;
    }

    /// The body of the next commit that the node lacks; `None` when it has all, or while claiming.
    ///
    /// # Errors
    /// [`Forgotten`]: the object must be claimed again, with `snapshot`.
    pub fn next_unsent(&mut self) -> Result<Option<Arc<RawValue>>, Forgotten> {
        if self.epoch.is_none() {
            return Ok(None);
        }
        let Some((position, body)) = self.history.next_after(self.sent).ok_or(Forgotten)? else {
            return Ok(None);
        };
        if !self.may_say(position) {
            return Ok(None);
        }
        let body = Arc::clone(body);
        self.sent = position;
        Ok(Some(body))
    }

    /// Whether the history still leads from `node` to here.
    #[must_use]
    pub fn reaches(&self, node: Position) -> bool {
        self.history.after(node).is_some()
    }

    /// How many commits the node lacks, those too that it will get as a snapshot.
    #[must_use]
    pub fn unsent(&self) -> usize {
        let last = self.history.position().version;
        let numbered = last.saturating_sub(self.sent.version);
        usize::try_from(numbered + self.unnumbered.len()).unwrap_or(usize::MAX)
    }

    fn number(&mut self, epoch: u64, written: Written, hash: Option<Hash>) {
        self.begins(epoch);
        let last = self.history.position();
        let position = Position::new(epoch, last.version + 1);
        let base = (last.epoch != epoch).then_some(last);
        let commit = Commit {
            position,
            base,
            changes: written.changes,
            metadata: written.metadata,
            hash,
            bytes: 0,
        };
        let modified = self.metadata.last_modified.as_deref().unwrap_or_default();
        let body = commit.encode(&self.source, modified);
        if let Some(stored) = &mut self.stored {
            stored.rest.push(position, &body);
        }
        self.history.push(position, body);
    }

    /// A commit of `epoch` comes: another epoch may end with it.
    pub(super) fn begins(&mut self, epoch: u64) {
        let last = self.history.position();
        note_end(&mut self.lineage, last, epoch);
    }

    fn hash_if_due(&mut self, now: Time) -> Option<Hash> {
        if now.ms_since(self.hashed) < HASH_EVERY_MS {
            return None;
        }
        self.hashed = now;
        if self.data_bytes >= HASH_BYTES_MAX {
            // The estimate only grows: overwriting a key for long enough must not end the hashes.
            self.data_bytes = encoded_len(&*self.data, HASH_BYTES_MAX)?;
        }
        Some(Hash::of(&self.data))
    }
}

impl Unnumbered {
    /// None, after so many that nothing but their number is known of.
    pub(super) fn after(forgotten: u64) -> Self {
        Self {
            forgotten,
            ..Self::default()
        }
    }

    /// How many there are, those included.
    pub(super) fn len(&self) -> u64 {
        self.forgotten + self.commits.len() as u64
    }

    pub(super) fn push(&mut self, written: Written, bytes: usize) {
        self.bytes += bytes;
        self.commits.push_back((written, bytes));
        while self.commits.len() > HISTORY_COMMITS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some((_, bytes)) = self.commits.pop_front() else {
                break;
            };
            self.bytes -= bytes;
            self.forgotten += 1;
        }
    }
}

fn object(value: Value) -> Result<Value, WriteError> {
    if value.is_object() {
        Ok(value)
    } else {
        Err(WriteError::NotAnObject)
    }
}

fn encoded_bytes(
    what: &'static str,
    value: &impl Serialize,
    limit: usize,
) -> Result<usize, WriteError> {
    encoded_len(value, limit).ok_or(WriteError::TooLarge { what, limit })
}
