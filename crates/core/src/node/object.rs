//! One object as the node knows it: its claim record, its readers' routes, and who waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use super::collections::KeptChildren;
use super::commands::denied;
use super::content::{Content, Stored};
use super::grants::Grants;
use super::owners::{Handover, Withheld};
use super::presence::Untold;
use super::request::Request;
use super::resting::{AtRest, Unstored};
use super::session::SessionId;
use super::{ConnectionId, Node, ObjectId};
use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::{OBJECTS_MAX, OBJECTS_PER_SESSION_MAX};
use crate::message::body::Access;
use crate::message::{Type, encode};
use crate::stream::{Head, Position};
use crate::time::Time;

/// An object that is claimed, or waited for.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: ObjectId,
    pub(super) url: Address,
    pub(super) record: Option<Record>,
    /// Another owner than its holder said who may read, since it was claimed.
    pub(super) access_by_another: bool,
    /// Since when it is over; its address is not used again.
    pub(super) deleted: Option<Time>,
    /// What it holds, where the node keeps that.
    pub(super) content: Option<Content>,
    /// Its children, where the node takes what is written to them.
    pub(super) children: Option<KeptChildren>,
    /// What of that its rows say, with the batch under way.
    pub(super) at_rest: Option<AtRest>,
    pub(super) stored: Stored,
    /// What its rows do not say yet.
    pub(super) unstored: Unstored,
    /// Its holder of before the node was started may still come back.
    pub(super) expected: bool,
    /// When the record goes, as nobody holds the object.
    pub(super) expires: Option<Time>,
    /// The session that may write, live or in its grace time.
    pub(super) holder: Option<SessionId>,
    /// Since when the holder is not connected.
    pub(super) away_since: Option<Time>,
    /// The connection of its holder, when what was sent there of children was dropped.
    pub(super) parked_holder: Option<ConnectionId>,
    pub(super) routes: Routes,
    /// Who came and went among them, and its holder does not know.
    pub(super) untold: Untold,
    /// Requests that wait for a Reporter; bounded together with `asked`.
    pub(super) waiting: VecDeque<Request>,
    /// Requests forwarded to the Reporter and not answered.
    pub(super) asked: usize,
    /// The bytes of those of them that readers get when they are answered.
    pub(super) kept_bytes: usize,
    pub(super) last_commit: Time,
    /// What its Reporter sends and readers do not get, while another claims it.
    pub(super) withheld: Option<Withheld>,
    /// Whether a quiet head is due some time.
    pub(super) quiet_armed: bool,
    /// The position that the Reporter last said a quiet head of.
    pub(super) quiet_said: Option<Position>,
}

/// What the node remembers of a claim when its holder is gone.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The identities that may claim.
    pub(super) owners: BTreeSet<Identity>,
    /// Those that did, and handed the object over.
    pub(super) former: Vec<Identity>,
    /// Whose claim it is.
    pub(super) identity: Option<Identity>,
    pub(super) handover: Option<Handover>,
    pub(super) epoch: u64,
    /// The position of the last commit forwarded.
    pub(super) position: Position,
    /// The position that the claim continues from: ahead of `position` while commits are missing.
    pub(super) base: Position,
    pub(super) access: Access,
    pub(super) reporter: Address,
    /// The names of its collections of children.
    pub(super) children: Vec<String>,
    /// How many children are kept of a name, where that is not the default.
    pub(super) keep: BTreeMap<String, usize>,
    pub(super) grants: Grants,
    /// The node keeps what the object holds.
    pub(super) cache: bool,
}

impl Record {
    /// Whether anything was written under the claim: version 0 is the initial data, no commit.
    pub(super) const fn has_commit_of_its_epoch(&self) -> bool {
        self.position.epoch == self.epoch && self.position.version > 0
    }

    /// Whether `reporter` itself started the object, and there is no commit of it.
    pub(super) fn is_untouched_by(&self, reporter: &Address) -> bool {
        self.reporter == *reporter && self.position == Position::new(self.epoch, 0)
    }
}

impl Object {
    fn new(id: ObjectId, url: Address) -> Self {
        Self {
            id,
            url,
            record: None,
            access_by_another: false,
            deleted: None,
            content: None,
            children: None,
            at_rest: None,
            stored: Stored::default(),
            unstored: Unstored::default(),
            expected: false,
            expires: None,
            holder: None,
            away_since: None,
            parked_holder: None,
            routes: Routes::default(),
            untold: Untold::default(),
            waiting: VecDeque::new(),
            asked: 0,
            kept_bytes: 0,
            last_commit: Time::default(),
            withheld: None,
            quiet_armed: false,
            quiet_said: None,
        }
    }

