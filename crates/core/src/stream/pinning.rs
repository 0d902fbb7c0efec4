//! Whose an object is, for its Observer (protocol.md §8).

use std::collections::BTreeSet;

use super::ObserverStream;
use crate::error::Refusal;
use crate::identity::Identity;

impl ObserverStream {
    /// Who the object's Reporter is, as its node says; `None` while it has not said.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.pinned.as_ref()
    }

    /// The node says who the Reporter is, and who else owns the object, or did. Once that is known it is followed
    /// to an identity that owns the object beside it, or after it, and to no other.
    pub(super) fn pin(
        &mut self,
        identity: Option<&Identity>,
        owners: &BTreeSet<Identity>,
    ) -> Result<(), Refusal> {
        let Some(identity) = identity else {
            return Ok(());
        };
        match &self.pinned {
            Some(pinned) if pinned == identity => {}
            Some(pinned) if !owners.contains(pinned) => {
                return Err(Refusal::conflict(format!(
                    "its Reporter was {pinned}, and is {identity}, to whom nobody has handed it over; subscribe anew \
                     to follow that one"
                )));
            }
            _ => self.pinned = Some(identity.clone()),
        }
        Ok(())
    }
}
