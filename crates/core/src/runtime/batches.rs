//! Many subscriptions of one hyperty in one request (protocol.md §6): one 207 says of each object
//! whether it is refused; the others are answered one by one, each under its object's URL as the id.

use std::collections::BTreeMap;

use super::requests::Purpose;
use super::{Runtime, Seat};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::{REQUEST_MS, UNDER_WAY_MAX};
use crate::message::body::{Many, SubscribeMany};
use crate::message::{Type, decode};
use crate::syncher::Recovery;
use crate::time::Time;

impl Runtime {
    /// Sends a `subscribe` for each of `seats`, together where a hyperty has several. What is too much
    /// at once waits for its turn: the node would refuse it.
    pub(super) fn send_subscribes(&mut self, seats: Vec<Seat>, now: Time) {
        let mut of: BTreeMap<Address, Vec<Seat>> = BTreeMap::new();
        for seat in seats {
            if self.is_local(seat.object.as_str()) {
                self.send_subscribe(&seat, now);
                continue;
            }
            of.entry(seat.hyperty.clone()).or_default().push(seat);
        }
        for (hyperty, mut seats) in of {
            // The batch itself is one more.
            let room = UNDER_WAY_MAX.saturating_sub(self.requests.under_way() + 1);
            if seats.len() > 1 && room > 1 {
                let later = seats.split_off(room.min(seats.len()));
                self.send_batch(&hyperty, &seats, now);
                self.crowded.extend(later);
            } else {
                seats.iter().for_each(|seat| self.send_subscribe(seat, now));
            }
        }
    }

    fn send_batch(&mut self, hyperty: &Address, seats: &[Seat], now: Time) {
        let mut objects = BTreeMap::new();
        for seat in seats {
            let asked = seat.object.resource("subscription");
            let deadline = now.plus_ms(REQUEST_MS);
            let id = self
                .requests
                .add(&asked, Purpose::Subscribe(seat.clone()), deadline);
            self.timers.insert((deadline, super::Timer::Request(id)));
            if let Some(observer) = self.observer_mut(seat) {
                observer.recovery = Recovery::Asked(id);
                objects.insert(seat.object.clone(), observer.have());
            }
            self.batched.insert(seat.clone(), id);
        }
        let body = SubscribeMany {
            source: Some(hyperty.clone()),
            objects,
            hold: true,
        };
        let to = Address::subscription_manager(&self.domain);
        let purpose = Purpose::Batch(hyperty.clone());
        let from = hyperty.as_str();
        self.request(Type::Subscribe, from, to.as_str(), &body, purpose, now);
    }

    /// The 207: whoever is not refused is answered by and by.
    pub(super) fn batch_answered(&mut self, hyperty: &Address, body: &str, now: Time) {
        let many: Many = match decode(body) {
            Ok(many) => many,
            Err(refusal) => return self.batch_refused(hyperty, &refusal, now),
        };
        for (object, refusal) in many.objects {
            if refusal.code >= 200 {
                let hyperty = hyperty.clone();
                self.batched_refused(&Seat { hyperty, object }, refusal, now);
            }
        }
    }

    /// The whole batch was refused.
    pub(super) fn batch_refused(&mut self, hyperty: &Address, refusal: &Refusal, now: Time) {
        let of = |seat: &&Seat| seat.hyperty == *hyperty;
        for seat in self.batched.keys().filter(of).cloned().collect::<Vec<_>>() {
            self.batched_refused(&seat, refusal.clone(), now);
        }
    }

    fn batched_refused(&mut self, seat: &Seat, refusal: Refusal, now: Time) {
        let Some(id) = self.batched.remove(seat) else {
            return;
        };
        let asked = seat.object.resource("subscription");
        if let Some((_, deadline)) = self.requests.answered(id, &asked) {
            self.timers.remove(&(deadline, super::Timer::Request(id)));
        }
        self.subscribe_refused(seat, id, refusal, now);
    }

    /// A request that may have gone out in a batch is over.
    pub(super) fn unbatch(&mut self, seat: &Seat, id: u64) {
        if self.batched.get(seat) == Some(&id) {
            self.batched.remove(seat);
        }
    }

    /// The request that an answer to `to` under a URL as its id belongs to.
    pub(super) fn batched_id(&self, id: &str, to: &str) -> Option<u64> {
        let url: String = serde_json::from_str(id).ok()?;
        let seat = Seat {
            hyperty: Address::parse(to).ok()?,
            object: Address::parse(&url).ok()?,
        };
        self.batched.get(&seat).copied()
    }
}
