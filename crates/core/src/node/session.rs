//! Sessions (protocol.md §3): who is at the other end, proved by signature, and what it has while
//! its socket lives and for a grace time after.

use std::collections::{BTreeMap, BTreeSet};

use super::request::Ask;
use super::{ConnectionId, Node, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::{Identity, PublicKey, decode_bytes, encode_bytes, looks_minted};
use crate::limits::{CHALLENGE_MS, GRACE_MS};
use crate::message::body::{Challenge, Open, Opened};
use crate::message::{Header, Type};
use crate::time::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId(u64);

/// A socket, and the session opened on it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Option<SessionId>,
    /// Of two, the higher is the newer.
    number: u64,
    /// The challenge that waits for its signature on this socket.
    challenge: Option<(String, Time)>,
}

impl Connection {
    pub(super) const fn new(number: u64) -> Self {
        Self {
            session: None,
            number,
            challenge: None,
        }
    }
}

/// Requests that wait, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) runtime: Address,
    token: String,
    /// None for an anonymous session.
    pub(super) identity: Option<Identity>,
    pub(super) key: Option<PublicKey>,
    pub(super) connection: Option<ConnectionId>,
    /// When it lost its last socket.
    pub(super) lost_at: Option<Time>,
    pub(super) hyperties: BTreeSet<Address>,
    /// Objects it may write.
    pub(super) held: BTreeSet<Address>,
    /// Objects it reads.
    pub(super) observed: BTreeSet<Address>,
    /// Its requests without a final answer, and the object each is about.
    pub(super) asked: BTreeMap<Ask, Option<Address>>,
    /// Those of them that wait at an object for somebody to answer them.
    pub(super) waiting: Waiting,
    /// Requests forwarded to it that it has not answered.
    pub(super) answering: BTreeSet<Ask>,
    /// The bytes of its child commits that were forwarded and are not answered.
    pub(super) kept_bytes: usize,
}

impl Node {
    /// `open` and `re-open`: a challenge first, then the session.
    pub(super) fn open(
        &mut self,
        connection: ConnectionId,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        let body: Open = header.decode()?;
        let (runtime, token) = opened_from(header)?;
        let key = self.bound_key(&runtime, &body)?;
        if let Some(key) = &key {
            let Some(signature) = &body.signature else {
                self.challenge(connection, header, now);
                return Ok(());
            };
            let known = self.connections.get_mut(&connection);
            let challenge = known.and_then(|known| known.challenge.take());
            let Some((challenge, _)) = challenge.filter(|(_, until)| *until >= now) else {
                return Err(Refusal::unproven(
                    "there is no challenge to answer on this connection: send `open` without signature",
                ));
            };
            if !key.proves(&self.domain, runtime.as_str(), &challenge, signature) {
                return Err(Refusal::forbidden(format!(
                    "field `body.signature` does not sign domain `{}`, which this node serves, the runtime and the challenge",
                    self.domain
                )));
            }
        }
        if self.has_newer(&runtime, connection) {
            // Said on a socket that its runtime gave up since, and that was slow to deliver it.
            self.close(connection, 4001, "superseded by a newer connection");
            return Ok(());
        }
        let continued = token.and_then(|token| {
            let id = *self.runtimes.get(&runtime)?;
            (self.sessions.get(&id)?.token == token).then_some(id)
        });
        self.counters.opened += 1;
        match continued {
            Some(id) => self.continue_session(id, connection, header, now),
            None => self.start_session(runtime, key, connection, header, token.is_some(), now),
        }
        Ok(())
    }

    /// Whether the session of `runtime` lives on a socket that is newer than this one.
    fn has_newer(&self, runtime: &Address, connection: ConnectionId) -> bool {
        let number = |one: &ConnectionId| self.connections.get(one).map(|known| known.number);
        let session = self.runtimes.get(runtime);
        let live = session.and_then(|id| self.sessions.get(id)?.connection);
        live.as_ref().and_then(number) > number(&connection)
    }

    /// The key that `runtime` is opened with, when it may be: ids minted from a key need that key,
    /// and a runtime URL stays with the identity that opened it.
    fn bound_key(&self, runtime: &Address, body: &Open) -> Result<Option<PublicKey>, Refusal> {
        let key = match &body.public_key {
            None => None,
            Some(text) => Some(PublicKey::parse(text).ok_or_else(|| {
                Refusal::malformed("field `body.publicKey` must be an Ed25519 key in base64url")
            })?),
        };
        let nonce = body.nonce.as_deref().map(|nonce| {
            decode_bytes::<16>(nonce).ok_or_else(|| {
                Refusal::malformed("field `body.nonce` must be 16 bytes in base64url")
            })
        });
        let minted = match (&key, nonce.transpose()?) {
            (Some(key), Some(nonce)) => Some(key.mint(&nonce)),
            _ => None,
        };
        let wrong = match &minted {
            Some(minted) => minted != runtime.id(),
            None => looks_minted(runtime.id()),
        };
        if wrong {
            return Err(Refusal::forbidden(
                "field `from`: the runtime's id must be minted from `body.publicKey` and `body.nonce`",
            ));
        }
        let bound = self
            .runtimes
            .get(runtime)
            .and_then(|id| self.sessions.get(id));
        match bound {
            Some(session) if session.key != key => Err(Refusal::forbidden(format!(
                "field `from`: `{runtime}` is bound to another identity"
            ))),
            _ => Ok(key),
        }
    }

