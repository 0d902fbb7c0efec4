//! What objects hold (protocol.md §7): of a claim with `cache` the node keeps a snapshot and the commits
//! after it, answers its readers from there, whether its Reporter is there or not, and says what survives a
//! power cut. It has the whole from the Reporter, by a `read` of its own.

use super::object::{Object, Record};
use super::request::{Ask, Request, Wanted};
use super::session::SessionId;
use super::{Node, Output, Timer};
use crate::address::Address;
use crate::children::ChildrenWanted;
use crate::error::Refusal;
use crate::limits::STORED_SAID_MS;
use crate::message::body::{Claim, Subscribe};
use crate::message::{Header, Type, encode};
use crate::stream::{Head, KeptStream, Position};
use crate::time::Time;

/// What an object holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) stream: KeptStream,
    /// Its bytes, as they are counted.
    bytes: usize,
    /// When it was last written or asked for, in the node's own counting.
    used: u64,
}

/// How much content the node keeps.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) bytes_max: usize,
    pub(super) bytes: usize,
    pub(super) objects: usize,
    /// Counts what is written and asked for.
    uses: u64,
}

impl Contents {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            objects: 0,
            uses: 0,
        }
    }

    pub(super) fn keeps(&mut self, object: &mut Object, stream: KeptStream) {
        self.drops(object);
        self.objects += 1;
        object.content = Some(Content {
            stream,
            bytes: 0,
            used: 0,
        });
        self.uses(object);
    }

    pub(super) fn drops(&mut self, object: &mut Object) {
        if let Some(content) = object.content.take() {
            self.bytes -= content.bytes;
            self.objects -= 1;
        }
    }

    /// What `object` holds was written or asked for, and may have another size now.
    pub(super) fn uses(&mut self, object: &mut Object) {
        self.uses += 1;
        if let Some(content) = &mut object.content {
            content.used = self.uses;
            self.bytes -= content.bytes;
            content.bytes = content.stream.bytes();
            self.bytes += content.bytes;
        }
    }
}

impl Object {
    /// Whether the node has all that it would have to say of the object.
    fn is_kept_up_to(&self, record: &Record) -> bool {
        let live = self.holder.is_some() && self.away_since.is_none();
        let kept = self
            .content
            .as_ref()
            .map(|content| content.stream.position());
        kept == Some(record.position) && (!live || record.base <= record.position)
    }

    /// Whether a claimant that has diverged can learn from here what the object is.
    pub(super) fn is_kept(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| self.is_kept_up_to(record))
    }
}

impl Node {
    /// Keeps at most so many bytes of what objects hold, of all together; of more, what was not written or
    /// asked for the longest is dropped. With 0 every claim is answered `cache: false`. Call it before the
    /// first input.
    pub const fn keep_content(&mut self, bytes_max: usize) {
        self.contents.bytes_max = bytes_max;
    }

    /// Whether the node keeps what the claimed object holds. Its children it does not keep, and so nothing of
    /// an object that has any.
    pub(super) const fn keeps(&self, claim: &Claim) -> bool {
        claim.cache && claim.children.is_empty() && self.contents.bytes_max > 0
    }

    /// `url` was claimed: what is kept of it goes on with that, or it is asked for anew.
    pub(super) fn begin_content(&mut self, url: &Address, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let Some(record) = &object.record else { return };
        let kept = object
            .content
            .as_ref()
            .map(|content| content.stream.position());
        let goes_on = record.cache && kept == Some(record.position);
        if kept.is_some() && !goes_on {
            self.contents.drops(object);
            self.outbox.follows(object, |_| {});
        }
        if record_keeps(object) && !goes_on {
            self.ask_for_content(url, now);
        }
    }

    /// Asks the Reporter of `url` for the whole, when nothing is kept that should be.
    pub(super) fn ask_for_content(&mut self, url: &Address, now: Time) {
        let lacks = |object: &&Object| record_keeps(object) && object.content.is_none();
        let ask = Ask {
            from: Address::subscription_manager(&self.domain)
                .as_str()
                .to_owned(),
            id: serde_json::Value::from(url.as_str()).to_string(),
        };
        if self.objects.get(url).filter(lacks).is_none() || self.pending.contains_key(&ask) {
            return;
        }
        let body = Subscribe {
            children: ChildrenWanted::Any(false),
            ..Subscribe::default()
        };
        let text = encode(&ask.id, Type::Read, &ask.from, url.as_str(), &body);
        let request = Request {
            ask,
            asker: SessionId::NODE,
            to: url.as_str().to_owned(),
            object: Some(url.clone()),
            wanted: Wanted::Keep,
            text,
            told: false,
        };
        self.forward(request, now);
    }

