//! Those who follow the children of a collection: what they are told, and when that ends.

use std::sync::Weak;

use byline_core::State;
use byline_core::children::ChildrenChanged;
use byline_core::runtime::{Event, Seat};
use tokio::sync::broadcast;

use crate::children::ChildrenStep;
use crate::queue::Queue;
use crate::shared::Inner;

/// Events that may wait for a slow follower: of more, the oldest are lost.
const EVENTS: usize = 256;

/// Those who follow the children of one collection.
#[derive(Debug)]
pub(crate) struct Followers {
    pub(crate) queues: Vec<Weak<Queue<ChildrenStep>>>,
    pub(crate) events: broadcast::Sender<Event>,
}

impl Default for Followers {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            events: broadcast::Sender::new(EVENTS),
        }
    }
}

impl Followers {
    pub(crate) fn close(&self) {
        let queues = self.queues.iter().filter_map(Weak::upgrade);
        queues.for_each(|queue| queue.close());
    }
}

impl Inner {
    /// Those who follow a collection, to be joined.
    pub(crate) fn followers(&mut self, seat: &Seat, name: &str) -> &mut Followers {
        self.followers
            .entry((seat.clone(), name.to_owned()))
            .or_default()
    }

    /// Whether it is over with the object of a seat.
    pub(crate) fn is_closed(&self, seat: &Seat) -> bool {
        let reported = self.reporters.get(seat).map(|reported| &reported.state);
        let watched = || Some(&self.observers.get(seat)?.state);
        let state = reported.or_else(watched);
        state.is_none_or(|state| matches!(*state.borrow(), State::Closed(_)))
    }

    pub(crate) fn followed(&mut self, seat: Seat, name: String, changed: ChildrenChanged) {
        let Some(followers) = self.followers.get_mut(&(seat, name)) else {
            return;
        };
        followers.queues.retain(|queue| queue.strong_count() > 0);
        let (number, step) = (changed.number, ChildrenStep::Changed(changed));
        for queue in followers.queues.iter().filter_map(Weak::upgrade) {
            queue.push(number, &step);
        }
    }

    /// Nothing more comes of the children of a seat.
    pub(crate) fn end_followers(&mut self, seat: &Seat) {
        self.followers.retain(|(of, _), followers| {
            let ends = of == seat;
            if ends {
                followers.close();
            }
            !ends
        });
    }

    /// Somebody said something. Nobody may listen: then nobody misses it.
    pub(crate) fn heard(&self, seat: Seat, name: String, event: Event) {
        if let Some(followers) = self.followers.get(&(seat, name)) {
            let _ = followers.events.send(event);
        }
    }
}
