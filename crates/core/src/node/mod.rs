//! The Message Node (protocol.md §2–§8): who is connected, who may write and read which object, and
//! where a frame goes. No sockets here: a driver hands in frames and performs what comes out.
//!
//! A frame is first judged by `admission.rs`, the one place that says whether it may in and who gets
//! it; only then does anything change.

mod admission;
mod children;
mod claim;
mod collections;
mod commands;
mod content;
mod counting;
mod files;
mod grants;
mod leaving;
mod many;
mod named;
mod object;
mod outbox;
mod owners;
mod ownership;
mod parking;
mod peers;
mod people;
mod presence;
mod publishing;
mod request;
mod resting;
mod restoring;
mod serving;
mod session;
mod stamping;
mod waiting;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::Serialize;

use crate::address::Address;
use crate::entropy::Entropy;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::CONTENT_BYTES_MAX;
use crate::message::body::ChildCommitted;
use crate::message::{Header, Type, encode};
use crate::storage::Batch;
use crate::time::Time;
use admission::{Passage, Service};
use content::Contents;
pub use counting::{Counters, Gauges};
use named::Named;
use object::Object;
use outbox::Outbox;
pub use people::{Proven, VerifyToken};
use request::{Ask, Pending};
use session::{Connection, Session, SessionId};

/// A connection, as its driver numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// An object, as the node numbers them: what a driver knows a queued stream frame by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub NonZeroU64);

/// What a driver tells the node.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody connected.
    Connected(ConnectionId),
    /// A connection sent a frame.
    Received(ConnectionId, Arc<str>),
    /// A connection is gone, for whatever reason.
    Lost(ConnectionId),
    /// Too much waited for a connection, and its driver dropped what these objects had published
    /// there: their routes on it are parked until [`Input::Drained`] (§7).
    Parked(ConnectionId, BTreeSet<ObjectId>),
    /// A connection of which routes were parked takes frames again.
    Drained(ConnectionId),
    /// The time of [`Node::poll_timeout`] has come.
    Timeout,
    /// The batch under way is stored.
    Stored,
    /// The batch under way could not be stored, for this reason. Its driver tries again, until
    /// [`Input::Stored`].
    NotStored(Arc<str>),
}

/// What a driver does for the node, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send one frame to one connection.
    Send(ConnectionId, String),
    /// Send the same frame of an object's stream to all of these connections. Where too much waits, it
    /// may be dropped: [`Input::Parked`].
    Publish(ObjectId, Arc<Vec<ConnectionId>>, Arc<str>),
    /// Drop what is queued for a connection of an object's stream: its reader may no longer read it.
    Withdraw(ConnectionId, ObjectId),
    /// Send what waits and close with this code, for this reason.
    Close(ConnectionId, u16, &'static str),
    /// Store this and say [`Input::Stored`]; no other batch comes before. Only after [`Node::restore`].
    Store(Batch),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Grace(SessionId),
    TokenOver(SessionId),
    Quiet(Address),
    Unanswered(Ask),
    Expired(Address),
    Presence(Address),
    Expected,
    Stored(Address),
    Withheld(Address),
}

/// The state of one Message Node.
#[derive(Debug)]
pub struct Node {
    domain: String,
    started: Time,
    entropy: Entropy,
    /// Whose tokens count; none when this node asks for no token.
    tokens: Option<Box<dyn VerifyToken + Send>>,
    connections: BTreeMap<ConnectionId, Connection>,
    connections_made: u64,
    sessions: BTreeMap<SessionId, Session>,
    sessions_made: u64,
    runtimes: BTreeMap<Address, SessionId>,
    hyperties: BTreeMap<Address, SessionId>,
    /// The sessions of each identity.
    identities: BTreeMap<Identity, BTreeSet<SessionId>>,
    objects: BTreeMap<Address, Object>,
    objects_made: u64,
    named: Named,
    pending: BTreeMap<Ask, Pending>,
    timers: BTreeSet<(Time, Timer)>,
    contents: Contents,
    outbox: Outbox,
    counters: Counters,
}

