//! What the applications of a world do, and what they are told.

use std::collections::BTreeMap;

use byline_core::State;
use byline_core::address::Address;
use byline_core::runtime::{Create, Output, Seat};
use serde_json::json;

use crate::liar::LIES;
use crate::oracle::{Author, Reader, Rule, SUM};
use crate::place::Reporter;
use crate::plan::Action;
use crate::runtime_driver::Moved;
use crate::storing::Part;
use crate::totals::Count;
use crate::world::{DOMAIN, World};
use crate::writing::ballast;

/// The hyperties of every runtime.
pub(crate) const NAMES: [&str; 3] = ["reporter", "first", "second"];

impl World {
    pub(crate) fn names_objects(&mut self) {
        for object in &self.plan.objects {
            self.urls.push(object.id.and_then(|id| url(id).ok()));
        }
    }

    pub(crate) fn does(&mut self, action: &Action) {
        match action {
            Action::Write {
                object,
                count,
                bytes,
            } => self.writes(*object, *count, *bytes),
            Action::Subscribe {
                who,
                object,
                second,
            } => self.subscribes(*who, *object, *second),
            Action::Unsubscribe {
                who,
                object,
                second,
            } => self.unsubscribes(*who, *object, *second),
            Action::Read { who, object, times } => {
                for _ in 0..*times {
                    self.reads(*who, *object);
                }
            }
            Action::Deliver { who } => {
                let time = self.place_time(*who);
                let call = self.places[*who].runtime.deliver(time);
                self.places[*who].asks_for_delivery(call);
                self.place_puts_out(*who);
            }
            Action::Flush { object } => self.flushes(*object),
            Action::Report {
                object,
                device,
                discard,
                take,
                deny,
            } => self.reports(*device, *object, *discard, *take, *deny),
            Action::Author {
                who,
                object,
                act,
                count,
            } => self.authors(*who, *object, *act, *count),
            Action::Command { object, command } => self.commands(*object, command),
            Action::HandOver { object, heir, keep } => self.hands_over(*object, *heir, *keep),
            Action::Fault(fault) => self.strikes(fault),
            Action::Lie(lie) => self.lies(lie),
        }
    }

    pub(crate) fn reports(
        &mut self,
        who: usize,
        object: usize,
        discard: bool,
        take: bool,
        deny: Option<u8>,
    ) {
        if let Some(reporter) = self.places[who].reporters.get(&object)
            && !matches!(reporter.state, State::Closed(_))
        {
            return;
        }
        let minted = self.plan.objects[object].id.is_none();
        if minted && self.urls[object].is_some() {
            return;
        }
        self.denied[object].extend(deny);
        self.written += 1;
        let ballast = ballast(object);
        let data = json!({"n": self.written, "a": SUM, "b": 0, "log": [1, 2], "text": "",
            "ballast": ballast});
        let time = self.place_time(who);
        let create = Create {
            data,
            discard,
            take,
            ..self.create_of(who, object)
        };
        let place = &mut self.places[who];
        let seat = place
            .runtime
            .hyperty("reporter")
            .and_then(|hyperty| place.runtime.create(&hyperty, create, time));
        let Ok(seat) = seat else {
            return self
                .oracle
                .breaks(Rule::Answer, || format!("cannot create: {seat:?}"));
        };
        let initial = place.runtime.reporter(&seat).map(|stream| stream.data());
        let initial = initial.unwrap_or_default();
        if let Some(lost) = place.reporters.get_mut(&object)
            && initial["n"] != self.written
        {
            // What it was when it lost the object rests, and goes on.
            self.totals.one(Count::ReportersTakenUp);
            lost.state = State::Claiming;
            return self.place_puts_out(who);
        }
        self.oracle.new_author(&seat.object, &place.identity);
        self.oracle.is_now(&seat, initial.clone());
        self.urls[object] = Some(seat.object.clone());
        let author = Author::new(seat, initial);
        let state = State::Claiming;
        let copies = BTreeMap::new();
        let reporter = Reporter {
            author,
            state,
            copies,
        };
        place.reporters.insert(object, reporter);
        self.place_puts_out(who);
    }

