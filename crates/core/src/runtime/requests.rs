//! Requests that this runtime has sent and that are not answered: each ends once, by its answer, by
//! the session's end, or by its deadline (protocol.md §2).

use std::collections::BTreeMap;

use super::Seat;
use crate::address::Address;
use crate::time::Time;

/// Why a request was sent, and so what its answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `open` or `re-open`.
    Open,
    /// Is the node there?
    Alive,
    /// Has the node everything that was sent before?
    Delivered(u64),
    /// A claim of this object.
    Claim(Address),
    /// What this object is, before it is claimed again.
    CatchUp(Address),
    /// A hyperty's `subscribe` to an object.
    Subscribe(Seat),
    /// A `subscribe` of this hyperty to many objects; each is a request of its own too.
    Batch(Address),
    /// A `read`, by the number its caller knows it by.
    Read(u64),
    /// A command, by the number its caller knows it by.
    Command(u64),
    /// An `unsubscribe`: whatever the answer is, it is over.
    Unsubscribe(Seat),
}

#[derive(Debug)]
struct Outstanding {
    /// The address asked, which the answer must be from.
    asked: String,
    purpose: Purpose,
    deadline: Time,
    /// It was answered 1xx: somebody will answer when there is somebody.
    held: bool,
}

/// The requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    sent: u64,
    outstanding: BTreeMap<u64, Outstanding>,
    /// How many of them are held.
    held: usize,
}

impl Requests {
    /// Notes a request and gives it its id.
    pub(super) fn add(&mut self, asked: &str, purpose: Purpose, deadline: Time) -> u64 {
        self.sent += 1;
        let outstanding = Outstanding {
            asked: asked.to_owned(),
            purpose,
            deadline,
            held: false,
        };
        self.outstanding.insert(self.sent, outstanding);
        self.sent
    }

    /// What the final answer `id` from `from` answers, and the deadline that it has kept.
    pub(super) fn answered(&mut self, id: u64, from: &str) -> Option<(Purpose, Time)> {
        self.expects(id, from)
            .then(|| self.remove(id))?
            .map(|one| (one.purpose, one.deadline))
    }

    /// What a 1xx is about: its request may now be held until `deadline`.
    pub(super) fn held(&mut self, id: u64, from: &str, deadline: Time) -> Option<Purpose> {
        let one = self
            .outstanding
            .get_mut(&id)
            .filter(|one| one.asked == from)?;
        one.deadline = deadline;
        self.held += usize::from(!std::mem::replace(&mut one.held, true));
        Some(one.purpose.clone())
    }

    /// What request `id` was for, when its deadline has passed; the new deadline when it was put off.
    pub(super) fn expired(&mut self, id: u64, now: Time) -> Result<Purpose, Option<Time>> {
        match self.outstanding.get(&id).map(|one| one.deadline) {
            None => Err(None),
            Some(deadline) if deadline > now => Err(Some(deadline)),
            Some(_) => self.remove(id).map(|one| one.purpose).ok_or(None),
        }
    }

    /// How many are under way, not counting those that are held.
    pub(super) fn under_way(&self) -> usize {
        self.outstanding.len() - self.held
    }

    /// The session is gone: none of these will be answered.
    pub(super) fn forget(&mut self) {
        self.outstanding.clear();
        self.held = 0;
    }

    fn remove(&mut self, id: u64) -> Option<Outstanding> {
        let one = self.outstanding.remove(&id)?;
        self.held -= usize::from(one.held);
        Some(one)
    }

    fn expects(&self, id: u64, from: &str) -> bool {
        self.outstanding
            .get(&id)
            .is_some_and(|one| one.asked == from)
    }
}
