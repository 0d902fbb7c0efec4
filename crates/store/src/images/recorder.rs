//! A file in memory that tells what is done to it.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use redb::{BackendError, StorageBackend};

use super::Random;

/// A disk writes these whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What is done to a file.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Write { at: usize, data: Arc<[u8]> },
    SetLen(usize),
    Sync,
}

impl Act {
    /// What is left of it when it is torn in the middle.
    pub(super) fn first_half(&self) -> Vec<Self> {
        match self {
            Self::Write { at, data } => vec![Self::Write {
                at: *at,
                data: data[..data.len() / 2].into(),
            }],
            Self::SetLen(_) | Self::Sync => Vec::new(),
        }
    }

    /// What is left of it when sectors of it are missing.
    pub(super) fn some_sectors(&self, random: &mut Random) -> Vec<Self> {
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
pub(super) struct File(Vec<u8>);

impl File {
    pub(super) fn does(&mut self, act: &Act) {
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

/// A file that is in use, and what was done to it.
#[derive(Clone, Debug)]
pub(super) struct Recorder(Arc<Mutex<(File, Vec<Act>)>>);

impl Recorder {
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new((file, Vec::new()))))
    }

    /// What it holds.
    pub(super) fn file(&self) -> File {
        self.0.lock().unwrap().0.clone()
    }

    /// What was done to it since this was asked last.
    pub(super) fn heard(&self) -> Vec<Act> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    fn does(&self, act: Act) {
        let (file, acts) = &mut *self.0.lock().unwrap();
        file.does(&act);
        acts.push(act);
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        let (file, _) = &*self.0.lock().unwrap();
        let there = file.0.get(at..at + out.len());
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.does(Act::SetLen(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.does(Act::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.does(Act::Write {
            at: offset as usize,
            data: data.into(),
        });
        Ok(())
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
