//! What rests of a node between two lives (docs/decisions/0010-one-batch-at-a-time.md): its claim records,
//! where each object stands, who was let in, and what is deleted. Here the rows are written; `restoring.rs` reads them.
//!
//! | table | key | value |
//! |---|---|---|
//! | claims | the object | a [`ClaimRow`] as JSON |
//! | positions | the object | epoch and version, big endian |
//! | grants | the object, the hyperty | a [`Grant`] as JSON |
//! | snapshots | the object | a [`KeptSnapshot`](crate::stream::KeptSnapshot) as JSON |
//! | commits | the object, epoch and version, big endian | the commit's body as it came |
//! | children, collections | the object, and as `children/rest.rs` says | its children, where the node keeps them |
//! | tombstones | the object | when it was deleted, in Unix milliseconds, big endian |

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::grants::Grants;
use super::object::{Object, Record};
use super::owners::Handover;
use super::{Node, Output};
use crate::address::Address;
use crate::children::remove_rows;
use crate::identity::Identity;
use crate::message::body::Access;
use crate::storage::{Batch, Table, key};
use crate::stream::{Outgrown, Position};
use crate::time::Time;

/// What of an object its rows do not say yet.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    listed: bool,
    pub(super) claim: bool,
    pub(super) position: bool,
    pub(super) grants: BTreeSet<Address>,
    /// The names of which no children are kept any more.
    pub(super) names_gone: BTreeSet<String>,
}

impl Unstored {
    /// Whether the object is among those of the next batch.
    pub(super) const fn is_listed(&self) -> bool {
        self.listed
    }

    pub(super) const fn list(&mut self) {
        self.listed = true;
    }

    /// The grant of `hyperty` began, changed or ended.
    pub(super) fn grant(&mut self, hyperty: &Address) {
        self.grants.insert(hyperty.clone());
    }
}

/// What rests of what an object holds: a snapshot and the commits after it.
#[derive(Debug)]
pub(super) struct AtRest {
    /// That of the newest commit.
    pub(super) position: Position,
    pub(super) after: Outgrown,
}

/// A claim record as it rests, but for its position and its grants.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClaimRow {
    owners: BTreeSet<Identity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Identity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<Identity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handover: Option<Handover>,
    epoch: u64,
    base: Position,
    access: Access,
    pub(super) reporter: Address,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    children: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    keep: BTreeMap<String, usize>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cache: bool,
    /// When it goes, in Unix milliseconds, as nobody holds the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<u64>,
}

impl Node {
    /// Everything that changed since the last batch, when there is anything and no batch is under way; else what no longer
    /// waits.
    pub(super) fn next_batch(&mut self) -> Option<Output> {
        let changed = self.outbox.take_changed();
        if changed.is_empty() {
            return None;
        }
        let mut batch = Batch::default();
        for url in &changed {
            let Some(object) = self.objects.get_mut(url) else {
                continue;
            };
            if !object.write_content(&mut batch) {
                // What its Reporter wrote cannot be applied: nothing is kept of it, then.
                self.contents.drops(object);
                object.write_content(&mut batch);
            }
            object.write_rows(&mut batch);
        }
        self.outbox.batch_begins(changed);
        if batch.is_empty() {
            // All of it is stored as it is: nothing waits for it.
            self.outbox.batch_stored();
            return self.outbox.pop();
        }
        Some(Output::Store(batch))
    }

    /// Bytes of what waits to be given out until a change before it is stored. A driver that reads no more
    /// from its sockets while they are above [`crate::limits::HELD_BYTES_MAX`] keeps them bounded.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.outbox.held_bytes()
    }

    /// Why what has changed cannot be stored, in the words of [`super::Input::NotStored`], while that is so.
    #[must_use]
    pub const fn not_stored(&self) -> Option<&Arc<str>> {
        self.outbox.not_stored()
    }

    /// Those who wrote before the node was started had their grace time. Who has not come back is gone.
    pub(super) fn no_longer_expected(&mut self, now: Time) {
        let expected = |object: &mut Object| take(&mut object.expected).then(|| object.url.clone());
        let gone: Vec<_> = self.objects.values_mut().filter_map(expected).collect();
        for url in gone {
            self.expires_later(&url, now);
            self.refuse_waiting(&url);
        }
    }
}

