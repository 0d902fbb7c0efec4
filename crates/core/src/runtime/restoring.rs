//! A runtime as its store has it: the rows that `resting.rs` wrote.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::resting::{ClaimRow, CopyRow, GrantRow, Role, RuntimeRow};
use super::resuming::Asleep;
use super::session::Session;
use super::{Runtime, Seat};
use crate::address::Address;
use crate::identity::{Key, decode_bytes};
use crate::limits::CHILDREN_NAMES_MAX;
use crate::manager::Claim;
use crate::storage::{Row, Table, UnreadableRow};
use crate::stream::{ObserverStream, ReporterStream, Rows};
use crate::syncher::{ChildrenRows, Observer, Reporter};
use crate::time::Time;

/// Why a runtime cannot go on from its store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A row cannot be read.
    #[error(transparent)]
    Row(#[from] UnreadableRow),
    /// The store is a runtime's of another domain.
    #[error("the store is of `{url}`, and not of the domain {domain}: start with another store")]
    OtherDomain {
        /// That runtime.
        url: Address,
        /// This one's domain.
        domain: String,
    },
}

/// The rows of one place.
struct Found {
    place: (Seat, Role),
    claim: Vec<u8>,
    snapshot: Option<Vec<u8>>,
    commits: Vec<Vec<u8>>,
    unnumbered: Vec<(u64, Vec<u8>)>,
    grants: Vec<(String, Vec<u8>)>,
    children: ChildrenRows,
}

/// All rows of a store, before anything is made of them.
#[derive(Default)]
struct Store {
    key: Option<Key>,
    runtime: Option<RuntimeRow>,
    /// By the beginning of their keys.
    places: BTreeMap<Vec<u8>, Found>,
}

