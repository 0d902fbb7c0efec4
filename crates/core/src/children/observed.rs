//! An object's collections at a reader: what came with its answers, and what is still to come.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answering::{Yours, hash};
use super::collection::{Extent, Taken};
use super::net::Before;
use super::{
    Child, ChildCommit, ChildId, ChildrenChanged, Collection, encoded_child, is_name, too_large,
};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{CHILDREN_HAVE_BYTES_MAX, CHILDREN_NAMES_MAX};
use crate::message::{Type, decode};
use crate::object::{Hash, parse};
use crate::stream::{ChildrenPositions, Origin, Position};
use crate::time::Time;

/// All collections of an object that is observed.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    collections: BTreeMap<String, Collection>,
    /// Where this hyperty's own streams stood when the last answer was given.
    pub(crate) yours: BTreeMap<String, Yours>,
    /// The `read` of a page that is not answered.
    pub(crate) asked: Option<u64>,
}

/// What came of something received: the steps that were made, by name.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) changed: Vec<(String, ChildrenChanged)>,
    /// Something is missing, or wrong: subscribe again.
    pub(crate) recover: bool,
}

/// What an answer says of an object's children (protocol.md §9).
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(rename = "childrenResources", default)]
    names: Vec<String>,
    #[serde(borrow, default)]
    children: BTreeMap<String, NameAnswer<'a>>,
    #[serde(default)]
    you: BTreeMap<String, Yours>,
}

#[derive(Deserialize)]
struct NameAnswer<'a> {
    #[serde(default)]
    closed: bool,
    #[serde(borrow)]
    commits: Option<Vec<Logged<'a>>>,
    at: Option<BTreeMap<Address, Position>>,
    #[serde(borrow, default)]
    page: Vec<Paged<'a>>,
    next: Option<(String, ChildId)>,
}

#[derive(Deserialize)]
struct Logged<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Paged<'a> {
    resource: ChildId,
    created: String,
    #[serde(borrow)]
    value: &'a RawValue,
    identity: Option<Identity>,
    position: Position,
    origin: Position,
}

impl Observed {
    pub(crate) fn get(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name)
    }

    /// Whether the object has names at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    /// Whether every child is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.collections.values().all(Collection::is_whole)
    }

    /// The first page that is still to come: its name, and what the one before ended with.
    pub(crate) fn next_page(&self) -> Option<(String, Option<(String, ChildId)>)> {
        self.collections.iter().find_map(|(name, collection)| {
            let after = match &collection.extent {
                Extent::Whole => return None,
                Extent::Unknown => None,
                Extent::From(made, id) => Some((made.rfc3339(), id.clone())),
            };
            Some((name.clone(), after))
        })
    }

    /// Where the streams stand of the names that are all here, as far as a `have` may say it.
    pub(crate) fn have(&self) -> ChildrenPositions {
        let mut left = CHILDREN_HAVE_BYTES_MAX;
        let mut have = ChildrenPositions::new();
        for (name, collection) in &self.collections {
            // A position takes 40 bytes at most.
            let authors = collection.positions();
            let bytes: usize = authors.map(|(author, _)| author.as_str().len() + 48).sum();
            if collection.is_whole()
                && let Some(rest) = left.checked_sub(bytes)
            {
                left = rest;
                let of = |(author, position): (&Address, _)| (author.clone(), position);
                have.insert(name.clone(), collection.positions().map(of).collect());
            }
        }
        have
    }

    /// Whether `told` is not where the streams stand here; not known where some of that is to come.
    pub(crate) fn differs(&self, told: Hash) -> bool {
        let known = |collection: &Collection| collection.extent != Extent::Unknown;
        self.collections.values().all(known) && hash(self.collections.iter()) != told
    }

    /// Takes a commit from the route.
    pub(crate) fn commit(&mut self, name: &str, commit: &ChildCommit) -> Received {
        let mut received = Received::default();
        let collection = self.collections.get_mut(name);
        let Some(collection) = collection.filter(|one| one.extent != Extent::Unknown) else {
            // What it belongs to comes with the answer that is under way.
            return received;
        };
        let was_closed = collection.closed;
        match collection.take(commit) {
            Taken::Old => {}
            Taken::Ahead => received.recover = true,
            Taken::Misfit | Taken::Full => {
                collection.extent = Extent::Unknown;
                received.recover = true;
            }
            Taken::Done(changes) => {
                let step = collection.step(Origin::Live, changes, was_closed);
                received
                    .changed
                    .extend(step.map(|step| (name.to_owned(), step)));
            }
        }
        received
    }

    /// Takes what the 200 of a `subscribe` says of children.
    ///
    /// # Errors
    /// A 400 that names the field: the Reporter's fault, and not to be mended by asking again.
    pub(crate) fn content(&mut self, body: &str) -> Result<Received, Refusal> {
        let answer: Answer<'_> = decode(body)?;
        if answer.names.len() > CHILDREN_NAMES_MAX {
            return Err(Refusal::too_large(
                "more names of children than an object may have",
            ));
        }
        if let Some(bad) = answer.names.iter().find(|name| !is_name(name)) {
            let desc = format!("field `body.childrenResources`: `{bad}` is no name");
            return Err(Refusal::malformed(desc));
        }
        self.asked = None;
        self.yours = answer.you;
        self.collections
            .retain(|name, _| answer.names.contains(name));
        for name in answer.names {
            self.collections.entry(name).or_default();
        }
        let mut received = Received::default();
        for (name, of) in answer.children {
            self.named(&name, of, &mut received)?;
        }
        Ok(received)
    }

    /// Takes the answer to the `read` of a page.
    ///
    /// # Errors
    /// As [`Observed::content`].
    pub(crate) fn page(&mut self, body: &str) -> Result<Received, Refusal> {
        self.asked = None;
        let answer: Answer<'_> = decode(body)?;
        let mut received = Received::default();
        let before = self.next_page();
        for (name, of) in answer.children {
            if before.as_ref().is_some_and(|(asked, _)| *asked == name) {
                self.named(&name, of, &mut received)?;
            }
        }
        // Who answers with something else is not asked again at once.
        received.recover |= self.next_page() == before;
        Ok(received)
    }

    fn named(
        &mut self,
        name: &str,
        of: NameAnswer<'_>,
        received: &mut Received,
    ) -> Result<(), Refusal> {
        let Some(collection) = self.collections.get_mut(name) else {
            return Ok(());
        };
        let was_closed = collection.closed;
        let (origin, changes) = match (of.commits, of.at) {
            (Some(commits), _) => {
                let Some(changes) = missing(collection, commits)? else {
                    collection.extent = Extent::Unknown;
                    received.recover = true;
                    return Ok(());
                };
                collection.closed = of.closed;
                (Origin::CatchUp, changes)
            }
            (None, None) if collection.extent == Extent::Unknown => {
                received.recover = true;
                return Ok(());
            }
            (None, at) => {
                let mut before = Before::default();
                if let Some(at) = at {
                    before.note_all(collection.restart(at));
                    collection.closed = of.closed;
                }
                paged(collection, of.page, of.next, &mut before)?;
                (Origin::Snapshot, before.net(collection))
            }
        };
        let step = collection.step(origin, changes, was_closed);
        received
            .changed
            .extend(step.map(|step| (name.to_owned(), step)));
        Ok(())
    }
}

