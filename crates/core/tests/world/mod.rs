//! A whole world in one thread: one node, any number of runtimes, links between them that can be cut,
//! and a clock that jumps from one time-out to the next. No socket, no sleep.
//!
//! Every step checks what must always hold: each mirror, built from nothing but the events, is the
//! Observer's copy; each copy is a state its Reporter was in, and no earlier one than before; no
//! request is answered twice.

#![allow(unreachable_pub, reason = "`pub` is what tests use")]

mod answers;
pub mod chat;
pub mod children;
pub mod disk;
pub mod files;
pub mod kitchen;
mod links;
mod machines;
pub mod passes;
mod place;
mod raw;
pub mod room;
mod slow;
mod stores;

use std::collections::{BTreeMap, VecDeque};

use byline_core::State;
use byline_core::address::Address;
use byline_core::identity::Key;
use byline_core::message::body::Access;
use byline_core::node::{self, ConnectionId, Node, ObjectId};
use byline_core::object::{Change, Hash, Path};
use byline_core::runtime::{self, Create, Runtime, Seat};
use byline_core::stream::{ObserverStream, ReporterStream, WriteError};
use byline_core::time::Time;
use serde_json::{Value, json};

use answers::Answers;
use place::Place;
pub use raw::{Client, of, sm};

pub const DOMAIN: &str = "localhost";

/// One of the world's runtimes.
pub type Who = usize;

/// What becomes of the frames that are on a link when it is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InFlight {
    Lost,
    Delivered,
}

pub struct World {
    pub now: Time,
    pub node: Node,
    nodes: u8,
    /// Where the node keeps what it promises, if anywhere.
    pub disk: Option<disk::Disk>,
    places: Vec<Place>,
    connections: u64,
    /// The runtime behind a connection; other connections are raw clients'.
    behind: BTreeMap<ConnectionId, Who>,
    pub inboxes: BTreeMap<ConnectionId, Vec<String>>,
    pub closed: BTreeMap<ConnectionId, u16>,
    answers: Answers,
    /// The number of each object that published something.
    pub published: BTreeMap<String, ObjectId>,
    /// Every state each object's Reporters were in, in order.
    past: BTreeMap<Address, Past>,
}

/// What an object was.
#[derive(Default)]
pub struct Past {
    pub states: Vec<Value>,
    /// How many Reporters it had: where there were two, a snapshot may be of either.
    pub reporters: usize,
}

impl World {
    /// A node whose first second is over.
    pub fn new() -> Self {
        let start = Time::from_unix_ms(1_700_000_000_000);
        let mut world = Self::at(start);
        world.now = start.plus_ms(1_000);
        world
    }

    /// A node that has started this moment.
    pub fn at(now: Time) -> Self {
        Self {
            now,
            node: Node::new(DOMAIN, [200; 32], now),
            nodes: 0,
            disk: None,
            places: vec![],
            connections: 0,
            behind: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            closed: BTreeMap::new(),
            answers: Answers::default(),
            published: BTreeMap::new(),
            past: BTreeMap::new(),
        }
    }

    /// One more runtime, of an identity of its own.
    pub fn runtime(&mut self) -> Who {
        let number = u8::try_from(self.places.len()).unwrap();
        self.runtime_of(number + 1)
    }

    /// One more runtime, of the identity with this number.
    pub fn runtime_of(&mut self, identity: u8) -> Who {
        let seed = 100 + u8::try_from(self.places.len()).unwrap();
        let key = Key::from_bytes(&[identity; 32]);
        let runtime = Runtime::new(DOMAIN, key, [seed; 32]);
        self.places.push(Place::new(runtime));
        self.places.len() - 1
    }

    pub fn machine(&mut self, who: Who) -> &mut Runtime {
        &mut self.places[who].runtime
    }

    pub fn hyperty(&mut self, who: Who, name: &str) -> Address {
        let hyperty = self.places[who].runtime.hyperty(name).unwrap();
        self.places[who].hyperties.insert(hyperty.clone());
        hyperty
    }

    /// Creates a public object, and waits for nothing. Its Reporter answers its readers itself, unless `with` has
    /// it otherwise.
    pub fn creates(&mut self, who: Who, id: &str, data: Value) -> Seat {
        self.creates_as(who, id, data, |_| {})
    }

