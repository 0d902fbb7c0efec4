//! What rests of an object's children, at its Reporter and at its Observers: the copies, and what is written to them.

use std::collections::BTreeMap;

use super::{Observer, Reporter};
use crate::address::Address;
use crate::children::{Authoring, Collection, Restored, RestoredWrites};
use crate::storage::{Batch, Table};
use crate::time::Time;

/// The rows of the children of one place, as they are handed in.
#[derive(Debug, Default)]
pub(crate) struct ChildrenRows {
    collections: Restored,
    writes: RestoredWrites,
}

impl ChildrenRows {
    /// Takes a row of `hyperty`'s; of its `key`, what follows the place.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn row(
        &mut self,
        table: Table,
        key: &[u8],
        value: &[u8],
        hyperty: &Address,
    ) -> Result<(), String> {
        match table {
            Table::ChildWrites => self.writes.row(key, value, hyperty),
            _ => self.collections.row(table, key, value),
        }
    }
}

impl Reporter {
    /// The object and its children rest from now on.
    pub(crate) fn rest(&mut self) {
        self.stream.rest();
        for reported in self.children.values_mut() {
            reported.collection.rests();
        }
        self.authoring.values_mut().for_each(Authoring::rests);
    }

    /// They rest no longer.
    pub(crate) fn forget(&mut self) {
        self.stream.forget();
        for reported in self.children.values_mut() {
            reported.collection.forget();
        }
        self.authoring.values_mut().for_each(Authoring::forget);
    }

    /// What rested of its children is there again.
    ///
    /// # Errors
    /// What of the rows cannot be.
    pub(crate) fn restore_children(
        &mut self,
        hyperty: &Address,
        rows: ChildrenRows,
    ) -> Result<(), String> {
        for (name, collection) in rows.collections.collections()? {
            if let Some(reported) = self.children.get_mut(&name) {
                if !collection.is_whole() {
                    return Err(format!("the children `{name}` are not all there"));
                }
                reported.collection = collection;
            }
        }
        let here = |name: &str| Some(&self.children.get(name)?.collection);
        let written = rows.writes.authoring(hyperty, here)?;
        self.authoring = written
            .into_iter()
            .filter(|(name, _)| self.children.contains_key(name))
            .collect();
        Ok(())
    }

    /// It goes on: its children rest as the object does.
    pub(crate) fn wake_children(&mut self, hyperty: &Address, now: Time) {
        for (name, reported) in &mut self.children {
            if !reported.collection.is_resting() {
                reported.collection.rests();
            }
            let begin = || {
                let mut authoring = Authoring::new(hyperty.clone(), reported.own(), now);
                authoring.rests();
                authoring
            };
            self.authoring.entry(name.clone()).or_insert_with(begin);
        }
    }

    /// Whether something of its children is to be stored.
    pub(crate) fn children_are_to_be_stored(&self) -> bool {
        let collections = self.children.values().map(|one| &one.collection);
        are_to_be_stored(collections, &self.authoring)
    }

    /// Puts into `batch` what is to be stored of its children; their rows are at `place`.
    pub(crate) fn store_children(&mut self, place: &[u8], batch: &mut Batch) {
        for (name, reported) in &mut self.children {
            reported.collection.write_rows(place, name, batch);
        }
        for (name, authoring) in &mut self.authoring {
            authoring.write_rows(place, name, batch);
        }
    }
}

impl Observer {
    /// The copy and its children rest from now on.
    pub(crate) fn rest(&mut self) {
        self.stream.rest();
        self.children.rest();
        self.authoring.values_mut().for_each(Authoring::rests);
    }

    /// They rest no longer.
    pub(crate) fn forget(&mut self) {
        self.stream.forget();
        self.children.forget();
        self.authoring.values_mut().for_each(Authoring::forget);
    }

    /// What rested of its children is there again.
    ///
    /// # Errors
    /// What of the rows cannot be.
    pub(crate) fn restore_children(
        &mut self,
        hyperty: &Address,
        rows: ChildrenRows,
    ) -> Result<(), String> {
        self.children.restore(rows.collections.collections()?);
        let here = |name: &str| self.children.get(name);
        self.authoring = rows.writes.authoring(hyperty, here)?;
        Ok(())
    }

    /// Whether something of its children is to be stored.
    pub(crate) fn children_are_to_be_stored(&self) -> bool {
        self.children.is_to_be_stored() || are_to_be_stored([].into_iter(), &self.authoring)
    }

    /// Puts into `batch` what is to be stored of its children; their rows are at `place`.
    pub(crate) fn store_children(&mut self, place: &[u8], batch: &mut Batch) {
        self.children.write_rows(place, batch);
        for (name, authoring) in &mut self.authoring {
            authoring.write_rows(place, name, batch);
        }
    }
}

fn are_to_be_stored<'a>(
    mut collections: impl Iterator<Item = &'a Collection>,
    authoring: &BTreeMap<String, Authoring>,
) -> bool {
    collections.any(Collection::is_to_be_stored)
        || authoring.values().any(Authoring::is_to_be_stored)
}
