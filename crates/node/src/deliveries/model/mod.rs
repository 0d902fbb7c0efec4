//! Who gets which frame of a stream, said once more from `docs/protocol.md` alone: a few maps, and no
//! line of the node's own.

mod claims;
mod readers;

use std::collections::{BTreeMap, BTreeSet};

use byline_core::limits::GRACE_MS;
use byline_core::node::ConnectionId;

/// A client, by its number.
pub(in crate::deliveries) type Who = usize;
/// One of a client's hyperties.
pub(in crate::deliveries) type Hyperty = (Who, usize);
/// An object, by its number.
pub(in crate::deliveries) type Which = usize;
/// Epoch and version.
pub(in crate::deliveries) type At = (u64, u64);

/// A frame of an object's stream, as its readers get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliveries) enum Delivery {
    Commit(Which, At),
    /// With the claim's epoch, and whether its holder is there.
    Head(Which, u64, At, bool),
    Over(Which),
}

impl Delivery {
    const fn of(self) -> Which {
        match self {
            Self::Commit(object, _) | Self::Head(object, ..) | Self::Over(object) => object,
        }
    }
}

/// Who somebody is.
#[derive(Clone, Debug)]
pub(in crate::deliveries) struct Person {
    pub(in crate::deliveries) identity: Option<String>,
    pub(in crate::deliveries) runtime: String,
    pub(in crate::deliveries) hyperties: [String; 2],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::deliveries) struct Access {
    pub(in crate::deliveries) public: bool,
    pub(in crate::deliveries) anonymous: bool,
    pub(in crate::deliveries) authorise: BTreeSet<String>,
    pub(in crate::deliveries) deny: BTreeSet<String>,
}

/// What a claim says.
#[derive(Clone, Debug)]
pub(in crate::deliveries) struct Claim {
    /// `Some(None)` starts afresh.
    pub(in crate::deliveries) base: Option<Option<At>>,
    pub(in crate::deliveries) take: bool,
    pub(in crate::deliveries) snapshot: bool,
    pub(in crate::deliveries) access: Access,
}

#[derive(Clone, Debug)]
pub(in crate::deliveries) struct Record {
    pub(in crate::deliveries) owner: String,
    pub(in crate::deliveries) epoch: u64,
    pub(in crate::deliveries) position: At,
    pub(in crate::deliveries) base: At,
    pub(in crate::deliveries) access: Access,
    pub(in crate::deliveries) reporter: Who,
    /// Who was let in, and whether it was the Reporter's word that did it.
    grants: BTreeMap<Hyperty, bool>,
}

#[derive(Debug, Default)]
pub(in crate::deliveries) struct Object {
    pub(in crate::deliveries) record: Option<Record>,
    pub(in crate::deliveries) holder: Option<Who>,
    away: bool,
    pub(in crate::deliveries) over: bool,
    pub(in crate::deliveries) routes: BTreeMap<Who, BTreeSet<usize>>,
    pub(in crate::deliveries) parked: BTreeSet<Who>,
    quiet_due: Option<u64>,
    quiet_said: Option<At>,
}

