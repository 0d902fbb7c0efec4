//! What the node withholds while an object is handed over (protocol.md §8), and gives out after all: it tells nobody, so
//! that is seen by its counters.

use std::collections::VecDeque;
use std::sync::Arc;

use byline_core::message::{Header, Type};
use byline_core::stream::CommitHeader;

use crate::totals::Count;
use crate::world::{Peer, World};

/// Frames that are remembered; a node that withholds more in a world gives them out.
const REMEMBERED: usize = 4_096;

/// What Reporters said to their readers and the node neither passed on as a commit nor refused, in its order.
#[derive(Debug, Default)]
pub(crate) struct Unpassed(VecDeque<(Option<Peer>, Arc<str>)>);

/// What a node has counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) frames: u64,
    pub(crate) commits: u64,
    pub(crate) refused: u64,
    pub(crate) kept_answers: u64,
}

impl World {
    pub(crate) fn counted(&self) -> Counted {
        let counters = self.node.counters();
        Counted {
            frames: counters.frames,
            commits: counters.commits,
            refused: counters.refused.values().sum(),
            kept_answers: counters.kept_answers,
        }
    }

    /// The node has heard a frame, and neither taken nor refused it.
    pub(crate) fn is_unpassed(&mut self, sender: Option<Peer>, frame: &Arc<str>) {
        let header = Header::peek(frame);
        if header.is_ok_and(|one| one.kind == Type::Update && one.to.ends_with("/changes")) {
            self.unpassed.0.push_back((sender, Arc::clone(frame)));
            if self.unpassed.0.len() > REMEMBERED {
                self.unpassed.0.pop_front();
            }
        }
    }

    /// The node has done something, and had counted so much `before` and what it heard: what it took beside that, it had
    /// withheld.
    pub(crate) fn gives_out(&mut self, before: Counted) {
        let now = self.counted();
        let given_out = usize::try_from(now.frames - before.frames).unwrap_or_default();
        let first = self.unpassed.0.len().saturating_sub(given_out);
        let mut taken = now.commits - before.commits;
        for (sender, frame) in self.unpassed.0.split_off(first) {
            let commit = Header::peek(&frame).is_ok_and(|one| CommitHeader::peek(one.body).is_ok());
            if commit && taken > 0 {
                taken -= 1;
                self.totals.one(Count::GivenOut);
                self.oracle
                    .node_took_commit(sender, &frame, &mut self.totals);
            }
        }
    }
}
