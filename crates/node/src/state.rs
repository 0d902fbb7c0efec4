//! Where core's machine meets the sockets: one `match` performs what it puts out, one queue for each
//! connection takes it.

use std::collections::VecDeque;

use byline_core::limits::{HELD_BYTES_MAX, QUEUE_BYTES_MAX};
use byline_core::node::{ConnectionId, Input, Node, ObjectId, Output};
use byline_core::time::Time;
use bytes::Bytes;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};
use tracing::debug;

use crate::connection::{Connection, Phase};
use crate::frame;
use crate::keeping::Keeping;
use crate::metrics::Traffic;
use crate::reader::Reader;

/// When a queue is over its limit, this much may stay: less than the limit by enough that the pass over
/// the queue is rare.
const SHED_BYTES: usize = QUEUE_BYTES_MAX / 2;
/// When a socket has taken all but this, parked routes are woken.
const WAKE_BYTES: usize = QUEUE_BYTES_MAX / 4;
/// After this long without a write, a frame of a stream that came alone is written at once. Otherwise others
/// are close behind, and one write takes several.
const CALM_MS: u64 = 2;
/// What RFC 6455 §7.1.5 calls the end of a connection without a close frame.
const NO_CLOSE: u16 = 1006;

/// The node, its connections, and what waits to be done for them.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) node: Node,
    pub(crate) connections: SlotMap<DefaultKey, Connection>,
    pub(crate) dirty: VecDeque<ConnectionId>,
    /// Bytes that messages which have come in part may have together.
    pub(crate) unfinished_max: usize,
    pub(crate) traffic: Traffic,
    /// Where what it promises is kept, if anywhere.
    pub(crate) keeping: Option<Keeping>,
    /// So much waits to be stored that nobody is read.
    pub(crate) full: bool,
    pub(crate) stopping: bool,
    /// When sockets were last written to; [`State::wrote`] says that it is later by now.
    pub(crate) written: Time,
    pub(crate) wrote: bool,
    /// More has come with what is being handled.
    pub(crate) more_follows: bool,
    /// What the timer waits for.
    pub(crate) armed: Option<Time>,
}

