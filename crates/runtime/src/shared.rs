//! What a runtime's handles and its driver share: core's machine, and who waits for what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use byline_core::State;
use byline_core::address::Address;
use byline_core::children::ChildrenChanged;
use byline_core::error::Refusal;
use byline_core::limits::HISTORY_COMMITS_MAX;
use byline_core::runtime::{self, Asking, Connection, Event, Executing, Output, Seat, Snapshot};
use byline_core::stream::Changed;
use byline_core::stream::Written;
use byline_core::time::Time;
use serde_json::Value;
use tokio::sync::{Notify, broadcast, oneshot, watch};

use crate::children::ChildrenStep;
use crate::clock::Clock;
use crate::files::Waiting;
use crate::inbox::Inbox;
use crate::notifications::Notice;
use crate::queue::Queue;

/// Shared by the driver task and every handle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    inner: Mutex<Inner>,
    /// The driver has something to do.
    pub(crate) wake: Notify,
    /// The driver has sent something.
    pub(crate) sent: Notify,
    /// What became of the last attempt to connect; `None` while there is no outcome.
    pub(crate) reached: watch::Sender<Option<Result<(), String>>>,
    /// The driver is gone.
    pub(crate) ended: watch::Sender<bool>,
}

/// Held for moments only: no lock is ever held across an await.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) machine: runtime::Runtime,
    pub(crate) reporters: BTreeMap<Seat, Reported>,
    pub(crate) observers: BTreeMap<Seat, Watched>,
    /// Those who follow children, by their collection.
    pub(crate) followers: BTreeMap<(Seat, String), Followers>,
    /// What happens to the hyperties that take it.
    pub(crate) notices: BTreeMap<Address, Inbox<Notice>>,
    pub(crate) reads: BTreeMap<u64, oneshot::Sender<Result<Snapshot, Refusal>>>,
    pub(crate) deliveries: BTreeMap<u64, oneshot::Sender<()>>,
    pub(crate) commands: BTreeMap<u64, oneshot::Sender<Result<(), Refusal>>>,
    pub(crate) fetches: BTreeMap<u64, Waiting>,
    pub(crate) answers: BTreeMap<u64, oneshot::Sender<Result<Value, Refusal>>>,
    /// How the connection is doing.
    pub(crate) connection: watch::Sender<Connection>,
    /// Why there will be no session any more, once that is so.
    pub(crate) over: Option<Refusal>,
    /// Nobody holds a handle any more, or the application said so.
    pub(crate) closing: bool,
}

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
}

impl Reported {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: watch::Sender::new(state),
            rejected: watch::Sender::new(()),
            kept: VecDeque::new(),
            requests: Inbox::default(),
            executions: Inbox::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), State::Closed(_))
    }

    fn becomes(&mut self, state: State) {
        self.state.send_replace(state);
        if self.is_over() {
            self.requests.wake();
            self.executions.wake();
        }
    }

    /// Keeps the newest of what was rejected, as many as a history has.
    fn reject(&mut self, commits: Vec<Written>) {
        self.kept.extend(commits);
        let over = self.kept.len().saturating_sub(HISTORY_COMMITS_MAX);
        if over > 0 {
            tracing::warn!(over, "rejected commits that nobody asked for are let go");
            self.kept.drain(..over);
        }
        self.rejected.send_replace(());
    }
}

/// An Observer's state, and the queues of those who follow its changes.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) state: watch::Sender<State>,
    pub(crate) queues: Vec<Weak<Queue<Changed>>>,
}

/// Events that may wait for a slow follower: of more, the oldest are lost.
const EVENTS: usize = 256;

/// Those who follow the children of one collection.
#[derive(Debug)]
pub(crate) struct Followers {
    pub(crate) queues: Vec<Weak<Queue<ChildrenStep>>>,
    pub(crate) events: broadcast::Sender<Event>,
}

impl Default for Followers {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            events: broadcast::Sender::new(EVENTS),
        }
    }
}

impl Followers {
    fn close(&self) {
        let queues = self.queues.iter().filter_map(Weak::upgrade);
        queues.for_each(|queue| queue.close());
    }
}

impl Shared {
    pub(crate) fn new(machine: runtime::Runtime) -> Self {
        Self {
            clock: Clock::start(),
            inner: Mutex::new(Inner {
                machine,
                reporters: BTreeMap::new(),
                observers: BTreeMap::new(),
                followers: BTreeMap::new(),
                notices: BTreeMap::new(),
                reads: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                commands: BTreeMap::new(),
                fetches: BTreeMap::new(),
                answers: BTreeMap::new(),
                connection: watch::Sender::new(Connection::Connecting),
                over: None,
                closing: false,
            }),
            wake: Notify::new(),
            sent: Notify::new(),
            reached: watch::Sender::new(None),
            ended: watch::Sender::new(false),
        }
    }

