//! One runtime's machine: its process, its clock, and what its application does and was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use byline_core::State;
use byline_core::address::Address;
use byline_core::children::ChildId;
use byline_core::error::Refusal;
use byline_core::identity::{Identity, Key};
use byline_core::node::{ConnectionId, ObjectId};
use byline_core::runtime::{FlushError, Runtime, Seat, Snapshot};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::oracle::{Asked, Author, Copy, Oracle, Reader, Rule};
use crate::plan::PlacePlan;
use crate::totals::{Count, Totals};
use crate::world::DOMAIN;

/// Stream frames that a place remembers.
const HEARD: usize = 12;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) runtime: Runtime,
    /// Which of the machine's processes this is.
    pub(crate) process: u64,
    pub(crate) key: Key,
    pub(crate) identity: Identity,
    /// The number of its identity in the plan.
    pub(crate) number: u8,
    pub(crate) clock: Clock,
    pub(crate) disk: Option<Disk>,
    pub(crate) delay_ms: u64,
    pub(crate) link: Option<ConnectionId>,
    /// How often it tried to connect: what belongs to an earlier attempt is late.
    pub(crate) attempt: u64,
    /// The frame that waits for the socket. No more are taken from the machine meanwhile.
    pub(crate) frame: Option<Arc<str>>,
    pub(crate) offline_until: u64,
    /// The newest stream frames that arrived, on whatever connection.
    pub(crate) heard: VecDeque<(Arc<str>, ObjectId)>,
    pub(crate) reporters: BTreeMap<usize, Reporter>,
    pub(crate) readers: BTreeMap<Seat, Reader>,
    /// The collections that the process before reported.
    pub(crate) copies_before: BTreeMap<usize, BTreeMap<String, Copy>>,
    reads: BTreeMap<u64, Address>,
    deliveries: BTreeSet<u64>,
    commands: BTreeSet<u64>,
    /// Those of them that hand an object over, and to whom.
    pub(crate) handing: BTreeMap<u64, (Address, Identity)>,
    /// Deletions that may have gone on by themselves, under calls that nobody made.
    pub(crate) repeated: usize,
    /// Who waits for its writes to be stored, and how many states it had then.
    flushes: BTreeMap<u64, (Seat, usize)>,
    /// What authors asked for, by its call.
    asked: BTreeMap<u64, Asked>,
    /// The children that each author has made, by their collection.
    pub(crate) own_children: BTreeMap<(Seat, String), BTreeSet<ChildId>>,
}

/// An object that the application reports.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) author: Author,
    pub(crate) state: State,
    /// Its collections of children, as it was told of them.
    pub(crate) copies: BTreeMap<String, Copy>,
}

/// What the process before reported and followed.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) reported: Vec<usize>,
    pub(crate) observed: Vec<(usize, bool)>,
}

impl Place {
    pub(crate) fn new(plan: &PlacePlan, seed: [u8; 32]) -> Self {
        let key = Key::from_bytes(&[plan.identity; 32]);
        let runtime = Runtime::new(DOMAIN, key.clone(), seed);
        Self {
            identity: runtime.identity().clone(),
            number: plan.identity,
            runtime,
            process: 0,
            key,
            clock: Clock::new(plan.ahead_ms, plan.drift_ppm),
            disk: plan.disk.then(Disk::default),
            delay_ms: plan.delay_ms,
            link: None,
            attempt: 0,
            frame: None,
            offline_until: 0,
            heard: VecDeque::new(),
            reporters: BTreeMap::new(),
            readers: BTreeMap::new(),
            copies_before: BTreeMap::new(),
            reads: BTreeMap::new(),
            deliveries: BTreeSet::new(),
            commands: BTreeSet::new(),
            handing: BTreeMap::new(),
            repeated: 0,
            flushes: BTreeMap::new(),
            asked: BTreeMap::new(),
            own_children: BTreeMap::new(),
        }
    }

    /// Another process begins; it is told what this one did.
    pub(crate) fn starts_again(&mut self, runtime: Runtime) -> Followed {
        self.runtime = runtime;
        self.process += 1;
        self.attempt += 1;
        self.link = None;
        self.frame = None;
        self.reads.clear();
        self.deliveries.clear();
        self.commands.clear();
        self.handing.clear();
        self.repeated = 0;
        self.flushes.clear();
        self.asked.clear();
        self.own_children.clear();
        let reporters = std::mem::take(&mut self.reporters).into_iter();
        let reporters: Vec<_> = reporters.collect();
        let of = |(object, one): &(usize, Reporter)| (*object, one.copies.clone());
        self.copies_before = reporters.iter().map(of).collect();
        let readers = std::mem::take(&mut self.readers).into_values();
        Followed {
            reported: reporters
                .into_iter()
                .filter(|(_, one)| !matches!(one.state, State::Closed(_)))
                .map(|(object, _)| object)
                .collect(),
            observed: readers.map(|one| (one.object, one.second)).collect(),
        }
    }