    /// The Reporter has said what `url` holds, in its place among the commits.
    pub(super) fn content_came(&mut self, url: &Address, body: &str) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let position = object.record.as_ref().map(|record| record.position);
        match KeptStream::of(body) {
            Ok(stream) if record_keeps(object) && Some(stream.position()) == position => {
                self.contents.keeps(object, stream);
                self.outbox.follows(object, |_| {});
                self.make_room();
            }
            // It is no object, or not where the node has it: the next claim asks again.
            _ => {}
        }
    }

    /// A commit of `url` was forwarded: it is kept, too.
    pub(super) fn keep_commit(
        &mut self,
        url: &str,
        position: Position,
        header: &Header<'_>,
        now: Time,
    ) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let Some(content) = &mut object.content else {
            return;
        };
        let whole = content.stream.commit(position, header.raw_body());
        self.contents.uses(object);
        if whole {
            self.make_room();
        } else {
            self.contents.drops(object);
            let url = object.url.clone();
            self.ask_for_content(&url, now);
        }
    }

    /// Answers `request` from what is kept, when that can be: its asker is let in by the record, and all is
    /// here. Says whether it did.
    pub(super) fn answer_from_content(
        &mut self,
        request: &Request,
        now: Time,
    ) -> Result<bool, Refusal> {
        let (hyperty, have, whole) = match &request.wanted {
            Wanted::Route { hyperty, have, .. } => (Some(hyperty), *have, false),
            Wanted::Content(have) => (None, *have, true),
            _ => return Ok(false),
        };
        let asker = self.sessions.get(&request.asker);
        let Some((asker, url)) = asker.zip(request.object.as_ref()) else {
            return Ok(false);
        };
        let Some(object) = self.objects.get_mut(url) else {
            return Ok(false);
        };
        let reader = hyperty.map_or(request.ask.from.as_str(), Address::as_str);
        let lets_in = |record: &&Record| {
            let decided = record.decides(reader, asker.identity.as_ref());
            decided == Some(true) && object.is_kept_up_to(record)
        };
        let record = object.record.as_ref().filter(lets_in);
        let stated =
            |record: &Record| (record.epoch, record.identity.clone(), record.other_owners());
        let Some(((epoch, identity, owners), connection)) =
            record.map(stated).zip(asker.connection)
        else {
            return Ok(false);
        };
        let Some(content) = &mut object.content else {
            return Ok(false);
        };
        let frame = content.stream.content(epoch, have, whole).map(|body| {
            let Ask { from, id } = &request.ask;
            let body = body.stated(identity, owners);
            encode(id, Type::Response, &request.to, from, &body)
        });
        self.contents.uses(object);
        let Some(frame) = frame else {
            // What its Reporter wrote cannot be applied: that one answers, until it claims again.
            self.contents.drops(object);
            self.outbox.follows(object, |_| {});
            return Ok(false);
        };
        let (url, away) = (
            url.clone(),
            object.away_since.or(object.holder.is_none().then_some(now)),
        );
        if let Some(hyperty) = hyperty {
            self.start_route(url.clone(), request.asker, hyperty.clone(), now)?;
        }
        self.counters.kept_answers += 1;
        self.outbox.push(Output::Send(connection, frame));
        if hyperty.is_some()
            && away.is_some()
            && let Some(head) = self.objects.get(&url).and_then(Object::head_frame)
        {
            self.outbox.push(Output::Send(connection, head.to_string()));
        }
        Ok(true)
    }

    /// Drops what was not used the longest, an eighth of what may be kept at a time: the pass over the objects
    /// is rare then. Who holds it answers again, and what it holds is kept from its next claim on.
    fn make_room(&mut self) {
        if self.contents.bytes <= self.contents.bytes_max {
            return;
        }
        let used = |object: &Object| Some((object.content.as_ref()?.used, object.url.clone()));
        let mut kept: Vec<_> = self.objects.values().filter_map(used).collect();
        kept.sort_unstable();
        for (_, url) in kept {
            if self.contents.bytes <= self.contents.bytes_max / 8 * 7 {
                break;
            }
            if let Some(object) = self.objects.get_mut(&url) {
                self.contents.drops(object);
                if let Some(record) = &mut object.record {
                    record.cache = false;
                }
                self.outbox
                    .follows(object, |unstored| unstored.claim = true);
            }
        }
    }

    /// What was kept of these objects survives a power cut now: their Reporters hear of it, each at most once
    /// in [`STORED_SAID_MS`].
    pub(super) fn content_stored(&mut self, objects: &[Address], now: Time) {
        for url in objects {
            let Some(object) = self.objects.get_mut(url) else {
                continue;
            };
            object.stored.position = object.at_rest.as_ref().map(|at_rest| at_rest.position);
            if !object.stored.armed {
                self.say_stored(url, now);
            }
        }
    }

    pub(super) fn say_stored(&mut self, url: &Address, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        object.stored.armed = false;
        let (position, said) = (object.stored.position, object.stored.said);
        let holder = object.holder.and_then(|holder| self.sessions.get(&holder));
        let connection = holder.and_then(|holder| holder.connection);
        let (Some(position), Some(connection)) = (position, connection) else {
            return;
        };
        if Some(position) == said {
            return;
        }
        object.stored.said = Some(position);
        object.stored.armed = true;
        let head = object.head().map(|head| Head {
            stored: Some(position.version),
            ..head
        });
        if let Some(frame) = head.map(|head| object.frame(&head)) {
            self.outbox
                .push(Output::Send(connection, frame.to_string()));
        }
        self.timers
            .insert((now.plus_ms(STORED_SAID_MS), Timer::Stored(url.clone())));
    }
}

/// Up to where an object's content survives a power cut, and what its Reporter knows of that.
#[derive(Debug, Default)]
pub(super) struct Stored {
    position: Option<Position>,
    said: Option<Position>,
    /// It is said again in a while, if there is more.
    armed: bool,
}

fn record_keeps(object: &Object) -> bool {
    object.record.as_ref().is_some_and(|record| record.cache)
}
