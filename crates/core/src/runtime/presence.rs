//! Who observes what this runtime reports (protocol.md §6): told by the node, and asked for where that
//! was not all.

use super::{CallError, Output, Runtime, Seat};
use crate::address::Address;
use crate::error::Refusal;
use crate::message::body::{Observers, Presence};
use crate::message::decode;
use crate::syncher::{Audience, Observer};
use crate::time::Time;

impl Runtime {
    /// Who observes an object that a hyperty reports. That it is another is told by
    /// [`Output::Presence`].
    #[must_use]
    pub fn audience(&self, seat: &Seat) -> Option<Audience> {
        let syncher = self.synchers.get(&seat.hyperty)?;
        let reporter = syncher.reporters.get(&seat.object)?;
        if !self.is_local(seat.object.as_str()) {
            return Some(reporter.audience.clone());
        }
        let served = self.synchers.iter().filter(|(_, syncher)| {
            let observer = syncher.observers.get(&seat.object);
            observer.is_some_and(Observer::is_served)
        });
        let own = |hyperty: &Address| (hyperty.clone(), Some(self.identity.clone()));
        Some(Audience::of(
            served.map(|(hyperty, _)| own(hyperty)).collect(),
        ))
    }

    /// Asks for a page of those who observe an object, in the order of their addresses: those after a
    /// hyperty, or the first. The answer comes as [`Output::Observers`] with the number returned.
    ///
    /// # Errors
    /// As [`Runtime::kick`].
    pub fn observers(
        &mut self,
        seat: &Seat,
        after: Option<Address>,
        now: Time,
    ) -> Result<u64, CallError> {
        self.reporting_to_others(seat)?;
        self.command_observers(seat, after, true, now)
    }

    /// The node tells who came and who went.
    pub(super) fn presence(&mut self, url: &Address, told: Presence, now: Time) {
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let asks = reporter.audience.told(told);
        let Some(seat) = self.presence_changed(url) else {
            return;
        };
        if asks {
            // Refused only for want of room: then the next that is told asks again.
            let asked = self.command_observers(&seat, None, false, now);
            self.not_told_unless(url, asked.is_ok());
        }
    }

    /// The answer to `observers`: whom `call` is of, the application or this machine itself.
    pub(super) fn observed(&mut self, url: &Address, call: u64, own: bool, body: &str, now: Time) {
        let page = decode::<Observers>(body);
        if own {
            return self.outbox.push_back(Output::Observers(call, page));
        }
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let next = match page {
            Ok(page) => reporter.audience.page(page),
            Err(_) => return reporter.audience.not_told(),
        };
        let Some(seat) = self.presence_changed(url) else {
            return;
        };
        if next.is_some() {
            let asked = self.command_observers(&seat, next, false, now);
            self.not_told_unless(url, asked.is_ok());
        }
    }

    pub(super) fn not_observed(&mut self, url: &Address, call: u64, own: bool, refusal: Refusal) {
        if own {
            self.outbox.push_back(Output::Observers(call, Err(refusal)));
        } else {
            self.not_told_unless(url, false);
        }
    }

    fn not_told_unless(&mut self, url: &Address, asked: bool) {
        if let Some(reporter) = self.reporter_mut(url)
            && !asked
        {
            reporter.audience.not_told();
        }
    }

    /// The application is to look at the audience of `url` again.
    pub(super) fn presence_changed(&mut self, url: &Address) -> Option<Seat> {
        let claim = self.manager.claims.get(url)?;
        let seat = Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        };
        self.outbox.push_back(Output::Presence(seat.clone()));
        Some(seat)
    }
}
