//! May this frame in, and who gets it (protocol.md §3, §5, §6, §8): the trust border of the node.
//! Nothing here changes anything.

use std::sync::Arc;

use super::Node;
use super::children::{check_keep, check_names};
use super::commands::{check_access, deleted, denied};
use super::object::{Object, Record};
use super::people::token_ended;
use super::request::{Ask, Request};
use super::session::{SessionId, has_session};
use super::stamping::stamp_reader;
use super::wanted::{Reading, Wanted};
use crate::address::{Address, Resource, Target};
use crate::children::ChildCommit;
use crate::error::{Refusal, Retry};
use crate::limits::{COMMIT_BODY_BYTES_MAX, COMMIT_BYTES_MAX};
use crate::message::body::{Claim, ClaimRequest, Command, Subscribe};
use crate::message::{Header, Type};
use crate::stream::{CommitHeader, Head, Position};
use crate::time::Time;

/// Who gets a frame that may in.
#[derive(Debug)]
pub(super) enum Passage {
    /// A commit, now at this position: every reader of the object.
    Publish(Address, Position),
    /// The Reporter's own head: every reader of the object.
    Head(Address, Box<Head>),
    /// What the holder of an object that is handed over sends: nobody, for now.
    Withhold(Address),
    /// An answer: who asked.
    Answer(Ask),
    /// A request: whoever is at its address.
    Forward(Box<Request>),
    /// An event, stamped: whoever is at its address, if anybody.
    Tell(Option<SessionId>, String),
    /// An event about an object, stamped: every reader, and the holder.
    Event(Address, Arc<str>),
    /// The node itself.
    Serve(Service),
    /// Nobody: an answer that nobody waits for.
    Drop,
}

/// What the node does itself.
#[derive(Debug)]
pub(super) enum Service {
    Open,
    Ping,
    Close,
    Claim(Box<Claim>),
    Command(Address, Box<Command>),
    Observers(Address, Option<Address>),
    Delete(Address),
    /// The Reporter's own child commit, stamped, now at this position.
    Child(Address, Arc<str>, Position),
    /// A child commit of this name, which the node takes, and its text, stamped.
    Take(Address, String, Box<ChildCommit>, Arc<str>),
    Many,
    Unsubscribe(Address, Address),
}

impl Node {
    /// Before there is a session, there is only `open`.
    pub(super) fn admit_stranger(header: &Header<'_>) -> Result<Passage, Refusal> {
        match (Target::of(&header.to), header.kind) {
            (Target::Session, Type::Open | Type::ReOpen) => Ok(Passage::Serve(Service::Open)),
            _ => Err(Refusal::unproven(
                "open a session first: send `open` to mn:/session",
            )),
        }
    }

    /// Judges a frame of `session`.
    pub(super) fn admit(
        &self,
        session: SessionId,
        header: &Header<'_>,
        now: Time,
    ) -> Result<Passage, Refusal> {
        let target = Target::of(&header.to);
        if target == Target::Session {
            return self.admit_session(session, header);
        }
        if self.is_suspended(session) {
            return Self::admit_suspended(header);
        }
        if header.kind == Type::Response {
            return self.admit_answer(session, header);
        }
        if !self.may_use(session, &header.from) {
            return Err(not_yours("from", &header.from));
        }
        match (target, header.kind) {
            (Target::Object(url, Resource::Changes), Type::Update) => {
                self.admit_commit(session, url, header)
            }
            (Target::Object(url, Resource::Subscription), Type::Subscribe)
            | (Target::Object(url, Resource::Itself), Type::Read) => {
                self.admit_reader(session, url, header)
            }
            (Target::Object(url, Resource::Subscription), Type::Unsubscribe) => {
                let (hyperty, _) = self.asking(session, header)?;
                let url = Address::object(url).map_err(|error| malformed("to", &error))?;
                Ok(Passage::Serve(Service::Unsubscribe(url, hyperty)))
            }
            (Target::Object(url, Resource::Changes), Type::Delete) => {
                self.admit_delete(session, url, header)
            }
            (
                Target::Object(url, Resource::Children(name)),
                Type::Create | Type::Update | Type::Delete | Type::Event,
            ) => self.admit_child(session, url, name, header, now),
            (Target::Object(url, Resource::Children(name)), Type::Read) => {
                self.admit_chunk(session, url, name, header)
            }
            (Target::Object(url, Resource::Itself), Type::Execute) => {
                self.admit_execute(session, url, header)
            }
            (Target::Service(service), Type::Subscribe) if self.is_sm(service) => {
                if names_objects(header.body) {
                    return Ok(Passage::Serve(Service::Many));
                }
                self.admit_claim(session, header)
            }
            (Target::Service(service), Type::Execute) if self.is_sm(service) => {
                self.admit_command(session, header)
            }
            (Target::Peer(_), _) => self.admit_message(session, header),
            (Target::Person(_), Type::Create) => self.admit_invitation(session, header),
            _ => Err(Refusal::unknown(format!(
                "nobody at `{}` takes `{}`: check the address and the type",
                header.to,
                header.kind.as_str()
            ))),
        }
    }

