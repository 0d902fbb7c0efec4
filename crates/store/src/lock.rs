//! The lock of a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::StoreError;

const FILE: &str = "lock";

/// Says that a folder is this process's, for as long as it is held: the operating system takes it from a process that
/// ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "held open")] File);

impl Lock {
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::from_io(folder, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(folder.join(FILE)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // Told to who comes second; on a full disk there is no room for it, and the lock holds all the same.
                let _ = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = file.take(16).read_to_string(&mut text);
                let by = read.ok().and_then(|_| text.trim().parse().ok());
                let path = folder.to_owned();
                Err(StoreError::Locked { path, by })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
