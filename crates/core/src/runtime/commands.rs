//! What an application commands about the objects it reports (protocol.md §5, §6): who is put out,
//! who may read, and that it is over. Said again after a cut until it is answered: each says how
//! things are to be, so twice is as good as once.

use super::delegating::Heir;
use super::inviting::Again;
use super::requests::Purpose;
use super::{CallError, Output, Runtime, Seat};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::{COMMANDS_MAX, UNDER_WAY_MAX};
use crate::manager::Progress;
use crate::message::Type;
use crate::message::body::{Access, Command, Commanded};
use crate::message::{Header, decode};
use crate::time::Time;

/// A command that is not answered.
#[derive(Clone, Debug)]
pub(super) struct Commanding {
    pub(super) url: Address,
    pub(super) what: What,
    pub(super) asked: bool,
    /// Of an invitation that a cut interrupted: how it is said again.
    pub(super) again: Option<Again>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Command(Command),
    /// An invitation, whether the node lets the invited in, and whether it is to have the object.
    Invite(Address, bool, Option<Heir>),
    /// Who observes, after whom, and whether the application asks.
    Observers(Option<Address>, bool),
    Delete,
}

impl Runtime {
    /// Puts a reader out of an object: `reader` is a hyperty, whose identity is denied from now on, or
    /// an identity. It is told `why`. The answer comes as [`Output::Done`] with the number returned.
    ///
    /// # Errors
    /// [`CallError`]; nothing was done then.
    pub fn kick(
        &mut self,
        seat: &Seat,
        reader: &str,
        why: &str,
        now: Time,
    ) -> Result<u64, CallError> {
        self.reporting_to_others(seat)?;
        let denied = self.manager.deny(&seat.object, reader);
        self.judge_again(&seat.object);
        let command = Command::Kick(seat.object.clone(), denied, 403, why.to_owned());
        self.command(seat, What::Command(command), now)
    }

    /// Takes back that a reader was put out: an identity, or a hyperty that is there. It may ask again.
    ///
    /// # Errors
    /// As [`Runtime::kick`].
    pub fn allow(&mut self, seat: &Seat, reader: &str, now: Time) -> Result<u64, CallError> {
        self.reporting_to_others(seat)?;
        let denied = self.manager.allow(&seat.object, reader);
        self.judge_again(&seat.object);
        let command = Command::Allow(seat.object.clone(), denied);
        self.command(seat, What::Command(command), now)
    }

    /// Says anew who may read an object. Whoever may no longer is told, and gets nothing more.
    ///
    /// # Errors
    /// As [`Runtime::kick`].
    pub fn access(&mut self, seat: &Seat, access: Access, now: Time) -> Result<u64, CallError> {
        self.reporting_to_others(seat)?;
        self.manager.set_access(&seat.object, access.clone());
        self.judge_again(&seat.object);
        let command = Command::Access(seat.object.clone(), access);
        self.command(seat, What::Command(command), now)
    }

    /// Deletes an object, for good: when everything written so far is at the node its readers are
    /// told, and the address is not used again. The Reporter writes no more from now on.
    ///
    /// # Errors
    /// As [`Runtime::kick`].
    pub fn delete(&mut self, seat: &Seat, now: Time) -> Result<u64, CallError> {
        self.reporting(seat)?;
        if let Some(reporter) = self.reporter_mut(&seat.object) {
            reporter.deleting = true;
        }
        let call = self.command(seat, What::Delete, now)?;
        self.dirty.insert(seat.object.clone());
        Ok(call)
    }

    /// What was to be deleted before the runtime started again still is.
    pub(super) fn delete_again(&mut self, seat: &Seat, now: Time) {
        // That there are too many commands is told to whoever deletes it then.
        _ = self.delete(seat, now);
    }

    pub(super) fn command_invitation(
        &mut self,
        seat: &Seat,
        to: &Address,
        now: Time,
    ) -> Result<u64, CallError> {
        let let_in = self.manager.authorise(&seat.object, to.as_str());
        self.command(seat, What::Invite(to.clone(), let_in, None), now)
    }

    pub(super) fn command_observers(
        &mut self,
        seat: &Seat,
        after: Option<Address>,
        own: bool,
        now: Time,
    ) -> Result<u64, CallError> {
        self.reporting(seat)?;
        self.command(seat, What::Observers(after, own), now)
    }

    pub(super) fn reporting(&self, seat: &Seat) -> Result<(), CallError> {
        let claim = self.manager.claims.get(&seat.object);
        if claim.is_none_or(|claim| claim.reporter != seat.hyperty) {
            return Err(CallError::NotReported(seat.object.clone()));
        }
        if self.commands.len() >= COMMANDS_MAX {
            return Err(CallError::Commands);
        }
        Ok(())
    }

