//! Where a database lies, and what its failures mean to who has it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::StoreError;
use crate::disk::{Failure, Trouble};

/// Where a database lies, and what its file has told.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder.
    pub(crate) path: PathBuf,
    /// How far its file may reach.
    pub(crate) quota: Option<u64>,
    /// What went wrong with the file.
    pub(crate) trouble: Trouble,
}

impl Place {
    /// A file there that is opened now.
    pub(crate) fn new(path: PathBuf, quota: Option<u64>) -> Self {
        let trouble = Trouble::default();
        Self {
            path,
            quota,
            trouble,
        }
    }

    /// Does `work` with the database, which may panic at a file that it has not written itself.
    pub(crate) fn guard<T>(
        &self,
        work: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(outcome) => outcome.map_err(|error| self.explain(error)),
            Err(panic) => Err(self.damaged(said_by(&*panic))),
        }
    }

    /// What the file holds is not what was written.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> StoreError {
        let (path, what) = (self.path.clone(), what.into());
        StoreError::Damaged { path, what }
    }

    fn explain(&self, error: redb::Error) -> StoreError {
        let path = &self.path;
        match (self.trouble.first(), error) {
            (Some(Failure::Quota), _) => StoreError::Quota {
                path: path.clone(),
                quota: self.quota.unwrap_or_default(),
            },
            (Some(Failure::Io(source)), _) => StoreError::from_io(path, source),
            (None, redb::Error::Io(source)) => StoreError::from_io(path, source),
            // Its writer is about to open or to close it.
            (
                None,
                redb::Error::DatabaseAlreadyOpen
                | redb::Error::LockProtocolMismatch
                | redb::Error::RepairAborted,
            ) => StoreError::Locked {
                path: path.clone(),
                by: None,
            },
            (None, other) => self.damaged(other.to_string()),
        }
    }
}

fn said_by(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the database panicked").to_owned()
}
