//! What a file may hold when the power goes: every write and every sync is a moment at which it does.

use std::collections::BTreeMap;
use std::io::Write as _;

use byline_core::storage::{Batch, Row, Table, Write, key};

use crate::database::{Check, Database};
use crate::place::Place;
use crate::recorder::{Act, File, Recorder};
use crate::{StoreError, Whose};

const SEED: u64 = 0x5eed_0b17;
const BATCHES: usize = 200;

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// What a node writes: commits, the positions they lead to, now and then a snapshot in place of commits, the end of an
/// object.
fn batch(random: &mut Random, number: u64) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..=random.below(4) {
        let name = format!("ctxt://localhost/{}", random.below(6));
        let object = name.as_bytes();
        let mut value = |longest| vec![number as u8; random.below(longest) as usize];
        let (short, long) = (value(600), value(16_000));
        batch.put(Table::Commits, key(&[object, &number.to_be_bytes()]), short);
        batch.put(Table::Positions, object, number.to_be_bytes());
        if random.one_in(5) {
            batch.remove_under(Table::Commits, &[object]);
            batch.put(Table::Snapshots, object, long);
        }
        if random.one_in(12) {
            batch.remove(Table::Snapshots, object);
            batch.put(Table::Tombstones, object, "");
        }
    }
    batch
}

fn apply(rows: &mut Rows, batch: &Batch) {
    for write in batch.writes() {
        match write {
            Write::Put(Row { table, key, value }) => {
                rows.insert((*table, key.clone()), value.clone());
            }
            Write::Remove(table, key) => {
                rows.remove(&(*table, key.clone()));
            }
            Write::RemoveRange(table, range) => {
                rows.retain(|(of, key), _| of != table || !range.contains(key));
            }
        }
    }
}

fn place() -> Place {
    Place("image".into())
}

fn open(file: &File, check: Check) -> Result<(Recorder, Database), StoreError> {
    let recorder = Recorder::new(file.clone());
    let database = Database::open(recorder.clone(), place(), check)?;
    Ok((recorder, database))
}

fn found(database: &Database) -> Rows {
    let rows = database.rows().unwrap();
    rows.map(|row| row.unwrap())
        .map(|row| ((row.table, row.key), row.value))
        .collect()
}

/// A file whose power may go at any moment: what is on the disk for sure, and what was written since.
struct Disk {
    synced: File,
    since: Vec<Act>,
}

impl Disk {
    fn new(synced: File) -> Self {
        let since = Vec::new();
        Self { synced, since }
    }

    fn does(&mut self, act: Act) {
        if matches!(act, Act::Sync) {
            for act in self.since.drain(..) {
                self.synced.does(&act);
            }
        } else {
            self.since.push(act);
        }
    }

    /// Files that may be found now, with what was done to them.
    fn images(&self, random: &mut Random) -> Vec<(&'static str, File)> {
        let all = self.with(self.since.iter().cloned());
        let mut images = vec![("as written", all)];
        let Some((last, before)) = self.since.split_last() else {
            return images;
        };
        images.push(("nothing unsynced", self.synced.clone()));
        let torn = last.first_half();
        images.push((
            "half of the last",
            self.with(before.iter().cloned().chain(torn)),
        ));
        let torn = last.some_sectors(random);
        let torn = self.with(before.iter().cloned().chain(torn));
        images.push(("sectors of the last", torn));
        let some = self.since.iter().filter(|_| random.one_in(2)).cloned();
        let some: Vec<_> = some.collect();
        images.push(("some missing", self.with(some)));
        let mut order = self.since.clone();
        for index in (1..order.len()).rev() {
            order.swap(index, random.below(index as u64 + 1) as usize);
        }
        order.truncate(random.below(order.len() as u64 + 1) as usize);
        let parts = order.iter().flat_map(|act| match random.below(3) {
            0 => act.some_sectors(random),
            _ => vec![act.clone()],
        });
        let parts: Vec<_> = parts.collect();
        images.push(("in another order, in part", self.with(parts)));
        images
    }

