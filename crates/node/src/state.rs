//! Where core's machine meets the sockets: one `match` performs what it puts out, one queue for each
//! connection takes it.

use std::collections::VecDeque;
use std::sync::Arc;

use byline_core::limits::QUEUE_BYTES_MAX;
use byline_core::node::{ConnectionId, Input, Node, Output};
use byline_core::time::Time;
use bytes::Bytes;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};
use tracing::debug;

use crate::connection::{Connection, Phase};
use crate::frame;
use crate::metrics::Traffic;

/// What RFC 6455 §7.1.5 calls the end of a connection without a close frame.
const NO_CLOSE: u16 = 1006;

/// The node, its connections, and what waits to be done for them.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) node: Node,
    pub(crate) connections: SlotMap<DefaultKey, Connection>,
    dirty: VecDeque<ConnectionId>,
    /// A frame on its way to many, while nothing else waits to be written.
    publication: Option<Publication>,
    pub(crate) traffic: Traffic,
    pub(crate) stopping: bool,
    /// What the timer waits for.
    pub(crate) armed: Option<Time>,
}

/// One frame and who is still to get it. A change that comes alone passes through no queue: looking
/// at a thousand connections once costs half of looking at them twice.
#[derive(Debug)]
struct Publication {
    frame: Bytes,
    to: Arc<Vec<ConnectionId>>,
    next: usize,
}

impl State {
    pub(crate) fn new(node: Node) -> Self {
        Self {
            node,
            connections: SlotMap::new(),
            dirty: VecDeque::new(),
            publication: None,
            traffic: Traffic::default(),
            stopping: false,
            armed: None,
        }
    }

