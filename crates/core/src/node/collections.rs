//! The children that the node keeps (protocol.md §9,
//! docs/decisions/0011-a-node-that-keeps-children-takes-them.md). Of an object with child names whose claim says
//! `cache` it takes what is written to them in the Reporter's place, whether that is there or not. It has them from
//! the Reporter once, page by page; nobody takes anything meanwhile.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Node;
use super::content::Contents;
use super::object::{Object, Record};
use crate::address::Address;
use crate::children::{
    Act, ChildCommit, ChildrenWanted, NotTaken, Observed, Reported, Restored, digest,
};
use crate::error::{Refusal, Retry};
use crate::limits::KEEP_DEFAULT;
use crate::message::body::{ChildCommitted, Claim};
use crate::object::Hash;
use crate::time::Time;

/// An object's children, where the node takes what is written to them.
#[derive(Debug)]
pub(super) struct KeptChildren {
    extent: Extent,
    /// Their bytes, as they are counted.
    bytes: usize,
    /// The hash of where their streams stand, once somebody was told.
    hash: OnceCell<Hash>,
}

#[derive(Debug)]
enum Extent {
    /// They are read from their Reporter.
    Copying(Observed),
    Whole(BTreeMap<String, Reported>),
}

impl KeptChildren {
    const fn new(extent: Extent) -> Self {
        Self {
            extent,
            bytes: 0,
            hash: OnceCell::new(),
        }
    }

    fn copying() -> Self {
        Self::new(Extent::Copying(Observed::default()))
    }
}

impl Extent {
    fn bytes(&self) -> usize {
        match self {
            Self::Copying(observed) => observed.bytes(),
            Self::Whole(collections) => collections.values().map(Reported::bytes).sum(),
        }
    }
}

impl Contents {
    /// The children of `object` may have another size now.
    fn counts_children(&mut self, object: &mut Object) {
        if let Some(children) = &mut object.children {
            self.bytes -= children.bytes;
            children.bytes = children.extent.bytes();
            self.bytes += children.bytes;
        }
    }

    /// Keeps no children of `object`; gives those that were whole.
    pub(super) fn drops_children(&mut self, object: &mut Object) -> BTreeMap<String, Reported> {
        let Some(children) = object.children.take() else {
            return BTreeMap::new();
        };
        self.bytes -= children.bytes;
        // What is left of the object may go.
        self.exhausted = false;
        match children.extent {
            Extent::Whole(collections) => collections,
            Extent::Copying(_) => BTreeMap::new(),
        }
    }
}

impl Object {
    /// Its collections, when the node has them whole and takes what is written to them.
    pub(super) fn collections(&self) -> Option<&BTreeMap<String, Reported>> {
        match &self.children.as_ref()?.extent {
            Extent::Whole(collections) => Some(collections),
            Extent::Copying(_) => None,
        }
    }

    pub(super) fn collections_mut(&mut self) -> Option<&mut BTreeMap<String, Reported>> {
        match &mut self.children.as_mut()?.extent {
            Extent::Whole(collections) => Some(collections),
            Extent::Copying(_) => None,
        }
    }

    /// How many of its children the node keeps.
    pub(super) fn kept_children(&self) -> usize {
        let collections = self.collections().into_iter().flatten();
        collections.map(|(_, one)| one.collection.len()).sum()
    }

    /// Whether its children are to be read from its Reporter.
    pub(super) fn lacks_children(&self) -> bool {
        self.children.is_some() && self.collections().is_none()
    }

    /// The hash of where its children's streams stand, when the node has them whole.
    pub(super) fn children_hash(&self) -> Option<Hash> {
        let collections = self.collections()?;
        let hash = &self.children.as_ref()?.hash;
        if hash.get().is_none() {
            let _first = hash.set(digest(collections)?);
        }
        hash.get().copied()
    }

    /// What rests of its children, of `record`, is this.
    ///
    /// # Errors
    /// What does not fit together.
    pub(super) fn restore_children(&mut self, rows: Option<Restored>) -> Result<(), String> {
        let record = self
            .record
            .as_ref()
            .filter(|record| record.takes_children());
        self.children = match (record, rows) {
            (None, None) => None,
            (Some(_), None) => Some(KeptChildren::copying()),
            (None, Some(_)) => return Err("its object keeps no children".to_owned()),
            (Some(record), Some(rows)) => {
                let rows = rows.collections()?;
                let known = |name| rows.contains_key(name);
                if rows.len() != record.children.len() || !record.children.iter().all(known) {
                    return Err("the names are not those of its claim".to_owned());
                }
                let reported = |(name, collection): (String, _)| {
                    let keep = record.keep_of(&name);
                    let reporter = record.reporter.clone();
                    (name, Reported::of(collection, reporter, keep))
                };
                let collections = rows.into_iter().map(reported).collect();
                Some(KeptChildren::new(Extent::Whole(collections)))
            }
        };
        Ok(())
    }
}

impl Record {
    /// Whether the node takes what is written to its children.
    fn takes_children(&self) -> bool {
        self.cache && !self.children.is_empty()
    }

    /// How many children of `name` are kept.
    fn keep_of(&self, name: &str) -> usize {
        self.keep.get(name).copied().unwrap_or(KEEP_DEFAULT)
    }

    /// Its collection `name` without a child, which `rests` or not.
    fn nothing_of(&self, name: &str, rests: bool) -> Reported {
        let mut reported = Reported::new(self.reporter.clone(), self.keep_of(name));
        if rests {
            reported.collection.rests();
        }
        reported
    }
}

