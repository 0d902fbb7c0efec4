//! One claim (protocol.md §5): what it says, how far it is, and whom it lets in.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::identity::Identity;
use crate::limits::{GRANTS_PER_OBJECT_MAX, KEEP_DEFAULT};
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
    pub(super) identity: Identity,
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
    pub(super) fn decides(
        &self,
        hyperty: &str,
        identity: Option<&Identity>,
        own: &Identity,
    ) -> Option<bool> {
        let reader = self.readers.get(hyperty);
        let approved =
            reader.is_some_and(|one| one.is_approved() && Some(&one.identity) == identity);
        let yes = || (approved || identity == Some(own)).then_some(true);
        self.access.decides(hyperty, identity).or_else(yes)
    }

    /// Remembers a reader that is let in. Who was approved stays so, until it is denied.
    pub(super) fn remember(&mut self, hyperty: &str, identity: Option<&Identity>, right: Right) {
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

    /// Whether it was let in as an owner when it asked last.
    pub(super) fn has_owner(&self, hyperty: &str, identity: Option<&Identity>) -> bool {
        let reader = self.readers.get(hyperty);
        let owner = |one: &Reader| one.right == Right::Ownership && Some(&one.identity) == identity;
        reader.is_some_and(owner)
    }

    /// Who may read was said anew: an approval ends where it is denied.
    pub(super) fn end_denied_approvals(&mut self) {
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