/// Takes the commits that were missing; `None` when they do not fit.
fn missing(
    collection: &mut Collection,
    commits: Vec<Logged<'_>>,
) -> Result<Option<Vec<super::ChildChange>>, Refusal> {
    let mut before = Before::default();
    for logged in commits {
        let kind = Type::of(&logged.kind);
        let commit = ChildCommit::decode(kind, &logged.from, logged.body.get())?;
        before.note(collection, &commit);
        match collection.take(&commit) {
            Taken::Old | Taken::Done(_) => {}
            Taken::Ahead | Taken::Misfit | Taken::Full => return Ok(None),
        }
    }
    Ok(Some(before.net(collection)))
}

/// Takes a page: of each child, what is newer of it and of what came live.
fn paged(
    collection: &mut Collection,
    page: Vec<Paged<'_>>,
    next: Option<(String, ChildId)>,
    before: &mut Before,
) -> Result<(), Refusal> {
    for one in page {
        let malformed = |what: &dyn std::fmt::Display| {
            Refusal::malformed(format!("field `body.children.page`: {what}"))
        };
        let value = parse(one.value.get()).map_err(|error| malformed(&error))?;
        let made = Time::parse_rfc3339(&one.created).ok_or_else(|| malformed(&"no time"))?;
        let child = Child {
            created: made.rfc3339(),
            identity: one.identity,
            position: one.position,
            origin: one.origin,
            made,
            bytes: encoded_child(&value).ok_or_else(too_large)?,
            value: std::sync::Arc::new(value),
        };
        before.note_one(collection, &one.resource);
        if !collection.keeps(&one.resource, &child) {
            return Err(Refusal::too_large("more children than a name may have"));
        }
    }
    let next = next.map(|(created, id)| {
        let made = Time::parse_rfc3339(&created);
        made.map(|made| (made, id))
            .ok_or_else(|| Refusal::malformed("field `body.children.next`: no time"))
    });
    let next = next.transpose()?;
    if !collection.pages_to(next) {
        return Err(Refusal::malformed("field `body.children.next` goes back"));
    }
    Ok(())
}
