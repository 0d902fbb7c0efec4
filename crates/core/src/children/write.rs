//! What an author wants done, and what an answer makes of it.

use std::slice;
use std::sync::Arc;

use serde_json::Value;

use super::{Act, ChildCommit, ChildId};
use crate::address::Address;
use crate::error::Retry;
use crate::object::{Change, apply};
use crate::stream::Position;
use crate::time::Time;

/// What an author wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    Create(ChildId, Arc<Value>),
    Update(ChildId, Vec<Change>),
    Delete(ChildId),
    /// The Reporter deletes these children, whoever made them.
    Moderate(Vec<ChildId>),
    Close(bool),
    /// The Reporter forgets these authors.
    Forget(Vec<Address>),
}

impl Write {
    /// The author's own child that it is about.
    pub(crate) const fn child(&self) -> Option<&ChildId> {
        match self {
            Self::Create(id, _) | Self::Update(id, _) | Self::Delete(id) => Some(id),
            Self::Moderate(_) | Self::Close(_) | Self::Forget(_) => None,
        }
    }

    /// The children that it deletes.
    pub(super) fn deletes(&self) -> &[ChildId] {
        match self {
            Self::Delete(id) => slice::from_ref(id),
            Self::Moderate(ids) => ids,
            Self::Create(..) | Self::Update(..) | Self::Close(_) | Self::Forget(_) => &[],
        }
    }

    /// What it does. What makes a child dates it so.
    pub(crate) fn act(&self, dated: Time) -> Act {
        match self.clone() {
            Self::Create(id, value) => Act::Create(id, dated, value),
            Self::Update(id, changes) => Act::Update(id, changes),
            Self::Delete(id) => Act::Delete(id),
            Self::Close(closed) => Act::Close(closed),
            // A Reporter says whom, and nobody else does this.
            Self::Moderate(_) | Self::Forget(_) => Act::Nothing,
        }
    }

    /// What it does to the author's own child, as far as it can.
    pub(super) fn applied(&self, child: Option<Arc<Value>>) -> Option<Arc<Value>> {
        match self {
            Self::Create(_, value) => Some(Arc::clone(value)),
            Self::Update(_, changes) => {
                let mut value = child?;
                let _undo = apply(Arc::make_mut(&mut value), changes);
                Some(value)
            }
            Self::Delete(_) => None,
            Self::Moderate(_) | Self::Close(_) | Self::Forget(_) => child,
        }
    }
}

/// A write that is not known to be safe.
#[derive(Debug)]
pub(crate) struct Unsafe {
    /// The call that waits for it; none when nobody does.
    pub(crate) call: Option<u64>,
    pub(crate) write: Write,
    pub(super) bytes: usize,
    /// What was sent: sent again it is the same, for it may have arrived.
    pub(super) sent: Option<ChildCommit>,
    /// It is under way.
    pub(super) asked: bool,
    /// It was dated anew, over this connection.
    pub(super) dated: bool,
    /// What is under way was sent before: it may have been taken then.
    pub(super) again: bool,
}

impl Unsafe {
    /// It makes room, and goes before what was not sent yet.
    pub(super) const fn is_urgent(&self) -> bool {
        self.call.is_none() && matches!(self.write, Write::Moderate(_) | Write::Forget(_))
    }

    pub(super) fn is_at(&self, position: Position) -> bool {
        let sent = self.sent.as_ref();
        sent.is_some_and(|commit| commit.position == position)
    }
}

/// What an answer makes of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// It is safe.
    Safe,
    /// It will never be.
    Refused,
    /// The Reporter has the stream at this position.
    Gap(Position),
    /// It was dated by a clock that is off: this is the time.
    Dated(Time),
    /// It may be taken later.
    Later(Retry),
}
