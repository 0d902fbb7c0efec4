//! Where a world's node keeps what it promises: a store that obeys a script.

use std::collections::BTreeMap;

use byline_core::node::Input;
use byline_core::storage::{Batch, Row, Table, Write};

use super::World;

/// When the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// While this batch, the first is 1, is being written: it is lost.
    Before(usize),
    /// When it is written and its node does not know.
    After(usize),
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(super) under_way: Option<Batch>,
    /// Batches that were begun.
    pub batches: usize,
    /// Batches are stored when the test says so.
    pub waits: bool,
    /// The power fails there: from then on nothing is stored.
    pub cut: Option<Cut>,
}

impl Disk {
    /// What a table holds, with keys as text.
    pub fn table(&self, table: Table) -> BTreeMap<String, Vec<u8>> {
        let of = self.rows.iter().filter(|((one, _), _)| *one == table);
        of.map(|((_, key), value)| (String::from_utf8_lossy(key).into_owned(), value.clone()))
            .collect()
    }

    pub fn bytes(&self) -> usize {
        let rows = self.rows.iter();
        rows.map(|((_, key), value)| key.len() + value.len()).sum()
    }

    pub fn is_cut(&self) -> bool {
        self.cut
            .is_some_and(|(Cut::Before(at) | Cut::After(at))| self.batches >= at)
    }

    /// How many rows there are of a table.
    pub fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|(of, _)| *of == table).count()
    }

    pub(super) fn write(&mut self, batch: &Batch) {
        for write in batch.writes() {
            match write.clone() {
                Write::Put(Row { table, key, value }) => {
                    self.rows.insert((table, key), value);
                }
                Write::Remove(table, key) => drop(self.rows.remove(&(table, key))),
                Write::RemoveRange(of, range) => self
                    .rows
                    .retain(|(table, key), _| *table != of || !range.contains(key)),
            }
        }
    }

    /// What was not stored is gone.
    pub(super) fn after_a_power_cut(&mut self) -> Vec<Row> {
        self.under_way = None;
        self.cut = None;
        let row = |((table, key), value): (&(Table, Vec<u8>), &Vec<u8>)| Row {
            table: *table,
            key: key.clone(),
            value: value.clone(),
        };
        self.rows.iter().map(row).collect()
    }
}

impl World {
    /// A world whose node has a disk.
    pub fn with_disk() -> Self {
        let mut world = Self::new();
        world.disk = Some(Disk::default());
        world.node.restore([], world.now).unwrap();
        world
    }

    pub fn disk(&mut self) -> &mut Disk {
        self.disk.as_mut().expect("the world has a disk")
    }

    pub(super) fn disk_takes(&mut self, batch: Batch) {
        let disk = self.disk();
        assert!(disk.under_way.is_none(), "one batch at a time");
        assert!(!batch.is_empty(), "a batch changes something");
        disk.batches += 1;
        let waits = disk.waits || disk.is_cut();
        if disk.cut == Some(Cut::After(disk.batches)) {
            disk.write(&batch);
        }
        disk.under_way = Some(batch);
        if !waits {
            self.stores();
        }
    }

    /// The batch under way is stored, and its node told so.
    pub fn stores(&mut self) {
        let disk = self.disk();
        let batch = disk.under_way.take().expect("a batch is under way");
        disk.write(&batch);
        self.node.handle(Input::Stored, self.now);
        self.collect();
    }
}