    fn create_of(&self, who: usize, object: usize) -> Create {
        let plan = &self.plan.objects[object];
        let children = plan.children.iter();
        let access = self.access(&plan.openness, &self.denied[object]);
        Create {
            schema: "Context".into(),
            data: json!({}),
            url: self.urls[object].clone(),
            cache: Some(plan.caching.contains(&who)),
            access,
            store: self.rests(who, object),
            children: children
                .map(|(name, keep)| ((*name).to_owned(), *keep))
                .collect(),
            ..Create::default()
        }
    }

    /// Whether what a place has of an object rests.
    fn rests(&self, who: usize, object: usize) -> bool {
        let plan = self.plan.objects.get(object);
        self.places[who].disk.is_some() && plan.is_none_or(|plan| plan.store)
    }

    /// An application creates what went on by itself: that is what it gets.
    pub(crate) fn reports_what_rests(&mut self, who: usize, object: usize, seat: &Seat) {
        let (create, time) = (self.create_of(who, object), self.place_time(who));
        let runtime = &mut self.places[who].runtime;
        let created = runtime.create(&seat.hyperty, create, time);
        self.oracle
            .expects(created.as_ref() == Ok(seat), Rule::Answer, || {
                format!("{seat:?} rests, and is created as {created:?}")
            });
        if let Some(reporter) = self.places[who].reporters.get_mut(&object)
            && matches!(reporter.state, State::Closed(_))
        {
            // It had lost the object: now it claims that again.
            reporter.state = State::Claiming;
        }
    }

    /// A Reporter writes once more, and asks when all is stored.
    fn flushes(&mut self, object: usize) {
        let reporters = self.reporters_of(object);
        if reporters.is_empty() {
            return;
        }
        let who = reporters[self.random.index(reporters.len())];
        self.writes_once(who, object, 0);
        if self.random.chance(15) {
            self.fails_soon(Part::Place(who));
        }
        let time = self.place_time(who);
        let place = &mut self.places[who];
        let Some(reporter) = place.reporters.get(&object) else {
            return;
        };
        let seat = reporter.author.seat.clone();
        match place.runtime.flush(&seat, time) {
            Ok(call) => {
                let states = self.oracle.states(&seat);
                place.asks_to_flush(call, seat, states);
            }
            Err(_) => self.totals.one(Count::FlushRefused),
        }
        self.place_puts_out(who);
    }

    pub(crate) fn subscribes(&mut self, who: usize, object: usize, second: bool) {
        let Some(object_url) = self.url_of(object) else {
            return;
        };
        let (time, rests) = (self.place_time(who), self.rests(who, object));
        let place = &mut self.places[who];
        let Ok(hyperty) = place.runtime.hyperty(name(second)) else {
            return;
        };
        let lied_to = object == self.plan.objects.len();
        // It is observed already, now and then: that is an error at the call, and no more.
        if let Ok(seat) = place.runtime.subscribe(&hyperty, object_url, time) {
            self.totals.one(Count::Subscribed);
            if place.own_children.keys().any(|(author, _)| *author == seat) {
                self.totals.one(Count::AuthorRejoined);
            }
            if rests && !second {
                let kept = place.runtime.keep(&seat);
                self.oracle
                    .expects(kept.is_ok(), Rule::Answer, || format!("{seat:?}: {kept:?}"));
            }
            // What rested is there already.
            let reader = || Reader::new(object, second, lied_to);
            place.readers.entry(seat).or_insert_with(reader);
            self.place_puts_out(who);
        }
    }

    pub(crate) fn unsubscribes(&mut self, who: usize, object: usize, second: bool) {
        let place = &mut self.places[who];
        let wanted = |reader: &Reader| reader.object == object && reader.second == second;
        let found = place.readers.iter().find(|(_, reader)| wanted(reader));
        let Some(seat) = found.map(|(seat, _)| seat.clone()) else {
            return;
        };
        self.totals.one(Count::Unsubscribed);
        self.counts_copy(who, &seat);
        let time = self.place_time(who);
        self.places[who].readers.remove(&seat);
        self.oracle.gives_up(&seat);
        self.places[who].runtime.unsubscribe(&seat, time);
        self.place_puts_out(who);
    }

    fn reads(&mut self, who: usize, object: usize) {
        let Some(object_url) = self.url_of(object) else {
            return;
        };
        let time = self.place_time(who);
        let place = &mut self.places[who];
        let Ok(hyperty) = place.runtime.hyperty(name(false)) else {
            return;
        };
        if let Ok(call) = place.runtime.read(&hyperty, object_url.clone(), time) {
            place.asks_to_read(call, object_url);
            self.place_puts_out(who);
        }
    }

