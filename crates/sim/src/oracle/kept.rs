//! What a node with a disk has said is what it finds there when it comes back (ARCHITECTURE.md, invariant 7):
//! kept apart from the node's own records, and compared with its rows.

use std::collections::BTreeMap;

use byline_core::address::Address;
use byline_core::message::body::{Access, Claimed};
use byline_core::message::{Header, Type};
use byline_core::storage::Table;
use byline_core::stream::{CommitHeader, Head, Position};
use serde_json::Value;

use super::{Oracle, Rule};
use crate::disk::Disk;
use crate::world::Peer;

/// What was said of one object.
#[derive(Debug, Default)]
struct Said {
    /// The highest position that anybody was given, as a commit or as content.
    position: Option<Position>,
    /// The highest that a head named: where the claim begins, too, while commits up to there are on their way.
    named: Option<Position>,
    /// The last epoch, and who has it.
    epoch: Option<(u64, Peer)>,
    /// The version up to which its Reporter was told that the content is stored.
    stored: Option<u64>,
}

/// What was said of all objects.
#[derive(Debug, Default)]
pub(super) struct Kept {
    said: BTreeMap<String, Said>,
}

impl Oracle {
    /// The node gives somebody a commit, a head or content.
    pub(super) fn gives(&mut self, header: &Header<'_>) {
        let object = match header.kind {
            Type::Update => &*header.from,
            Type::Response => header.from.trim_end_matches("/subscription"),
            _ => return,
        };
        if !self.has_disk || self.granted.is_free(object) {
            return;
        }
        let position = if header.kind == Type::Response {
            content_position(header.body)
        } else if header.body.contains("\"position\"") {
            let head = header.decode::<Head>().ok();
            if let Some(stored) = head.as_ref().and_then(|head| head.stored) {
                self.kept.of(object).stored = Some(stored);
            }
            let said = self.kept.of(object);
            said.named = said.named.max(head.map(|head| head.position));
            return;
        } else {
            let commit = CommitHeader::peek(header.body).ok();
            commit.map(|commit| commit.position)
        };
        if position.is_some() {
            let said = self.kept.of(object);
            said.position = said.position.max(position);
        }
    }

    /// A claim is granted: its epoch was never given to anybody else.
    pub(super) fn gives_epoch(
        &mut self,
        object: &Address,
        peer: Peer,
        claimed: &Claimed,
        anew: bool,
    ) {
        let said = self.kept.of(object.as_str());
        let before = said.epoch.replace((claimed.epoch, peer));
        if anew || !claimed.cache {
            said.stored = None;
        }
        // Up to where an earlier claim would have gone is of no account.
        said.named = None;
        said.position = said.position.max(Some(claimed.position));
        let new = before.is_none_or(|(epoch, whose)| {
            claimed.epoch > epoch || claimed.epoch == epoch && whose == peer
        });
        self.expects(new, Rule::Stored, || {
            format!(
                "{object}: {peer:?} is given {}, after {before:?}",
                claimed.epoch
            )
        });
    }

    /// The node starts again with what `disk` holds, and has all that it ever said.
    pub(crate) fn node_returns(&mut self, disk: &Disk, evicts: bool) {
        self.books.forget_holders();
        let rows = |table| -> BTreeMap<String, Vec<u8>> {
            let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
            let rows = disk.table(table);
            rows.map(|(key, value)| (text(key), value.to_vec()))
                .collect()
        };
        for (object, _) in rows(Table::Tombstones) {
            if !self.granted.is_deleted(&object) {
                let asked = self.answers.is_asked(&object);
                self.expects(asked, Rule::Stored, || {
                    format!("{object} is deleted, and nobody asked for that")
                });
                self.granted.deleted(&object);
            }
        }
        let (claims, positions) = (rows(Table::Claims), rows(Table::Positions));
        for (object, row) in &claims {
            let row: Value = serde_json::from_slice(row).unwrap_or_default();
            let at = positions.get(object).and_then(|at| position(at));
            self.object_returns(object, &row, at, disk, evicts);
        }
        for object in self.granted.known() {
            let there = claims.contains_key(&object);
            self.expects(there, Rule::Stored, || {
                format!("the node has lost the claim of {object}")
            });
        }
        self.answers = super::Answers::default();
    }

