//! Which session an address is of (protocol.md §8).

use super::Node;
use super::session::SessionId;
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::looks_minted;
use crate::limits::HYPERTIES_PER_SESSION_MAX;

impl Node {
    /// Whether `session` may speak as `address`: it owns it, or it is a hyperty that nobody owns.
    pub(super) fn may_use(&self, session: SessionId, address: &str) -> bool {
        match self.owner(address) {
            Some(owner) => owner == session,
            None => is_hyperty(address) && self.may_adopt(session, address),
        }
    }

    /// Whether a hyperty that nobody owns may become the session's: one under a minted id is only
    /// the runtime's with that id, or a stranger could be there first and lock its owner out; and one that a claim or a
    /// grant names only of its identity.
    fn may_adopt(&self, session: SessionId, hyperty: &str) -> bool {
        let below = hyperty.splitn(4, '/').nth(3).unwrap_or_default();
        let runtime = below.split('/').next().unwrap_or_default();
        let own = || {
            self.sessions
                .get(&session)?
                .runtime
                .as_str()
                .rsplit('/')
                .next()
        };
        let identity = self
            .sessions
            .get(&session)
            .and_then(|session| session.identity.as_ref());
        let named = self.named.allows(hyperty, identity);
        named && (!looks_minted(runtime) || own() == Some(runtime))
    }

    /// Makes a hyperty that nobody owns the session's, by first use (§8).
    pub(super) fn adopt(&mut self, session: SessionId, address: &str) -> Result<(), Refusal> {
        if !is_hyperty(address) || self.hyperties.contains_key(address) {
            return Ok(());
        }
        let hyperty = Address::parse(address)
            .map_err(|error| Refusal::malformed(format!("field `from`: {error}")))?;
        let Some(owner) = self.sessions.get_mut(&session) else {
            return Ok(());
        };
        if owner.hyperties.len() >= HYPERTIES_PER_SESSION_MAX {
            let desc = format!("a session has at most {HYPERTIES_PER_SESSION_MAX} hyperties");
            return Err(Refusal::too_many(desc));
        }
        owner.hyperties.insert(hyperty.clone());
        self.hyperties.insert(hyperty, session);
        Ok(())
    }

    /// Who owns `address`: a runtime what is under its URL, a hyperty's session the hyperty, and the
    /// holder an object and its resources.
    pub(super) fn owner(&self, address: &str) -> Option<SessionId> {
        if is_hyperty(address) {
            return self.hyperties.get(address).copied();
        }
        let mut prefix = address;
        loop {
            let runtime = self.runtimes.get(prefix).copied();
            let found = runtime.or_else(|| self.objects.get(prefix).and_then(|o| o.holder));
            if found.is_some() {
                return found;
            }
            prefix = prefix.rsplit_once('/')?.0;
        }
    }
}

fn is_hyperty(address: &str) -> bool {
    address.starts_with("hyperty://")
}
