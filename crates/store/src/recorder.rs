//! A file in memory that tells what is done to it.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, StorageBackend};

use crate::images::Random;

/// A disk writes these whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What is done to a file.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Write { at: usize, data: Arc<[u8]> },
    SetLen(usize),
    Sync,
}

impl Act {
    /// What is left of it when it is torn in the middle.
    pub(crate) fn first_half(&self) -> Vec<Self> {
        match self {
            Self::Write { at, data } => vec![Self::Write {
                at: *at,
                data: data[..data.len() / 2].into(),
            }],
            Self::SetLen(_) | Self::Sync => Vec::new(),
        }
    }

    /// What is left of it when sectors of it are missing.
    pub(crate) fn some_sectors(&self, random: &mut Random) -> Vec<Self> {
        let Self::Write { at, data } = self else {
            return Vec::new();
        };
        let sectors = data.chunks(SECTOR_BYTES).enumerate();
        let left = sectors.filter(|_| random.one_in(2));
        left.map(|(index, sector)| Self::Write {
            at: at + index * SECTOR_BYTES,
            data: sector.into(),
        })
        .collect()
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct File(Vec<u8>);

impl File {
    pub(crate) fn does(&mut self, act: &Act) {
        match act {
            Act::Write { at, data } => {
                let end = at + data.len();
                if self.0.len() < end {
                    self.0.resize(end, 0);
                }
                self.0[*at..end].copy_from_slice(data);
            }
            Act::SetLen(len) => self.0.resize(*len, 0),
            Act::Sync => {}
        }
    }
}

/// A file that is in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    file: File,
    /// What was done to it since somebody asked.
    acts: Vec<Act>,
    /// How much more it lets be done.
    left: Option<usize>,
}

impl Recorder {
    pub(crate) fn new(file: File) -> Self {
        let recorder = Self::default();
        recorder.record().file = file;
        recorder
    }

    /// What it holds.
    pub(crate) fn file(&self) -> File {
        self.record().file.clone()
    }

    /// What was done to it since this was asked last.
    pub(crate) fn heard(&self) -> Vec<Act> {
        std::mem::take(&mut self.record().acts)
    }

    /// Lets so much be done and nothing more, as if its disk were full then.
    pub(crate) fn fill_after(&self, acts: usize) {
        self.record().left = Some(acts);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }

    fn does(&self, act: Act) -> io::Result<()> {
        let mut record = self.record();
        match &mut record.left {
            Some(0) => {
                for half in act.first_half() {
                    record.file.does(&half);
                }
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        record.file.does(&act);
        record.acts.push(act);
        Ok(())
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.record().file.0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        let record = self.record();
        let there = record.file.0.get(at..at + out.len());
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.does(Act::SetLen(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.does(Act::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.does(Act::Write {
            at: offset as usize,
            data: data.into(),
        })
    }

    // Nobody else has it: every lock is free.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
