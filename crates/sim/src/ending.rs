//! The faults stop: what must be true after the longest back-off has passed (ARCHITECTURE.md,
//! invariants 2 and 6).

use std::collections::BTreeSet;

use byline_core::State;
use byline_core::object::Hash;
use byline_core::runtime::Seat;

use crate::oracle::{Reader, Rule};
use crate::world::{Event, World};

/// Commits that every run makes, whatever its faults have left.
const COMMITS_MIN: u64 = 300;
/// Time for half-open sockets to be noticed and for a claim to be decided.
const DECIDE_MS: u64 = 100_000;
/// The longest back-off, silence, request and grace time, and some.
const SETTLE_MS: u64 = 240_000;
/// Nobody waits any more for anything: what is written now arrives at once, and before any head could
/// mend it.
const ARRIVE_MS: u64 = 20_000;

impl World {
    /// Runs the plan, lets the faults stop, and looks at what is left.
    pub(crate) fn runs(&mut self) {
        self.passes(u64::MAX, true);
        self.heals();
        for _ in 0..2 {
            let until = self.now + DECIDE_MS;
            self.passes(until, false);
            self.leaves_nothing_unreported();
        }
        for object in 0..self.plan.objects.len() {
            let most = COMMITS_MIN / self.plan.objects.len() as u64 + 1;
            let missing = COMMITS_MIN.saturating_sub(self.totals.commits());
            self.writes(object, missing.min(most), 0);
        }
        self.lets_everybody_in_again();
        for object in 0..self.plan.objects.len() {
            self.everybody_writes(object);
        }
        self.passes(self.now + SETTLE_MS, false);
        self.checks("when time has passed");
        for object in 0..self.plan.objects.len() {
            self.writes(object, 1, 0);
            self.everybody_writes(object);
        }
        self.passes(self.now + ARRIVE_MS, false);
        self.checks("after one more commit");
        self.oracle.nothing_outlives("after one more commit");
        self.checks_the_node();
        for who in 0..self.places.len() {
            self.counts_readers(who);
        }
    }

    fn heals(&mut self) {
        self.trace.note(self.now, || "the faults stop".to_owned());
        self.node_down_until = 0;
        self.liars_leave();
        self.heals_disks();
        if self.plan.content_bytes.is_some_and(|bytes| bytes > 0) {
            // What waits for room has it.
            self.node.keep_content(usize::MAX);
        }
        for place in &mut self.places {
            place.offline_until = 0;
            place.delay_ms = place.delay_ms.min(100);
        }
        let connections: Vec<_> = self.links.keys().copied().collect();
        for connection in connections {
            if let Some(link) = self.links.get_mut(&connection) {
                (link.up.blocked_until, link.down.blocked_until) = (0, 0);
            }
            self.schedule(self.now, Event::LinkIsGood(connection));
        }
    }

    /// An object whose last Reporter is closed is reported anew.
    fn leaves_nothing_unreported(&mut self) {
        for object in 0..self.plan.objects.len() {
            if self.reporters_of(object).is_empty() && !self.is_over(object) {
                let device = self.owner_of(object);
                self.reports(device, object, true, true, None);
            }
        }
    }

    /// Who was denied once, and would be let in by now, asks again.
    fn lets_everybody_in_again(&mut self) {
        for who in 0..self.places.len() {
            let closed =
                |reader: &&Reader| matches!(reader.state, State::Closed(_)) && !reader.lied_to;
            let closed = self.places[who].readers.values().filter(closed);
            let closed: Vec<(usize, bool)> = closed.map(|one| (one.object, one.second)).collect();
            for (object, second) in closed {
                self.unsubscribes(who, object, second);
                self.subscribes(who, object, second);
            }
        }
    }

    /// Whether an object was deleted, and the node remembers.
    fn is_over(&self, object: usize) -> bool {
        let url = self.url_of(object);
        url.is_some_and(|url| self.oracle.is_deleted(&url))
    }

