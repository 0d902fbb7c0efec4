//! What every store does, in memory and in a folder alike.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod scratch;

use std::collections::BTreeMap;

use byline_core::storage::{Batch, Row, Table, Write, key};
use byline_store::{Folder, Memory, Store, StoreError, Whose};
use proptest::prelude::*;

use scratch::Scratch;

/// A way to have a store: what it was given is there when it is opened again.
trait Backend {
    type Store: Store;

    fn open(&mut self) -> Self::Store;

    /// Ends the use of a store that [`Self::open`] gave.
    fn close(&mut self, store: Self::Store);
}

#[derive(Default)]
struct InMemory(Memory);

impl Backend for InMemory {
    type Store = Memory;

    fn open(&mut self) -> Memory {
        std::mem::take(&mut self.0)
    }

    fn close(&mut self, store: Memory) {
        self.0 = store;
    }
}

struct InFolder(Scratch);

impl Default for InFolder {
    fn default() -> Self {
        Self(Scratch::new())
    }
}

impl Backend for InFolder {
    type Store = Folder;

    fn open(&mut self) -> Folder {
        Folder::open(&self.0.path("store"), &Whose::Runtime, None).unwrap()
    }

    fn close(&mut self, store: Folder) {
        drop(store);
    }
}

/// The tables whose rows are not the store's own.
fn tables() -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().filter(|&one| one != Table::Meta)
}

fn rows(store: &impl Store) -> Vec<Row> {
    store
        .rows()
        .unwrap()
        .collect::<Result<_, StoreError>>()
        .unwrap()
}

fn keys(store: &impl Store) -> Vec<Vec<u8>> {
    rows(store).into_iter().map(|row| row.key).collect()
}

fn one(table: Table, key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(table, key, value);
    batch
}

fn a_new_store_is_empty(mut backend: impl Backend) {
    let store = backend.open();
    assert!(rows(&store).is_empty());
}

fn an_empty_batch_changes_nothing(mut backend: impl Backend) {
    let mut store = backend.open();
    store.commit(&Batch::default()).unwrap();
    assert!(rows(&store).is_empty());
}

fn rows_come_in_the_order_of_tables_and_keys(mut backend: impl Backend) {
    let mut store = backend.open();
    let names: [&[u8]; 5] = [b"", &[0], &[0, 0], b"a", &[255]];
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for table in tables() {
        for name in names {
            expected.push(Row {
                table,
                key: name.to_vec(),
                value: [table.name().as_bytes(), name].concat(),
            });
        }
    }
    for row in expected.iter().rev() {
        batch.put(row.table, row.key.clone(), row.value.clone());
    }
    store.commit(&batch).unwrap();
    assert_eq!(rows(&store), expected);
}

fn the_last_change_of_a_row_in_a_batch_counts(mut backend: impl Backend) {
    let mut store = backend.open();
    let mut batch = one(Table::Claims, "a", "first");
    batch.put(Table::Claims, "a", "last");
    batch.put(Table::Claims, "b", "gone");
    batch.remove(Table::Claims, "b");
    batch.remove(Table::Claims, "c");
    batch.put(Table::Claims, "c", "back");
    store.commit(&batch).unwrap();
    let values: Vec<_> = rows(&store).into_iter().map(|row| row.value).collect();
    assert_eq!(values, [b"last", b"back"]);
}

fn a_range_takes_its_beginning_and_not_its_end_in_one_table(mut backend: impl Backend) {
    let mut store = backend.open();
    let mut batch = Batch::default();
    for name in ["a", "b", "c", "d"] {
        batch.put(Table::Commits, name, "");
        batch.put(Table::Snapshots, name, "");
    }
    store.commit(&batch).unwrap();
    let mut batch = Batch::default();
    batch.remove_range(Table::Commits, b"b".to_vec()..b"d".to_vec());
    // These hold nothing.
    batch.remove_range(Table::Commits, b"d".to_vec()..b"a".to_vec());
    batch.remove_range(Table::Commits, b"a".to_vec()..b"a".to_vec());
    batch.remove_range(Table::Children, b"".to_vec()..b"z".to_vec());
    store.commit(&batch).unwrap();
    let left = ["a", "b", "c", "d", "a", "d"].map(|name| name.as_bytes().to_vec());
    assert_eq!(keys(&store), left);
}