    pub fn creates_as(
        &mut self,
        who: Who,
        id: &str,
        data: Value,
        with: impl FnOnce(&mut Create),
    ) -> Seat {
        let hyperty = self.hyperty(who, "reporter");
        let mut create = Create {
            schema: "Context".into(),
            data: data.clone(),
            url: Some(address(id)),
            access: Access {
                public: true,
                ..Access::default()
            },
            cache: Some(false),
            ..Create::default()
        };
        with(&mut create);
        let seat = self.places[who]
            .runtime
            .create(&hyperty, create, self.now)
            .unwrap();
        self.places[who].states.remove(&seat);
        self.places[who].children.retain(|(of, _), _| *of != seat);
        self.mirrors_children(who, &seat);
        let past = self.past.entry(seat.object.clone()).or_default();
        past.reporters += 1;
        past.states.push(data);
        self.collect();
        seat
    }

    pub fn subscribes(&mut self, who: Who, id: &str) -> Seat {
        self.subscribes_as(who, "observer", id)
    }

    pub fn subscribes_as(&mut self, who: Who, hyperty: &str, id: &str) -> Seat {
        let hyperty = self.hyperty(who, hyperty);
        let runtime = &mut self.places[who].runtime;
        let seat = runtime.subscribe(&hyperty, address(id), self.now).unwrap();
        self.places[who].mirrors.remove(&seat);
        self.places[who].states.remove(&seat);
        self.collect();
        seat
    }

    pub fn unsubscribes(&mut self, seat: &Seat) {
        let (who, now) = (self.who(seat), self.now);
        self.places[who].runtime.unsubscribe(seat, now);
        self.places[who].mirrors.remove(seat);
        self.places[who].children.retain(|(of, _), _| of != seat);
        self.collect();
    }

    pub fn reads(&mut self, who: Who, id: &str) -> u64 {
        let hyperty = self.hyperty(who, "observer");
        let now = self.now;
        let runtime = &mut self.places[who].runtime;
        let call = runtime.read(&hyperty, address(id), now).unwrap();
        self.collect();
        call
    }

    pub fn delivers(&mut self, who: Who) -> u64 {
        let now = self.now;
        let call = self.places[who].runtime.deliver(now);
        self.collect();
        call
    }

    /// Sets one key, and waits for nothing.
    pub fn writes(&mut self, seat: &Seat, key: &str, value: impl Into<Value>) {
        self.tries_to_write(seat, key, value).unwrap();
    }