    fn challenge(&mut self, connection: ConnectionId, header: &Header<'_>, now: Time) {
        let challenge = encode_bytes(&self.entropy.nonce());
        if let Some(known) = self.connections.get_mut(&connection) {
            known.challenge = Some((challenge.clone(), now.plus_ms(CHALLENGE_MS)));
        }
        let desc = "sign the challenge and send `open` again with `signature`".to_owned();
        let body = Challenge {
            code: 401,
            challenge,
            desc,
        };
        self.send(connection, header.id, &header.to, &header.from, &body);
    }

    fn start_session(
        &mut self,
        runtime: Address,
        key: Option<PublicKey>,
        connection: ConnectionId,
        header: &Header<'_>,
        fresh: bool,
        now: Time,
    ) {
        if let Some(earlier) = self.runtimes.get(&runtime).copied() {
            self.supersede_socket(earlier);
            self.end_session(earlier, now);
        }
        self.sessions_made += 1;
        let id = SessionId(self.sessions_made);
        let token = encode_bytes(&self.entropy.nonce());
        let session = Session {
            runtime: runtime.clone(),
            token: token.clone(),
            identity: key.map(|key| key.identity()),
            key,
            connection: Some(connection),
            lost_at: None,
            hyperties: BTreeSet::new(),
            held: BTreeSet::new(),
            observed: BTreeSet::new(),
            asked: BTreeMap::new(),
            waiting: Waiting::default(),
            answering: BTreeSet::new(),
            kept_bytes: 0,
        };
        self.sessions.insert(id, session);
        self.runtimes.insert(runtime, id);
        self.begins_as(id);
        if let Some(known) = self.connections.get_mut(&connection) {
            known.session = Some(id);
        }
        let body = Opened {
            code: 200,
            runtime_token: token,
            fresh,
            ..Opened::default()
        };
        self.send(connection, header.id, &header.to, &header.from, &body);
    }

    /// A `re-open`: the session goes on, on a new socket; the old one, if it lives, is superseded.
    fn continue_session(
        &mut self,
        id: SessionId,
        connection: ConnectionId,
        header: &Header<'_>,
        now: Time,
    ) {
        self.supersede_socket(id);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Some(lost) = session.lost_at.take() {
            self.timers
                .remove(&(lost.plus_ms(GRACE_MS), Timer::Grace(id)));
        }
        session.connection = Some(connection);
        if let Some(known) = self.connections.get_mut(&connection) {
            known.session = Some(id);
        }
        let (held, observed) = (session.held.clone(), session.observed.clone());
        let runtime_token = session.token.clone();
        let mut body = Opened {
            code: 200,
            runtime_token,
            ..Opened::default()
        };
        for url in &held {
            let Some(object) = self.objects.get_mut(url) else {
                continue;
            };
            object.away_since = None;
            body.claims.extend(
                object
                    .record
                    .as_ref()
                    .map(|record| (url.clone(), record.position)),
            );
        }
        for url in &observed {
            let Some(object) = self.objects.get_mut(url) else {
                continue;
            };
            object.routes.connect(connection);
            body.heads
                .extend(object.head().map(|head| (url.clone(), head)));
        }
        self.send(connection, header.id, &header.to, &header.from, &body);
        for url in &held {
            self.tell_access(url);
            self.publish_head(url);
            self.tell_presence_anew(url, now);
            self.forward_waiting(url, now);
        }
    }

    fn supersede_socket(&mut self, id: SessionId) {
        if let Some(old) = self
            .sessions
            .get(&id)
            .and_then(|session| session.connection)
        {
            self.disconnect(id, old);
            self.close(old, 4001, "superseded by a newer connection");
        }
    }
}

/// The runtime that opens, and the token it continues with.
fn opened_from<'a>(header: &'a Header<'_>) -> Result<(Address, Option<&'a str>), Refusal> {
    let from = &*header.from;
    let runtime = |text: &str| {
        let address = Address::parse(text)
            .map_err(|error| Refusal::malformed(format!("field `from`: {error}")))?;
        // One segment only: what is under a runtime's URL is that runtime's.
        let id_ok = !address.id().is_empty() && !address.id().contains('/');
        if matches!(address.scheme(), "hyperty-runtime" | "runtime") && id_ok {
            Ok(address)
        } else {
            Err(Refusal::malformed(format!(
                "field `from`: `{text}` is no runtime: write hyperty-runtime://<domain>/<id>"
            )))
        }
    };
    // `re-open` comes from <runtime>/<token>; from a bare runtime URL it is an `open`.
    let slashes = from.matches('/').count();
    match from.rsplit_once('/') {
        Some((bare, token)) if header.kind == Type::ReOpen && slashes > 3 => {
            Ok((runtime(bare)?, Some(token)))
        }
        _ => Ok((runtime(from)?, None)),
    }
}
