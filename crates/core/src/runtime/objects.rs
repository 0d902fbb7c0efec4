//! What the session carries for the runtime's objects: claims, commits, answers to readers, and the
//! recovery of copies (protocol.md §4–§8).

use std::collections::BTreeMap;

use super::requests::Purpose;
use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::HELD_MS;
use crate::manager::Progress;
use crate::message::body::{Claimed, Execute, Subscribe};
use crate::message::{Header, Type, decode};
use crate::stream::{Changed, Digest, Head, Position};
use crate::syncher::{Due, Next, Observer, Outgoing, Recovery, Reporter, State};
use crate::time::Time;

impl Runtime {
    /// Sends every claim, `subscribe` and `read` that waits for the session.
    pub(super) fn send_due(&mut self, now: Time) {
        if !self.session.is_live() {
            return;
        }
        let due = |progress: Progress| progress == Progress::Due;
        let claims = self
            .manager
            .claims
            .iter()
            .filter(|(_, claim)| due(claim.progress));
        for url in claims.map(|(url, _)| url.clone()).collect::<Vec<_>>() {
            self.send_claim(&url, now);
        }
        for seat in self.seats(|observer| observer.recovery == Recovery::Due) {
            self.send_subscribe(&seat, now);
        }
    }

    fn send_claim(&mut self, url: &Address, now: Time) {
        let position = self.position(url);
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        let (body, from) = (claim.body(url, position), claim.reporter.clone());
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.stream.claiming();
        }
        let to = Address::subscription_manager(&self.domain);
        let purpose = Purpose::Claim(url.clone());
        let id = self.request(
            Type::Subscribe,
            from.as_str(),
            to.as_str(),
            &body,
            purpose,
            now,
        );
        if let Some(claim) = self.manager.claims.get_mut(url) {
            claim.progress = Progress::Asked(id);
        }
    }

    fn send_subscribe(&mut self, seat: &Seat, now: Time) {
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        let have = observer.stream.have().map(|position| Digest {
            data: Some(position),
        });
        let body = Subscribe {
            source: Some(seat.hyperty.clone()),
            have,
            hold: true,
            identity: None,
        };
        let to = seat.object.resource("subscription");
        let purpose = Purpose::Subscribe(seat.hyperty.clone(), seat.object.clone());
        let id = self.request(
            Type::Subscribe,
            seat.hyperty.as_str(),
            &to,
            &body,
            purpose,
            now,
        );
        if let Some(observer) = self.observer_mut(seat) {
            observer.recovery = Recovery::Asked(id);
        }
    }

    pub(super) fn send_unsubscribe(&mut self, seat: &Seat, now: Time) {
        let body = Subscribe {
            source: Some(seat.hyperty.clone()),
            ..Subscribe::default()
        };
        let to = seat.object.resource("subscription");
        let purpose = Purpose::Unsubscribe;
        self.request(
            Type::Unsubscribe,
            seat.hyperty.as_str(),
            &to,
            &body,
            purpose,
            now,
        );
    }

    pub(super) fn send_read(&mut self, call: u64, hyperty: &Address, url: &Address, now: Time) {
        let body = Subscribe {
            source: Some(hyperty.clone()),
            ..Subscribe::default()
        };
        let purpose = Purpose::Read(call);
        self.request(
            Type::Read,
            hyperty.as_str(),
            url.as_str(),
            &body,
            purpose,
            now,
        );
    }

    /// Puts what `url` has to send next into the outbox; says whether that was anything.
    pub(super) fn send_objects(&mut self, url: &Address, now: Time) -> bool {
        if !self.session.is_live() {
            return false;
        }
        let outgoing = match self.reporter_mut(url).map(Reporter::outgoing) {
            None => return false,
            Some(Ok(outgoing)) => outgoing,
            Some(Err(_)) => {
                // The history no longer reaches back to what the node has.
                self.reclaim(url, true);
                self.send_due(now);
                return true;
            }
        };
        let any = !outgoing.is_empty();
        for one in outgoing {
            match one {
                Outgoing::Commit(frame) => self.outbox.push_back(Output::Send(frame)),
                Outgoing::Content(due, body) => {
                    if let Ok(body) = serde_json::value::RawValue::from_string(body) {
                        self.respond(&due.id, &due.asked, &due.asker, &body);
                    }
                }
            }
        }
        any
    }

    /// The claim was answered 200.
    pub(super) fn claimed(&mut self, url: &Address, body: &str, now: Time) {
        let claimed: Claimed = match decode(body) {
            Ok(claimed) => claimed,
            Err(refusal) => return self.claim_refused(url, refusal, now),
        };
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        claim.progress = Progress::Held;
        claim.access = claimed.access;
        claim.backoff.reset();
        let snapshot = std::mem::take(&mut claim.snapshot);
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let node = match reporter.stream.position() {
            Some(position) if snapshot => position,
            _ => claimed.position,
        };
        reporter.stream.claimed(claimed.epoch, node);
        self.reporter_state(url, State::Live);
        self.dirty.insert(url.clone());
    }

    pub(super) fn claim_refused(&mut self, url: &Address, refusal: Refusal, now: Time) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        if matches!(refusal.code, 408 | 429 | 500..) {
            let wait_ms = claim.backoff.next_ms(refusal.retry, &mut self.entropy);
            let at = now.plus_ms(wait_ms);
            claim.progress = Progress::Later(at);
            self.timers.insert((at, Timer::Claim(url.clone())));
        } else {
            self.lose(url, refusal);
        }
    }

    pub(super) fn claim_again(&mut self, url: &Address, now: Time) {
        if let Some(claim) = self.manager.claims.get_mut(url)
            && matches!(claim.progress, Progress::Later(at) if at <= now)
        {
            claim.progress = Progress::Due;
            self.send_due(now);
        }
    }

    /// The node refused a commit: it and this runtime disagree on the claim, which is asked for anew.
    pub(super) fn commit_refused(&mut self, header: &Header<'_>, now: Time) {
        let url = header.to.to_string();
        let Ok(url) = Address::object(&url) else {
            return;
        };
        if self
            .manager
            .claims
            .get(&url)
            .is_some_and(|claim| claim.progress == Progress::Held)
        {
            self.reclaim(&url, false);
            self.send_due(now);
        }
    }

    fn reclaim(&mut self, url: &Address, snapshot: bool) {
        if let Some(claim) = self.manager.claims.get_mut(url) {
            claim.progress = Progress::Due;
            claim.snapshot |= snapshot;
        }
        self.reporter_state(url, State::Claiming);
    }

    /// The object is no longer this runtime's to write.
    fn lose(&mut self, url: &Address, refusal: Refusal) {
        self.reporter_state(url, State::Closed(refusal));
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.forget_due();
        }
        self.manager.claims.remove(url);
        self.dirty.remove(url);
    }

    /// A reader that the node let in asks for content.
    pub(super) fn reader(&mut self, url: &str, header: &Header<'_>) -> Result<(), Refusal> {
        let body: Subscribe = header.decode()?;
        let hyperty = body.source.as_ref().map_or(&*header.from, Address::as_str);
        let identity = body.identity.as_ref();
        let hyperty = self.manager.admit(url, hyperty, identity, &self.identity)?;
        let due = Due {
            asker: header.from.to_string(),
            id: header.id.to_owned(),
            asked: header.to.to_string(),
            have: body.have.and_then(|digest| digest.data),
        };
        let url = Address::parse(url).map_err(|error| Refusal::malformed(error.to_string()))?;
        let syncher = self.synchers.get_mut(&hyperty);
        if let Some(reporter) = syncher.and_then(|syncher| syncher.reporters.get_mut(&url)) {
            reporter.admit(due)?;
            self.dirty.insert(url);
        }
        Ok(())
    }

    /// A command: that another session has taken an object is the only one there is.
    pub(super) fn execute(&mut self, header: &Header<'_>) -> Result<(), Refusal> {
        let node = Address::subscription_manager(&self.domain);
        let command: Execute<(Address, u64)> = header.decode()?;
        if *header.from != *node.as_str() || command.method != "superseded" {
            return Err(Refusal::not_built("no such command"));
        }
        let (url, epoch) = command.params;
        // With a claim of its own in flight, the answer to that will say who has the object.
        if self
            .manager
            .claims
            .get(&url)
            .is_some_and(|claim| claim.progress == Progress::Held)
        {
            let desc = format!("superseded: another session took `{url}` (epoch {epoch})");
            self.lose(&url, Refusal::conflict(desc));
        }
        Ok(())
    }

    /// A commit or a head from the route of `url`.
    pub(super) fn update(&mut self, url: &str, body: &str, now: Time) {
        let Ok(url) = Address::parse(url) else { return };
        let head = is_head(body).then(|| decode::<Head>(body).ok()).flatten();
        for seat in self.seats_of(&url) {
            self.observe(&seat, now, |observer| match &head {
                Some(head) => {
                    observer.head(head, now);
                    (vec![], Next::Rest)
                }
                None => (observer.commit(body), Next::Rest),
            });
        }
        self.send_due(now);
    }

    pub(super) fn content(&mut self, seat: Seat, body: &str, now: Time) {
        self.observe(&seat, now, |observer| observer.content(body));
        self.send_due(now);
    }

    pub(super) fn subscribe_refused(&mut self, seat: Seat, refusal: Refusal, now: Time) {
        self.observe(&seat, now, |observer| (vec![], observer.refused(refusal)));
    }

    pub(super) fn recover_again(&mut self, seat: &Seat, now: Time) {
        if let Some(observer) = self.observer_mut(seat)
            && matches!(observer.recovery, Recovery::Later(at) if at <= now)
        {
            observer.recovery = Recovery::Due;
            self.send_due(now);
        }
    }

    /// A 1xx: the request is held, and its asker told why.
    pub(super) fn put_off(&mut self, id: u64, header: &Header<'_>, now: Time) {
        let until = now.plus_ms(HELD_MS);
        let held = self.requests.held(id, &header.from, until);
        if let Some(Purpose::Subscribe(hyperty, object)) = held {
            let desc = header
                .decode::<Refusal>()
                .map(|told| told.desc.into_owned());
            let seat = Seat { hyperty, object };
            self.observe(&seat, now, |observer| {
                observer.held(desc.unwrap_or_default(), now);
                (vec![], Next::Rest)
            });
        }
    }

    /// Lets an Observer take something, and tells the driver and the back-off what came of it.
    fn observe(
        &mut self,
        seat: &Seat,
        now: Time,
        take: impl FnOnce(&mut Observer) -> (Vec<Changed>, Next),
    ) {
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        let before = observer.state.clone();
        let (changed, next) = take(observer);
        let after = observer.state.clone();
        let mut backoff = observer.backoff;
        if let Next::Retry(retry) = next {
            let at = now.plus_ms(backoff.next_ms(retry, &mut self.entropy));
            self.timers.insert((at, Timer::Recovery(seat.clone())));
            if let Some(observer) = self.observer_mut(seat) {
                observer.backoff = backoff;
                observer.recovery = Recovery::Later(at);
            }
        }
        let steps = changed
            .into_iter()
            .map(|changed| Output::Changed(seat.clone(), changed));
        self.outbox.extend(steps);
        self.tell(seat, false, &before, after);
    }

    /// The session goes on: R sends what N lacks, O recovers what it lacks (§3).
    pub(super) fn continue_objects(
        &mut self,
        claims: &BTreeMap<Address, Position>,
        heads: &BTreeMap<Address, Head>,
        now: Time,
    ) {
        for url in self.manager.claims.keys().cloned().collect::<Vec<_>>() {
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
                        self.dirty.insert(url);
                    } else {
                        self.reclaim(&url, true);
                    }
                }
                _ => self.reclaim(&url, false),
            }
        }
        for seat in self.seats(|_| true) {
            match heads.get(&seat.object) {
                Some(head) => self.observe(&seat, now, |observer| {
                    observer.head(head, now);
                    (vec![], Next::Rest)
                }),
                None => {
                    if let Some(observer) = self.observer_mut(&seat) {
                        observer.need_recovery();
                    }
                }
            }
        }
        for url in heads.keys() {
            // What was let go while offline still has its route.
            if self.seats_of(url).is_empty() {
                let seat = Seat {
                    hyperty: self.url().clone(),
                    object: url.clone(),
                };
                self.send_unsubscribe(&seat, now);
            }
        }
        self.send_reads(now);
    }

    /// The session is a new one: everything is claimed and subscribed again (§3).
    pub(super) fn restart_objects(&mut self, now: Time) {
        for url in self.manager.claims.keys().cloned().collect::<Vec<_>>() {
            self.reclaim(&url, false);
        }
        for seat in self.seats(|_| true) {
            if let Some(observer) = self.observer_mut(&seat) {
                observer.need_recovery();
            }
        }
        self.send_reads(now);
    }

    fn send_reads(&mut self, now: Time) {
        for (call, (hyperty, url, deadline)) in self.reads.clone() {
            if deadline > now {
                self.send_read(call, &hyperty, &url, now);
            } else {
                self.read_failed(call, Refusal::timed_out("no session with the node in time"));
            }
        }
    }

    /// The connection is gone: nothing that was asked on it will be answered.
    pub(super) fn cut_objects(&mut self, now: Time) {
        let _ = self.requests.drain();
        for url in self.manager.claims.keys().cloned().collect::<Vec<_>>() {
            if let Some(claim) = self.manager.claims.get_mut(&url)
                && matches!(claim.progress, Progress::Asked(_))
            {
                claim.progress = Progress::Due;
            }
            if let Some(reporter) = self.reporter_mut(&url) {
                reporter.forget_due();
                if reporter.state == State::Live {
                    self.reporter_state(&url, State::Stale(now));
                }
            }
        }
        for seat in self.seats(|_| true) {
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
            }
        }
        for call in self.reads.keys().copied().collect::<Vec<_>>() {
            self.read_failed(call, refusal.clone());
        }
    }

    fn reporter_state(&mut self, url: &Address, after: State) {
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
        self.tell(&seat, true, &before, after);
    }

    fn reporter_mut(&mut self, url: &Address) -> Option<&mut Reporter> {
        let claim = self.manager.claims.get(url)?;
        self.synchers
            .get_mut(&claim.reporter)?
            .reporters
            .get_mut(url)
    }

    fn observer_mut(&mut self, seat: &Seat) -> Option<&mut Observer> {
        self.synchers
            .get_mut(&seat.hyperty)?
            .observers
            .get_mut(&seat.object)
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

    fn seats_of(&self, url: &Address) -> Vec<Seat> {
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

/// Heads say `position` where commits say `version`.
fn is_head(body: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Version {
        version: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Version>(body).is_ok_and(|body| body.version.is_none())
}
