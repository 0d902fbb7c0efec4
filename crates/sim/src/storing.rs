//! What parts with a disk have written, as their drivers do: one batch at a time, which takes its time,
//! and again later while the disk is full. And the power, which may fail at any of them.

use byline_core::node;
use byline_core::runtime;
use byline_core::storage::Batch;

use crate::disk::{Disk, Fate};
use crate::totals::Count;
use crate::world::{Event, World};

/// What a disk says that is full.
const FULL: &str = "no space left on the disk";
/// A node reads no more from its sockets while more waits for its disk. The real limit is larger.
const HELD_BYTES_MAX: usize = 12 << 10;

/// Whose disk it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Node,
    Place(usize),
}

/// What becomes of a part when its power fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// How long a node is away.
    pub(crate) down_ms: u64,
    /// How far the clock that it comes back with is set back.
    pub(crate) back_ms: u64,
}

impl World {
    pub(crate) fn disk(&self, part: Part) -> Option<&Disk> {
        match part {
            Part::Node => self.node_disk.as_ref(),
            Part::Place(who) => self.places[who].disk.as_ref(),
        }
    }

    pub(crate) const fn disk_mut(&mut self, part: Part) -> Option<&mut Disk> {
        match part {
            Part::Node => self.node_disk.as_mut(),
            Part::Place(who) => self.places.as_mut_slice()[who].disk.as_mut(),
        }
    }

    /// A batch is to be written.
    pub(crate) fn stores(&mut self, part: Part, batch: Batch) {
        self.totals.one(match part {
            Part::Node => Count::NodeBatches,
            Part::Place(_) => Count::PlaceBatches,
        });
        self.trace.note(self.now, || {
            format!("{part:?} stores {} rows", batch.writes().len())
        });
        let takes_ms = self.random.one_of(&[0, 0, 1, 4, 15, 90]);
        let fails_ms = self.random.between(0, takes_ms);
        let Some(disk) = self.disk_mut(part) else {
            return;
        };
        let fails = disk.begins(batch);
        let number = disk.number;
        if fails {
            self.schedule(self.now + fails_ms, Event::PowerFails(part, number));
        }
        self.schedule(self.now + takes_ms, Event::Written(part, number));
    }

    /// The disk has done what it was asked for, or cannot.
    pub(crate) fn written(&mut self, part: Part, number: u64) {
        let now = self.now;
        let Some(disk) = self.disk_mut(part).filter(|disk| disk.number == number) else {
            return;
        };
        let full = disk.full_until > now;
        if full {
            let at = now + disk.pauses_ms();
            self.totals.one(Count::NotStored);
            self.schedule(at, Event::Written(part, number));
        } else {
            disk.ends();
        }
        match (part, full) {
            (Part::Node, false) => self.node_takes(node::Input::Stored),
            (Part::Node, true) => self.node_takes(node::Input::NotStored(FULL.into())),
            (Part::Place(who), false) => self.place_takes(who, runtime::Input::Stored),
            (Part::Place(who), true) => self.place_takes(who, runtime::Input::NotStored(FULL)),
        }
    }

    /// Whether the node's driver reads from its sockets.
    pub(crate) const fn node_reads(&self) -> bool {
        self.node.held_bytes() <= HELD_BYTES_MAX
    }

    /// The power of a part that has a disk fails: what is there of it is what its disk holds.
    pub(crate) fn cuts_power(&mut self, part: Part) -> Fate {
        let kept = self.random.chance(50);
        let now = self.now;
        let Some(disk) = self.disk_mut(part) else {
            return Fate::Idle;
        };
        let full = disk.full_until > now;
        let fate = disk.loses_power(kept);
        self.trace
            .note(now, || format!("{part:?} loses power: {fate:?}"));
        self.totals.one(match part {
            Part::Node => Count::NodePower,
            Part::Place(_) => Count::PlacePower,
        });
        if full {
            self.totals.one(Count::PowerWhileFull);
        }
        match fate {
            Fate::Idle => {}
            Fate::Lost => self.totals.one(Count::BatchLost),
            Fate::Kept => self.totals.one(Count::BatchUntold),
        }
        fate
    }

    /// A disk has room for nothing for some time.
    pub(crate) fn fills(&mut self, part: Part, ms: u64) {
        let until = self.now + ms;
        if let Some(disk) = self.disk_mut(part) {
            disk.full_until = until;
            self.totals.one(Count::DiskFull);
        }
    }

    /// The power of a part will fail while its `batches`th batch from now is being written.
    pub(crate) fn will_fail(&mut self, part: Part, batches: u64, outage: Outage) {
        if let Some(disk) = self.disk_mut(part) {
            disk.fails_in = Some(batches);
            self.outages.insert(part, outage);
        }
    }

    /// The power of a part fails in a moment: while it writes, if it does.
    pub(crate) fn fails_soon(&mut self, part: Part) {
        let at = self.now + self.random.between(0, 5);
        if let Some(number) = self.disk(part).map(|disk| disk.number) {
            let (down_ms, back_ms) = (0, 0);
            self.outages.insert(part, Outage { down_ms, back_ms });
            // What was just written is in the next batch, where none is under way.
            self.schedule(at, Event::PowerFails(part, number + 1));
            self.schedule(at, Event::PowerFails(part, number));
        }
    }

    pub(crate) fn power_fails(&mut self, part: Part) {
        let Some(outage) = self.outages.remove(&part) else {
            return;
        };
        match part {
            Part::Node => self.node_loses_power(outage),
            Part::Place(who) => self.place_loses_power(who, outage),
        }
    }

    /// The faults stop: what waits for room is written when it is tried again.
    pub(crate) fn heals_disks(&mut self) {
        let parts = (0..self.places.len()).map(Part::Place);
        for part in parts.chain([Part::Node]) {
            if let Some(disk) = self.disk_mut(part) {
                (disk.full_until, disk.fails_in) = (0, None);
            }
        }
        self.outages.clear();
    }
}
