//! One runtime of a world, its link, and all that its application was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use byline_core::State;
use byline_core::address::Address;
use byline_core::error::Refusal;
use byline_core::message::body::{Code, Observers};
use byline_core::message::{Header, Type};
use byline_core::node::ConnectionId;
use byline_core::object::{Change, apply};
use byline_core::runtime::{
    Asking, Connection, Event, Executing, FlushError, Invitation, Output, Runtime, Seat, Snapshot,
};
use byline_core::stream::{Changed, Origin, Position, Written};
use serde_json::{Value, json};

use super::children::ChildrenMirror;
use super::disk::Disk;
use super::{Frames, Past};

pub struct Place {
    pub runtime: Runtime,
    pub hyperties: BTreeSet<Address>,
    pub network: bool,
    pub link: Option<Link>,
    pub states: BTreeMap<Seat, Vec<State>>,
    pub mirrors: BTreeMap<Seat, Mirror>,
    pub reads: BTreeMap<u64, Vec<Result<Snapshot, Refusal>>>,
    pub delivered: Vec<u64>,
    pub flushed: BTreeMap<u64, Result<(), FlushError>>,
    /// What the runtime has a store in, and what becomes of a batch.
    pub disk: Option<Disk>,
    pub done: BTreeMap<u64, Result<(), Refusal>>,
    pub rejected: Vec<(Seat, Vec<Written>)>,
    pub asked: Vec<(Seat, Asking)>,
    pub executing: Vec<(Seat, Executing)>,
    pub answered: BTreeMap<u64, Result<Value, Refusal>>,
    pub fetching: BTreeMap<u64, u64>,
    pub fetched: BTreeMap<u64, Result<Arc<[u8]>, Refusal>>,
    pub invited: Vec<(Address, Invitation)>,
    pub presence: Vec<Seat>,
    pub pages: BTreeMap<u64, Result<Observers, Refusal>>,
    pub gone: Vec<u64>,
    pub children: BTreeMap<(Seat, String), ChildrenMirror>,
    pub events: Vec<(Seat, String, Event)>,
    pub refused: Vec<Refusal>,
    pub connection: Vec<Connection>,
    /// How often it was asked for a token.
    pub tokens_asked: usize,
    /// Every frame the node sent here.
    pub received: Vec<String>,
    /// How many frames it sent, into a dead link too.
    pub sent: usize,
    /// Each `execute` that it sent.
    pub executes: Vec<String>,
    /// The code of each refusal that it answered a request with.
    pub refusals: Vec<u16>,
}

/// A socket between a runtime and the node, with what is on its way.
#[derive(Clone)]
pub struct Link {
    pub connection: ConnectionId,
    pub up: Frames,
    pub down: Frames,
    /// What is sent vanishes.
    pub dead: bool,
    /// What comes down waits.
    pub stalled: bool,
}

/// A document built from nothing but an Observer's events.
pub struct Mirror {
    pub data: Value,
    pub position: Position,
    /// Which of its Reporter's states it is.
    index: usize,
    pub origins: Vec<Origin>,
    number: u64,
}

impl Link {
    pub fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            up: Frames::new(),
            down: Frames::new(),
            dead: false,
            stalled: false,
        }
    }
}

