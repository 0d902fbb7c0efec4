//! Children and events (protocol.md §6, §9): who may write beside the Reporter, and what its readers
//! get of it. A child commit goes to the Reporter as a request; when that says 200 every reader has it in the
//! same step, so that none has what the Reporter lacks, and all have it in the Reporter's order.

use std::sync::Arc;

use super::admission::{Passage, Service};
use super::object::{Object, Record};
use super::request::{Request, check_id};
use super::session::SessionId;
use super::stamping::{stamp, stamp_for_readers};
use super::wanted::Wanted;
use super::{Node, Output};
use crate::address::Address;
use crate::children::{ChildCommit, ChildHeader, ChildWrite, RESERVED_NAMES, is_child_of, is_name};
use crate::error::Refusal;
use crate::limits::{
    CHILD_BODY_BYTES_MAX, CHILD_BYTES_MAX, CHILDREN_NAME_BYTES_MAX, CHILDREN_NAMES_MAX,
    CREATED_OFF_MS, EVENT_BODY_BYTES_MAX, KEEP_MAX, KEPT_PER_ASKER_BYTES_MAX,
    KEPT_PER_OBJECT_BYTES_MAX,
};
use crate::message::body::Claim;
use crate::message::{Header, Type};
use crate::time::Time;

impl Node {
    /// A child commit or an event. A stranger learns nothing: whether it may speak here is judged before
    /// what it says.
    pub(super) fn admit_child(
        &self,
        session: SessionId,
        url: &str,
        name: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Result<Passage, Refusal> {
        let (object, record) = self.may_speak(session, url, &header.from)?;
        record.check_name(url, name)?;
        let identity = self.sessions[&session].identity.as_ref();
        if header.kind == Type::Event {
            if header.body.len() > EVENT_BODY_BYTES_MAX {
                return Err(Refusal::too_large(format!(
                    "field `body`: an event has at most {EVENT_BODY_BYTES_MAX} bytes"
                )));
            }
            let text = stamp_for_readers(header, identity)?;
            return Ok(Passage::Event(object.url.clone(), text));
        }
        if header.body.len() > CHILD_BODY_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "field `body`: a child has at most {CHILD_BYTES_MAX} bytes"
            )));
        }
        let commit = ChildHeader::peek(header.kind, header.body)?;
        let reports = reports(object, record, session, &header.from);
        check_commit(&commit, &header.from, reports, now)?;
        let kept = stamp_for_readers(header, identity)?;
        let url = object.url.clone();
        if object.children.is_some() {
            check_id(header)?;
            let mut commit = ChildCommit::decode(header.kind, &header.from, header.body)?;
            commit.identity = identity.cloned();
            let taken = Service::Take(url, name.to_owned(), Box::new(commit), kept);
            return Ok(Passage::Serve(taken));
        }
        if reports {
            return Ok(Passage::Serve(Service::Child(url, kept, commit.position)));
        }
        let text = stamp(header, identity)?;
        let request = Request::new(session, header, Some(url), Wanted::FanOut(kept), text)?;
        Ok(Passage::Forward(Box::new(request)))
    }

    /// What may be asked of an object's Reporter by those who read it, and by nobody else.
    pub(super) fn admit_execute(
        &self,
        session: SessionId,
        url: &str,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let (object, _) = self.may_speak(session, url, &header.from)?;
        let text = stamp(header, self.sessions[&session].identity.as_ref())?;
        let url = Some(object.url.clone());
        let request = Request::new(session, header, url, Wanted::Answer, text)?;
        Ok(Passage::Forward(Box::new(request)))
    }

    /// The object at `url`, when `hyperty` observes or reports it. Everybody else is told the same.
    pub(super) fn may_speak(
        &self,
        session: SessionId,
        url: &str,
        hyperty: &str,
    ) -> Result<(&Object, &Record), Refusal> {
        let object = self.not_deleted(url)?;
        let claimed = object.and_then(|object| Some((object, object.record.as_ref()?)));
        let may = |(object, record): &(&Object, &Record)| {
            object.routes.reads(session, hyperty) || reports(object, record, session, hyperty)
        };
        claimed.filter(may).ok_or_else(|| {
            Refusal::forbidden(format!(
                "only who observes or reports `{url}` may say this: subscribe first"
            ))
        })
    }

    /// Whether the node may keep what it must of `request` until it is answered.
    pub(super) fn check_kept(&self, request: &Request) -> Result<(), Refusal> {
        let bytes = request.wanted.kept_bytes();
        if bytes == 0 {
            return Ok(());
        }
        let asker = self.sessions.get(&request.asker);
        let object = request
            .object
            .as_ref()
            .and_then(|url| self.objects.get(url));
        let by_asker = asker.map_or(0, |asker| asker.kept_bytes) + bytes;
        let by_object = object.map_or(0, |object| object.kept_bytes) + bytes;
        if by_asker > KEPT_PER_ASKER_BYTES_MAX {
            return Err(Refusal::too_many(format!(
                "{KEPT_PER_ASKER_BYTES_MAX} bytes of your child commits and positions are unanswered: wait for one"
            )));
        }
        if by_object > KEPT_PER_OBJECT_BYTES_MAX {
            return Err(Refusal::too_many(format!(
                "{KEPT_PER_OBJECT_BYTES_MAX} bytes of child commits and positions are unanswered at the object: try again later"
            )));
        }
        Ok(())
    }

    /// Counts the bytes that `request` makes the node keep, from now on or no longer.
    pub(super) fn count_kept(&mut self, request: &Request, begins: bool) {
        let kept = request.wanted.kept_bytes();
        let counted = |bytes: &mut usize| {
            *bytes = if begins {
                *bytes + kept
            } else {
                bytes.saturating_sub(kept)
            };
        };
        if let Some(asker) = self.sessions.get_mut(&request.asker) {
            counted(&mut asker.kept_bytes);
        }
        let object = request.object.as_ref();
        if let Some(object) = object.and_then(|url| self.objects.get_mut(url)) {
            counted(&mut object.kept_bytes);
        }
    }

    /// A child commit that the Reporter took, or made: every reader's, its author's too.
    pub(super) fn publish_child(&mut self, url: &Address, text: &Arc<str>) {
        self.counters.commits += 1;
        self.deliver(url.as_str(), text);
    }

    /// An event: every reader's, and the holder's when it is another's.
    pub(super) fn publish_event(&mut self, session: SessionId, url: &Address, text: &Arc<str>) {
        self.deliver(url.as_str(), text);
        let holder = self.objects.get(url).and_then(|object| object.holder);
        if holder != Some(session) {
            self.deliver_to_holder(url, text);
        }
    }

    /// Sends to the holder of `url` what its readers are sent, unless it is one of them.
    pub(super) fn deliver_to_holder(&mut self, url: &Address, text: &Arc<str>) {
        let Some(object) = self.objects.get(url) else {
            return;
        };
        let holder = object.holder.and_then(|holder| self.sessions.get(&holder));
        if let Some(holder) = holder.filter(|holder| !holder.observed.contains(url))
            && let Some(connection) = holder.connection
            && object.parked_holder != Some(connection)
        {
            // As to a reader: where too much waits, it is dropped.
            let to = Arc::new(vec![connection]);
            self.outbox
                .push(Output::Publish(object.id, to, Arc::clone(text)));
        }
    }
}

