//! What a runtime's handles of one Reporter and its driver share.

use std::collections::VecDeque;
use std::convert::Infallible;

use byline_core::State;
use byline_core::limits::HISTORY_COMMITS_MAX;
use byline_core::runtime::{Asking, Executing};
use byline_core::stream::Written;
use tokio::sync::watch;

use crate::inbox::Inbox;

/// A Reporter's state, and what it wrote that is no part of its object.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) state: watch::Sender<State>,
    /// Tells that more is kept.
    pub(crate) rejected: watch::Sender<()>,
    /// Rejected commits that nobody has asked for yet, oldest first.
    pub(crate) kept: VecDeque<Written>,
    /// Those who ask to read: as many as core lets wait.
    pub(crate) requests: Inbox<Asking>,
    /// What readers ask to have done: as much as core lets wait.
    pub(crate) executions: Inbox<Executing>,
    /// Those who follow who observes: nothing waits here but they.
    pub(crate) presence: Inbox<Infallible>,
}

impl Reported {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: watch::Sender::new(state),
            rejected: watch::Sender::new(()),
            kept: VecDeque::new(),
            requests: Inbox::default(),
            executions: Inbox::default(),
            presence: Inbox::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), State::Closed(_))
    }

    pub(crate) fn becomes(&mut self, state: State) {
        self.state.send_replace(state);
        if self.is_over() {
            self.requests.wake();
            self.executions.wake();
            self.presence.wake();
        }
    }

    /// Keeps the newest of what was rejected, as many as a history has.
    pub(crate) fn reject(&mut self, commits: Vec<Written>) {
        self.kept.extend(commits);
        let over = self.kept.len().saturating_sub(HISTORY_COMMITS_MAX);
        if over > 0 {
            tracing::warn!(over, "rejected commits that nobody asked for are let go");
            self.kept.drain(..over);
        }
        self.rejected.send_replace(());
    }
}
