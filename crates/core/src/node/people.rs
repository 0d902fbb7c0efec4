//! People (protocol.md §3): a session with a token is the person whom the token names, for as long as
//! the token lasts. Whose tokens count, a driver knows; here is what follows from one.

use std::fmt;

use super::session::{SessionId, has_session, opened_from};
use super::{ConnectionId, Node, Output, Timer};
use crate::error::Refusal;
use crate::identity::{Identity, Token};
use crate::limits::{GRACE_MS, TOKEN_BYTES_MAX};
use crate::message::Header;
use crate::message::body::{Command, Open};
use crate::time::Time;

/// Whom a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The person, `user://<idp>/<sub>`.
    pub identity: Identity,
    /// When the token ends.
    pub expires: Time,
}

/// Tells true tokens from others.
pub trait VerifyToken: fmt::Debug {
    /// Whom `token` names, when it is true and has not ended `now`.
    ///
    /// # Errors
    /// [`Refusal::needs_auth`], which names the rule that the token breaks.
    fn verify(&self, token: &str, now: Time) -> Result<Proven, Refusal>;
}

impl Node {
    /// From now on a session that names a key needs a token as well, one that `tokens` takes. Call it
    /// again when other tokens count: sessions that are open last as long as the token they showed.
    pub fn ask_for_tokens(&mut self, tokens: Box<dyn VerifyToken + Send>) {
        self.tokens = Some(tokens);
    }

    /// Whom a session is: whom its token names, when this node asks for tokens and the session is bound
    /// to a key.
    pub(super) fn person(
        &self,
        keyed: bool,
        token: Option<&Token>,
        now: Time,
    ) -> Result<Option<Proven>, Refusal> {
        match (&self.tokens, token) {
            (Some(_), Some(_)) if !keyed => Err(Refusal::malformed(
                "field `body.token`: a session without a key is anonymous, send `body.publicKey` too",
            )),
            (Some(tokens), Some(token)) if token.as_str().len() <= TOKEN_BYTES_MAX => {
                tokens.verify(token.as_str(), now).map(Some)
            }
            (Some(_), Some(_)) => Err(Refusal::too_large(format!(
                "field `body.token` has at most {TOKEN_BYTES_MAX} bytes"
            ))),
            (Some(_), None) if keyed => Err(Refusal::needs_auth(
                "this node asks who you are: send a token of your identity provider as `body.token`",
            )),
            _ => Ok(None),
        }
    }

    /// Whether the token of `session` has ended, and its socket is still there.
    pub(super) fn is_suspended(&self, session: SessionId) -> bool {
        let session = self.sessions.get(&session);
        session.is_some_and(|session| session.suspended.is_some())
    }

    /// Notes until when the token of `session` lasts.
    pub(super) fn lasts_until(&mut self, id: SessionId, expires: Option<Time>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut session.expires, expires);
        if let Some(before) = before {
            self.timers.remove(&(before, Timer::TokenOver(id)));
        }
        if let Some(expires) = expires {
            self.timers.insert((expires, Timer::TokenOver(id)));
        }
    }

    /// The token of a session has ended. The session is away as one whose socket is lost, but it is told,
    /// and on the socket that it has it may show a newer token.
    pub(super) fn token_over(&mut self, id: SessionId, now: Time) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        // Without a socket it is away, and needs a token to come back.
        let Some(connection) = session.connection else {
            return;
        };
        for url in &session.observed {
            if let Some(object) = self.objects.get(url) {
                self.outbox.push(Output::Withdraw(connection, object.id));
            }
        }
        self.refuse_asked_by(id);
        self.command_runtime(id, &Command::NeedsAuth());
        self.disconnect(id, connection);
        if let Some(known) = self.connections.get_mut(&connection) {
            known.session = Some(id);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.suspended = Some(connection);
            session.lost_at = Some(now);
        }
        self.timers
            .insert((now.plus_ms(GRACE_MS), Timer::Grace(id)));
        self.held_goes_away(id, now);
    }

    /// Answers what `id` asked and nobody has answered: an answer from elsewhere is not for it any more.
    fn refuse_asked_by(&mut self, id: SessionId) {
        let Some(asker) = self.sessions.get(&id) else {
            return;
        };
        for (ask, url) in asker.asked.clone() {
            // What it wrote stays with the Reporter, who may have taken it.
            let request = match (self.written(&ask), &url) {
                (Some(written), _) => Some(written.clone()),
                (None, Some(url)) => self.take_request(url, &ask),
                (None, None) => self.take_pending(&ask).map(|pending| pending.request),
            };
            if let Some(request) = request {
                self.refuse(request, &token_ended());
            }
            self.forget_if_empty(url.as_ref());
        }
    }

    /// A `re-open` on the socket that the session has: a newer token of the same person.
    pub(super) fn renew(
        &mut self,
        id: SessionId,
        connection: ConnectionId,
        header: &Header<'_>,
        body: &Open,
        now: Time,
    ) -> Result<(), Refusal> {
        let (runtime, token) = opened_from(header)?;
        let session = self.sessions.get(&id).ok_or_else(has_session)?;
        if !session.is_known_as(&runtime, token) {
            return Err(has_session());
        }
        let person = self.person(session.key.is_some(), body.token.as_ref(), now)?;
        let person = person.ok_or_else(has_session)?;
        if session.identity.as_ref() != Some(&person.identity) {
            return Err(Refusal::forbidden(
                "field `body.token` is of another person than this session: close it first",
            ));
        }
        self.counters.opened += 1;
        self.lasts_until(id, Some(person.expires));
        if self.is_suspended(id) {
            self.continue_session(id, connection, header, now);
        } else {
            let opened = self.opened(id);
            self.send(connection, header.id, &header.to, &header.from, &opened);
        }
        Ok(())
    }
}

/// What somebody hears whose token has ended.
pub(super) fn token_ended() -> Refusal {
    Refusal::needs_auth(
        "your token has ended: send `re-open` with a newer one as `body.token` on this connection",
    )
}
