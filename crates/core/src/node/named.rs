//! The hyperties that claims and grants name, and whose they are (protocol.md §8): they stay so after their sessions,
//! and after the node has started again. As many as there are claims and grants, which rest themselves.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::identity::Identity;

#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<Address, (Identity, usize)>);

impl Named {
    /// A claim or a grant names `hyperty`, of `identity`.
    pub(super) fn add(&mut self, hyperty: &Address, identity: &Identity) {
        match self.0.get_mut(hyperty) {
            Some((_, times)) => *times += 1,
            None => drop(self.0.insert(hyperty.clone(), (identity.clone(), 1))),
        }
    }

    /// One that named `hyperty` is over.
    pub(super) fn remove(&mut self, hyperty: &Address) {
        if let Some((_, times)) = self.0.get_mut(hyperty) {
            *times -= 1;
            if *times == 0 {
                self.0.remove(hyperty);
            }
        }
    }

    /// Whether `hyperty` may become that of a session of `identity`.
    pub(super) fn allows(&self, hyperty: &str, identity: Option<&Identity>) -> bool {
        let owner = self.0.get(hyperty);
        owner.is_none_or(|(owner, _)| Some(owner) == identity)
    }
}