    pub(super) const fn moved_to(&mut self, position: Position) {
        if let Some(record) = &mut self.record {
            record.position = position;
        }
    }

    /// Where the object stands: what the claim promises while its holder lives, what the node has
    /// seen itself otherwise (§4).
    pub(super) fn head(&self) -> Option<Head> {
        let record = self.record.as_ref()?;
        let live = self.holder.is_some() && self.away_since.is_none();
        Some(Head {
            children: self.children_hash(),
            epoch: record.epoch,
            position: if live {
                record.position.max(record.base)
            } else {
                record.position
            },
            reporter: record.reporter.clone(),
            identity: record.identity.clone(),
            owners: record.other_owners(),
            live,
            since: self.away_since.map(Time::rfc3339),
            hash: None,
            missed: false,
            stored: None,
        })
    }

    /// The message that says so to readers.
    pub(super) fn head_frame(&self) -> Option<Arc<str>> {
        Some(self.frame(&self.head()?))
    }

    /// The same to a reader who was parked: what it lacks of children no position tells.
    pub(super) fn wake_frame(&self) -> Option<Arc<str>> {
        let record = self.record.as_ref()?;
        let head = self.head()?;
        let missed = !record.children.is_empty();
        Some(self.frame(&Head { missed, ..head }))
    }

    pub(super) fn frame(&self, head: &Head) -> Arc<str> {
        let changes = self.url.resource("changes");
        encode("null", Type::Update, self.url.as_str(), &changes, head).into()
    }
}

/// Who reads an object. A route belongs to a session and lives while one of its hyperties reads.
#[derive(Debug, Default)]
pub(super) struct Routes {
    hyperties: BTreeMap<SessionId, BTreeSet<Address>>,
    /// The same hyperties, each with its session.
    observers: BTreeMap<Address, SessionId>,
    /// The routes' connections, shared with the frame that is on its way to them.
    connections: Arc<Vec<ConnectionId>>,
    /// Those of routes that are parked (§7): in one of the two or in none.
    parked: BTreeSet<ConnectionId>,
}

impl Routes {
    pub(super) const fn connections(&self) -> &Arc<Vec<ConnectionId>> {
        &self.connections
    }

    /// How many can be reached, parked ones too.
    pub(super) fn connected(&self) -> usize {
        self.connections.len() + self.parked.len()
    }

    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Starts the reading of one hyperty; says whether it did not read.
    fn start(
        &mut self,
        session: SessionId,
        hyperty: Address,
        connection: Option<ConnectionId>,
    ) -> bool {
        let known = self.hyperties.contains_key(&session);
        let hyperties = self.hyperties.entry(session).or_default();
        hyperties.insert(hyperty.clone());
        if !known && let Some(connection) = connection {
            self.connect(connection);
        }
        self.observers.insert(hyperty, session).is_none()
    }

    pub(super) fn connect(&mut self, connection: ConnectionId) {
        Arc::make_mut(&mut self.connections).push(connection);
    }

    /// The connection gets nothing any more, the route stays.
    pub(super) fn disconnect(&mut self, connection: ConnectionId) {
        if !self.parked.remove(&connection)
            && let Some(index) = self.connections.iter().position(|one| *one == connection)
        {
            Arc::make_mut(&mut self.connections).swap_remove(index);
        }
    }

    /// The connection gets nothing before it is woken. Whether it got anything.
    pub(super) fn park(&mut self, connection: ConnectionId) -> bool {
        let index = self.connections.iter().position(|one| *one == connection);
        index.is_some_and(|index| {
            Arc::make_mut(&mut self.connections).swap_remove(index);
            self.parked.insert(connection)
        })
    }

    /// The connection gets what follows, when it was parked. Whether it was.
    pub(super) fn wake(&mut self, connection: ConnectionId) -> bool {
        let parked = self.parked.remove(&connection);
        if parked {
            self.connect(connection);
        }
        parked
    }

    /// Ends the reading of one hyperty; says whether the session's route ended with it.
    fn end(&mut self, session: SessionId, hyperty: &Address) -> bool {
        let Some(hyperties) = self.hyperties.get_mut(&session) else {
            return false;
        };
        if hyperties.remove(hyperty) {
            self.observers.remove(hyperty);
        }
        hyperties.is_empty() && self.hyperties.remove(&session).is_some()
    }

