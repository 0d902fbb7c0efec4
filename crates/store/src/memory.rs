//! Rows in memory.

use std::collections::BTreeMap;

use byline_core::storage::{Batch, Row, Table, Write};

use crate::{Rows, Store, StoreError};

/// A store that ends with its process: for tests, and for who wants one promise less.
#[derive(Debug, Default)]
pub struct Memory {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Store for Memory {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for write in batch.writes() {
            match write {
                Write::Put(row) => {
                    let rows = self.tables.entry(row.table).or_default();
                    rows.insert(row.key.clone(), row.value.clone());
                }
                Write::Remove(table, key) => {
                    if let Some(rows) = self.tables.get_mut(table) {
                        rows.remove(key);
                    }
                }
                Write::RemoveRange(table, range) => {
                    if let Some(rows) = self.tables.get_mut(table) {
                        // One that ends before it begins is empty: a map's own `range` panics at it.
                        rows.retain(|key, _| !range.contains(key));
                    }
                }
            }
        }
        Ok(())
    }

    fn rows(&self) -> Result<Rows<'_>, StoreError> {
        let rows = self.tables.iter().flat_map(|(table, rows)| {
            rows.iter().map(|(key, value)| Row {
                table: *table,
                key: key.clone(),
                value: value.clone(),
            })
        });
        Ok(Box::new(
            rows.filter(|row| row.table != Table::Meta).map(Ok),
        ))
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        let rows = self.tables.values().flatten();
        Ok(rows
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum())
    }
}