/// A `subscribe` without its final answer.
#[derive(Clone, Debug)]
pub(in crate::deliveries) struct Asked {
    pub(in crate::deliveries) by: Hyperty,
    pub(in crate::deliveries) object: Which,
    hold: bool,
    /// Who was asked, and when it is given up; `None` while it waits.
    pub(in crate::deliveries) of: Option<(Who, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::deliveries) struct Session {
    pub(in crate::deliveries) connection: Option<ConnectionId>,
    lost_at: Option<u64>,
}

#[derive(Debug)]
pub(in crate::deliveries) struct Model {
    pub(in crate::deliveries) people: Vec<Person>,
    pub(in crate::deliveries) sessions: BTreeMap<Who, Session>,
    pub(in crate::deliveries) objects: BTreeMap<Which, Object>,
    /// By their ids.
    pub(in crate::deliveries) asked: BTreeMap<u64, Asked>,
    /// What each connection has to get next.
    pub(in crate::deliveries) expected: BTreeMap<ConnectionId, Vec<Delivery>>,
    /// How often each thing worth meeting was met.
    pub(in crate::deliveries) met: BTreeMap<&'static str, u64>,
    pub(in crate::deliveries) now: u64,
}

impl Model {
    pub(in crate::deliveries) fn meets(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn identity(&self, who: Who) -> Option<&String> {
        self.people[who].identity.as_ref()
    }

    fn hyperty(&self, (who, number): Hyperty) -> &String {
        &self.people[who].hyperties[number]
    }

    pub(in crate::deliveries) fn connection(&self, who: Who) -> Option<ConnectionId> {
        self.sessions.get(&who)?.connection
    }

    fn objects_held_by(&self, who: Who) -> Vec<Which> {
        let held = self.objects.iter();
        let held = held.filter(|(_, object)| object.holder == Some(who));
        held.map(|(which, _)| *which).collect()
    }

    // Publishing.

    fn publish(&mut self, delivery: Delivery) {
        let object = &self.objects[&delivery.of()];
        for who in object.routes.keys() {
            let connection = self.sessions.get(who).and_then(|one| one.connection);
            if let Some(connection) = connection.filter(|_| !object.parked.contains(who)) {
                self.expected.entry(connection).or_default().push(delivery);
                *self.met.entry("deliveries").or_default() += 1;
            }
        }
    }

    fn head(&self, which: Which) -> Option<Delivery> {
        let object = &self.objects[&which];
        let record = object.record.as_ref()?;
        let live = object.holder.is_some() && !object.away;
        let at = if live {
            record.position.max(record.base)
        } else {
            record.position
        };
        Some(Delivery::Head(which, record.epoch, at, live))
    }

    fn publish_head(&mut self, which: Which) {
        if let Some(head) = self.head(which) {
            self.publish(head);
        }
    }

    /// A queue was over its limit: what it had of `which` is dropped, and its route rests.
    pub(in crate::deliveries) fn parks(
        &mut self,
        who: Who,
        connection: ConnectionId,
        which: Which,
    ) {
        let queue = self.expected.entry(connection).or_default();
        queue.retain(|one| one.of() != which || matches!(one, Delivery::Over(_)));
        if let Some(object) = self.objects.get_mut(&which)
            && object.routes.contains_key(&who)
        {
            object.parked.insert(who);
            self.meets("parked");
        }
    }

    /// The queue is short again.
    pub(in crate::deliveries) fn wakes(&mut self, who: Who, connection: ConnectionId) {
        for which in self.objects.keys().copied().collect::<Vec<_>>() {
            let parked = self
                .objects
                .get_mut(&which)
                .is_some_and(|o| o.parked.remove(&who));
            if let Some(head) = self.head(which).filter(|_| parked) {
                self.expected.entry(connection).or_default().push(head);
                self.meets("woken");
            }
        }
    }

    // Sessions.

    /// A session begins; one of the same runtime that there was has ended before.
    pub(in crate::deliveries) fn opens(&mut self, who: Who, connection: ConnectionId) {
        if self.sessions.contains_key(&who) {
            self.loses_socket(who);
            self.ends(who);
        }
        let connection = Some(connection);
        self.sessions.insert(
            who,
            Session {
                connection,
                lost_at: None,
            },
        );
    }

    /// The session goes on, on another socket; `false` when there is none.
    pub(in crate::deliveries) fn reopens(&mut self, who: Who, connection: ConnectionId) -> bool {
        if !self.sessions.contains_key(&who) {
            self.opens(who, connection);
            return false;
        }
        self.loses_socket(who);
        let connection = Some(connection);
        self.sessions.insert(
            who,
            Session {
                connection,
                lost_at: None,
            },
        );
        let held = self.objects_held_by(who);
        for which in &held {
            self.objects.get_mut(which).unwrap().away = false;
        }
        for which in held {
            self.publish_head(which);
            self.forwards_waiting(which);
        }
        true
    }

    pub(in crate::deliveries) fn is_cut(&mut self, who: Who) {
        self.loses_socket(who);
        self.sessions.get_mut(&who).unwrap().lost_at = Some(self.now);
        self.goes_away(who);
    }

    pub(in crate::deliveries) fn closes(&mut self, who: Who) {
        self.goes_away(who);
        self.loses_socket(who);
        self.ends(who);
    }

    fn loses_socket(&mut self, who: Who) {
        self.sessions.get_mut(&who).unwrap().connection = None;
        self.objects.values_mut().for_each(|object| {
            object.parked.remove(&who);
        });
        self.asked
            .retain(|_, asked| asked.by.0 != who && asked.of.is_none_or(|(of, _)| of != who));
    }

    fn goes_away(&mut self, who: Who) {
        for which in self.objects_held_by(who) {
            let object = self.objects.get_mut(&which).unwrap();
            if !std::mem::replace(&mut object.away, true) {
                self.publish_head(which);
            }
        }
    }

    fn ends(&mut self, who: Who) {
        self.goes_away(who);
        self.sessions.remove(&who);
        for (which, object) in &mut self.objects {
            object.routes.remove(&who);
            if object.holder == Some(who) {
                object.holder = None;
                self.asked
                    .retain(|_, one| one.object != *which || one.of.is_some() || one.hold);
            }
        }
    }

    // Time.

    /// It is `now`; nothing was due before.
    pub(in crate::deliveries) fn is_now(&mut self, now: u64) {
        self.now = now;
        for who in self.sessions.keys().copied().collect::<Vec<_>>() {
            if self.sessions[&who]
                .lost_at
                .is_some_and(|at| at + GRACE_MS <= now)
            {
                self.ends(who);
                self.meets("a session that ended");
            }
        }
        for which in self.objects.keys().copied().collect::<Vec<_>>() {
            let object = self.objects.get_mut(&which).unwrap();
            if object.quiet_due.take_if(|due| *due <= now).is_some() {
                let position = object.record.as_ref().map(|record| record.position);
                if object.quiet_said != position {
                    self.publish_head(which);
                    self.meets("a quiet head");
                }
            }
        }
        self.asked
            .retain(|_, one| one.of.is_none_or(|(_, until)| until > now));
    }
}
