//! What a stream remembers of itself, and the one answer to whoever lacks something.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::Position;
use crate::limits::{HISTORY_BYTES_MAX, HISTORY_COMMITS_MAX};

/// The newest commits of a stream, encoded: at most [`HISTORY_COMMITS_MAX`] of them in at most
/// [`HISTORY_BYTES_MAX`] bytes. The oldest leave first.
#[derive(Clone, Debug)]
pub struct History {
    /// The position before the oldest commit kept.
    start: Position,
    commits: VecDeque<(Position, Arc<RawValue>)>,
    bytes: usize,
}

impl History {
    /// An empty history of a stream that stands at `start`.
    #[must_use]
    pub const fn new(start: Position) -> Self {
        Self {
            start,
            commits: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The position of the newest commit.
    #[must_use]
    pub fn position(&self) -> Position {
        self.commits
            .back()
            .map_or(self.start, |(position, _)| *position)
    }

    /// Bytes of the commits that it keeps.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers the commit at `position`, which must follow [`History::position`].
    pub fn push(&mut self, position: Position, body: Arc<RawValue>) {
        debug_assert!(
            position > self.position(),
            "commits are remembered in order"
        );
        self.bytes += body.get().len();
        self.commits.push_back((position, body));
        while self.commits.len() > HISTORY_COMMITS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some((position, body)) = self.commits.pop_front() else {
                break;
            };
            self.start = position;
            self.bytes -= body.get().len();
        }
    }

    /// The commits after `have`, oldest first; `None` when `have` is no position this history
    /// reaches back to. Costs a binary search.
    #[must_use]
    pub fn after(&self, have: Position) -> Option<impl ExactSizeIterator<Item = &Arc<RawValue>>> {
        self.index_after(have)
            .map(|index| self.commits.range(index..).map(|(_, body)| body))
    }

    /// The same, each with its position.
    pub(crate) fn entries_after(
        &self,
        have: Position,
    ) -> Option<impl ExactSizeIterator<Item = (Position, &Arc<RawValue>)>> {
        let entries = self.commits.range(self.index_after(have)?..);
        Some(entries.map(|(position, body)| (*position, body)))
    }

    /// The commit after `have` and its position, under the condition of [`History::after`].
    #[must_use]
    pub fn next_after(&self, have: Position) -> Option<Option<(Position, &Arc<RawValue>)>> {
        let index = self.index_after(have)?;
        Some(
            self.commits
                .get(index)
                .map(|(position, body)| (*position, body)),
        )
    }

    fn index_after(&self, have: Position) -> Option<usize> {
        if have == self.start {
            return Some(0);
        }
        let found = self
            .commits
            .binary_search_by(|(position, _)| position.cmp(&have));
        found.ok().map(|index| index + 1)
    }
}

/// What a reader is answered that stands somewhere.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The commits it lacks, oldest first; none when it has all.
    Commits(Vec<Arc<RawValue>>),
    /// The whole: its position is not in the history, or the whole is smaller.
    Snapshot,
}

/// The one function that says how somebody at `have` catches up with `history` (protocol.md §7),
/// where the whole would be `snapshot_bytes` long.
#[must_use]
pub fn answer(have: Option<Position>, history: &History, snapshot_bytes: usize) -> Answer {
    let Some(missing) = have.and_then(|have| history.after(have)) else {
        return Answer::Snapshot;
    };
    let missing: Vec<Arc<RawValue>> = missing.cloned().collect();
    if missing.iter().map(|body| body.get().len()).sum::<usize>() > snapshot_bytes {
        Answer::Snapshot
    } else {
        Answer::Commits(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Arc<RawValue> {
        Arc::from(RawValue::from_string(format!("\"{text}\"")).unwrap())
    }

    fn history(versions: std::ops::RangeInclusive<u64>, body: &str) -> History {
        let mut history = History::new(Position::new(7, versions.start() - 1));
        for version in versions {
            history.push(Position::new(7, version), raw(body));
        }
        history
    }

    fn missing(have: Option<Position>, history: &History, snapshot_bytes: usize) -> Option<usize> {
        match answer(have, history, snapshot_bytes) {
            Answer::Commits(commits) => Some(commits.len()),
            Answer::Snapshot => None,
        }
    }

    #[test]
    fn a_reader_is_answered_nothing_the_missing_commits_or_the_whole() {
        let history = history(3..=5, "four");
        let at = |version| Some(Position::new(7, version));
        assert_eq!(missing(at(5), &history, 100), Some(0));
        assert_eq!(missing(at(3), &history, 100), Some(2));
        assert_eq!(missing(at(2), &history, 18), Some(3));
        assert_eq!(
            missing(at(2), &history, 17),
            None,
            "18 bytes of commits are more"
        );
        assert_eq!(missing(at(1), &history, 100), None, "forgotten");
        assert_eq!(missing(at(6), &history, 100), None, "from the future");
        assert_eq!(missing(Some(Position::new(6, 4)), &history, 100), None);
        assert_eq!(missing(None, &history, 100), None);
    }

    #[test]
    fn it_keeps_no_more_than_its_limits() {
        let many = history(1..=HISTORY_COMMITS_MAX as u64 + 10, "x");
        assert_eq!(many.commits.len(), HISTORY_COMMITS_MAX);
        assert!(many.after(Position::new(7, 9)).is_none());
        assert_eq!(
            many.after(Position::new(7, 10)).unwrap().len(),
            HISTORY_COMMITS_MAX
        );
        let large = history(1..=5, &"x".repeat(HISTORY_BYTES_MAX / 2 - 2));
        assert_eq!((large.commits.len(), large.bytes), (2, HISTORY_BYTES_MAX));
        assert_eq!(large.position(), Position::new(7, 5));
        let one_too_large = history(1..=1, &"x".repeat(HISTORY_BYTES_MAX + 1));
        assert_eq!(one_too_large.position(), Position::new(7, 1));
        assert_eq!((one_too_large.commits.len(), one_too_large.bytes), (0, 0));
    }
}
