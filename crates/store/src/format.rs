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
    let format = format.ok_or_else(|| place.damaged("it does not say its format"))?;
    if format > NEWEST {
        return Err(StoreError::Newer {
            path: place.path.clone(),
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
