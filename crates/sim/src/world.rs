//! The world: one node, some runtimes, the links between them, and the time, which jumps from one
//! event to the next. What machines put out is performed here, as their drivers do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use byline_core::address::Address;
use byline_core::node::{ConnectionId, Input, Node};
use byline_core::runtime;
use byline_core::time::Time;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::liar::Liar;
use crate::link::Link;
use crate::oracle::{Oracle, Rule};
use crate::place::Place;
use crate::plan::{Plan, Step};
use crate::random::Random;
use crate::storing::{Outage, Part};
use crate::totals::Totals;
use crate::trace::Trace;
use crate::withholding::Unpassed;

pub(crate) const DOMAIN: &str = "localhost";
/// Events after which a world should have come to rest long ago.
const EVENTS_MAX: u64 = 150_000;

/// Who is at the other end of a connection: a process of a place, or a liar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Place(usize, u64),
    Liar(usize),
}

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A place's attempt to connect succeeds, if it can.
    Connected(usize, u64),
    NodeLost(ConnectionId),
    PlaceLost(ConnectionId, Option<u16>),
    LinkIsGood(ConnectionId),
    /// A disk is done with its batch of this number, if it is still that one.
    Written(Part, u64),
    /// The power fails while that batch is being written.
    PowerFails(Part, u64),
    /// A bad link says again what it said before.
    SaidAgain(ConnectionId),
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Step,
    Event,
    Up(ConnectionId),
    Down(ConnectionId),
    Node,
    Place(usize),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) node: Node,
    pub(crate) node_clock: Clock,
    pub(crate) node_disk: Option<Disk>,
    pub(crate) node_lives: u64,
    pub(crate) node_down_until: u64,
    pub(crate) places: Vec<Place>,
    pub(crate) liars: Vec<Liar>,
    /// The address of each object, as soon as it has one.
    pub(crate) urls: Vec<Option<Address>>,
    /// Whom applications deny, by object.
    pub(crate) denied: Vec<Vec<u8>>,
    pub(crate) links: BTreeMap<ConnectionId, Link>,
    /// Who is, or was, at the other end of each connection.
    pub(crate) peers: BTreeMap<ConnectionId, Peer>,
    /// What becomes of the parts whose power will fail.
    pub(crate) outages: BTreeMap<Part, Outage>,
    events: BTreeSet<(u64, u64, Event)>,
    scheduled: u64,
    taken: usize,
    handled: u64,
    pub(crate) overheard: VecDeque<Arc<str>>,
    pub(crate) unpassed: Unpassed,
    /// Every write has a number of its own.
    pub(crate) written: u64,
    pub(crate) oracle: Oracle,
    pub(crate) totals: Totals,
    pub(crate) trace: Trace,
}

impl World {
    pub(crate) fn new(plan: Plan, traced: bool) -> Self {
        let mut random = Random::new(plan.seed ^ 0x005e_ed0f_7e57);
        let node_clock = Clock::new(0, plan.node_drift_ppm);
        let node_disk = plan.node_disk.then(Disk::default);
        let node = new_node(&plan, &mut random, node_clock.shows(0));
        let places = plan.places.iter();
        let places = places
            .map(|place| Place::new(place, random.seed()))
            .collect();
        let liars = Liar::all(&mut random);
        let objects = plan.objects.len();
        let mut world = Self {
            plan,
            now: 0,
            random,
            node,
            node_clock,
            node_disk,
            node_lives: 1,
            node_down_until: 0,
            places,
            liars,
            urls: vec![],
            denied: vec![vec![]; objects],
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            outages: BTreeMap::new(),
            events: BTreeSet::new(),
            scheduled: 0,
            taken: 0,
            handled: 0,
            overheard: VecDeque::new(),
            unpassed: Unpassed::default(),
            written: 0,
            oracle: Oracle::default(),
            totals: Totals::default(),
            trace: Trace::new(traced),
        };
        world.names_objects();
        world.begins_to_keep();
        for who in 0..world.places.len() {
            world.place_puts_out(who);
        }
        world
    }

    /// Lets everything happen up to `until`; with `steps`, what the plan says, and until its end.
    pub(crate) fn passes(&mut self, until: u64, steps: bool) {
        while !self.oracle.is_broken() {
            let Some((at, next)) = self.next(steps).filter(|(at, _)| *at <= until) else {
                break;
            };
            if steps && self.taken == self.plan.steps.len() {
                return;
            }
            self.now = at;
            self.handled += 1;
            if self.handled > EVENTS_MAX {
                let what = || format!("{EVENTS_MAX} events, and no rest");
                return self.oracle.breaks(Rule::Rest, what);
            }
            self.happens(next);
        }
        if !self.oracle.is_broken() && until < u64::MAX {
            self.now = self.now.max(until);
        }
    }

