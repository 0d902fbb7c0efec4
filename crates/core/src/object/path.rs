//! Where in a document a change happens: a list of keys, with its two spellings on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::DEPTH_MAX;

/// A place in a document: the keys from the root to it. An array index is its decimal text without
/// leading zeros.
///
/// Text exists only on the wire (protocol.md §4): a JSON Pointer (RFC 6901) when it starts with
/// `/`, else keys joined by dots. [`Display`](fmt::Display) writes the dotted form when every key
/// is made of `A-Z a-z 0-9 _ -`. Paths sort key by key, a parent before what is inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<String>);

/// Why a text is not a [`Path`]. Keys are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A `~` of a JSON Pointer stands alone (RFC 6901 §3).
    #[error("key {key} of the path has a bad escape: `~` must be followed by `0` or `1`")]
    BadEscape {
        /// Which key.
        key: usize,
    },
    /// A dotted path has nothing before, between or after its dots.
    #[error("key {key} of the dotted path is empty: write an empty key as a JSON Pointer")]
    EmptyKey {
        /// Which key.
        key: usize,
    },
    /// More keys than a document may be deep (protocol.md, appendix B).
    #[error("the path has more than {max} keys")]
    TooDeep {
        /// The limit, [`DEPTH_MAX`].
        max: usize,
    },
}

impl Path {
    /// The path of the whole document, written `""`.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads either spelling; `""` is the root. Linear in the text.
    ///
    /// # Errors
    /// A bad `~` escape, an empty dotted key, more than [`DEPTH_MAX`] keys.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut keys = Vec::new();
        scan(text, |key, is_pointer| {
            keys.push(if is_pointer && key.contains('~') {
                key.replace("~1", "/").replace("~0", "~")
            } else {
                key.to_owned()
            });
        })?;
        Ok(Self(keys))
    }

    /// Whether [`parse`](Self::parse) would accept the text, without building the path: linear, no
    /// allocation.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn check(text: &str) -> Result<(), PathError> {
        scan(text, |_, _| ())
    }

    /// The path of `key` inside this one. Copies the keys. Does not check the depth; applying a
    /// change does.
    #[must_use]
    pub fn child(&self, key: impl Into<String>) -> Self {
        let mut keys = Vec::with_capacity(self.0.len() + 1);
        keys.extend_from_slice(&self.0);
        keys.push(key.into());
        Self(keys)
    }

    /// The keys from the root on.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether this is the path of the whole document.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last key and the keys of the parent; `None` for the root.
    #[must_use]
    pub fn split_last(&self) -> Option<(&str, &[String])> {
        self.0
            .split_last()
            .map(|(key, parent)| (key.as_str(), parent))
    }

    /// Steps into `key`, in place: for walks that build a path only where something is found.
    pub(super) fn push(&mut self, key: String) {
        self.0.push(key);
    }

    /// Steps back out.
    pub(super) fn pop(&mut self) {
        self.0.pop();
    }
}

/// The array index a key means: decimal digits without leading zeros (RFC 6901 §4).
pub(super) fn index(key: &str) -> Option<usize> {
    let digits = key.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = key.len() > 1 && key.starts_with('0');
    if digits && !leading_zero {
        key.parse().ok()
    } else {
        None
    }
}

/// Whether the last key of a path's text is an array index.
pub(super) fn text_ends_in_index(text: &str) -> bool {
    let separator = if text.starts_with('/') { '/' } else { '.' };
    text.rsplit(separator).next().and_then(index).is_some()
}

/// Gives every key as it is spelt, and whether the spelling is a JSON Pointer's.
fn scan(text: &str, mut take: impl FnMut(&str, bool)) -> Result<(), PathError> {
    if text.is_empty() {
        return Ok(());
    }
    let (is_pointer, keys) = match text.strip_prefix('/') {
        Some(rest) => (true, rest.split('/')),
        None => (false, text.split('.')),
    };
    for (number, key) in keys.enumerate() {
        if number == DEPTH_MAX {
            return Err(PathError::TooDeep { max: DEPTH_MAX });
        }
        if is_pointer && !escapes_are_good(key) {
            return Err(PathError::BadEscape { key: number });
        }
        if !is_pointer && key.is_empty() {
            return Err(PathError::EmptyKey { key: number });
        }
        take(key, is_pointer);
    }
    Ok(())
}

