//! What waits for one follower of something that changes: a bounded queue of steps, and the whole in
//! place of those that did not fit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Steps that may wait for a slow follower. Beyond, it gets one that replaces everything instead.
const QUEUE_STEPS: usize = 1024;

/// The steps that wait for one follower.
#[derive(Debug)]
pub(crate) struct Queue<S>(Mutex<Waiting<S>>);

#[derive(Debug)]
struct Waiting<S> {
    steps: VecDeque<S>,
    /// The number of the last step that is here or was given out, in a whole or by itself.
    seen: u64,
    overflowed: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl<S: Clone> Queue<S> {
    /// A queue that begins with the whole, when there is one yet, and its number.
    pub(crate) fn new(whole: Option<(u64, S)>) -> Self {
        let seen = whole.as_ref().map_or(0, |(number, _)| *number);
        Self(Mutex::new(Waiting {
            steps: whole.into_iter().map(|(_, whole)| whole).collect(),
            seen,
            overflowed: false,
            closed: false,
            waker: None,
        }))
    }

    /// Adds the step of this number, unless the follower has it already.
    pub(crate) fn push(&self, number: u64, step: &S) {
        let mut queue = self.lock();
        if number <= queue.seen || queue.overflowed {
            return;
        }
        if queue.steps.len() >= QUEUE_STEPS {
            queue.steps = VecDeque::new();
            queue.overflowed = true;
        } else {
            queue.seen = number;
            queue.steps.push_back(step.clone());
        }
        queue.wake();
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.wake();
    }

    /// The next step, in place of many the `whole` and its number; `None` when it is closed and everything
    /// before was given out.
    pub(crate) fn poll(
        &self,
        cx: &Context<'_>,
        whole: impl FnOnce() -> Option<(u64, S)>,
    ) -> Poll<Option<S>> {
        let mut queue = self.lock();
        if std::mem::take(&mut queue.overflowed)
            && let Some((number, whole)) = whole()
        {
            queue.seen = number;
            return Poll::Ready(Some(whole));
        }
        if let Some(step) = queue.steps.pop_front() {
            return Poll::Ready(Some(step));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Waiting<S> {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
