//! The Sync Manager (protocol.md §5, §6, §8): the runtime's authority on which objects its hyperties
//! may write, and on who may read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::{ACCESS_ENTRIES_MAX, GRANTS_PER_OBJECT_MAX, KEEP_DEFAULT};
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

/// What the node has of an object's content that survives its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing.
    Nothing,
    /// It has not said how much, or the claim is not answered.
    #[default]
    Unknown,
    /// It has stored everything up to this version.
    UpTo(u64),
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
    /// Whether the node may keep what the object holds.
    pub(crate) cache: bool,
    /// Start afresh, whatever the node has on record.
    pub(crate) discard: bool,
    /// Take the object from another session; said once, never after a lost socket.
    pub(crate) take: bool,
    /// The node has agreed to it in this life of the runtime.
    pub(crate) won: bool,
    /// Another session has taken the object: as it rests, it is claimed no more by itself.
    pub(crate) lost: bool,
    /// Whom `access` leaves open is the application's to decide on.
    pub(crate) approve: bool,
    /// Nobody outside of this runtime hears of it.
    pub(crate) local: bool,
    /// The names of the object's collections of children, and how many of each are kept.
    pub(crate) children: BTreeMap<String, usize>,
    pub(crate) progress: Progress,
    /// The history does not reach back to what the node has: readers take a snapshot.
    pub(crate) snapshot: bool,
    /// The copy is not what the object is: it is fetched before the claim is sent again.
    pub(crate) behind: bool,
    pub(crate) backoff: Backoff,
    /// The readers let in, as the node stated their identities: whom a kick by hyperty denies.
    pub(crate) readers: BTreeMap<Address, Reader>,
    /// What the node keeps, as far as it has said under this claim.
    pub(crate) kept: Kept,
    /// Those whose approval is another than the store has; `None` while nothing of the claim rests.
    pub(crate) changed: Option<BTreeSet<Address>>,
}

/// A reader that was let in.
#[derive(Debug)]
pub(crate) struct Reader {
    identity: Identity,
    right: Right,
}

impl Reader {
    fn is_approved(&self) -> bool {
        self.right == Right::Approval
    }
}

/// By what a reader is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// By who may read.
    Access,
    /// By the application, here or on another device, where that left it open.
    Approval,
    /// It owns the object, beside whose claim it is: the node says so each time, for as long as it is so.
    Ownership,
}

/// What becomes of a reader that is not refused.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is let in by this hyperty.
    Granted(Address),
    /// The application of this hyperty is asked.
    Open(Address),
}

impl Claim {
    /// A claim that is to be sent, and says no more than this.
    pub(crate) fn new(reporter: Address, schema: String, access: Access) -> Self {
        Self {
            reporter,
            schema,
            name: None,
            nonce: None,
            on_record: access.clone(),
            access,
            cache: false,
            discard: false,
            take: false,
            won: false,
            lost: false,
            approve: false,
            local: false,
            children: BTreeMap::new(),
            progress: Progress::Due,
            snapshot: false,
            behind: false,
            backoff: Backoff::default(),
            readers: BTreeMap::new(),
            kept: Kept::default(),
            changed: None,
        }
    }

    /// Whether `hyperty` of `identity` may read what `own` reports; `None` leaves it open.
    fn decides(&self, hyperty: &str, identity: Option<&Identity>, own: &Identity) -> Option<bool> {
        let reader = self.readers.get(hyperty);
        let approved =
            reader.is_some_and(|one| one.is_approved() && Some(&one.identity) == identity);
        let yes = || (approved || identity == Some(own)).then_some(true);
        self.access.decides(hyperty, identity).or_else(yes)
    }

    /// Remembers a reader that is let in. Who was approved stays so, until it is denied.
    fn remember(&mut self, hyperty: &str, identity: Option<&Identity>, right: Right) {
        let (Ok(hyperty), Some(identity)) = (Address::parse(hyperty), identity) else {
            return;
        };
        let known = self.readers.get(&hyperty);
        let same = known.is_some_and(|one| one.is_approved() && one.identity == *identity);
        if known.is_some() || self.readers.len() < GRANTS_PER_OBJECT_MAX {
            let reader = Reader {
                identity: identity.clone(),
                right: if same { Right::Approval } else { right },
            };
            let told = reader.is_approved() || known.is_some_and(Reader::is_approved);
            if let Some(changed) = self.changed.as_mut().filter(|_| !same && told) {
                changed.insert(hyperty.clone());
            }
            self.readers.insert(hyperty, reader);
        }
    }

    /// Who may read was said anew: an approval ends where it is denied.
    fn end_denied_approvals(&mut self) {
        for (hyperty, reader) in &mut self.readers {
            let decided = self
                .access
                .decides(hyperty.as_str(), Some(&reader.identity));
            let ends = reader.is_approved() && decided == Some(false);
            if ends {
                reader.right = Right::Access;
            }
            if let Some(changed) = self.changed.as_mut().filter(|_| ends) {
                changed.insert(hyperty.clone());
            }
        }
    }

    /// Those whom the application has let in, or no longer, since this was asked last.
    pub(crate) fn take_changed_approvals(&mut self) -> Vec<(Address, Option<Identity>)> {
        let changed = self.changed.replace(BTreeSet::new()).unwrap_or_default();
        let approved = |hyperty: &Address| {
            let reader = self.readers.get(hyperty).filter(|one| one.is_approved())?;
            Some(reader.identity.clone())
        };
        let changed = changed.into_iter();
        changed
            .map(|hyperty| (hyperty.clone(), approved(&hyperty)))
            .collect()
    }

    /// Whom the application had let in when the claim was stored.
    pub(crate) fn approved_before(&mut self, readers: Vec<(Address, Identity)>) {
        let right = Right::Approval;
        let readers = readers.into_iter();
        self.readers = readers
            .map(|(hyperty, identity)| (hyperty, Reader { identity, right }))
            .collect();
        self.changed = Some(BTreeSet::new());
    }

    /// How many children are kept of the names of which it is not the default.
    fn kept_otherwise(&self) -> BTreeMap<String, usize> {
        let kept = self.children.iter();
        kept.filter(|(_, keep)| **keep != KEEP_DEFAULT)
            .map(|(name, keep)| (name.clone(), *keep))
            .collect()
    }

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
                children: self.children.keys().cloned().collect(),
                keep: self.kept_otherwise(),
                access: self.access.clone(),
                cache: self.cache,
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
        let owner = |one: &Reader| one.right == Right::Ownership && Some(&one.identity) == identity;
        let owns = claim.readers.get(hyperty).is_some_and(owner);
        let may = decided.unwrap_or(claim.approve || owns);
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
