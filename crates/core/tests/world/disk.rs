//! What a runtime of the world has its store in: a disk that fails, that is slow, and that a power cut leaves
//! as it was after the last batch that was stored.

use std::collections::BTreeMap;

use byline_core::identity::Key;
use byline_core::runtime::{Input, Resumed, Role, Runtime};
use byline_core::storage::{Batch, Row, Table, Write};
use serde_json::Value;

use super::place::{Mirror, Place};
use super::{DOMAIN, Who, World};

#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// What is under way, while it is slow or fails.
    pub under_way: Option<Batch>,
    /// Batches wait until [`World::writes_to_disk`].
    pub slow: bool,
    /// How many batches it has stored.
    pub batches: usize,
}

impl Disk {
    pub fn commit(&mut self, batch: &Batch) {
        self.batches += 1;
        for write in batch.writes() {
            match write.clone() {
                Write::Put(Row { table, key, value }) => _ = self.rows.insert((table, key), value),
                Write::Remove(table, key) => _ = self.rows.remove(&(table, key)),
                Write::RemoveRange(table, range) => self
                    .rows
                    .retain(|(of, key), _| *of != table || !range.contains(key)),
            }
        }
    }

    /// Every row, in order.
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.rows.clone().into_iter();
        rows.map(|((table, key), value)| Row { table, key, value })
            .collect()
    }

    /// How many rows there are of a table.
    pub fn count(&self, table: Table) -> usize {
        self.rows.keys().filter(|(of, _)| *of == table).count()
    }
}

impl World {
    /// One more runtime, with a store.
    pub fn runtime_with_disk(&mut self) -> Who {
        let number = u8::try_from(self.places.len()).unwrap() + 1;
        let runtime = machine(number, &Disk::default());
        self.places.push(Place::new(runtime));
        self.places[usize::from(number) - 1].disk = Some(Disk::default());
        usize::from(number) - 1
    }

    pub fn disk(&mut self, who: Who) -> &mut Disk {
        self.places[who].disk.as_mut().expect("it has a disk")
    }

    pub(super) fn stores(&mut self, who: Who, batch: Batch) {
        let disk = self.disk(who);
        assert_eq!(disk.under_way, None, "one batch at a time");
        if disk.slow {
            disk.under_way = Some(batch);
        } else {
            disk.commit(&batch);
            let now = self.now;
            self.machine(who).handle(Input::Stored, now);
        }
    }

    /// The disk has done what it was asked for; says whether there was anything.
    pub fn writes_to_disk(&mut self, who: Who) -> bool {
        let Some(batch) = self.disk(who).under_way.take() else {
            return false;
        };
        self.disk(who).commit(&batch);
        self.tell(who, Input::Stored);
        true
    }

    /// The disk says no.
    pub fn fails_to_write(&mut self, who: Who, why: &str) {
        self.tell(who, Input::NotStored(why));
    }

    /// The power of a runtime is cut: what it had not stored is gone, and it starts again with what it had. Its
    /// hyperties are there at once; says what went on by itself.
    pub fn power_cut(&mut self, who: Who) -> Vec<Resumed> {
        let disk = Disk {
            under_way: None,
            ..self.disk(who).clone()
        };
        self.starts_with(who, disk)
    }

    /// A runtime ends, and starts with what is on this disk.
    pub fn starts_with(&mut self, who: Who, disk: Disk) -> Vec<Resumed> {
        let seed = u8::try_from(who).unwrap() + 1;
        let runtime = machine(seed, &disk);
        if let Some(link) = self.places[who].link.take() {
            self.lost(link.connection);
        }
        let before = std::mem::replace(&mut self.places[who], Place::new(runtime));
        self.places[who].network = before.network;
        self.places[who].hyperties = before.hyperties;
        self.places[who].disk = Some(disk);
        let mut resumed = Vec::new();
        for hyperty in self.places[who].hyperties.clone() {
            let now = self.now;
            resumed.extend(self.machine(who).wake(&hyperty, now));
        }
        for one in &resumed {
            let states = vec![one.state.clone()];
            self.places[who].states.insert(one.seat.clone(), states);
            let copy = self.places[who].runtime.observer(&one.seat);
            let parts = copy.and_then(|copy| Some((copy.data()?, copy.position()?)));
            if let (Role::Observer, Some((data, position))) = (one.role, parts) {
                let mirror = Mirror::of(Value::clone(&data), position);
                self.places[who].mirrors.insert(one.seat.clone(), mirror);
            }
        }
        self.collect();
        resumed
    }
}

fn machine(number: u8, disk: &Disk) -> Runtime {
    let key = Key::from_bytes(&[number; 32]);
    let seed = 100 + number + u8::try_from(disk.batches % 100).unwrap();
    Runtime::restored(DOMAIN, key, [seed; 32], disk.rows()).unwrap()
}