impl Node {
    /// A node that serves `domain`. `seed` must come from the operating system outside of tests.
    #[must_use]
    pub fn new(domain: impl Into<String>, seed: [u8; 32], now: Time) -> Self {
        Self {
            domain: domain.into(),
            started: now,
            entropy: Entropy::new(seed),
            tokens: None,
            connections: BTreeMap::new(),
            connections_made: 0,
            sessions: BTreeMap::new(),
            sessions_made: 0,
            runtimes: BTreeMap::new(),
            hyperties: BTreeMap::new(),
            identities: BTreeMap::new(),
            objects: BTreeMap::new(),
            objects_made: 0,
            named: Named::default(),
            pending: BTreeMap::new(),
            timers: BTreeSet::new(),
            contents: Contents::new(CONTENT_BYTES_MAX),
            outbox: Outbox::default(),
            counters: Counters::default(),
        }
    }

    /// The domain this node serves.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Takes `input`. Afterwards [`Node::poll_output`] must be drained.
    pub fn handle(&mut self, input: Input, now: Time) {
        match input {
            Input::Connected(connection) => {
                self.connections_made += 1;
                let known = Connection::new(self.connections_made);
                self.connections.insert(connection, known);
            }
            Input::Received(connection, text) => self.received(connection, &text, now),
            Input::Lost(connection) => self.lost(connection, now),
            Input::Parked(connection, objects) => self.park(connection, &objects),
            Input::Drained(connection) => self.wake(connection),
            Input::Timeout => self.timeout(now),
            Input::Stored => {
                let objects = self.outbox.batch_stored();
                self.content_stored(&objects, now);
            }
            Input::NotStored(why) => self.outbox.batch_fails(why),
        }
    }