impl State {
    /// Does what core wants done.
    pub(crate) fn perform(&mut self, now: Time) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(to, text) => self.push(to, frame::text(&text), None, now),
                Output::Publish(of, to, text) => {
                    let frame = frame::text(&text);
                    let alone = !self.more_follows && now.ms_since(self.written) >= CALM_MS;
                    for to in to.iter() {
                        if alone {
                            self.write_at_once(*to, &frame, of, now);
                        } else {
                            self.push(*to, frame.clone(), Some(of), now);
                        }
                    }
                }
                Output::Withdraw(id, of) => self.withdraw(id, of),
                Output::Close(id, code, reason) => self.close(id, code, reason, now),
                Output::Store(batch) => {
                    if let Some(keeping) = &mut self.keeping {
                        keeping.write(batch);
                    }
                }
            }
        }
        self.weigh();
    }

    /// Decides whether anybody is read, by what waits to be stored; wide apart, so that it does not flutter.
    fn weigh(&mut self) {
        let bytes = self.node.held_bytes();
        if bytes > HELD_BYTES_MAX {
            self.full = true;
        } else if self.full && bytes < HELD_BYTES_MAX / 4 {
            self.full = false;
            for connection in self.connections.values_mut() {
                connection.wake();
            }
        }
    }

    /// Queues a frame: the way of every delivery. One that is `of` an object's stream may be dropped
    /// when too much waits.
    pub(crate) fn push(&mut self, id: ConnectionId, frame: Bytes, of: Option<ObjectId>, now: Time) {
        let Some(connection) = self.connections.get_mut(key_of(id)) else {
            return;
        };
        if connection.phase != Phase::Open {
            return;
        }
        self.traffic.queued += frame.len();
        connection.outgoing.push(frame, of);
        connection.weigh();
        if connection.outgoing.bytes() > QUEUE_BYTES_MAX {
            self.make_room(id, now);
        } else {
            self.mark(id);
        }
    }

    /// Writes a frame of a stream past the queue when nothing waits there: queue and list cost a second
    /// pass over connections that are in no cache any more.
    fn write_at_once(&mut self, id: ConnectionId, frame: &Bytes, of: ObjectId, now: Time) {
        let Some(connection) = self.connections.get_mut(key_of(id)) else {
            return;
        };
        let idle = connection.phase == Phase::Open
            && !connection.blocked
            && connection.outgoing.bytes() == 0;
        let socket = connection.socket.as_ref().filter(|_| idle);
        let written = socket.map_or(0, |socket| socket.write_at_once(frame));
        self.traffic.bytes_out += written as u64;
        self.traffic.writes += u64::from(written > 0);
        self.wrote = true;
        if written == frame.len() {
            self.traffic.frames_out += 1;
            return;
        }
        // The rest, or all of it: the queue finds out what holds the socket up.
        self.push(id, frame.clone(), Some(of), now);
        if written > 0
            && let Some(connection) = self.connections.get_mut(key_of(id))
        {
            connection.outgoing.advance(written);
            self.traffic.queued -= written;
        }
    }

    fn withdraw(&mut self, id: ConnectionId, of: ObjectId) {
        if let Some(connection) = self.connections.get_mut(key_of(id)) {
            self.traffic.queued -= connection.outgoing.bytes();
            connection.outgoing.withdraw(of);
            self.traffic.queued += connection.outgoing.bytes();
            connection.weigh();
        }
    }

    /// Too much waits for a connection: drops what its reader can recover, or closes it (§7).
    fn make_room(&mut self, id: ConnectionId, now: Time) {
        let Some(connection) = self.connections.get_mut(key_of(id)) else {
            return;
        };
        self.traffic.queued -= connection.outgoing.bytes();
        let dropped = connection.outgoing.shed(SHED_BYTES);
        let enough = connection.outgoing.bytes() <= QUEUE_BYTES_MAX;
        if enough {
            connection.parked = true;
        } else {
            connection.outgoing.abandon();
        }
        self.traffic.queued += connection.outgoing.bytes();
        if enough {
            self.mark(id);
            self.node.handle(Input::Parked(id, dropped), now);
        } else {
            self.close(id, 4008, "slow", now);
        }
    }

    /// All that came from a connection was taken by its `reader`, with a `whole` message or more: what is
    /// left there is a part of one. Of too much of that, what began first is given up.
    pub(crate) fn starved(
        &mut self,
        id: ConnectionId,
        reader: Box<Reader>,
        whole: bool,
        now: Time,
    ) {
        let connection = self.connections.get_mut(key_of(id));
        let Some(connection) = connection.filter(|connection| connection.phase == Phase::Open)
        else {
            return;
        };
        let bytes = reader.unfinished();
        let since = match connection.unfinished {
            Some((_, since)) if !whole => since,
            _ => now,
        };
        self.traffic.unfinished -= unfinished_bytes(connection.unfinished);
        self.traffic.unfinished += bytes;
        connection.unfinished = (bytes > 0).then_some((bytes, since));
        connection.reader = Some(reader);
        while self.traffic.unfinished > self.unfinished_max {
            let begun = self.connections.iter().filter_map(|(key, connection)| {
                let (_, since) = connection.unfinished?;
                Some((since, key))
            });
            let Some((_, first)) = begun.min() else { break };
            self.close(
                id_of(first),
                1013,
                "too many messages have come in part",
                now,
            );
        }
    }

    pub(crate) fn mark(&mut self, id: ConnectionId) {
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
        if self.is_open(id) {
            debug!(connection = id.0, code, reason, "closing");
            self.push_last(id, frame::close(code, reason));
            self.end(id, code, now);
        }
    }

    fn push_last(&mut self, id: ConnectionId, frame: Bytes) {
        if let Some(connection) = self.connections.get_mut(key_of(id)) {
            self.traffic.queued += frame.len();
            connection.outgoing.push(frame, None);
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
        connection.reader = None;
        self.traffic.unfinished -= unfinished_bytes(connection.unfinished.take());
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
        self.wrote = true;
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
            if let Some(socket) = connection.socket.take() {
                socket.finish();
            }
        }
        if connection.parked && connection.outgoing.bytes() < WAKE_BYTES {
            connection.parked = false;
            self.node.handle(Input::Drained(id), now);
        }
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, id: ConnectionId, now: Time) {
        let Some(mut connection) = self.connections.remove(key_of(id)) else {
            return;
        };
        debug!(connection = id.0, "disconnected");
        self.traffic.queued -= connection.outgoing.bytes();
        self.traffic.unfinished -= unfinished_bytes(connection.unfinished);
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

fn unfinished_bytes(unfinished: Option<(usize, Time)>) -> usize {
    unfinished.map_or(0, |(bytes, _)| bytes)
}

pub(crate) fn id_of(key: DefaultKey) -> ConnectionId {
    ConnectionId(key.data().as_ffi())
}

pub(crate) fn key_of(id: ConnectionId) -> DefaultKey {
    KeyData::from_ffi(id.0).into()
}
