//! When what was written is safe from the end of this process, and of the node's where that keeps it
//! (protocol.md §7).

use std::sync::Arc;

use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::{COMMANDS_MAX, REQUEST_MS};
use crate::manager::{Kept, Progress};
use crate::time::Time;

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

/// A call that is not answered.
#[derive(Debug)]
pub(super) struct Flush {
    seat: Seat,
    /// The batch that brings the last of it; `None` where nothing of it rests here.
    batch: Option<u64>,
    /// The version of the last of it.
    version: u64,
    /// When it is asked whether the node still keeps the object.
    until: Time,
    /// The node had all of it when that was asked last.
    sent: bool,
}

impl Runtime {
    /// Asks to be told, by [`Output::Flushed`] with the number returned, when everything written on an object before is
    /// stored: here, where it rests, and at a node that has said that it stores the object's content.
    ///
    /// # Errors
    /// [`FlushError`], when that is known now.
    pub fn flush(&mut self, seat: &Seat, now: Time) -> Result<u64, FlushError> {
        let gone = || Refusal::conflict("its object was let go");
        let stream = self.reporter(seat).ok_or_else(gone)?;
        let (rests, version) = (stream.rests(), stream.written());
        if let Some(why) = self.resting.why.as_ref().filter(|_| rests) {
            return Err(FlushError::NotStored(Arc::clone(why)));
        }
        let claim = self.manager.claims.get(&seat.object);
        if !rests && claim.is_none_or(|claim| claim.kept == Kept::Nothing) {
            return Err(FlushError::NotKept(seat.object.clone()));
        }
        if self.flushes.len() >= COMMANDS_MAX {
            let desc = format!("{COMMANDS_MAX} calls wait to be stored: wait for one");
            return Err(Refusal::too_many(desc).into());
        }
        self.calls += 1;
        let flush = Flush {
            seat: seat.clone(),
            batch: rests.then(|| self.resting.next()),
            version,
            until: now.plus_ms(REQUEST_MS),
            sent: self.node_has(&seat.object, version),
        };
        self.timers.insert((flush.until, Timer::Flush(self.calls)));
        self.flushes.insert(self.calls, flush);
        self.end_flushes();
        Ok(self.calls)
    }

    /// Answers what is stored by now.
    pub(super) fn end_flushes(&mut self) {
        for call in self.flushes.keys().copied().collect::<Vec<_>>() {
            let result = self
                .flushes
                .get(&call)
                .and_then(|flush| self.is_safe(flush));
            if let Some(result) = result {
                self.flush_ends(call, result);
            }
        }
    }

    fn flush_ends(&mut self, call: u64, result: Result<(), FlushError>) {
        if let Some(flush) = self.flushes.remove(&call) {
            self.timers.remove(&(flush.until, Timer::Flush(call)));
            self.outbox.push_back(Output::Flushed(call, result));
        }
    }

    /// Whether the node has been sent the commits of an object up to `version`, and is there.
    fn node_has(&self, object: &Address, version: u64) -> bool {
        let claim = self.manager.claims.get(object);
        let held = claim.filter(|claim| claim.progress == Progress::Held);
        let syncher = held.and_then(|claim| self.synchers.get(&claim.reporter));
        let reporter = syncher.and_then(|syncher| syncher.reporters.get(object));
        self.session.is_live() && reporter.is_some_and(|one| one.stream.has_sent(version))
    }

    /// Whether it is stored wherever it should be; `None` while that is not known.
    fn is_safe(&self, flush: &Flush) -> Option<Result<(), FlushError>> {
        if flush.batch.is_some_and(|batch| batch > self.resting.stored) {
            return None;
        }
        let claim = self.manager.claims.get(&flush.seat.object);
        let stream = self.reporter(&flush.seat);
        let (Some(claim), Some(stream)) = (claim, stream) else {
            let over =
                || Refusal::conflict("it is over with the object: the node may have it or not");
            return Some(flush.batch.map(|_| ()).ok_or_else(|| over().into()));
        };
        // What was written beside the object is no part of it, and was told as rejected.
        let version = flush.version.min(stream.written());
        match claim.kept {
            Kept::UpTo(stored) => (stored >= version).then_some(Ok(())),
            Kept::Unknown => flush.batch.map(|_| Ok(())),
            Kept::Nothing => {
                let not_kept = || FlushError::NotKept(flush.seat.object.clone());
                Some(flush.batch.map(|_| ()).ok_or_else(not_kept))
            }
        }
    }

    /// A node that had everything in all the time, and has not said that it stores it, does not, or no longer.
    pub(super) fn flush_over(&mut self, call: u64, now: Time) {
        let Some(flush) = self.flushes.get(&call) else {
            return;
        };
        let object = flush.seat.object.clone();
        let (sent, before) = (self.node_has(&object, flush.version), flush.sent);
        let claim = self.manager.claims.get_mut(&object);
        if claim
            .as_ref()
            .is_none_or(|claim| claim.kept == Kept::Unknown)
            && flush.batch.is_none()
        {
            return self.flush_ends(call, Err(FlushError::NotKept(object)));
        }
        if let Some(claim) = claim.filter(|_| sent && before) {
            claim.kept = Kept::Nothing;
            return self.end_flushes();
        }
        if let Some(flush) = self.flushes.get_mut(&call) {
            flush.until = now.plus_ms(REQUEST_MS);
            flush.sent = sent;
            self.timers.insert((flush.until, Timer::Flush(call)));
        }
    }

    /// The node says up to where it has stored what this runtime reports.
    pub(super) fn node_has_stored(&mut self, url: &Address, version: u64) {
        if let Some(claim) = self.manager.claims.get_mut(url) {
            claim.kept = Kept::UpTo(version);
            self.end_flushes();
        }
    }

    /// The store takes nothing now.
    pub(super) fn fail_flushes(&mut self, why: &str) {
        let why: Arc<str> = why.into();
        let stored = self.resting.stored;
        let waits = |flush: &Flush| flush.batch.is_some_and(|batch| batch > stored);
        let waiting = self.flushes.iter().filter(|(_, flush)| waits(flush));
        for call in waiting.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.flush_ends(call, Err(FlushError::NotStored(Arc::clone(&why))));
        }
    }
}
