//! What an owner commands about an object that another session may report (protocol.md §5, §6). Said again
//! after a cut until it is answered: each says how things are to be, so twice is as good as once.

use super::requests::Purpose;
use super::{CallError, Output, Runtime};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::COMMANDS_MAX;
use crate::message::body::{Command, Commanded};
use crate::message::{Type, decode};
use crate::time::Time;

impl Runtime {
    /// Commands as an owner of an object, whoever reports it: [`Command::Kick`], [`Command::Allow`] or
    /// [`Command::Access`]; the node knows who its owners are. The answer comes as [`Output::Answered`] with
    /// the number returned: who may read from then on.
    ///
    /// # Errors
    /// [`CallError::Commands`]; nothing was done then.
    pub fn command_as_owner(&mut self, command: Command, now: Time) -> Result<u64, CallError> {
        if self.owning.len() >= COMMANDS_MAX {
            return Err(CallError::Commands);
        }
        self.calls += 1;
        let call = self.calls;
        self.owning.insert(call, command);
        self.send_owning(call, now);
        self.begin(now);
        Ok(call)
    }

    /// The session goes on, or is another: what was not answered is said again.
    pub(super) fn send_all_owning(&mut self, now: Time) {
        for call in self.owning.keys().copied().collect::<Vec<_>>() {
            self.send_owning(call, now);
        }
    }

    fn send_owning(&mut self, call: u64, now: Time) {
        let Some(command) = self.owning.get(&call).filter(|_| self.session.is_live()) else {
            return;
        };
        let (command, from) = (command.clone(), self.url().as_str().to_owned());
        let to = Address::subscription_manager(&self.domain);
        let purpose = Purpose::Own(call);
        self.request(Type::Execute, &from, to.as_str(), &command, purpose, now);
    }

    pub(super) fn owning_answered(&mut self, call: u64, body: &str) {
        let access = decode::<Commanded>(body).map(|commanded| commanded.access);
        let result = access.and_then(|access| {
            serde_json::to_value(access).map_err(|error| Refusal::malformed(error.to_string()))
        });
        self.end_owning(call, result);
    }

    pub(super) fn end_owning(&mut self, call: u64, result: Result<serde_json::Value, Refusal>) {
        if self.owning.remove(&call).is_some() {
            self.outbox.push_back(Output::Answered(call, result));
        }
    }

    /// There will be no session any more.
    pub(super) fn close_owning(&mut self, refusal: &Refusal) {
        for call in self.owning.keys().copied().collect::<Vec<_>>() {
            self.end_owning(call, Err(refusal.clone()));
        }
    }
}
