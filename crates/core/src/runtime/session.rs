//! The runtime's session with its node (protocol.md §3): opened by signature, continued after a cut,
//! watched over while quiet.

use super::people::Credential;
use super::requests::Purpose;
use super::{Backoff, Connection, Output, Runtime, Timer};
use crate::address::{Address, SESSION};
use crate::error::{Reason, Refusal, Retry};
use crate::identity::{Key, encode_bytes};
use crate::limits::SILENCE_MS;
use crate::message::body::{Challenge, Open, Opened};
use crate::message::{Header, Type};
use crate::time::Time;

/// The close code of a socket that a newer one of the same session has replaced.
const SUPERSEDED: u16 = 4001;

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no connection; one is asked for, or will be.
    Offline,
    /// A connection is there, the session is not open.
    Opening,
    /// Frames flow.
    Live,
    /// The connection is there, and the token has ended.
    Suspended,
    /// It was refused or superseded, and is not tried again.
    Ended,
}

/// The session of one runtime.
#[derive(Debug)]
pub(super) struct Session {
    runtime: Address,
    public_key: String,
    nonce: String,
    /// What the node calls the session, once it was open.
    token: Option<String>,
    stage: Stage,
    heard_at: Time,
    pub(super) credential: Credential,
    pub(super) backoff: Backoff,
    /// Why it has ended.
    ended: Option<Refusal>,
}

impl Session {
    /// The session of the runtime whose id is minted with `nonce`.
    pub(super) fn new(domain: &str, key: &Key, nonce: &[u8; 16]) -> Self {
        Self {
            runtime: Address::join("hyperty-runtime", domain, &key.public().mint(nonce)),
            public_key: key.public().to_string(),
            nonce: encode_bytes(nonce),
            token: None,
            stage: Stage::Offline,
            heard_at: Time::default(),
            credential: Credential::default(),
            backoff: Backoff::default(),
            ended: None,
        }
    }

    pub(super) const fn runtime(&self) -> &Address {
        &self.runtime
    }

    /// What the runtime's id was minted with.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(super) const fn heard(&mut self, now: Time) {
        self.heard_at = now;
    }

    /// Why there will be no session any more.
    pub(super) const fn ended(&self) -> Option<&Refusal> {
        self.ended.as_ref()
    }

    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether there is one, served or suspended.
    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Suspended)
    }

    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) const fn suspend(&mut self) {
        self.stage = Stage::Suspended;
    }

    pub(super) const fn goes_offline(&mut self) {
        self.stage = Stage::Offline;
    }
}

impl Runtime {
    pub(super) fn connected(&mut self, now: Time) {
        if self.session.stage != Stage::Ended {
            self.session.stage = Stage::Opening;
            self.open(None, now);
        }
    }

    /// `open`, or `re-open` when there was a session: first without, then with the signature.
    pub(super) fn open(&mut self, signature: Option<String>, now: Time) {
        let (kind, from) = match &self.session.token {
            Some(token) => (Type::ReOpen, self.session.runtime.resource(token)),
            None => (Type::Open, self.session.runtime.as_str().to_owned()),
        };
        let body = Open {
            public_key: Some(self.session.public_key.clone()),
            nonce: Some(self.session.nonce.clone()),
            signature,
            token: self.session.credential.show(),
        };
        self.request(kind, &from, SESSION, &body, Purpose::Open, now);
    }

    /// An answer to `open`: a challenge, the session, or no.
    pub(super) fn opened(&mut self, code: u16, header: &Header<'_>, now: Time) {
        match (
            code,
            header.decode::<Challenge>(),
            header.decode::<Opened>(),
        ) {
            (401, Ok(Challenge { challenge, .. }), _) => {
                let runtime = self.session.runtime.as_str();
                let signature = self.key.prove(&self.domain, runtime, &challenge);
                self.open(Some(signature), now);
            }
            (200, _, Ok(opened)) => self.session_open(opened, now),
            _ => {
                let refusal = header.decode().unwrap_or_else(|_| {
                    Refusal::timed_out("the node's answer to `open` cannot be read")
                });
                if refusal.reason == Some(Reason::NeedsAuth) || self.session.is_open() {
                    return self.token_refused(&refusal, now);
                }
                if refusal.retry == Retry::Never && code < 500 {
                    self.end(refusal, now);
                }
                self.outbox.push_back(Output::Disconnect);
            }
        }
    }

    fn session_open(&mut self, opened: Opened, now: Time) {
        self.proven(&opened, now);
        let continued = self.session.token.replace(opened.runtime_token).is_some() && !opened.fresh;
        self.session.backoff.reset();
        if std::mem::replace(&mut self.session.stage, Stage::Live) == Stage::Live {
            // It has a newer token, and nothing was interrupted.
            return;
        }
        self.outbox.push_back(Output::Connection(Connection::Live));
        self.timers
            .insert((now.plus_ms(SILENCE_MS), Timer::Silence));
        if continued {
            self.continue_objects(&opened.claims, &opened.heads, now);
        } else {
            self.restart_objects(now);
        }
        self.send_due(now);
    }

    pub(super) fn disconnected(&mut self, code: Option<u16>, now: Time) {
        let was_ended = self.session.stage == Stage::Ended;
        let was_offline = self.session.stage == Stage::Offline;
        if code == Some(SUPERSEDED) && !was_ended {
            self.end(
                Refusal::conflict("superseded: the session goes on elsewhere"),
                now,
            );
            return;
        }
        if was_ended {
            return;
        }
        self.session.stage = Stage::Offline;
        self.session.credential.cut();
        self.cut_objects(now);
        if self.session.credential.is_needed() {
            return;
        }
        if !was_offline {
            self.outbox
                .push_back(Output::Connection(Connection::Connecting));
        }
        let wait_ms = self.session.backoff.next_ms(Retry::Now, &mut self.entropy);
        self.timers.insert((now.plus_ms(wait_ms), Timer::Reconnect));
    }

    pub(super) fn reconnect(&mut self) {
        if self.session.stage == Stage::Offline {
            self.outbox.push_back(Output::Connect);
        }
    }

    /// A quiet node is asked whether it is there.
    pub(super) fn silence(&mut self, now: Time) {
        if !self.session.is_open() {
            return;
        }
        let due = self.session.heard_at.plus_ms(SILENCE_MS);
        let next = if due <= now {
            // Asked once: no answer to this ends the connection.
            self.ping(Purpose::Alive, now);
            now.plus_ms(SILENCE_MS)
        } else {
            due
        };
        self.timers.insert((next, Timer::Silence));
    }

    pub(super) fn ping(&mut self, purpose: Purpose, now: Time) {
        let from = self.session.runtime.as_str().to_owned();
        self.request(
            Type::Ping,
            &from,
            SESSION,
            &serde_json::Map::new(),
            purpose,
            now,
        );
    }

    /// The application is done: the node frees what the session had. The driver sends what comes out
    /// and drops the connection.
    pub fn close(&mut self, now: Time) {
        if self.session.is_open() {
            let from = self.session.runtime.as_str().to_owned();
            let nothing = serde_json::Map::new();
            let text = crate::message::encode("0", Type::Close, &from, SESSION, &nothing);
            self.outbox.push_back(Output::Send(text));
        }
        self.end(Refusal::conflict("closed by this application"), now);
    }

    fn end(&mut self, refusal: Refusal, now: Time) {
        self.session.stage = Stage::Ended;
        self.session.ended = Some(refusal.clone());
        self.cut_objects(now);
        self.close_objects(&refusal);
        self.outbox.push_back(Output::Refused(refusal));
    }
}