impl Place {
    pub fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            hyperties: BTreeSet::new(),
            network: true,
            link: None,
            states: BTreeMap::new(),
            mirrors: BTreeMap::new(),
            reads: BTreeMap::new(),
            delivered: vec![],
            flushed: BTreeMap::new(),
            disk: None,
            done: BTreeMap::new(),
            children: BTreeMap::new(),
            events: vec![],
            rejected: vec![],
            asked: vec![],
            executing: vec![],
            answered: BTreeMap::new(),
            fetching: BTreeMap::new(),
            fetched: BTreeMap::new(),
            invited: vec![],
            presence: vec![],
            pages: BTreeMap::new(),
            gone: vec![],
            refused: vec![],
            connection: vec![],
            tokens_asked: 0,
            received: vec![],
            sent: 0,
            executes: vec![],
            refusals: vec![],
        }
    }

    /// Notes that the runtime sent a frame.
    pub fn sends(&mut self, frame: &str) {
        self.sent += 1;
        let header = Header::peek(frame).expect("a runtime sends messages");
        if header.kind == Type::Execute {
            self.executes.push(frame.to_owned());
        }
        if header.kind == Type::Response
            && let Ok(Code { code: code @ 400.. }) = header.decode()
        {
            self.refusals.push(code);
        }
    }

    /// Notes what the application is told; `past` are the states of all Reporters.
    pub fn notes(&mut self, output: Output, past: &BTreeMap<Address, Past>) {
        match output {
            Output::Reporter(seat, state) | Output::Observer(seat, state) => {
                let states = self.states.entry(seat).or_default();
                assert_ne!(states.last(), Some(&state), "a state is told once");
                states.push(state);
            }
            Output::Changed(seat, changed) => {
                // What a raw client reports has no known past.
                let past = past.get(&seat.object);
                let mirror = self.mirrors.entry(seat).or_insert_with(Mirror::new);
                mirror.takes(changed, past);
            }
            Output::Read(call, result) => self.reads.entry(call).or_default().push(result),
            Output::Done(call, result) => {
                assert!(self.done.insert(call, result).is_none(), "done once");
            }
            Output::Rejected(seat, commits) => self.rejected.push((seat, commits)),
            Output::Asked(seat, asking) => self.asked.push((seat, asking)),
            Output::Executing(seat, executing) => self.executing.push((seat, executing)),
            Output::Answered(call, result) => {
                assert!(
                    self.answered.insert(call, result).is_none(),
                    "answered once"
                );
            }
            Output::Fetching(call, received) => {
                let before = self.fetching.insert(call, received);
                assert!(before < Some(received), "it only grows");
            }
            Output::Fetched(call, result) => {
                assert!(self.fetched.insert(call, result).is_none(), "fetched once");
            }
            Output::Invited(hyperty, invitation) => self.invited.push((hyperty, invitation)),
            Output::Presence(seat) => self.presence.push(seat),
            Output::Observers(call, result) => {
                assert!(self.pages.insert(call, result).is_none(), "answered once");
            }
            Output::Gone(_, number) => self.gone.push(number),
            Output::Children(seat, name, changed) => {
                let mirror = self.children.entry((seat, name)).or_default();
                mirror.takes(changed);
            }
            Output::Event(seat, name, event) => self.events.push((seat, name, event)),
            Output::Delivered(call) => self.delivered.push(call),
            Output::Flushed(call, result) => {
                assert!(self.flushed.insert(call, result).is_none(), "answered once");
            }
            Output::Refused(refusal) => self.refused.push(refusal),
            Output::Connection(connection) => {
                let before = self.connection.last();
                assert_ne!(before, Some(&connection), "a state is told once");
                self.connection.push(connection);
            }
            Output::NeedsToken => self.tokens_asked += 1,
            Output::Connect | Output::Disconnect | Output::Send(_) | Output::Store(_) => {
                unreachable!("performed")
            }
        }
    }

    pub fn checks(&self) {
        for (seat, mirror) in &self.mirrors {
            let Some(observer) = self.runtime.observer(seat) else {
                continue;
            };
            let copy = observer.data().map(|data| Value::clone(&data));
            assert_eq!(copy.as_ref(), Some(&mirror.data), "events give the copy");
            assert_eq!(observer.position(), Some(mirror.position));
            assert_eq!(observer.steps(), mirror.number);
        }
        for ((seat, name), mirror) in &self.children {
            if let Some(collection) = self.runtime.children(seat, name) {
                mirror.checks(collection);
            }
        }
        for (call, results) in &self.reads {
            assert_eq!(results.len(), 1, "read {call} is answered once");
        }
    }
}

impl Mirror {
    /// Of a copy that is there before its first event.
    pub fn of(data: Value, position: Position) -> Self {
        Self {
            data,
            position,
            origins: vec![Origin::Snapshot],
            ..Self::new()
        }
    }

    fn new() -> Self {
        Self {
            data: json!({}),
            position: Position::default(),
            index: 0,
            origins: vec![],
            number: 0,
        }
    }

    fn takes(&mut self, changed: Changed, past: Option<&Past>) {
        assert_eq!(changed.number, self.number + 1, "steps are counted");
        self.number = changed.number;
        let first = self.origins.is_empty();
        let changes: Vec<Change> = changed
            .edits
            .iter()
            .map(|edit| edit.change.clone())
            .collect();
        let applied = apply(&mut self.data, &changes).expect("an event applies");
        if !first {
            let told = changed.edits.into_iter().map(|edit| edit.before);
            let before: Vec<Option<Value>> = applied.into_before();
            assert_eq!(told.collect::<Vec<_>>(), before, "before is what was there");
        }
        // Invariant 1: a state its Reporter was in, and no earlier one.
        let whole = changed.origin == Origin::Snapshot;
        if changed.origin != Origin::Rewound {
            assert!(
                changed.position > self.position || whole && changed.position == self.position,
                "from {} to {} by {:?}",
                self.position,
                changed.position,
                changed.origin
            );
        }
        self.position = changed.position;
        if let Some(past) = past {
            if changed.origin == Origin::Rewound || whole && past.reporters > 1 {
                self.index = 0;
            }
            let mut later = past.states[self.index..].iter();
            let found = later.position(|one| *one == self.data);
            let Some(found) = found else {
                panic!("{} is no state of its Reporter from there on", self.data);
            };
            self.index += found;
        }
        self.origins.push(changed.origin);
    }
}
