//! When all that was written has reached the node.

use std::collections::BTreeMap;

use super::Runtime;
use super::requests::Purpose;
use crate::address::Address;
use crate::manager::Progress;
use crate::time::Time;

/// A call of [`Runtime::deliver`].
#[derive(Debug)]
pub(super) struct Delivery {
    /// The node was asked.
    pub(super) asked: bool,
    /// The objects with commits that were not sent because they were not stored, and up to which version.
    lacking: BTreeMap<Address, u64>,
}

impl Runtime {
    /// Asks to be told, by [`Output::Delivered`](super::Output::Delivered) with the number returned, when everything written
    /// so far has reached the node.
    pub fn deliver(&mut self, now: Time) -> u64 {
        self.calls += 1;
        let claims = self.manager.claims.iter();
        let lacking = claims.filter_map(|(url, claim)| {
            let stream = &self
                .synchers
                .get(&claim.reporter)?
                .reporters
                .get(url)?
                .stream;
            (stream.rests() && stream.unsent() > 0).then(|| (url.clone(), stream.written()))
        });
        let delivery = Delivery {
            asked: false,
            lacking: lacking.collect(),
        };
        self.deliveries.insert(self.calls, delivery);
        self.deliver_if_all_sent(now);
        self.calls
    }

    /// Pings for each delivery asked for, once nothing is left to send: the node handles the frames
    /// of a connection in order, so its answer says that it has them all. Says whether it asked.
    pub(super) fn deliver_if_all_sent(&mut self, now: Time) -> bool {
        self.sends_what_was_lacking();
        let waits = |one: &Delivery| !one.asked && one.lacking.is_empty();
        let all_sent = self.session.is_live()
            && self.deliveries.values().any(waits)
            && self.dirty.is_empty()
            && self.unsaid.is_empty()
            && self
                .manager
                .claims
                .values()
                .all(|claim| claim.progress == Progress::Held);
        if all_sent {
            let waiting = self.deliveries.iter_mut().filter(|(_, one)| waits(one));
            let calls: Vec<u64> = waiting
                .map(|(call, one)| {
                    one.asked = true;
                    *call
                })
                .collect();
            for call in calls {
                self.ping(Purpose::Delivered(call), now);
            }
        }
        all_sent
    }

    /// What a delivery waits for may have been stored and sent, or be none of the object any more.
    fn sends_what_was_lacking(&mut self) {
        for delivery in self.deliveries.values_mut() {
            let (claims, synchers) = (&self.manager.claims, &self.synchers);
            delivery.lacking.retain(|url, version| {
                let syncher = claims
                    .get(url)
                    .and_then(|claim| synchers.get(&claim.reporter));
                let reporter = syncher.and_then(|syncher| syncher.reporters.get(url));
                // What was written beside the object is no part of it: that many are not sent any more.
                reporter.is_some_and(|one| {
                    let last = (*version).min(one.stream.written());
                    !one.stream.has_sent(last)
                })
            });
        }
    }
}
