//! An object that a hyperty observes: its copy, and the one recovery that may be under way.

use std::collections::BTreeMap;

use super::State;
use crate::children::{Authoring, ChildCommit, ChildrenChanged, Observed, Received, Unsafe};
use crate::error::{Refusal, Retry};
use crate::runtime::Backoff;
use crate::stream::{Changed, Digest, Head, ObserverStream, Reaction};
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
    /// The object's children.
    pub(crate) children: Observed,
    /// This hyperty's own commits to them, by name.
    pub(crate) authoring: BTreeMap<String, Authoring>,
    /// The steps that the children made and that were not told.
    pub(crate) told: Vec<(String, ChildrenChanged)>,
    /// The node has said where the children stand when it last said anything: with nobody there, it has them whole,
    /// and takes what is written to them.
    node_takes: bool,
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
            children: Observed::default(),
            authoring: BTreeMap::new(),
            told: Vec::new(),
            node_takes: false,
        }
    }

    /// A copy that rested, and followed until `since`.
    pub(crate) fn restored(stream: ObserverStream, since: Time) -> Self {
        let state = match stream.position() {
            Some(_) => State::Stale(since),
            None => State::CatchingUp,
        };
        Self {
            stream,
            state,
            ..Self::new()
        }
    }

    /// What to say in `have` when recovering: nothing when only a snapshot helps.
    pub(crate) fn have(&self) -> Option<Digest> {
        let data = self.stream.have()?;
        Some(Digest {
            children: self.children.have(),
            ..Digest::from(data)
        })
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
        let mut reaction = self.stream.head(head);
        let differ = head
            .children
            .is_some_and(|told| self.children.differs(told));
        reaction.recover |= differ || head.missed;
        self.node_takes = head.children.is_some();
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
            (true, Recovery::None) if self.children.is_whole() => State::Live,
            (true, _) => State::CatchingUp,
        };
    }

    /// Takes a commit of a child from the route.
    pub(crate) fn child_commit(&mut self, name: &str, commit: &ChildCommit) {
        if self.is_served() {
            self.backoff.reset();
            let received = self.children.commit(name, commit);
            self.receive(received);
            if let (Some(authoring), Some(here)) =
                (self.authoring.get_mut(name), self.children.get(name))
            {
                authoring.saw(commit, here);
            }
        }
    }

    /// Takes a page of children. What is no page is asked for again, but not at once.
    pub(crate) fn page(&mut self, body: &str) -> Next {
        let received = self.children.page(body);
        self.told.extend(received.changed);
        if let Some(refusal) = received.closed {
            self.state = State::Closed(refusal);
        } else if received.recover {
            return Next::Retry(Retry::Now);
        } else if self.may_write() && self.children.is_whole() {
            self.state = State::Live;
        }
        Next::Rest
    }

    /// Whether a page of children is to be asked for.
    pub(crate) fn reads_on(&self) -> bool {
        let rests = self.recovery == Recovery::None && self.children.asked.is_none();
        rests && self.state == State::CatchingUp && !self.children.is_whole()
    }

    /// What this hyperty wrote goes on from where an answer says that it stands; gives what is safe.
    pub(crate) fn stands(&mut self) -> Vec<Unsafe> {
        let mut safe = Vec::new();
        for (name, authoring) in &mut self.authoring {
            let yours = self.children.yours.get(name).copied();
            safe.extend(authoring.stands(yours));
            if let Some(here) = self.children.get(name) {
                authoring.settle(here);
            }
        }
        safe
    }

    /// Whether what this hyperty writes is let in as far as is known: an answer has started its route, and the
    /// Reporter is there, or the node takes it in its place.
    pub(crate) fn may_write(&self) -> bool {
        let routed = self.recovery == Recovery::None;
        match self.state {
            State::Live => true,
            State::CatchingUp => routed,
            State::Stale(_) => routed && self.node_takes,
            _ => false,
        }
    }

    fn receive(&mut self, received: Received) {
        self.told.extend(received.changed);
        if received.recover {
            self.need_recovery();
            self.state = State::CatchingUp;
        }
    }

    /// Takes a 200 to its `subscribe`. An answer that is not enough is asked for again, but not at
    /// once: who answers so once may answer so for ever.
    pub(crate) fn content(&mut self, body: &str) -> (Vec<Changed>, Next) {
        self.granted = true;
        self.recovery = Recovery::None;
        let mut reaction = self.stream.content(body);
        if !reaction.recover && reaction.closed.is_none() {
            let received = self.children.content(body);
            self.told.extend(received.changed);
            reaction.recover = received.recover;
            reaction.closed = received.closed;
        }
        let enough = !reaction.recover;
        if enough {
            self.backoff.reset();
            self.state = if self.children.is_whole() {
                State::Live
            } else {
                State::CatchingUp
            };
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
        self.children.asked = None;
        for authoring in self.authoring.values_mut() {
            authoring.cut();
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
    pub(crate) const fn is_served(&self) -> bool {
        self.granted && !matches!(self.state, State::Closed(_))
    }

    /// Something is missing: it is to ask for it, unless it does already.
    pub(crate) fn need_recovery(&mut self) {
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
