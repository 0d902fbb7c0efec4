//! Who may read an object, and what follows when that changes (protocol.md §5, §6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::object::Record;
use super::session::SessionId;
use super::wanted::Wanted;
use super::{Node, Output};
use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::GRANTS_PER_OBJECT_MAX;
use crate::message::body::Command;
use crate::message::{Type, encode};
use crate::time::Time;

/// The readers that a record remembers, present or not: a kick reaches the absent too. Anonymous
/// readers are not among them, their grant ends with their session.
#[derive(Clone, Debug, Default)]
pub(super) struct Grants(BTreeMap<Address, Grant>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grant {
    identity: Identity,
    /// The Reporter said yes where the record left it open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    approved: bool,
}

impl Grant {
    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl Grants {
    /// Remembers that `hyperty` of `identity` reads. Beyond its limit it remembers nobody new: a kick
    /// by address then denies no more than the address, unless its reader is there. Who asks again stays
    /// approved. Whether it says something new then.
    fn remember(&mut self, hyperty: Address, identity: Identity, approved: bool) -> bool {
        let approved = approved || self.approves(hyperty.as_str(), Some(&identity));
        let room = self.0.len() < GRANTS_PER_OBJECT_MAX || self.0.contains_key(&hyperty);
        let grant = Grant { identity, approved };
        let news = room && self.0.get(&hyperty) != Some(&grant);
        if news {
            self.0.insert(hyperty, grant);
        }
        news
    }

    /// Whether there was one.
    pub(super) fn end(&mut self, hyperty: &Address) -> bool {
        self.0.remove(hyperty).is_some()
    }

    pub(super) fn of(&self, hyperty: &Address) -> Option<&Grant> {
        self.0.get(hyperty)
    }

    pub(super) fn hyperties(&self) -> impl Iterator<Item = &Address> {
        self.0.keys()
    }

    pub(super) fn restore(&mut self, hyperty: Address, grant: Grant) {
        self.0.insert(hyperty, grant);
    }

    /// Whether the Reporter has said yes to `hyperty` of `identity`.
    pub(super) fn approves(&self, hyperty: &str, identity: Option<&Identity>) -> bool {
        self.0
            .get(hyperty)
            .is_some_and(|grant| grant.approved && Some(&grant.identity) == identity)
    }

    pub(super) fn identity_of(&self, hyperty: &str) -> Option<&Identity> {
        self.0.get(hyperty).map(|grant| &grant.identity)
    }
}

impl Record {
    /// Whether `hyperty` of `identity` may read; `None` leaves it to the Reporter. That may itself, whomever it lets in:
    /// of children it has what the node took.
    pub(super) fn decides(&self, hyperty: &str, identity: Option<&Identity>) -> Option<bool> {
        let owner = identity.is_some_and(|identity| self.owners.contains(identity));
        if owner && self.reporter.as_str() == hyperty {
            return Some(true);
        }
        let yes = || (owner || self.grants.approves(hyperty, identity)).then_some(true);
        self.access.decides(hyperty, identity).or_else(yes)
    }

    /// `hyperty` of `identity` reads from now on: the Reporter has answered 200. Whether the record says
    /// something new then.
    pub(super) fn grant(&mut self, hyperty: Address, identity: Option<&Identity>) -> bool {
        let open = self.decides(hyperty.as_str(), identity).is_none();
        let identity = identity.cloned();
        identity.is_some_and(|identity| self.grants.remember(hyperty, identity, open))
    }

    /// Forgets the grants of those who may not read, and says whose they were.
    fn end_denied_grants(&mut self) -> BTreeSet<Address> {
        let Self { access, grants, .. } = self;
        let mut denied = BTreeSet::new();
        grants.0.retain(|hyperty, grant| {
            let decided = access.decides(hyperty.as_str(), Some(&grant.identity));
            decided != Some(false) || !denied.insert(hyperty.clone())
        });
        denied
    }
}

impl Node {
    /// The record of `url` says anew who may read. Whoever may no longer gets nothing more: routes
    /// end and are told, requests under way are answered. `told` is what the denied hear; whom the
    /// record leaves open asks again, and its Reporter decides (§5).
    pub(super) fn enforce(&mut self, url: &Address, told: &Refusal, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let Some(record) = &mut object.record else {
            return;
        };
        let mut ended = record.end_denied_grants();
        for hyperty in &ended {
            self.named.remove(hyperty);
        }
        self.outbox.follows(object, |unstored| {
            unstored.claim = true;
            unstored.grants.append(&mut ended);
        });
        self.refuse_denied(url, told);
        for (session, hyperty, decided) in self.undecided_routes(url) {
            let refusal = decided.map_or_else(|| ask_again(url), |_| told.clone());
            self.unsubscribe(session, url, &hyperty, now);
            self.withdraw_queued(session, url);
            self.revoked(session, url, &hyperty, &refusal);
        }
    }

    /// What was published of `url` and is still queued for `session` is not for it, unless another of
    /// its hyperties reads.
    fn withdraw_queued(&mut self, session: SessionId, url: &Address) {
        if let Some(reader) = self.sessions.get(&session)
            && !reader.observed.contains(url)
            && let Some(connection) = reader.connection
            && let Some(object) = self.objects.get(url)
        {
            self.outbox.push(Output::Withdraw(connection, object.id));
        }
    }

    /// The reading hyperties whom the record of `url` does not let in.
    fn undecided_routes(&self, url: &Address) -> Vec<(SessionId, Address, Option<bool>)> {
        let Some(object) = self.objects.get(url) else {
            return vec![];
        };
        let Some(record) = &object.record else {
            return vec![];
        };
        let decided = |(session, hyperty): (SessionId, &Address)| {
            let reader = self.sessions.get(&session);
            let identity = reader.and_then(|reader| reader.identity.as_ref());
            (
                session,
                hyperty.clone(),
                record.decides(hyperty.as_str(), identity),
            )
        };
        let readers = object.routes.readers().map(decided);
        readers
            .filter(|(_, _, decided)| *decided != Some(true))
            .collect()
    }

    /// Answers what is asked of `url` and neither answered nor allowed. What was forwarded and is left open
    /// by now is asked again: its Reporter decides by what it knew when it was asked.
    fn refuse_denied(&mut self, url: &Address, told: &Refusal) {
        for ask in self.asked_about(url) {
            let decided = self.request(url, &ask).and_then(|request| {
                let record = self.objects.get(url).and_then(|o| o.record.as_ref());
                let asker = self.sessions.get(&request.asker);
                let identity = asker.and_then(|asker| asker.identity.as_ref());
                let hyperty = match &request.wanted {
                    Wanted::Route { hyperty, .. } => hyperty.as_str(),
                    Wanted::Content(_) | Wanted::Chunk(_) | Wanted::Answer => {
                        request.ask.from.as_str()
                    }
                    // Its Reporter may have taken it, and says so itself.
                    Wanted::FanOut(_) | Wanted::Keep | Wanted::Page => return Some(true),
                };
                record?.decides(hyperty, identity)
            });
            let refusal = match decided {
                Some(true) => continue,
                Some(false) => told.clone(),
                None if self.pending.contains_key(&ask) => ask_again(url),
                None => continue,
            };
            if let Some(request) = self.take_request(url, &ask) {
                self.refuse(request, &refusal);
            }
        }
    }

    /// Tells a reader that its route has ended. One that is away learns it when it asks again.
    fn revoked(&mut self, session: SessionId, url: &Address, hyperty: &Address, why: &Refusal) {
        let desc = why.desc.clone().into_owned();
        let told = Command::Revoked(url.clone(), hyperty.clone(), why.code, desc);
        self.command_runtime(session, &told);
    }

    /// Tells the runtime of `session` something about an object, when it is there.
    pub(super) fn command_runtime(&mut self, session: SessionId, command: &Command) {
        let Some(session) = self.sessions.get(&session) else {
            return;
        };
        if let Some(connection) = session.connection {
            let to = session.runtime.resource("sm");
            let from = Address::subscription_manager(&self.domain);
            let text = encode("null", Type::Execute, from.as_str(), &to, command);
            self.outbox.push(Output::Send(connection, text));
        }
    }
}

fn ask_again(url: &Address) -> Refusal {
    let desc = format!("who may read `{url}` was said anew: ask again");
    Refusal::away(Retry::Now, desc)
}