    /// The next thing to do, `None` when there is nothing before the next input.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop().or_else(|| self.next_batch())
    }

    /// When to hand in [`Input::Timeout`]; may change with every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn received(&mut self, connection: ConnectionId, text: &Arc<str>, now: Time) {
        self.counters.frames += 1;
        let Some(session) = self.connections.get(&connection).map(|known| known.session) else {
            return;
        };
        let header = match Header::peek(text) {
            Ok(header) => header,
            Err(malformed) => {
                let to = malformed.from.unwrap_or_default();
                let node = format!("domain://msg-node.{}", self.domain);
                self.count(&malformed.refusal);
                self.send(connection, &malformed.id, &node, &to, &malformed.refusal);
                return;
            }
        };
        let judged = match session {
            Some(session) => self
                .admit(session, &header, now)
                .and_then(|passage| self.adopt(session, &header.from).map(|()| passage)),
            None => Self::admit_stranger(&header),
        };
        let done = judged.and_then(|passage| match (passage, session) {
            (Passage::Publish(object, position), _) => {
                self.publish(object.as_str(), position, &header, text, now);
                Ok(())
            }
            (Passage::Head(object, head), _) => {
                self.pass_head(object.as_str(), *head, text);
                Ok(())
            }
            (Passage::Withhold(object), _) => {
                self.withhold(&object, text, now);
                Ok(())
            }
            (Passage::Answer(ask), _) => {
                self.answer(&ask, &header, text, now);
                Ok(())
            }
            (Passage::Forward(request), _) => self.ask(*request, now),
            (Passage::Tell(session, text), _) => {
                if let Some(session) = session {
                    self.pass(session, text);
                }
                Ok(())
            }
            (Passage::Event(object, text), Some(session)) => {
                self.publish_event(session, &object, &text);
                Ok(())
            }
            (Passage::Serve(Service::Open), _) => self.open(connection, &header, now),
            (Passage::Serve(service), Some(session)) => {
                self.serve(service, session, connection, &header, now)
            }
            (Passage::Serve(_) | Passage::Event(..) | Passage::Drop, _) => {
                self.counters.answers_dropped += 1;
                Ok(())
            }
        });
        if let Err(refusal) = done {
            self.count(&refusal);
            if header.kind != Type::Response {
                self.send(connection, header.id, &header.to, &header.from, &refusal);
            }
        }
    }

    fn serve(
        &mut self,
        service: Service,
        session: SessionId,
        connection: ConnectionId,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        match service {
            Service::Open => Ok(()),
            Service::Ping => {
                let ok = crate::message::body::OK;
                self.send(connection, header.id, &header.to, &header.from, &ok);
                Ok(())
            }
            Service::Close => {
                self.end_session(session, now);
                self.close(connection, 1000, "closed");
                Ok(())
            }
            Service::Claim(claim) => {
                let mut claimed = self.claim(session, &claim, now)?;
                claimed.children = self.begin_children(&claim);
                claimed.durable = claimed.cache && self.outbox.is_on();
                self.send(connection, header.id, &header.to, &header.from, &claimed);
                self.after_claim(&claim.url, now);
                Ok(())
            }
            Service::Command(url, command) => {
                let commanded = self.command(session, &url, &command, now)?;
                self.send(connection, header.id, &header.to, &header.from, &commanded);
                Ok(())
            }
            Service::Child(url, text, position) => {
                self.publish_child(&url, &text);
                let taken = ChildCommitted {
                    code: 200,
                    position,
                };
                self.send(connection, header.id, &header.to, &header.from, &taken);
                Ok(())
            }
            Service::Take(url, name, commit, text) => {
                let taken = self.take_child(&url, &name, (&commit, &text), now)?;
                self.send(connection, header.id, &header.to, &header.from, &taken);
                Ok(())
            }
            Service::Observers(url, after) => {
                let observers = self.observers(&url, after.as_ref());
                self.send(connection, header.id, &header.to, &header.from, &observers);
                Ok(())
            }
            Service::Many => self.subscribe_many(session, connection, header, now),
            Service::Delete(url) => {
                self.delete(&url, now);
                let ok = crate::message::body::OK;
                self.send(connection, header.id, &header.to, &header.from, &ok);
                Ok(())
            }
            Service::Unsubscribe(object, hyperty) => {
                self.withdraw(session, &object, &hyperty);
                self.unsubscribe(session, &object, &hyperty, now);
                let ok = crate::message::body::OK;
                self.send(connection, header.id, &header.to, &header.from, &ok);
                Ok(())
            }
        }
    }

    fn timeout(&mut self, now: Time) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            match self.timers.pop_first() {
                Some((_, Timer::Grace(session))) => self.grace_over(session, now),
                Some((_, Timer::TokenOver(session))) => self.token_over(session, now),
                Some((_, Timer::Quiet(url))) => self.quiet(&url, now),
                Some((_, Timer::Unanswered(ask))) => self.unanswered(&ask),
                Some((_, Timer::Expired(url))) => self.expired(&url, now),
                Some((_, Timer::Presence(url))) => self.tell_presence(&url),
                Some((_, Timer::Expected)) => self.no_longer_expected(now),
                Some((_, Timer::Stored(url))) => self.say_stored(&url, now),
                Some((_, Timer::Withheld(url))) => self.withheld_long_enough(&url, now),
                None => break,
            }
        }
    }

    /// Closes `connection`: what still comes from it is dropped (§3).
    fn close(&mut self, connection: ConnectionId, code: u16, why: &'static str) {
        self.connections.remove(&connection);
        self.outbox.push(Output::Close(connection, code, why));
    }

    fn count(&mut self, refusal: &Refusal) {
        *self.counters.refused.entry(refusal.code).or_default() += 1;
    }

    fn send(&mut self, to: ConnectionId, id: &str, from: &str, asker: &str, body: &impl Serialize) {
        let text = encode(id, Type::Response, from, asker, body);
        self.outbox.push(Output::Send(to, text));
    }
}
