//! What a lost socket takes with it, and what the end of a session does (protocol.md §3).

use super::session::SessionId;
use super::{ConnectionId, Node, Timer};
use crate::limits::GRACE_MS;
use crate::time::Time;

impl Node {
    /// The driver lost a connection.
    pub(super) fn lost(&mut self, connection: ConnectionId, now: Time) {
        let Some(known) = self.connections.remove(&connection) else {
            return;
        };
        let Some(id) = known.session else { return };
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        // Of one that was suspended there the grace time runs already.
        session
            .suspended
            .take_if(|suspended| *suspended == connection);
        if session.connection != Some(connection) {
            return;
        }
        self.disconnect(id, connection);
        self.timers
            .insert((now.plus_ms(GRACE_MS), Timer::Grace(id)));
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.lost_at = Some(now);
        self.held_goes_away(id, now);
    }

    /// What a lost socket takes with it: routes rest, and what was under way on it is answered.
    pub(super) fn disconnect(&mut self, id: SessionId, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.connection = None;
        if let Some(known) = self.connections.get_mut(&connection) {
            known.session = None;
        }
        for url in &session.observed {
            if let Some(object) = self.objects.get_mut(url) {
                object.routes.disconnect(connection);
            }
        }
        self.unanswered_by(id, None);
        self.forget_asked_by(id);
    }

    pub(super) fn held_goes_away(&mut self, id: SessionId, now: Time) {
        let held = self
            .sessions
            .get(&id)
            .map(|session| session.held.clone())
            .unwrap_or_default();
        for url in &held {
            let Some(object) = self.objects.get_mut(url) else {
                continue;
            };
            object.withheld = None;
            if object.away_since.is_none() {
                object.away_since = Some(now);
                self.publish_head(url);
            }
        }
    }

    pub(super) fn grace_over(&mut self, id: SessionId, now: Time) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.connection.is_none() {
            let suspended = session.suspended;
            self.end_session(id, now);
            if let Some(connection) = suspended {
                self.close(connection, 4003, "the token ended");
            }
        }
    }

    /// Ends a session, its claims and its routes.
    pub(super) fn end_session(&mut self, id: SessionId, now: Time) {
        self.held_goes_away(id, now);
        self.lasts_until(id, None);
        if let Some(connection) = self
            .sessions
            .get(&id)
            .and_then(|session| session.connection)
        {
            self.disconnect(id, connection);
        }
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        self.runtimes.remove(&session.runtime);
        self.ends_as(id, session.identity.as_ref());
        for hyperty in &session.hyperties {
            self.hyperties.remove(hyperty);
        }
        for url in &session.observed {
            let object = self.objects.get_mut(url);
            let gone = object.map(|object| object.routes.end_all(id));
            for hyperty in gone.into_iter().flatten() {
                self.presence_changed(url, hyperty, true, now);
            }
            self.forget_if_empty(Some(url));
        }
        for url in &session.held {
            if let Some(object) = self.objects.get_mut(url) {
                object.holder = None;
            }
            self.expires_later(url, now);
            self.refuse_waiting(url);
        }
    }
}