    fn next(&self, steps: bool) -> Option<(u64, Next)> {
        let mut first: Option<(u64, Next)> = None;
        let mut offer = |at: u64, next: Next| {
            if first.is_none_or(|(earliest, _)| at < earliest) {
                first = Some((at, next));
            }
        };
        if let Some((at, _, _)) = self.events.first() {
            offer(*at, Next::Event);
        }
        let reads = self.node_reads();
        for (connection, link) in &self.links {
            if let Some(at) = link.up.next_at().filter(|_| reads) {
                offer(at, Next::Up(*connection));
            }
            if let Some(at) = link.down.next_at() {
                offer(at, Next::Down(*connection));
            }
        }
        if let Some(time) = self.node.poll_timeout() {
            offer(self.node_clock.reaches(time, self.now), Next::Node);
        }
        for (who, place) in self.places.iter().enumerate() {
            if let Some(time) = place.runtime.poll_timeout() {
                offer(place.clock.reaches(time, self.now), Next::Place(who));
            }
        }
        if let Some(step) = self.plan.steps.get(self.taken).filter(|_| steps) {
            offer(step.at_ms, Next::Step);
        }
        first.map(|(at, next)| (at.max(self.now), next))
    }

    fn happens(&mut self, next: Next) {
        match next {
            Next::Step => {
                let Step { action, .. } = self.plan.steps[self.taken].clone();
                self.taken += 1;
                self.trace.note(self.now, || format!("step {action:?}"));
                self.does(&action);
            }
            Next::Event => {
                if let Some((_, _, event)) = self.events.pop_first() {
                    self.trace.note(self.now, || format!("{event:?}"));
                    self.event(event);
                }
            }
            Next::Up(connection) => self.frame_up(connection),
            Next::Down(connection) => self.frame_down(connection),
            Next::Node => self.node_takes(Input::Timeout),
            Next::Place(who) => self.place_takes(who, runtime::Input::Timeout),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected(who, attempt) if self.places[who].attempt == attempt => {
                self.connected(who);
            }
            Event::Connected(..) => {}
            Event::NodeLost(connection) => self.node_loses(connection),
            Event::PlaceLost(connection, code) => {
                let Some(link) = self.links.get_mut(&connection) else {
                    return;
                };
                link.down.cut(usize::MAX);
                let (who, knew) = (link.who, std::mem::replace(&mut link.at_place, false));
                if knew && self.places[who].link == Some(connection) {
                    self.places[who].link = None;
                    self.places[who].frame = None;
                    self.place_takes(who, runtime::Input::Disconnected(code));
                }
                self.forget_link(connection);
            }
            Event::Written(part, number) => self.written(part, number),
            Event::PowerFails(part, number) => {
                if self.disk(part).is_some_and(|disk| disk.number == number) {
                    self.power_fails(part);
                }
            }
            Event::SaidAgain(connection) => {
                let now = self.now;
                if let Some(link) = self.links.get_mut(&connection)
                    && let Some((frame, of)) = link.late.pop_front()
                {
                    link.misled |= frame.contains("\"position\"");
                    link.down.push(frame, of, now, 0);
                }
            }
            Event::LinkIsGood(connection) => {
                let link = self.links.get_mut(&connection);
                let misled = link.is_some_and(|link| {
                    link.bad = None;
                    link.late.clear();
                    link.misled
                });
                if misled {
                    self.cut(connection, [0, 0], 0, Some(0));
                }
            }
        }
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events
            .insert((at.max(self.now), self.scheduled, event));
    }

    pub(crate) fn node_time(&self) -> Time {
        self.node_clock.shows(self.now)
    }

    pub(crate) fn place_time(&self, who: usize) -> Time {
        self.places[who].clock.shows(self.now)
    }

    pub(crate) fn link_of(&mut self, who: usize) -> Option<&mut Link> {
        let connection = self.places[who].link?;
        self.links.get_mut(&connection).filter(|link| !link.up.cut)
    }

    /// A connection that is another's than all before.
    pub(crate) fn new_connection(&mut self, peer: Peer) -> ConnectionId {
        let connection = ConnectionId(self.peers.len() as u64 + 1);
        self.peers.insert(connection, peer);
        connection
    }

    pub(crate) fn forget_link(&mut self, connection: ConnectionId) {
        if self
            .links
            .get(&connection)
            .is_some_and(|link| !link.at_node && !link.at_place)
        {
            self.links.remove(&connection);
        }
    }
}

/// A node that knows nothing yet.
pub(crate) fn new_node(plan: &Plan, random: &mut Random, time: Time) -> Node {
    let mut node = Node::new(DOMAIN, random.seed(), time);
    if let Some(bytes_max) = plan.content_bytes {
        node.keep_content(bytes_max);
    }
    node
}
