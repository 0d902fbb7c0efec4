//! The Hyperty Runtime: its session with a node, and what its hyperties' Synchers and its Sync
//! Manager send over it (protocol.md §3–§7). No sockets here: a driver connects, hands in frames and
//! performs what comes out; the application's calls are methods.

mod approving;
mod authoring;
mod backoff;
mod batches;
mod call_error;
mod calls;
mod children;
mod commands;
mod delegating;
mod delivering;
mod executing;
mod fetching;
mod files;
mod flushing;
mod inviting;
mod local;
mod losing;
mod objects;
mod observing;
mod output;
mod owning;
mod people;
mod presence;
mod pruning;
mod questions;
mod reading;
mod regaining;
mod reporting;
mod requests;
mod resting;
mod resting_children;
mod restoring;
mod resuming;
mod session;
mod writing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::address::{Address, Resource, Target};
use crate::entropy::Entropy;
use crate::error::Refusal;
use crate::identity::{Identity, Key};
use crate::manager::SyncManager;
use crate::message::body::Command;
use crate::message::{Header, Type};
use crate::stream::Position;
use crate::syncher::{State, Syncher};
use crate::time::Time;

pub use approving::Asking;
pub(crate) use backoff::Backoff;

pub use call_error::CallError;
pub use calls::{Create, Snapshot};
pub use children::Event;
use commands::Commanding;
use delivering::Delivery;
pub use executing::Executing;
use executing::Wanted;
use files::Files;
use flushing::Flush;
pub use flushing::FlushError;
pub use inviting::Invitation;
pub use output::{Connection, Input, Output, Seat};
use questions::Questions;
use requests::Requests;
use resting::Resting;
pub use resting::Role;
use resting_children::Unsaid;
pub use restoring::RestoreError;
pub use resuming::{Criteria, Resumed};
use session::Session;
pub use writing::ChildError;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Reconnect,
    Token,
    Silence,
    Request(u64),
    Claim(Address),
    Quiet(Address),
    Recovery(Seat),
    Read(u64),
    Regain(Address),
    Question(u64),
    Execute(u64),
    Writing(Seat, String),
    Fetch(u64),
    Flush(u64),
    Invite(Address),
    Settle(Seat),
}

/// The state of one Hyperty Runtime.
pub struct Runtime {
    domain: String,
    key: Key,
    identity: Identity,
    entropy: Entropy,
    session: Session,
    requests: Requests,
    manager: SyncManager,
    synchers: BTreeMap<Address, Syncher>,
    /// Observers whose `subscribe` waits until fewer requests are under way.
    crowded: BTreeSet<Seat>,
    /// The requests that went out in a batch.
    batched: BTreeMap<Seat, u64>,
    /// Objects that may have something to send.
    dirty: BTreeSet<Address>,
    /// The object that sent last: the others come first.
    served: Option<Address>,
    /// Reads that are to be sent, or sent again, with the deadline of each.
    reads: BTreeMap<u64, (Address, Address, Time)>,
    /// Calls of [`Runtime::deliver`] that are not answered.
    deliveries: BTreeMap<u64, Delivery>,
    /// Calls of [`Runtime::flush`] that are not answered.
    flushes: BTreeMap<u64, Flush>,
    resting: Resting,
    unsaid: Unsaid,
    /// Commands that are not answered, by their calls.
    commands: BTreeMap<u64, Commanding>,
    /// What is commanded about objects of others' sessions, by its calls.
    owning: BTreeMap<u64, Command>,
    /// What was asked of other applications and is not answered, by its calls.
    wanted: BTreeMap<u64, Wanted>,
    /// What others ask of the application.
    questions: Questions,
    /// Observers that ended, while the node may still have their routes.
    let_go: BTreeSet<Seat>,
    /// Observers that lack a page of children.
    paging: BTreeSet<Seat>,
    /// Objects whose Reporters may lack children that the node has taken.
    regaining: BTreeSet<Address>,
    /// Children's collections with commits of this runtime that are not safe.
    writing: BTreeSet<(Seat, String)>,
    /// The one of them that sent last: the others come first.
    wrote: Option<(Seat, String)>,
    files: Files,
    /// What the node's clock is ahead of this one, in milliseconds, as far as is known.
    clock_ahead_ms: i64,
    calls: u64,
    timers: BTreeSet<(Time, Timer)>,
    /// Messages about objects of this runtime alone, on their way round.
    round: VecDeque<String>,
    outbox: VecDeque<Output>,
}

