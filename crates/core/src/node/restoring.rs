//! A node goes on from what rests of it: the rows that `resting.rs` tells of are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::grants::Grant;
use super::object::{Object, Record};
use super::resting::{AtRest, ClaimRow};
use super::{Node, Timer};
use crate::address::Address;
use crate::children::Restored;
use crate::limits::GRACE_MS;
use crate::storage::{Row, Table, UnreadableRow};
use crate::stream::{KeptSnapshot, Outgrown, Position};
use crate::time::Time;

impl Node {
    /// Goes on from `rows`, which a store holds, and from now on keeps there what it promises: it puts out
    /// [`Output::Store`](super::Output::Store), and nothing that was decided after a change before that is stored. Call it before
    /// the first input, with no rows where the store is new. Rows of tables that no node writes are passed over.
    ///
    /// # Errors
    /// [`UnreadableRow`]. The node is of no use then.
    pub fn restore(
        &mut self,
        rows: impl IntoIterator<Item = Row>,
        now: Time,
    ) -> Result<(), UnreadableRow> {
        let mut children = BTreeMap::new();
        for row in rows {
            self.restore_row(&row, &mut children)
                .map_err(|why| UnreadableRow::of(row.table, &row.key, why))?;
        }
        self.restore_children(children).map_err(|(url, why)| {
            UnreadableRow::of(Table::Collections, url.as_str().as_bytes(), why)
        })?;
        let at = now.plus_ms(GRACE_MS);
        for object in self.objects.values_mut() {
            if object.record.is_none() {
                continue;
            }
            object.away_since = Some(now);
            object.last_commit = now;
            match object.expires {
                Some(at) => drop(self.timers.insert((at, Timer::Expired(object.url.clone())))),
                None => object.expected = true,
            }
        }
        self.timers.insert((at, Timer::Expected));
        self.outbox.keeps();
        Ok(())
    }

    /// Rows come in the order of their tables: a claim before what else is known of its object.
    fn restore_row(
        &mut self,
        row: &Row,
        children: &mut BTreeMap<Address, Restored>,
    ) -> Result<(), String> {
        match row.table {
            Table::Claims => {
                let claim: ClaimRow = read(&row.value)?;
                if let Some(identity) = &claim.identity {
                    self.named.add(&claim.reporter, identity);
                }
                let object = self.restored(&row.key)?;
                object.expires = claim.expires.map(Time::from_unix_ms);
                object.record = Some(claim.into());
            }
            Table::Positions => self.claimed(&row.key)?.position = position(&row.value)?,
            Table::Grants => {
                let mut parts = row.key.splitn(2, |byte| *byte == 0);
                let (url, hyperty) = (parts.next(), parts.next());
                let hyperty = address(hyperty.unwrap_or_default())?;
                let grant: Grant = read(&row.value)?;
                self.named.add(&hyperty, grant.identity());
                let record = self.claimed(url.unwrap_or_default())?;
                record.grants.restore(hyperty, grant);
            }
            Table::Snapshots => {
                let snapshot: KeptSnapshot = read(&row.value)?;
                self.claimed(&row.key)?;
                let url = address(&row.key)?;
                let object = self.objects.get_mut(&url).ok_or_else(no_claim)?;
                object.at_rest = Some(AtRest {
                    position: snapshot.position,
                    after: Outgrown::default(),
                });
                self.contents.keeps(object, snapshot.into());
            }
            Table::Commits => {
                let mut parts = row.key.splitn(2, |byte| *byte == 0);
                let url = address(parts.next().unwrap_or_default())?;
                let position = position(parts.next().unwrap_or_default())?;
                let body: Arc<RawValue> = read(&row.value)?;
                let object = self.objects.get_mut(&url).ok_or_else(no_claim)?;
                let kept = object.content.as_mut().zip(object.at_rest.as_mut());
                let (content, at_rest) = kept.ok_or_else(no_claim)?;
                at_rest.position = position;
                at_rest.after.count(body.get().len());
                if !content.stream.commit(position, body) {
                    return Err("it does not follow the one before".to_owned());
                }
                self.contents.uses(object);
            }
            Table::Children | Table::Collections => {
                let mut parts = row.key.splitn(2, |byte| *byte == 0);
                let url = address(parts.next().unwrap_or_default())?;
                let rows = children.entry(url).or_default();
                rows.row(row.table, parts.next().unwrap_or_default(), &row.value)?;
            }
            Table::Tombstones => {
                self.restored(&row.key)?.deleted = Some(time(&row.value)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn restored(&mut self, url: &[u8]) -> Result<&mut Object, String> {
        let url = address(url)?;
        self.object_at(&url)
            .ok_or_else(|| "there are more objects than a node keeps".to_owned())
    }

    fn claimed(&mut self, url: &[u8]) -> Result<&mut Record, String> {
        let record = self.restored(url)?.record.as_mut();
        record.ok_or_else(no_claim)
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

fn address(bytes: &[u8]) -> Result<Address, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    Address::parse(text).map_err(|error| error.to_string())
}

fn position(bytes: &[u8]) -> Result<Position, String> {
    let (epoch, version) = bytes.split_at_checked(8).ok_or_else(too_short)?;
    Ok(Position::new(number(epoch)?, number(version)?))
}

fn time(bytes: &[u8]) -> Result<Time, String> {
    number(bytes).map(Time::from_unix_ms)
}

fn number(bytes: &[u8]) -> Result<u64, String> {
    bytes
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| too_short())
}

fn no_claim() -> String {
    "there is no claim of its object".to_owned()
}

fn too_short() -> String {
    "a number has 8 bytes".to_owned()
}