impl Object {
    /// Writes what has changed of it into `batch`.
    fn write_rows(&mut self, batch: &mut Batch) {
        let unstored = take(&mut self.unstored);
        let url = self.url.as_str();
        if let Some(deleted) = self.deleted {
            batch.put(Table::Tombstones, url, deleted.unix_ms().to_be_bytes());
            batch.remove(Table::Claims, url);
            batch.remove(Table::Positions, url);
            batch.remove_under(Table::Grants, &[url.as_bytes()]);
            remove_rows(url.as_bytes(), None, batch);
            return;
        }
        for name in unstored.names_gone {
            remove_rows(url.as_bytes(), Some(&name), batch);
        }
        let Some(record) = &self.record else { return };
        if unstored.claim {
            batch.put(Table::Claims, url, write(&record.row(self.expires)));
        }
        if unstored.position {
            batch.put(Table::Positions, url, record.position.to_bytes());
        }
        for hyperty in unstored.grants {
            let key = key(&[url.as_bytes(), hyperty.as_str().as_bytes()]);
            match record.grants.of(&hyperty) {
                Some(grant) => batch.put(Table::Grants, key, write(grant)),
                None => batch.remove(Table::Grants, key),
            }
        }
        let place = self.url.clone();
        for (name, reported) in self.collections_mut().into_iter().flatten() {
            let place = place.as_str().as_bytes();
            reported.collection.write_rows(place, name, batch);
        }
    }

    /// Writes what is new of what it holds: the commits, or the whole when they have outgrown it. Whether it
    /// could.
    fn write_content(&mut self, batch: &mut Batch) -> bool {
        let url = self.url.as_str();
        let Some(content) = &mut self.content else {
            if self.at_rest.take().is_some() {
                batch.remove(Table::Snapshots, url);
                batch.remove_under(Table::Commits, &[url.as_bytes()]);
            }
            return true;
        };
        let stream = &mut content.stream;
        if let Some(at_rest) = &mut self.at_rest
            && let Some(news) = stream.after(at_rest.position)
        {
            let mut after = at_rest.after;
            let mut rows = Batch::default();
            for (position, body) in news {
                after.count(body.get().len());
                let key = key(&[url.as_bytes(), &position.to_bytes()]);
                rows.put(Table::Commits, key, body.get());
            }
            if !after.is_more_than(stream.snapshot()) {
                *at_rest = AtRest {
                    position: stream.position(),
                    after,
                };
                batch.append(rows);
                return true;
            }
        }
        let whole = stream.fold();
        if whole {
            batch.put(Table::Snapshots, url, write(stream.snapshot()));
            batch.remove_under(Table::Commits, &[url.as_bytes()]);
            let (position, after) = (stream.position(), Outgrown::default());
            self.at_rest = Some(AtRest { position, after });
        }
        whole
    }
}

impl From<ClaimRow> for Record {
    fn from(claim: ClaimRow) -> Self {
        Self {
            owners: claim.owners,
            former: claim.former,
            identity: claim.identity,
            handover: claim.handover,
            epoch: claim.epoch,
            position: Position::default(),
            base: claim.base,
            access: claim.access,
            reporter: claim.reporter,
            children: claim.children,
            keep: claim.keep,
            grants: Grants::default(),
            cache: claim.cache,
        }
    }
}

impl Record {
    fn row(&self, expires: Option<Time>) -> ClaimRow {
        ClaimRow {
            owners: self.owners.clone(),
            former: self.former.clone(),
            identity: self.identity.clone(),
            handover: self.handover.clone(),
            epoch: self.epoch,
            base: self.base,
            access: self.access.clone(),
            reporter: self.reporter.clone(),
            children: self.children.clone(),
            keep: self.keep.clone(),
            cache: self.cache,
            expires: expires.map(Time::unix_ms),
        }
    }
}

fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
