//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use byline_core::storage::Batch;

use crate::{Store, StoreError};

/// How long it waits before it tries a batch again, at first.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long it waits at most.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Has a store, and one thread that commits to it: one batch at a time, each for as long as it takes.
///
/// A batch that cannot be written is told and tried again, after a second and then later and later, until it is stored
/// or the writer stops. Dropping it stops it too.
#[derive(Debug)]
pub struct Writer {
    /// Gone when it stops.
    batches: Option<Sender<Batch>>,
    under_way: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Writer {
    /// Starts the thread. It calls `on_done` with each batch that is stored, once, and before that with each try that
    /// failed; `on_done` holds the next batch up for as long as it runs.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start<S, F>(store: S, on_done: F) -> io::Result<Self>
    where
        S: Store + 'static,
        F: FnMut(Result<(), StoreError>) + Send + 'static,
    {
        Self::start_pausing(store, on_done, PAUSE_MIN)
    }

    fn start_pausing<S, F>(store: S, mut on_done: F, pause: Duration) -> io::Result<Self>
    where
        S: Store + 'static,
        F: FnMut(Result<(), StoreError>) + Send + 'static,
    {
        let (sender, batches) = channel();
        let under_way = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&under_way);
        let on_try = move |outcome: &Result<(), StoreError>| {
            done.store(outcome.is_err(), Ordering::Release);
            on_done(outcome.clone());
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(store, &batches, on_try, pause))?;
        Ok(Self {
            batches: Some(sender),
            under_way,
            thread: Some(thread),
        })
    }

    /// Has `batch` written, and returns at once. No other may be under way: the machines of `byline-core` put none
    /// out before the last is stored.
    pub fn write(&self, batch: Batch) {
        let busy = self.under_way.swap(true, Ordering::AcqRel);
        debug_assert!(!busy, "one batch is under way at a time");
        // A thread that is gone has panicked, and said so: nothing of what follows is told as stored.
        let _ = self.batches.as_ref().map(|batches| batches.send(batch));
    }

    /// Waits for the batch under way, for which there is one last try, and closes the store.
    ///
    /// # Errors
    /// When that batch could not be stored.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.batches = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) if !thread::panicking() => std::panic::resume_unwind(panic),
            _ => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever wants to know whether the last batch is stored calls `stop`.
        let _ = self.finish();
    }
}

fn run(
    mut store: impl Store,
    batches: &Receiver<Batch>,
    mut on_try: impl FnMut(&Result<(), StoreError>),
    pause: Duration,
) -> Result<(), StoreError> {
    for batch in batches {
        let mut pause = pause;
        let mut stopping = false;
        loop {
            let outcome = store.commit(&batch);
            on_try(&outcome);
            if outcome.is_ok() {
                break;
            }
            if stopping {
                return outcome;
            }
            // Nothing comes here but the end: a batch is under way.
            let heard = batches.recv_timeout(pause);
            stopping = matches!(heard, Err(RecvTimeoutError::Disconnected));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
