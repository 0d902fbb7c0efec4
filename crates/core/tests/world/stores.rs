//! Runtimes of a world that have a store: slow or full, and cut off from power.

use byline_core::identity::Key;
use byline_core::runtime::{FlushError, Input, Resumed, Role, Runtime, Seat};
use byline_core::storage::{Batch, Table};
use serde_json::Value;

use super::children::ChildrenMirror;
use super::disk::{Cut, Disk};
use super::place::{Mirror, Place};
use super::{DOMAIN, Who, World};

impl World {
    /// One more runtime, with a store.
    pub fn runtime_with_disk(&mut self) -> Who {
        self.runtime_with_disk_of(u8::try_from(self.places.len()).unwrap() + 1)
    }

    /// One more runtime, with a store, of the identity with this number.
    pub fn runtime_with_disk_of(&mut self, identity: u8) -> Who {
        let who = self.places.len();
        let runtime = machine(who, identity, &mut Disk::default());
        self.places.push(Place::new(runtime));
        self.places[who].disk = Some(Disk::default());
        who
    }

    /// One more device of the identity with this number, with a store.
    pub fn device_with_disk(&mut self, identity: u8) -> Who {
        let who = self.runtime_with_disk();
        let key = (Table::Keys, b"identity".to_vec());
        self.disk_of(who).rows.insert(key, vec![identity; 32]);
        self.power_cut(who);
        who
    }

    /// A runtime's disk.
    pub fn disk_of(&mut self, who: Who) -> &mut Disk {
        self.places[who].disk.as_mut().expect("it has a disk")
    }

    pub(super) fn disk_of_runtime_takes(&mut self, who: Who, batch: Batch) {
        let disk = self.disk_of(who);
        assert_eq!(disk.under_way, None, "one batch at a time");
        disk.batches += 1;
        if disk.cut == Some(Cut::After(disk.batches)) {
            disk.write(&batch);
        }
        if disk.waits || disk.is_cut() {
            disk.under_way = Some(batch);
        } else {
            disk.write(&batch);
            let now = self.now;
            self.machine(who).handle(Input::Stored, now);
        }
    }

    /// The disk has done what it was asked for; says whether there was anything.
    pub fn writes_to_disk(&mut self, who: Who) -> bool {
        let Some(batch) = self.disk_of(who).under_way.take() else {
            return false;
        };
        self.disk_of(who).write(&batch);
        self.tell(who, Input::Stored);
        true
    }

    /// Asks when everything written is stored.
    pub fn flushes(&mut self, seat: &Seat) -> Result<u64, FlushError> {
        let (who, now) = (self.who(seat), self.now);
        self.machine(who).flush(seat, now)
    }

    /// Those whose power fails there are cut off from it.
    pub(super) fn power_fails(&mut self) {
        for who in 0..self.places.len() {
            if self.places[who].disk.as_ref().is_some_and(Disk::is_cut) {
                self.power_cut(who);
            }
        }
    }

    /// The disk says no.
    pub fn fails_to_write(&mut self, who: Who, why: &str) {
        self.tell(who, Input::NotStored(why));
    }

    /// The power of a runtime is cut: what it had not stored is gone, and it starts again with what it had. Its
    /// hyperties are there at once; says what went on by itself.
    pub fn power_cut(&mut self, who: Who) -> Vec<Resumed> {
        self.starts_asleep(who);
        self.wakes(who)
    }

    /// The same, but for its hyperties.
    pub fn starts_asleep(&mut self, who: Who) {
        let mut disk = self.disk_of(who).clone();
        let runtime = machine(who, u8::try_from(who).unwrap() + 1, &mut disk);
        if let Some(link) = self.places[who].link.take() {
            self.lost(link.connection);
        }
        let before = std::mem::replace(&mut self.places[who], Place::new(runtime));
        self.places[who].network = before.network;
        self.places[who].hyperties = before.hyperties;
        self.places[who].disk = Some(disk);
    }

    /// Its hyperties are there again; says what went on by itself.
    pub fn wakes(&mut self, who: Who) -> Vec<Resumed> {
        let mut resumed = Vec::new();
        for hyperty in self.places[who].hyperties.clone() {
            let now = self.now;
            resumed.extend(self.machine(who).wake(&hyperty, now));
        }
        for one in &resumed {
            let states = vec![one.state.clone()];
            self.places[who].states.insert(one.seat.clone(), states);
            let chat = self.places[who].runtime.children(&one.seat, "chat");
            if let Some(mirror) = chat.map(ChildrenMirror::of) {
                let chat = (one.seat.clone(), "chat".to_owned());
                self.places[who].children.insert(chat, mirror);
            }
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

fn machine(who: Who, identity: u8, disk: &mut Disk) -> Runtime {
    let key = Key::from_bytes(&[identity; 32]);
    let seed = 101 + u8::try_from(who + disk.batches % 100).unwrap();
    let rows = disk.after_a_power_cut();
    Runtime::restored(DOMAIN, key, [seed; 32], rows).unwrap()
}
