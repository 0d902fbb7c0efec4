//! Where a database lies, and what its failures mean to who has it.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::StoreError;

/// The folder of a database.
#[derive(Clone, Debug)]
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
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
        let (path, what) = (self.0.clone(), what.into());
        StoreError::Damaged { path, what }
    }

    fn explain(&self, error: redb::Error) -> StoreError {
        match error {
            redb::Error::Io(source) => StoreError::from_io(&self.0, source),
            redb::Error::PreviousIo => {
                StoreError::from_io(&self.0, io::Error::other("it failed before"))
            }
            // Who writes it is about to open or to close it.
            redb::Error::DatabaseAlreadyOpen
            | redb::Error::LockProtocolMismatch
            | redb::Error::RepairAborted => StoreError::Locked {
                path: self.0.clone(),
                by: None,
            },
            other => self.damaged(other.to_string()),
        }
    }
}

fn said_by(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the database panicked").to_owned()
}
