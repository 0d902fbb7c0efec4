//! Who observes an object, as its Reporter knows it (protocol.md §6).

use std::collections::BTreeMap;

use crate::address::Address;
use crate::identity::Identity;
use crate::limits::AUDIENCE_MAX;
use crate::message::body::{Observers, Presence};

/// The observers of one object: how many, and who, as long as they are few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    count: u64,
    known: BTreeMap<Address, Option<Identity>>,
    /// `known` is all of them.
    whole: bool,
    /// They are asked for, page by page.
    asking: bool,
}

impl Audience {
    /// An audience that is known whole.
    pub(crate) fn of(known: BTreeMap<Address, Option<Identity>>) -> Self {
        Self {
            count: known.len() as u64,
            known,
            whole: true,
            asking: false,
        }
    }

    /// How many hyperties observe the object, those of the Reporter's own runtime among them.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Who they are, and as whom; `None` while that is not known, and where they are more than
    /// [`AUDIENCE_MAX`].
    #[must_use]
    pub fn known(&self) -> Option<&BTreeMap<Address, Option<Identity>>> {
        self.whole.then_some(&self.known)
    }

    /// Takes what the node tells. Says whether who they are is to be asked for, from the first on.
    pub(crate) fn told(&mut self, told: Presence) -> bool {
        self.count = told.count;
        if told.reset || told.partial {
            self.known.clear();
            (self.whole, self.asking) = (!told.partial, false);
        }
        self.known.extend(told.joined);
        for hyperty in &told.left {
            self.known.remove(hyperty);
        }
        if self.count.max(self.known.len() as u64) > AUDIENCE_MAX as u64 {
            self.known.clear();
            (self.whole, self.asking) = (false, false);
            return false;
        }
        if self.asking {
            return false;
        }
        self.whole &= self.known.len() as u64 == self.count;
        if !self.whole {
            self.known.clear();
            self.asking = true;
        }
        self.asking
    }

    /// Takes a page of those asked for. Says after whom to go on.
    pub(crate) fn page(&mut self, page: Observers) -> Option<Address> {
        if !self.asking {
            return None;
        }
        self.count = page.count;
        let named = page.observers.into_iter();
        self.known
            .extend(named.map(|one| (one.hyperty, one.identity)));
        let many = self.known.len() > AUDIENCE_MAX;
        if many {
            self.known.clear();
        }
        self.asking = page.next.is_some() && !many;
        self.whole = page.next.is_none() && !many;
        page.next.filter(|_| self.asking)
    }

    /// They cannot be asked for now: only how many is known, until the node tells more.
    pub(crate) const fn not_told(&mut self) {
        self.asking = false;
    }
}
