//! What the session carries for the objects that this runtime observes: subscriptions, commits and
//! heads, and the recovery of copies (protocol.md §4, §6, §7).

use super::requests::Purpose;
use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::{HELD_MS, UNDER_WAY_MAX};
use crate::message::body::Subscribe;
use crate::message::{Header, Type, decode};
use crate::stream::{Changed, Head};
use crate::syncher::{Next, Observer, Recovery, State};
use crate::time::Time;

impl Runtime {
    /// Sends a `subscribe`, or lets it wait for its turn while many requests are under way: the node
    /// would refuse what is over its limit.
    pub(super) fn send_subscribe(&mut self, seat: &Seat, now: Time) {
        let local = self.is_local(seat.object.as_str());
        if self.requests.under_way() >= UNDER_WAY_MAX && !local {
            self.crowded.insert(seat.clone());
            return;
        }
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        let body = Subscribe {
            source: Some(seat.hyperty.clone()),
            have: observer.have(),
            hold: true,
            ..Subscribe::default()
        };
        let to = seat.object.resource("subscription");
        let purpose = Purpose::Subscribe(seat.clone());
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

    /// A request has come to an end, or is held: those that wait for their turn have it.
    pub(super) fn send_crowded(&mut self, now: Time) {
        while self.requests.under_way() < UNDER_WAY_MAX
            && let Some(seat) = self.crowded.pop_first()
        {
            if self
                .observer_mut(&seat)
                .is_some_and(|one| one.recovery == Recovery::Due)
            {
                self.send_subscribe(&seat, now);
            }
        }
        self.send_wanted(now);
        self.send_children(now);
    }

    pub(super) fn send_unsubscribe(&mut self, seat: &Seat, now: Time) {
        let body = Subscribe {
            source: Some(seat.hyperty.clone()),
            ..Subscribe::default()
        };
        let to = seat.object.resource("subscription");
        let purpose = Purpose::Unsubscribe(seat.clone());
        self.request(
            Type::Unsubscribe,
            seat.hyperty.as_str(),
            &to,
            &body,
            purpose,
            now,
        );
    }

    /// A commit or a head from the route of `url`.
    pub(super) fn update(&mut self, url: &str, body: &str, now: Time) {
        let Ok(url) = Address::parse(url) else { return };
        let head = is_head(body).then(|| decode::<Head>(body).ok()).flatten();
        if let Some(head) = &head {
            self.children_told(&url, head, now);
        }
        if let Some(stored) = head.as_ref().and_then(|head| head.stored) {
            // Said to its Reporter alone.
            return self.node_has_stored(&url, stored);
        }
        for seat in self.seats_of(&url) {
            self.observe(&seat, now, |observer| match &head {
                Some(head) => {
                    observer.head(head, now);
                    (vec![], Next::Rest)
                }
                None => (observer.commit(body), Next::Rest),
            });
            if head.as_ref().is_some_and(|head| head.live) {
                self.write_again(&seat, now);
            }
        }
    }

    pub(super) fn content(&mut self, seat: &Seat, id: u64, body: &str, now: Time) {
        self.unbatch(seat, id);
        if self.awaits(seat, id) {
            let mut safe = vec![];
            self.observe(seat, now, |observer| {
                let told = observer.content(body);
                safe = observer.stands();
                told
            });
            self.writes_over(safe, None);
            self.children_change(seat);
            if self.is_local(seat.object.as_str()) {
                self.presence_changed(&seat.object);
            }
        }
    }

    pub(super) fn subscribe_refused(&mut self, seat: &Seat, id: u64, refusal: Refusal, now: Time) {
        self.unbatch(seat, id);
        if self.awaits(seat, id) {
            self.observe(seat, now, |observer| (vec![], observer.refused(refusal)));
        }
    }

    /// Whether `id` is the recovery under way: what an Observer asked that was let go since is no
    /// business of the one that has its place now.
    fn awaits(&mut self, seat: &Seat, id: u64) -> bool {
        self.observer_mut(seat)
            .is_some_and(|observer| observer.recovery == Recovery::Asked(id))
    }

    pub(super) fn recover_again(&mut self, seat: &Seat, now: Time) {
        if let Some(observer) = self.observer_mut(seat)
            && matches!(observer.recovery, Recovery::Later(at) if at <= now)
        {
            observer.recovery = Recovery::Due;
            self.recover_if_due(seat, now);
        }
    }

    fn recover_if_due(&mut self, seat: &Seat, now: Time) {
        let due = self
            .observer_mut(seat)
            .is_some_and(|observer| observer.recovery == Recovery::Due);
        if due && self.is_reached(&seat.object) {
            self.send_subscribe(seat, now);
        }
    }

    /// A 1xx: the request is held, and its asker told why.
    pub(super) fn put_off(&mut self, id: u64, header: &Header<'_>, now: Time) {
        let until = now.plus_ms(HELD_MS);
        let held = self.requests.held(id, &header.from, until);
        match held {
            Some(Purpose::Subscribe(seat)) if self.awaits(&seat, id) => {
                let told = header.decode::<Refusal>();
                let desc = told.map(|told| told.desc.into_owned()).unwrap_or_default();
                self.observe(&seat, now, |observer| {
                    observer.held(desc, now);
                    (vec![], Next::Rest)
                });
            }
            Some(Purpose::Read(call)) => {
                if let Some((_, _, deadline)) = self.reads.get_mut(&call) {
                    *deadline = until;
                }
            }
            _ => {}
        }
    }

    /// Lets an Observer take something, tells the driver and the back-off what came of it, and sends
    /// what it needs now. Costs nothing for the objects that are not concerned.
    pub(super) fn observe(
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
        let children = std::mem::take(&mut observer.told);
        let after = observer.state.clone();
        let deleted = matches!(&after, State::Closed(refusal) if refusal.code == 410);
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
        self.children_changed(seat, children);
        if deleted {
            self.observer_forgets(seat);
        }
        self.observer_changes(seat);
        self.tell(seat, false, &before, after);
        self.recover_if_due(seat, now);
        self.read_on_and_write(seat, now);
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
