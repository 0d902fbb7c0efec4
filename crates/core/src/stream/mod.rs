//! Streams (protocol.md §4): one writer's ordered commits, and the copies that follow them.
//!
//! [`ReporterStream`] numbers and remembers what its author writes; [`ObserverStream`] applies it,
//! in order or not at all; [`History`] decides what a reader is answered that lacks something.

mod answering;
mod changed;
mod commit;
mod copy;
mod gap;
mod history;
mod kept;
mod lineage;
mod observer;
mod observer_rest;
mod pinning;
mod reporter;
mod reporter_rest;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::address::Address;
use crate::identity::Identity;
use crate::object::Hash;

pub(crate) use answering::ContentBody;
pub use changed::{Changed, Edit, ObserverCounters, Origin, Reaction};
pub(crate) use changed::{edits, edits_between};
pub(crate) use commit::check_changes;
pub use commit::{Commit, CommitHeader};
pub use history::{Answer, History, answer};
pub(crate) use kept::{KeptSnapshot, KeptStream, Outgrown};
pub use observer::ObserverStream;
pub(crate) use observer_rest::Heard;
pub use reporter::{Forgotten, ReporterStream, WriteError, Written};
pub(crate) use rest::Rows;

/// Largest epoch and version: what a double holds exactly (RFC 7493).
pub(crate) const COUNT_MAX: u64 = (1 << 53) - 1;

/// Where a stream stands: the epoch and version of its last commit. Written `[epoch, version]`.
///
/// Epochs are compared, never counted; versions go up by exactly one per commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The claim under which the commit was made.
    pub epoch: u64,
    /// The commit's number; 0 is the initial data.
    pub version: u64,
}

impl Position {
    /// The position `[epoch, version]`.
    #[must_use]
    pub const fn new(epoch: u64, version: u64) -> Self {
        Self { epoch, version }
    }

    /// As the bytes that it rests as: in the order of positions.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let [epoch, version] = [self.epoch, self.version].map(u128::from);
        (epoch << 64 | version).to_be_bytes()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.epoch, self.version)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.epoch, self.version).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Count(epoch), Count(version)) = <(Count, Count)>::deserialize(deserializer)?;
        Ok(Self { epoch, version })
    }
}

/// An epoch or a version on its own, as it is read.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        count(deserializer).map(Self)
    }
}

/// Reads an epoch or a version.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(deserializer)?;
    if count > COUNT_MAX {
        return Err(D::Error::custom("epoch and version go up to 2^53 - 1"));
    }
    Ok(count)
}

/// Where the streams of an object's children stand: by name, then by author (protocol.md §9).
pub type ChildrenPositions = BTreeMap<String, BTreeMap<Address, Position>>;

/// Positions of an object's streams (protocol.md, words).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The position of the object's own data.
    pub data: Option<Position>,
    /// Those of its children's streams.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: ChildrenPositions,
}

impl From<Position> for Digest {
    fn from(data: Position) -> Self {
        Self {
            data: Some(data),
            children: BTreeMap::new(),
        }
    }
}

/// A statement of where a stream stands (protocol.md §4): an `update` without change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The claim's epoch.
    #[serde(deserialize_with = "count")]
    pub epoch: u64,
    /// The position of the last commit.
    pub position: Position,
    /// The hyperty that writes.
    pub reporter: Address,
    /// Whose it is, as the node states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Who owns the object beside that one, or did, as the node states it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owners: BTreeSet<Identity>,
    /// Whether the Reporter is connected.
    pub live: bool,
    /// Since when it is not, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The hash of `data` at `position`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// The hash of where the children's streams stand, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Hash>,
    /// To its Reporter alone: up to which version the node will have it after a power cut, too (§7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
    /// The reader may have missed something that `position` does not tell (§7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
}
