//! What of a collection rests (docs/decisions/0010-one-batch-at-a-time.md). It is kept at a place, which whoever
//! has the collection names: the rows of all collections of one object at one place.
//!
//! | table | key | value |
//! |---|---|---|
//! | children | place, name, the child's id | a [`ChildRow`] as JSON |
//! | collections | place, name | a [`CollectionRow`] as JSON |
//! | collections | place, name, author | a [`StreamRow`] as JSON |

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::collection::{Extent, Stream};
use super::{Child, ChildId, Collection, is_name};
use crate::address::Address;
use crate::identity::Identity;
use crate::limits::{CHILD_BYTES_MAX, KEEP_MAX};
use crate::object::parse;
use crate::storage::{Batch, Table, key};
use crate::stream::Position;
use crate::time::Time;

/// What of a collection its rows do not say yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Unstored {
    pub(super) children: BTreeSet<ChildId>,
    pub(super) authors: BTreeSet<Address>,
    /// What is known of the collection beside them.
    pub(super) header: bool,
}

impl Unstored {
    pub(super) fn child(&mut self, id: &ChildId) {
        self.children.insert(id.clone());
    }

    pub(super) fn author(&mut self, of: &ChildId) {
        self.authors.insert(of.author().clone());
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.authors.is_empty() && !self.header
    }
}

/// A child as it rests.
#[derive(Serialize)]
struct ChildRow<'a> {
    created: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a Identity>,
    value: &'a Value,
    position: Position,
    origin: Position,
}

/// The same as it is read.
#[derive(Deserialize)]
struct ChildRead<'a> {
    #[serde(borrow)]
    created: Cow<'a, str>,
    identity: Option<Identity>,
    #[serde(borrow)]
    value: &'a RawValue,
    position: Position,
    origin: Position,
}

/// What is known of a collection beside its children and streams.
#[derive(Serialize, Deserialize)]
struct CollectionRow {
    keep: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
    /// Some of it is to come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<ChildId, Position>,
}

/// Where an author's stream stands. How many of its children are there is counted when they are read, and the
/// order in which authors wrote last is that of their positions: an epoch begins with its author's clock.
#[derive(PartialEq, Serialize, Deserialize)]
struct StreamRow {
    position: Position,
    number: u64,
}

impl Collection {
    /// It rests from now on: all of it is to be stored. Costs a pass over it.
    pub(crate) fn rests(&mut self) {
        self.unstored = Some(Unstored {
            children: self.children.keys().cloned().collect(),
            authors: self.streams.keys().cloned().collect(),
            header: true,
        });
    }

    /// It rests no longer: what has rows of it removes them, by [`remove_rows`].
    pub(crate) fn forget(&mut self) {
        self.unstored = None;
    }

    /// Whether it rests.
    pub(crate) const fn is_resting(&self) -> bool {
        self.unstored.is_some()
    }

    /// Whether it rests, and its rows do not say all of it.
    pub(crate) fn is_to_be_stored(&self) -> bool {
        self.unstored.as_ref().is_some_and(|one| !one.is_empty())
    }

    /// What `note` says is to be stored, where this rests.
    pub(super) fn marks(&mut self, note: impl FnOnce(&mut Unstored)) {
        if let Some(unstored) = &mut self.unstored {
            note(unstored);
        }
    }

    /// What of it is another than in `theirs`, which it becomes, is to be stored.
    pub(super) fn differs_from(&mut self, theirs: &Self) {
        let Some(mut unstored) = self.unstored.take() else {
            return;
        };
        let ids = self.children.keys().chain(theirs.children.keys());
        let other = |id: &&ChildId| self.children.get(id) != theirs.children.get(id);
        unstored.children.extend(ids.filter(other).cloned());
        let place = |of: &Self, author: &Address| of.streams.get(author).map(Stream::row);
        let authors = self.streams.keys().chain(theirs.streams.keys());
        let other = |author: &&Address| place(self, author) != place(theirs, author);
        unstored.authors.extend(authors.filter(other).cloned());
        unstored.header = true;
        self.unstored = Some(unstored);
    }

    /// Puts into `batch` what its rows at `place` do not say yet; from now on they do. Costs as much as that.
    pub(crate) fn write_rows(&mut self, place: &[u8], name: &str, batch: &mut Batch) {
        let Some(unstored) = self.unstored.as_mut().map(std::mem::take) else {
            return;
        };
        let place = key(&[place, name.as_bytes()]);
        for id in unstored.children {
            let key = key(&[&place, id.to_string().as_bytes()]);
            match self.children.get(&id) {
                Some(child) => batch.put(Table::Children, key, json(&row(child))),
                None => batch.remove(Table::Children, key),
            }
        }
        for author in unstored.authors {
            let key = key(&[&place, author.as_str().as_bytes()]);
            match self.streams.get(&author) {
                Some(stream) => batch.put(Table::Collections, key, json(&stream.row())),
                None => batch.remove(Table::Collections, key),
            }
        }
        if unstored.header {
            let row = CollectionRow {
                keep: self.keep,
                closed: self.closed,
                partial: !self.is_whole(),
                gone: self.gone.clone(),
            };
            batch.put(Table::Collections, place, json(&row));
        }
    }
}

