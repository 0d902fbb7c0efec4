//! One child commit on the wire (protocol.md §9): written by its author, decided on by the Reporter,
//! taken by every reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::header::{ChildHeader, ChildWrite, is_child_of};
use super::{ChildId, encoded_child};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::message::{Type, decode};
use crate::object::{Change, ChangeFields, parse};
use crate::stream::Position;
use crate::time::Time;

/// One commit of one author, with its place in the author's stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildCommit {
    /// The author.
    pub from: Address,
    /// Who that is, as the node states it.
    pub identity: Option<Identity>,
    /// Where the author's stream stands after it: `[epoch, seq]`.
    pub position: Position,
    /// Where it stood before, said in an epoch's first commit only.
    pub base: Option<Position>,
    /// What it does.
    pub act: Act,
}

/// What a child commit does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Makes a child.
    Create(ChildId, Time, Arc<Value>),
    /// Changes the author's child.
    Update(ChildId, Vec<Change>),
    /// Deletes the author's child.
    Delete(ChildId),
    /// The Reporter deletes children of others, each named with the position of its `create`.
    Moderate(BTreeMap<ChildId, Position>),
    /// The Reporter closes the collection, or opens it again.
    Close(bool),
    /// The Reporter forgets these authors, of whom no child is left, each named with where its stream
    /// stands: there is room for others.
    Forget(BTreeMap<Address, Position>),
    /// Nothing, in place of a commit whose child is gone.
    Nothing,
}

#[derive(Serialize)]
struct Encoded<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a ChildId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a BTreeMap<ChildId, Position>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten: Option<&'a BTreeMap<Address, Position>>,
    epoch: u64,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(flatten)]
    one: Option<&'a Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Change]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a Identity>,
}

/// What a body holds beside what [`ChildHeader`] tells of it.
#[derive(Deserialize)]
struct Rest<'a> {
    identity: Option<Identity>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    of: Option<BTreeMap<ChildId, Position>>,
    closed: Option<bool>,
    forgotten: Option<BTreeMap<Address, Position>>,
    #[serde(borrow)]
    changes: Option<Vec<ChangeFields<'a>>>,
}

impl ChildCommit {
    /// The type of the message that carries it.
    #[must_use]
    pub const fn kind(&self) -> Type {
        match self.act {
            Act::Create(..) => Type::Create,
            Act::Update(..) | Act::Close(_) | Act::Forget(_) | Act::Nothing => Type::Update,
            Act::Delete(_) | Act::Moderate(_) => Type::Delete,
        }
    }

    /// Writes the commit's body.
    #[must_use]
    pub fn encode(&self) -> Box<RawValue> {
        let mut body = Encoded {
            resource: None,
            of: None,
            closed: None,
            forgotten: None,
            epoch: self.position.epoch,
            seq: self.position.version,
            base: self.base,
            created: None,
            value: None,
            one: None,
            changes: None,
            identity: self.identity.as_ref(),
        };
        match &self.act {
            Act::Create(id, created, value) => {
                body.resource = Some(id);
                body.created = Some(created.rfc3339());
                body.value = Some(value);
            }
            Act::Update(id, changes) => {
                body.resource = Some(id);
                match changes.as_slice() {
                    [one] => body.one = Some(one),
                    many => body.changes = Some(many),
                }
            }
            Act::Delete(id) => body.resource = Some(id),
            Act::Moderate(of) => body.of = Some(of),
            Act::Close(closed) => body.closed = Some(*closed),
            Act::Forget(authors) => body.forgotten = Some(authors),
            Act::Nothing => {}
        }
        to_raw_value(&body).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// Reads a commit's body, values and all.
    ///
    /// # Errors
    /// A 400 that names the field, 403 when the child is not the author's, 413 when it is too large.
    pub fn decode(kind: Type, from: &str, body: &str) -> Result<Self, Refusal> {
        let header = ChildHeader::peek(kind, body)?;
        if let Some(resource) = header.write.resource()
            && !is_child_of(resource, from)
        {
            return Err(Refusal::forbidden(format!(
                "field `body.resource`: `{resource}` is no child of `{from}`"
            )));
        }
        let rest: Rest<'_> = decode(body)?;
        Ok(Self {
            from: Address::parse(from)
                .map_err(|error| Refusal::malformed(format!("field `from`: {error}")))?,
            identity: rest.identity,
            position: header.position,
            base: header.base,
            act: match header.write {
                ChildWrite::Create(resource, created) => {
                    let json = rest.value.map_or("", RawValue::get);
                    let value = parse(json).map_err(|error| {
                        Refusal::malformed(format!("field `body.value`: {error}"))
                    })?;
                    encoded_child(&value).ok_or_else(super::too_large)?;
                    Act::Create(id(&resource)?, created, Arc::new(value))
                }
                ChildWrite::Update(resource) => {
                    let fields = match rest.changes {
                        Some(list) => list,
                        None => vec![decode(body)?],
                    };
                    let changes = fields.into_iter().map(ChangeFields::into_change);
                    let changes: Result<Vec<_>, _> = changes.collect();
                    let changes = changes
                        .map_err(|error| Refusal::malformed(format!("field `body`: {error}")))?;
                    Act::Update(id(&resource)?, changes)
                }
                ChildWrite::Delete(resource) => Act::Delete(id(&resource)?),
                ChildWrite::Moderate => Act::Moderate(rest.of.unwrap_or_default()),
                ChildWrite::Forget => Act::Forget(rest.forgotten.unwrap_or_default()),
                ChildWrite::Close => Act::Close(rest.closed.unwrap_or_default()),
                ChildWrite::Nothing => Act::Nothing,
            },
        })
    }

    /// Dates the child that it makes anew.
    pub(super) fn date(&mut self, now: Time) {
        if let Act::Create(_, created, _) = &mut self.act {
            *created = now;
        }
    }

    /// The children that it makes, changes or deletes.
    pub(super) fn children(&self) -> impl Iterator<Item = &ChildId> {
        let (one, many) = match &self.act {
            Act::Create(id, ..) | Act::Update(id, _) | Act::Delete(id) => (Some(id), None),
            Act::Moderate(of) => (None, Some(of.keys())),
            Act::Close(_) | Act::Forget(_) | Act::Nothing => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

fn id(resource: &str) -> Result<ChildId, Refusal> {
    let id = resource.parse();
    id.map_err(|error| Refusal::malformed(format!("field `body.resource`: {error}")))
}