    /// What a session says of itself.
    fn admit_session(&self, session: SessionId, header: &Header<'_>) -> Result<Passage, Refusal> {
        match header.kind {
            Type::Ping => Ok(Passage::Serve(Service::Ping)),
            Type::Close => Ok(Passage::Serve(Service::Close)),
            // A newer token, or none of this connection's business: that is seen there.
            Type::ReOpen => Ok(Passage::Serve(Service::Open)),
            Type::Open if self.is_suspended(session) => Self::admit_suspended(header),
            Type::Open => Err(has_session()),
            Type::Response => Ok(Passage::Drop),
            _ => Err(Refusal::unknown(
                "mn:/session takes open, re-open, ping and close",
            )),
        }
    }

    /// Nobody is served whose token has ended.
    fn admit_suspended(header: &Header<'_>) -> Result<Passage, Refusal> {
        match header.kind {
            Type::Response => Ok(Passage::Drop),
            _ => Err(token_ended()),
        }
    }

    fn is_sm(&self, service: &str) -> bool {
        let domain = service.strip_prefix("msg-node.");
        domain.and_then(|rest| rest.strip_suffix("/sm")) == Some(&self.domain)
    }

    /// The object at `url`, when there is one; whatever is asked of a deleted one is answered 410.
    pub(super) fn not_deleted(&self, url: &str) -> Result<Option<&Object>, Refusal> {
        let object = self.objects.get(url);
        match object.filter(|object| object.deleted.is_some()) {
            Some(object) => Err(deleted(&object.url)),
            None => Ok(object),
        }
    }

