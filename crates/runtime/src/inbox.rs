//! What waits until the application takes it: each is given once, to one of those who wait.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// Things that wait, and who waits for them. How many there may be is said where they come from.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    waiting: VecDeque<T>,
    wakers: Vec<Waker>,
    /// How many have said that they take what comes.
    takers: usize,
}

// Derived, it would ask the same of `T`.
impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            wakers: Vec::new(),
            takers: 0,
        }
    }
}

impl<T> Inbox<T> {
    pub(crate) fn push(&mut self, one: T) {
        self.waiting.push_back(one);
        self.wake();
    }

    /// Keeps at most `limit` of those that may `go`: the oldest is let go for this one.
    pub(crate) fn push_within(&mut self, one: T, limit: usize, go: impl Fn(&T) -> bool) {
        if self.waiting.iter().filter(|one| go(one)).count() >= limit
            && let Some(oldest) = self.waiting.iter().position(go)
        {
            self.waiting.remove(oldest);
        }
        self.push(one);
    }

    /// Somebody takes what comes from now on.
    pub(crate) const fn enter(&mut self) {
        self.takers += 1;
    }

    /// One of those who take what comes does no longer. With the last of them what waits is given back.
    pub(crate) fn leave(&mut self) -> VecDeque<T> {
        self.takers = self.takers.saturating_sub(1);
        if self.is_taken() {
            return VecDeque::new();
        }
        std::mem::take(&mut self.waiting)
    }

    pub(crate) const fn is_taken(&self) -> bool {
        self.takers > 0
    }

    /// Takes back what nobody needs to take any more.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.waiting.retain(keep);
    }

    /// Whoever waits looks again.
    pub(crate) fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// The next one; `None` when there is none and it is `over`.
    pub(crate) fn poll(&mut self, over: bool, cx: &Context<'_>) -> Poll<Option<T>> {
        if let Some(one) = self.waiting.pop_front() {
            return Poll::Ready(Some(one));
        }
        if over {
            return Poll::Ready(None);
        }
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
