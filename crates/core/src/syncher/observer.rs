//! An object that a hyperty observes: its copy, and the one recovery that may be under way.

use super::State;
use crate::error::{Refusal, Retry};
use crate::runtime::Backoff;
use crate::stream::{Changed, Head, ObserverStream, Reaction};
use crate::time::Time;

/// One object as an Observer has it.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) stream: ObserverStream,
    pub(crate) state: State,
    /// Its hyperty was let in. What comes meanwhile without that is on another hyperty's route.
    granted: bool,
    pub(crate) recovery: Recovery,
    pub(crate) backoff: Backoff,
}

/// Whether the copy is being brought up to date. One recovery per object is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Nothing is known to be missing.
    None,
    /// A `subscribe` is to be sent as soon as there is a session.
    Due,
    /// This request is not answered yet.
    Asked(u64),
    /// To be tried again then.
    Later(Time),
}

/// What an answer to `subscribe` means for what to do next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Nothing.
    Rest,
    /// Try again, as the other side said.
    Retry(Retry),
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self {
            stream: ObserverStream::new(),
            state: State::CatchingUp,
            granted: false,
            recovery: Recovery::Due,
            backoff: Backoff::default(),
        }
    }

    /// Takes a commit from the route.
    pub(crate) fn commit(&mut self, body: &str) -> Vec<Changed> {
        if !self.is_served() {
            return vec![];
        }
        self.backoff.reset();
        let reaction = self.stream.commit(body);
        self.react(reaction)
    }

    /// Takes a head, from the route or from a `re-open`.
    pub(crate) fn head(&mut self, head: &Head, now: Time) {
        if !self.is_served() {
            return;
        }
        self.backoff.reset();
        let reaction = self.stream.head(head);
        self.react(reaction);
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let since = head
            .since
            .as_deref()
            .and_then(Time::parse_rfc3339)
            .unwrap_or(now);
        self.state = match (head.live, self.recovery) {
            (false, _) => State::Stale(since),
            (true, Recovery::None) => State::Live,
            (true, _) => State::CatchingUp,
        };
    }

    /// Takes a 200 to its `subscribe`. An answer that is not enough is asked for again, but not at
    /// once: who answers so once may answer so for ever.
    pub(crate) fn content(&mut self, body: &str) -> (Vec<Changed>, Next) {
        self.granted = true;
        self.recovery = Recovery::None;
        let reaction = self.stream.content(body);
        let enough = !reaction.recover;
        if enough {
            self.backoff.reset();
            self.state = State::Live;
        }
        let changed = self.react(reaction);
        self.recovery = Recovery::None;
        (
            changed,
            if enough {
                Next::Rest
            } else {
                Next::Retry(Retry::Now)
            },
        )
    }

    /// Takes a refusal of its `subscribe`.
    pub(crate) fn refused(&mut self, refusal: Refusal) -> Next {
        self.recovery = Recovery::None;
        match refusal.code {
            408 | 429 | 500.. => {
                if self.stream.position().is_none() {
                    self.state = State::Waiting(refusal.desc.into_owned());
                }
                Next::Retry(refusal.retry)
            }
            _ => {
                self.state = State::Closed(refusal);
                Next::Rest
            }
        }
    }

    /// Its route has ended: with a 4xx for good, else it asks again.
    pub(crate) fn revoked(&mut self, code: u16, desc: String) -> Next {
        self.granted = false;
        match self.state {
            State::Closed(_) => {}
            _ if code < 500 => {
                self.state = State::Closed(Refusal::told(code, desc));
                self.recovery = Recovery::None;
            }
            _ => {
                self.need_recovery();
                self.state = State::CatchingUp;
            }
        }
        Next::Rest
    }

    /// Takes a 1xx to its `subscribe`: somebody will answer when there is somebody.
    pub(crate) fn held(&mut self, desc: String, now: Time) {
        if self.stream.position().is_none() {
            self.state = State::Waiting(desc);
        } else if !matches!(self.state, State::Stale(_)) {
            self.state = State::Stale(now);
        }
    }

    /// The way to the Reporter is cut; what was asked will not be answered.
    pub(crate) fn cut(&mut self, now: Time) {
        if matches!(self.recovery, Recovery::Asked(_)) {
            self.recovery = Recovery::Due;
        }
        match self.state {
            State::Closed(_) | State::Stale(_) => {}
            _ if self.stream.position().is_none() => self.state = State::CatchingUp,
            _ => self.state = State::Stale(now),
        }
    }

    /// The session goes on without saying that its hyperty has a route, or is a new one: it asks anew.
    pub(crate) fn ask_anew(&mut self) {
        self.granted = false;
        self.need_recovery();
    }

    /// Whether what comes on the route is for this copy.
    const fn is_served(&self) -> bool {
        self.granted && !matches!(self.state, State::Closed(_))
    }

    fn need_recovery(&mut self) {
        if self.recovery == Recovery::None && !matches!(self.state, State::Closed(_)) {
            self.recovery = Recovery::Due;
        }
    }

    fn react(&mut self, reaction: Reaction) -> Vec<Changed> {
        if let Some(refusal) = reaction.closed {
            self.state = State::Closed(refusal);
            self.recovery = Recovery::None;
        } else if reaction.recover {
            self.need_recovery();
            self.state = State::CatchingUp;
        }
        reaction.changed
    }
}
