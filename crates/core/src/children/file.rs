//! Files (protocol.md §9): children that describe a content, which is asked for chunk by chunk.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ChildId;
use crate::error::Refusal;
use crate::identity::{decode_bytes, encode_bytes};
use crate::limits::{FILE_BYTES_MAX, FILE_CHUNK_BYTES, FILE_CHUNKS_MAX, FILE_NAME_BYTES_MAX};

/// Why something cannot be a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The child describes none.
    #[error("the child describes no file: {0}")]
    NotAFile(String),
    /// It is too large.
    #[error("a file has at most {FILE_BYTES_MAX} bytes: this one has {0}")]
    TooLarge(u64),
    /// It is divided as no file is.
    #[error(
        "a chunk of a file has 1 to {FILE_CHUNK_BYTES} bytes, and a file at most {FILE_CHUNKS_MAX} chunks"
    )]
    Chunk,
    /// Its name cannot be one: whoever saves it under that name must not be led elsewhere.
    #[error(
        "`{0}` cannot be the name of a file: write 1 to {FILE_NAME_BYTES_MAX} bytes, no `/`, no `\\`, nothing invisible, and neither `.` nor `..`"
    )]
    Name(String),
}

/// What a child says of a file: all but its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileDescription {
    #[serde(rename = "type")]
    kind: Kind,
    /// What its author calls it: no path.
    pub name: String,
    /// What it is, such as `image/png`, as its author says.
    pub mimetype: String,
    /// Its length in bytes.
    pub size: u64,
    /// The length of each of its chunks but the last, in bytes.
    pub chunk: u64,
    /// The SHA-256 of its content.
    #[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
    pub sha256: [u8; 32],
    /// When it was last changed, as its author says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
}

fn write_hash<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode_bytes(bytes))
}

fn read_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = decode_bytes(&text);
    bytes.ok_or_else(|| de::Error::custom("`sha256` must be 32 bytes as base64url"))
}

impl FileDescription {
    /// Describes `content`. Costs a pass over it.
    ///
    /// # Errors
    /// [`FileError`] when it is too large, or the name cannot be.
    pub fn of(name: &str, mimetype: &str, content: &[u8]) -> Result<Self, FileError> {
        let described = Self {
            kind: Kind::File,
            name: name.to_owned(),
            mimetype: mimetype.to_owned(),
            size: content.len() as u64,
            chunk: FILE_CHUNK_BYTES as u64,
            sha256: [0; 32],
            last_modified: None,
        };
        described.check()?;
        let sha256 = Sha256::digest(content).into();
        Ok(Self {
            sha256,
            ..described
        })
    }

    /// Reads what a child says. What it says besides is passed over.
    ///
    /// # Errors
    /// [`FileError`] when it describes no file, or one that cannot be.
    pub fn read(child: &Value) -> Result<Self, FileError> {
        let read = Self::deserialize(child);
        let described = read.map_err(|error| FileError::NotAFile(error.to_string()))?;
        described.check()?;
        Ok(described)
    }

    /// The child that says so.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("texts and numbers are JSON")
    }

    fn check(&self) -> Result<(), FileError> {
        let leads_elsewhere = |c: char| c.is_control() || matches!(c, '/' | '\\');
        if !(1..=FILE_NAME_BYTES_MAX).contains(&self.name.len())
            || self.name.contains(leads_elsewhere)
            || matches!(&*self.name, "." | "..")
        {
            return Err(FileError::Name(self.name.clone()));
        }
        if self.size > FILE_BYTES_MAX as u64 {
            return Err(FileError::TooLarge(self.size));
        }
        if !(1..=FILE_CHUNK_BYTES as u64).contains(&self.chunk) || self.chunks() > FILE_CHUNKS_MAX {
            return Err(FileError::Chunk);
        }
        Ok(())
    }

    /// How many chunks it has; none when it is empty.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.size.div_ceil(self.chunk)
    }

    /// Where this chunk stands in the content; none beyond the last.
    pub(crate) fn range(&self, chunk: u64) -> Option<Range<usize>> {
        let start = (chunk < self.chunks()).then(|| chunk * self.chunk)?;
        let end = (start + self.chunk).min(self.size);
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// Whether it describes `content`. Costs a pass over it.
    #[must_use]
    pub fn describes(&self, content: &[u8]) -> bool {
        content.len() as u64 == self.size && Sha256::digest(content)[..] == self.sha256
    }
}

/// `read` to `<object>/children/<name>`: one chunk of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChunkWanted {
    /// The child that describes the file.
    pub(crate) resource: ChildId,
    /// Which chunk, from 0 on.
    pub(crate) chunk: u64,
}

/// 200 to that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    code: u16,
    value: String,
}

impl Chunk {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            code: 200,
            value: URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Refusal> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.value);
        bytes.map_err(|error| Refusal::broken(format!("field `body.value`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described() -> Value {
        let content = vec![7; FILE_CHUNK_BYTES + 1];
        let described = FileDescription::of("cat.png", "image/png", &content).unwrap();
        assert!(described.describes(&content));
        assert!(!described.describes(&content[1..]));
        serde_json::to_value(described).unwrap()
    }

    #[test]
    fn a_description_comes_back_as_it_was_and_divides_its_content() {
        let value = described();
        assert_eq!(value["type"], "file");
        let read = FileDescription::read(&value).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), value);
        assert_eq!(read.chunks(), 2);
        assert_eq!(read.range(0), Some(0..FILE_CHUNK_BYTES));
        assert_eq!(read.range(1), Some(FILE_CHUNK_BYTES..FILE_CHUNK_BYTES + 1));
        assert_eq!(read.range(2), None);
        let empty = FileDescription::of("nothing", "text/plain", &[]).unwrap();
        assert_eq!((empty.chunks(), empty.range(0)), (0, None));
        assert!(empty.describes(&[]));
    }

    #[test]
    fn a_description_that_cannot_be_is_refused() {
        let refused = |key: &str, value: Value| {
            let mut described = described();
            described[key] = value;
            FileDescription::read(&described).unwrap_err()
        };
        let over = FILE_BYTES_MAX as u64 + 1;
        assert_eq!(refused("size", json!(over)), FileError::TooLarge(over));
        assert_eq!(
            refused("size", json!(u64::MAX)),
            FileError::TooLarge(u64::MAX)
        );
        for chunk in [0, 1, FILE_CHUNK_BYTES + 1] {
            assert_eq!(refused("chunk", json!(chunk)), FileError::Chunk);
        }
        for name in [
            "",
            ".",
            "..",
            "../up",
            "a\\b",
            "a\nb",
            &*"x".repeat(FILE_NAME_BYTES_MAX + 1),
        ] {
            let error = FileError::Name(name.to_owned());
            assert_eq!(refused("name", json!(name)), error);
        }
        for (key, value) in [
            ("type", json!("chat")),
            ("size", json!(-1)),
            ("sha256", json!(encode_bytes(&[1; 31]))),
            ("mimetype", Value::Null),
        ] {
            let error = refused(key, value);
            assert!(matches!(error, FileError::NotAFile(_)), "{error}");
        }
    }
}