    pub(crate) fn hears_stream(&mut self, frame: &Arc<str>, of: ObjectId) {
        if self.heard.len() == HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back((Arc::clone(frame), of));
    }

    pub(crate) fn asks_to_read(&mut self, call: u64, object: Address) {
        self.reads.insert(call, object);
    }

    pub(crate) fn asks_for_delivery(&mut self, call: u64) {
        self.deliveries.insert(call);
    }

    pub(crate) fn read_ends(
        &mut self,
        call: u64,
        result: &Result<Snapshot, Refusal>,
        lies: Option<&Address>,
        oracle: &mut Oracle,
        totals: &mut Totals,
    ) {
        let Some(object) = self.reads.remove(&call) else {
            return oracle.breaks(Rule::Answer, || format!("read {call} ended twice"));
        };
        match result {
            Ok(snapshot) => {
                totals.one(Count::ReadAnswered);
                if Some(&object) != lies {
                    oracle.was_read(&object, snapshot);
                }
            }
            Err(_) => totals.one(Count::ReadRefused),
        }
    }

    pub(crate) fn delivery_ends(&mut self, call: u64, oracle: &mut Oracle, totals: &mut Totals) {
        totals.one(Count::Delivered);
        let waited = self.deliveries.remove(&call);
        oracle.expects(waited, Rule::Answer, || {
            format!("delivery {call} is confirmed twice")
        });
    }

    pub(crate) fn asks_to_flush(&mut self, call: u64, seat: Seat, states: usize) {
        self.flushes.insert(call, (seat, states));
    }

    pub(crate) fn flush_ends(
        &mut self,
        call: u64,
        result: &Result<(), FlushError>,
        oracle: &mut Oracle,
        totals: &mut Totals,
    ) {
        let Some((seat, states)) = self.flushes.remove(&call) else {
            return oracle.breaks(Rule::Answer, || format!("flush {call} ends twice"));
        };
        match result {
            Ok(()) => {
                totals.one(Count::Flushed);
                oracle.are_stored(&seat, states);
            }
            Err(_) => totals.one(Count::FlushRefused),
        }
    }

    pub(crate) fn asks_for_command(&mut self, call: u64) {
        self.commands.insert(call);
    }

    /// A collection as the application was told of it, and the number of its object.
    pub(crate) fn copy_of(&mut self, seat: &Seat, name: &str) -> Option<(usize, &mut Copy)> {
        let of = |one: &(&usize, &mut Reporter)| one.1.author.seat == *seat;
        let (object, copies) = match self.readers.get_mut(seat) {
            Some(reader) => (reader.object, &mut reader.copies),
            None => {
                let (object, reporter) = self.reporters.iter_mut().find(of)?;
                (*object, &mut reporter.copies)
            }
        };
        Some((object, copies.entry(name.to_owned()).or_default()))
    }

    pub(crate) fn asks_of_children(&mut self, call: u64, asked: Asked) {
        self.asked.insert(call, asked);
    }

    /// A Reporter is told its state.
    pub(crate) fn reporter_is(&mut self, seat: &Seat, state: State, oracle: &mut Oracle) {
        let of = |one: &&mut Reporter| one.author.seat == *seat;
        if let Some(reporter) = self.reporters.values_mut().find(of) {
            let again = reporter.state == state;
            oracle.expects(!again, Rule::Answer, || {
                format!("{seat:?} told twice: {state}")
            });
            oracle.reporter_is(seat, &reporter.state, &state);
            reporter.state = state;
        }
    }

    /// A command has ended, or what was asked of children.
    pub(crate) fn command_ends(
        &mut self,
        call: u64,
        well: bool,
        oracle: &mut Oracle,
        totals: &mut Totals,
    ) {
        if let Some(asked) = self.asked.remove(&call) {
            if well {
                return oracle.child_is_safe(asked);
            }
            return totals.one(Count::ChildRefused);
        }
        if !well {
            totals.one(Count::CommandRefused);
        }
        if let Some((object, heir)) = self.handing.remove(&call) {
            oracle.handing_ends(&object, &heir, well);
        }
        let mut waited = self.commands.remove(&call);
        if !waited && self.repeated > 0 {
            self.repeated -= 1;
            waited = true;
        }
        oracle.expects(waited, Rule::Answer, || {
            format!("command {call} ends twice")
        });
    }

    /// Calls of the application that have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.reads.len()
            + self.deliveries.len()
            + self.commands.len()
            + self.asked.len()
            + self.flushes.len()
    }
}
