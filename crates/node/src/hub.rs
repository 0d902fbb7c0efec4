//! What tasks tell the node: something came, may be written, is lost, is due. Everything here runs
//! on one thread, and each call leaves nothing undone but the writing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use byline_core::node::{ConnectionId, Input, Node};
use byline_core::storage::{Row, UnreadableRow};
use byline_core::time::Time;
use hyper::HeaderMap;
use rustls::ServerConfig;
use slotmap::SlotMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::connection::{Connection, Phase};
use crate::files::Files;
use crate::frame;
use crate::keeping::{Keeping, Outcome};
use crate::metrics::{Snapshot, Traffic};
use crate::operator::OperatorToken;
use crate::reader::{Incoming, Wire};
use crate::server::Config;
use crate::socket::Sending;
use crate::state::{State, id_of, key_of};

/// Bytes one read takes at most, and so what one connection may have handled in one turn.
const READ_BYTES: usize = 16 << 10;
/// Connections written to before others get a turn.
const FLUSH_BATCH: usize = 256;
/// What a node that stops tells everybody.
const STOPPING: &str = "node stopping";
/// Pings without a sign of life after which a connection is lost.
const SILENT_PINGS_MAX: u8 = 2;

/// The state, and how those are woken whom a change of it concerns.
#[derive(Debug)]
pub(crate) struct Hub {
    domain: String,
    operator: Option<OperatorToken>,
    /// Only this machine reaches it.
    loopback: bool,
    /// What new connections are encrypted with.
    tls: RefCell<Option<Arc<ServerConfig>>>,
    /// One for each connection that may still come.
    seats: Arc<Semaphore>,
    state: RefCell<State>,
    /// What was just read; shared, as only one task runs at a time and none keeps it.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) clock: Clock,
    /// There is something to write.
    pub(crate) dirty: Notify,
    /// Core wants to be woken earlier than before.
    pub(crate) sooner: Notify,
    /// The last connection is gone.
    pub(crate) empty: Notify,
}

impl Hub {
    pub(crate) fn new(config: &Config, seed: [u8; 32]) -> Self {
        let clock = Clock::start();
        let domain = &config.domain;
        let seats = config.connections_max.min(Semaphore::MAX_PERMITS);
        let mut node = Node::new(domain, seed, clock.now());
        node.keep_content(config.content_bytes_max);
        let state = State {
            node,
            unfinished_max: config.unfinished_bytes_max,
            connections: SlotMap::new(),
            dirty: VecDeque::new(),
            traffic: Traffic::default(),
            keeping: None,
            full: false,
            stopping: false,
            written: Time::default(),
            wrote: false,
            more_follows: false,
            armed: None,
        };
        Self {
            domain: domain.clone(),
            operator: config.operator_token.clone(),
            loopback: config.listen.ip().is_loopback(),
            tls: RefCell::new(None),
            seats: Arc::new(Semaphore::new(seats)),
            state: RefCell::new(state),
            scratch: RefCell::new(vec![0; READ_BYTES].into()),
            clock,
            dirty: Notify::new(),
            sooner: Notify::new(),
            empty: Notify::new(),
        }
    }

    /// From now on these count.
    pub(crate) fn take_files(&self, files: Files) {
        self.tls.replace(files.tls);
        if let Some(tokens) = files.tokens {
            self.change(|state, _| state.node.ask_for_tokens(Box::new(tokens)));
        }
    }

    /// The node goes on from `rows`, before anybody connects.
    pub(crate) fn restore(&self, rows: impl Iterator<Item = Row>) -> Result<(), UnreadableRow> {
        self.change(|state, now| state.node.restore(rows, now))
    }

    /// From now on what the node promises is kept there.
    pub(crate) fn keep(&self, keeping: Keeping) {
        self.state.borrow_mut().keeping = Some(keeping);
    }

    /// What became of the batch under way.
    pub(crate) fn written(&self, outcome: Outcome) {
        self.change(|state, now| {
            let Some(keeping) = &mut state.keeping else {
                return;
            };
            let input = match outcome {
                Ok(()) => {
                    keeping.written.batches += 1;
                    if state.node.not_stored().is_some() {
                        warn!("what waited is stored, and everybody is answered again");
                    }
                    Input::Stored
                }
                Err(error) => {
                    keeping.written.failures += 1;
                    let why = error.to_string();
                    // Each try fails with the same words: they are said once, until it is over.
                    if state.node.not_stored().is_none_or(|told| **told != *why) {
                        warn!(%error, "nothing is answered until this is mended");
                    }
                    Input::NotStored(why.into())
                }
            };
            state.node.handle(input, now);
        });
    }

    /// Waits for the batch under way and closes the store, if there is one.
    pub(crate) fn close_store(&self) -> Outcome {
        let keeping = self.state.borrow_mut().keeping.take();
        keeping.map_or(Ok(()), Keeping::stop)
    }

    /// Whether nobody is read, as too much waits to be stored.
    pub(crate) fn is_full(&self) -> bool {
        self.state.borrow().full
    }

    /// Why what the node promises cannot be stored, while that is so.
    pub(crate) fn not_stored(&self) -> Option<Arc<str>> {
        self.state.borrow().node.not_stored().cloned()
    }

    /// A socket has become a WebSocket.
    pub(crate) fn connect(&self, socket: Sending) -> ConnectionId {
        self.change(|state, now| {
            let id = id_of(state.connections.insert(Connection::new(socket)));
            debug!(connection = id.0, "connected");
            state.node.handle(Input::Connected(id), now);
            if state.stopping {
                state.close(id, 1012, STOPPING, now);
            }
            id
        })
    }