    /// A commit: only the holder's, only the next one (§4, §8).
    fn admit_commit(
        &self,
        session: SessionId,
        url: &str,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let object = self.not_deleted(url)?;
        let held = object.and_then(|object| Some((object, object.record.as_ref()?)));
        let Some((object, record)) = held.filter(|(object, _)| object.holder == Some(session))
        else {
            return Err(Refusal::forbidden(format!(
                "only who holds `{url}` may send to its /changes: claim it first"
            )));
        };
        if header.from != url {
            return Err(not_yours("from", &header.from));
        }
        if object.withheld.is_some() {
            return Ok(Passage::Withhold(object.url.clone()));
        }
        let commit = match CommitHeader::peek(header.body) {
            Ok(commit) => commit,
            Err(refusal) => {
                let head = header.decode::<Head>().map_err(|_| refusal)?;
                return Self::admit_head(&object.url, record, head);
            }
        };
        if header.body.len() > COMMIT_BODY_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "field `body`: a commit has at most {COMMIT_BYTES_MAX} bytes: divide it"
            )));
        }
        let Position { epoch, version } = record.position;
        let next = commit.position.version == version + 1;
        // Up to its base a claim brings what was written under the claims before it.
        let claimed = commit.position.epoch == record.epoch || commit.position <= record.base;
        let continues = commit.position.epoch == epoch;
        let begins = commit.position.epoch > epoch && commit.base == Some(record.position);
        if next && claimed && (continues || begins) {
            Ok(Passage::Publish(object.url.clone(), commit.position))
        } else {
            Err(Refusal::conflict(format!(
                "commit {} does not follow {}: versions go up by exactly one, under the claim's epoch {}",
                commit.position, record.position, record.epoch
            )))
        }
    }

    /// The Reporter says where its quiet object stands, and with which hash (§4): as it is here, or
    /// not at all.
    fn admit_head(url: &Address, record: &Record, head: Head) -> Result<Passage, Refusal> {
        let stands = (record.epoch, record.position, &record.reporter);
        let stated = head.identity.is_some() || !head.owners.is_empty();
        if head.live && !stated && (head.epoch, head.position, &head.reporter) == stands {
            return Ok(Passage::Head(url.clone(), Box::new(head)));
        }
        Err(Refusal::conflict(format!(
            "a head says where the object stands: at {}, under epoch {}",
            record.position, record.epoch
        )))
    }

    /// `subscribe` and `read`: decided by the claim record, then by the Reporter (§6).
    pub(super) fn admit_reader(
        &self,
        session: SessionId,
        url: &str,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let (hyperty, body) = self.asking(session, header)?;
        let url = Address::object(url).map_err(|error| malformed("to", &error))?;
        if url.domain() != self.domain {
            return Err(self.other_domain(&url));
        }
        let identity = self.sessions[&session].identity.as_ref();
        let record = self
            .not_deleted(url.as_str())?
            .and_then(|object| object.record.as_ref());
        match record {
            Some(record) if record.decides(hyperty.as_str(), identity) == Some(false) => {
                return Err(denied(&url));
            }
            None if header.kind == Type::Read => {
                return Err(Refusal::unknown(format!("nobody has claimed `{url}`")));
            }
            None if !body.hold => {
                let desc = format!("nobody has claimed `{url}` yet");
                return Err(Refusal::away(Retry::Seconds(1), desc));
            }
            _ => {}
        }
        let granted =
            record.is_some_and(|record| record.grants.approves(hyperty.as_str(), identity));
        let owner = record.is_some_and(|record| {
            let other = identity.filter(|one| record.identity.as_ref() != Some(*one));
            other.is_some_and(|one| record.owners.contains(one))
        });
        let text = stamp_reader(header, identity, granted, owner)?;
        let hold = body.hold;
        let reading = Reading::of(body, header.body.len());
        let wanted = match header.kind {
            Type::Read => Wanted::Content(reading),
            _ => Wanted::Route {
                hyperty,
                hold,
                reading,
            },
        };
        let request = Request::new(session, header, Some(url), wanted, text)?;
        Ok(Passage::Forward(Box::new(request)))
    }

    /// A claim: its fields are judged here, its place in the object's history in `claim.rs` (§5, §8).
    fn admit_claim(&self, session: SessionId, header: &Header<'_>) -> Result<Passage, Refusal> {
        let body: ClaimRequest = header.decode()?;
        let Some(claim) = body.claim else {
            return Err(Refusal::not_built(
                "plain listening is not built: `subscribe` to the object's /subscription, or claim it",
            ));
        };
        let url = Address::object(claim.url.as_str())
            .map_err(|error| malformed("body.claim.url", &error))?;
        let named = |resource: &str| body.resources.iter().any(|one| one == resource);
        if !named(url.as_str()) || !named(&url.resource("subscription")) {
            return Err(Refusal::malformed(format!(
                "field `body.resources` must name `{url}` and its /subscription"
            )));
        }
        for (field, address) in [
            ("source", &body.source),
            ("claim.reporter", &claim.reporter),
        ] {
            if !self.may_use(session, address.as_str()) {
                return Err(not_yours(&format!("body.{field}"), address.as_str()));
            }
        }
        check_access(&claim.access)?;
        check_names(&claim.children)?;
        check_keep(&claim)?;
        if url.domain() == self.domain {
            Ok(Passage::Serve(Service::Claim(Box::new(claim))))
        } else {
            Err(self.other_domain(&url))
        }
    }

    /// An answer passes to who asked, from who was asked, once (§2).
    fn admit_answer(&self, session: SessionId, header: &Header<'_>) -> Result<Passage, Refusal> {
        let ask = Ask {
            from: header.to.as_ref().into(),
            id: header.id.into(),
        };
        let expected = self.pending.get(&ask).is_some_and(|pending| {
            pending.asked_of == session && *pending.request.to == *header.from
        });
        Ok(if expected {
            Passage::Answer(ask)
        } else {
            Passage::Drop
        })
    }

    /// The hyperty that asks, and what it says.
    fn asking(
        &self,
        session: SessionId,
        header: &Header<'_>,
    ) -> Result<(Address, Subscribe), Refusal> {
        let body: Subscribe = header.decode()?;
        let hyperty = match body.source.clone() {
            Some(source) => source,
            None => Address::parse(&header.from).map_err(|error| malformed("from", &error))?,
        };
        if self.may_use(session, hyperty.as_str()) {
            Ok((hyperty, body))
        } else {
            Err(not_yours("body.source", hyperty.as_str()))
        }
    }

    fn other_domain(&self, url: &Address) -> Refusal {
        let (domain, theirs) = (&self.domain, url.domain());
        Refusal::unknown(format!(
            "`{url}` is of domain {theirs}: this node serves {domain}"
        ))
    }
}

/// Whether a `subscribe` to the subscription manager is one to many objects.
fn names_objects(body: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Fields {
        objects: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Fields>(body).is_ok_and(|fields| fields.objects.is_some())
}

pub(super) fn not_yours(field: &str, address: &str) -> Refusal {
    Refusal::forbidden(format!("field `{field}`: `{address}` is not yours"))
}

fn malformed(field: &str, error: &dyn std::error::Error) -> Refusal {
    Refusal::malformed(format!("field `{field}`: {error}"))
}
