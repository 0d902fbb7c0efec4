//! Every copy, built once more from nothing but what its application was told.

use std::collections::BTreeMap;

use byline_core::State;
use byline_core::object::{Change, Path};
use byline_core::runtime::Seat;
use byline_core::stream::{Changed, ObserverStream, Origin, Position, Written};
use serde_json::Value;

use super::{Copy, Oracle, Rule};
use crate::totals::{Count, Totals};

/// The keys whose values always have this sum.
pub(crate) const SUM: i64 = 1_000;

/// One Observer as its application sees it.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) object: usize,
    pub(crate) second: bool,
    /// Its Reporter lies: nothing is known of what it should be.
    pub(crate) lied_to: bool,
    pub(crate) state: State,
    /// It has written to the object's children.
    pub(crate) writes: bool,
    /// The object's collections of children, as it was told of them.
    pub(crate) copies: BTreeMap<String, Copy>,
    mirror: Value,
    position: Option<Position>,
    steps: u64,
}

impl Reader {
    pub(crate) fn new(object: usize, second: bool, lied_to: bool) -> Self {
        Self {
            object,
            second,
            lied_to,
            state: State::CatchingUp,
            writes: false,
            copies: BTreeMap::new(),
            mirror: Value::Object(serde_json::Map::new()),
            position: None,
            steps: 0,
        }
    }

    pub(crate) const fn position(&self) -> Option<Position> {
        self.position
    }
}

impl Oracle {
    /// The copy made a step.
    pub(crate) fn steps(
        &mut self,
        seat: &Seat,
        reader: &mut Reader,
        changed: &Changed,
        totals: &mut Totals,
    ) {
        totals.one(Count::Deliveries);
        let before = reader.position.replace(changed.position);
        reader.steps += 1;
        self.expects(reader.steps == changed.number, Rule::Copy, || {
            format!(
                "{seat:?}: step {} is told as {}",
                reader.steps, changed.number
            )
        });
        let applied = changed.apply_to(&mut reader.mirror);
        self.expects(applied.is_ok(), Rule::Copy, || {
            format!("{seat:?}: what is told does not apply: {changed:?}")
        });
        totals.one(match (changed.origin, before) {
            (Origin::Snapshot, None) => Count::Joined,
            (Origin::Snapshot, Some(_)) => Count::Snapshots,
            (Origin::CatchUp, _) => Count::CaughtUp,
            (Origin::Rewound, _) => Count::Rewound,
            (Origin::Live, _) => Count::Deliveries,
        });
        self.order(seat, reader.lied_to, before, changed);
        if !reader.lied_to {
            self.content(seat, &reader.mirror, before, changed);
        }
    }

    /// A copy is there again as a disk has it: some state of its original.
    pub(crate) fn copy_returns(&mut self, seat: &Seat, reader: &mut Reader, copy: &ObserverStream) {
        let (Some(data), Some(at)) = (copy.data(), copy.position()) else {
            return;
        };
        let written = self.books.data_at(&seat.object, at);
        let same = reader.lied_to || written == Some(&data);
        self.expects(same, Rule::Whole, || {
            format!("{seat:?} comes back with {data} at {at}, which is another there")
        });
        (reader.mirror, reader.position) = (Value::clone(&data), Some(at));
    }

    /// Positions go up, unless it is told that they do not.
    fn order(&mut self, seat: &Seat, lied_to: bool, before: Option<Position>, changed: &Changed) {
        let at = changed.position;
        if changed.origin == Origin::Rewound {
            let may = lied_to || self.forgot && !self.books.has_one_author(&seat.object);
            self.expects(may, Rule::Seen, || {
                format!("{seat:?} went back from {before:?} to {at}, and the node forgot nothing")
            });
            return;
        }
        // What came with children may say more of the object than its commits did.
        let said = changed.edits.is_empty() && changed.metadata;
        let again = changed.origin == Origin::Snapshot && before == Some(at) && (lied_to || said);
        self.expects(
            again || before.is_none_or(|before| at > before),
            Rule::Copy,
            || {
                format!(
                    "{seat:?} went from {before:?} to {at} by {:?}",
                    changed.origin
                )
            },
        );
    }

    fn content(
        &mut self,
        seat: &Seat,
        mirror: &Value,
        before: Option<Position>,
        changed: &Changed,
    ) {
        let at = changed.position;
        self.shown.extend(mirror["n"].as_u64());
        let sum = |key: &str| mirror[key].as_i64().unwrap_or_default();
        self.expects(sum("a") + sum("b") == SUM, Rule::Whole, || {
            format!("{seat:?} shows half a commit at {at}: {mirror}")
        });
        let written = self.books.data_at(&seat.object, at);
        if written.is_none_or(|written| **written != *mirror) {
            let written = written.cloned();
            let rule = if written.is_some() {
                Rule::Copy
            } else {
                Rule::Holder
            };
            self.breaks(rule, || {
                format!("{seat:?} shows {mirror} at {at}, where {written:?} was written")
            });
        }
        if let Some(before) = before
            && changed.origin != Origin::Rewound
        {
            let seen = self.books.descends(&seat.object, before, at);
            self.expects(seen, Rule::Seen, || {
                format!(
                    "{seat:?} saw {before}, which {at} does not come from ({:?})",
                    changed.origin
                )
            });
        }
    }

    /// A Reporter hears that commits of its own are no part of the object: then nobody has seen them,
    /// unless a node forgot them.
    pub(crate) fn rejects(&mut self, seat: &Seat, commits: &[Written]) {
        let number = |change: &Change| match change {
            Change::Set { path, value } if *path == Path::root().child("n") => value.as_u64(),
            Change::Replace { data } => data["n"].as_u64(),
            _ => None,
        };
        let shown = commits
            .iter()
            .flat_map(|written| &written.changes)
            .filter_map(number)
            .find(|n| self.shown.contains(n));
        self.expects(shown.is_none() || self.forgot, Rule::Seen, || {
            format!("{seat:?}: the commit with n = {shown:?} is rejected, and was seen")
        });
    }

    /// All steps are told: they give the copy.
    pub(crate) fn mirrors(&mut self, seat: &Seat, reader: &Reader, copy: &ObserverStream) {
        let same = copy.position() == reader.position
            && copy.data().is_none_or(|data| *data == reader.mirror);
        self.expects(same, Rule::Copy, || {
            format!(
                "{seat:?}: the steps give {} at {:?}, the copy is at {:?}",
                reader.mirror,
                reader.position,
                copy.position()
            )
        });
    }
}
