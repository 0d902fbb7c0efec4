//! What happened last, for whoever reads a failure, and a number that stands for all that happened.

use std::collections::VecDeque;
use std::fmt;

/// How many events before a failure are shown.
const EVENTS_KEPT: usize = 60;
/// How much of a frame is shown.
const FRAME_CHARS: usize = 400;

/// The newest events, when somebody will read them, and the fingerprint of all.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    wanted: bool,
    events: VecDeque<String>,
    fingerprint: u64,
}

impl Trace {
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Notes an event; `what` is only asked for when somebody will read it.
    pub(crate) fn note(&mut self, now: u64, what: impl FnOnce() -> String) {
        if self.wanted {
            let mut event = what();
            if event.chars().count() > FRAME_CHARS {
                event = event.chars().take(FRAME_CHARS).collect::<String>() + "…";
            }
            if self.events.len() == EVENTS_KEPT {
                self.events.pop_front();
            }
            self.events.push_back(format!("{now:>9} ms  {event}"));
        }
    }

    /// Mixes an event into the fingerprint.
    pub(crate) fn mix(&mut self, now: u64, bytes: &[u8]) {
        let mut hash = self.fingerprint ^ now.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.fingerprint = hash;
    }

    pub(crate) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn into_events(self) -> Vec<String> {
        self.events.into()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.fingerprint)
    }
}
