//! What the runtimes put out is performed here, as their driver does: one frame waits for the socket,
//! and no more are taken from the machine meanwhile.

use std::collections::BTreeSet;

use byline_core::node::{ConnectionId, Input};
use byline_core::runtime::{self, Output, Seat};

use crate::link::Link;
use crate::storing::Part;
use crate::totals::Count;
use crate::world::{Event, Peer, World};

/// What made a step, and is compared when all steps are told.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) copies: BTreeSet<Seat>,
    pub(crate) children: BTreeSet<(Seat, String)>,
}

impl World {
    pub(crate) fn frame_down(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let who = link.who;
        let frame = link.down.pop().filter(|_| link.at_place);
        if link.parked && link.at_node && link.down.is_nearly_empty() {
            link.parked = false;
            self.totals.one(Count::Woken);
            self.node_takes(Input::Drained(connection));
        }
        let Some((frame, of)) = frame else {
            return;
        };
        if let Some(of) = of {
            self.places[who].hears_stream(&frame, of);
        }
        self.totals.one(Count::Frames);
        self.trace.mix(self.now, frame.as_bytes());
        self.place_takes(who, runtime::Input::Received(&frame));
    }

    pub(crate) fn place_takes(&mut self, who: usize, input: runtime::Input<'_>) {
        let time = self.place_time(who);
        self.places[who].runtime.handle(input, time);
        self.place_puts_out(who);
    }

    /// Performs what a runtime puts out, until a frame has to wait for the socket.
    pub(crate) fn place_puts_out(&mut self, who: usize) {
        let time = self.place_time(who);
        self.numbers(who);
        let mut moved = Moved::default();
        loop {
            if self.places[who].frame.is_some() && !self.frame_leaves(who) {
                if let Some(batch) = self.places[who].runtime.poll_batch(time) {
                    self.stores(Part::Place(who), batch);
                }
                return;
            }
            let Some(output) = self.places[who].runtime.poll_output(time) else {
                break;
            };
            match output {
                Output::Connect => self.connects(who),
                Output::Disconnect => {
                    self.drops_link(who);
                    let input = runtime::Input::Disconnected(None);
                    self.places[who].runtime.handle(input, time);
                }
                Output::Send(frame) => {
                    let place = &mut self.places[who];
                    if place.link.is_some() {
                        if let Some(disk) = &place.disk {
                            self.oracle.is_said(disk, &frame);
                        }
                        place.frame = Some(frame.into());
                    }
                }
                Output::Store(batch) => self.stores(Part::Place(who), batch),
                told => {
                    self.writes_end(&told);
                    self.told(who, told, &mut moved);
                }
            }
        }
        let place = &self.places[who];
        for seat in moved.copies {
            if let (Some(reader), Some(copy)) =
                (place.readers.get(&seat), place.runtime.observer(&seat))
            {
                self.oracle.mirrors(&seat, reader, copy);
            }
        }
        for (seat, name) in moved.children {
            self.mirrors_children(who, &seat, &name);
        }
    }

    /// The frame that waits goes into the socket, when that takes it.
    fn frame_leaves(&mut self, who: usize) -> bool {
        let (now, jitter_ms) = (self.now, self.random.between(0, 2));
        let place = &mut self.places[who];
        let link = place
            .link
            .and_then(|connection| self.links.get_mut(&connection));
        match link {
            Some(link) if !link.up.cut && !link.up.takes_more() => return false,
            Some(link) => {
                if let Some(frame) = place.frame.take() {
                    link.up.push(frame, None, now, jitter_ms);
                }
            }
            None => place.frame = None,
        }
        true
    }

    fn connects(&mut self, who: usize) {
        self.drops_link(who);
        let place = &mut self.places[who];
        place.attempt += 1;
        let (attempt, takes_ms) = (place.attempt, 2 * place.delay_ms + 1);
        self.schedule(self.now + takes_ms, Event::Connected(who, attempt));
    }

    pub(crate) fn connected(&mut self, who: usize) {
        if self.places[who].offline_until.max(self.node_down_until) > self.now {
            return self.place_takes(who, runtime::Input::Disconnected(None));
        }
        let peer = Peer::Place(who, self.places[who].process);
        let connection = self.new_connection(peer);
        let place = &mut self.places[who];
        place.link = Some(connection);
        let link = Link::new(connection, (who, place.process), place.delay_ms);
        self.links.insert(connection, link);
        self.node_takes(Input::Connected(connection));
        self.place_takes(who, runtime::Input::Connected);
    }

    /// The runtime's end is closed: the node finds out when it has read the rest.
    fn drops_link(&mut self, who: usize) {
        self.places[who].frame = None;
        let Some(connection) = self.places[who].link.take() else {
            return;
        };
        let now = self.now;
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        link.at_place = false;
        link.down.cut(usize::MAX);
        if !std::mem::replace(&mut link.up.cut, true) {
            let at = link.up.empty_at(now) + link.up.delay_ms;
            self.schedule(at, Event::NodeLost(connection));
        }
        self.forget_link(connection);
    }
}
