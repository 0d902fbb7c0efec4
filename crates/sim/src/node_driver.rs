//! What the node puts out is performed here, as its driver does: one queue for each connection, and
//! whoever does not empty it is cut off.

use std::sync::Arc;

use byline_core::address::{Address, Target};
use byline_core::identity::Identity;
use byline_core::message::Header;
use byline_core::node::{ConnectionId, Input, ObjectId, Output};

use crate::liar::Liar;
use crate::oracle::place_of;
use crate::place::Place;
use crate::random::Random;
use crate::storing::Part;
use crate::totals::Count;
use crate::world::{Event, Peer, World};

/// Frames that liars remember of what others said.
const OVERHEARD: usize = 24;

impl World {
    pub(crate) fn frame_up(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let who = link.who;
        if let Some((frame, _)) = link.up.pop()
            && link.at_node
        {
            self.node_hears(connection, &frame);
        }
        // There is room in the socket again.
        self.place_puts_out(who);
    }

    pub(crate) fn node_hears(&mut self, connection: ConnectionId, frame: &Arc<str>) {
        self.totals.one(Count::Frames);
        self.trace.mix(self.now, frame.as_bytes());
        self.trace
            .note(self.now, || format!("node hears {}: {frame}", connection.0));
        self.overhear(frame);
        self.oracle.node_hears(connection, frame, &mut self.totals);
        let sender = self.peers.get(&connection).copied();
        let before = self.counted();
        self.node_takes(Input::Received(connection, Arc::clone(frame)));
        let after = self.counted();
        if after.kept_answers > before.kept_answers {
            self.counts_kept_answer(frame);
        }
        let alone = after.frames == before.frames + 1;
        if alone && after.commits > before.commits {
            self.counts_taken_child(frame);
            self.oracle
                .node_took_commit(sender, frame, &mut self.totals);
        } else if after.refused == before.refused {
            self.is_unpassed(sender, frame);
        }
    }

    /// The node has answered a reader from what it keeps.
    fn counts_kept_answer(&mut self, frame: &str) {
        self.totals.one(Count::KeptAnswers);
        let Some(object) = object_of(frame) else {
            return;
        };
        if self.oracle.node_takes(&object) {
            self.totals.one(Count::KeptChildren);
        }
        if self.is_away(&object) {
            self.totals.one(Count::KeptAnswersAway);
        }
    }

    /// The node has taken a child commit in its Reporter's place.
    fn counts_taken_child(&mut self, frame: &str) {
        let child = |header: &Header<'_>| place_of(&header.to).is_some();
        let taken = Header::peek(frame).is_ok_and(|header| child(&header));
        let Some(object) = object_of(frame).filter(|_| taken) else {
            return;
        };
        if self.oracle.node_takes(&object) {
            self.totals.one(Count::ChildrenTaken);
            if self.is_away(&object) {
                self.totals.one(Count::ChildrenTakenAway);
            }
        }
    }

    /// Whether the Reporter of an object has no connection to the node.
    fn is_away(&self, object: &Address) -> bool {
        let holder = self.oracle.holder(object.as_str());
        let of = |link: &crate::link::Link| holder == Some(Peer::Place(link.who, link.process));
        !self.links.values().any(|link| link.at_node && of(link))
    }

