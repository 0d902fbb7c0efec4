//! Who may see what only a node's operator may see.

use std::fmt;
use std::io;
use std::path::Path;

use byline_core::identity::encode_bytes;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::files::{FileError, read};

/// Fewer characters could be guessed.
const CHARS_MIN: usize = 16;

/// What shows that somebody is the operator of a node. It is never printed by accident.
#[derive(Clone)]
pub struct OperatorToken(String);

impl OperatorToken {
    /// One that nobody can guess.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(encode_bytes(&bytes)))
    }

    /// The one in the file at `path`.
    ///
    /// # Errors
    /// [`FileError`], also when it is short enough to be guessed.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let text = String::from_utf8(read(path)?).unwrap_or_default();
        let text = text.trim();
        if text.len() < CHARS_MIN || text.contains(|c: char| !c.is_ascii_graphic()) {
            let why = format!("an operator's token is {CHARS_MIN} letters or more, in one line");
            return Err(FileError::content(path, why));
        }
        Ok(Self(text.to_owned()))
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request with `headers` shows it. Takes as long for a token that is almost right as for
    /// any other.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| {
            let pairs = shown.iter().zip(self.0.as_bytes());
            let differ = pairs.fold(0, |differ, (one, other)| differ | (one ^ other));
            shown.len() == self.0.len() && differ == 0
        })
    }
}

impl From<String> for OperatorToken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}
