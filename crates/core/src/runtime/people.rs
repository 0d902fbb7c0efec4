//! The person that a runtime is (protocol.md §3): the token that shows it to the node, and how a newer one
//! is asked for before that one has ended, or when it has.

use super::session::Stage;
use super::{Connection, Output, Runtime, Timer};
use crate::error::{Refusal, Retry};
use crate::identity::Token;
use crate::limits::TOKEN_AHEAD_MS;
use crate::message::body::Opened;
use crate::time::Time;

/// The token of a runtime, and what the node made of it.
#[derive(Debug, Default)]
pub(super) struct Credential {
    token: Option<Token>,
    /// It was sent.
    sent: bool,
    /// Nothing goes on before there is another one.
    needed: bool,
    /// When it ends, as the node says: none at a node that asks for no token.
    expires: Option<Time>,
    /// A `re-open` with it, on the connection that there is, is not answered yet.
    renewing: bool,
}

impl Credential {
    /// The token, which is about to be sent.
    pub(super) fn show(&mut self) -> Option<Token> {
        self.sent = true;
        self.token.clone()
    }

    pub(super) const fn is_needed(&self) -> bool {
        self.needed
    }

    /// The connection is gone, and what was asked on it.
    pub(super) const fn cut(&mut self) {
        self.renewing = false;
    }
}

impl Runtime {
    /// Takes the token that shows who this runtime is, in answer to [`Output::NeedsToken`] or before. A
    /// session that needs it goes on with it, on the connection that it has.
    pub fn authenticate(&mut self, token: Token, now: Time) {
        let credential = &mut self.session.credential;
        (credential.token, credential.sent) = (Some(token), false);
        let needed = std::mem::take(&mut credential.needed);
        let asked_for = credential.expires.is_some();
        if needed {
            self.outbox
                .push_back(Output::Connection(Connection::Connecting));
        }
        match self.session.stage() {
            Stage::Suspended => self.renew(now),
            Stage::Live if asked_for => self.renew(now),
            Stage::Offline if needed => self.reconnect(),
            _ => {}
        }
    }

    /// There is no token to be had now, for the reason `why`: it is asked for again, later and later.
    pub fn no_token(&mut self, why: &str, now: Time) {
        if self.session.credential.needed {
            self.needs_token(&Refusal::needs_auth(why.to_owned()));
        }
        let wait_ms = self.session.backoff.next_ms(Retry::Now, &mut self.entropy);
        self.timers.insert((now.plus_ms(wait_ms), Timer::Token));
    }

    fn renew(&mut self, now: Time) {
        self.session.credential.renewing = true;
        self.open(None, now);
    }

    /// Asks for a token: there is none, or the node does not take it. One that was refused is not
    /// followed by another at once.
    pub(super) fn token_refused(&mut self, refusal: &Refusal, now: Time) {
        let stage = self.session.stage();
        let credential = &mut self.session.credential;
        credential.renewing = false;
        let refused = credential.token.is_some();
        if refused && !credential.sent {
            // Another has come meanwhile.
            credential.renewing = stage != Stage::Opening;
            return self.open(None, now);
        }
        let backoff = &mut self.session.backoff;
        let wait_ms = if refused {
            backoff.next_ms(refusal.retry, &mut self.entropy)
        } else {
            0
        };
        match stage {
            Stage::Live => {}
            Stage::Opening => {
                self.session.goes_offline();
                self.needs_token(refusal);
                self.outbox.push_back(Output::Disconnect);
            }
            _ => self.needs_token(refusal),
        }
        self.timers.insert((now.plus_ms(wait_ms), Timer::Token));
    }

    fn needs_token(&mut self, refusal: &Refusal) {
        self.session.credential.needed = true;
        let why = Connection::NeedsAuth(refusal.desc.clone().into_owned());
        self.outbox.push_back(Output::Connection(why));
    }

    /// The node says that the token has ended: nothing is served before it has a newer one.
    pub(super) fn suspended(&mut self, now: Time) {
        if !self.session.is_live() {
            return;
        }
        self.session.suspend();
        self.cut_objects(now);
        if self.session.credential.renewing {
            // Its answer is to come, and is no longer known.
            self.outbox
                .push_back(Output::Connection(Connection::Connecting));
            return self.renew(now);
        }
        self.needs_token(&Refusal::needs_auth("the token has ended"));
        self.timers.insert((now, Timer::Token));
    }

    /// The session is open, or has a newer token: who it is, and until when.
    pub(super) fn proven(&mut self, opened: &Opened, now: Time) {
        if let Some(identity) = &opened.identity {
            self.identity = identity.clone();
        }
        let credential = &mut self.session.credential;
        credential.renewing = false;
        credential.needed = false;
        let expires = opened.expires.as_deref().and_then(Time::parse_rfc3339);
        // One that ends when the last one did is no newer one: asking ahead for another led nowhere.
        if std::mem::replace(&mut credential.expires, expires) == expires {
            return;
        }
        self.timers.retain(|(_, timer)| *timer != Timer::Token);
        if let Some(expires) = expires.filter(|expires| *expires > now) {
            let lasts = expires.ms_since(now);
            let asked = now.plus_ms(lasts - TOKEN_AHEAD_MS.min(lasts / 10));
            self.timers.insert((asked, Timer::Token));
        }
    }

    /// It is time to ask for a token.
    pub(super) fn ask_for_token(&mut self) {
        if self.session.is_live() || self.session.credential.needed {
            self.outbox.push_back(Output::NeedsToken);
        }
    }
}
