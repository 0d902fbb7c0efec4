//! The bodies of messages that core acts on. Field names are those of protocol.md.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::address::Address;
use crate::children::ChildrenWanted;
use crate::error::Refusal;
use crate::identity::{Identity, Token};
use crate::object::Hash;
use crate::stream::{Digest, Head, Position, count};

/// `open` and `re-open` (§3).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// The key that the session is bound to; none for an anonymous session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// What the runtime's id was minted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The answer to the challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The person that the session is, where the node asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// 401 to an `open` that names a key (§3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// 401.
    pub code: u16,
    /// What to sign.
    pub challenge: String,
    /// What to do.
    pub desc: String,
}

/// 200 to `open` and `re-open` (§3).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// 200.
    pub code: u16,
    /// Names the session in a later `re-open`.
    pub runtime_token: String,
    /// The last commit the node has of each object the session holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<Address, Position>,
    /// Where each object stands that the session observes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heads: BTreeMap<Address, Head>,
    /// The node did not know the token: everything is claimed and subscribed again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// The person that the session is, when a token said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// When that token ends, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Who may read an object (§5). Closed unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Every identity.
    #[serde(default)]
    pub public: bool,
    /// Sessions without an identity too.
    #[serde(default)]
    pub anonymous: bool,
    /// These identities, and the hyperties at these addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorise: Vec<String>,
    /// Nobody of these, whatever else is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl Access {
    /// Whether `hyperty` of `identity` may read: `Some(false)` when it is denied, `None` when this
    /// list does not say.
    #[must_use]
    pub fn decides(&self, hyperty: &str, identity: Option<&Identity>) -> Option<bool> {
        let named = |list: &[String]| {
            list.iter()
                .any(|one| one == hyperty || identity.is_some_and(|id| id.as_str() == one))
        };
        if named(&self.deny) {
            Some(false)
        } else if named(&self.authorise) || self.anonymous || (self.public && identity.is_some()) {
            Some(true)
        } else {
            None
        }
    }
}

/// What a claim says of the object and of the claimant's copy (§5, §8).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The object.
    pub url: Address,
    /// What the object's id was minted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The schema, carried and not yet checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The hyperty that writes.
    pub reporter: Address,
    /// The names of the object's collections of children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// How many children are kept of a name, where that is not the default (§9).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, usize>,
    /// Who may read.
    #[serde(default)]
    pub access: Access,
    /// Whether the node may keep what the object holds (§7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cache: bool,
    /// The position of the claimant's last commit; `Some(None)`, on the wire `null`, starts afresh.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub base: Option<Option<Position>>,
    /// The claimant no longer has the commits that lead to `base`: readers must take a snapshot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub snapshot: bool,
    /// Take the object from a session that holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take: bool,
}

/// Tells an absent field (`None`) from `null` (`Some(None)`).
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// `subscribe` to the subscription manager: a claim (§5).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The object and its `/subscription`.
    pub resources: Vec<String>,
    /// The hyperty that asks.
    pub source: Address,
    /// The claim.
    pub claim: Option<Claim>,
}

/// 200 to a claim (§5).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claimed {
    /// 200.
    pub code: u16,
    /// The claim's epoch.
    #[serde(deserialize_with = "count")]
    pub epoch: u64,
    /// The position of the last commit that the node has.
    pub position: Position,
    /// Who may read, as the node has it on record.
    pub access: Access,
    /// Whether the node keeps what the object holds (§7).
    pub cache: bool,
    /// Whether what it keeps survives its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
    /// The hash of where the children's streams stand, where the node has all of them (§9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Hash>,
}

/// `subscribe` and `unsubscribe` to `<object>/subscription`, `read` to the object (§6).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Subscribe {
    /// The hyperty that asks, `from` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Address>,
    /// The reader's position, when it has a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<Digest>,
    /// Which children the answer is to hold.
    #[serde(default, skip_serializing_if = "ChildrenWanted::is_default")]
    pub children: ChildrenWanted,
    /// Wait for a Reporter rather than be answered 503.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// Who asks, as the node states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Its Reporter has let it in before, as the node states it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub granted: bool,
    /// It is of an owner beside whose claim the object is, as the node states it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner: bool,
}

/// `subscribe` to many objects at once, at the subscription manager (§6).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SubscribeMany {
    /// The hyperty that asks, `from` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Address>,
    /// The objects, and where the reader's copy of each stands.
    pub objects: BTreeMap<Address, Option<Digest>>,
    /// Wait for Reporters rather than be answered 503.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
}

