//! The Sync Manager (protocol.md §5, §6, §8): the runtime's authority on which objects its hyperties
//! may write, and on who may read them.

mod claim;

use std::collections::BTreeMap;

pub(crate) use claim::{Claim, Kept, Progress, Right};

use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::ACCESS_ENTRIES_MAX;
use crate::message::body::Access;

/// What becomes of a reader that is not refused.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is let in by this hyperty.
    Granted(Address),
    /// The application of this hyperty is asked.
    Open(Address),
}

/// The claims of one runtime.
#[derive(Debug, Default)]
pub(crate) struct SyncManager {
    pub(crate) claims: BTreeMap<Address, Claim>,
}

impl SyncManager {
    /// Whether `hyperty` of `identity` may read `url`, and who reports it. The node has decided before;
    /// this side of the border decides again, from the access that the claim came back with. `stated`
    /// is the node's word that this reader was approved before, maybe on another device, or owns the object.
    pub(crate) fn admit(
        &mut self,
        url: &str,
        hyperty: &str,
        identity: Option<&Identity>,
        stated: Option<Right>,
        own: &Identity,
    ) -> Result<Admission, Refusal> {
        let claim = held(&mut self.claims, url)?;
        let right = match (claim.decides(hyperty, identity, own), stated) {
            (Some(true), _) => Right::Access,
            (None, Some(right)) => right,
            (None, None) if claim.approve => return Ok(Admission::Open(claim.reporter.clone())),
            _ => return Err(closed_to_you(url)),
        };
        claim.remember(hyperty, identity, right);
        Ok(Admission::Granted(claim.reporter.clone()))
    }

    /// Who reports `url`, for its node, which keeps what the object holds.
    pub(crate) fn kept_by_node(&mut self, url: &str) -> Result<Address, Refusal> {
        held(&mut self.claims, url).map(|claim| claim.reporter.clone())
    }

    /// What is decided by now about a reader of `url`; `None` leaves it open.
    pub(crate) fn decides(
        &self,
        url: &Address,
        hyperty: &Address,
        identity: Option<&Identity>,
        own: &Identity,
    ) -> Option<bool> {
        let claim = self.claims.get(url)?;
        claim.decides(hyperty.as_str(), identity, own)
    }

    /// Who reports `url`, and whether it hears what `hyperty` says, of whom the node has stated that it is a
    /// reader: it may have been approved on another device, or was let in here as an owner.
    pub(crate) fn hears(
        &mut self,
        url: &str,
        hyperty: &str,
        identity: Option<&Identity>,
        own: &Identity,
    ) -> Result<(Address, bool), Refusal> {
        let claim = held(&mut self.claims, url)?;
        let decided = claim.decides(hyperty, identity, own);
        let may = decided.unwrap_or(claim.approve || claim.has_owner(hyperty, identity));
        Ok((claim.reporter.clone(), may))
    }

    /// The application lets a reader in. An anonymous one is not remembered: it ends with its session.
    pub(crate) fn approve(
        &mut self,
        url: &Address,
        hyperty: &Address,
        identity: Option<&Identity>,
    ) {
        if let Some(claim) = self.claims.get_mut(url) {
            claim.remember(hyperty.as_str(), identity, Right::Approval);
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
            claim.end_denied_approvals();
        }
        denied
    }

    /// Lets somebody read `url` from now on, who is not denied. Says whether the node does so already.
    pub(crate) fn authorise(&mut self, url: &Address, reader: &str) -> bool {
        let Some(claim) = self.claims.get_mut(url) else {
            return false;
        };
        let open = |access: &Access| {
            let named = access.authorise.iter().any(|one| one == reader);
            named || access.public || access.anonymous
        };
        if !open(&claim.access) {
            claim.access.authorise.push(reader.to_owned());
        }
        claim.progress == Progress::Held && open(&claim.on_record)
    }

    /// Says anew who may read `url`.
    pub(crate) fn set_access(&mut self, url: &Address, access: Access) {
        if let Some(claim) = self.claims.get_mut(url) {
            claim.access = access;
            claim.end_denied_approvals();
        }
    }

    /// Takes back that a reader of `url` was denied, and says who that is.
    pub(crate) fn allow(&mut self, url: &Address, reader: &str) -> String {
        let denied = self.identity_behind(url, reader);
        if let Some(claim) = self.claims.get_mut(url) {
            claim.access.deny.retain(|one| *one != denied);
        }
        denied
    }

    /// Who a hyperty that reads `url` is of.
    pub(crate) fn reader(&self, url: &Address, hyperty: &Address) -> Option<Identity> {
        let reader = self.claims.get(url)?.readers.get(hyperty)?;
        Some(reader.identity.clone())
    }

    fn identity_behind(&self, url: &Address, reader: &str) -> String {
        let claim = self.claims.get(url);
        let known = claim.and_then(|claim| claim.readers.get(reader));
        known.map_or_else(
            || reader.to_owned(),
            |known| known.identity.as_str().to_owned(),
        )
    }
}

/// The claim of an object that may be asked about now.
fn held<'a>(claims: &'a mut BTreeMap<Address, Claim>, url: &str) -> Result<&'a mut Claim, Refusal> {
    let claim = claims
        .get_mut(url)
        .ok_or_else(|| Refusal::unknown(format!("this runtime does not report `{url}`")))?;
    if claim.progress == Progress::Held {
        Ok(claim)
    } else {
        Err(Refusal::away(
            Retry::Seconds(1),
            format!("`{url}` is being claimed"),
        ))
    }
}

/// What somebody hears who is not let in.
pub(crate) fn closed_to_you(url: &str) -> Refusal {
    Refusal::forbidden(format!("`{url}` is not open to you: ask its Reporter"))
}
