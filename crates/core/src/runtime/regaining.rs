//! Children that the node takes for their Reporter (protocol.md §9): the Reporter follows them, and reads of the
//! node what it lacks.

use super::requests::Purpose;
use super::{Runtime, Seat, Timer};
use crate::address::Address;
use crate::children::ChildCommit;
use crate::error::Refusal;
use crate::limits::UNDER_WAY_MAX;
use crate::message::Type;
use crate::message::body::{Claimed, Subscribe};
use crate::stream::{Digest, Head};
use crate::syncher::Reporter;
use crate::time::Time;

impl Runtime {
    /// The claim of `url` was answered 200: the node says whether it takes the children, and where they stand there.
    pub(super) fn children_claimed(&mut self, url: &Address, claimed: &Claimed) {
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let safe = reporter.node_takes(claimed.cache && !reporter.children.is_empty());
        if claimed.children.is_some_and(|told| reporter.differs(told)) {
            self.reads_all_children(url);
        }
        self.writes_over(safe, None);
        if let Some(seat) = self.seat_of_reporter(url) {
            self.children_change(&seat);
        }
    }

    /// All children of `url` are read of the node, where that takes them.
    pub(super) fn reads_all_children(&mut self, url: &Address) {
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.lacks_all();
            self.regaining.insert(url.clone());
        }
    }

    /// A commit that the node took, for the Reporter of `url`.
    pub(super) fn child_taken(
        &mut self,
        url: &Address,
        name: &str,
        commit: &ChildCommit,
        now: Time,
    ) {
        let Some(reporter) = self.reporter_mut(url).filter(|one| one.follows()) else {
            return;
        };
        let step = reporter.child_taken(name, commit);
        if !reporter.lacks_nothing() {
            self.regaining.insert(url.clone());
        }
        self.written(url, now);
        if let Some(seat) = self.seat_of_reporter(url) {
            self.children_changed(&seat, step.map(|step| (name.to_owned(), step)));
            self.prune(&seat, name);
            self.children_change(&seat);
        }
        self.send_children(now);
    }

    /// The node says where the children of `url` stand, or that some of what it sent was dropped.
    pub(super) fn children_told(&mut self, url: &Address, head: &Head, now: Time) {
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let differs = |told| reporter.lacks_nothing() && reporter.differs(told);
        if reporter.follows() && (head.missed || head.children.is_some_and(differs)) {
            self.reads_all_children(url);
            self.send_children(now);
        }
    }

    /// Sends the next `read` of each object whose Reporter lacks children.
    pub(super) fn send_regains(&mut self, now: Time) {
        while self.requests.under_way() < UNDER_WAY_MAX
            && let Some(url) = self.regaining.pop_first()
        {
            let lacking = self.reporter_mut(&url).and_then(|one| one.lacking());
            let (Some(seat), Some((children, positions))) = (self.seat_of_reporter(&url), lacking)
            else {
                continue;
            };
            let body = Subscribe {
                source: Some(seat.hyperty.clone()),
                have: Some(Digest {
                    data: None,
                    children: positions,
                }),
                children,
                ..Subscribe::default()
            };
            let (from, purpose) = (seat.hyperty.as_str(), Purpose::Regain(url.clone()));
            let id = self.request(Type::Read, from, url.as_str(), &body, purpose, now);
            if let Some(reporter) = self.reporter_mut(&url) {
                reporter.asks_for_children(id);
            }
        }
    }

    /// The answer to such a `read`.
    pub(super) fn regained(
        &mut self,
        url: &Address,
        id: u64,
        answer: Result<&str, &Refusal>,
        now: Time,
    ) {
        let (seat, reporter) = (self.seat_of_reporter(url), self.reporter_mut(url));
        let reporter = reporter.filter(|one| one.awaits_children(id));
        let (Some(seat), Some(reporter)) = (seat, reporter) else {
            return;
        };
        let come = match answer {
            Ok(body) => reporter.children_come(body),
            Err(refusal) => Err(refusal.clone()),
        };
        match come {
            Ok(step) => {
                self.children_changed(&seat, step);
                self.prune_all(&seat);
                self.children_change(&seat);
                self.regaining.insert(url.clone());
                self.send_children(now);
            }
            Err(refusal) => self.regain_later(url, &refusal, now),
        }
    }

    fn regain_later(&mut self, url: &Address, refusal: &Refusal, now: Time) {
        let Some(mut backoff) = self
            .reporter_mut(url)
            .and_then(Reporter::backoff_of_children)
        else {
            return;
        };
        let at = now.plus_ms(backoff.next_ms(refusal.retry, &mut self.entropy));
        self.timers.insert((at, Timer::Regain(url.clone())));
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.asks_again(at, backoff);
        }
    }

    pub(super) fn regain_again(&mut self, url: Address, now: Time) {
        if let Some(reporter) = self.reporter_mut(&url) {
            reporter.asks_now(now);
            self.regaining.insert(url);
            self.send_children(now);
        }
    }

    /// The seat that reports `url`, if one does.
    pub(super) fn seat_of_reporter(&self, url: &Address) -> Option<Seat> {
        let claim = self.manager.claims.get(url)?;
        Some(Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        })
    }
}