/// Puts into `batch` that nothing rests of the collection `name` at `place`, or of all that are there.
pub(crate) fn remove_rows(place: &[u8], name: Option<&str>, batch: &mut Batch) {
    for table in [Table::Children, Table::Collections] {
        match name {
            Some(name) => batch.remove_under(table, &[place, name.as_bytes()]),
            None => batch.remove_under(table, &[place]),
        }
    }
}

/// Collections as the rows of one place say them, while these are handed in.
#[derive(Debug, Default)]
pub(crate) struct Restored(BTreeMap<String, Collection>);

impl Restored {
    /// Takes a row of the tables `children` and `collections`, in any order; of its `key`, what follows the place.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), String> {
        let key = str::from_utf8(key).map_err(|error| error.to_string())?;
        let (name, of) = match key.split_once('\0') {
            Some((name, of)) => (name, Some(of)),
            None => (key, None),
        };
        if !is_name(name) {
            return Err(format!("`{name}` is no name of children"));
        }
        let none = || Collection::of(0, Extent::Whole);
        let collection = self.0.entry(name.to_owned()).or_insert_with(none);
        match (table, of) {
            (Table::Children, Some(id)) => {
                let id: ChildId = id.parse().map_err(|error| format!("its key: {error}"))?;
                collection.insert(id, child(value)?);
            }
            (Table::Collections, Some(author)) => {
                let author = Address::parse(author).map_err(|error| error.to_string())?;
                let StreamRow { position, number } = read(value)?;
                let stream = collection.streams.entry(author).or_default();
                (stream.position, stream.number) = (position, number);
            }
            (Table::Collections, None) => {
                let row: CollectionRow = read(value)?;
                if !(1..=KEEP_MAX).contains(&row.keep) {
                    return Err(format!("it keeps {} children", row.keep));
                }
                collection.keep = row.keep;
                collection.closed = row.closed;
                collection.gone = row.gone;
                if row.partial {
                    collection.extent = Extent::Unknown;
                }
            }
            _ => return Err("its key ends with a name".to_owned()),
        }
        Ok(())
    }

    /// The collections, when all rows were handed in. They rest.
    ///
    /// # Errors
    /// What does not fit together.
    pub(crate) fn collections(mut self) -> Result<BTreeMap<String, Collection>, String> {
        for (name, collection) in &mut self.0 {
            if collection.keep == 0 {
                return Err(format!("nothing is known of the collection `{name}`"));
            }
            for (id, child) in &collection.children {
                let stream = collection.stream(id.author().as_str()).unwrap_or_default();
                if stream.position < child.position || stream.number < id.number() {
                    return Err(format!("`{id}` of `{name}` is ahead of its author"));
                }
            }
            let mut streams: Vec<_> = collection.streams.values_mut().collect();
            streams.sort_unstable_by_key(|stream| stream.position);
            for stream in streams {
                collection.turns += 1;
                stream.turn = collection.turns;
            }
            collection.unstored = Some(Unstored::default());
        }
        Ok(self.0)
    }
}

impl Stream {
    const fn row(&self) -> StreamRow {
        StreamRow {
            position: self.position,
            number: self.number,
        }
    }
}

fn row(child: &Child) -> ChildRow<'_> {
    ChildRow {
        created: &child.created,
        identity: child.identity.as_ref(),
        value: &child.value,
        position: child.position,
        origin: child.origin,
    }
}

fn child(row: &[u8]) -> Result<Child, String> {
    let row: ChildRead<'_> = serde_json::from_slice(row).map_err(|error| error.to_string())?;
    let made = Time::parse_rfc3339(&row.created).ok_or("`created` is no time")?;
    let value = parse(row.value.get()).map_err(|error| error.to_string())?;
    // As it was written here: nothing is measured again.
    let bytes = row.value.get().len();
    if !value.is_object() || bytes > CHILD_BYTES_MAX {
        return Err("`value` is no object, or too large a one".to_owned());
    }
    Ok(Child {
        created: made.rfc3339(),
        identity: row.identity,
        position: row.position,
        origin: row.origin,
        made,
        bytes,
        value: Arc::new(value),
    })
}

fn json(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).unwrap_or_default()
}

fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, String> {
    serde_json::from_slice(row).map_err(|error| error.to_string())
}