    /// The address of an object: the one after the last is the liar's.
    pub(crate) fn url_of(&self, object: usize) -> Option<Address> {
        match self.urls.get(object) {
            Some(known) => known.clone(),
            None => url(LIES).ok(),
        }
    }

    /// What was met by the copies of a process that ends.
    pub(crate) fn counts_readers(&mut self, who: usize) {
        let seats: Vec<Seat> = self.places[who].readers.keys().cloned().collect();
        for seat in seats {
            self.counts_copy(who, &seat);
        }
    }

    fn counts_copy(&mut self, who: usize, seat: &Seat) {
        if let Some(copy) = self.places[who].runtime.observer(seat) {
            let met = copy.counters();
            self.totals.add(Count::DuplicatesIgnored, met.duplicates);
            self.totals.add(Count::GapsKept, met.gaps);
            self.totals.add(Count::OldEpochs, met.refused);
            self.totals.add(Count::Divergences, met.divergences);
        }
    }

    /// What was written has positions now, if its claim was answered.
    pub(crate) fn numbers(&mut self, who: usize) {
        let place = &mut self.places[who];
        for reporter in place.reporters.values_mut() {
            if let Some(stream) = place.runtime.reporter(&reporter.author.seat) {
                self.oracle.numbers(&mut reporter.author, stream);
            }
        }
    }

    /// An application is told something.
    pub(crate) fn told(&mut self, who: usize, told: Output, moved: &mut Moved) {
        self.trace
            .note(self.now, || format!("{who} is told {told:?}"));
        let lies = self.url_of(self.plan.objects.len());
        let place = &mut self.places[who];
        match told {
            Output::Reporter(seat, state) => place.reporter_is(&seat, state, &mut self.oracle),
            Output::Observer(seat, state) => {
                if let Some(reader) = place.readers.get_mut(&seat) {
                    if matches!(state, State::Closed(_)) {
                        self.totals.one(Count::ReaderClosed);
                    }
                    reader.state = state;
                }
            }
            Output::Changed(seat, changed) => {
                if let Some(reader) = place.readers.get_mut(&seat) {
                    self.oracle.steps(&seat, reader, &changed, &mut self.totals);
                    moved.copies.insert(seat);
                }
            }
            Output::Read(call, result) => {
                let lies = lies.as_ref();
                place.read_ends(call, &result, lies, &mut self.oracle, &mut self.totals);
            }
            Output::Done(call, result) => {
                place.command_ends(call, result.is_ok(), &mut self.oracle, &mut self.totals);
            }
            Output::Rejected(seat, commits) => {
                self.totals.add(Count::Rejected, commits.len() as u64);
                self.oracle.rejects(&seat, &commits);
            }
            Output::Delivered(call) => {
                place.delivery_ends(call, &mut self.oracle, &mut self.totals);
            }
            Output::Flushed(call, result) => {
                place.flush_ends(call, &result, &mut self.oracle, &mut self.totals);
            }
            Output::Refused(refusal) => self.oracle.breaks(Rule::Answer, || {
                format!("the session of {who} is refused: {refusal}")
            }),
            Output::Children(seat, name, changed) => {
                self.children_told(who, &seat, &name, &changed);
                moved.children.insert((seat, name));
            }
            Output::Event(..) => self.totals.one(Count::EventsHeard),
            Output::Invited(_, invitation) => self.is_invited(who, &invitation),
            // Every object here says whom it lets in; nobody has anything done.
            Output::Asked(..)
            | Output::Executing(..)
            | Output::Answered(..)
            | Output::Fetching(..)
            | Output::Fetched(..)
            | Output::Presence(..)
            | Output::Observers(..)
            | Output::Gone(..)
            | Output::Connect
            | Output::Disconnect
            | Output::Send(_)
            | Output::Store(_)
            | Output::Connection(_)
            | Output::NeedsToken => {}
        }
    }
}

const fn name(second: bool) -> &'static str {
    NAMES[if second { 2 } else { 1 }]
}

fn url(id: &str) -> Result<Address, byline_core::address::AddressError> {
    Address::object(&format!("ctxt://{DOMAIN}/{id}"))
}
