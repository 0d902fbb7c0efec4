//! Rows in a database.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::{fmt, iter};

use byline_core::storage::{Batch, Row, Table, Write};
use redb::{
    Builder, ConcurrencyMode, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend,
    TableDefinition, TableError, WriteTransaction,
};

use crate::place::Place;
use crate::{Rows, StoreError, Whose, format};

/// Memory for pages that were read or are to be written: who reads a store reads it once, from beginning to end.
const CACHE_BYTES: usize = 32 << 20;

/// Tables in a file: to be read and written by one process, or, as a [`ReadOnlyDatabase`], read beside it.
pub(crate) struct Database<D = redb::Database> {
    database: D,
    place: Place,
    whose: Whose,
    quota: Option<Quota>,
}

/// Bytes of keys and values: how many there may be, and how many there are.
#[derive(Clone, Copy, Debug)]
struct Quota {
    most: u64,
    now: u64,
}

/// How much of a file is read when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Every page: what the disk has lost or altered is told now.
    Everything,
    /// What is needed to go on.
    Nothing,
}

impl Database {
    /// Makes one in an empty file, with `rows` in it.
    pub(crate) fn make(
        file: impl StorageBackend,
        place: Place,
        whose: Whose,
        rows: Rows<'_>,
    ) -> Result<Self, StoreError> {
        let database = place.guard(|| Ok(builder().create_with_backend(file)?))?;
        let made = Self {
            database,
            place,
            whose,
            quota: None,
        };
        let write = made.begin()?;
        made.place.guard(|| format::note(&write, &made.whose))?;
        for row in rows {
            let row = row?;
            made.place.guard(|| {
                let mut table = write.open_table(definition(row.table))?;
                table.insert(row.key.as_slice(), row.value.as_slice())?;
                Ok(())
            })?;
        }
        made.place.guard(|| Ok(write.commit()?))?;
        Ok(made)
    }

    /// Opens the one in `file`, and brings it to the newest format.
    pub(crate) fn open(
        file: impl StorageBackend,
        place: Place,
        check: Check,
    ) -> Result<Self, StoreError> {
        let database = place.guard(|| {
            let mut builder = builder();
            builder.set_check_integrity_on_open(check == Check::Everything);
            Ok(builder.create_with_backend(file)?)
        })?;
        let (format, opened) = Self::said_of(database, place)?;
        if format < format::NEWEST {
            let write = opened.begin()?;
            opened.place.guard(|| {
                format::migrate(&write, format)?;
                Ok(write.commit()?)
            })?;
        }
        Ok(opened)
    }

    /// Holds it to a quota from now on, for which it counts what is there.
    pub(crate) fn within(mut self, most: u64) -> Result<Self, StoreError> {
        let mut now = 0;
        for row in self.rows()? {
            let Row { key, value, .. } = row?;
            now += (key.len() + value.len()) as u64;
        }
        self.quota = Some(Quota { most, now });
        Ok(self)
    }

    /// Stores a batch, whole or not at all. After an error the database is to be opened anew.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let write = self.begin()?;
        let growth = self.place.guard(|| apply(&write, batch))?;
        if let Some(quota) = &mut self.quota {
            quota.now = quota.now.saturating_add_signed(growth);
            // What makes it smaller is always right.
            if growth > 0 && quota.most < quota.now {
                return Err(StoreError::Quota {
                    path: self.place.0.clone(),
                    quota: quota.most,
                });
            }
        }
        self.place.guard(|| Ok(write.commit()?))
    }

    /// A transaction that is durable once it is committed.
    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.place.guard(|| {
            let mut write = self.database.begin_write()?;
            // What is free is noted with every commit: a file that nobody closed opens at once.
            write.set_quick_repair(true);
            Ok(write)
        })
    }
}

impl Database<ReadOnlyDatabase> {
    /// Reads what another process writes, as it is now.
    pub(crate) fn open_beside(file: impl StorageBackend, place: Place) -> Result<Self, StoreError> {
        let database = place.guard(|| Ok(builder().open_read_only_with_backend(file)?))?;
        Ok(Self::said_of(database, place)?.1)
    }
}

impl<D: ReadableDatabase> Database<D> {
    /// Whose it is.
    pub(crate) const fn whose(&self) -> &Whose {
        &self.whose
    }

    /// Its rows, but those of its own.
    pub(crate) fn rows(&self) -> Result<Rows<'_>, StoreError> {
        let read = self.place.guard(|| Ok(self.database.begin_read()?))?;
        let tables = Table::ALL.into_iter().filter(|&one| one != Table::Meta);
        Ok(Box::new(tables.flat_map(move |table| {
            rows_of(&self.place, &read, table)
                .unwrap_or_else(|error| Box::new(iter::once(Err(error))))
        })))
    }

    fn said_of(database: D, place: Place) -> Result<(u32, Self), StoreError> {
        let read = place.guard(|| Ok(database.begin_read()?))?;
        let (format, whose) = format::read(&place, &read)?;
        let opened = Self {
            database,
            place,
            whose,
            quota: None,
        };
        Ok((format, opened))
    }
}

impl<D> fmt::Debug for Database<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("place", &self.place)
            .field("whose", &self.whose)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

/// The table of the database that has the rows of `table`.
pub(crate) const fn definition(
    table: Table,
) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    // Others may read beside the one who writes: that is how a backup is taken from a store in use.
    builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Does the changes of a batch, and says by how many bytes the rows have grown.
fn apply(write: &WriteTransaction, batch: &Batch) -> Result<i64, redb::Error> {
    let mut tables = BTreeMap::new();
    let mut growth = 0;
    let bytes = |key: &[u8], value: &[u8]| (key.len() + value.len()) as i64;
    for change in batch.writes() {
        let (Write::Put(Row { table, .. })
        | Write::Remove(table, _)
        | Write::RemoveRange(table, _)) = change;
        let rows = match tables.entry(*table) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => closed.insert(write.open_table(definition(*table))?),
        };
        match change {
            Write::Put(Row { key, value, .. }) => {
                let before = rows.insert(key.as_slice(), value.as_slice())?;
                growth += bytes(key, value);
                growth -= before.map_or(0, |before| bytes(key, before.value()));
            }
            Write::Remove(_, key) => {
                let before = rows.remove(key.as_slice())?;
                growth -= before.map_or(0, |before| bytes(key, before.value()));
            }
            Write::RemoveRange(_, range) => {
                let range = range.start.as_slice()..range.end.as_slice();
                rows.retain_in(range, |key, value| {
                    growth -= bytes(key, value);
                    false
                })?;
            }
        }
    }
    Ok(growth)
}

fn rows_of<'store>(
    place: &'store Place,
    read: &ReadTransaction,
    table: Table,
) -> Result<Rows<'store>, StoreError> {
    let rows = place.guard(|| match read.open_table(definition(table)) {
        Ok(open) => Ok(Some(open.range_owned::<&[u8]>(..)?)),
        // Nothing was ever written to it.
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    })?;
    let mut rows = rows.into_iter().flatten();
    Ok(Box::new(iter::from_fn(move || {
        let next = place.guard(|| {
            let row = rows.next().map(|row| {
                let (key, value) = row?;
                let (key, value) = (key.value().to_vec(), value.value().to_vec());
                Ok::<_, redb::Error>(Row { table, key, value })
            });
            row.transpose()
        });
        next.transpose()
    })))
}
