//! What becomes of the runtime's objects when its session starts, goes on, is cut or ends
//! (protocol.md §3).

use std::collections::BTreeMap;

use super::{Runtime, Seat};
use crate::address::Address;
use crate::error::Refusal;
use crate::manager::Progress;
use crate::stream::{Head, Position};
use crate::syncher::{Next, Observer, Recovery, Reporter, State};
use crate::time::Time;

impl Runtime {
    /// Sends every claim, `subscribe` and `read` that waits for the session.
    pub(super) fn send_due(&mut self, now: Time) {
        let due = |progress: Progress| self.session.is_live() && progress == Progress::Due;
        let claims = self
            .manager
            .claims
            .iter()
            .filter(|(_, claim)| due(claim.progress));
        for url in claims.map(|(url, _)| url.clone()).collect::<Vec<_>>() {
            self.send_claim(&url, now);
        }
        let mut due = self.seats(|observer| observer.recovery == Recovery::Due);
        due.retain(|seat| self.is_reached(&seat.object));
        self.send_subscribes(due, now);
        self.send_wanted(now);
        self.send_all_settling(now);
    }

    /// The session goes on: R sends what N lacks, O recovers what it lacks (§3).
    pub(super) fn continue_objects(
        &mut self,
        claims: &BTreeMap<Address, Position>,
        heads: &BTreeMap<Address, Head>,
        now: Time,
    ) {
        for url in self.claimed_urls() {
            let held =
                self.manager.claims.get(&url).map(|claim| claim.progress) == Some(Progress::Held);
            match claims.get(&url) {
                Some(node) if held => {
                    let reaches = self.reporter_mut(&url).is_some_and(|reporter| {
                        reporter.stream.resume(*node);
                        reporter.stream.reaches(*node)
                    });
                    if reaches {
                        self.reporter_state(&url, State::Live);
                        self.reads_all_children(&url);
                        self.send_commands(&url, now);
                        self.send_children(now);
                        self.dirty.insert(url);
                    } else {
                        self.reclaim(&url, true);
                    }
                }
                _ => self.reclaim(&url, false),
            }
        }
        for seat in self.seats_beyond() {
            // A head says that the session has a route, not which of its hyperties have.
            match heads.get(&seat.object).filter(|_| self.alone(&seat)) {
                Some(head) => self.observe(&seat, now, |observer| {
                    observer.head(head, now);
                    if !observer.children.is_empty() {
                        // Where the data stands says nothing of the children.
                        observer.need_recovery();
                    }
                    (vec![], Next::Rest)
                }),
                None => self.ask_anew(&seat),
            }
        }
        for seat in self.let_go.clone() {
            self.send_unsubscribe(&seat, now);
        }
        self.send_reads(now);
        self.send_all_owning(now);
    }

    /// The session is a new one: everything is claimed and subscribed again (§3).
    pub(super) fn restart_objects(&mut self, now: Time) {
        self.let_go.clear();
        for url in self.claimed_urls() {
            self.reclaim(&url, false);
        }
        for seat in self.seats_beyond() {
            self.ask_anew(&seat);
        }
        self.send_reads(now);
        self.send_all_owning(now);
    }

    fn ask_anew(&mut self, seat: &Seat) {
        if let Some(observer) = self.observer_mut(seat) {
            observer.ask_anew();
        }
    }

    /// Whether no other hyperty of this runtime observes the same object, or did until just now.
    fn alone(&self, seat: &Seat) -> bool {
        let synchers = self.synchers.values();
        let observing = synchers.filter(|syncher| syncher.observers.contains_key(&seat.object));
        observing.count() == 1 && !self.let_go.iter().any(|left| left.object == seat.object)
    }

