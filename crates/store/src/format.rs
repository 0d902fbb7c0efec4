//! What a store says of itself: its format, and whose it is.

use byline_core::storage::Table;
use redb::{ReadTransaction, TableError, WriteTransaction};

use crate::database::definition;
use crate::{StoreError, Whose, place::Place};

/// The format that is written. It changes when rows mean something else than before, not when there are more tables.
pub(crate) const NEWEST: u32 = STEPS.len() as u32 + 1;

/// What makes a store of format 1 one of format 2, and so on.
const STEPS: [Step; 0] = [];

type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

const FORMAT: &[u8] = b"format";
const WHOSE: &[u8] = b"whose";

/// Notes that a store has the newest format, and whose it is.
pub(crate) fn note(write: &WriteTransaction, whose: &Whose) -> Result<(), redb::Error> {
    let mut meta = write.open_table(definition(Table::Meta))?;
    meta.insert(FORMAT, NEWEST.to_string().as_bytes())?;
    meta.insert(WHOSE, whose.note().as_bytes())?;
    Ok(())
}

/// The format of a store, and whose it is. Of a newer format nothing else is read.
pub(crate) fn read(place: &Place, read: &ReadTransaction) -> Result<(u32, Whose), StoreError> {
    let said = |key: &[u8]| {
        place.guard(|| match read.open_table(definition(Table::Meta)) {
            Ok(meta) => {
                let row = meta.get_owned(key)?;
                Ok(row.and_then(|row| String::from_utf8(row.value().to_vec()).ok()))
            }
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        })
    };
    let format = said(FORMAT)?.and_then(|format| format.parse().ok());
    let format = format.filter(|&format| format > 0);
    let format = format.ok_or_else(|| place.damaged("it does not say its format"))?;
    if format > NEWEST {
        return Err(StoreError::Newer {
            path: place.0.clone(),
            format,
            known: NEWEST,
        });
    }
    let whose = said(WHOSE)?.and_then(|note| Whose::from_note(&note));
    let whose = whose.ok_or_else(|| place.damaged("it does not say whose it is"))?;
    Ok((format, whose))
}

/// Makes a store of an older format one of the newest, in the transaction that says so.
pub(crate) fn migrate(write: &WriteTransaction, from: u32) -> Result<(), redb::Error> {
    migrate_by(&STEPS, write, from)
}

fn migrate_by(steps: &[Step], write: &WriteTransaction, from: u32) -> Result<(), redb::Error> {
    let done = from.saturating_sub(1) as usize;
    for step in steps.iter().skip(done) {
        step(write)?;
    }
    let newest = steps.len() + 1;
    let mut meta = write.open_table(definition(Table::Meta))?;
    meta.insert(FORMAT, newest.to_string().as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use byline_core::storage::Batch;
    use redb::ReadableTable as _;

    use super::*;
    use crate::database::{Check, Database};
    use crate::recorder::Recorder;

    fn open(recorder: &Recorder) -> Result<Database, StoreError> {
        let again = Recorder::new(recorder.file());
        Database::open(again, Place("here".into()), Check::Everything)
    }

    /// A store that says that it has `format`.
    fn noting(format: &str) -> Recorder {
        let recorder = Recorder::default();
        let (place, none) = (Place("here".into()), Box::new(std::iter::empty()));
        let mut made = Database::make(recorder.clone(), place, Whose::Runtime, none).unwrap();
        let mut batch = Batch::default();
        batch.put(Table::Meta, FORMAT, format);
        made.commit(&batch).unwrap();
        recorder
    }

    #[test]
    fn a_newer_format_is_refused_with_what_to_do() {
        let newer = noting(&(NEWEST + 1).to_string());
        let beside = Recorder::new(newer.file());
        let beside = Database::open_beside(beside, Place("here".into())).map(drop);
        for opened in [open(&newer).map(drop), beside] {
            assert_eq!(
                opened.unwrap_err().to_string(),
                format!(
                    "here has format {}, and this program knows formats up to {NEWEST}: run a newer one",
                    NEWEST + 1
                )
            );
        }
    }

    #[test]
    fn what_is_no_format_is_damage() {
        for none in ["0", "-1", "one", ""] {
            let damaged = open(&noting(none));
            assert!(
                matches!(damaged, Err(StoreError::Damaged { .. })),
                "{none:?}: {damaged:?}"
            );
        }
    }

    #[test]
    fn an_older_format_goes_through_every_later_step_in_order() {
        fn step(name: &'static [u8], write: &WriteTransaction) -> Result<(), redb::Error> {
            let mut keys = write.open_table(definition(Table::Keys))?;
            let before = keys.remove(b"steps".as_slice())?;
            let before = before.map_or_else(Vec::new, |before| before.value().to_vec());
            keys.insert(b"steps".as_slice(), [&before, name].concat().as_slice())?;
            Ok(())
        }
        let steps: [Step; 2] = [|write| step(b" to 2", write), |write| step(b" to 3", write)];
        for (from, expected) in [(1, " to 2 to 3"), (2, " to 3")] {
            let database = redb::Builder::new()
                .create_with_backend(redb::backends::InMemoryBackend::new())
                .unwrap();
            let write = database.begin_write().unwrap();
            migrate_by(&steps, &write, from).unwrap();
            let said = |table, key: &str| {
                let rows = write.open_table(definition(table)).unwrap();
                let row = rows.get(key.as_bytes()).unwrap().unwrap();
                String::from_utf8(row.value().to_vec()).unwrap()
            };
            assert_eq!(said(Table::Keys, "steps"), expected);
            assert_eq!(said(Table::Meta, "format"), "3");
        }
    }
}
