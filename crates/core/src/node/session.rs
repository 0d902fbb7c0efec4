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

impl SessionId {
    /// None at all: what the node itself asks has no session to be answered in.
    pub(super) const NODE: Self = Self(0);
}

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

/// Who opens a session: with which key, as whom, and until when.
struct Who {
    key: Option<PublicKey>,
    identity: Option<Identity>,
    expires: Option<Time>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) runtime: Address,
    token: String,
    /// None for an anonymous session.
    pub(super) identity: Option<Identity>,
    pub(super) key: Option<PublicKey>,
    pub(super) connection: Option<ConnectionId>,
    /// When its token ends.
    pub(super) expires: Option<Time>,
    /// Its socket, which is not served since its token has ended; there is no other then.
    pub(super) suspended: Option<ConnectionId>,
    /// When it lost its last socket, or its token ended.
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

impl Session {
    /// The socket that it is at, served or not.
    fn socket(&self) -> Option<ConnectionId> {
        self.connection.or(self.suspended)
    }

    /// Whether it is the one that `re-open` names so.
    pub(super) fn is_known_as(&self, runtime: &Address, token: Option<&str>) -> bool {
        self.runtime == *runtime && token == Some(self.token.as_str())
    }
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
        let known = self.connections.get(&connection);
        if let Some(session) = known.and_then(|known| known.session) {
            return self.renew(session, connection, header, &body, now);
        }
        let (runtime, token) = opened_from(header)?;
        let key = self.bound_key(&runtime, &body)?;
        if let Some(key) = &key {
            let Some(signature) = &body.signature else {
                self.person(true, body.token.as_ref(), now)?;
                self.challenge(connection, header, now);
                return Ok(());
            };
            self.proves(key, &runtime, connection, signature, now)?;
        }
        let person = self.person(key.is_some(), body.token.as_ref(), now)?;
        let (named, expires) = person.map(|one| (one.identity, one.expires)).unzip();
        let identity = named.or_else(|| key.map(|key| key.identity()));
        self.bound_to(&runtime, |session| session.identity == identity)?;
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
            Some(id) => {
                self.lasts_until(id, expires);
                self.continue_session(id, connection, header, now);
            }
            None => {
                let who = Who {
                    key,
                    identity,
                    expires,
                };
                self.start_session(runtime, who, connection, header, token.is_some(), now);
            }
        }
        Ok(())
    }

    /// Whether `signature` answers the challenge of this connection, which is used up.
    fn proves(
        &mut self,
        key: &PublicKey,
        runtime: &Address,
        connection: ConnectionId,
        signature: &str,
        now: Time,
    ) -> Result<(), Refusal> {
        let known = self.connections.get_mut(&connection);
        let challenge = known.and_then(|known| known.challenge.take());
        let Some((challenge, _)) = challenge.filter(|(_, until)| *until >= now) else {
            return Err(Refusal::unproven(
                "there is no challenge to answer on this connection: send `open` without signature",
            ));
        };
        if key.proves(&self.domain, runtime.as_str(), &challenge, signature) {
            Ok(())
        } else {
            Err(Refusal::forbidden(format!(
                "field `body.signature` does not sign domain `{}`, which this node serves, the runtime and the challenge",
                self.domain
            )))
        }
    }

    /// Whether the session of `runtime` lives on a socket that is newer than this one.
    fn has_newer(&self, runtime: &Address, connection: ConnectionId) -> bool {
        let number = |one: &ConnectionId| self.connections.get(one).map(|known| known.number);
        let session = self.runtimes.get(runtime);
        let live = session.and_then(|id| self.sessions.get(id)?.socket());
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
        self.bound_to(runtime, |session| session.key == key)?;
        Ok(key)
    }

    /// Whether the session of `runtime`, if there is one, is of the same somebody.
    fn bound_to(&self, runtime: &Address, same: impl Fn(&Session) -> bool) -> Result<(), Refusal> {
        let id = self.runtimes.get(runtime);
        match id.and_then(|id| self.sessions.get(id)) {
            Some(session) if !same(session) => Err(Refusal::forbidden(format!(
                "field `from`: `{runtime}` is bound to another identity"
            ))),
            _ => Ok(()),
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
        who: Who,
        connection: ConnectionId,
        header: &Header<'_>,
        fresh: bool,
        now: Time,
    ) {
        if let Some(earlier) = self.runtimes.get(&runtime).copied() {
            self.supersede_socket(earlier, connection);
            self.end_session(earlier, now);
        }
        self.sessions_made += 1;
        let id = SessionId(self.sessions_made);
        let token = encode_bytes(&self.entropy.nonce());
        let session = Session {
            runtime: runtime.clone(),
            token,
            identity: who.identity,
            key: who.key,
            connection: Some(connection),
            expires: None,
            suspended: None,
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
        self.lasts_until(id, who.expires);
        let mut opened = self.opened(id);
        opened.fresh = fresh;
        self.send(connection, header.id, &header.to, &header.from, &opened);
    }

    /// What a session is told when it opens, goes on, or shows a newer token.
    pub(super) fn opened(&self, id: SessionId) -> Opened {
        let Some(session) = self.sessions.get(&id) else {
            return Opened::default();
        };
        let objects = |of: &'_ BTreeSet<Address>| {
            let found = of.iter().filter_map(|url| self.objects.get_key_value(url));
            found.collect::<Vec<_>>()
        };
        let held = objects(&session.held).into_iter();
        let observed = objects(&session.observed).into_iter();
        Opened {
            code: 200,
            runtime_token: session.token.clone(),
            claims: held
                .filter_map(|(url, one)| Some((url.clone(), one.record.as_ref()?.position)))
                .collect(),
            heads: observed
                .filter_map(|(url, one)| Some((url.clone(), one.head()?)))
                .collect(),
            fresh: false,
            identity: session.expires.and(session.identity.clone()),
            expires: session.expires.map(Time::rfc3339),
        }
    }

    /// A `re-open`: the session goes on, on a new socket; the old one, if it lives, is superseded.
    pub(super) fn continue_session(
        &mut self,
        id: SessionId,
        connection: ConnectionId,
        header: &Header<'_>,
        now: Time,
    ) {
        self.supersede_socket(id, connection);
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
        for url in &held {
            if let Some(object) = self.objects.get_mut(url) {
                object.away_since = None;
            }
        }
        for url in &observed {
            if let Some(object) = self.objects.get_mut(url) {
                object.routes.connect(connection);
            }
        }
        let opened = self.opened(id);
        self.send(connection, header.id, &header.to, &header.from, &opened);
        for url in &held {
            self.tell_access(url);
            self.ask_for_content(url, now);
            self.publish_head(url);
            self.tell_presence_anew(url, now);
            self.forward_waiting(url, now);
        }
    }

    /// The session goes on at `by`: the socket that it was at, if any, is closed.
    fn supersede_socket(&mut self, id: SessionId, by: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let (live, suspended) = (session.connection, session.suspended.take());
        if let Some(old) = live {
            self.disconnect(id, old);
        }
        if let Some(old) = live.or(suspended).filter(|old| *old != by) {
            self.close(old, 4001, "superseded by a newer connection");
        }
    }
}

/// The runtime that opens, and the token it continues with.
pub(super) fn opened_from<'a>(
    header: &'a Header<'_>,
) -> Result<(Address, Option<&'a str>), Refusal> {
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

/// What somebody hears who opens where a session is open.
pub(super) fn has_session() -> Refusal {
    Refusal::conflict("this connection has a session: close it first")
}
