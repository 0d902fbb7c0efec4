//! What the node puts out is performed here, as its driver does: one queue for each connection, and
//! whoever does not empty it is cut off.

use std::sync::Arc;

use byline_core::message::Header;
use byline_core::node::{ConnectionId, Input, Output};

use crate::liar::Liar;
use crate::link::QUEUE_BYTES_MAX;
use crate::place::Place;
use crate::random::Random;
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
        if let Some(frame) = link.up.pop()
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
        self.oracle.node_hears(connection, frame);
        let (sender, commits) = (self.peer(connection), self.node.counters().commits);
        self.node_takes(Input::Received(connection, Arc::clone(frame)));
        if self.node.counters().commits > commits {
            self.totals.one(Count::Published);
            self.oracle.node_took_commit(sender, frame);
        }
    }

    pub(crate) fn node_takes(&mut self, input: Input) {
        let time = self.node_time();
        self.node.handle(input, time);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(to, frame) => self.node_sends(to, frame),
                Output::Publish(to, frame) => self.node_publishes(&to, &frame),
                Output::Close(connection, code, _) => self.node_closes(connection, code),
            }
        }
    }

    fn node_sends(&mut self, to: ConnectionId, frame: String) {
        if let Some(peer) = self.peer(to) {
            let identity = identity_of(&self.places, &self.liars, peer);
            self.oracle
                .node_sends(to, peer, identity, &frame, &mut self.totals);
        }
        self.node_says(to, frame.into(), false);
    }

    fn node_publishes(&mut self, to: &[ConnectionId], frame: &Arc<str>) {
        let from = Header::peek(frame).map(|header| header.from.into_owned());
        for connection in to {
            if let (Some(peer), Ok(from)) = (self.peer(*connection), &from) {
                let identity = identity_of(&self.places, &self.liars, peer);
                self.oracle.reads(from, "", identity, frame);
            }
            self.node_says(*connection, Arc::clone(frame), true);
        }
    }

    /// Puts a frame in the queue of a connection. One that is too long closes it.
    fn node_says(&mut self, to: ConnectionId, frame: Arc<str>, stream: bool) {
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
        let bad = link.bad.filter(|_| stream && !link.down.cut);
        let chance = |random: &mut Random, percent: u64| percent > 0 && random.chance(percent);
        let head = frame.contains("\"position\"");
        let jitter_ms = self.random.between(0, 2);
        let mut again_ms = None;
        if let Some(bad) = bad {
            if chance(&mut self.random, bad.vanish) {
                self.totals.one(Count::Vanished);
                link.misled |= head;
                return;
            }
            link.down.push(Arc::clone(&frame), stream, now, jitter_ms);
            if chance(&mut self.random, bad.duplicate) {
                self.totals.one(Count::Duplicated);
                link.misled |= head;
                link.down.push(Arc::clone(&frame), stream, now, jitter_ms);
            }
            if chance(&mut self.random, bad.late) {
                self.totals.one(Count::Late);
                link.late.push_back(Arc::clone(&frame));
                again_ms = Some(self.random.between(5, 4_000));
            }
            if chance(&mut self.random, bad.swap) && link.down.swap_last() {
                self.totals.one(Count::Swapped);
                // Which of the two was a head does not matter much: a new connection tells anyway.
                link.misled = true;
            }
        } else {
            link.down.push(frame, stream, now, jitter_ms);
        }
        let slow = link.down.blocked_until > now && link.down.bytes > QUEUE_BYTES_MAX;
        if let Some(again_ms) = again_ms {
            self.schedule(now + again_ms, Event::SaidAgain(to));
        }
        if slow {
            self.closes_slow(to);
        }
    }

    fn closes_slow(&mut self, to: ConnectionId) {
        let Some(link) = self.links.get_mut(&to) else {
            return;
        };
        self.totals.one(Count::Slow);
        link.down.cut(usize::MAX);
        self.end_at_node(to, 4008);
        let time = self.node_time();
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

fn identity_of<'a>(places: &'a [Place], liars: &'a [Liar], peer: Peer) -> Option<&'a str> {
    match peer {
        Peer::Place(who, _) => Some(&places[who].identity),
        Peer::Liar(liar) => liars[liar].identity(),
    }
}
