//! Where the earlier epochs of a stream ended (protocol.md §4).

use super::Position;
use crate::limits::LINEAGE_MAX;

/// The commit after `last` is of `epoch`: another may have ended there. The oldest end is forgotten first.
pub(super) fn note_end(lineage: &mut Vec<Position>, last: Position, epoch: u64) {
    if last.epoch != epoch && lineage.last() != Some(&last) {
        lineage.push(last);
        forget_oldest(lineage);
    }
}

pub(super) fn forget_oldest(lineage: &mut Vec<Position>) {
    let over = lineage.len().saturating_sub(LINEAGE_MAX);
    lineage.drain(..over);
}

/// The last position that a reader at `have` shares with a stream that stands at `last`, when its own is none
/// of it: it has seen commits that are gone. `None`, too, of what is older than all that is known here.
pub(super) fn kept(lineage: &[Position], last: Position, have: Position) -> Option<Position> {
    let ends = lineage.iter().rev().copied();
    let mut ends = std::iter::once(last).chain(ends);
    let older = ends.find(|end| end.epoch <= have.epoch)?;
    (older < have).then_some(older)
}
