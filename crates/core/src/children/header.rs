//! What the node reads of a child commit (protocol.md §9): its place in its author's stream, and that
//! its fields have the right shape. Values are not parsed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::Refusal;
use crate::limits::MODERATED_MAX;
use crate::message::{Type, decode};
use crate::stream::{COUNT_MAX, Position, check_changes, count};
use crate::time::Time;

/// The header of a child commit: all that a node reads of one that it passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildHeader {
    /// Where the author's stream stands after it: `[epoch, seq]`.
    pub position: Position,
    /// Where it stood before, said in an epoch's first commit only.
    pub base: Option<Position>,
    /// What it does.
    pub write: ChildWrite,
}

/// What a child commit does, and to which child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildWrite {
    /// Makes the child with this id, which was made then.
    Create(String, Time),
    /// Changes the child with this id.
    Update(String),
    /// Deletes the child with this id, which is its author's own.
    Delete(String),
    /// The Reporter deletes children of others.
    Moderate,
    /// The Reporter closes or opens the collection.
    Close,
    /// The Reporter forgets authors of whom no child is left.
    Forget,
    /// Nothing, in place of a commit whose child is gone.
    Nothing,
}

#[derive(Deserialize)]
struct Peeked<'a> {
    #[serde(deserialize_with = "count")]
    epoch: u64,
    #[serde(deserialize_with = "count")]
    seq: u64,
    base: Option<Position>,
    resource: Option<String>,
    created: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    of: Option<BTreeMap<String, Position>>,
    closed: Option<bool>,
    forgotten: Option<BTreeMap<String, Position>>,
    attribute: Option<IgnoredAny>,
    #[serde(borrow)]
    changes: Option<Vec<&'a RawValue>>,
}

impl ChildHeader {
    /// Peeks at the body of a `create`, `update` or `delete` to `<object>/children/<name>`.
    ///
    /// # Errors
    /// A 400 that names the field, 413 when it deletes too many children at once.
    pub fn peek(kind: Type, body: &str) -> Result<Self, Refusal> {
        let raw: Peeked<'_> = decode(body)?;
        if raw.seq == 0 {
            return Err(Refusal::malformed("field `body.seq`: commits count from 1"));
        }
        Ok(Self {
            position: Position::new(raw.epoch, raw.seq),
            base: raw.base,
            write: match kind {
                Type::Create => raw.create()?,
                Type::Delete => raw.delete()?,
                _ => raw.update(body)?,
            },
        })
    }
}

impl ChildWrite {
    /// The child that it makes, changes or deletes as its author.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        match self {
            Self::Create(resource, _) | Self::Update(resource) | Self::Delete(resource) => {
                Some(resource)
            }
            Self::Moderate | Self::Close | Self::Forget | Self::Nothing => None,
        }
    }

    /// Whether only the object's Reporter may do it.
    #[must_use]
    pub const fn is_the_reporters(&self) -> bool {
        matches!(self, Self::Moderate | Self::Close | Self::Forget)
    }
}

impl Peeked<'_> {
    fn create(self) -> Result<ChildWrite, Refusal> {
        let is_object = |value: &&RawValue| value.get().starts_with('{');
        if self.value.filter(is_object).is_none() {
            return Err(Refusal::malformed("field `body.value` must be an object"));
        }
        let created = self.created.as_deref().and_then(Time::parse_rfc3339);
        let created = created
            .ok_or_else(|| Refusal::malformed("field `body.created` must be a time of RFC 3339"))?;
        let resource = self.resource.ok_or_else(no_child)?;
        Ok(ChildWrite::Create(resource, created))
    }

    fn update(self, body: &str) -> Result<ChildWrite, Refusal> {
        let changes = self.changes.is_some() || self.attribute.is_some();
        match (self.resource, self.closed, self.forgotten) {
            (Some(resource), None, None) => {
                check_changes(body, self.changes, self.attribute)?;
                Ok(ChildWrite::Update(resource))
            }
            (None, Some(_), None) if !changes => Ok(ChildWrite::Close),
            (None, None, Some(authors)) if !changes => {
                few(authors.len(), "forgotten")?;
                Ok(ChildWrite::Forget)
            }
            (None, None, None) if !changes => Ok(ChildWrite::Nothing),
            (None, None, None) => Err(no_child()),
            _ => Err(Refusal::malformed(
                "field `body.closed` or `forgotten` is about the collection: it stands alone",
            )),
        }
    }

    fn delete(self) -> Result<ChildWrite, Refusal> {
        match (self.resource, self.of) {
            (Some(resource), None) => Ok(ChildWrite::Delete(resource)),
            (None, Some(of)) => {
                few(of.len(), "of")?;
                Ok(ChildWrite::Moderate)
            }
            (None, None) => Err(no_child()),
            (Some(_), Some(_)) => Err(Refusal::malformed(
                "field `body.of` stands in place of `resource`, not beside it",
            )),
        }
    }
}

/// Whether a commit may name so many at once.
fn few(count: usize, field: &str) -> Result<(), Refusal> {
    match count {
        0 => Err(Refusal::malformed(format!(
            "field `body.{field}` must not be empty"
        ))),
        1..=MODERATED_MAX => Ok(()),
        _ => Err(Refusal::too_large(format!(
            "field `body.{field}` has at most {MODERATED_MAX}"
        ))),
    }
}

fn no_child() -> Refusal {
    Refusal::malformed("field `body.resource` must be there: the child's id")
}

/// Whether `resource` is the id of a child of `author`: its address, `#` and a number.
#[must_use]
pub(crate) fn is_child_of(resource: &str, author: &str) -> bool {
    let number = resource.strip_prefix(author);
    let number = number.and_then(|rest| rest.strip_prefix('#'));
    number.is_some_and(|number| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        // Spelt in one way.
        let number = number.parse().ok().filter(|_| !number.starts_with('0'));
        digits && number.is_some_and(|number: u64| number <= COUNT_MAX)
    })
}
