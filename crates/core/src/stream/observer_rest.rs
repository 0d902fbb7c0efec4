//! What rests of an Observer's copy.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::answering::Whole;
use super::copy::Copy;
use super::gap::Claim;
use super::rest::{Redo, Rest, Rows, SnapshotRow};
use super::{ObserverStream, Position};
use crate::identity::Identity;
use crate::object::DataObject;
use crate::storage::Batch;

/// What an Observer knows beside its copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// The newest claim heard of, and where that stood.
    epoch: u64,
    position: Position,
    /// Only a snapshot mends the copy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    diverged: bool,
    /// Whose the object is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
}

impl ObserverStream {
    /// Has the copy rest from now on.
    pub(crate) fn rest(&mut self) {
        self.rest.get_or_insert_with(Rest::new);
    }

    /// It rests no longer.
    pub(crate) fn forget(&mut self) {
        self.rest = None;
    }

    /// Whether it rests.
    pub(crate) const fn rests(&self) -> bool {
        self.rest.is_some()
    }

    /// Whether it has changed since the last batch.
    pub(crate) fn is_to_be_stored(&self) -> bool {
        self.copy.is_some() && self.rest.as_ref().is_some_and(Rest::is_due)
    }

    pub(crate) fn heard(&self) -> Heard {
        Heard {
            epoch: self.claim.epoch,
            position: self.claim.position,
            diverged: self.diverged,
            identity: self.pinned.clone(),
        }
    }

    /// Puts into `batch` what is to be stored; its rows are at `place`.
    pub(crate) fn store(&mut self, batch: &mut Batch, place: &[u8]) {
        if let (Some(rest), Some(copy)) = (&mut self.rest, &self.copy) {
            rest.store(batch, place, || {
                let whole = Whole {
                    metadata: &copy.metadata,
                    data: &copy.data,
                };
                let row = SnapshotRow {
                    position: copy.position,
                    version: copy.position.version,
                    lineage: vec![],
                    value: to_raw_value(&whole).unwrap_or_default(),
                };
                serde_json::to_vec(&row).unwrap_or_default()
            });
        }
    }

    /// A commit was applied, as it came.
    pub(super) fn keep(&mut self, position: Position, body: &str) {
        if let Some(rest) = &mut self.rest {
            match RawValue::from_string(body.to_owned()) {
                Ok(body) => rest.push(position, &Arc::from(body)),
                Err(_) => rest.renew(),
            }
        }
    }

    /// The copy is another, and no commits lead there.
    pub(super) fn keep_whole(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.renew();
        }
    }

    /// The copy that `rows` hold, if there was one.
    ///
    /// # Errors
    /// What of the rows cannot be.
    pub(crate) fn restored(heard: Heard, rows: Option<&Rows>) -> Result<Self, String> {
        let mut stream = Self::new();
        stream.claim = Claim::of(heard.epoch, heard.position);
        stream.diverged = heard.diverged;
        stream.pinned = heard.identity;
        stream.rest = Some(rows.map_or_else(Rest::new, Rest::of));
        let Some(rows) = rows else {
            return Ok(stream);
        };
        let snapshot = SnapshotRow::read(rows)?;
        let whole = DataObject::parse(snapshot.value.get()).map_err(|error| error.to_string())?;
        let DataObject {
            mut metadata,
            mut data,
        } = whole;
        let mut position = snapshot.position;
        let mut data_bytes = snapshot.value.get().len();
        for body in &rows.commits {
            let redo = Redo::read(body)?;
            if redo.commit.position.version != position.version + 1 {
                return Err(format!("a commit does not follow {position}"));
            }
            redo.apply(&mut data, &mut metadata)?;
            position = redo.commit.position;
            data_bytes += body.get().len();
        }
        let object = DataObject { metadata, data };
        stream.copy = Some(Copy::new(position, object, data_bytes));
        Ok(stream)
    }
}
