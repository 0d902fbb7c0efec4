//! The Syncher (protocol.md §4–§7): one hyperty's handle on data objects, those it reports and those
//! it observes. Its streams live here; who may claim and read is the Sync Manager's to say.

mod audience;
mod following;
mod observer;
mod reporter;
mod resting;

use std::collections::BTreeMap;
use std::fmt;

use crate::address::Address;
use crate::error::Refusal;
use crate::time::Time;

pub use audience::Audience;
pub(crate) use observer::{Next, Observer, Recovery};
pub(crate) use reporter::{Due, Outgoing, Reporter};
pub(crate) use resting::ChildrenRows;

/// How an object is doing, seen from one hyperty (protocol.md §5, §7).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// A Reporter's claim is not answered yet; it may write.
    Claiming,
    /// There is no copy yet, because nobody reports the object, or its application has not decided; this
    /// says why.
    Waiting(String),
    /// A copy is on its way, or known to be behind.
    CatchingUp,
    /// A copy follows; a Reporter is heard.
    Live,
    /// The copy stands still since then: the Reporter, or the way to it, is away.
    Stale(Time),
    /// It is over, and this is why.
    Closed(Refusal),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claiming => f.write_str("claiming"),
            Self::Waiting(_) => f.write_str("waiting"),
            Self::CatchingUp => f.write_str("catching-up"),
            Self::Live => f.write_str("live"),
            Self::Stale(_) => f.write_str("stale"),
            Self::Closed(_) => f.write_str("closed"),
        }
    }
}

/// One hyperty and its objects.
#[derive(Debug, Default)]
pub(crate) struct Syncher {
    pub(crate) reporters: BTreeMap<Address, Reporter>,
    pub(crate) observers: BTreeMap<Address, Observer>,
}
