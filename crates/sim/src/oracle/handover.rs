//! Whose each object is, and to whom it is being handed over (protocol.md §8): kept apart from the node's own records.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::State;
use byline_core::address::Address;
use byline_core::error::{Reason, Refusal};
use byline_core::identity::Identity;
use byline_core::runtime::Seat;
use serde_json::Value;

use super::{Oracle, Rule};
use crate::totals::{Count, Totals};
use crate::world::Peer;

/// An object that its Reporter hands over, until the other has claimed it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Handover {
    from: Identity,
    to: Identity,
    keep: bool,
    /// It made the other an owner.
    added: bool,
}

/// Whose an object is.
#[derive(Debug, Default)]
struct Owned {
    owners: BTreeSet<Identity>,
    handover: Option<Handover>,
}

/// Whose all objects are that honest Reporters have.
#[derive(Debug, Default)]
pub(super) struct Owning {
    owned: BTreeMap<String, Owned>,
    /// Who was asked to have an object, and said yes.
    accepted: BTreeSet<(Address, Identity)>,
}

/// What a claim means to a hand-over.
#[derive(Debug)]
enum Passed {
    /// Nothing, or there is none.
    Nothing,
    /// The object is the other's now. Who had it is an owner no more, or still is.
    Over(Option<Identity>),
    /// Somebody else has the object.
    Ended,
}

impl Owning {
    /// An honest Reporter begins; the object is its identity's, if it was nobody's.
    pub(super) fn begins(&mut self, object: &Address, identity: &Identity) {
        let owned = self.owned.entry(object.as_str().to_owned()).or_default();
        if owned.owners.is_empty() {
            owned.owners.insert(identity.clone());
        }
    }

    pub(super) fn owns(&self, object: &str, identity: Option<&Identity>) -> bool {
        let owned = self.owned.get(object);
        owned
            .zip(identity)
            .is_some_and(|(owned, identity)| owned.owners.contains(identity))
    }

    pub(super) fn is_free(&self, object: &str) -> bool {
        !self.owned.contains_key(object)
    }

    /// `from` hands the object over, or takes that back; says whether a hand-over to somebody else ends with that.
    fn delegated(&mut self, object: &str, from: &Identity, to: Option<(&Identity, bool)>) -> bool {
        let Some(owned) = self.owned.get_mut(object) else {
            return false;
        };
        let before = owned.takes_back();
        owned.handover = to.map(|(to, keep)| Handover {
            from: from.clone(),
            to: to.clone(),
            keep,
            added: owned.owners.insert(to.clone()),
        });
        before.is_some_and(|before| to.is_none_or(|(to, _)| *to != before))
    }

    /// The claim of `claimant` is granted: the first that the node knows of, or of an owner.
    fn claimed(&mut self, object: &str, claimant: &Identity, first: bool) -> Passed {
        let Some(owned) = self.owned.get_mut(object) else {
            return Passed::Nothing;
        };
        let handover = owned.handover.clone();
        if first {
            owned.handover = None;
            owned.owners = [claimant.clone()].into();
            return handover.map_or(Passed::Nothing, |_| Passed::Ended);
        }
        match handover {
            Some(one) if one.to == *claimant => {
                owned.handover = None;
                let leaves = !one.keep && one.from != *claimant;
                let left = leaves && owned.owners.remove(&one.from);
                Passed::Over(left.then_some(one.from))
            }
            Some(one) if one.from != *claimant => {
                owned.takes_back();
                Passed::Ended
            }
            _ => Passed::Nothing,
        }
    }
}

impl Owned {
    /// Nobody is to have it any more; says who was.
    fn takes_back(&mut self) -> Option<Identity> {
        let before = self.handover.take()?;
        if before.added {
            self.owners.remove(&before.to);
        }
        Some(before.to)
    }

    /// What a node's record says.
    fn of(row: &Value) -> Self {
        let of = |value: &Value| Some(Identity::from(value.as_str()?));
        let owners = row["owners"].as_array().into_iter().flatten();
        let handover = &row["handover"];
        let ends = of(&handover["from"]).zip(of(&handover["identity"]));
        Self {
            owners: owners.filter_map(of).collect(),
            handover: ends.map(|(from, to)| Handover {
                from,
                to,
                keep: handover["keep"] == true,
                added: handover["added"] == true,
            }),
        }
    }
}

impl Oracle {
    /// The node has it that `from` hands `object` over, or does not any more.
    pub(super) fn is_handed_over(
        &mut self,
        (peer, from): (Peer, Option<&Identity>),
        object: &Address,
        to: Option<&Identity>,
        keep: bool,
        totals: &mut Totals,
    ) {
        let holder = self.books.holder(object.as_str());
        self.expects(holder == Some(peer), Rule::Holder, || {
            format!("{peer:?} hands {object} over, which {holder:?} holds")
        });
        let Some(from) = from else { return };
        let to = to.map(|to| (to, keep));
        if self.granted.owning.delegated(object.as_str(), from, to) {
            totals.one(Count::HandOversEnded);
        }
    }

    /// The claim of `claimant` is granted; says who is an owner no more, as the object was handed over.
    pub(super) fn passes(
        &mut self,
        object: &Address,
        claimant: Option<&Identity>,
        totals: &mut Totals,
    ) -> Option<Identity> {
        let object = object.as_str();
        let first = !self.granted.is_known(object);
        match self.granted.owning.claimed(object, claimant?, first) {
            Passed::Nothing => None,
            Passed::Over(former) => {
                totals.one(Count::HandOversDone);
                former
            }
            Passed::Ended => {
                totals.one(Count::HandOversEnded);
                None
            }
        }
    }

    /// The node comes back with the claim of `object` in `row`: it is whose it was, unless something was `asked` for
    /// that it may have granted.
    pub(super) fn owners_return(&mut self, object: &str, row: &Value, asked: bool) {
        let Some(owned) = self.granted.owning.owned.get_mut(object) else {
            return;
        };
        let there = Owned::of(row);
        let same = there.owners == owned.owners && there.handover == owned.handover;
        let was = format!("{owned:?}");
        *owned = there;
        self.expects(same || asked, Rule::Stored, || {
            format!("{object} was {was}, and comes back as {row}")
        });
    }

    /// Whether `identity` owns the object.
    pub(crate) fn owns(&self, object: &Address, identity: &Identity) -> bool {
        self.granted.owns(object.as_str(), Some(identity))
    }

    /// Who was asked to have `object` comes.
    pub(crate) fn accepts(&mut self, object: &Address, heir: &Identity) {
        let accepted = (object.clone(), heir.clone());
        self.granted.owning.accepted.insert(accepted);
    }

    /// A Reporter is told what became of it that it handed `object` over: `well`, when the other said yes.
    pub(crate) fn handing_ends(&mut self, object: &Address, heir: &Identity, well: bool) {
        let accepted = (object.clone(), heir.clone());
        let accepted = self.granted.owning.accepted.contains(&accepted);
        self.expects(accepted || !well, Rule::Holder, || {
            format!("{object} is told to be {heir:?}'s, who was not asked or said no")
        });
    }

    /// A Reporter is told its state: one that was live loses its object to another that took it, or to nobody.
    pub(crate) fn reporter_is(&mut self, seat: &Seat, before: &State, state: &State) {
        if let (State::Live, State::Closed(refusal)) = (before, state) {
            let Refusal { code, reason, .. } = refusal;
            let right = *code == 410 || *reason == Some(Reason::Superseded);
            self.expects(right, Rule::Holder, || {
                format!("{seat:?} was live, and is closed with {refusal}")
            });
        }
    }
}
