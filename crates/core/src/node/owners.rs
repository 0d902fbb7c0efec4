//! Several owners, and an object that one hands over to another (protocol.md §8).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::object::Record;
use super::session::SessionId;
use super::{Node, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{
    ACCESS_ENTRIES_MAX, FORMER_OWNERS_MAX, HANDOVER_MS, OWNERS_MAX, WITHHELD_BYTES_MAX,
};
use crate::message::body::Access;
use crate::time::Time;

/// How often the claim of whom an object is handed to may be behind before what its Reporter writes is withheld.
const BEHIND_MAX: u8 = 3;

/// An object that its Reporter hands over, until the other has claimed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handover {
    /// A hyperty, or an identity: then any of its hyperties.
    to: Address,
    identity: Identity,
    from: Identity,
    /// Who hands it over stays an owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keep: bool,
    /// It made the other an owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    added: bool,
    /// How often the other was behind.
    #[serde(skip)]
    behind: u8,
}

/// What the Reporter sends of an object while the other claims it.
#[derive(Debug)]
pub(super) struct Withheld {
    /// It is given out then, if the other has not claimed the object.
    until: Time,
    frames: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Record {
    /// Whether a claim of `identity` by `reporter` is the one that the object is handed over by.
    pub(super) fn is_handed_to(&self, identity: &Identity, reporter: &Address) -> bool {
        self.handover.as_ref().is_some_and(|one| {
            let names = one.to == *reporter || one.to.as_str() == one.identity.as_str();
            one.identity == *identity && names
        })
    }

    /// Notes that the object is to be handed over, or is not any more.
    fn hand_over(&mut self, handover: Option<Handover>) -> Result<(), Refusal> {
        if let Some(before) = self.handover.take().filter(|before| before.added) {
            self.owners.remove(&before.identity);
        }
        let Some(mut handover) = handover else {
            return Ok(());
        };
        let known = self.owners.contains(&handover.identity);
        if !known && self.owners.len() >= OWNERS_MAX {
            let desc = format!("an object has at most {OWNERS_MAX} owners");
            return Err(Refusal::too_many(desc));
        }
        handover.added = !known;
        self.owners.insert(handover.identity.clone());
        self.handover = Some(handover);
        Ok(())
    }

    /// What the record says when `claimant` holds the object: of a hand-over, that it is done.
    pub(super) fn passes_to(&self, claimant: &Identity, reporter: &Address, next: &mut Self) {
        next.owners.clone_from(&self.owners);
        next.former.clone_from(&self.former);
        let Some(handover) = &self.handover else {
            return;
        };
        if !self.is_handed_to(claimant, reporter) {
            let goes_on = handover.from == *claimant;
            next.handover = self.handover.clone().filter(|_| goes_on);
            if !goes_on && handover.added && handover.identity != *claimant {
                next.owners.remove(&handover.identity);
            }
            return;
        }
        let from = &handover.from;
        if !handover.keep && from != claimant && next.owners.remove(from) {
            next.former.retain(|one| one != from);
            next.former.push(from.clone());
            let over = next.former.len().saturating_sub(FORMER_OWNERS_MAX);
            next.former.drain(..over);
            goes_on_reading(from, &mut next.access);
        }
    }

    /// Who else owns the object, or did: whoever knows it as theirs follows it to whose it is now.
    pub(super) fn other_owners(&self) -> BTreeSet<Identity> {
        let mut others = self.owners.clone();
        others.extend(self.former.iter().cloned());
        if let Some(identity) = &self.identity {
            others.remove(identity);
        }
        others
    }
}

/// Who was an owner until now may still read, unless somebody has said otherwise.
fn goes_on_reading(identity: &Identity, access: &mut Access) {
    let decided = access.decides(identity.as_str(), Some(identity));
    if decided.is_none() && access.authorise.len() + access.deny.len() < ACCESS_ENTRIES_MAX {
        access.authorise.push(identity.as_str().to_owned());
    }
}

impl Node {
    /// The holder of `url` hands it over, or takes that back.
    pub(super) fn delegate(
        &mut self,
        session: SessionId,
        url: &Address,
        to: Option<(Address, Identity)>,
        keep: bool,
        now: Time,
    ) -> Result<(), Refusal> {
        let from = self.sessions.get(&session);
        let from = from.and_then(|session| session.identity.clone());
        let handover = to.zip(from).map(|((to, identity), from)| Handover {
            to,
            identity,
            from,
            keep,
            added: false,
            behind: 0,
        });
        let object = self.objects.get_mut(url);
        if let Some(record) = object.and_then(|object| object.record.as_mut()) {
            record.hand_over(handover)?;
        }
        self.gives_out_withheld(url, now);
        Ok(())
    }

    /// The claim of whom `url` is handed to was behind. When that happens often, its Reporter writes too fast: what it
    /// sends is withheld until the claim succeeds, or for a while.
    pub(super) fn is_behind(&mut self, url: &Address, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let handover = object.record.as_mut().and_then(|one| one.handover.as_mut());
        let Some(handover) = handover else { return };
        handover.behind = handover.behind.saturating_add(1);
        if handover.behind < BEHIND_MAX || object.withheld.is_some() {
            return;
        }
        handover.behind = 0;
        let until = now.plus_ms(HANDOVER_MS);
        object.withheld = Some(Withheld {
            until,
            frames: VecDeque::new(),
            bytes: 0,
        });
        self.timers.insert((until, Timer::Withheld(url.clone())));
        // What it has been asked is answered from beyond what readers have.
        if let Some(holder) = self.objects.get(url).and_then(|object| object.holder) {
            self.unanswered_by(holder, Some(url));
        }
    }

    /// A frame of the Reporter's about `url`, which readers get later, or never. More than is kept ends it.
    pub(super) fn withhold(&mut self, url: &Address, text: &Arc<str>, now: Time) {
        let withheld = self
            .objects
            .get_mut(url)
            .and_then(|object| object.withheld.as_mut());
        if let Some(withheld) = withheld {
            withheld.bytes += text.len();
            withheld.frames.push_back(Arc::clone(text));
            if withheld.bytes > WITHHELD_BYTES_MAX {
                self.gives_out_withheld(url, now);
            }
        }
    }

    /// What is withheld of `url` has waited for long enough, unless it is of a later hand-over.
    pub(super) fn withheld_long_enough(&mut self, url: &Address, now: Time) {
        let withheld = self.objects.get(url).and_then(|one| one.withheld.as_ref());
        if withheld.is_some_and(|withheld| withheld.until <= now) {
            self.gives_out_withheld(url, now);
        }
    }

    /// What was withheld of `url` goes its way after all.
    pub(super) fn gives_out_withheld(&mut self, url: &Address, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let (Some(withheld), holder) = (object.withheld.take(), object.holder) else {
            return;
        };
        let connection = holder.and_then(|holder| self.sessions.get(&holder)?.connection);
        if let Some(connection) = connection {
            for text in withheld.frames {
                self.received(connection, &text, now);
            }
        }
        self.forward_waiting(url, now);
    }

    /// Whether what `asker` asks of `url` waits, because what its Reporter would answer is withheld. Whom it is
    /// handed to learns from there what the object is.
    pub(super) fn is_withheld_from(&self, url: &Address, asker: SessionId) -> bool {
        let Some(object) = self.objects.get(url) else {
            return false;
        };
        let handover = object.record.as_ref().and_then(|one| one.handover.as_ref());
        let asker = self.sessions.get(&asker);
        let asker = asker.and_then(|asker| asker.identity.as_ref());
        object.withheld.is_some() && handover.map(|one| &one.identity) != asker
    }
}