    fn with(&self, acts: impl IntoIterator<Item = Act>) -> File {
        let mut file = self.synced.clone();
        for act in acts {
            file.does(&act);
        }
        file
    }
}

/// What was stored when, and what the file then went through.
struct Life {
    made: File,
    /// Each act, and how many batches had been told as stored before it.
    acts: Vec<(Act, usize)>,
    /// The rows after each number of batches.
    states: Vec<Rows>,
}

fn made() -> File {
    let recorder = Recorder::default();
    let none = Box::new(std::iter::empty());
    drop(Database::make(recorder.clone(), place(), Whose::Runtime, none).unwrap());
    recorder.file()
}

fn live() -> Life {
    let made = made();

    let mut random = Random(SEED);
    let (recorder, mut database) = open(&made, Check::Everything).unwrap();
    let mut acts = Vec::new();
    let mut states = vec![Rows::new()];
    let mut heard =
        |stored: usize| acts.extend(recorder.heard().into_iter().map(|act| (act, stored)));
    for number in 0..BATCHES {
        let batch = batch(&mut random, number as u64);
        let mut rows = states[number].clone();
        apply(&mut rows, &batch);
        states.push(rows);
        database.commit(&batch).unwrap();
        heard(number);
    }
    drop(database);
    heard(BATCHES);
    Life { made, acts, states }
}

#[test]
fn what_was_told_as_stored_survives_the_loss_of_power_at_every_write_and_every_sync() {
    let Life { made, acts, states } = live();
    let mut random = Random(!SEED);
    let mut disk = Disk::new(made);
    let mut images = BTreeMap::<_, usize>::new();
    let moments = acts.len();
    for (moment, (act, stored)) in acts.into_iter().enumerate() {
        disk.does(act);
        for (kind, file) in disk.images(&mut random) {
            let check = match random.below(2) {
                0 => Check::Everything,
                _ => Check::Nothing,
            };
            let (_, database) = open(&file, check)
                .unwrap_or_else(|error| panic!("moment {moment}, {kind}, {check:?}: {error}"));
            let rows = found(&database);
            let under_way = (stored + 1).min(BATCHES);
            assert!(
                states[stored..=under_way].contains(&rows),
                "moment {moment}, {kind}, {check:?}: {stored} batches were told as stored; found are those after {:?}",
                states.iter().position(|state| *state == rows)
            );
            *images.entry(kind).or_default() += 1;
        }
    }
    let total: usize = images.values().sum();
    // Shown though the test passes: the number says how much was tried.
    let _ = writeln!(
        std::io::stderr(),
        "{total} images of {moments} moments in {BATCHES} commits: {images:?}"
    );
    assert!(total > 2_000);
}

#[test]
fn a_disk_that_is_full_at_any_write_or_sync_has_a_batch_whole_or_not_at_all_and_takes_it_later() {
    let mut random = Random(SEED);
    let (mut file, mut rows) = (made(), Rows::new());
    let mut failures = 0;
    for number in 0..40 {
        let batch = batch(&mut random, number);
        let mut expected = rows.clone();
        apply(&mut expected, &batch);
        for acts in 0.. {
            let (recorder, mut database) = open(&file, Check::Nothing).unwrap();
            recorder.fill_after(acts);
            let outcome = database.commit(&batch);
            drop(database);
            let (recorder, mut database) = open(&recorder.file(), Check::Nothing).unwrap();
            let there = found(&database);
            if outcome.is_ok() {
                assert_eq!(there, expected, "batch {number} after {acts} acts");
                drop(database);
                file = recorder.file();
                break;
            }
            assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
            assert!(
                there == rows || there == expected,
                "batch {number} after {acts} acts"
            );
            database.commit(&batch).unwrap();
            assert_eq!(
                found(&database),
                expected,
                "batch {number} after {acts} acts"
            );
            failures += 1;
        }
        rows = expected;
    }
    assert!(failures > 300, "{failures}");
}
