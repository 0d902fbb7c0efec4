//! A Reporter keeps so many children of a name (protocol.md §9): the oldest of more leave.

use super::{Runtime, Seat};

impl Runtime {
    /// The oldest children leave where there are more than are kept, and authors who left none.
    pub(super) fn prune(&mut self, seat: &Seat, name: &str) {
        let Some(reporter) = self.reporter_mut(&seat.object) else {
            return;
        };
        let follows = reporter.follows();
        let missing = follows && !reporter.lacks_nothing();
        let (reported, authoring) = (
            reporter.children.get(name),
            reporter.authoring.get_mut(name),
        );
        let (Some(reported), Some(authoring)) = (reported, authoring) else {
            return;
        };
        // What the node has not taken yet is still overdue here, and what it took and is missing here may be enough.
        if missing || follows && authoring.is_urged() {
            return;
        }
        if let Some(overdue) = reported.overdue(&authoring.leaving()) {
            authoring.urge(overdue);
            self.writing.insert((seat.clone(), name.to_owned()));
        }
    }

    /// More may have been written, while the Reporter was away, than are kept.
    pub(super) fn prune_all(&mut self, seat: &Seat) {
        let reporter = self.reporter_mut(&seat.object);
        let names = reporter.map(|one| one.children.keys().cloned());
        for name in names.into_iter().flatten().collect::<Vec<_>>() {
            self.prune(seat, &name);
        }
    }
}