    /// The connection is gone: nothing that was asked on it will be answered.
    pub(super) fn cut_objects(&mut self, now: Time) {
        self.forget_requests();
        self.cut_unsaid();
        self.paging.clear();
        self.crowded.clear();
        self.batched.clear();
        self.cut_commands(now);
        self.cut_settling();
        self.cut_wanted();
        self.files.cut();
        self.forget_questions(self.questions_beyond());
        for delivery in self.deliveries.values_mut() {
            delivery.asked = false;
        }
        for url in self.claimed_urls() {
            if let Some(claim) = self.manager.claims.get_mut(&url)
                && matches!(claim.progress, Progress::Asked(_))
            {
                claim.progress = Progress::Due;
                // It may have been done: said again, it could undo what another did since (§8).
                claim.take = false;
            }
            if let Some(reporter) = self.reporter_mut(&url) {
                reporter.forget_due();
                reporter.cut_children();
                if reporter.state == State::Live {
                    self.reporter_state(&url, State::Stale(now));
                }
            }
        }
        for seat in self.seats_beyond() {
            self.observe(&seat, now, |observer| {
                observer.cut(now);
                (vec![], Next::Rest)
            });
        }
    }

    /// There will be no session any more.
    pub(super) fn close_objects(&mut self, refusal: &Refusal) {
        for url in self.manager.claims.keys().cloned().collect::<Vec<_>>() {
            self.lose(&url, refusal.clone());
        }
        for seat in self.seats(|_| true) {
            if let Some(observer) = self.observer_mut(&seat) {
                let before = std::mem::replace(&mut observer.state, State::Closed(refusal.clone()));
                self.tell(&seat, false, &before, State::Closed(refusal.clone()));
                self.writes_end(&seat, refusal);
            }
        }
        self.close_wanted(refusal);
        self.close_owning(refusal);
        for call in self.reads.keys().copied().collect::<Vec<_>>() {
            self.read_failed(call, refusal.clone());
        }
    }

    pub(super) fn reporter_state(&mut self, url: &Address, after: State) {
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        let seat = Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        };
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let before = std::mem::replace(&mut reporter.state, after.clone());
        reporter.head_due |= after == State::Live && !reporter.children.is_empty();
        self.tell(&seat, true, &before, after);
    }

    pub(super) fn reporter_mut(&mut self, url: &Address) -> Option<&mut Reporter> {
        let claim = self.manager.claims.get(url)?;
        self.synchers
            .get_mut(&claim.reporter)?
            .reporters
            .get_mut(url)
    }

    pub(super) fn observer_mut(&mut self, seat: &Seat) -> Option<&mut Observer> {
        self.synchers
            .get_mut(&seat.hyperty)?
            .observers
            .get_mut(&seat.object)
    }

    /// The objects that are claimed at the node, or are to be.
    fn claimed_urls(&self) -> Vec<Address> {
        let claims = self.manager.claims.iter();
        let claimed = claims.filter(|(_, claim)| !claim.local);
        claimed.map(|(url, _)| url.clone()).collect()
    }

    /// The seats of the Observers of what is beyond this runtime.
    fn seats_beyond(&self) -> Vec<Seat> {
        let mut seats = self.seats(|_| true);
        seats.retain(|seat| !self.is_local(seat.object.as_str()));
        seats
    }

    /// The seats of the Observers that `wanted` picks.
    fn seats(&self, wanted: impl Fn(&Observer) -> bool) -> Vec<Seat> {
        let of = |(hyperty, syncher): (&Address, &crate::syncher::Syncher)| {
            let observers = syncher
                .observers
                .iter()
                .filter(|(_, observer)| wanted(observer));
            observers
                .map(|(object, _)| Seat {
                    hyperty: hyperty.clone(),
                    object: object.clone(),
                })
                .collect::<Vec<_>>()
        };
        self.synchers.iter().flat_map(of).collect()
    }

    pub(super) fn seats_of(&self, url: &Address) -> Vec<Seat> {
        let observing = self
            .synchers
            .iter()
            .filter(|(_, s)| s.observers.contains_key(url));
        observing
            .map(|(hyperty, _)| Seat {
                hyperty: hyperty.clone(),
                object: url.clone(),
            })
            .collect()
    }
}