fn escapes_are_good(key: &str) -> bool {
    key.split('~')
        .skip(1)
        .all(|rest| rest.starts_with(['0', '1']))
}

fn is_plain(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !key.is_empty() && key.bytes().all(plain)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.iter().all(|key| is_plain(key)) {
            for (number, key) in self.0.iter().enumerate() {
                f.write_str(if number == 0 { "" } else { "." })?;
                f.write_str(key)?;
            }
            return Ok(());
        }
        write_pointer(self.0.iter().map(String::as_str), f)
    }
}

/// Writes keys as a JSON Pointer (RFC 6901).
pub(super) fn write_pointer<'k>(
    keys: impl Iterator<Item = &'k str>,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    for key in keys {
        out.write_char('/')?;
        for part in key.split_inclusive(['~', '/']) {
            if let Some(text) = part.strip_suffix('~') {
                write!(out, "{text}~0")?;
            } else if let Some(text) = part.strip_suffix('/') {
                write!(out, "{text}~1")?;
            } else {
                out.write_str(part)?;
            }
        }
    }
    Ok(())
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl<K: Into<String>> FromIterator<K> for Path {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_path_are_read() {
        for (text, keys) in [
            ("", vec![]),
            ("a", vec!["a"]),
            ("a.0.b-c_D", vec!["a", "0", "b-c_D"]),
            ("a/b", vec!["a/b"]),
            ("a~b", vec!["a~b"]),
            ("/", vec![""]),
            ("/a.b", vec!["a.b"]),
            ("/a//b", vec!["a", "", "b"]),
            ("/~0~1/~01", vec!["~/", "~1"]),
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(path, keys.into_iter().collect(), "{text:?}");
            assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn the_encoder_writes_dots_only_when_every_key_is_plain() {
        let written = |keys: &[&str]| keys.iter().copied().collect::<Path>().to_string();
        assert_eq!(written(&["a", "0", "__proto__"]), "a.0.__proto__");
        assert_eq!(written(&["a", "b.c"]), "/a/b.c");
        assert_eq!(written(&["a", ""]), "/a/");
        assert_eq!(written(&["~/~", "/"]), "/~0~1~0/~1");
        assert_eq!(written(&["é"]), "/é");
    }

    #[test]
    fn a_bad_path_says_which_key_is_wrong() {
        assert_eq!(Path::parse("/a/~2"), Err(PathError::BadEscape { key: 1 }));
        assert_eq!(Path::parse("/~"), Err(PathError::BadEscape { key: 0 }));
        assert_eq!(Path::parse("a..b"), Err(PathError::EmptyKey { key: 1 }));
        assert_eq!(Path::parse("a."), Err(PathError::EmptyKey { key: 1 }));
        let deepest = vec!["k"; DEPTH_MAX].join(".");
        assert!(Path::parse(&deepest).is_ok());
        let too_deep = Err(PathError::TooDeep { max: DEPTH_MAX });
        assert_eq!(Path::parse(&format!("{deepest}.k")), too_deep);
    }

    #[test]
    fn an_index_is_decimal_without_leading_zeros() {
        assert_eq!(["0", "7", "10"].map(index), [Some(0), Some(7), Some(10)]);
        for key in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            "1.0",
            "١",
            "99999999999999999999999",
        ] {
            assert_eq!(index(key), None, "{key:?}");
        }
        assert!(text_ends_in_index("/a.b/0") && text_ends_in_index("a.12"));
        assert!(!text_ends_in_index("/a.0") && !text_ends_in_index(""));
    }
}
