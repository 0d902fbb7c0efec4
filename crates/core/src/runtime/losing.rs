//! Another session of the same owner has the object (protocol.md §8): this one writes it no more, and hands back
//! what it wrote and is no part of it. What that is, the object itself says: it is read once, from whoever has it.

use super::requests::Purpose;
use super::resting::Role;
use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::children::ChildrenWanted;
use crate::error::{Reason, Refusal};
use crate::message::Type;
use crate::message::body::Subscribe;
use crate::stream::{Digest, Written};
use crate::syncher::{Recovery, Reporter};
use crate::time::Time;

impl Runtime {
    /// Another session has `url`: what of this one's is no part of it is found out.
    pub(super) fn loses(&mut self, url: &Address, refusal: Refusal, now: Time) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        claim.lost = true;
        // That it was taken was said while this session was away.
        let refusal = if claim.won && refusal.reason != Some(Reason::Superseded) {
            lost_before(url)
        } else {
            refusal
        };
        let seat = Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        };
        self.claim_changes(url);
        self.lose(url, refusal);
        self.settle(&seat, now);
    }

    /// Finds out which commits of a lost Reporter are no part of its object, as soon as there is a session.
    pub(super) fn settle(&mut self, seat: &Seat, now: Time) {
        let Some(reporter) = self.lost_mut(seat) else {
            return;
        };
        if reporter.stream.position().is_some() {
            reporter.settling = Recovery::Due;
            reporter.backoff.reset();
            return self.send_settling(seat, now);
        }
        // It never was this Reporter's: nothing of what was written here is part of it.
        let rejected = reporter.stream.take_unsent();
        self.reporter_forgets(seat);
        self.hands_back(seat, rejected);
    }

    fn send_settling(&mut self, seat: &Seat, now: Time) {
        let live = self.session.is_live();
        let due = |reporter: &&mut Reporter| live && reporter.settling == Recovery::Due;
        let Some(reporter) = self.lost_mut(seat).filter(due) else {
            return;
        };
        let body = Subscribe {
            source: Some(seat.hyperty.clone()),
            have: reporter.stream.position().map(Digest::from),
            children: ChildrenWanted::Any(false),
            ..Subscribe::default()
        };
        let (from, to) = (seat.hyperty.as_str(), seat.object.as_str());
        let purpose = Purpose::Settle(seat.clone());
        let id = self.request(Type::Read, from, to, &body, purpose, now);
        if let Some(reporter) = self.lost_mut(seat) {
            reporter.settling = Recovery::Asked(id);
        }
    }

    /// Sends all that waits for the session.
    pub(super) fn send_all_settling(&mut self, now: Time) {
        for seat in self.settling(|settling| settling == Recovery::Due) {
            self.send_settling(&seat, now);
        }
    }

    /// The connection is gone: what was asked on it is asked again.
    pub(super) fn cut_settling(&mut self) {
        for seat in self.settling(|settling| matches!(settling, Recovery::Asked(_))) {
            if let Some(reporter) = self.lost_mut(&seat) {
                reporter.settling = Recovery::Due;
            }
        }
    }

    pub(super) fn settle_again(&mut self, seat: &Seat, now: Time) {
        if let Some(reporter) = self.lost_mut(seat)
            && matches!(reporter.settling, Recovery::Later(at) if at <= now)
        {
            reporter.settling = Recovery::Due;
            self.send_settling(seat, now);
        }
    }

    /// The object has come: what was written here and is no part of it is handed back.
    pub(super) fn settled(&mut self, seat: &Seat, id: u64, body: &str, now: Time) {
        let asked = |reporter: &&mut Reporter| reporter.settling == Recovery::Asked(id);
        let Some(reporter) = self.lost_mut(seat).filter(asked) else {
            return;
        };
        match reporter.stream.catch_up(body) {
            Ok(rejected) => {
                if reporter.stream.rests() {
                    self.resting.rests_anew(seat.clone(), Role::Reporter);
                }
                self.hands_back(seat, rejected);
            }
            Err(refusal) => self.settling_refused(seat, id, &refusal, now),
        }
    }

    /// Nobody could say. While somebody may, it is asked again; else what certainly was not sent is handed back, and
    /// what is here without that is no state of the object: it rests no longer.
    pub(super) fn settling_refused(&mut self, seat: &Seat, id: u64, refusal: &Refusal, now: Time) {
        let asked = |reporter: &&mut Reporter| reporter.settling == Recovery::Asked(id);
        let Some(reporter) = self.lost_mut(seat).filter(asked) else {
            return;
        };
        if !matches!(refusal.code, 404 | 408 | 429 | 500..) {
            let whole = reporter.stream.unsent() == 0;
            let rejected = reporter.stream.take_unsent();
            if !whole {
                self.reporter_forgets(seat);
            }
            return self.hands_back(seat, rejected);
        }
        let mut backoff = reporter.backoff;
        let at = now.plus_ms(backoff.next_ms(refusal.retry, &mut self.entropy));
        self.timers.insert((at, Timer::Settle(seat.clone())));
        if let Some(reporter) = self.lost_mut(seat) {
            reporter.backoff = backoff;
            reporter.settling = Recovery::Later(at);
        }
    }

    fn hands_back(&mut self, seat: &Seat, rejected: Vec<Written>) {
        if let Some(reporter) = self.lost_mut(seat) {
            reporter.settling = Recovery::None;
        }
        self.outbox
            .push_back(Output::Rejected(seat.clone(), rejected));
    }

    /// Whether it is still to be found out which of a lost Reporter's commits are no part of its object. The last
    /// [`Output::Rejected`] says so, with none where there are none.
    #[must_use]
    pub fn is_settling(&self, seat: &Seat) -> bool {
        let reporter = self
            .synchers
            .get(&seat.hyperty)
            .and_then(|syncher| syncher.reporters.get(&seat.object));
        reporter.is_some_and(|reporter| reporter.settling != Recovery::None)
    }

    fn settling(&self, wanted: impl Fn(Recovery) -> bool) -> Vec<Seat> {
        let mut seats = Vec::new();
        for (hyperty, syncher) in &self.synchers {
            let due = syncher.reporters.iter();
            for (object, _) in due.filter(|(_, reporter)| wanted(reporter.settling)) {
                seats.push(Seat {
                    hyperty: hyperty.clone(),
                    object: object.clone(),
                });
            }
        }
        seats
    }

    /// A Reporter whose object another session has.
    fn lost_mut(&mut self, seat: &Seat) -> Option<&mut Reporter> {
        let claimed = self.manager.claims.get(&seat.object);
        if claimed.is_some_and(|claim| claim.reporter == seat.hyperty) {
            return None;
        }
        let syncher = self.synchers.get_mut(&seat.hyperty)?;
        syncher.reporters.get_mut(&seat.object)
    }
}

/// What a Reporter hears that had its object, and was not there when it was taken.
pub(super) fn lost_before(url: &Address) -> Refusal {
    let desc = format!("superseded: another session took `{url}`");
    Refusal::conflict(desc).because(Reason::Superseded)
}