    fn object_returns(
        &mut self,
        object: &str,
        row: &Value,
        at: Option<Position>,
        disk: &Disk,
        evicts: bool,
    ) {
        if self.granted.is_free(object) {
            return;
        }
        let asked = self.answers.is_asked(object);
        let said = self.kept.of(object);
        let (given, named, stored) = (said.position, said.named, said.stored);
        let epoch = said.epoch.map(|(epoch, _)| epoch);
        self.expects(at >= given, Rule::Stored, || {
            format!("the node comes back with {object} at {at:?}, and gave {given:?} away")
        });
        let begun = row["base"][0].as_u64().zip(row["base"][1].as_u64());
        let begun = begun.map(|(epoch, version)| Position::new(epoch, version));
        // A claim that was granted and not said may begin below what the one before named.
        self.expects(at.max(begun) >= named || asked, Rule::Stored, || {
            format!("the node comes back with {object} at {at:?}, and said that it is at {named:?}")
        });
        self.expects(row["epoch"].as_u64() >= epoch, Rule::Stored, || {
            format!("the node comes back with {object} in {row}, and gave epoch {epoch:?} away")
        });
        let content = content_version(disk, object);
        let kept = content >= stored || asked || evicts;
        self.expects(kept, Rule::Stored, || {
            format!("{object} was said to be stored up to {stored:?}, and is up to {content:?}")
        });
        if asked {
            // It may have granted what begins without that.
            self.kept.of(object).stored = None;
        }
        if let Some(at) = at {
            self.books.stands(object, at);
        }
        let access: Access = serde_json::from_value(row["access"].clone()).unwrap_or_default();
        let same = self.granted.returns(object, access) || asked;
        self.expects(same, Rule::Stored, || {
            format!("{object} comes back with another access than was said: {row}")
        });
        self.owners_return(object, row, asked);
        self.children_return(object, row, disk, asked);
    }
}

impl Kept {
    fn of(&mut self, object: &str) -> &mut Said {
        if !self.said.contains_key(object) {
            self.said.insert(object.to_owned(), Said::default());
        }
        self.said.entry(object.to_owned()).or_default()
    }

    /// The node has no disk: it knows nothing of what it said.
    pub(super) fn forget(&mut self) {
        self.said.clear();
    }
}

/// Where content says that its object stands.
pub(super) fn content_position(body: &str) -> Option<Position> {
    let (_, rest) = body.split_once("\"position\":[")?;
    let (epoch, version) = rest.split_once(']')?.0.split_once(',')?;
    Some(Position::new(epoch.parse().ok()?, version.parse().ok()?))
}

/// The version up to which `disk` has what an object holds.
fn content_version(disk: &Disk, object: &str) -> Option<u64> {
    let mut snapshots = disk.table(Table::Snapshots);
    let snapshot = snapshots.find(|(key, _)| *key == object.as_bytes())?.1;
    let snapshot: Value = serde_json::from_slice(snapshot).ok()?;
    let of = |key: &[u8]| {
        let rest = key.strip_prefix(object.as_bytes())?.strip_prefix(&[0])?;
        position(rest)
    };
    let last = disk.table(Table::Commits).filter_map(|(key, _)| of(key));
    let last = last.last().map(|last| last.version);
    last.or_else(|| snapshot["position"][1].as_u64())
}

pub(super) fn position(bytes: &[u8]) -> Option<Position> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    let (epoch, version) = bytes.split_at_checked(8)?;
    Some(Position::new(number(epoch)?, number(version)?))
}