impl Runtime {
    /// A runtime as its store has it: with the same address, and with what rests, which goes on when
    /// [`Runtime::wake`] says so. `rows` are all rows of the store, those of each table in the order of their keys. `key` is
    /// for a store that has none yet: see [`Runtime::identity`].
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restored(
        domain: impl Into<String>,
        key: Key,
        seed: [u8; 32],
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<Self, RestoreError> {
        let mut store = Store::default();
        for Row { table, key, value } in rows {
            store
                .take(table, &key, value)
                .map_err(|why| UnreadableRow::of(table, &key, why))?;
        }
        let key = store.key.unwrap_or(key);
        let mut runtime = Self::new(domain, key, seed);
        runtime.resting.on = true;
        if let Some(RuntimeRow { url, nonce }) = store.runtime {
            runtime.goes_by(url, &nonce)?;
            runtime.resting.named = true;
        }
        for mut found in store.places.into_values() {
            let (seat, role) = found.place.clone();
            let children = std::mem::take(&mut found.children);
            let asleep = match role {
                Role::Reporter => runtime.reporter_of(&seat, found),
                Role::Observer => observer_of(found),
            };
            let of = |table: Table| {
                let key = seat.object.as_str().as_bytes();
                move |why| UnreadableRow::of(table, key, why)
            };
            let mut asleep = asleep.map_err(of(Table::Snapshots))?;
            let restored = asleep.restore_children(&seat.hyperty, children);
            restored.map_err(of(Table::Collections))?;
            runtime.resting.asleep.insert((seat, role), asleep);
        }
        Ok(runtime)
    }

    fn goes_by(&mut self, url: Address, nonce: &str) -> Result<(), RestoreError> {
        let unreadable = || UnreadableRow::of(Table::Addresses, b"runtime", "no nonce".to_owned());
        let nonce = decode_bytes(nonce).ok_or_else(unreadable)?;
        self.session = Session::new(&self.domain, &self.key, &nonce);
        if *self.url() != url {
            let domain = self.domain.clone();
            return Err(RestoreError::OtherDomain { url, domain });
        }
        Ok(())
    }

    fn reporter_of(&mut self, seat: &Seat, found: Found) -> Result<Asleep, String> {
        let row: ClaimRow = read(&found.claim)?;
        let grants = found.grants.iter().map(|(hyperty, row)| {
            let hyperty = Address::parse(hyperty).map_err(|error| error.to_string())?;
            Ok((hyperty, read::<GrantRow>(row)?.identity))
        });
        let grants = grants.collect::<Result<Vec<_>, String>>()?;
        let rows = found.rows()?.ok_or("there is no snapshot")?;
        let stream = ReporterStream::restored(seat.hyperty.clone(), &rows)?;
        let mut reporter = Reporter::new(&seat.object, stream);
        if row.children.len() > CHILDREN_NAMES_MAX {
            return Err("too many names of children".to_owned());
        }
        let begun = reporter.begin_children(&seat.hyperty, &row.children, Time::default());
        begun.map_err(|error| error.to_string())?;
        reporter.deleting = row.deleting;
        let mut claim = Claim {
            name: row.name,
            nonce: row.nonce,
            on_record: row.on_record,
            discard: row.discard,
            lost: row.lost,
            approve: row.approve,
            local: row.local,
            cache: row.cache,
            children: row.children,
            ..Claim::new(seat.hyperty.clone(), row.schema, row.access)
        };
        claim.approved_before(grants);
        self.files.keep_all(&seat.object, row.files);
        Ok(Asleep::Reporter(Box::new((claim, reporter))))
    }
}

fn observer_of(found: Found) -> Result<Asleep, String> {
    let CopyRow { since, heard } = read(&found.claim)?;
    let since = Time::parse_rfc3339(&since).ok_or("no time")?;
    let stream = ObserverStream::restored(heard, found.rows()?.as_ref())?;
    let observer = Observer::restored(stream, since);
    Ok(Asleep::Observer(Box::new(observer)))
}

impl Store {
    fn take(&mut self, table: Table, key: &[u8], value: Vec<u8>) -> Result<(), String> {
        match table {
            Table::Keys => {
                let secret = <[u8; 32]>::try_from(value).map_err(|_| "no key of 32 bytes")?;
                self.key = Some(Key::from_bytes(&secret));
            }
            Table::Addresses => self.runtime = Some(read(&value)?),
            Table::Claims => {
                self.found(key)?.0.claim = value;
            }
            Table::Grants
            | Table::Snapshots
            | Table::Commits
            | Table::Unnumbered
            | Table::Children
            | Table::Collections
            | Table::ChildWrites => {
                let (found, rest) = self.found(key)?;
                found.take(table, rest, value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Where a row of this key belongs, and what of the key is left.
    fn found<'key>(&mut self, key: &'key [u8]) -> Result<(&mut Found, &'key [u8]), String> {
        let mut ends = key.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let (place, rest) = match ends.nth(2) {
            Some((end, _)) => (&key[..end], &key[end + 1..]),
            None => (key, &[][..]),
        };
        // Read once for all rows of a place.
        if !self.places.contains_key(place) {
            let found = Found::at(place_of(place)?);
            self.places.insert(place.to_owned(), found);
        }
        let found = self.places.get_mut(place).ok_or("its place is lost")?;
        Ok((found, rest))
    }
}

impl Found {
    fn at(place: (Seat, Role)) -> Self {
        Self {
            place,
            claim: vec![],
            snapshot: None,
            commits: vec![],
            unnumbered: vec![],
            grants: vec![],
            children: ChildrenRows::default(),
        }
    }

    fn take(&mut self, table: Table, rest: &[u8], value: Vec<u8>) -> Result<(), String> {
        match table {
            Table::Grants => {
                let hyperty = String::from_utf8_lossy(rest).into_owned();
                self.grants.push((hyperty, value));
            }
            Table::Children | Table::Collections | Table::ChildWrites => {
                let hyperty = &self.place.0.hyperty;
                self.children.row(table, rest, &value, hyperty)?;
            }
            Table::Snapshots => self.snapshot = Some(value),
            Table::Unnumbered => {
                let version = rest.try_into().map_err(|_| "no version")?;
                self.unnumbered.push((u64::from_be_bytes(version), value));
            }
            _ => self.commits.push(value),
        }
        Ok(())
    }

    /// Those of its stream, if there is one.
    fn rows(self) -> Result<Option<Rows>, String> {
        let Some(snapshot) = self.snapshot else {
            return Ok(None);
        };
        let unnumbered_from = self.unnumbered.first().map_or(0, |(version, _)| *version);
        let unnumbered = self.unnumbered.into_iter().map(|(_, value)| raw(value));
        Ok(Some(Rows {
            snapshot: raw(snapshot)?,
            commits: self
                .commits
                .into_iter()
                .map(raw)
                .collect::<Result<_, _>>()?,
            unnumbered: unnumbered.collect::<Result<_, _>>()?,
            unnumbered_from,
        }))
    }
}

/// What the beginning of a row's key says.
fn place_of(key: &[u8]) -> Result<(Seat, Role), String> {
    let mut parts = key.split(|byte| *byte == 0);
    let mut address = || {
        let part = std::str::from_utf8(parts.next().unwrap_or_default());
        Address::parse(part.unwrap_or_default()).map_err(|error| error.to_string())
    };
    let (object, hyperty) = (address()?, address()?);
    let name = parts.next().unwrap_or_default();
    let role = [Role::Reporter, Role::Observer]
        .into_iter()
        .find(|role| role.name().as_bytes() == name)
        .ok_or("neither a Reporter's nor an Observer's")?;
    Ok((Seat { hyperty, object }, role))
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

fn raw(value: Vec<u8>) -> Result<Box<RawValue>, String> {
    let text = String::from_utf8(value).map_err(|error| error.to_string())?;
    RawValue::from_string(text).map_err(|error| error.to_string())
}