impl Runtime {
    /// A runtime of `domain` that proves itself with `key`. `seed` must come from the operating
    /// system outside of tests. It begins by asking for a connection.
    #[must_use]
    pub fn new(domain: impl Into<String>, key: Key, seed: [u8; 32]) -> Self {
        let domain = domain.into();
        let mut entropy = Entropy::new(seed);
        let session = Session::new(&domain, &key, &entropy.nonce());
        Self {
            identity: key.public().identity(),
            domain,
            key,
            entropy,
            session,
            requests: Requests::default(),
            manager: SyncManager::default(),
            synchers: BTreeMap::new(),
            crowded: BTreeSet::new(),
            batched: BTreeMap::new(),
            dirty: BTreeSet::new(),
            served: None,
            reads: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            flushes: BTreeMap::new(),
            resting: Resting::default(),
            unsaid: Unsaid::default(),
            commands: BTreeMap::new(),
            owning: BTreeMap::new(),
            wanted: BTreeMap::new(),
            questions: Questions::default(),
            let_go: BTreeSet::new(),
            paging: BTreeSet::new(),
            regaining: BTreeSet::new(),
            writing: BTreeSet::new(),
            wrote: None,
            files: Files::default(),
            clock_ahead_ms: 0,
            calls: 0,
            timers: BTreeSet::new(),
            round: VecDeque::new(),
            outbox: VecDeque::from([Output::Connect]),
        }
    }

    /// Who this runtime is: its key, or the person that the node says it is, once it does.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The runtime's own address. Without a store it is another in each process: its id is minted anew.
    #[must_use]
    pub fn url(&self) -> &Address {
        self.session.runtime()
    }

    /// The domain whose objects this runtime reports and observes.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Takes `input`. Afterwards [`Runtime::poll_output`] must be drained.
    pub fn handle(&mut self, input: Input<'_>, now: Time) {
        match input {
            Input::Connected => self.connected(now),
            Input::Disconnected(code) => self.disconnected(code, now),
            Input::Received(text) => self.received(text, now),
            Input::Timeout => self.timeout(now),
            Input::Stored => self.batch_stored(now),
            Input::NotStored(why) => self.batch_not_stored(why),
        }
    }

    /// The next thing to do. Commits come out one by one as they are asked for, so a driver that
    /// waits for its socket before it asks again holds nothing back in a queue of its own.
    #[must_use]
    pub fn poll_output(&mut self, now: Time) -> Option<Output> {
        if let Some(batch) = self.poll_batch(now) {
            return Some(Output::Store(batch));
        }
        loop {
            if let Some(output) = self.outbox.pop_front() {
                return Some(output);
            }
            if let Some(text) = self.round.pop_front() {
                self.comes_round(&text, now);
                continue;
            }
            if let Some(chunk) = self.next_chunk() {
                return Some(chunk);
            }
            let Some(url) = self.next_dirty() else {
                if self.deliver_if_all_sent(now) {
                    continue;
                }
                return None;
            };
            if self.send_objects(&url, now) {
                self.served = Some(url);
            } else {
                self.dirty.remove(&url);
            }
        }
    }

