//! What must be true of children when the faults have stopped (protocol.md §9).

use std::collections::{BTreeMap, BTreeSet};

use byline_core::runtime::Seat;

use crate::oracle::Rule;
use crate::world::World;

impl World {
    /// A reader has the collections that the Reporter has.
    pub(crate) fn checks_children(
        &mut self,
        object: usize,
        (reporter, seat): (usize, &Seat),
        (who, observer): (usize, &Seat),
        when: &str,
    ) {
        for (name, _) in &self.plan.objects[object].children {
            let theirs = self.places[reporter].runtime.children(seat, name);
            let mine = self.places[who].runtime.children(observer, name);
            let (Some(theirs), Some(mine)) = (theirs, mine) else {
                return self.oracle.breaks(Rule::Reach, || {
                    format!("{when}, {observer:?} or {seat:?} has no children `{name}`")
                });
            };
            let same = mine.is_whole()
                && mine.is_closed() == theirs.is_closed()
                && mine.positions().eq(theirs.positions())
                && mine.iter().eq(theirs.iter());
            self.oracle.expects(same, Rule::Reach, || {
                format!("{when}, {observer:?} of {who} has {mine:?}, {reporter} has {theirs:?}")
            });
        }
    }

    /// The Reporter was told who observes.
    pub(crate) fn checks_presence(&mut self, object: usize, seat: &Seat) {
        let mut observers = BTreeSet::new();
        for place in &self.places {
            for (observer, reader) in &place.readers {
                if reader.object == object && self.oracle.may_read(observer, &place.identity) {
                    observers.insert(observer.hyperty.clone());
                }
            }
        }
        self.oracle.presence_is(&seat.object, &observers);
    }

    /// What authors were told is safe is with the Reporter.
    pub(crate) fn checks_what_is_safe(&mut self, object: usize, (reporter, seat): (usize, &Seat)) {
        let mut there = BTreeMap::new();
        for (name, _) in &self.plan.objects[object].children {
            let place = (seat.object.clone(), (*name).to_owned());
            let all = self.places[reporter].runtime.children(seat, name);
            for (id, child) in all.into_iter().flat_map(|all| all.iter()) {
                let n = child.value["n"].as_u64().unwrap_or_default();
                there.insert((place.clone(), id.clone()), n);
            }
        }
        self.oracle.safe_at_the_node(&seat.object, &there);
        let Some(reporter) = self.places[reporter].reporters.get(&object) else {
            return;
        };
        for (name, copy) in &reporter.copies {
            let place = (seat.object.clone(), name.clone());
            self.oracle.safe_children(&place, copy);
        }
    }
}
