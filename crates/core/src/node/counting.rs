//! What a node's operator may see: what it has done, and what it holds.

use std::collections::BTreeMap;

use super::Node;
use super::object::{Object, Routes};

/// What the node has done since it started, for its operator.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Frames received.
    pub frames: u64,
    /// Commits forwarded, those of children too.
    pub commits: u64,
    /// Commits and heads sent to a reader: one for each.
    pub deliveries: u64,
    /// Sessions opened or continued.
    pub opened: u64,
    /// Refusals, by code.
    pub refused: BTreeMap<u16, u64>,
    /// Answers that nobody waited for.
    pub answers_dropped: u64,
    /// Routes parked.
    pub parkings: u64,
    /// Routes woken.
    pub wakes: u64,
    /// Readers answered from what the node keeps.
    pub kept_answers: u64,
}

/// What the node holds now, for its operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections.
    pub connections: usize,
    /// Sessions, those in their grace time included.
    pub sessions: usize,
    /// Objects that a session holds, or that are waited for. Records of claims that have ended are
    /// kept and not counted here.
    pub objects: usize,
    /// Routes of readers that are connected, parked ones too.
    pub routes: usize,
    /// Routes that are parked.
    pub parked: usize,
    /// Requests without a final answer.
    pub unanswered: usize,
    /// Bytes of what waits to be given out until a change before it is stored.
    pub held_bytes: usize,
    /// Objects of which the node keeps what they hold.
    pub kept_objects: usize,
    /// Children that the node keeps.
    pub kept_children: usize,
    /// The bytes of all that.
    pub kept_bytes: usize,
}

impl Node {
    /// What was done since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What is held now. Costs a pass over the objects.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let routes = || self.objects.values().map(|object| &object.routes);
        Gauges {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            objects: self
                .objects
                .values()
                .filter(|object| object.holder.is_some() || !object.waiting.is_empty())
                .count(),
            routes: routes().map(Routes::connected).sum(),
            parked: routes().map(Routes::parked).sum(),
            unanswered: self
                .sessions
                .values()
                .map(|session| session.asked.len())
                .sum(),
            held_bytes: self.held_bytes(),
            kept_objects: self.contents.objects,
            kept_children: self.objects.values().map(Object::kept_children).sum(),
            kept_bytes: self.contents.bytes,
        }
    }
}
