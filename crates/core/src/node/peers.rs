//! Messages to hyperties, runtimes and people (protocol.md §2, §5).

use super::Node;
use super::admission::Passage;
use super::request::Request;
use super::session::SessionId;
use super::stamping::stamp;
use super::wanted::Wanted;
use crate::address::{Resource, Target};
use crate::error::Refusal;
use crate::identity::Identity;
use crate::message::{Header, Type};

impl Node {
    /// A message to a hyperty or a runtime.
    pub(super) fn admit_message(
        &self,
        session: SessionId,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let text = stamp(header, self.sessions[&session].identity.as_ref())?;
        let owner = self.owner(&header.to);
        if header.kind == Type::Event {
            // Best effort, and never answered: nothing is kept of it.
            return Ok(Passage::Tell(owner, text));
        }
        if owner.is_none() {
            return Err(Refusal::unknown(format!("nobody is at `{}`", header.to)));
        }
        let request = Request::new(session, header, None, Wanted::Answer, text)?;
        Ok(Passage::Forward(Box::new(request)))
    }

    /// An invitation to a person (§5): whoever opened a session last as that identity has it.
    pub(super) fn admit_invitation(
        &self,
        session: SessionId,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let invites = matches!(
            Target::of(&header.from),
            Target::Object(_, Resource::Subscription)
        );
        if !invites {
            return Err(Refusal::forbidden(
                "people are written to from an object's /subscription alone: to be invited",
            ));
        }
        if self.newest_of(&header.to).is_none() {
            return Err(Refusal::unknown(format!(
                "nobody is here as `{}`",
                header.to
            )));
        }
        let text = stamp(header, self.sessions[&session].identity.as_ref())?;
        let request = Request::new(session, header, None, Wanted::Answer, text)?;
        Ok(Passage::Forward(Box::new(request)))
    }

    /// The session that was opened last as `identity`, one that is connected if there is one.
    pub(super) fn newest_of(&self, identity: &str) -> Option<SessionId> {
        let sessions = self.identities.get(identity)?;
        let connected = |id: &&SessionId| {
            let session = self.sessions.get(id);
            session.is_some_and(|session| session.connection.is_some())
        };
        let newest = sessions.iter().rev().find(connected);
        newest.or_else(|| sessions.last()).copied()
    }

    /// Notes as whom `session` is here.
    pub(super) fn begins_as(&mut self, id: SessionId) {
        let identity = self.sessions.get(&id).and_then(|one| one.identity.clone());
        if let Some(identity) = identity {
            self.identities.entry(identity).or_default().insert(id);
        }
    }

    /// `id` is here no longer as `identity`.
    pub(super) fn ends_as(&mut self, id: SessionId, identity: Option<&Identity>) {
        let sessions = identity.and_then(|identity| self.identities.get_mut(identity.as_str()));
        if let Some((sessions, identity)) = sessions.zip(identity) {
            sessions.remove(&id);
            if sessions.is_empty() {
                self.identities.remove(identity.as_str());
            }
        }
    }
}