impl Record {
    /// Whether the object has children of this name.
    pub(super) fn check_name(&self, url: &str, name: &str) -> Result<(), Refusal> {
        if self.children.iter().any(|one| one == name) {
            return Ok(());
        }
        Err(Refusal::unknown(format!(
            "`{url}` has no children of the name `{name}`"
        )))
    }
}

/// Whether `hyperty` of `session` is the Reporter.
fn reports(object: &Object, record: &Record, session: SessionId, hyperty: &str) -> bool {
    object.holder == Some(session) && record.reporter.as_str() == hyperty
}

/// Judges what a commit of `author` does (§9).
fn check_commit(
    commit: &ChildHeader,
    author: &str,
    reports: bool,
    now: Time,
) -> Result<(), Refusal> {
    if let Some(child) = commit.write.resource()
        && !is_child_of(child, author)
    {
        return Err(Refusal::forbidden(format!(
            "field `body.resource`: `{child}` is no child of `{author}`: an id is its author's address, `#` and a number"
        )));
    }
    if commit.write.is_the_reporters() && !reports {
        return Err(Refusal::forbidden(
            "only the object's Reporter deletes the children of others, and closes a collection",
        ));
    }
    match commit.write {
        // A Reporter has taken its own by its own clock; sent again, they may be old.
        ChildWrite::Create(_, created)
            if !reports && created.ms_since(now).max(now.ms_since(created)) > CREATED_OFF_MS =>
        {
            let seconds = CREATED_OFF_MS / 1000;
            Err(Refusal::malformed(format!(
                "field `body.created` is more than {seconds} s off this node's clock"
            ))
            .at(now))
        }
        _ => Ok(()),
    }
}

/// Whether what a claim says of how many children are kept is within its limits.
pub(super) fn check_keep(claim: &Claim) -> Result<(), Refusal> {
    let known = |name| claim.children.contains(name);
    if claim.keep.keys().all(known)
        && claim
            .keep
            .values()
            .all(|keep| (1..=KEEP_MAX).contains(keep))
    {
        return Ok(());
    }
    Err(Refusal::malformed(format!(
        "field `body.claim.keep`: of names in `children`, from 1 to {KEEP_MAX} each"
    )))
}

/// Whether a claim's children names are within their limits.
pub(super) fn check_names(names: &[String]) -> Result<(), Refusal> {
    if names.len() > CHILDREN_NAMES_MAX {
        return Err(Refusal::too_large(format!(
            "field `body.claim.children` has at most {CHILDREN_NAMES_MAX} names"
        )));
    }
    let twice = |(at, name): (usize, &String)| names[..at].contains(name);
    if names.iter().all(|name| is_name(name)) && !names.iter().enumerate().any(twice) {
        return Ok(());
    }
    Err(Refusal::malformed(format!(
        "field `body.claim.children`: a name has up to {CHILDREN_NAME_BYTES_MAX} of A-Z a-z 0-9 _ -, is none of {}, and stands there once",
        RESERVED_NAMES.join(", ")
    )))
}
