//! What an owner commands about its object (protocol.md §5, §6): who is put out, who may read, and
//! that it is over.

use super::admission::{Passage, Service, not_yours};
use super::session::SessionId;
use super::{Node, Output, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::{ACCESS_ENTRIES_MAX, ADDRESS_BYTES_MAX, RECORD_MS};
use crate::message::body::{Access, Command, Commanded};
use crate::message::{Header, Type, encode};
use crate::time::Time;

impl Node {
    /// What is said about an object that may be said by its owners alone (§5, §6).
    pub(super) fn admit_command(
        &self,
        session: SessionId,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let command: Command = header.decode()?;
        let (Command::Kick(url, ..)
        | Command::Allow(url, ..)
        | Command::Access(url, ..)
        | Command::Delegate(url, ..)
        | Command::Superseded(url, ..)
        | Command::Presence(url, ..)
        | Command::Observers(url, ..)
        | Command::Revoked(url, ..)) = &command
        else {
            return Err(Refusal::forbidden("only a node says this"));
        };
        let object = self.not_deleted(url.as_str())?;
        let record = object.and_then(|object| object.record.as_ref());
        let identity = self.sessions[&session].identity.as_ref();
        let owner = |id| record.is_some_and(|record| record.owners.contains(id));
        if !identity.is_some_and(owner) {
            return Err(Refusal::forbidden(format!(
                "only an owner of `{url}` commands about it"
            )));
        }
        match &command {
            Command::Kick(_, reader, code, _) if !(400..500).contains(code) || reader.is_empty() => {
                Err(Refusal::malformed(
                    "field `body.params`: write [object, hyperty or identity, a code from 400 to 499, reason]",
                ))
            }
            Command::Access(_, access) => check_access(access).map(|()| url.clone()),
            Command::Delegate(..) if object.and_then(|one| one.holder) != Some(session) => {
                Err(Refusal::forbidden(format!(
                    "only who holds `{url}` hands it over: claim it first"
                )))
            }
            Command::Delegate(_, to, identity, _) if to.is_some() != identity.is_some() => {
                Err(Refusal::malformed(
                    "field `body.params`: write [object, hyperty or identity, identity, whether you stay an owner]",
                ))
            }
            Command::Observers(_, after) => {
                let asked = Service::Observers(url.clone(), after.clone());
                return Ok(Passage::Serve(asked));
            }
            _ => Ok(url.clone()),
        }
        .map(|url| Passage::Serve(Service::Command(url, Box::new(command))))
    }

    /// An object's end: its holder's to say.
    pub(super) fn admit_delete(
        &self,
        session: SessionId,
        url: &str,
        header: &Header<'_>,
    ) -> Result<Passage, Refusal> {
        let object = self.objects.get(url);
        match object.filter(|object| object.holder == Some(session)) {
            Some(object) if *header.from == object.url.resource("subscription") => {
                Ok(Passage::Serve(Service::Delete(object.url.clone())))
            }
            Some(_) => Err(not_yours("from", &header.from)),
            None => Err(Refusal::forbidden(format!(
                "only who holds `{url}` may delete it: claim it first"
            ))),
        }
    }

    /// Does what `session`, whose right to it was judged, commands about `url`.
    pub(super) fn command(
        &mut self,
        session: SessionId,
        url: &Address,
        command: &Command,
        now: Time,
    ) -> Result<Commanded, Refusal> {
        let told = match command {
            Command::Kick(_, reader, code, desc) => {
                self.deny(url, reader)?;
                let mut told = denied(url);
                told.code = *code;
                if !desc.is_empty() {
                    told.desc = desc.clone().into();
                }
                told
            }
            Command::Allow(_, reader) => {
                let identity = self.identity_of(url, reader);
                if let Some(access) = self.access_mut(url) {
                    access
                        .deny
                        .retain(|one| one != reader && Some(one) != identity.as_ref());
                }
                denied(url)
            }
            Command::Access(_, access) => {
                if let Some(on_record) = self.access_mut(url) {
                    on_record.clone_from(access);
                }
                denied(url)
            }
            Command::Delegate(_, to, identity, keep) => {
                let to = to.clone().zip(identity.clone());
                self.delegate(session, url, to, *keep, now)?;
                denied(url)
            }
            Command::Superseded(..)
            | Command::Revoked(..)
            | Command::NeedsAuth()
            | Command::Presence(..)
            | Command::Observers(..) => {
                return Err(Refusal::forbidden("only a node says this"));
            }
        };
        self.enforce(url, &told, now);
        let access = self.access_mut(url).cloned().unwrap_or_default();
        if let Some(object) = self.objects.get_mut(url)
            && object.holder != Some(session)
        {
            object.access_by_another = true;
            self.tell_access(url);
        }
        Ok(Commanded { code: 200, access })
    }

    /// Tells the holder of `url` what another owner said of its readers: it decides about them too, and
    /// must not decide by what was. Said again at each re-open, as it may be lost with a socket.
    pub(super) fn tell_access(&mut self, url: &Address) {
        if let Some(object) = self.objects.get(url)
            && object.access_by_another
            && let (Some(record), Some(holder)) = (&object.record, object.holder)
        {
            let told = Command::Access(url.clone(), record.access.clone());
            self.command_runtime(holder, &told);
        }
    }

    fn deny(&mut self, url: &Address, reader: &str) -> Result<(), Refusal> {
        let denied = self
            .identity_of(url, reader)
            .unwrap_or_else(|| reader.to_owned());
        let object = self.objects.get_mut(url);
        let Some(record) = object.and_then(|object| object.record.as_mut()) else {
            return Ok(());
        };
        if record.owners.iter().any(|owner| owner.as_str() == denied) {
            let desc = format!("`{reader}` is an owner of `{url}`: an owner cannot be put out");
            return Err(Refusal::conflict(desc));
        }
        let access = &mut record.access;
        if access.deny.contains(&denied) {
            return Ok(());
        }
        access.deny.push(denied);
        check_access(access).inspect_err(|_| {
            access.deny.pop();
        })
    }

    /// The identity, as text, behind a reader that is there or remembered.
    fn identity_of(&self, url: &Address, reader: &str) -> Option<String> {
        let session = self.hyperties.get(reader);
        let present = session.and_then(|session| self.sessions.get(session)?.identity.as_ref());
        let record = self
            .objects
            .get(url)
            .and_then(|object| object.record.as_ref());
        present
            .or_else(|| record?.grants.identity_of(reader))
            .map(|identity| identity.as_str().to_owned())
    }

    fn access_mut(&mut self, url: &Address) -> Option<&mut Access> {
        let object = self.objects.get_mut(url)?;
        object.record.as_mut().map(|record| &mut record.access)
    }

    /// Ends `url` for good: a tombstone stays, so that nobody takes the address for another object.
    pub(super) fn delete(&mut self, url: &Address, now: Time) {
        if let Some(object) = self.objects.get_mut(url) {
            object.deleted = Some(now);
            self.outbox
                .follows(object, |unstored| unstored.claim = true);
        }
        let gone = deleted(url);
        for ask in self.asked_about(url) {
            if let Some(request) = self.take_request(url, &ask) {
                self.refuse(request, &gone);
            }
        }
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        self.contents.drops(object);
        self.contents.drops_children(object);
        if let Some(record) = object.record.take() {
            let reporter = record.identity.as_ref().map(|_| &record.reporter);
            for hyperty in record.grants.hyperties().chain(reporter) {
                self.named.remove(hyperty);
            }
        }
        object.withheld = None;
        object.away_since = None;
        if let Some(holder) = object
            .holder
            .take()
            .and_then(|id| self.sessions.get_mut(&id))
        {
            holder.held.remove(url);
        }
        let routes = std::mem::take(&mut object.routes);
        let (from, to) = (url.resource("subscription"), url.resource("changes"));
        let nothing = serde_json::Map::new();
        let last = encode("null", Type::Delete, &from, &to, &nothing);
        for (session, _) in routes.readers() {
            let Some(reader) = self.sessions.get_mut(&session) else {
                continue;
            };
            // Once for each session, whatever the number of its hyperties.
            if reader.observed.remove(url)
                && let Some(connection) = reader.connection
            {
                self.outbox.push(Output::Send(connection, last.clone()));
            }
        }
    }

    /// Nobody holds `url` any more: its record stays for whoever comes back, but not for ever.
    pub(super) fn expires_later(&mut self, url: &Address, now: Time) {
        if let Some(object) = self.objects.get_mut(url)
            && object.record.is_some()
        {
            let at = now.plus_ms(RECORD_MS);
            object.expires = Some(at);
            self.outbox
                .follows(object, |unstored| unstored.claim = true);
            self.timers.insert((at, Timer::Expired(url.clone())));
        }
    }

    pub(super) fn expired(&mut self, url: &Address, now: Time) {
        let due = self
            .objects
            .get(url)
            .and_then(|object| object.expires)
            .is_some_and(|at| at <= now);
        if due {
            self.delete(url, now);
        }
    }
}

/// What somebody hears whom the record denies.
pub(super) fn denied(url: &Address) -> Refusal {
    Refusal::forbidden(format!("`{url}` is denied to you"))
}

/// What everybody hears of an object that is over.
pub(super) fn deleted(url: &Address) -> Refusal {
    Refusal::gone(format!(
        "`{url}` was deleted: its address is not used again"
    ))
}

/// Whether an `access` is within its limits.
pub(super) fn check_access(access: &Access) -> Result<(), Refusal> {
    let entries = || access.authorise.iter().chain(&access.deny);
    if entries().count() > ACCESS_ENTRIES_MAX
        || entries().any(|entry| entry.len() > ADDRESS_BYTES_MAX)
    {
        return Err(Refusal::too_large(format!(
            "`access` has at most {ACCESS_ENTRIES_MAX} entries of {ADDRESS_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}
