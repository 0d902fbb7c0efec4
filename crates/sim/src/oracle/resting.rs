//! What a runtime with a disk finds there (ARCHITECTURE.md, invariants 5 and 7): of an object that it reports, a state that
//! it was in, and none before the one that it was told is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use byline_core::runtime::Seat;
use byline_core::stream::ReporterStream;
use serde_json::Value;

use super::{Author, Oracle, Rule};

/// All states of one Reporter, in their order, however often its process ended.
#[derive(Debug, Default)]
struct Past {
    states: Vec<Arc<Value>>,
    /// How many of them it was told are stored.
    stored: usize,
}

/// Those of all Reporters.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    pasts: BTreeMap<Seat, Past>,
}

impl Oracle {
    /// A Reporter's object is like this from now on.
    pub(crate) fn is_now(&mut self, seat: &Seat, data: Arc<Value>) {
        if !self.pasts.pasts.contains_key(seat) {
            self.pasts.pasts.insert(seat.clone(), Past::default());
        }
        if let Some(past) = self.pasts.pasts.get_mut(seat) {
            past.states.push(data);
        }
    }

    /// How many states a Reporter has had.
    pub(crate) fn states(&self, seat: &Seat) -> usize {
        self.pasts
            .pasts
            .get(seat)
            .map_or(0, |past| past.states.len())
    }

    /// A Reporter was told that as many of its states are stored.
    pub(crate) fn are_stored(&mut self, seat: &Seat, states: usize) {
        if let Some(past) = self.pasts.pasts.get_mut(seat) {
            past.stored = past.stored.max(states.min(past.states.len()));
        }
    }

    /// A Reporter is there again, as its disk has it.
    pub(crate) fn reporter_returns(
        &mut self,
        seat: &Seat,
        stream: &ReporterStream,
    ) -> Option<Author> {
        let (data, position) = (stream.data(), stream.position());
        let found = self.pasts.pasts.get_mut(seat).and_then(|past| {
            let index = past.states.iter().rposition(|one| *one == data)?;
            let first = index.checked_sub(stream.unsent())?;
            let lost = past.stored > index + 1;
            past.states.truncate(index + 1);
            Some((past.states[first..].to_vec(), lost))
        });
        let Some((mut states, lost)) = found else {
            self.breaks(Rule::Whole, || {
                format!("{seat:?} comes back with {data} at {position:?}, which it never was")
            });
            return None;
        };
        self.expects(!lost, Rule::Stored, || {
            format!("{seat:?} comes back with {data}, and was told that more is stored")
        });
        let base = states.remove(0);
        if let Some(position) = position {
            let written = self.books.data_at(&seat.object, position);
            let same = written == Some(&base);
            self.expects(same, Rule::Stored, || {
                format!("{seat:?} comes back with {base} at {position}, which is another there")
            });
        }
        Some(Author::again(seat.clone(), position, base, states))
    }
}