fn what_is_under_an_object_goes_and_its_neighbours_stay(mut backend: impl Backend) {
    let mut store = backend.open();
    let spelt = [
        key(&[b"ctxt://b/c"]),
        key(&[b"ctxt://b/c", b""]),
        key(&[b"ctxt://b/c", &u64::MAX.to_be_bytes()]),
        key(&[b"ctxt://b/c-"]),
        key(&[b"ctxt://b/cc", b"x"]),
    ];
    let mut batch = Batch::default();
    for name in &spelt {
        batch.put(Table::Commits, name.clone(), "");
    }
    batch.remove_under(Table::Commits, &[b"ctxt://b/c"]);
    store.commit(&batch).unwrap();
    assert_eq!(keys(&store), &spelt[3..]);
}

fn what_was_stored_is_there_again(mut backend: impl Backend) {
    let mut store = backend.open();
    let large = vec![7; 5 << 20];
    let mut batch = one(Table::Keys, "identity", "secret");
    batch.put(Table::Snapshots, "large", large.clone());
    batch.put(Table::Grants, "empty", "");
    store.commit(&batch).unwrap();
    assert!(store.bytes().unwrap() >= 5 << 20);
    let before = rows(&store);
    backend.close(store);
    let store = backend.open();
    assert_eq!(rows(&store), before);
    assert_eq!(before[2].value, large);
}

/// Runs every sentence above for a way to have a store.
macro_rules! sentences {
    ($($sentence:ident)*) => {
        mod in_memory {
            $(#[test] fn $sentence() { super::$sentence(super::InMemory::default()); })*
        }
        mod in_a_folder {
            $(#[test] fn $sentence() { super::$sentence(super::InFolder::default()); })*
        }
    };
}

sentences! {
    a_new_store_is_empty
    an_empty_batch_changes_nothing
    rows_come_in_the_order_of_tables_and_keys
    the_last_change_of_a_row_in_a_batch_counts
    a_range_takes_its_beginning_and_not_its_end_in_one_table
    what_is_under_an_object_goes_and_its_neighbours_stay
    what_was_stored_is_there_again
}

/// What a store has to be like.
type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn apply(model: &mut Model, batch: &Batch) {
    for write in batch.writes() {
        match write {
            Write::Put(row) => {
                model.insert((row.table, row.key.clone()), row.value.clone());
            }
            Write::Remove(table, key) => {
                model.remove(&(*table, key.clone()));
            }
            Write::RemoveRange(table, range) => {
                model.retain(|(of, key), _| of != table || !range.contains(key));
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Batch),
    Reopen,
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let table = proptest::sample::select(tables().take(4).collect::<Vec<_>>());
    // Few keys, so that changes meet.
    let name = || proptest::collection::vec(0_u8..3, 0..3);
    let value = prop_oneof![
        9 => proptest::collection::vec(any::<u8>(), 0..64),
        1 => proptest::collection::vec(any::<u8>(), 4_000..20_000),
    ];
    let change = (table, 0..8, name(), name(), value);
    proptest::collection::vec(change, 0..24).prop_map(|changes| {
        let mut batch = Batch::default();
        for (table, kind, name, end, value) in changes {
            match kind {
                0 => batch.remove(table, name),
                1 => batch.remove_range(table, name..end),
                _ => batch.put(table, name, value),
            }
        }
        batch
    })
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any_batch().prop_map(Step::Commit),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..24)
}

fn agrees_with_a_map(mut backend: impl Backend, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    let mut store = backend.open();
    for step in steps {
        match step {
            Step::Commit(batch) => {
                store.commit(batch).unwrap();
                apply(&mut model, batch);
            }
            Step::Reopen => {
                backend.close(store);
                store = backend.open();
            }
        }
        let found = rows(&store).into_iter();
        let found: Vec<_> = found.map(|row| ((row.table, row.key), row.value)).collect();
        let expected: Vec<_> = model.clone().into_iter().collect();
        prop_assert_eq!(found, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_memory_agrees_with_a_map(steps in any_steps()) {
        agrees_with_a_map(InMemory::default(), &steps)?;
    }

    #[test]
    fn a_folder_agrees_with_a_map(steps in any_steps()) {
        agrees_with_a_map(InFolder::default(), &steps)?;
    }
}