    pub(crate) fn node_takes(&mut self, input: Input) {
        let time = self.node_time();
        let mut before = self.counted();
        before.frames += u64::from(matches!(input, Input::Received(..)));
        self.node.handle(input, time);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(to, frame) => self.node_sends(to, frame),
                Output::Publish(of, to, frame) => self.node_publishes(of, &to, &frame),
                Output::Withdraw(from, of) => self.node_withdraws(from, of),
                Output::Close(connection, code, _) => self.node_closes(connection, code),
                Output::Store(batch) => self.stores(Part::Node, batch),
            }
        }
        self.gives_out(before);
    }

    fn node_sends(&mut self, to: ConnectionId, frame: String) {
        if let Some(peer) = self.peers.get(&to).copied() {
            let identity = identity_of(&self.places, &self.liars, peer);
            self.oracle
                .node_sends(to, peer, identity, &frame, &mut self.totals);
        }
        self.node_says(to, frame.into(), None);
    }

    fn node_publishes(&mut self, of: ObjectId, to: &[ConnectionId], frame: &Arc<str>) {
        let header = Header::peek(frame).ok();
        if let Some(header) = &header {
            self.oracle.node_publishes(header);
        }
        let of_whom = header.map(|header| header.to.into_owned());
        for connection in to {
            let peer = self.peers.get(connection).copied();
            if let (Some(peer), Some(of_whom)) = (peer, &of_whom) {
                let identity = identity_of(&self.places, &self.liars, peer);
                self.oracle.hears((peer, identity), of_whom, frame);
            }
            self.node_says(*connection, Arc::clone(frame), Some(of));
        }
    }

    /// What still waits for a reader that may no longer read is dropped.
    fn node_withdraws(&mut self, from: ConnectionId, of: ObjectId) {
        let now = self.now;
        // What waits for nothing but its time has left the node.
        if let Some(link) = self.links.get_mut(&from)
            && link.down.blocked_until > now
        {
            link.down.withdraw(of);
        }
    }

    /// Puts a frame in the queue of a connection. One that is too long closes it.
    fn node_says(&mut self, to: ConnectionId, frame: Arc<str>, of: Option<ObjectId>) {
        self.trace
            .note(self.now, || format!("node says to {}: {frame}", to.0));
        self.overhear(&frame);
        let now = self.now;
        if let Some(liar) = self.liars.iter_mut().find(|one| one.connection == Some(to)) {
            return liar.hears(frame);
        }
        let Some(link) = self.links.get_mut(&to).filter(|link| link.at_node) else {
            return;
        };
        let bad = link.bad.filter(|_| of.is_some() && !link.down.cut);
        let chance = |random: &mut Random, percent: u64| percent > 0 && random.chance(percent);
        let jitter_ms = self.random.between(0, 2);
        let mut again_ms = None;
        if let Some(bad) = bad {
            if chance(&mut self.random, bad.vanish) {
                self.totals.one(Count::Vanished);
                link.misled |= is_head(&frame);
                return;
            }
            link.down.push(Arc::clone(&frame), of, now, jitter_ms);
            if chance(&mut self.random, bad.duplicate) {
                self.totals.one(Count::Duplicated);
                link.misled |= is_head(&frame);
                link.down.push(Arc::clone(&frame), of, now, jitter_ms);
            }
            if chance(&mut self.random, bad.late) {
                self.totals.one(Count::Late);
                link.late.push_back((Arc::clone(&frame), of));
                again_ms = Some(self.random.between(5, 4_000));
            }
            if chance(&mut self.random, bad.swap) && link.down.swap_last() {
                self.totals.one(Count::Swapped);
                // Which of the two was a head does not matter much: a new connection tells anyway.
                link.misled = true;
            }
        } else {
            link.down.push(frame, of, now, jitter_ms);
        }
        let slow = link.down.is_too_full(now);
        if let Some(again_ms) = again_ms {
            self.schedule(now + again_ms, Event::SaidAgain(to));
        }
        if slow {
            self.makes_room(to);
        }
    }

    /// Too much waits for a connection: what its reader can recover is dropped, or it is closed.
    fn makes_room(&mut self, to: ConnectionId) {
        let (now, time) = (self.now, self.node_time());
        let Some(link) = self.links.get_mut(&to) else {
            return;
        };
        if let Some(dropped) = link.down.sheds(now) {
            link.parked = true;
            self.totals.one(Count::Parked);
            self.trace
                .note(now, || format!("{} is parked for {dropped:?}", to.0));
            return self.node.handle(Input::Parked(to, dropped), time);
        }
        self.totals.one(Count::Slow);
        link.down.cut(usize::MAX);
        self.end_at_node(to, 4008);
        self.node.handle(Input::Lost(to), time);
    }

    fn node_closes(&mut self, connection: ConnectionId, code: u16) {
        self.oracle.answers.lost(connection);
        if code == 4001 {
            self.totals.one(Count::Replaced);
        }
        if let Some(liar) = self
            .liars
            .iter_mut()
            .find(|one| one.connection == Some(connection))
        {
            liar.loses_its_session();
        }
        self.end_at_node(connection, code);
        let time = self.node_time();
        self.node.handle(Input::Lost(connection), time);
    }

    /// The node's end is closed: nothing more is taken, what waits still arrives.
    fn end_at_node(&mut self, connection: ConnectionId, code: u16) {
        self.oracle.answers.lost(connection);
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        link.at_node = false;
        link.up.cut(usize::MAX);
        let at = link.down.empty_at(self.now) + link.down.delay_ms;
        link.down.cut = true;
        if link.at_place {
            self.schedule(at, Event::PlaceLost(connection, Some(code)));
        }
        self.forget_link(connection);
    }

    fn overhear(&mut self, frame: &Arc<str>) {
        if self.overheard.len() == OVERHEARD {
            self.overheard.pop_front();
        }
        self.overheard.push_back(Arc::clone(frame));
    }
}

/// The object that a frame goes to.
fn object_of(frame: &str) -> Option<Address> {
    let header = Header::peek(frame).ok()?;
    match Target::of(&header.to) {
        Target::Object(url, _) => Address::parse(url).ok(),
        _ => None,
    }
}

fn identity_of<'a>(places: &'a [Place], liars: &'a [Liar], peer: Peer) -> Option<&'a Identity> {
    match peer {
        Peer::Place(who, _) => Some(&places[who].identity),
        Peer::Liar(liar) => liars[liar].identity(),
    }
}

/// Heads say `position` where commits say `version`.
pub(crate) fn is_head(frame: &str) -> bool {
    frame.contains("\"position\"")
}
