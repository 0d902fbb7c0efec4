//! What objects hold (protocol.md §7): of a claim with `cache` the node keeps a snapshot and the commits
//! after it, answers its readers from there, whether its Reporter is there or not, and says what survives a
//! power cut. It has the whole from the Reporter, by a `read` of its own.

use super::object::Object;
use super::request::{Ask, Request};
use super::session::SessionId;
use super::wanted::Wanted;
use super::{Node, Output, Timer};
use crate::address::Address;
use crate::children::ChildrenWanted;
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
    /// Nothing was left to drop when room was made last, and nothing has come since.
    pub(super) exhausted: bool,
}

impl Contents {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            objects: 0,
            uses: 0,
            exhausted: false,
        }
    }

    /// Whether there is more than may be. Some of it may still be dropped: [`Node::make_room`].
    pub(super) const fn is_full(&self) -> bool {
        self.bytes > self.bytes_max
    }

    pub(super) fn keeps(&mut self, object: &mut Object, stream: KeptStream) {
        self.drops(object);
        self.exhausted = false;
        self.objects += 1;
        object.content = Some(Content {
            stream,
            bytes: 0,
            used: 0,
        });
        self.uses(object);
    }

    pub(super) fn drops(&mut self, object: &mut Object) {
        // Nor is anything of it stored that its Reporter is to hear of.
        object.stored.position = None;
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
    pub(super) fn is_kept(&self) -> bool {
        let Some(record) = &self.record else {
            return false;
        };
        let live = self.holder.is_some() && self.away_since.is_none();
        let kept = self
            .content
            .as_ref()
            .map(|content| content.stream.position());
        kept == Some(record.position)
            && (!live || record.base <= record.position)
            && (record.children.is_empty() || self.collections().is_some())
    }
}

impl Node {
    /// Keeps at most so many bytes of what objects hold, of all together; of more, what was not written or
    /// asked for the longest is dropped; children never are, and nobody makes more of them then. With 0 claims are
    /// answered `cache: false`, but of objects whose children are here. Call it before the first input.
    pub const fn keep_content(&mut self, bytes_max: usize) {
        self.contents.bytes_max = bytes_max;
    }

    /// Whether the node keeps what the claimed object holds. Children that are here are kept whatever the claim says,
    /// unless it begins afresh: some may have been written while their Reporter was away.
    pub(super) fn keeps(&self, claim: &Claim) -> bool {
        let object = self.objects.get(&claim.url);
        let here = object.is_some_and(|object| object.collections().is_some());
        let names = !claim.children.is_empty();
        let room = self.contents.bytes_max > 0 && !(names && self.contents.is_full());
        (here && names && claim.base != Some(None)) || (claim.cache && room)
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
        let cache = record.cache;
        let goes_on = cache && kept == Some(record.position);
        if kept.is_some() && !goes_on {
            self.contents.drops(object);
            self.outbox.follows(object, |_| {});
        }
        if cache && (!goes_on || object.lacks_children()) {
            self.ask_for_content(url, now);
        }
    }

    /// Asks the Reporter of `url` for the whole, when nothing is kept that should be.
    pub(super) fn ask_for_content(&mut self, url: &Address, now: Time) {
        let lacks = |object: &&Object| {
            record_keeps(object) && (object.content.is_none() || object.lacks_children())
        };
        if let Some(object) = self.objects.get(url).filter(lacks) {
            let wanted = ChildrenWanted::Any(object.lacks_children());
            self.ask_reporter(url, wanted, now);
        }
    }

    /// Asks the Reporter of `url` for what the node is to keep, unless it has not answered what it was asked for.
    pub(super) fn ask_reporter(&mut self, url: &Address, children: ChildrenWanted, now: Time) {
        let ask = Ask {
            from: Address::subscription_manager(&self.domain)
                .as_str()
                .to_owned(),
            id: serde_json::Value::from(url.as_str()).to_string(),
        };
        if self.pending.contains_key(&ask) {
            return;
        }
        let wanted = match children {
            ChildrenWanted::Page { .. } => Wanted::Page,
            ChildrenWanted::Any(_) => Wanted::Keep,
        };
        let body = Subscribe {
            children,
            ..Subscribe::default()
        };
        let text = encode(&ask.id, Type::Read, &ask.from, url.as_str(), &body);
        let request = Request {
            ask,
            asker: SessionId::NODE,
            to: url.as_str().to_owned(),
            object: Some(url.clone()),
            wanted,
            text,
            told: false,
        };
        self.forward(request, now);
    }

    /// The Reporter has said what `url` holds, in its place among the commits.
    pub(super) fn content_came(&mut self, url: &Address, body: &str, now: Time) {
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
        self.children_came(url, body, false, now);
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

    /// Drops what was not used the longest, an eighth of what may be kept at a time: the pass over the objects
    /// is rare then. Who holds it answers again, and what it holds is kept from its next claim on.
    pub(super) fn make_room(&mut self) {
        if !self.contents.is_full() || self.contents.exhausted {
            return;
        }
        let used = |object: &Object| Some((object.content.as_ref()?.used, object.url.clone()));
        // Of children the node is the only one who has all.
        let droppable = self.objects.values().filter(|one| one.children.is_none());
        let mut kept: Vec<_> = droppable.filter_map(used).collect();
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
        self.contents.exhausted = self.contents.is_full();
    }

    /// What was kept of these objects survives a power cut now: their Reporters hear of it, each at most once
    /// in [`STORED_SAID_MS`].
    pub(super) fn content_stored(&mut self, objects: &[Address], now: Time) {
        for url in objects {
            let Some(object) = self.objects.get_mut(url) else {
                continue;
            };
            // What rests may be of content that was dropped since.
            let content = object.content.as_ref();
            let at_rest = object.at_rest.as_ref().map(|at_rest| at_rest.position);
            object.stored.position =
                at_rest.filter(|at| content.is_some_and(|one| one.stream.after(*at).is_some()));
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
