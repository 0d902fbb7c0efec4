//! What an Observer keeps besides its copy: which claim is the newest, and what came too early.

use std::collections::BTreeMap;

use super::{Commit, Position};
use crate::limits::{GAP_BYTES_MAX, GAP_COMMITS_MAX};

/// The newest claim heard of. Commits of older epochs are refused, but for those that lead to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim {
    pub(super) epoch: u64,
    /// The last position heard of in it: commits up to here belong to its history.
    pub(super) position: Position,
}

impl Claim {
    pub(super) const fn of(epoch: u64, position: Position) -> Self {
        Self { epoch, position }
    }

    pub(super) fn heard(&mut self, epoch: u64, position: Position) {
        if epoch >= self.epoch {
            *self = Self { epoch, position };
        }
    }

    /// Whether a commit at `position` is of a superseded claim, and not one that led to this.
    pub(super) fn refuses(&self, position: Position) -> bool {
        position.epoch < self.epoch && position > self.position
    }
}

/// Commits that came before one they follow, in order.
#[derive(Debug, Default)]
pub(super) struct Gap {
    commits: BTreeMap<Position, Commit>,
    bytes: usize,
}

impl Gap {
    /// Keeps `commit`, unless the gap is full: the recovery that is under way brings it again.
    pub(super) fn keep(&mut self, commit: Commit) {
        let fits =
            self.commits.len() < GAP_COMMITS_MAX && self.bytes + commit.bytes <= GAP_BYTES_MAX;
        if fits && !self.commits.contains_key(&commit.position) {
            self.bytes += commit.bytes;
            self.commits.insert(commit.position, commit);
        }
    }

    pub(super) fn first(&self) -> Option<&Commit> {
        self.commits.first_key_value().map(|(_, commit)| commit)
    }

    pub(super) fn pop(&mut self) -> Option<Commit> {
        let (_, commit) = self.commits.pop_first()?;
        self.bytes -= commit.bytes;
        Some(commit)
    }
}
