//! What a runtime's handles and its driver share: core's machine, and who waits for what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use byline_core::State;
use byline_core::address::Address;
use byline_core::error::Refusal;
use byline_core::message::body::Observers;
use byline_core::runtime::{self, Connection, Executing, FlushError, Output, Seat, Snapshot};
use byline_core::storage::Batch;
use byline_core::stream::Changed;
use byline_core::time::Time;
use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};

use crate::clock::Clock;
use crate::files::Waiting;
use crate::followers::Followers;
use crate::inbox::Inbox;
use crate::notifications::Notice;
use crate::queue::Queue;
use crate::reported::Reported;

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
    pub(crate) flushes: BTreeMap<u64, oneshot::Sender<Result<(), FlushError>>>,
    pub(crate) commands: BTreeMap<u64, oneshot::Sender<Result<(), Refusal>>>,
    pub(crate) fetches: BTreeMap<u64, Waiting>,
    pub(crate) answers: BTreeMap<u64, oneshot::Sender<Result<Value, Refusal>>>,
    pub(crate) pages: BTreeMap<u64, oneshot::Sender<Result<Observers, Refusal>>>,
    /// How the connection is doing.
    pub(crate) connection: watch::Sender<Connection>,
    /// Why there will be no session any more, once that is so.
    pub(crate) over: Option<Refusal>,
    /// Nobody holds a handle any more, or the application said so.
    pub(crate) closing: bool,
}

/// An Observer's state, and the queues of those who follow its changes.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) state: watch::Sender<State>,
    pub(crate) queues: Vec<Weak<Queue<Changed>>>,
}

impl Watched {
    pub(crate) const fn new(state: watch::Sender<State>) -> Self {
        Self {
            state,
            queues: Vec::new(),
        }
    }
}

impl Shared {
    pub(crate) fn new(machine: runtime::Runtime, clock: Clock) -> Self {
        Self {
            clock,
            inner: Mutex::new(Inner {
                machine,
                reporters: BTreeMap::new(),
                observers: BTreeMap::new(),
                followers: BTreeMap::new(),
                notices: BTreeMap::new(),
                reads: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                flushes: BTreeMap::new(),
                commands: BTreeMap::new(),
                fetches: BTreeMap::new(),
                answers: BTreeMap::new(),
                pages: BTreeMap::new(),
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
            Output::Store(batch) => return Some(ToLink::Store(batch)),
            Output::Reporter(seat, state) => self.reporter_becomes(&seat, state),
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
            Output::Event(seat, name, event) => self.heard(seat, name, event),
            Output::Read(call, result) => answer(&mut self.reads, call, result),
            Output::Rejected(seat, commits) => self.tell(&seat, |one| one.reject(commits)),
            Output::Asked(seat, asking) => self.tell(&seat, |one| one.requests.push(asking)),
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
            Output::Answered(call, result) => answer(&mut self.answers, call, result),
            Output::Presence(seat) => self.tell(&seat, |one| one.presence.wake()),
            Output::Observers(call, result) => answer(&mut self.pages, call, result),
            Output::Invited(to, invitation) => self.invited(&to, invitation, now),
            Output::Gone(seat, number) => self.gone(&seat, number),
            Output::Done(call, result) => answer(&mut self.commands, call, result),
            Output::Delivered(call) => answer(&mut self.deliveries, call, ()),
            Output::Flushed(call, result) => answer(&mut self.flushes, call, result),
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

    fn reporter_becomes(&mut self, seat: &Seat, state: State) {
        let closed = matches!(state, State::Closed(_));
        if let Some(reporter) = self.reporters.get_mut(seat) {
            reporter.becomes(state);
        }
        if closed {
            self.end_followers(seat);
        }
    }

    /// Tells a Reporter, if it is there.
    fn tell(&mut self, seat: &Seat, tell: impl FnOnce(&mut Reported)) {
        if let Some(reporter) = self.reporters.get_mut(seat) {
            tell(reporter);
        }
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
            reporter.rejected.send_replace(());
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
        self.flushes.clear();
        self.commands.clear();
        self.fetches.clear();
        self.answers.clear();
        self.pages.clear();
        self.reads.clear();
    }
}

/// Gives `result` to who waits for that call. Whoever asked may have gone: then nobody needs it.
fn answer<T>(waiting: &mut BTreeMap<u64, oneshot::Sender<T>>, call: u64, result: T) {
    if let Some(waiting) = waiting.remove(&call) {
        let _ = waiting.send(result);
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

/// What only the connection, or the store, can do.
#[derive(Debug)]
pub(crate) enum ToLink {
    Connect,
    Disconnect,
    Send(String),
    Store(Batch),
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
