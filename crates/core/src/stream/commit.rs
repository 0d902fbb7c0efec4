//! One commit on the wire (protocol.md §4): encoded once by its author, peeked at by the node,
//! decoded by its readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::{Position, count};
use crate::address::Address;
use crate::error::Refusal;
use crate::message::decode;
use crate::object::{Change, ChangeFields, ChangeShape, Hash, Metadata, MetadataError, parse};

/// One atomic set of changes, with its place in the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Where the stream stands after it.
    pub position: Position,
    /// Where the stream stood before it, said in an epoch's first commit only.
    pub base: Option<Position>,
    /// What it changes, in order; nothing only beside `metadata`.
    pub changes: Vec<Change>,
    /// What the object says of itself from then on; empty when that stays as it is.
    pub metadata: Map<String, Value>,
    /// The hash of `data` after it, when it says so.
    pub hash: Option<Hash>,
    /// Its length as encoded, in bytes.
    pub bytes: usize,
}

#[derive(Serialize)]
struct Encoded<'a> {
    epoch: u64,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Position>,
    source: &'a Address,
    #[serde(rename = "lastModified")]
    last_modified: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: &'a Map<String, Value>,
    #[serde(flatten)]
    one: Option<&'a Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Change]>,
}

/// A body as it came, read once.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(deserialize_with = "count")]
    epoch: u64,
    #[serde(deserialize_with = "count")]
    version: u64,
    base: Option<Position>,
    hash: Option<Hash>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    changes: Option<Vec<ChangeFields<'a>>>,
    #[serde(borrow, default, deserialize_with = "there")]
    attribute: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "attributeType", deserialize_with = "there")]
    attribute_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    operation: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    value: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// What it changes; nothing beside `metadata` alone.
    fn changes(self) -> Result<impl Iterator<Item = ChangeFields<'a>>, Refusal> {
        let one = ChangeFields {
            attribute: self.attribute,
            attribute_type: self.attribute_type,
            operation: self.operation,
            value: self.value,
        };
        let described = self.metadata.is_some() && self.attribute.is_none();
        let list = several(self.changes, self.attribute)?;
        let one = (list.is_none() && !described).then_some(one);
        Ok(list.into_iter().flatten().chain(one))
    }
}

/// A field that is there, even if it is `null`.
fn there<'de, D: Deserializer<'de>>(field: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

impl Commit {
    /// Writes the commit's body. `source` is the Reporter's hyperty, `last_modified` RFC 3339.
    #[must_use]
    pub fn encode(&self, source: &Address, last_modified: &str) -> Arc<RawValue> {
        let (one, changes) = match self.changes.as_slice() {
            [] => (None, None),
            [one] => (Some(one), None),
            many => (None, Some(many)),
        };
        let Position { epoch, version } = self.position;
        let (base, hash) = (self.base, self.hash);
        let body = Encoded {
            epoch,
            version,
            base,
            source,
            last_modified,
            hash,
            metadata: &self.metadata,
            one,
            changes,
        };
        to_raw_value(&body).map_or_else(|_| RawValue::NULL.to_owned().into(), Arc::from)
    }

    /// Reads a commit's body, values and all.
    ///
    /// # Errors
    /// A 400 that names the field.
    pub fn decode(body: &str) -> Result<Self, Refusal> {
        let fields: Fields<'_> = decode(body)?;
        let Fields { base, hash, .. } = fields;
        let position = Position::new(fields.epoch, fields.version);
        let metadata = fields.metadata.map(|patch| patch_of(patch.get()));
        let changes = fields.changes()?.map(ChangeFields::into_change);
        Ok(Self {
            position,
            base,
            changes: changes.collect::<Result<_, _>>().map_err(in_body)?,
            metadata: metadata.transpose()?.unwrap_or_default(),
            hash,
            bytes: body.len(),
        })
    }
}

/// What the node reads of a commit: its place in the stream, and that its changes have the right
/// shape. Values are not parsed, and nothing is allocated for a commit of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    /// Where the stream stands after it.
    pub position: Position,
    /// Where the stream stood before it, said in an epoch's first commit only.
    pub base: Option<Position>,
}

impl CommitHeader {
    /// Peeks at a commit's body.
    ///
    /// # Errors
    /// A 400 that names the field.
    pub fn peek(body: &str) -> Result<Self, Refusal> {
        let fields: Fields<'_> = decode(body)?;
        if let Some(patch) = fields.metadata {
            let fields: BTreeMap<String, IgnoredAny> = decode(patch.get()).map_err(in_metadata)?;
            check_fields(fields.keys())?;
        }
        let header = Self {
            position: Position::new(fields.epoch, fields.version),
            base: fields.base,
        };
        for change in fields.changes()? {
            change.shape().map_err(in_body)?;
        }
        Ok(header)
    }
}

/// The `metadata` of a commit.
fn patch_of(json: &str) -> Result<Map<String, Value>, Refusal> {
    let patch = parse(json).map_err(in_metadata)?;
    let Value::Object(patch) = patch else {
        return Err(in_metadata(MetadataError::NotAnObject));
    };
    check_fields(patch.keys())?;
    Ok(patch)
}

fn check_fields<'a>(mut fields: impl ExactSizeIterator<Item = &'a String>) -> Result<(), Refusal> {
    if fields.len() == 0 {
        return Err(Refusal::malformed(
            "field `body.metadata` must not be empty",
        ));
    }
    fields
        .try_for_each(|field| Metadata::may_change(field))
        .map_err(in_metadata)
}

fn in_metadata(error: impl std::fmt::Display) -> Refusal {
    Refusal::malformed(format!("field `body.metadata`: {error}"))
}

fn in_body(error: impl std::fmt::Display) -> Refusal {
    Refusal::malformed(format!("field `body`: {error}"))
}

/// Checks the shape of what a body changes: the fields of one change, or a list of them.
///
/// # Errors
/// A 400 that names the field.
pub(crate) fn check_changes(
    body: &str,
    changes: Option<Vec<&RawValue>>,
    attribute: Option<IgnoredAny>,
) -> Result<(), Refusal> {
    let shape = |json: &str| ChangeShape::check(json).map_err(in_body);
    match several(changes, attribute)? {
        None => shape(body),
        Some(list) => list.into_iter().try_for_each(|change| shape(change.get())),
    }
}

/// The list of changes, when there is one: not empty, and in place of the fields of a single change.
fn several<T, A>(changes: Option<Vec<T>>, attribute: Option<A>) -> Result<Option<Vec<T>>, Refusal> {
    let desc = match (&changes, attribute) {
        (Some(list), _) if list.is_empty() => "field `body.changes` must not be empty",
        (Some(_), Some(_)) => "field `body.changes` stands in place of `attribute`, not beside it",
        _ => return Ok(changes),
    };
    Err(Refusal::malformed(desc))
}