    /// As [`Runtime::reporting`], of an object that others may read too.
    pub(super) fn reporting_to_others(&self, seat: &Seat) -> Result<(), CallError> {
        self.reporting(seat)?;
        if self.is_local(seat.object.as_str()) {
            return Err(CallError::Local(seat.object.clone()));
        }
        Ok(())
    }

    pub(super) fn command(&mut self, seat: &Seat, what: What, now: Time) -> Result<u64, CallError> {
        self.calls += 1;
        let commanding = Commanding {
            url: seat.object.clone(),
            what,
            asked: false,
            again: None,
        };
        self.commands.insert(self.calls, commanding);
        self.claim_changes(&seat.object);
        self.send_commands(&seat.object, now);
        Ok(self.calls)
    }

    /// Sends what was commanded about `url` and not sent, when it is this runtime's to say. They go
    /// before any answer to a reader: a reader put out is not let in by an answer on its heels.
    pub(super) fn send_commands(&mut self, url: &Address, now: Time) {
        if !self.session.is_live() || !self.holds(url) {
            return;
        }
        let due = |(_, one): &(&u64, &Commanding)| one.url == *url && one.is_due(now);
        let due: Vec<u64> = self
            .commands
            .iter()
            .filter(due)
            .map(|(call, _)| *call)
            .collect();
        for call in due {
            let Some(one) = self.commands.get(&call) else {
                continue;
            };
            let command = match one.what.clone() {
                What::Command(command) => command,
                What::Invite(to, true, heir) => {
                    if self.inviting() < UNDER_WAY_MAX {
                        self.asked(call);
                        self.send_invitation(call, url, &to, heir.is_some(), now);
                    }
                    continue;
                }
                What::Invite(to, false, Some(Heir { identity, keep })) => {
                    Command::Delegate(url.clone(), Some(to), Some(identity), keep)
                }
                What::Invite(_, false, None) => match self.manager.claims.get(url) {
                    Some(claim) => Command::Access(url.clone(), claim.access.clone()),
                    None => continue,
                },
                What::Observers(after, _) => Command::Observers(url.clone(), after),
                What::Delete => continue,
            };
            let from = self.url().as_str().to_owned();
            let to = Address::subscription_manager(&self.domain);
            self.asked(call);
            let purpose = Purpose::Command(call);
            self.request(Type::Execute, &from, to.as_str(), &command, purpose, now);
        }
    }

    /// Deletes `url` at the node, when that was commanded and everything written is there. Says
    /// whether it did.
    pub(super) fn send_delete(&mut self, url: &Address, now: Time) -> bool {
        let due = |(_, one): &(&u64, &Commanding)| {
            one.url == *url && !one.asked && matches!(one.what, What::Delete)
        };
        let Some(call) = self.commands.iter().find(due).map(|(call, _)| *call) else {
            return false;
        };
        self.asked(call);
        let (from, to) = (url.resource("subscription"), url.resource("changes"));
        let nothing = serde_json::Map::new();
        let purpose = Purpose::Command(call);
        self.request(Type::Delete, &from, &to, &nothing, purpose, now);
        true
    }

    fn asked(&mut self, call: u64) {
        if let Some(one) = self.commands.get_mut(&call) {
            one.asked = true;
        }
    }

    fn holds(&self, url: &Address) -> bool {
        let claim = self.manager.claims.get(url);
        claim.is_some_and(|claim| claim.progress == Progress::Held)
    }

    pub(super) fn commanded(&mut self, call: u64, body: &str, now: Time) {
        if let Some(one) = self.commands.get_mut(&call)
            && let What::Invite(_, let_in, _) = &mut one.what
        {
            (*let_in, one.asked) = (true, false);
            let url = one.url.clone();
            if let Ok(commanded) = decode::<Commanded>(body) {
                self.on_record(&url, commanded.access);
            }
            return self.send_commands(&url, now);
        }
        let Some(one) = self.commands.remove(&call) else {
            return;
        };
        match one.what {
            What::Delete => {
                self.outbox.push_back(Output::Done(call, Ok(())));
                let desc = format!("`{}` was deleted by this Reporter", one.url);
                self.lose(&one.url, Refusal::gone(desc));
            }
            What::Observers(_, own) => self.observed(&one.url, call, own, body, now),
            What::Command(_) | What::Invite(..) => {
                let result = decode::<Commanded>(body)
                    .map(|commanded| self.on_record(&one.url, commanded.access));
                self.outbox.push_back(Output::Done(call, result));
            }
        }
    }