    fn checks(&mut self, when: &str) {
        for object in 0..self.plan.objects.len() {
            if self.is_over(object) {
                self.checks_the_end_of(object, when);
                continue;
            }
            let live = |who: &usize| {
                self.places[*who]
                    .reporters
                    .get(&object)
                    .is_some_and(|one| one.state == State::Live)
            };
            let live: Vec<usize> = self.reporters_of(object).into_iter().filter(live).collect();
            let [reporter] = live[..] else {
                let states: Vec<_> = self
                    .places
                    .iter()
                    .map(|place| place.reporters.get(&object).map(|one| one.state.clone()))
                    .collect();
                return self.oracle.breaks(Rule::Reach, || {
                    format!("{when}, {} report object {object}: {states:?}", live.len())
                });
            };
            let seat = self.places[reporter].reporters[&object].author.seat.clone();
            self.checks_what_is_safe(object, (reporter, &seat));
            self.checks_presence(object, &seat);
            for who in 0..self.places.len() {
                let seats = self.places[who].readers.iter();
                let seats: Vec<Seat> = seats
                    .filter(|(_, reader)| reader.object == object)
                    .map(|(seat, _)| seat.clone())
                    .collect();
                for reader in seats {
                    self.checks_reader(object, (reporter, &seat), (who, &reader), when);
                }
            }
        }
    }

    /// Nobody follows or writes what was deleted.
    fn checks_the_end_of(&mut self, object: usize, when: &str) {
        for place in &self.places {
            let mut readers = place.readers.values();
            let open =
                readers.any(|one| one.object == object && !matches!(one.state, State::Closed(_)));
            let writes = place.reporters.get(&object);
            let writes = writes.is_some_and(|one| !matches!(one.state, State::Closed(_)));
            self.oracle.expects(!open && !writes, Rule::Reach, || {
                format!("{when}, somebody reads or writes object {object}, which was deleted")
            });
        }
    }

    fn checks_reader(
        &mut self,
        object: usize,
        (reporter, seat): (usize, &Seat),
        (who, observer): (usize, &Seat),
        when: &str,
    ) {
        let reader = &self.places[who].readers[observer];
        if !self.oracle.may_read(observer, &self.places[who].identity) {
            let live = reader.state == State::Live;
            return self.oracle.expects(!live, Rule::Access, || {
                format!("{when}, {observer:?} is live, and may not read")
            });
        }
        let theirs = self.places[reporter].runtime.reporter(seat);
        let mine = self.places[who].runtime.observer(observer);
        let (Some(theirs), Some(mine)) = (theirs, mine) else {
            return self
                .oracle
                .breaks(Rule::Reach, || format!("{observer:?} or {seat:?} is gone"));
        };
        let (state, at, there) = (reader.state.clone(), reader.position(), theirs.position());
        let same = mine.data().is_some_and(|data| {
            data == theirs.data() && Hash::of(&data) == Hash::of(&theirs.data())
        });
        self.oracle.expects(state == State::Live && at == there && same, Rule::Reach, || {
            format!("{when}, {observer:?} of {who} is {state:?} at {at:?}, {reporter} at {there:?}, equal data: {same}")
        });
        self.checks_children(object, (reporter, seat), (who, observer), when);
    }

    /// Every request has its answer, and the node holds what it should and no more.
    fn checks_the_node(&mut self) {
        let missing = self.oracle.answers.missing();
        self.oracle.expects(missing.is_empty(), Rule::Answer, || {
            format!("not answered: {missing:?}")
        });
        let unfinished: usize = self.places.iter().map(|place| place.unfinished()).sum();
        self.oracle.expects(unfinished == 0, Rule::Answer, || {
            format!("{unfinished} calls have not ended")
        });
        let gauges = self.node.gauges();
        let (places, held) = (self.places.len(), self.oracle.answers.held());
        let right =
            (gauges.connections, gauges.sessions, gauges.unanswered) == (places, places, held);
        self.oracle.expects(right, Rule::Answer, || {
            format!("{places} places, {held} held, and the node has {gauges:?}")
        });
        let mut routes = [BTreeSet::new(), BTreeSet::new()];
        for (who, place) in self.places.iter().enumerate() {
            for (seat, reader) in &place.readers {
                if reader.lied_to {
                    routes[1].insert((who, reader.object));
                } else if self.oracle.may_read(seat, &place.identity) {
                    routes[0].insert((who, reader.object));
                }
            }
        }
        let (least, most) = (routes[0].len(), routes[0].len() + routes[1].len());
        self.oracle.expects(
            (least..=most).contains(&gauges.routes),
            Rule::Answer,
            || format!("{} routes, and {least} to {most} are read", gauges.routes),
        );
    }
}
