//! The file that a runtime's key rests in: what [`Builder::key_file`](crate::Builder::key_file) reads and makes, for
//! programs that carry an identity from one place to another.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

pub use byline_core::identity::Key;
use byline_core::identity::{decode_bytes, encode_bytes};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file can neither be read nor made.
    #[error("key file {path}: {source}")]
    File {
        /// Where it is, or should be.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "key file {0} holds no key: 32 bytes in base64url are expected; move it away to have one made"
    )]
    Content(PathBuf),
    /// Others can read it.
    #[cfg(unix)]
    #[error("key file {0} can be read by others: chmod 600 it, and make a new one if somebody did")]
    Open(PathBuf),
    /// A key was to be written where something is.
    #[error("{0} is there already: choose another place, nothing is written over")]
    Exists(PathBuf),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// 32 bytes from the operating system.
pub(crate) fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The key in the file at `path`; made, for its owner's eyes only, when there is none.
pub(crate) fn load_or_make(path: &Path) -> Result<Key, KeyFileError> {
    match load(path) {
        Err(KeyFileError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
            make(path)
        }
        found => found,
    }
}

/// The key in the file at `path`.
///
/// # Errors
/// [`KeyFileError`], also when others than its owner can read it.
pub fn load(path: &Path) -> Result<Key, KeyFileError> {
    let failed = |source| KeyFileError::File {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyFileError::Open(path.to_owned()));
        }
    }
    let mut text = String::new();
    // Read no more than a key: the path may name anything.
    let read = file.take(128).read_to_string(&mut text);
    read.map_err(|_| KeyFileError::Content(path.to_owned()))?;
    match decode_bytes(text.trim()) {
        Some(secret) => Ok(Key::from_bytes(&secret)),
        None => Err(KeyFileError::Content(path.to_owned())),
    }
}

fn make(path: &Path) -> Result<Key, KeyFileError> {
    let key = Key::from_bytes(&random()?);
    match save(path, &key) {
        // Of two processes that start at once both end with the same.
        Err(KeyFileError::Exists(_)) => load(path),
        saved => saved.map(|()| key),
    }
}

/// Writes `key` to a new file at `path`, for its owner's eyes only, and makes the folder when there is none. It is
/// written beside its place and linked in: nobody ever sees half of it.
///
/// # Errors
/// [`KeyFileError`], also when there is something at `path`.
pub fn save(path: &Path, key: &Key) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", encode_bytes(&random()?[..6])));
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        writeln!(file, "{}", encode_bytes(&key.to_bytes()))?;
        file.sync_all()?;
        fs::hard_link(&beside, path)
    });
    let removed = fs::remove_file(&beside);
    match written {
        Err(source) if source.kind() == ErrorKind::AlreadyExists => {
            Err(KeyFileError::Exists(path.to_owned()))
        }
        Err(source) => Err(failed(source)),
        Ok(()) => removed.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let unique = encode_bytes(&random().unwrap()[..9]);
        let folder = std::env::temp_dir().join(format!("byline-key-{name}-{unique}"));
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = folder("once");
        let path = folder.join("deep/key");
        let key = load_or_make(&path).unwrap();
        assert_eq!(load_or_make(&path).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing else is left"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(load_or_make(&path), Err(KeyFileError::Open(_))));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_key_is_saved_where_nothing_is_and_nowhere_else() {
        let folder = folder("saved");
        let path = folder.join("deep/key");
        save(&path, &Key::from_bytes(&[7; 32])).unwrap();
        assert_eq!(load(&path).unwrap().to_bytes(), [7; 32]);
        let again = save(&path, &Key::from_bytes(&[8; 32]));
        assert!(matches!(again, Err(KeyFileError::Exists(_))));
        assert_eq!(load(&path).unwrap().to_bytes(), [7; 32]);
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing else is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_key_is_left_alone() {
        let folder = folder("other");
        let path = folder.join("key");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).unwrap().write_all(b"my diary").unwrap();
        assert!(matches!(load_or_make(&path), Err(KeyFileError::Content(_))));
        assert_eq!(fs::read(&path).unwrap(), b"my diary");
        fs::remove_dir_all(folder).unwrap();
    }
}