    /// The machine and its waiters. A panic elsewhere (an application's closure) leaves them whole:
    /// core changes nothing before it has checked everything.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets who asked that question wait for so long.
    pub(crate) fn hold(&self, number: u64, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.lock().machine.hold(number, ms, self.clock.now());
        self.wake.notify_one();
    }

    /// Ends the session; the driver sends what is left to say.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        if !std::mem::replace(&mut inner.closing, true) {
            inner.machine.close(self.clock.now());
            inner.over.get_or_insert_with(closed_here);
        }
        drop(inner);
        self.wake.notify_one();
    }
}

impl Inner {
    /// Tells whoever waits for it what has come out of the machine; gives back what only a connection
    /// can do. This is the one place where outputs are performed.
    pub(crate) fn perform(&mut self, output: Output, now: Time) -> Option<ToLink> {
        match output {
            Output::Connect => return Some(ToLink::Connect),
            Output::Disconnect => return Some(ToLink::Disconnect),
            Output::Send(frame) => return Some(ToLink::Send(frame)),
            Output::Reporter(seat, state) => {
                let closed = matches!(state, State::Closed(_));
                if let Some(reporter) = self.reporters.get_mut(&seat) {
                    reporter.becomes(state);
                }
                if closed {
                    self.end_followers(&seat);
                }
            }
            Output::Observer(seat, state) => self.observer_becomes(&seat, state),
            Output::Changed(seat, changed) => {
                if let Some(watched) = self.observers.get_mut(&seat) {
                    watched.queues.retain(|queue| queue.strong_count() > 0);
                    for queue in watched.queues.iter().filter_map(Weak::upgrade) {
                        queue.push(changed.number, &changed);
                    }
                }
            }
            Output::Children(seat, name, changed) => self.followed(seat, name, changed),
            Output::Event(seat, name, event) => {
                if let Some(followers) = self.followers.get(&(seat, name)) {
                    // Nobody may listen: then nobody misses it.
                    let _ = followers.events.send(event);
                }
            }
            Output::Read(call, result) => {
                if let Some(waiting) = self.reads.remove(&call) {
                    // Whoever asked may have gone: then nobody needs the answer.
                    let _ = waiting.send(result);
                }
            }
            Output::Rejected(seat, commits) => {
                if let Some(reporter) = self.reporters.get_mut(&seat) {
                    reporter.reject(commits);
                }
            }
            Output::Asked(seat, asking) => {
                if let Some(reporter) = self.reporters.get_mut(&seat) {
                    reporter.requests.push(asking);
                }
            }
            Output::Executing(seat, executing) => self.executes(&seat, executing),
            Output::Fetching(call, received) => {
                if let Some(waiting) = self.fetches.get(&call) {
                    waiting.received.send_replace(received);
                }
            }
            Output::Fetched(call, result) => {
                if let Some(waiting) = self.fetches.remove(&call) {
                    let _ = waiting.end.send(result);
                }
            }
            Output::Answered(call, result) => {
                if let Some(waiting) = self.answers.remove(&call) {
                    let _ = waiting.send(result);
                }
            }
            Output::Invited(to, invitation) => self.invited(&to, invitation, now),
            Output::Gone(seat, number) => self.gone(&seat, number),
            Output::Done(call, result) => {
                if let Some(waiting) = self.commands.remove(&call) {
                    let _ = waiting.send(result);
                }
            }
            Output::Delivered(call) => {
                if let Some(waiting) = self.deliveries.remove(&call) {
                    let _ = waiting.send(());
                }
            }
            Output::Connection(connection) => {
                self.connection.send_replace(connection);
            }
            Output::NeedsToken => return Some(ToLink::NeedsToken),
            Output::Refused(refusal) => {
                tracing::debug!(%refusal, "the session has ended");
                self.end(refusal);
            }
        }
        None
    }

    /// Those who follow a collection, to be joined.
    pub(crate) fn followers(&mut self, seat: &Seat, name: &str) -> &mut Followers {
        self.followers
            .entry((seat.clone(), name.to_owned()))
            .or_default()
    }

