//! The file under the database: a limit of its length, and what went wrong first.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// What went wrong with a file since it was opened, first: the database tells it once, and from then on that there
/// was something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<Failure>>>);

/// The first failure of a file.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It would have outgrown its quota.
    Quota,
    /// The operating system said this.
    Io(Arc<io::Error>),
}

impl Trouble {
    /// The first failure, if there was one.
    pub(crate) fn first(&self) -> Option<Failure> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.clone()
    }

    fn note(&self, failure: Failure) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
    }

    fn noted<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let (kind, said) = (error.kind(), error.to_string());
            self.note(Failure::Io(Arc::new(error)));
            io::Error::new(kind, said)
        })
    }
}

/// A file that keeps within its quota and notes its trouble.
#[derive(Debug)]
pub(crate) struct Disk {
    file: FileBackend,
    quota: Option<u64>,
    trouble: Trouble,
}

impl Disk {
    pub(crate) fn new(
        file: File,
        quota: Option<u64>,
        trouble: Trouble,
    ) -> Result<Self, redb::DatabaseError> {
        Ok(Self {
            file: FileBackend::new(file)?,
            quota,
            trouble,
        })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.trouble.noted(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.trouble.noted(self.file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.trouble.noted(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.trouble.noted(self.file.sync_data())
    }

    /// The database takes the lowest pages that are free, in a file whose length it doubles and which has holes: the
    /// furthest byte written, not the length, is what it takes.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(data.len() as u64);
        if self.quota.is_some_and(|quota| quota < end) {
            self.trouble.note(Failure::Quota);
            return Err(ErrorKind::QuotaExceeded.into());
        }
        self.trouble.noted(self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
