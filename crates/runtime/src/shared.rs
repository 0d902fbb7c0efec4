//! What a runtime's handles and its driver share: core's machine, and who waits for what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use byline_core::State;
use byline_core::error::Refusal;
use byline_core::limits::HISTORY_COMMITS_MAX;
use byline_core::object::Change;
use byline_core::runtime::{self, Connection, Output, Seat, Snapshot};
use tokio::sync::{Notify, oneshot, watch};

use crate::clock::Clock;
use crate::observer::Queue;

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
    pub(crate) reads: BTreeMap<u64, oneshot::Sender<Result<Snapshot, Refusal>>>,
    pub(crate) deliveries: BTreeMap<u64, oneshot::Sender<()>>,
    pub(crate) commands: BTreeMap<u64, oneshot::Sender<Result<(), Refusal>>>,
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
    pub(crate) kept: VecDeque<Vec<Change>>,
}

impl Reported {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: watch::Sender::new(state),
            rejected: watch::Sender::new(()),
            kept: VecDeque::new(),
        }
    }

    /// Keeps the newest of what was rejected, as many as a history has.
    fn reject(&mut self, commits: Vec<Vec<Change>>) {
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
    pub(crate) queues: Vec<Weak<Queue>>,
}

impl Shared {
    pub(crate) fn new(machine: runtime::Runtime) -> Self {
        Self {
            clock: Clock::start(),
            inner: Mutex::new(Inner {
                machine,
                reporters: BTreeMap::new(),
                observers: BTreeMap::new(),
                reads: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                commands: BTreeMap::new(),
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
    pub(crate) fn perform(&mut self, output: Output) -> Option<ToLink> {
        match output {
            Output::Connect => return Some(ToLink::Connect),
            Output::Disconnect => return Some(ToLink::Disconnect),
            Output::Send(frame) => return Some(ToLink::Send(frame)),
            Output::Reporter(seat, state) => {
                if let Some(reporter) = self.reporters.get(&seat) {
                    reporter.state.send_replace(state);
                }
            }
            Output::Observer(seat, state) => {
                if let Some(watched) = self.observers.get_mut(&seat) {
                    let closed = matches!(state, State::Closed(_));
                    watched.state.send_replace(state);
                    if closed {
                        watched
                            .queues
                            .iter()
                            .filter_map(Weak::upgrade)
                            .for_each(|q| q.close());
                    }
                }
            }
            Output::Changed(seat, changed) => {
                if let Some(watched) = self.observers.get_mut(&seat) {
                    watched.queues.retain(|queue| queue.strong_count() > 0);
                    for queue in watched.queues.iter().filter_map(Weak::upgrade) {
                        queue.push(&changed);
                    }
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
        for reporter in self.reporters.values() {
            reporter.state.send_if_modified(close);
        }
        for watched in self.observers.values() {
            watched.state.send_if_modified(close);
            watched
                .queues
                .iter()
                .filter_map(Weak::upgrade)
                .for_each(|queue| queue.close());
        }
        self.deliveries.clear();
        self.commands.clear();
        self.reads.clear();
    }
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