    /// Whether it is over with the object of a seat.
    pub(crate) fn is_closed(&self, seat: &Seat) -> bool {
        let reported = self.reporters.get(seat).map(|reported| &reported.state);
        let watched = || Some(&self.observers.get(seat)?.state);
        let state = reported.or_else(watched);
        state.is_none_or(|state| matches!(*state.borrow(), State::Closed(_)))
    }

    fn followed(&mut self, seat: Seat, name: String, changed: ChildrenChanged) {
        let Some(followers) = self.followers.get_mut(&(seat, name)) else {
            return;
        };
        followers.queues.retain(|queue| queue.strong_count() > 0);
        let (number, step) = (changed.number, ChildrenStep::Changed(changed));
        for queue in followers.queues.iter().filter_map(Weak::upgrade) {
            queue.push(number, &step);
        }
    }

    /// Nothing more comes of the children of a seat.
    pub(crate) fn end_followers(&mut self, seat: &Seat) {
        self.followers.retain(|(of, _), followers| {
            let ends = of == seat;
            if ends {
                followers.close();
            }
            !ends
        });
    }

    fn observer_becomes(&mut self, seat: &Seat, state: State) {
        let closed = matches!(state, State::Closed(_));
        if let State::Closed(refusal) = &state {
            self.observer_ends(seat, refusal);
        }
        if let Some(watched) = self.observers.get_mut(seat) {
            watched.state.send_replace(state);
            let queues = watched.queues.iter().filter(|_| closed);
            queues.filter_map(Weak::upgrade).for_each(|q| q.close());
        }
        if closed {
            self.end_followers(seat);
        }
    }

    /// A reader asks for something: whoever takes that gets it.
    fn executes(&mut self, seat: &Seat, executing: Executing) {
        let reporter = self.reporters.get_mut(seat);
        match reporter.filter(|reporter| reporter.executions.is_taken()) {
            Some(reporter) => reporter.executions.push(executing),
            None => self.refuse_execution(executing.number),
        }
    }

    /// Nobody waits for the answer to a question any more.
    fn gone(&mut self, seat: &Seat, number: u64) {
        if let Some(reporter) = self.reporters.get_mut(seat) {
            reporter.requests.retain(|one| one.number != number);
            reporter.executions.retain(|one| one.number != number);
        }
        for notices in self.notices.values_mut() {
            notices.retain(|one| !matches!(one, Notice::Invited(one) if one.number == number));
        }
    }

    /// Nobody does what a reader asks for, if that is still to be said.
    pub(crate) fn refuse_execution(&mut self, number: u64) {
        let refusal = Refusal::not_built("its application does nothing of the kind");
        // Only a value can be wrong.
        _ = self.machine.answer_execute(number, Err(refusal));
    }

    /// There will be no answers any more: tells everybody who waits for one. Who asks from here on
    /// is told at once.
    pub(crate) fn end(&mut self, refusal: Refusal) {
        let over = self.over.get_or_insert(refusal);
        self.connection.send_if_modified(|connection| {
            let ended = matches!(connection, Connection::Ended(_));
            if !ended {
                *connection = Connection::Ended(over.clone());
            }
            !ended
        });
        let close = |state: &mut State| {
            let open = !matches!(state, State::Closed(_));
            if open {
                *state = State::Closed(over.clone());
            }
            open
        };
        for reporter in self.reporters.values_mut() {
            if !reporter.is_over() {
                reporter.becomes(State::Closed(over.clone()));
            }
        }
        for watched in self.observers.values() {
            watched.state.send_if_modified(close);
            watched
                .queues
                .iter()
                .filter_map(Weak::upgrade)
                .for_each(|queue| queue.close());
        }
        self.followers.values().for_each(Followers::close);
        self.followers.clear();
        self.notices.values_mut().for_each(Inbox::wake);
        self.deliveries.clear();
        self.commands.clear();
        self.fetches.clear();
        self.answers.clear();
        self.reads.clear();
    }
}

/// Why something that was asked is not answered any more.
pub(crate) fn ended() -> Refusal {
    Refusal::conflict("the session has ended: it may be done or not")
}

/// The end that the application itself has asked for.
pub(crate) fn closed_here() -> Refusal {
    Refusal::conflict("closed by this application")
}

/// What only the connection can do.
#[derive(Debug)]
pub(crate) enum ToLink {
    Connect,
    Disconnect,
    Send(String),
    NeedsToken,
}

/// Keeps the driver going: with the last handle the session ends.
#[derive(Debug)]
pub(crate) struct Alive(pub(crate) Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.close();
    }
}
