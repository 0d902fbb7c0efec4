//! When what was written is safe from the end of this process, and of the node's where that keeps it
//! (protocol.md §7).

use std::sync::Arc;

use super::{Output, Runtime, Seat};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::COMMANDS_MAX;

/// Why it is not known that what was written is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The store takes nothing now; it is tried again. What was written is still there, and waits.
    #[error("{0}")]
    NotStored(Arc<str>),
    /// Nothing of the object rests anywhere.
    #[error("nothing of `{0}` is stored: create it with a store")]
    NotKept(Address),
    /// This Reporter was let go, or it is over with the object.
    #[error(transparent)]
    Closed(#[from] Refusal),
}

impl Runtime {
    /// Asks to be told, by [`Output::Flushed`] with the number returned, when everything written on an object before is
    /// stored.
    ///
    /// # Errors
    /// [`FlushError`], when that is known now.
    pub fn flush(&mut self, seat: &Seat) -> Result<u64, FlushError> {
        let gone = || Refusal::conflict("its object was let go");
        let stream = self.reporter(seat).ok_or_else(gone)?;
        if !stream.rests() {
            return Err(FlushError::NotKept(seat.object.clone()));
        }
        if let Some(why) = &self.resting.why {
            return Err(FlushError::NotStored(Arc::clone(why)));
        }
        if self.flushes.len() >= COMMANDS_MAX {
            let desc = format!("{COMMANDS_MAX} calls wait to be stored: wait for one");
            return Err(Refusal::too_many(desc).into());
        }
        self.calls += 1;
        self.flushes.insert(self.calls, self.resting.next());
        self.end_flushes();
        Ok(self.calls)
    }

    /// Answers what is stored by now.
    pub(super) fn end_flushes(&mut self) {
        let stored = self.resting.stored;
        let outbox = &mut self.outbox;
        self.flushes.retain(|call, batch| {
            if *batch <= stored {
                outbox.push_back(Output::Flushed(*call, Ok(())));
            }
            *batch > stored
        });
    }

    /// The store takes nothing now.
    pub(super) fn fail_flushes(&mut self, why: &str) {
        let why: Arc<str> = why.into();
        for call in std::mem::take(&mut self.flushes).into_keys() {
            let error = FlushError::NotStored(Arc::clone(&why));
            self.outbox.push_back(Output::Flushed(call, Err(error)));
        }
    }
}
