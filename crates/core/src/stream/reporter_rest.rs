//! What rests of a Reporter's stream. What is not stored yet is said to nobody, or another life would
//! write that version anew (protocol.md §8).

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::answering::Whole;
use super::reporter::Unnumbered;
use super::rest::{Redo, Rest, Rows, SnapshotRow};
use super::{History, Position, ReporterStream, Written};
use crate::address::Address;
use crate::object::{DataObject, Metadata};
use crate::storage::{Batch, Table, below, key};

/// How far a Reporter's stream is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) rest: Rest,
    /// Up to where; `None` before the first batch, and where another history began.
    up_to: Option<Position>,
    /// The version up to which what has no position is with the store.
    unnumbered: u64,
    /// What had no position there has one now, or is none of the object.
    numbered: bool,
    /// Where the batch under way ends.
    under_way: Option<(Position, Option<View>)>,
    /// The object at `up_to`, when a reader waits for it and more was written since.
    view: Option<View>,
}

/// An object at some position.
#[derive(Debug)]
pub(super) struct View {
    pub(super) position: Position,
    pub(super) metadata: Metadata,
    pub(super) data: Arc<Value>,
}

impl Stored {
    const fn nothing() -> Self {
        Self {
            rest: Rest::new(),
            up_to: None,
            unnumbered: 0,
            numbered: false,
            under_way: None,
            view: None,
        }
    }

    /// Another history begins: what is at rest, or on its way there, is none of it.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            numbered: true,
            ..Self::nothing()
        };
    }

    /// What had no position gets one.
    pub(super) const fn number(&mut self) {
        self.numbered = true;
    }
}

impl ReporterStream {
    /// Has it rest from now on.
    pub(crate) fn rest(&mut self) {
        self.stored.get_or_insert_with(Stored::nothing);
    }

    /// It rests no longer.
    pub(crate) fn forget(&mut self) {
        self.stored = None;
    }

    /// Whether it rests.
    pub(crate) const fn rests(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether everything that has a position may be said: it is stored, or is not to be.
    pub(crate) fn is_stored(&self) -> bool {
        self.may_say(self.history.position())
    }

    pub(super) fn may_say(&self, position: Position) -> bool {
        let stored = self.stored.as_ref();
        stored.is_none_or(|stored| stored.up_to.is_some_and(|up_to| position <= up_to))
    }

    /// Whether a reader can be answered between what may be said and what may not.
    pub(crate) fn may_answer(&self) -> bool {
        self.is_stored() || self.view().is_some()
    }

    /// The object as readers may have it, where that is not as it is.
    pub(super) fn view(&self) -> Option<&View> {
        let stored = self.stored.as_ref().filter(|_| !self.is_stored())?;
        stored.view.as_ref()
    }

    /// The version that the last write has, or will have.
    pub(crate) fn written(&self) -> u64 {
        self.history.position().version + self.unnumbered.len()
    }

    /// Whether everything written up to `version` was sent.
    pub(crate) const fn has_sent(&self, version: u64) -> bool {
        self.sent.version >= version
    }

    /// Puts into `batch` what is to be stored; its rows are at `place`. With readers that wait, the
    /// object as it is now is kept for them, when all of it has a position.
    pub(crate) fn store(&mut self, batch: &mut Batch, place: &[u8], readers: bool) {
        let (position, version) = (self.history.position(), self.written());
        let Some(stored) = &mut self.stored else {
            return;
        };
        if std::mem::take(&mut stored.numbered) {
            batch.remove_range(Table::Unnumbered, below(place));
        }
        let first = version - self.unnumbered.commits.len() as u64 + 1;
        if stored.rest.is_whole() {
            let gone = key(&[place, &0_u64.to_be_bytes()])..key(&[place, &first.to_be_bytes()]);
            batch.remove_range(Table::Unnumbered, gone);
        }
        stored.rest.store(batch, place, || {
            let whole = Whole {
                metadata: &self.metadata,
                data: &self.data,
            };
            let row = SnapshotRow {
                position,
                version,
                lineage: self.lineage.clone(),
                value: to_raw_value(&whole).unwrap_or_default(),
            };
            serde_json::to_vec(&row).unwrap_or_default()
        });
        let writes = (first..).zip(&self.unnumbered.commits);
        for (version, (written, _)) in writes.filter(|(version, _)| *version > stored.unnumbered) {
            let body = written.encode(&self.source, &self.metadata);
            batch.put(
                Table::Unnumbered,
                key(&[place, &version.to_be_bytes()]),
                body.get(),
            );
        }
        stored.unnumbered = version;
        // What has no position yet is in the data, and is no part of the object at this one.
        let view = (readers && version == position.version).then(|| View {
            position,
            metadata: self.metadata.clone(),
            data: Arc::clone(&self.data),
        });
        stored.under_way = Some((position, view));
    }

    /// The batch under way is stored.
    pub(crate) fn is_now_stored(&mut self) {
        if let Some(stored) = &mut self.stored
            && let Some((position, view)) = stored.under_way.take()
        {
            (stored.up_to, stored.view) = (Some(position), view);
        }
    }

    /// The stream that `rows` hold, as it was when they were stored. `source` writes it.
    ///
    /// # Errors
    /// What of the rows cannot be.
    pub(crate) fn restored(source: Address, rows: &Rows) -> Result<Self, String> {
        let snapshot = SnapshotRow::read(rows)?;
        let whole = DataObject::parse(snapshot.value.get()).map_err(|error| error.to_string())?;
        let DataObject { metadata, data } = whole;
        let mut stream = Self::new(metadata, source, data).map_err(|error| error.to_string())?;
        stream.history = History::new(snapshot.position);
        stream.lineage = snapshot.lineage;
        for body in &rows.commits {
            stream.take_back(body, snapshot.version)?;
        }
        let position = stream.history.position();
        let before = rows.unnumbered_from.max(1) - 1;
        let before = if rows.unnumbered.is_empty() {
            snapshot.version
        } else {
            before
        };
        stream.unnumbered = Unnumbered::after(before.saturating_sub(position.version));
        for body in &rows.unnumbered {
            let redo = Redo::read(body)?;
            if stream.written() >= snapshot.version {
                redo.apply(Arc::make_mut(&mut stream.data), &mut stream.metadata)?;
            }
            let (changes, metadata) = (redo.commit.changes, redo.commit.metadata);
            stream
                .unnumbered
                .push(Written { changes, metadata }, body.get().len());
        }
        stream.measured = false;
        stream.data_bytes =
            crate::object::encoded_len(&*stream.data, usize::MAX).unwrap_or(stream.data_bytes);
        stream.sent = position;
        stream.stored = Some(Stored {
            rest: Rest::of(rows),
            up_to: Some(position),
            unnumbered: stream.written(),
            ..Stored::nothing()
        });
        Ok(stream)
    }

    /// A commit that rested is part of the history; what the snapshot had of it is not done again.
    fn take_back(&mut self, body: &RawValue, known: u64) -> Result<(), String> {
        let redo = Redo::read(body)?;
        let (position, last) = (redo.commit.position, self.history.position());
        if position.version != last.version + 1 || position <= last {
            return Err(format!("a commit at {position} does not follow {last}"));
        }
        if position.version > known {
            redo.apply(Arc::make_mut(&mut self.data), &mut self.metadata)?;
        }
        self.begins(position.epoch);
        self.history.push(position, Arc::from(body.to_owned()));
        Ok(())
    }
}