    /// Ends the reading of all hyperties of a session, and says which those were.
    pub(super) fn end_all(&mut self, session: SessionId) -> BTreeSet<Address> {
        let hyperties = self.hyperties.remove(&session).unwrap_or_default();
        for hyperty in &hyperties {
            self.observers.remove(hyperty);
        }
        hyperties
    }

    /// The reading hyperties, in the order of their addresses, each with its session.
    pub(super) const fn observers(&self) -> &BTreeMap<Address, SessionId> {
        &self.observers
    }

    /// Whether `hyperty` of `session` reads.
    pub(super) fn reads(&self, session: SessionId, hyperty: &str) -> bool {
        self.observers.get(hyperty) == Some(&session)
    }

    /// The reading hyperties, with their sessions.
    pub(super) fn readers(&self) -> impl Iterator<Item = (SessionId, &Address)> {
        let all = self.hyperties.iter();
        all.flat_map(|(session, hyperties)| hyperties.iter().map(|hyperty| (*session, hyperty)))
    }
}

impl Node {
    /// The object at `url`, made if need be; `None` when the node keeps no more.
    pub(super) fn object_at(&mut self, url: &Address) -> Option<&mut Object> {
        if !self.objects.contains_key(url) && self.objects.len() >= OBJECTS_MAX {
            return None;
        }
        Some(self.objects.entry(url.clone()).or_insert_with(|| {
            let id = ObjectId(NonZeroU64::MIN.saturating_add(self.objects_made));
            self.objects_made += 1;
            Object::new(id, url.clone())
        }))
    }

    /// Starts the route of `hyperty`, deciding once more: what was granted may be denied by now.
    pub(super) fn start_route(
        &mut self,
        url: Address,
        session: SessionId,
        hyperty: Address,
        now: Time,
    ) -> Result<(), Refusal> {
        let Some(reader) = self.sessions.get_mut(&session) else {
            return Ok(());
        };
        let gone = || Refusal::away(Retry::Now, "its claim has ended: ask again");
        let object = self.objects.get_mut(&url).ok_or_else(gone)?;
        let record = object.record.as_mut().ok_or_else(gone)?;
        let identity = reader.identity.as_ref();
        if record.decides(hyperty.as_str(), identity) == Some(false) {
            return Err(denied(&url));
        }
        if !reader.observed.contains(&url) && reader.observed.len() >= OBJECTS_PER_SESSION_MAX {
            let desc = format!("a session observes at most {OBJECTS_PER_SESSION_MAX} objects");
            return Err(Refusal::too_many(desc));
        }
        let known = record.grants.of(&hyperty).is_some();
        let remembered = record.grant(hyperty.clone(), identity);
        if let Some(identity) = record.grants.identity_of(hyperty.as_str())
            && !known
        {
            self.named.add(&hyperty, identity);
        }
        if remembered {
            self.outbox
                .follows(object, |unstored| unstored.grant(&hyperty));
        }
        reader.observed.insert(url.clone());
        let connection = reader.connection;
        if object.routes.start(session, hyperty.clone(), connection) {
            self.presence_changed(&url, hyperty, false, now);
        }
        Ok(())
    }

    /// Ends the route of `hyperty`.
    pub(super) fn unsubscribe(
        &mut self,
        session: SessionId,
        url: &Address,
        hyperty: &Address,
        now: Time,
    ) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let record = object.record.as_mut();
        if record.is_some_and(|record| record.grants.end(hyperty)) {
            self.named.remove(hyperty);
            self.outbox
                .follows(object, |unstored| unstored.grant(hyperty));
        }
        let was_there = object.routes.reads(session, hyperty.as_str());
        if object.routes.end(session, hyperty)
            && let Some(reader) = self.sessions.get_mut(&session)
        {
            reader.observed.remove(url);
            if let Some(connection) = reader.connection {
                object.routes.disconnect(connection);
            }
        }
        if was_there {
            self.presence_changed(url, hyperty.clone(), true, now);
        }
        self.forget_if_empty(Some(url));
    }

    /// Forgets an object that is neither claimed, waited for, nor deleted.
    pub(super) fn forget_if_empty(&mut self, url: Option<&Address>) {
        let Some(url) = url else { return };
        let empty = self.objects.get(url).is_some_and(|object| {
            object.record.is_none() && object.waiting.is_empty() && object.deleted.is_none()
        });
        if empty {
            self.objects.remove(url);
        }
    }
}
