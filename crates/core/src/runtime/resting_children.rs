//! What rests of children (protocol.md §9), and what is not said of them before it does.

use std::collections::{BTreeMap, VecDeque};

use super::resting::{Role, place};
use super::{Output, Runtime, Seat};
use crate::address::{Address, Target};
use crate::limits::UNSAID_BYTES_MAX;
use crate::storage::Batch;

/// What is not said of an object before that from which it follows is stored.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    /// The batch that each of these objects waits for.
    until: BTreeMap<Address, u64>,
    frames: BTreeMap<Address, Frames>,
}

#[derive(Debug, Default)]
struct Frames {
    frames: VecDeque<(u64, String)>,
    bytes: usize,
}

impl Unsaid {
    /// Nothing is said of `object` any more before this batch is stored.
    fn wait(&mut self, object: Address, batch: u64) {
        self.until.insert(object, batch);
    }

    /// Takes a frame from or to these addresses, when it is to wait. Of an object of which too much waits, it is
    /// dropped: who asked is told by the node that nobody answered, and what was to be asked is asked again.
    pub(super) fn take(&mut self, from: &str, to: &str, frame: String) -> Option<String> {
        if self.until.is_empty() {
            return Some(frame);
        }
        let object = |address| match Target::of(address) {
            Target::Object(url, _) => Some(url),
            _ => None,
        };
        let objects = [object(to), object(from)].into_iter().flatten();
        let mut waiting = objects.filter_map(|url| self.until.get_key_value(url));
        let Some((object, batch)) = waiting.next() else {
            return Some(frame);
        };
        let frames = self.frames.entry(object.clone()).or_default();
        if frames.bytes + frame.len() <= UNSAID_BYTES_MAX {
            frames.bytes += frame.len();
            frames.frames.push_back((*batch, frame));
        }
        None
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// What waits no longer when all batches up to `stored` are, in its order.
    fn release(&mut self, stored: u64) -> Vec<(Address, String)> {
        self.until.retain(|_, batch| *batch > stored);
        let mut released = Vec::new();
        for (object, Frames { frames, bytes }) in &mut self.frames {
            let ready = frames.partition_point(|(batch, _)| *batch <= stored);
            for (_, frame) in frames.drain(..ready) {
                *bytes -= frame.len();
                released.push((object.clone(), frame));
            }
        }
        self.frames.retain(|_, waiting| !waiting.frames.is_empty());
        released
    }

    /// The connection is gone, on which this was to be said.
    pub(super) fn cut(&mut self, is_beyond: impl Fn(&Address) -> bool) {
        self.frames.retain(|object, _| !is_beyond(object));
    }
}

impl Runtime {
    /// The children of the seat's object, or what it wrote to them, may be others: they are stored, where they rest.
    /// Says whether there is something to be stored of them.
    pub(super) fn children_change(&mut self, seat: &Seat) -> bool {
        let Some(syncher) = self.synchers.get(&seat.hyperty) else {
            return false;
        };
        let reporter = syncher.reporters.get(&seat.object);
        let observer = syncher.observers.get(&seat.object);
        let due = [
            (
                Role::Reporter,
                reporter.is_some_and(|one| one.children_are_to_be_stored()),
            ),
            (
                Role::Observer,
                observer.is_some_and(|one| one.children_are_to_be_stored()),
            ),
        ];
        for (role, _) in due.iter().filter(|(_, due)| *due) {
            self.resting.children.insert((seat.clone(), *role));
        }
        due.iter().any(|(_, due)| *due)
    }

    /// As [`Runtime::children_change`]; and nothing more is said of the object before that is stored.
    pub(super) fn children_change_first(&mut self, seat: &Seat) {
        if self.children_change(seat) {
            let batch = self.resting.next();
            self.unsaid.wait(seat.object.clone(), batch);
        }
    }

    /// A seat that rested goes on: what it wrote to children waits to be sent.
    pub(super) fn children_wake(&mut self, seat: &Seat) {
        let Some(syncher) = self.synchers.get(&seat.hyperty) else {
            return;
        };
        let names = match (
            syncher.reporters.get(&seat.object),
            syncher.observers.get(&seat.object),
        ) {
            (Some(reporter), _) => reporter.authoring.keys(),
            (None, Some(observer)) => observer.authoring.keys(),
            (None, None) => return,
        };
        let writing = names.map(|name| (seat.clone(), name.clone()));
        self.writing.extend(writing);
        self.children_change(seat);
    }

    pub(super) fn store_children(&mut self, seat: &Seat, role: Role, batch: &mut Batch) {
        let Some(syncher) = self.synchers.get_mut(&seat.hyperty) else {
            return;
        };
        let place = place(seat, role);
        match role {
            Role::Reporter => {
                if let Some(reporter) = syncher.reporters.get_mut(&seat.object) {
                    reporter.store_children(&place, batch);
                }
            }
            Role::Observer => {
                if let Some(observer) = syncher.observers.get_mut(&seat.object) {
                    observer.store_children(&place, batch);
                }
            }
        }
    }

    /// Everything up to this batch is stored: what waited for that is said.
    pub(super) fn says_what_waited(&mut self, stored: u64) {
        for (object, frame) in self.unsaid.release(stored) {
            if self.is_local(object.as_str()) {
                self.round.push_back(frame);
            } else {
                self.outbox.push_back(Output::Send(frame));
            }
        }
    }

    pub(super) fn cut_unsaid(&mut self) {
        let claims = &self.manager.claims;
        let is_local = |url: &Address| claims.get(url).is_some_and(|claim| claim.local);
        self.unsaid.cut(|url| !is_local(url));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_said_in_its_order_and_no_more_of_it_than_may_wait() {
        let room = Address::object("comm://d/room").unwrap();
        let (from, to) = ("hyperty://d/a", "comm://d/room/children/chat");
        let mut unsaid = Unsaid::default();
        let say = |unsaid: &mut Unsaid, frame: &str| unsaid.take(from, to, frame.to_owned());
        assert_eq!(say(&mut unsaid, "at once").as_deref(), Some("at once"));
        unsaid.wait(room.clone(), 7);
        assert_eq!(say(&mut unsaid, "first"), None);
        let other = unsaid.take(from, "comm://d/other", "of another".to_owned());
        assert_eq!(other.as_deref(), Some("of another"));
        unsaid.wait(room.clone(), 8);
        assert_eq!(say(&mut unsaid, "second"), None);
        assert_eq!(say(&mut unsaid, &"x".repeat(UNSAID_BYTES_MAX)), None);
        let told = |frame: &str| (room.clone(), frame.to_owned());
        assert_eq!(unsaid.release(7), [told("first")]);
        assert_eq!(say(&mut unsaid, "third"), None, "after the second");
        assert_eq!(unsaid.release(8), [told("second"), told("third")]);
        assert_eq!(say(&mut unsaid, "at once").as_deref(), Some("at once"));
        assert!(unsaid.is_empty());
    }
}
