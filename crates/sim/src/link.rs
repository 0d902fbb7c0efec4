//! A connection between a runtime and the node: two ordered ways, each with its own delay, that end
//! as connections end: for one side first, with frames lost, or without a word.

use std::collections::VecDeque;
use std::sync::Arc;

use byline_core::node::ConnectionId;

/// Frames that a socket takes before it makes its writer wait.
const SOCKET_FRAMES: usize = 8;
/// Bytes that may wait for a slow reader. The real limit is larger; the rule is the same.
pub(crate) const QUEUE_BYTES_MAX: usize = 24 << 10;

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
    stream: bool,
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

    pub(crate) fn push(&mut self, frame: Arc<str>, stream: bool, now: u64, jitter_ms: u64) {
        if self.cut {
            return;
        }
        self.last_at = self.last_at.max(now + self.delay_ms + jitter_ms);
        self.bytes += frame.len();
        self.frames.push_back(Flying {
            at: self.last_at,
            frame,
            stream,
        });
    }

    /// Lets the last frame change places with the one before, when both are stream frames.
    pub(crate) fn swap_last(&mut self) -> bool {
        let len = self.frames.len();
        if len < 2 || !(self.frames[len - 1].stream && self.frames[len - 2].stream) {
            return false;
        }
        let last = Arc::clone(&self.frames[len - 1].frame);
        self.frames[len - 1].frame = std::mem::replace(&mut self.frames[len - 2].frame, last);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<str>> {
        let flying = self.frames.pop_front()?;
        self.bytes -= flying.frame.len();
        Some(flying.frame)
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
    pub(crate) late: VecDeque<Arc<str>>,
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
            misled: false,
        }
    }
}