    /// Who may read `url`, as the node has it on record: and as it will be when what was commanded since
    /// has arrived, or a reader would be let in by what no longer holds.
    pub(super) fn on_record(&mut self, url: &Address, access: Access) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        claim.on_record = access.clone();
        self.manager.set_access(url, access);
        self.claim_changes(url);
        let about = self.commands.values().filter(|one| one.url == *url);
        for one in about {
            match &one.what {
                What::Command(Command::Kick(_, reader, ..)) => {
                    self.manager.deny(url, reader);
                }
                What::Command(Command::Allow(_, reader)) => {
                    self.manager.allow(url, reader);
                }
                What::Command(Command::Access(_, access)) => {
                    self.manager.set_access(url, access.clone());
                }
                What::Invite(to, _, None) => {
                    self.manager.authorise(url, to.as_str());
                }
                What::Command(_) | What::Invite(..) | What::Observers(..) | What::Delete => {}
            }
        }
        self.judge_again(url);
    }

    pub(super) fn command_refused(&mut self, call: u64, refusal: Refusal) {
        let Some(one) = self.commands.remove(&call) else {
            return;
        };
        if let What::Observers(_, own) = one.what {
            return self.not_observed(&one.url, call, own, refusal);
        }
        let delete = matches!(one.what, What::Delete);
        if delete && let Some(reporter) = self.reporter_mut(&one.url) {
            reporter.deleting = false;
        }
        if let Some(claim) = self.manager.claims.get(&one.url) {
            // It was not done: this side must not go on deciding by it.
            let access = claim.on_record.clone();
            self.on_record(&one.url, access);
        }
        // It was deleted, and the answer was lost.
        let done = delete && refusal.code == 410;
        let result = if done { Ok(()) } else { Err(refusal) };
        self.outbox.push_back(Output::Done(call, result));
    }

    /// The connection is gone: what was not answered is said again.
    pub(super) fn cut_commands(&mut self, now: Time) {
        // Who observes is told anew when the session goes on.
        self.commands
            .retain(|_, one| !matches!(one.what, What::Observers(_, false)));
        for one in self.commands.values_mut() {
            one.asked = false;
            one.is_cut(now);
        }
    }

    /// The object is no longer this runtime's: nothing more is commanded about it.
    pub(super) fn fail_commands(&mut self, url: &Address, refusal: &Refusal) {
        let about = |(_, one): &(&u64, &Commanding)| one.url == *url;
        let calls: Vec<u64> = self
            .commands
            .iter()
            .filter(about)
            .map(|(call, _)| *call)
            .collect();
        for call in calls {
            self.command_refused(call, refusal.clone());
        }
    }

    /// What the node tells about an object: another session has taken it, another owner says who may
    /// read it, or a route has ended.
    pub(super) fn told(&mut self, header: &Header<'_>, now: Time) -> Result<(), Refusal> {
        let command: Command = header.decode()?;
        if *header.from != *Address::subscription_manager(&self.domain).as_str() {
            return Err(Refusal::forbidden("only this runtime's node says this"));
        }
        match command {
            // With a claim of its own in flight, the answer to that will say who has the object.
            Command::Superseded(url, epoch) if self.holds(&url) => {
                let desc = format!("superseded: another session took `{url}` (epoch {epoch})");
                let reason = crate::error::Reason::Superseded;
                self.loses(&url, Refusal::conflict(desc).because(reason), now);
            }
            Command::Access(url, access) if self.holds(&url) => self.on_record(&url, access),
            Command::Revoked(object, hyperty, code, desc) => {
                let seat = Seat { hyperty, object };
                self.observe(&seat, now, |observer| {
                    (vec![], observer.revoked(code, desc))
                });
            }
            Command::NeedsAuth() => self.suspended(now),
            Command::Presence(url, told) if self.holds(&url) => self.presence(&url, told, now),
            Command::Superseded(..) | Command::Access(..) | Command::Presence(..) => {}
            Command::Kick(..)
            | Command::Allow(..)
            | Command::Delegate(..)
            | Command::Observers(..) => {
                return Err(Refusal::forbidden(
                    "only an owner says this, and to its node",
                ));
            }
        }
        Ok(())
    }

    /// The node says that `url` is deleted: the last frame of its route.
    pub(super) fn deleted(&mut self, url: &str, now: Time) {
        let Ok(url) = Address::parse(url) else { return };
        for seat in self.seats_of(&url) {
            let desc = format!("`{url}` was deleted by its Reporter");
            self.observe(&seat, now, |observer| (vec![], observer.revoked(410, desc)));
        }
    }
}