impl Node {
    /// The object was claimed, and the record says what is kept. Children that are here stay, of the names that it has
    /// now, unless the claim begins afresh; else they are to be read. Says where they stand that are here.
    pub(super) fn begin_children(&mut self, claim: &Claim) -> Option<Hash> {
        let rests = self.outbox.is_on();
        let object = self.objects.get_mut(&claim.url)?;
        let were_here = object.collections().is_some();
        let mut before = self.contents.drops_children(object);
        let record = object.record.as_ref()?;
        let afresh = claim.base == Some(None);
        let extent = if afresh || !were_here {
            Extent::Copying(Observed::default())
        } else {
            let collection = |name: &String| {
                let reported = match before.remove(name) {
                    Some(mut reported) => {
                        reported.goes_on(&record.reporter, record.keep_of(name));
                        reported
                    }
                    None => record.nothing_of(name, rests),
                };
                (name.clone(), reported)
            };
            Extent::Whole(record.children.iter().map(collection).collect())
        };
        object.children = record.takes_children().then(|| KeptChildren::new(extent));
        self.contents.counts_children(object);
        self.outbox.follows(object, |unstored| {
            unstored.names_gone.extend(before.into_keys());
        });
        object.children_hash()
    }

    /// What rests of children is this, of all objects.
    ///
    /// # Errors
    /// The object whose rows do not fit together, and why.
    pub(super) fn restore_children(
        &mut self,
        mut rows: BTreeMap<Address, Restored>,
    ) -> Result<(), (Address, String)> {
        for (url, object) in &mut self.objects {
            let restored = object.restore_children(rows.remove(url));
            restored.map_err(|why| (url.clone(), why))?;
            self.contents.counts_children(object);
        }
        match rows.pop_first() {
            Some((url, _)) => Err((url, "there is no claim of its object".to_owned())),
            None => Ok(()),
        }
    }

    /// The Reporter of `url` has said which children there are: with the object, or one more page.
    pub(super) fn children_came(&mut self, url: &Address, body: &str, page: bool, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let Some(KeptChildren {
            extent: Extent::Copying(observed),
            ..
        }) = &mut object.children
        else {
            return;
        };
        let received = if page {
            observed.page(body)
        } else {
            observed.content(body)
        };
        let next = observed.next_page();
        self.contents.counts_children(object);
        self.make_room();
        if received.recover || received.closed.is_some() || self.contents.is_full() {
            // They are asked for again when somebody writes.
            self.begin_copy(url);
            return;
        }
        match next {
            Some((name, after)) => {
                let wanted = ChildrenWanted::Page { name, after };
                self.ask_reporter(url, wanted, now);
            }
            None => self.children_are_here(url),
        }
    }

    fn begin_copy(&mut self, url: &Address) {
        if let Some(object) = self.objects.get_mut(url) {
            self.contents.drops_children(object);
            object.children = Some(KeptChildren::copying());
        }
    }

    /// All children of `url` are here: from now on the node takes what is written to them.
    fn children_are_here(&mut self, url: &Address) {
        let rests = self.outbox.is_on();
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let (Some(children), Some(record)) = (&mut object.children, &object.record) else {
            return;
        };
        let Extent::Copying(observed) = &mut children.extent else {
            return;
        };
        let mut copied = std::mem::take(observed).into_collections();
        let collection = |name: &String| {
            let reported = match copied.remove(name) {
                Some(mut collection) => {
                    if rests {
                        collection.rests();
                    }
                    Reported::of(collection, record.reporter.clone(), record.keep_of(name))
                }
                None => record.nothing_of(name, rests),
            };
            (name.clone(), reported)
        };
        children.extent = Extent::Whole(record.children.iter().map(collection).collect());
        self.contents.counts_children(object);
        self.outbox.follows(object, |_| {});
    }

    /// Takes a child commit, in the Reporter's place: every reader has it, and the Reporter, and then its author
    /// hears that it is safe.
    pub(super) fn take_child(
        &mut self,
        url: &Address,
        name: &str,
        (commit, text): (&ChildCommit, &Arc<str>),
        now: Time,
    ) -> Result<ChildCommitted, Refusal> {
        let full = self.contents.is_full();
        let Some(object) = self.objects.get_mut(url) else {
            return Err(being_read(url));
        };
        let reported = object.collections_mut().and_then(|all| all.get_mut(name));
        let news = reported
            .as_ref()
            .is_none_or(|one| one.collection.position(&commit.from) < commit.position);
        if full && news && matches!(commit.act, Act::Create(..) | Act::Update(..)) {
            let desc = "this node keeps no more: it takes what makes children fewer";
            return Err(Refusal::too_many(desc));
        }
        let Some(reported) = reported else {
            self.ask_for_content(url, now);
            return Err(being_read(url));
        };
        reported.take(commit).map_err(NotTaken::into_refusal)?;
        if reported.collection.is_to_be_stored() {
            self.outbox.follows(object, |_| {});
        }
        if let Some(children) = &mut object.children {
            children.hash.take();
        }
        self.contents.counts_children(object);
        self.stirs(url.as_str(), now);
        self.make_room();
        self.publish_child(url, text);
        self.deliver_to_holder(url, text);
        Ok(ChildCommitted {
            code: 200,
            position: commit.position,
        })
    }
}

fn being_read(url: &Address) -> Refusal {
    let desc =
        format!("this node is reading the children of `{url}` from its Reporter: write again");
    Refusal::away(Retry::Now, desc)
}
