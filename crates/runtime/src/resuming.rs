//! What rested and goes on (protocol.md §8): found by what it is.

use std::sync::Arc;

use byline_core::address::Address;
use byline_core::runtime::{self, Criteria, Role};
use tokio::sync::watch;

use crate::observer::Observer;
use crate::reported::Reported;
use crate::reporter::Reporter;
use crate::shared::{Inner, Watched};
use crate::syncher::Syncher;

/// What is to be observed: an address, and whether the copy is stored. An address alone will do.
#[derive(Clone, Debug)]
#[must_use = "nothing is observed until a Syncher does it"]
pub struct Subscribe {
    pub(crate) url: String,
    pub(crate) store: bool,
}

impl Subscribe {
    /// The object at `url`.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            store: false,
        }
    }

    /// Stores the copy and its children: they are there at once when the runtime starts again, can be read offline, and catch
    /// up from where they were. What this hyperty writes to the children is stored before it is sent, and what was not sent is
    /// sent then. It rests until [`Observer::unsubscribe`], whether there is a handle of it or not.
    pub const fn store(mut self) -> Self {
        self.store = true;
        self
    }
}

impl<U: Into<String>> From<U> for Subscribe {
    fn from(url: U) -> Self {
        Self::to(url)
    }
}

/// What [`Syncher::resume`] has found.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// The Reporters, in the order of their addresses.
    pub reporters: Vec<Reporter>,
    /// The Observers, in the order of their addresses.
    pub observers: Vec<Observer>,
}

impl Syncher {
    /// What of this hyperty's was created or subscribed to with a store, and is as `criteria` say. It went on
    /// by itself when the Syncher started; this gives handles of it.
    #[must_use]
    pub fn resume(&self, criteria: Criteria) -> Resumed {
        let hyperty = Some(self.hyperty().clone());
        let criteria = Criteria {
            hyperty,
            ..criteria
        };
        let inner = self.alive.0.lock();
        let mut resumed = Resumed::default();
        for runtime::Resumed { seat, role, .. } in inner.machine.resting(&criteria) {
            let alive = Arc::clone(&self.alive);
            match role {
                Role::Reporter => {
                    let state = inner.reporters.get(&seat).map(|one| one.state.subscribe());
                    let handle = state.map(|state| Reporter::new(alive, seat, state));
                    resumed.reporters.extend(handle);
                }
                Role::Observer => {
                    let state = inner.observers.get(&seat).map(|one| one.state.subscribe());
                    let handle = state.map(|state| Observer::new(alive, seat, state));
                    resumed.observers.extend(handle);
                }
            }
        }
        resumed
    }
}

impl Inner {
    /// `hyperty` is there: so is what rested of it.
    pub(crate) fn wake(&mut self, hyperty: &Address, now: byline_core::time::Time) {
        for runtime::Resumed { seat, role, state } in self.machine.wake(hyperty, now) {
            match role {
                Role::Reporter => _ = self.reporters.insert(seat, Reported::new(state)),
                Role::Observer => {
                    let watched = Watched::new(watch::Sender::new(state));
                    self.observers.insert(seat, watched);
                }
            }
        }
    }
}
