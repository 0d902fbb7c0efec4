//! Handing an object over (protocol.md §8): another identity is made an owner and invited to claim, and this Reporter
//! writes on until it has.

use super::commands::What;
use super::{CallError, Runtime, Seat};
use crate::address::Address;
use crate::identity::Identity;
use crate::message::body::Command;
use crate::time::Time;

/// To whom an object is handed over, and whether this side stays an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heir {
    pub(super) identity: Identity,
    pub(super) keep: bool,
}

impl Runtime {
    /// Hands an object over: `to` is an identity, or the address of a hyperty that observes. It owns the object from
    /// now on and is invited to claim it; this Reporter writes on until it has, and is closed then with
    /// [`Reason::Superseded`](crate::error::Reason::Superseded). Its identity owns the object no more, unless `keep`, but may read it. The
    /// invited's answer comes as [`Output::Done`](super::Output::Done) with the number returned; after a no everything is as before.
    ///
    /// # Errors
    /// As [`Runtime::invite`]; [`CallError::Unknown`] for a hyperty that is nobody's, as far as is known.
    pub fn delegate(
        &mut self,
        seat: &Seat,
        to: &Address,
        keep: bool,
        now: Time,
    ) -> Result<u64, CallError> {
        self.reporting_to_others(seat)?;
        let identity = match to.scheme() {
            "user" | "user-guid" => Identity::from(to.as_str()),
            _ => self
                .manager
                .reader(&seat.object, to)
                .ok_or_else(|| CallError::Unknown(to.clone()))?,
        };
        let heir = Heir { identity, keep };
        self.command(seat, What::Invite(to.clone(), false, Some(heir)), now)
    }

    /// Who was to have the object does not come: everything is as before.
    pub(super) fn not_handed_over(&mut self, url: &Address, now: Time) {
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        let seat = Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        };
        let back = Command::Delegate(url.clone(), None, None, false);
        // That there are too many commands is told to whoever commands then.
        _ = self.command(&seat, What::Command(back), now);
    }
}
