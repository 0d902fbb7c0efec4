//! What of a runtime rests, and how it is handed to the store: one batch at a time, with all that has changed
//! since the last one (docs/decisions/0010-one-batch-at-a-time.md).
//!
//! | table | key | value |
//! |---|---|---|
//! | keys | `identity` | the key's 32 bytes |
//! | addresses | `runtime` | [`RuntimeRow`] |
//! | claims | place | [`ClaimRow`] of a Reporter, [`CopyRow`] of an Observer |
//! | grants | place, hyperty | who it is that the application let in |
//! | snapshots, commits, unnumbered | place, and position or version | of the stream |
//! | children, collections | place, and name | of the collections |
//! | child_writes | place, and name | of what the hyperty wrote to them |
//!
//! A place is an object, a hyperty, and what that is to the object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::resuming::Asleep;
use super::{Runtime, Seat};
use crate::address::Address;
use crate::identity::Identity;
use crate::message::body::Access;
use crate::storage::{Batch, Table, key};
use crate::stream::Heard;
use crate::syncher::{Observer, State};
use crate::time::Time;

/// What a hyperty is to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It writes the object.
    Reporter,
    /// It has a copy.
    Observer,
}

/// What rests, and what is to be stored of it.
#[derive(Debug, Default)]
pub(super) struct Resting {
    /// There is a store.
    pub(super) on: bool,
    /// The runtime's key and address are with the store.
    pub(super) named: bool,
    /// Who holds and reads these objects is to be stored.
    claims: BTreeSet<Address>,
    /// The streams of these are.
    streams: BTreeSet<(Seat, Role)>,
    /// The children of these are, and what is written to them.
    pub(super) children: BTreeSet<(Seat, Role)>,
    /// These rest no longer.
    gone: BTreeSet<(Seat, Role)>,
    /// What the next batch begins with: the claims of objects that were lost before they were stored.
    parting: Batch,
    /// The streams that the batch under way stores.
    under_way: BTreeSet<(Seat, Role)>,
    /// How many batches were put out, and how many of them are stored.
    made: u64,
    pub(super) stored: u64,
    /// Why the batch under way was not stored when that was tried last.
    pub(super) why: Option<Arc<str>>,
    /// What rested when the runtime started, and whose Syncher has not started since.
    pub(super) asleep: BTreeMap<(Seat, Role), Asleep>,
    /// What went on by itself, and was not asked for since.
    pub(super) resumed: BTreeSet<(Seat, Role)>,
}

/// The runtime's address, and what its id was minted with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RuntimeRow {
    pub(super) url: Address,
    pub(super) nonce: String,
}

/// What a Reporter's claim says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimRow {
    pub(super) schema: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<String>,
    pub(super) access: Access,
    pub(super) on_record: Access,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) discard: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) lost: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) approve: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) local: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) cache: bool,
    /// How many children are kept of each name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) children: BTreeMap<String, usize>,
    /// The names whose files are kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) files: BTreeSet<String>,
    /// Its end was commanded, and not answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleting: bool,
}

/// What an Observer knows beside its copy.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CopyRow {
    /// Until when the copy followed.
    pub(super) since: String,
    pub(super) heard: Heard,
}

/// Who it is that was let in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GrantRow {
    pub(super) identity: Identity,
}

impl Role {
    /// What it is called in a key.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reporter => "reporter",
            Self::Observer => "observer",
        }
    }
}

/// Where the rows are of what a hyperty is to an object.
pub(super) fn place(seat: &Seat, role: Role) -> Vec<u8> {
    let (object, hyperty) = (seat.object.as_str(), seat.hyperty.as_str());
    key(&[
        object.as_bytes(),
        hyperty.as_bytes(),
        role.name().as_bytes(),
    ])
}

fn json(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).unwrap_or_default()
}

impl Resting {
    /// The batch that brings what has changed up to now.
    pub(super) fn next(&self) -> u64 {
        let sets = [
            self.claims.is_empty(),
            self.streams.is_empty(),
            self.children.is_empty(),
            self.gone.is_empty(),
        ];
        let changed = sets.contains(&false) || !self.parting.is_empty();
        self.made + u64::from(changed)
    }

