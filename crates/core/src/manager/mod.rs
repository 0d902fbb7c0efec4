//! The Sync Manager (protocol.md §5, §6, §8): the runtime's authority on which objects its hyperties
//! may write, and on who may read them.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::{ACCESS_ENTRIES_MAX, GRANTS_PER_OBJECT_MAX};
use crate::message::body::{self, Access, ClaimRequest};
use crate::runtime::Backoff;
use crate::stream::Position;
use crate::time::Time;

/// How far a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To be sent as soon as there is a session.
    Due,
    /// This request is not answered yet.
    Asked(u64),
    /// Answered 200: the object is ours to write.
    Held,
    /// To be tried again then.
    Later(Time),
}

/// What one claim says, and how far it is.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) reporter: Address,
    pub(crate) schema: String,
    pub(crate) name: Option<String>,
    /// What the object's id was minted with.
    pub(crate) nonce: Option<String>,
    /// Who may read: as the node has it on record, and as was commanded since.
    pub(crate) access: Access,
    /// Who may read, as the node last said, or the claim does.
    pub(crate) on_record: Access,
    /// Start afresh, whatever the node has on record.
    pub(crate) discard: bool,
    /// Take the object from another session; said once, never after a lost socket.
    pub(crate) take: bool,
    /// The names of the object's collections of children.
    pub(crate) children: Vec<String>,
    pub(crate) progress: Progress,
    /// The history does not reach back to what the node has: readers take a snapshot.
    pub(crate) snapshot: bool,
    /// The copy is not what the object is: it is fetched before the claim is sent again.
    pub(crate) behind: bool,
    pub(crate) backoff: Backoff,
    /// The readers let in, as the node stated their identities: whom a kick by hyperty denies.
    pub(crate) readers: BTreeMap<Address, Identity>,
}

impl Claim {
    /// The body of the claim, for a copy that stands at `position`.
    pub(crate) fn body(&self, url: &Address, position: Option<Position>) -> ClaimRequest {
        let base = match position {
            Some(position) => Some(Some(position)),
            None if self.discard => Some(None),
            None => None,
        };
        ClaimRequest {
            resources: vec![url.as_str().to_owned(), url.resource("subscription")],
            source: self.reporter.clone(),
            claim: Some(body::Claim {
                url: url.clone(),
                nonce: self.nonce.clone(),
                schema: Some(self.schema.clone()),
                name: self.name.clone(),
                reporter: self.reporter.clone(),
                children: self.children.clone(),
                access: self.access.clone(),
                base,
                snapshot: self.snapshot && position.is_some(),
                take: self.take,
            }),
        }
    }
}

/// The claims of one runtime.
#[derive(Debug, Default)]
pub(crate) struct SyncManager {
    pub(crate) claims: BTreeMap<Address, Claim>,
}

impl SyncManager {
    /// The hyperty that reports `url`, when `hyperty` of `identity` may read it. The node has decided
    /// before; this side of the border decides again, from the access that the claim came back with.
    pub(crate) fn admit(
        &mut self,
        url: &str,
        hyperty: &str,
        identity: Option<&Identity>,
        own: &Identity,
    ) -> Result<Address, Refusal> {
        let claim = self
            .claims
            .get_mut(url)
            .ok_or_else(|| Refusal::unknown(format!("this runtime does not report `{url}`")))?;
        if claim.progress != Progress::Held {
            return Err(Refusal::away(
                Retry::Seconds(1),
                format!("`{url}` is being claimed"),
            ));
        }
        let decided = claim
            .access
            .decides(hyperty, identity)
            .unwrap_or(identity == Some(own));
        if decided {
            if claim.readers.len() < GRANTS_PER_OBJECT_MAX
                && let (Ok(hyperty), Some(identity)) = (Address::parse(hyperty), identity)
            {
                claim.readers.insert(hyperty, identity.clone());
            }
            Ok(claim.reporter.clone())
        } else {
            Err(Refusal::forbidden(format!(
                "`{url}` is not open to you: ask its Reporter"
            )))
        }
    }

    /// Denies a reader of `url` from now on, and says who that is: the identity behind a hyperty that
    /// was let in, else what was said.
    pub(crate) fn deny(&mut self, url: &Address, reader: &str) -> String {
        let denied = self.identity_behind(url, reader);
        if let Some(claim) = self.claims.get_mut(url)
            && !claim.access.deny.contains(&denied)
            && claim.access.deny.len() < ACCESS_ENTRIES_MAX
        {
            claim.access.deny.push(denied.clone());
        }
        denied
    }

    /// Takes back that a reader of `url` was denied, and says who that is.
    pub(crate) fn allow(&mut self, url: &Address, reader: &str) -> String {
        let denied = self.identity_behind(url, reader);
        if let Some(claim) = self.claims.get_mut(url) {
            claim.access.deny.retain(|one| *one != denied);
        }
        denied
    }

    fn identity_behind(&self, url: &Address, reader: &str) -> String {
        let claim = self.claims.get(url);
        let known = claim.and_then(|claim| claim.readers.get(reader));
        known.map_or(reader, Identity::as_str).to_owned()
    }
}
