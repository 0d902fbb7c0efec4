//! What a runtime with a disk finds there (ARCHITECTURE.md, invariants 5 and 7): of an object that it reports, a state that
//! it was in, and none before the one that it was told is stored. And what it says of one is there already.

use std::collections::BTreeMap;
use std::sync::Arc;

use byline_core::message::body::Claim;
use byline_core::message::{Header, Type};
use byline_core::runtime::Seat;
use byline_core::storage::Table;
use byline_core::stream::{CommitHeader, Position, ReporterStream};
use serde_json::Value;

use super::kept::{content_position, position};
use super::{Author, Oracle, Rule};
use crate::disk::Disk;

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

impl Oracle {
    /// A runtime says `frame`: of an object that it reports, and that rests, no more than `disk` has.
    pub(crate) fn is_said(&mut self, disk: &Disk, frame: &str) {
        let Some((object, said)) = Header::peek(frame).ok().and_then(|header| said(&header)) else {
            return;
        };
        let there = at_rest(disk, &object);
        self.expects(
            there.is_none_or(|there| said <= there),
            Rule::Stored,
            || format!("{object} rests at {there:?}, and {said} is said of it: {frame}"),
        );
    }
}

/// Which object its Reporter says something of, and where that stands.
fn said(header: &Header<'_>) -> Option<(String, Position)> {
    match header.kind {
        Type::Update if header.to.ends_with("/changes") => {
            let commit = CommitHeader::peek(header.body).ok();
            let commit = commit.map(|commit| commit.position);
            let at = commit.or_else(|| content_position(header.body))?;
            Some((header.from.to_string(), at))
        }
        Type::Response => {
            let object = header.from.trim_end_matches("/subscription");
            Some((object.to_owned(), content_position(header.body)?))
        }
        Type::Subscribe => {
            let body: Value = header.decode().ok()?;
            let claim: Claim = serde_json::from_value(body["claim"].clone()).ok()?;
            Some((claim.url.as_str().to_owned(), claim.base.flatten()?))
        }
        _ => None,
    }
}

/// Where `disk` has what a runtime reports of `object`, if anything.
fn at_rest(disk: &Disk, object: &str) -> Option<Position> {
    let of = |key: &[u8]| {
        let rest = key.strip_prefix(object.as_bytes())?.strip_prefix(&[0])?;
        let (hyperty, role) = rest.split_at(rest.iter().position(|byte| *byte == 0)?);
        let rest = role.strip_prefix(b"\0reporter")?;
        (!hyperty.is_empty()).then(|| rest.to_vec())
    };
    let mut snapshots = disk.table(Table::Snapshots);
    let snapshot = snapshots.find(|(key, _)| of(key).is_some())?.1;
    let snapshot: Value = serde_json::from_slice(snapshot).ok()?;
    let snapshot = serde_json::from_value(snapshot["position"].clone()).ok();
    let commits = disk.table(Table::Commits);
    let commits = commits.filter_map(|(key, _)| position(of(key)?.strip_prefix(&[0])?));
    commits.last().max(snapshot)
}