/// 207 to a `subscribe` to many objects (§6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Many {
    /// 207.
    pub code: u16,
    /// What becomes of each: 102 when its answer follows, else why not.
    pub objects: BTreeMap<Address, Refusal>,
}

/// 200 to a `subscribe` or `read` (§6), as its reader decodes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Content<'a> {
    /// The claim's epoch.
    #[serde(deserialize_with = "count")]
    pub epoch: u64,
    /// The position of the last commit in it.
    pub position: Position,
    /// Metadata and data; absent when `commits` lead there.
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
    /// The commits that the reader lacks, oldest first.
    #[serde(borrow, default)]
    pub commits: Option<Vec<&'a RawValue>>,
    /// The hash of `data` at `position`.
    pub hash: Option<Hash>,
    /// The last position up to the reader's that is part of the object, when its own is not.
    pub kept: Option<Position>,
    /// Of a `read`: where each earlier epoch of the object ended, oldest first.
    #[serde(default)]
    pub lineage: Vec<Position>,
    /// Whose the object is, as the node states it.
    pub identity: Option<Identity>,
    /// Who owns it beside that one, or did, as the node states it.
    #[serde(default)]
    pub owners: BTreeSet<Identity>,
}

/// 200 to a child commit (§9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildCommitted {
    /// 200.
    pub code: u16,
    /// Where the author's stream stands: `[epoch, seq]`.
    pub position: Position,
}

/// What every answer has.
#[derive(Clone, Debug, Deserialize)]
pub struct Code {
    /// The meaning it has in HTTP.
    pub code: u16,
}

/// `execute` to or from `…/sm` (§2): what an owner commands about an object, and what the node tells
/// a runtime about one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "lowercase")]
pub enum Command {
    /// The owner puts out a reader, a hyperty or an identity, who is told this code and reason (§6).
    Kick(
        Address,
        String,
        #[serde(default = "forbidden")] u16,
        #[serde(default)] String,
    ),
    /// The owner takes back that a hyperty or an identity was put out (§6).
    Allow(Address, String),
    /// The owner says anew who may read (§5); the node tells the holder what another owner said.
    Access(Address, Access),
    /// The holder hands the object over to a hyperty, or to any of an identity's, which is an owner from now on: and
    /// stays one itself, where it says so. Without whom, it takes that back (§8).
    Delegate(
        Address,
        #[serde(default)] Option<Address>,
        #[serde(default)] Option<Identity>,
        #[serde(default)] bool,
    ),
    /// The node tells a holder that another session took the object, under this epoch (§8).
    Superseded(Address, u64),
    /// The node tells a reader that its hyperty's route has ended, with which code and why; after a
    /// 5xx it may ask again (§6).
    Revoked(Address, Address, u16, String),
    /// The node tells a runtime that its token has ended: nothing is served before a newer one (§3).
    #[serde(rename = "needs-auth")]
    NeedsAuth(),
    /// The node tells the holder who observes the object (§6).
    Presence(Address, Presence),
    /// An owner asks who observes the object: those after this hyperty (§6).
    Observers(Address, #[serde(default)] Option<Address>),
}

/// Who began and who ceased to observe an object, as the node tells its holder (§6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// How many observe it now.
    pub count: u64,
    /// Nobody observes it but who is named here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Who began to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<(Address, Option<Identity>)>,
    /// Who ceased to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Address>,
    /// Others came and went, too many to be named: only `count` is sure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// 200 to `observers` (§6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observers {
    /// 200.
    pub code: u16,
    /// How many observe the object.
    pub count: u64,
    /// As many of them as one answer holds, in the order of their addresses.
    pub observers: Vec<Observing>,
    /// After which hyperty to ask for more, when there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Address>,
}

/// One who observes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observing {
    /// The hyperty.
    pub hyperty: Address,
    /// Who it is of; nobody when it is anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

const fn forbidden() -> u16 {
    403
}

/// 200 to `kick`, `allow` and `access` (§6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// 200.
    pub code: u16,
    /// Who may read from now on, as the node has it on record.
    pub access: Access,
}

/// 200 with nothing to say.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ok200 {
    /// 200.
    pub code: u16,
}

/// The plain 200.
pub const OK: Ok200 = Ok200 { code: 200 };