    /// A connection's `bytes` came: hands every message in them to core.
    pub(crate) fn receive(&self, id: ConnectionId, bytes: &[u8]) {
        let mut wire = Wire::new(bytes);
        self.change(|state, now| {
            state.traffic.bytes_in += bytes.len() as u64;
            let Some(connection) = state.connections.get_mut(key_of(id)) else {
                return;
            };
            connection.silent_pings = 0;
            let Some(mut reader) = connection.reader.take() else {
                return;
            };
            let mut whole = false;
            while state.is_open(id) {
                let incoming = reader.next(&mut wire);
                if let Some(answers) = wire.answers() {
                    state.push(id, answers, None, now);
                }
                match incoming {
                    Incoming::Text(text) => {
                        whole = true;
                        state.more_follows = !wire.is_empty();
                        state
                            .node
                            .handle(Input::Received(id, text.as_str().into()), now);
                        state.perform(now);
                    }
                    Incoming::Starved => break,
                    Incoming::Broken(code, reason) => state.close(id, code, reason, now),
                    Incoming::Closed(code) => state.end(id, code, now),
                }
            }
            state.more_follows = false;
            state.starved(id, reader, whole, now);
        });
    }

    /// A connection's socket is dead, or its time to close is over.
    pub(crate) fn lose(&self, id: ConnectionId) {
        self.change(|state, now| {
            // The peer may have hung up on its side only: what waits can still reach it.
            if state.is(id, Phase::Closing) {
                state.write(id, now);
            }
            state.remove(id, now);
        });
    }

    /// The socket of a blocked connection takes bytes again.
    pub(crate) fn unblock(&self, id: ConnectionId) {
        self.change(|state, now| {
            if let Some(connection) = state.connections.get_mut(key_of(id)) {
                connection.blocked = false;
                // Taking what waits is a sign of life, and one that backs up gives no other.
                connection.silent_pings = 0;
            }
            state.write(id, now);
        });
    }

    /// There is something to be written on a connection.
    pub(crate) fn mark(&self, id: ConnectionId) {
        self.change(|state, _| state.mark(id));
    }

    /// Lets `look` see a connection, when it is still there.
    pub(crate) fn look<T>(
        &self,
        id: ConnectionId,
        look: impl FnOnce(&mut Connection) -> T,
    ) -> Option<T> {
        self.state
            .borrow_mut()
            .connections
            .get_mut(key_of(id))
            .map(look)
    }

    /// Writes to some of the connections that have something to be written. Whether more are left.
    pub(crate) fn flush(&self) -> bool {
        self.change(|state, now| {
            for _ in 0..FLUSH_BATCH {
                let Some(id) = state.dirty.pop_front() else {
                    return false;
                };
                state.write(id, now);
            }
            !state.dirty.is_empty()
        })
    }

    /// Pings everybody; whoever was silent for too long is lost.
    pub(crate) fn ping(&self) {
        self.change(|state, now| {
            for id in state.ids() {
                let Some(connection) = state.connections.get_mut(key_of(id)) else {
                    continue;
                };
                if connection.silent_pings >= SILENT_PINGS_MAX {
                    debug!(connection = id.0, "silent: lost");
                    state.remove(id, now);
                } else {
                    // Of those who are not read, nobody is silent.
                    connection.silent_pings += u8::from(!state.full);
                    state.push(id, frame::PING, None, now);
                }
            }
        });
    }

    /// The time of [`Hub::wake_at`] may have come.
    pub(crate) fn timeout(&self) {
        self.change(|state, now| {
            state.armed = None;
            state.node.handle(Input::Timeout, now);
        });
    }

    /// When core wants [`Hub::timeout`].
    pub(crate) fn wake_at(&self) -> Option<Time> {
        let mut state = self.state.borrow_mut();
        state.armed = state.node.poll_timeout();
        state.armed
    }

    /// Closes every connection, those included that are still to come.
    pub(crate) fn stop(&self) {
        self.change(|state, now| {
            state.stopping = true;
            for id in state.ids() {
                state.close(id, 1012, STOPPING, now);
            }
        });
    }

    /// A place among the connections, if there is one.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.borrow().clone()
    }

    /// Whether a request is the operator's.
    pub(crate) fn is_operator(&self, headers: &HeaderMap) -> bool {
        match &self.operator {
            Some(token) => token.is_shown(headers),
            None => self.loopback,
        }
    }

    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.borrow().stopping
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.borrow().connections.is_empty()
    }

    /// Counts an upgrade that was refused.
    pub(crate) fn count_refused(&self) {
        self.state.borrow_mut().traffic.upgrades_refused += 1;
    }

    /// What an operator may see. Costs a pass over the objects.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state.borrow();
        Snapshot {
            counters: state.node.counters().clone(),
            gauges: state.node.gauges(),
            traffic: state.traffic.clone(),
            written: state
                .keeping
                .as_ref()
                .map_or_else(Default::default, |keeping| keeping.written),
            failing: state.node.not_stored().is_some(),
        }
    }

    /// Changes the state, performs what core wants done, and wakes whom that concerns.
    fn change<T>(&self, change: impl FnOnce(&mut State, Time) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        let result = change(&mut state, now);
        state.perform(now);
        if std::mem::take(&mut state.wrote) {
            state.written = self.clock.now();
        }
        if !state.dirty.is_empty() {
            self.dirty.notify_one();
        }
        let next = state.node.poll_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            self.sooner.notify_one();
        }
        if state.connections.is_empty() {
            self.empty.notify_one();
        }
        result
    }
}