    /// Objects take turns: one that is written faster than the socket takes it holds none up.
    fn next_dirty(&self) -> Option<Address> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.served.as_ref().and_then(|served| {
            let range = (Excluded(served), Unbounded);
            self.dirty.range::<Address, _>(range).next()
        });
        after.or_else(|| self.dirty.first()).cloned()
    }

    /// When to hand in [`Input::Timeout`]; may change with every input and call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn received(&mut self, text: &str, now: Time) {
        self.session.heard(now);
        if let Ok(header) = Header::peek(text)
            && !self.is_none_of_the_nodes(&header)
        {
            self.dispatch(&header, now);
        }
    }

    fn dispatch(&mut self, header: &Header<'_>, now: Time) {
        if header.kind == Type::Response {
            return self.response(header, now);
        }
        let handled = match (Target::of(&header.to), header.kind) {
            (Target::Object(url, Resource::Changes), Type::Update) if *header.from == *url => {
                self.update(url, header.body, now);
                Ok(())
            }
            (Target::Object(url, Resource::Changes), Type::Delete)
                if *header.from == *format!("{url}/subscription") =>
            {
                self.deleted(url, now);
                Ok(())
            }
            (Target::Object(url, Resource::Subscription), Type::Subscribe)
            | (Target::Object(url, Resource::Itself), Type::Read) => self.reader(url, header, now),
            (Target::Object(url, Resource::Children(name)), Type::Read) => {
                self.chunk_asked(url, name, header)
            }
            (Target::Object(url, Resource::Itself), Type::Execute) => {
                self.asked_to_do(url, header, now)
            }
            (Target::Peer(_) | Target::Person(_), Type::Create) => self.invited(header, now),
            (
                Target::Object(url, Resource::Children(name)),
                Type::Create | Type::Update | Type::Delete,
            ) => self.child(url, name, header, now),
            (Target::Object(url, Resource::Children(name)), Type::Event) => {
                self.event(url, name, header)
            }
            (Target::Peer(_), Type::Execute) => self.told(header, now),
            _ => Err(Refusal::unknown(format!(
                "nothing at `{}` takes this",
                header.to
            ))),
        };
        if let Err(refusal) = handled
            && header.is_request()
            && header.id != "null"
        {
            self.respond(header.id, &header.to, &header.from, &refusal);
        }
    }

    fn timeout(&mut self, now: Time) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            match self.timers.pop_first() {
                Some((_, Timer::Reconnect)) => self.reconnect(),
                Some((_, Timer::Token)) => self.ask_for_token(),
                Some((_, Timer::Silence)) => self.silence(now),
                Some((_, Timer::Request(id))) => self.request_over(id, now),
                Some((_, Timer::Claim(url))) => self.claim_again(&url, now),
                Some((_, Timer::Quiet(url))) => self.quiet(&url, now),
                Some((_, Timer::Recovery(seat))) => self.recover_again(&seat, now),
                Some((_, Timer::Read(call))) => self.read_over(call, now),
                Some((_, Timer::Regain(url))) => self.regain_again(url, now),
                Some((_, Timer::Execute(call))) => self.wanted_over(call),
                Some((_, Timer::Flush(call))) => self.flush_over(call, now),
                Some((_, Timer::Invite(url))) => self.send_commands(&url, now),
                Some((_, Timer::Settle(seat))) => self.settle_again(&seat, now),
                Some((_, Timer::Question(number))) => self.question_over(number, now),
                Some((_, Timer::Writing(..) | Timer::Fetch(_))) => self.send_crowded(now),
                None => break,
            }
        }
    }

    /// Tells the driver of a Reporter's or an Observer's state, when it has become another.
    fn tell(&mut self, seat: &Seat, reports: bool, before: &State, after: State) {
        if *before != after {
            let seat = seat.clone();
            self.outbox.push_back(if reports {
                Output::Reporter(seat, after)
            } else {
                Output::Observer(seat, after)
            });
        }
    }

    /// The position of a Reporter's stream.
    fn position(&self, url: &Address) -> Option<Position> {
        let claim = self.manager.claims.get(url)?;
        self.synchers
            .get(&claim.reporter)?
            .reporters
            .get(url)?
            .stream
            .position()
    }
}

/// Without what waits to be sent: there may be a token in it.
impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("url", self.url())
            .field("identity", &self.identity)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
