//! A child, and what becomes of it.

use std::sync::Arc;

use serde_json::Value;

use super::ChildId;
use crate::identity::Identity;
use crate::stream::{Edit, Origin, Position};
use crate::time::Time;

/// A child: a JSON object of one author's.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// The object. Cheap to clone; holding it costs one copy of it at the child's next change.
    pub value: Arc<Value>,
    /// When its author says it was made, in RFC 3339.
    pub created: String,
    /// Who its author is, as the node states it; none of an anonymous session.
    pub identity: Option<Identity>,
    /// Where its author's stream stood after the last commit that touched it.
    pub position: Position,
    /// Where its author's stream stood after the commit that made it.
    pub origin: Position,
    pub(super) made: Time,
    /// Its length as JSON.
    pub(super) bytes: usize,
}

/// One step of a collection: visible whole, never in part.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildrenChanged {
    /// Its number among the collection's steps: 1, 2, 3 …
    pub number: u64,
    /// Where it came from.
    pub origin: Origin,
    /// What became of which child, in order; at most one change of each child but after
    /// [`Origin::Live`].
    pub changes: Vec<ChildChange>,
    /// Whether the collection is closed after it.
    pub closed: bool,
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildChange {
    /// The child.
    pub id: ChildId,
    /// What became of it.
    pub kind: ChildChangeKind,
}

/// The ways in which a child changes.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildChangeKind {
    /// It is there now.
    Added(Child),
    /// Its author changed it.
    Updated {
        /// What changed, in order.
        edits: Vec<Edit>,
        /// The child as it is now.
        child: Child,
    },
    /// It is gone.
    Removed {
        /// By the Reporter: as its decision, or because the collection keeps no more.
        moderated: bool,
    },
}

impl ChildChange {
    pub(super) fn new(id: &ChildId, kind: ChildChangeKind) -> Self {
        Self {
            id: id.clone(),
            kind,
        }
    }
}
