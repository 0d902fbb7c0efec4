//! What Reporters write: commits that say at each Observer whether they are there as a whole.

use byline_core::State;
use byline_core::object::{Change, Path};
use byline_core::stream::WriteError;
use serde_json::{Value, json};

use crate::oracle::{Rule, SUM};
use crate::totals::Count;
use crate::world::World;

/// What some objects carry along, so that a few commits are less than the whole.
const BALLAST_CHARS: usize = 1_800;
/// A text that grows starts anew at this length.
const TEXT_CHARS: usize = 120;

impl World {
    /// The places that think they may write an object.
    pub(crate) fn reporters_of(&self, object: usize) -> Vec<usize> {
        let open = |who: &usize| {
            let reporter = self.places[*who].reporters.get(&object);
            reporter.is_some_and(|one| !matches!(one.state, State::Closed(_)))
        };
        (0..self.places.len()).filter(open).collect()
    }

    pub(crate) fn writes(&mut self, object: usize, count: u64, bytes: usize) {
        let mut reporters = self.reporters_of(object);
        if self.random.chance(3) {
            // One that has lost the object hears so.
            let has = |who: &usize| self.places[*who].reporters.contains_key(&object);
            reporters = (0..self.places.len()).filter(has).collect();
        }
        if reporters.is_empty() {
            return;
        }
        let who = reporters[self.random.index(reporters.len())];
        for _ in 0..count {
            self.writes_once(who, object, bytes);
        }
        self.place_puts_out(who);
    }

    pub(crate) fn writes_once(&mut self, who: usize, object: usize, bytes: usize) {
        let time = self.place_time(who);
        let Some(reporter) = self.places[who].reporters.get(&object) else {
            return;
        };
        let seat = reporter.author.seat.clone();
        let Some(before) = self.places[who]
            .runtime
            .reporter(&seat)
            .map(|stream| stream.data())
        else {
            return;
        };
        self.written += 1;
        let changes = self.changes(&before, bytes);
        let ballast = before["ballast"].clone();
        drop(before);
        let place = &mut self.places[who];
        let result = if self.random.chance(4) {
            let sum = self.random.between(0, 1_000).cast_signed();
            let next = json!({"n": self.written, "a": sum, "b": SUM - sum, "log": [], "text": "",
                "ballast": ballast});
            place.runtime.replace(&seat, next, time)
        } else {
            place.runtime.write(&seat, changes, time)
        };
        match result {
            Ok(true) => self.totals.one(Count::Commits),
            Ok(false) => {}
            Err(error) => {
                self.totals.one(Count::WriteRefused);
                let closed = matches!(error, WriteError::Closed(_));
                let rule = Rule::Answer;
                return self
                    .oracle
                    .expects(closed, rule, || format!("{seat:?}: {error}"));
            }
        }
        if let (Some(stream), Some(reporter)) = (
            place.runtime.reporter(&seat),
            place.reporters.get_mut(&object),
        ) {
            reporter.author.wrote(stream.data());
            self.oracle.is_now(&seat, stream.data());
            self.oracle.numbers(&mut reporter.author, stream);
        }
    }

    /// Several changes that belong together, or one.
    fn changes(&mut self, data: &Value, bytes: usize) -> Vec<Change> {
        let key = |name: &str| Path::root().child(name);
        let set = |name: &str, value: Value| Change::Set {
            path: key(name),
            value,
        };
        let mut changes = vec![set("n", self.written.into())];
        if self.random.chance(60) {
            let moved = self.random.between(1, 9).cast_signed();
            let sum = |name: &str| data[name].as_i64().unwrap_or_default();
            changes.push(set("a", (sum("a") - moved).into()));
            changes.push(set("b", (sum("b") + moved).into()));
        }
        let log = data["log"].as_array().map_or(0, Vec::len);
        match self.random.between(0, 9) {
            0 if log < 6 => changes.push(Change::Insert {
                path: key("log").child(self.random.index(log + 1).to_string()),
                values: vec![self.written.into()],
            }),
            1 if log > 0 => changes.push(Change::RemoveElements {
                path: key("log").child("0"),
                count: 1 + self.random.index(log),
            }),
            2 if data["text"]
                .as_str()
                .is_some_and(|text| text.len() < TEXT_CHARS) =>
            {
                changes.push(Change::Append {
                    path: key("text"),
                    text: "é and \"so\" on".to_owned(),
                });
            }
            3 => changes.push(set("text", json!(""))),
            _ => {}
        }
        if bytes > 0 {
            changes.push(set("pad", "x".repeat(bytes).into()));
        } else if data["pad"].is_string() {
            changes.push(Change::Remove { path: key("pad") });
        }
        changes
    }
}

/// What an object carries along.
pub(crate) fn ballast(object: usize) -> String {
    "x".repeat(if object.is_multiple_of(2) {
        BALLAST_CHARS
    } else {
        0
    })
}
