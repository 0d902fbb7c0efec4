use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store cannot be opened, read or written: whose fault, what, and what to do next, in one line.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full. Nothing that was stored is lost.
    #[error("the disk with {0} is full: free some space, and writing goes on by itself")]
    Full(PathBuf),
    /// The store keeps as many bytes as it may. Nothing that was stored is lost.
    #[error("{path} may keep {quota} bytes and has more to keep: start with a larger quota")]
    Quota {
        /// The folder.
        path: PathBuf,
        /// The bytes that its owner allows.
        quota: u64,
    },
    /// The folder cannot be written.
    #[error("{0} cannot be written: give this user the right to, or choose another folder")]
    ReadOnly(PathBuf),
    /// Another process has the store.
    #[error("{path} is in use by {}: stop that, or choose another folder", process(*by))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The id of the process that has it, where that is known.
        by: Option<u32>,
    },
    /// The file is not what was written.
    #[error("{path} is damaged: restore a backup, or move it away to begin anew ({what})")]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong, for who looks into it.
        what: String,
    },
    /// A later version of Byline has written the store.
    #[error(
        "{path} has format {format}, and this program knows formats up to {known}: run a newer one"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The format it has.
        format: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The store belongs to something else.
    #[error("{path} belongs to {whose} and not to {wanted}: choose another folder")]
    Whose {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        whose: String,
        /// Who was to have it.
        wanted: String,
    },
    /// There is something already where a backup was to be written.
    #[error("{0} is there already: choose another place, nothing is written over")]
    Exists(PathBuf),
    /// The operating system failed otherwise.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: Arc<io::Error>,
    },
}

impl StoreError {
    /// What `source`, met at `path`, means to who has the store.
    pub(crate) fn from_io(path: &Path, source: impl Into<Arc<io::Error>>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(path),
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly(path),
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => Self::Damaged {
                path,
                what: source.to_string(),
            },
            _ => Self::Io { path, source },
        }
    }
}

fn process(id: Option<u32>) -> String {
    id.map_or_else(
        || "another process".to_owned(),
        |id| format!("process {id}"),
    )
}
