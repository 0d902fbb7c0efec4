//! The files that a node reads at its start and again when it is told to: whose tokens count, and its
//! certificate.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::mpsc;

use crate::server::Config;
use crate::tls;
use crate::tokens::Tokens;

/// Longest file, in bytes: the path may name anything.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error("cannot use {path}: {why}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl FileError {
    pub(crate) fn content(path: &Path, why: impl ToString) -> Self {
        Self::Content {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}

/// What the files held when they were read.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) tokens: Option<Tokens>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Files {
    pub(crate) fn load(config: &Config) -> Result<Self, FileError> {
        let people = config.people.as_ref();
        let tokens = people.map(|people| Tokens::load(people, &config.domain));
        let tls = config.certificate.as_ref().map(tls::load);
        Ok(Self {
            tokens: tokens.transpose()?,
            tls: tls.transpose()?,
        })
    }
}

/// Has a node read its files anew. Clones are for the same node.
#[derive(Clone, Debug)]
pub struct Reload {
    pub(crate) config: Config,
    pub(crate) files: mpsc::UnboundedSender<Files>,
}

impl Reload {
    /// Reads the keys and the certificate, on this thread, and has the node use them: for sessions and
    /// connections that come from then on. Those that are open stay, each until its token's end.
    ///
    /// # Errors
    /// [`FileError`]; the node goes on with what it has then.
    pub fn reload(&self) -> Result<(), FileError> {
        let files = Files::load(&self.config)?;
        // A node that has ended needs none.
        let _ = self.files.send(files);
        Ok(())
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
            Err(FileError::content(path, "it is longer than 1 MiB"))
        }
        Ok(_) => Ok(bytes),
        Err(source) => Err(FileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
