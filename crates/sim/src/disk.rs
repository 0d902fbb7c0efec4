//! Where a node or a runtime keeps what it promises: rows, and the one batch that is being written. A
//! batch is there whole or not at all, whenever the power fails.

use std::collections::BTreeMap;

use byline_core::address::Address;
use byline_core::storage::{Batch, Row, Table, Write};

/// The longest pause before a batch that could not be written is tried again.
const PAUSE_MAX_MS: u64 = 30_000;

/// What became of the batch under way when the power failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There was none.
    Idle,
    /// Nothing of it is there.
    Lost,
    /// All of it is there, and nobody was told.
    Kept,
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    rows: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    under_way: Option<Batch>,
    /// Which batch that is: what is heard of an earlier one is late.
    pub(crate) number: u64,
    /// No batch can be written before.
    pub(crate) full_until: u64,
    pause_ms: u64,
    /// The power fails in so many batches.
    pub(crate) fails_in: Option<u64>,
}

impl Disk {
    /// Begins to write `batch`; says whether the power fails meanwhile.
    pub(crate) fn begins(&mut self, batch: Batch) -> bool {
        assert!(self.under_way.is_none(), "one batch at a time");
        assert!(!batch.is_empty(), "a batch changes something");
        self.number += 1;
        self.pause_ms = 0;
        self.under_way = Some(batch);
        self.fails_in = self.fails_in.and_then(|batches| batches.checked_sub(1));
        self.fails_in == Some(0)
    }

    /// The batch is written, and there is none under way.
    pub(crate) fn ends(&mut self) {
        if let Some(batch) = self.under_way.take() {
            for write in batch.writes() {
                self.write(write.clone());
            }
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Put(Row { table, key, value }) => {
                self.rows.entry(table).or_default().insert(key, value);
            }
            Write::Remove(table, key) => {
                self.rows.entry(table).or_default().remove(&key);
            }
            Write::RemoveRange(table, range) => {
                let rows = self.rows.entry(table).or_default();
                if range.start < range.end {
                    let gone: Vec<_> = rows.range(range).map(|(key, _)| key.clone()).collect();
                    for key in gone {
                        rows.remove(&key);
                    }
                }
            }
        }
    }

    /// There is no room: how long its driver waits before it tries again.
    pub(crate) fn pauses_ms(&mut self) -> u64 {
        self.pause_ms = (2 * self.pause_ms).clamp(1_000, PAUSE_MAX_MS);
        self.pause_ms
    }

    /// The power fails. The batch under way, if there is one, is there when `kept` says so.
    pub(crate) fn loses_power(&mut self, kept: bool) -> Fate {
        self.number += 1;
        self.fails_in = None;
        let fate = match (&self.under_way, kept) {
            (None, _) => Fate::Idle,
            (Some(_), true) => Fate::Kept,
            (Some(_), false) => Fate::Lost,
        };
        if fate == Fate::Kept {
            self.ends();
        }
        self.under_way = None;
        fate
    }

    /// All that is there, in the order of the tables and their keys.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().flat_map(|(table, rows)| {
            rows.iter().map(|(key, value)| Row {
                table: *table,
                key: key.clone(),
                value: value.clone(),
            })
        })
    }

    /// The rows of one table.
    pub(crate) fn table(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        let rows = self.rows.get(&table).into_iter().flatten();
        rows.map(|(key, value)| (&**key, &**value))
    }

    /// Whether a Reporter rests here.
    pub(crate) fn holds_reporter(&self, object: &Address, hyperty: &Address) -> bool {
        let place = format!("{object}\0{hyperty}\0reporter");
        let claims = self.rows.get(&Table::Claims);
        claims.is_some_and(|claims| claims.contains_key(place.as_bytes()))
    }
}