    pub fn tries_to_write(
        &mut self,
        seat: &Seat,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<bool, WriteError> {
        let (who, now) = (self.who(seat), self.now);
        let path = Path::root().child(key);
        let value = value.into();
        let change = Change::Set { path, value };
        let result = self.places[who].runtime.write(seat, vec![change], now);
        if result.is_ok() {
            let data = self.reporter(seat).data();
            let past = self.past.entry(seat.object.clone()).or_default();
            past.states.push(Value::clone(&data));
        }
        result
    }

    /// Changes a field of the metadata, and waits for nothing.
    pub fn describes(&mut self, seat: &Seat, field: &str, value: Value) {
        let (who, now) = (self.who(seat), self.now);
        let patch = serde_json::Map::from_iter([(field.to_owned(), value)]);
        self.places[who].runtime.describe(seat, patch, now).unwrap();
    }

    /// Performs what the machines put out; no frame moves.
    pub fn collects(&mut self) {
        self.collect();
    }

    // Time.

    /// Lets everything happen that happens now.
    pub fn settles(&mut self) {
        for _ in 0..1_000_000 {
            self.collect();
            if self.disk.as_ref().is_some_and(disk::Disk::is_cut) {
                self.node_restarts();
            }
            self.power_fails();
            if !self.moves_one_frame() {
                return self.checks();
            }
        }
        panic!("the world does not come to rest");
    }

    /// Hands one frame of each link over, no more.
    pub fn moves_once(&mut self) {
        self.collect();
        self.moves_one_frame();
    }

    /// Lets `ms` milliseconds pass, jumping from one time-out to the next.
    pub fn passes(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            self.settles();
            let timeouts = self
                .places
                .iter()
                .filter_map(|place| place.runtime.poll_timeout());
            let next = timeouts.chain(self.node.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.node.handle(node::Input::Timeout, self.now);
            for who in 0..self.places.len() {
                self.tell(who, runtime::Input::Timeout);
            }
        }
        self.now = end;
    }

    /// The next time-out comes; frames stay where they are.
    pub fn ticks(&mut self) {
        let runtimes = self.places.iter();
        let timeouts = runtimes.filter_map(|place| place.runtime.poll_timeout());
        let next = timeouts.chain(self.node.poll_timeout()).min();
        self.now = self.now.max(next.expect("somebody waits for something"));
        self.node.handle(node::Input::Timeout, self.now);
        for who in 0..self.places.len() {
            self.tell(who, runtime::Input::Timeout);
        }
    }

    /// `ms` milliseconds pass for the node: what is on a link arrives after what it does then.
    pub fn passes_for_the_node(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.node.handle(node::Input::Timeout, self.now);
        self.collect();
    }

    /// Hands one frame of each link over, up and down.
    fn moves_one_frame(&mut self) -> bool {
        let mut moved = false;
        for who in 0..self.places.len() {
            let Some(link) = &mut self.places[who].link else {
                continue;
            };
            let (connection, up) = (link.connection, link.up.pop_front());
            if let Some(frame) = up {
                moved = true;
                self.hands_to_node(connection, &frame);
            }
            let link = self.places[who].link.as_mut();
            let link = link.filter(|link| !link.stalled);
            if let Some(frame) = link.and_then(|link| link.down.pop_front()) {
                moved = true;
                self.hands_to_runtime(who, &frame);
            }
        }
        moved
    }

    // What is what.

    pub fn who(&self, seat: &Seat) -> Who {
        let has = |place: &Place| place.hyperties.contains(&seat.hyperty);
        self.places.iter().position(has).expect("a known hyperty")
    }

    pub fn reporter(&self, seat: &Seat) -> &ReporterStream {
        self.places[self.who(seat)].runtime.reporter(seat).unwrap()
    }

    pub fn observer(&self, seat: &Seat) -> &ObserverStream {
        self.places[self.who(seat)].runtime.observer(seat).unwrap()
    }

    pub fn data(&self, seat: &Seat) -> Value {
        let data = self.observer(seat).data();
        data.map_or(Value::Null, |data| Value::clone(&data))
    }

    pub fn state(&self, seat: &Seat) -> String {
        self.states(seat)
            .last()
            .map_or_else(String::new, State::to_string)
    }

    /// All states of a seat so far.
    pub fn states(&self, seat: &Seat) -> &[State] {
        let place = &self.places[self.who(seat)];
        place.states.get(seat).map_or(&[], Vec::as_slice)
    }

    pub fn place(&self, who: Who) -> &Place {
        &self.places[who]
    }

    pub fn mirror(&self, seat: &Seat) -> &place::Mirror {
        &self.places[self.who(seat)].mirrors[seat]
    }

    /// Invariant 2: the Observer has what its Reporter has, and knows it.
    #[track_caller]
    pub fn assert_follows(&self, observer: &Seat, reporter: &Seat) {
        assert_eq!(self.state(observer), "live");
        self.assert_equal(observer, reporter);
    }

    #[track_caller]
    pub fn assert_equal(&self, observer: &Seat, reporter: &Seat) {
        let (theirs, mine) = (self.reporter(reporter), self.observer(observer));
        assert_eq!(mine.position(), theirs.position());
        assert_eq!(self.data(observer), *theirs.data());
        assert_eq!(Hash::of(&self.data(observer)), Hash::of(&theirs.data()));
    }

    /// Every request on a connection that lives has its one answer, unless it is held.
    #[track_caller]
    pub fn assert_all_answered(&mut self) {
        self.settles();
        assert_eq!(self.answers.missing(), Vec::<String>::new());
    }
}

pub fn address(id: &str) -> Address {
    Address::object(&format!("ctxt://{DOMAIN}/{id}")).unwrap()
}

/// An object with a key `n`, large enough that a few commits are smaller.
pub fn count(n: u64) -> Value {
    json!({ "n": n, "pad": "x".repeat(2_000) })
}

/// What a queue of frames holds.
pub type Frames = VecDeque<String>;