    /// The stream of one that is claimed no more, or not yet, is to be stored.
    pub(super) fn rests_anew(&mut self, seat: Seat, role: Role) {
        self.streams.insert((seat, role));
    }

    /// It rests no longer: nor do its rows.
    pub(super) fn forget(&mut self, seat: Seat, role: Role) {
        let one = (seat, role);
        self.streams.remove(&one);
        self.children.remove(&one);
        self.under_way.remove(&one);
        self.resumed.remove(&one);
        if role == Role::Reporter {
            self.claims.remove(&one.0.object);
        }
        self.gone.insert(one);
    }

    fn remove_gone(&mut self, batch: &mut Batch) {
        for (seat, role) in std::mem::take(&mut self.gone) {
            let place = place(&seat, role);
            for table in [
                Table::Claims,
                Table::Grants,
                Table::Snapshots,
                Table::Commits,
                Table::Unnumbered,
                Table::Children,
                Table::Collections,
                Table::ChildWrites,
            ] {
                batch.remove_under(table, &[&place]);
            }
        }
    }
}

impl Runtime {
    /// What is to be stored next, while nothing is being stored: [`Output::Store`](super::Output::Store) by itself, for a driver
    /// that takes nothing else at the moment. It is answered by [`Input::Stored`](super::Input::Stored). Costs nothing without a store, or
    /// while a batch is under way; else about as much as the changes since the last one.
    pub fn poll_batch(&mut self, now: Time) -> Option<Batch> {
        let resting = &mut self.resting;
        if !resting.on || resting.made > resting.stored {
            return None;
        }
        let mut batch = std::mem::take(&mut resting.parting);
        if !std::mem::replace(&mut resting.named, true) {
            self.store_names(&mut batch);
        }
        self.resting.remove_gone(&mut batch);
        for url in std::mem::take(&mut self.resting.claims) {
            self.store_claim(&url, &mut batch);
        }
        let streams = std::mem::take(&mut self.resting.streams);
        for (seat, role) in &streams {
            match role {
                Role::Reporter => self.store_reporter(seat, &mut batch),
                Role::Observer => self.store_observer(seat, now, &mut batch),
            }
        }
        for (seat, role) in std::mem::take(&mut self.resting.children) {
            self.store_children(&seat, role, &mut batch);
        }
        self.resting.under_way = streams;
        if batch.is_empty() {
            // What was to be stored is there no longer.
            self.says_what_waited(self.resting.made + 1);
            return None;
        }
        self.resting.made += 1;
        Some(batch)
    }

    /// Whether a batch is under way.
    #[must_use]
    pub const fn is_storing(&self) -> bool {
        self.resting.made > self.resting.stored
    }

    /// Why the batch under way was not stored, when it was tried and is tried again.
    #[must_use]
    pub fn not_stored(&self) -> Option<&str> {
        self.resting.why.as_deref()
    }

    /// The claim of `url` ends here, and may not be stored yet: what it says is kept for the next batch.
    pub(super) fn parts(&mut self, url: &Address) {
        if self.resting.claims.remove(url) {
            let mut parting = std::mem::take(&mut self.resting.parting);
            self.resting.remove_gone(&mut parting);
            self.store_claim(url, &mut parting);
            self.resting.parting = parting;
        }
    }

    fn store_names(&self, batch: &mut Batch) {
        batch.put(Table::Keys, "identity", self.key.to_bytes());
        let row = RuntimeRow {
            url: self.url().clone(),
            nonce: self.session.nonce().to_owned(),
        };
        batch.put(Table::Addresses, "runtime", json(&row));
    }