    /// Whether anything is to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.publication.is_some() || !self.dirty.is_empty()
    }

    /// Writes to at most `connections` of those that something waits for.
    pub(crate) fn flush(&mut self, connections: usize, now: Time) {
        if let Some(mut publication) = self.publication.take() {
            let end = publication.to.len().min(publication.next + connections);
            for id in &publication.to[publication.next..end] {
                self.write_through(*id, &publication.frame, now);
            }
            publication.next = end;
            if end < publication.to.len() {
                self.publication = Some(publication);
            }
            return;
        }
        for _ in 0..connections {
            let Some(id) = self.dirty.pop_front() else {
                return;
            };
            self.write(id, now);
        }
    }

    /// Does what core wants done.
    pub(crate) fn perform(&mut self, now: Time) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(to, text) => self.push(to, frame::text(&text), now),
                Output::Publish(to, text) => self.publish(to, frame::text(&text), now),
                Output::Close(id, code, reason) => self.close(id, code, reason, now),
            }
        }
    }

    fn publish(&mut self, to: Arc<Vec<ConnectionId>>, frame: Bytes, now: Time) {
        if self.is_dirty() {
            self.queue_publication(now);
            for to in to.iter() {
                self.push(*to, frame.clone(), now);
            }
        } else {
            self.publication = Some(Publication { frame, to, next: 0 });
        }
    }

    /// Something else is to be written: what is on its way takes its place in the queues before it.
    fn queue_publication(&mut self, now: Time) {
        if let Some(Publication { frame, to, next }) = self.publication.take() {
            for to in &to[next..] {
                self.push(*to, frame.clone(), now);
            }
        }
    }

    /// Writes a frame that comes alone; what the socket does not take waits.
    fn write_through(&mut self, id: ConnectionId, frame: &Bytes, now: Time) {
        let Some(connection) = self.connections.get_mut(key_of(id)) else {
            return;
        };
        let idle = connection.outgoing.bytes() == 0 && !connection.blocked;
        let open = connection.phase == Phase::Open;
        let socket = connection.socket.as_ref().filter(|_| idle && open);
        // An error is met again, and handled, when the queue is written.
        let bytes = socket
            .and_then(|socket| socket.try_write(frame).ok())
            .unwrap_or(0);
        self.traffic.bytes_out += bytes as u64;
        self.traffic.writes += u64::from(bytes > 0);
        if bytes == frame.len() {
            self.traffic.frames_out += 1;
        } else if bytes > 0 {
            let rest = frame.slice(bytes..);
            self.traffic.queued += rest.len();
            connection.outgoing.push_rest(rest);
            self.mark(id);
        } else {
            self.push(id, frame.clone(), now);
        }
    }

    /// Queues a frame.
    pub(crate) fn push(&mut self, id: ConnectionId, frame: Bytes, now: Time) {
        self.queue_publication(now);
        let Some(connection) = self.connections.get_mut(key_of(id)) else {
            return;
        };
        if connection.phase != Phase::Open {
            return;
        }
        self.traffic.queued += frame.len();
        connection.outgoing.push(frame);
        connection.weigh();
        if connection.outgoing.bytes() > QUEUE_BYTES_MAX {
            self.traffic.queued -= connection.outgoing.bytes();
            connection.outgoing.abandon();
            self.traffic.queued += connection.outgoing.bytes();
            self.close(id, 4008, "slow", now);
        } else {
            self.mark(id);
        }
    }

    fn mark(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(key_of(id))
            && !connection.dirty
            && !connection.blocked
        {
            connection.dirty = true;
            self.dirty.push_back(id);
        }
    }

    /// Queues a close frame as the last one.
    pub(crate) fn close(&mut self, id: ConnectionId, code: u16, reason: &'static str, now: Time) {
        self.queue_publication(now);
        if self.is_open(id) {
            debug!(connection = id.0, code, reason, "closing");
            self.push_last(id, frame::close(code, reason));
            self.end(id, code, now);
        }
    }

    fn push_last(&mut self, id: ConnectionId, frame: Bytes) {
        if let Some(connection) = self.connections.get_mut(key_of(id)) {
            self.traffic.queued += frame.len();
            connection.outgoing.push(frame);
        }
    }

    /// Nothing more is taken from or queued for a connection, and core knows it as lost.
    pub(crate) fn end(&mut self, id: ConnectionId, code: u16, now: Time) {
        let connection = self.connections.get_mut(key_of(id));
        let Some(connection) = connection.filter(|connection| connection.phase == Phase::Open)
        else {
            return;
        };
        connection.phase = Phase::Closing;
        connection.wake();
        *self.traffic.closed.entry(code).or_default() += 1;
        self.mark(id);
        self.node.handle(Input::Lost(id), now);
    }

    /// Writes what waits for a connection, as far as its socket takes it.
    pub(crate) fn write(&mut self, id: ConnectionId, now: Time) {
        let Some(connection) = self.connections.get_mut(key_of(id)) else {
            return;
        };
        connection.dirty = false;
        let Some(socket) = &connection.socket else {
            return;
        };
        let before = connection.outgoing.bytes();
        let written = connection.outgoing.write(socket);
        self.traffic.queued -= before - connection.outgoing.bytes();
        let Ok(written) = written else {
            self.remove(id, now);
            return;
        };
        self.traffic.bytes_out += written.bytes as u64;
        self.traffic.frames_out += written.frames as u64;
        self.traffic.writes += written.writes as u64;
        connection.weigh();
        if written.blocked {
            connection.blocked = true;
            connection.wake();
        } else if connection.phase == Phase::Closing {
            connection.phase = Phase::Lingering;
            connection.socket = None;
        }
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, id: ConnectionId, now: Time) {
        let Some(mut connection) = self.connections.remove(key_of(id)) else {
            return;
        };
        debug!(connection = id.0, "disconnected");
        self.traffic.queued -= connection.outgoing.bytes();
        connection.wake();
        if connection.phase == Phase::Open {
            *self.traffic.closed.entry(NO_CLOSE).or_default() += 1;
            self.node.handle(Input::Lost(id), now);
        }
    }

    pub(crate) fn is_open(&self, id: ConnectionId) -> bool {
        self.is(id, Phase::Open)
    }

    pub(crate) fn is(&self, id: ConnectionId, phase: Phase) -> bool {
        let connection = self.connections.get(key_of(id));
        connection.is_some_and(|connection| connection.phase == phase)
    }

    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        self.connections.keys().map(id_of).collect()
    }
}

pub(crate) fn id_of(key: DefaultKey) -> ConnectionId {
    ConnectionId(key.data().as_ffi())
}

pub(crate) fn key_of(id: ConnectionId) -> DefaultKey {
    KeyData::from_ffi(id.0).into()
}
