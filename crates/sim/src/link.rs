//! A connection between a runtime and the node: two ordered ways, each with its own delay, that end
//! as connections end: for one side first, with frames lost, or without a word.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use byline_core::node::{ConnectionId, ObjectId};

/// Frames that a socket takes before it makes its writer wait.
const SOCKET_FRAMES: usize = 8;
/// Bytes that may wait for a slow reader. The real limit is larger; the rule is the same.
const QUEUE_BYTES_MAX: usize = 12 << 10;
/// What may stay when too much waits.
const SHED_BYTES: usize = QUEUE_BYTES_MAX / 2;
/// When less than this waits, what was parked is woken.
const WAKE_BYTES: usize = QUEUE_BYTES_MAX / 4;

/// What a bad link does to the stream frames of readers, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Badness {
    pub(crate) duplicate: u64,
    pub(crate) swap: u64,
    /// Said again long after it was said.
    pub(crate) late: u64,
    pub(crate) vanish: u64,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Way {
    frames: VecDeque<Flying>,
    pub(crate) bytes: usize,
    pub(crate) delay_ms: u64,
    pub(crate) blocked_until: u64,
    last_at: u64,
    /// What is sent from now on vanishes.
    pub(crate) cut: bool,
}

#[derive(Debug)]
struct Flying {
    at: u64,
    frame: Arc<str>,
    /// Whose stream it is of: it may be dropped while it waits.
    of: Option<ObjectId>,
}

impl Way {
    /// When the next frame arrives.
    pub(crate) fn next_at(&self) -> Option<u64> {
        let first = self.frames.front()?;
        Some(first.at.max(self.blocked_until))
    }

    /// When all that is on its way will have arrived.
    pub(crate) fn empty_at(&self, now: u64) -> u64 {
        if self.frames.is_empty() {
            now
        } else {
            self.last_at.max(self.blocked_until).max(now)
        }
    }

    pub(crate) fn takes_more(&self) -> bool {
        self.frames.len() < SOCKET_FRAMES
    }

    pub(crate) fn push(&mut self, frame: Arc<str>, of: Option<ObjectId>, now: u64, jitter_ms: u64) {
        if self.cut {
            return;
        }
        self.last_at = self.last_at.max(now + self.delay_ms + jitter_ms);
        self.bytes += frame.len();
        self.frames.push_back(Flying {
            at: self.last_at,
            frame,
            of,
        });
    }

    /// Lets the last frame change places with the one before, when both are stream frames.
    pub(crate) fn swap_last(&mut self) -> bool {
        let len = self.frames.len();
        let stream = |flying: &Flying| flying.of.is_some();
        if len < 2 || !(stream(&self.frames[len - 1]) && stream(&self.frames[len - 2])) {
            return false;
        }
        let last = (
            Arc::clone(&self.frames[len - 1].frame),
            self.frames[len - 1].of,
        );
        let before = &mut self.frames[len - 2];
        let before = (
            std::mem::replace(&mut before.frame, last.0),
            std::mem::replace(&mut before.of, last.1),
        );
        (self.frames[len - 1].frame, self.frames[len - 1].of) = before;
        true
    }

    pub(crate) fn pop(&mut self) -> Option<(Arc<str>, Option<ObjectId>)> {
        let flying = self.frames.pop_front()?;
        self.bytes -= flying.frame.len();
        Some((flying.frame, flying.of))
    }

    /// Drops the stream frames of the object with most bytes, then of the next, when too much waits for
    /// a slow reader; says whose. Nothing when that is not enough.
    pub(crate) fn sheds(&mut self, now: u64) -> Option<BTreeSet<ObjectId>> {
        let mut dropped = BTreeSet::new();
        while self.is_too_full(now) || !dropped.is_empty() && self.bytes > SHED_BYTES {
            let mut weights: BTreeMap<ObjectId, usize> = BTreeMap::new();
            for flying in &self.frames {
                if let Some(of) = flying.of {
                    *weights.entry(of).or_default() += flying.frame.len();
                }
            }
            let Some((heaviest, _)) = weights.into_iter().max_by_key(|(_, weight)| *weight) else {
                break;
            };
            self.withdraw(heaviest);
            dropped.insert(heaviest);
        }
        (self.bytes <= QUEUE_BYTES_MAX).then_some(dropped)
    }

    /// Whether more waits for a slow reader than may.
    pub(crate) const fn is_too_full(&self, now: u64) -> bool {
        self.blocked_until > now && self.bytes > QUEUE_BYTES_MAX
    }

    pub(crate) const fn is_nearly_empty(&self) -> bool {
        self.bytes < WAKE_BYTES
    }

    /// Drops the stream frames of an object.
    pub(crate) fn withdraw(&mut self, of: ObjectId) {
        self.frames.retain(|flying| flying.of != Some(of));
        self.bytes = self.frames.iter().map(|flying| flying.frame.len()).sum();
    }

    /// Nothing enters any more, and the last `lost` frames never arrive; says how many were lost.
    pub(crate) fn cut(&mut self, lost: usize) -> usize {
        self.cut = true;
        self.blocked_until = 0;
        let kept = self.frames.len().saturating_sub(lost);
        let gone = self.frames.len() - kept;
        for flying in self.frames.drain(kept..) {
            self.bytes -= flying.frame.len();
        }
        gone
    }
}

/// A socket and its two ends.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) who: usize,
    pub(crate) process: u64,
    pub(crate) up: Way,
    pub(crate) down: Way,
    /// Whether the node's end is open.
    pub(crate) at_node: bool,
    /// Whether the runtime's end is open.
    pub(crate) at_place: bool,
    pub(crate) bad: Option<Badness>,
    /// What will be said again, in this order.
    pub(crate) late: VecDeque<(Arc<str>, Option<ObjectId>)>,
    /// Routes on it were parked and wait to be woken.
    pub(crate) parked: bool,
    /// A head was lost or misplaced: only a new connection tells where things stand.
    pub(crate) misled: bool,
}

impl Link {
    pub(crate) fn new(
        connection: ConnectionId,
        (who, process): (usize, u64),
        delay_ms: u64,
    ) -> Self {
        let way = || Way {
            delay_ms,
            ..Way::default()
        };
        Self {
            connection,
            who,
            process,
            up: way(),
            down: way(),
            at_node: true,
            at_place: true,
            bad: None,
            late: VecDeque::new(),
            parked: false,
            misled: false,
        }
    }
}
