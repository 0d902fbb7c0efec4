use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Mutex;

use byline_core::storage::{Row, Table};

use super::*;
use crate::{Memory, Rows};

/// A store that others can look into, on a disk that fails as it is told.
#[derive(Clone, Default)]
struct Disk {
    store: Arc<Mutex<Memory>>,
    failures: Arc<Mutex<VecDeque<ErrorKind>>>,
}

impl Disk {
    fn failing(failures: impl IntoIterator<Item = ErrorKind>) -> Self {
        let failures = Arc::new(Mutex::new(failures.into_iter().collect()));
        Self {
            failures,
            ..Self::default()
        }
    }

    fn content(&self) -> Vec<Row> {
        let store = self.store.lock().unwrap();
        store.rows().unwrap().collect::<Result<_, _>>().unwrap()
    }
}

impl Store for Disk {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self.failures.lock().unwrap().pop_front() {
            Some(kind) => Err(StoreError::from_io(
                Path::new("disk"),
                io::Error::from(kind),
            )),
            None => self.store.lock().unwrap().commit(batch),
        }
    }

    fn rows(&self) -> Result<Rows<'_>, StoreError> {
        unreachable!("a writer reads nothing")
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        unreachable!("a writer reads nothing")
    }
}

fn one(key: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(Table::Children, key, "value");
    batch
}

fn keys(rows: &[Row]) -> Vec<&str> {
    rows.iter()
        .map(|row| str::from_utf8(&row.key).unwrap())
        .collect()
}

/// A writer on `disk`, and what it says of each try.
fn started(disk: &Disk, pause: Duration) -> (Writer, Receiver<Result<(), StoreError>>) {
    let (sender, said) = channel();
    let on_done = move |outcome| sender.send(outcome).unwrap();
    let writer = Writer::start_pausing(disk.clone(), on_done, pause).unwrap();
    (writer, said)
}

#[test]
fn a_batch_is_there_when_it_is_told_as_stored() {
    let disk = Disk::default();
    let (writer, said) = started(&disk, PAUSE_MIN);
    for (count, key) in ["a", "b", "c"].into_iter().enumerate() {
        writer.write(one(key));
        said.recv().unwrap().unwrap();
        assert_eq!(disk.content().len(), count + 1);
    }
    writer.stop().unwrap();
    assert_eq!(keys(&disk.content()), ["a", "b", "c"]);
}

#[test]
fn a_batch_that_cannot_be_written_is_tried_until_it_is_and_each_failure_is_told() {
    let disk = Disk::failing([ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem]);
    let (writer, said) = started(&disk, Duration::ZERO);
    writer.write(one("a"));
    assert!(matches!(said.recv().unwrap(), Err(StoreError::Full(_))));
    assert!(matches!(said.recv().unwrap(), Err(StoreError::ReadOnly(_))));
    said.recv().unwrap().unwrap();
    assert_eq!(keys(&disk.content()), ["a"]);
    writer.write(one("b"));
    said.recv().unwrap().unwrap();
    assert_eq!(keys(&disk.content()), ["a", "b"]);
}

#[test]
fn stopping_waits_for_the_batch_under_way() {
    let disk = Disk::default();
    let (writer, said) = started(&disk, PAUSE_MIN);
    writer.write(one("a"));
    writer.stop().unwrap();
    assert_eq!(keys(&disk.content()), ["a"]);
    assert!(said.recv().unwrap().is_ok());
    assert!(said.recv().is_err(), "told once");
}

#[test]
fn stopping_gives_a_failing_batch_one_last_try_without_a_pause() {
    let forever = Duration::from_secs(1 << 40);
    let disk = Disk::failing([ErrorKind::StorageFull]);
    let (writer, said) = started(&disk, forever);
    writer.write(one("a"));
    assert!(said.recv().unwrap().is_err());
    writer.stop().unwrap();
    assert_eq!(keys(&disk.content()), ["a"]);

    let disk = Disk::failing([ErrorKind::StorageFull; 2]);
    let (writer, said) = started(&disk, forever);
    writer.write(one("a"));
    assert!(said.recv().unwrap().is_err());
    assert!(matches!(writer.stop(), Err(StoreError::Full(_))));
    assert!(disk.content().is_empty());
}

#[test]
fn dropping_it_stops_it() {
    let disk = Disk::default();
    let (writer, _said) = started(&disk, PAUSE_MIN);
    writer.write(one("a"));
    drop(writer);
    assert_eq!(keys(&disk.content()), ["a"]);
}
