//! Readers who are answered from what the node keeps (protocol.md §7, §9), in the object's own order.

use serde::Serialize;

use super::object::{Object, Record};
use super::request::Request;
use super::stamping::stamp_content;
use super::{Node, Output};
use crate::address::Address;
use crate::children::{ChildrenWanted, answer, page};
use crate::error::{Refusal, Retry};
use crate::message::{Header, Type, encode};
use crate::stream::ContentBody;
use crate::time::Time;

impl Node {
    /// Answers `request` from what is kept, when that can be: its asker is let in by the record, and all is
    /// here. Says whether it did.
    pub(super) fn answer_from_content(
        &mut self,
        request: &Request,
        now: Time,
    ) -> Result<bool, Refusal> {
        let Some(reader) = request.reader() else {
            return Ok(false);
        };
        let asker = self.sessions.get(&request.asker);
        let object = request
            .object
            .as_ref()
            .and_then(|url| self.objects.get(url));
        let record = object.and_then(|object| object.record.as_ref());
        let lets_in = asker.zip(record).is_some_and(|(asker, record)| {
            record.decides(reader, asker.identity.as_ref()) == Some(true)
        });
        Ok(lets_in && self.answer_let_in(request, now)?)
    }

    /// The Reporter has let the asker of `request` in, by this answer, which `states` whose the object is or does not. Where the node takes the children,
    /// that is its yes and no more: what it has of them is not in the order in which they were taken.
    pub(super) fn let_in(
        &mut self,
        request: Request,
        answer: &Header<'_>,
        states: bool,
        now: Time,
    ) {
        let object = request
            .object
            .as_ref()
            .and_then(|url| self.objects.get(url));
        let takes = object.is_some_and(|object| object.collections().is_some());
        let answered = if takes {
            self.answer_let_in(&request, now)
        } else {
            Ok(false)
        };
        let text = match answered {
            Ok(true) => {
                self.waits_no_longer(&request);
                return;
            }
            Ok(false) if states => Err(Refusal::away(
                Retry::Seconds(1),
                "its Reporter says itself who it is, which is its node's to say",
            )),
            Ok(false) => self.content_of(&request, answer, now),
            Err(refusal) => Err(refusal),
        };
        match text {
            Ok(text) => self.pass_answer(&request, text),
            Err(refusal) => self.refuse(request, &refusal),
        }
    }

    /// What an object holds, as its Reporter has answered, with whose it is beside it. Who is to follow does from now on.
    fn content_of(
        &mut self,
        request: &Request,
        header: &Header<'_>,
        now: Time,
    ) -> Result<String, Refusal> {
        let object = request
            .object
            .as_ref()
            .and_then(|url| self.objects.get(url));
        let record = object.and_then(|object| object.record.as_ref());
        let identity = record.and_then(|record| record.identity.as_ref());
        let owners = record.map(Record::other_owners).unwrap_or_default();
        let text = stamp_content(header, identity, &owners);
        if let (Some(url), Some(hyperty)) = (&request.object, request.wanted.hyperty()) {
            self.start_route(url.clone(), request.asker, hyperty.clone(), now)?;
        }
        Ok(text)
    }

    /// Answers `request`, whose asker is let in. Says whether all is here that this takes.
    fn answer_let_in(&mut self, request: &Request, now: Time) -> Result<bool, Refusal> {
        let asker = self.sessions.get(&request.asker);
        let connection = asker.and_then(|asker| asker.connection);
        let object = request.object.as_ref();
        let object = object.and_then(|url| self.objects.get_mut(url));
        let Some((object, connection)) = object.zip(connection) else {
            return Ok(false);
        };
        let frame = match object.kept_page(request)? {
            Some(frame) => Some(frame),
            None if object.is_kept() => object.kept_whole(request),
            None => return Ok(false),
        };
        self.contents.uses(object);
        let Some(frame) = frame else {
            // What its Reporter wrote cannot be applied: that one answers, until it claims again.
            self.contents.drops(object);
            self.outbox.follows(object, |_| {});
            return Ok(false);
        };
        let url = object.url.clone();
        let away = object.away_since.is_some() || object.holder.is_none();
        let hyperty = request.wanted.hyperty();
        if let Some(hyperty) = hyperty {
            self.start_route(url.clone(), request.asker, hyperty.clone(), now)?;
        }
        self.counters.kept_answers += 1;
        self.outbox.push(Output::Send(connection, frame));
        if hyperty.is_some()
            && away
            && let Some(head) = self.objects.get(&url).and_then(Object::head_frame)
        {
            self.outbox.push(Output::Send(connection, head.to_string()));
        }
        Ok(true)
    }
}

impl Object {
    /// The answer to who wants children and nothing else, where the node has them.
    fn kept_page(&self, request: &Request) -> Result<Option<String>, Refusal> {
        let reading = request.wanted.reading();
        let kept = self.collections().zip(self.record.as_ref());
        let Some(((collections, record), reading)) = kept.zip(reading) else {
            return Ok(None);
        };
        let ChildrenWanted::Page { name, after } = &reading.children else {
            return Ok(None);
        };
        let children = page(collections, name, after.as_ref(), &reading.have.children)?;
        let body = ContentBody::children_only(record.epoch, record.position, &children);
        Ok(Some(request.answered(&body)))
    }

    /// The answer to who wants the object; none where what is kept of it cannot be applied.
    fn kept_whole(&mut self, request: &Request) -> Option<String> {
        let reading = request.wanted.reading()?;
        let (have, record) = (&reading.have, self.record.as_ref()?);
        let reader = request.reader()?;
        let wanted = reading.children.is_default();
        let collections = self.collections();
        let children =
            collections.map(|collections| answer(collections, &have.children, reader, wanted));
        // A `read` starts no route, and has the whole.
        let whole = request.wanted.hyperty().is_none();
        let stream = &mut self.content.as_mut()?.stream;
        let body = stream.content(record.epoch, have.data, whole, children.as_ref())?;
        let body = body.stated(record.identity.clone(), record.other_owners());
        Some(request.answered(&body))
    }
}

impl Request {
    /// The hyperty that wants to read, when it is that.
    fn reader(&self) -> Option<&str> {
        self.wanted.reading()?;
        let hyperty = self.wanted.hyperty().map(Address::as_str);
        Some(hyperty.unwrap_or(&self.ask.from))
    }

    /// The message that answers it.
    fn answered(&self, body: &impl Serialize) -> String {
        let (id, from) = (&self.ask.id, &self.ask.from);
        encode(id, Type::Response, &self.to, from, body)
    }
}
