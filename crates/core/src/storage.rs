//! What rests between two lives of a runtime or a node: rows in tables, changed in batches
//! (docs/decisions/0010-one-batch-at-a-time.md). No IO here: a machine says what is to be stored and is told when it is,
//! its driver owns the store.

use std::ops::Range;

/// A kind of rows. What their keys and values are is told where they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// What the store says of itself: its format, whose it is.
    Meta,
    /// The keys that identities are proved with.
    Keys,
    /// The addresses that a runtime and its hyperties go by. Whose the hyperties are that a node knows, its claims and
    /// grants say.
    Addresses,
    /// Who may write and read an object, as the node records it.
    Claims,
    /// Where an object stands: written with every commit, and so apart from the claim.
    Positions,
    /// Who was let in to read an object.
    Grants,
    /// The objects that are deleted.
    Tombstones,
    /// An object whole, at some position.
    Snapshots,
    /// The commits after a snapshot.
    Commits,
    /// What was written on an object and has no position yet.
    Unnumbered,
    /// The children of an object, one row each.
    Children,
    /// Where the streams of a collection's authors stand, and what else is known of the collection.
    Collections,
    /// The commits of a collection that readers may lack.
    ChildCommits,
    /// What an author has written on children and is not safe yet.
    ChildWrites,
    /// Who and what is live.
    Registry,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 15] = [
        Self::Meta,
        Self::Keys,
        Self::Addresses,
        Self::Claims,
        Self::Positions,
        Self::Grants,
        Self::Tombstones,
        Self::Snapshots,
        Self::Commits,
        Self::Unnumbered,
        Self::Children,
        Self::Collections,
        Self::ChildCommits,
        Self::ChildWrites,
        Self::Registry,
    ];

    /// What it is called in a store, for ever.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Keys => "keys",
            Self::Addresses => "addresses",
            Self::Claims => "claims",
            Self::Positions => "positions",
            Self::Grants => "grants",
            Self::Tombstones => "tombstones",
            Self::Snapshots => "snapshots",
            Self::Commits => "commits",
            Self::Unnumbered => "unnumbered",
            Self::Children => "children",
            Self::Collections => "collections",
            Self::ChildCommits => "child_commits",
            Self::ChildWrites => "child_writes",
            Self::Registry => "registry",
        }
    }
}

/// A row as it rests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Its table.
    pub table: Table,
    /// What it is found by: rows of a table are in the order of their keys' bytes.
    pub key: Vec<u8>,
    /// What it says.
    pub value: Vec<u8>,
}

/// A row that says what cannot be: its store is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the row `{key}` of table `{table}` cannot be read: {why}; restore the folder from a backup, or begin with an empty one"
)]
pub struct UnreadableRow {
    /// Its table.
    pub table: &'static str,
    /// What of its key can be printed.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl UnreadableRow {
    /// Longest key told, in characters.
    const KEY_CHARS: usize = 200;

    pub(crate) fn of(table: Table, key: &[u8], why: String) -> Self {
        let key = String::from_utf8_lossy(key).replace('\0', " ");
        Self {
            table: table.name(),
            key: key.chars().take(Self::KEY_CHARS).collect(),
            why,
        }
    }
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The row is there, with this value, whether it was or not.
    Put(Row),
    /// The row is not there.
    Remove(Table, Vec<u8>),
    /// No row of the table is there whose key is in the range.
    RemoveRange(Table, Range<Vec<u8>>),
}

/// Changes that are stored together or not at all, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// The changes, in their order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Puts a row.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.writes.push(Write::Put(Row { table, key, value }));
    }

    /// Removes a row.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.writes.push(Write::Remove(table, key.into()));
    }

    /// Removes the rows whose keys are in `range`.
    pub fn remove_range(&mut self, table: Table, range: Range<Vec<u8>>) {
        self.writes.push(Write::RemoveRange(table, range));
    }

    /// Goes on with the changes of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
    }

    /// Removes the rows of what `parts` name, as [`key`] spells them, and all that is below it.
    pub fn remove_under(&mut self, table: Table, parts: &[&[u8]]) {
        let exactly = key(parts);
        let range = below(&exactly);
        self.remove(table, exactly);
        self.remove_range(table, range);
    }
}

/// A key of several parts, of which none but the last may hold a zero byte: an object's address, then what
/// of it. What has the same first parts stands together, in the order of the last.
#[must_use]
pub fn key(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&0)
}

/// The keys that go on where `prefix`, itself made by [`key`], ends.
#[must_use]
pub fn below(prefix: &[u8]) -> Range<Vec<u8>> {
    let end = |byte: u8| [prefix, &[byte]].concat();
    end(0)..end(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_key_is_in_its_range_and_nothing_else() {
        let range = below(&key(&[b"a://b/c"]));
        let holds = |parts: &[&[u8]]| range.contains(&key(parts));
        assert!(holds(&[b"a://b/c", b""]));
        assert!(holds(&[b"a://b/c", &u64::MAX.to_be_bytes()]));
        assert!(holds(&[b"a://b/c", &0_u64.to_be_bytes()]));
        assert!(!holds(&[b"a://b/c"]));
        assert!(!holds(&[b"a://b/cc"]));
        assert!(!holds(&[b"a://b/c-", b"x"]));
        assert!(!holds(&[b"a://b/b", b"x"]));
    }

    #[test]
    fn tables_are_told_apart_by_their_names() {
        let names: std::collections::BTreeSet<_> =
            Table::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), Table::ALL.len());
    }
}