    fn store_claim(&mut self, url: &Address, batch: &mut Batch) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        let seat = Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        };
        let place = place(&seat, Role::Reporter);
        for (reader, identity) in claim.take_changed_approvals() {
            let key = key(&[&place, reader.as_str().as_bytes()]);
            match identity {
                Some(identity) => batch.put(Table::Grants, key, json(&GrantRow { identity })),
                None => batch.remove(Table::Grants, key),
            }
        }
        let syncher = self.synchers.get(&seat.hyperty);
        let reporter = syncher.and_then(|syncher| syncher.reporters.get(url));
        let row = ClaimRow {
            schema: claim.schema.clone(),
            name: claim.name.clone(),
            nonce: claim.nonce.clone(),
            access: claim.access.clone(),
            on_record: claim.on_record.clone(),
            discard: claim.discard,
            lost: claim.lost,
            approve: claim.approve,
            local: claim.local,
            cache: claim.cache,
            children: claim.children.clone(),
            files: self.files.kept_names(url),
            deleting: reporter.is_some_and(|reporter| reporter.deleting),
        };
        batch.put(Table::Claims, place, json(&row));
    }

    fn store_reporter(&mut self, seat: &Seat, batch: &mut Batch) {
        let syncher = self.synchers.get_mut(&seat.hyperty);
        if let Some(reporter) = syncher.and_then(|one| one.reporters.get_mut(&seat.object)) {
            let readers = reporter.readers_wait();
            let place = place(seat, Role::Reporter);
            reporter.stream.store(batch, &place, readers);
        }
    }

    fn store_observer(&mut self, seat: &Seat, now: Time, batch: &mut Batch) {
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        let since = match observer.state {
            State::Stale(since) => since,
            _ => now,
        };
        let row = CopyRow {
            since: since.rfc3339(),
            heard: observer.stream.heard(),
        };
        let place = place(seat, Role::Observer);
        observer.stream.store(batch, &place);
        batch.put(Table::Claims, place, json(&row));
    }

    /// The batch under way is stored: what waited for that goes on.
    pub(super) fn batch_stored(&mut self, now: Time) {
        self.resting.stored = self.resting.made;
        self.resting.why = None;
        for (seat, role) in std::mem::take(&mut self.resting.under_way) {
            let syncher = self.synchers.get_mut(&seat.hyperty);
            if role == Role::Reporter
                && let Some(reporter) = syncher.and_then(|one| one.reporters.get_mut(&seat.object))
            {
                reporter.stream.is_now_stored();
                self.send_claim_if_due(&seat.object, now);
                self.dirty.insert(seat.object);
            }
        }
        self.says_what_waited(self.resting.stored);
        self.end_flushes();
    }

    /// The batch under way was not stored. It is tried again.
    pub(super) fn batch_not_stored(&mut self, why: &str) {
        self.resting.why = Some(why.into());
        self.fail_flushes(why);
    }

    /// What a claim says, or whom the application lets in, is another: it is stored, where it rests.
    pub(super) fn claim_changes(&mut self, url: &Address) {
        if self.reporter_mut(url).is_some_and(|one| one.stream.rests()) {
            self.resting.claims.insert(url.clone());
        }
    }

    /// An object's stream is another: it is stored, where it rests.
    pub(super) fn reporter_changes(&mut self, url: &Address) {
        if let Some(claim) = self.manager.claims.get(url)
            && self.synchers.get(&claim.reporter).is_some_and(|syncher| {
                let reporter = syncher.reporters.get(url);
                reporter.is_some_and(|reporter| reporter.stream.rests())
            })
        {
            let seat = Seat {
                hyperty: claim.reporter.clone(),
                object: url.clone(),
            };
            self.resting.streams.insert((seat, Role::Reporter));
        }
    }

    /// An Observer may have another copy: it is stored, where it rests.
    pub(super) fn observer_changes(&mut self, seat: &Seat) {
        let due = |observer: &mut Observer| observer.stream.is_to_be_stored();
        if self.observer_mut(seat).is_some_and(due) {
            self.observer_rests(seat.clone());
        }
        self.children_change(seat);
    }

    pub(super) fn observer_rests(&mut self, seat: Seat) {
        self.resting.rests_anew(seat, Role::Observer);
    }

    /// It is over with an object for good: nothing of it rests.
    pub(super) fn reporter_forgets(&mut self, seat: &Seat) {
        let syncher = self.synchers.get_mut(&seat.hyperty);
        if let Some(reporter) = syncher.and_then(|one| one.reporters.get_mut(&seat.object))
            && reporter.stream.rests()
        {
            reporter.forget();
            self.resting.forget(seat.clone(), Role::Reporter);
        }
    }

    /// As [`Runtime::reporter_forgets`], of a copy.
    pub(super) fn observer_forgets(&mut self, seat: &Seat) {
        if let Some(observer) = self.observer_mut(seat)
            && observer.stream.rests()
        {
            observer.forget();
            self.resting.forget(seat.clone(), Role::Observer);
        }
    }
}
