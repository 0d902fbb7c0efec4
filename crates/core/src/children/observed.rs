//! An object's collections at a reader: what came with its answers, and what is still to come.

use std::collections::{BTreeMap, BTreeSet};

use super::answering::{Yours, hash};
use super::collection::{Extent, Taken};
use super::taking::{Answer, NameAnswer, Outcome};
use super::{ChildCommit, ChildId, ChildrenChanged, Collection, is_name, remove_rows};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::{CHILDREN_HAVE_BYTES_MAX, CHILDREN_NAMES_MAX};
use crate::message::decode;
use crate::object::Hash;
use crate::storage::Batch;
use crate::stream::{ChildrenPositions, Origin};

/// All collections of an object that is observed.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    collections: BTreeMap<String, Collection>,
    /// Where this hyperty's own streams stood when the last answer was given.
    pub(crate) yours: BTreeMap<String, Yours>,
    /// The `read` of a page that is not answered.
    pub(crate) asked: Option<u64>,
    /// Where they rest: the names that the object has no longer, and that are to be removed.
    gone: Option<BTreeSet<String>>,
}

/// What came of something received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The steps that were made, by name.
    pub(crate) changed: Vec<(String, ChildrenChanged)>,
    /// Something is missing, or wrong: subscribe again.
    pub(crate) recover: bool,
    /// Going on would not help.
    pub(crate) closed: Option<Refusal>,
}

impl Received {
    fn closed(refusal: Refusal) -> Self {
        Self {
            closed: Some(refusal),
            ..Self::default()
        }
    }

    fn add(&mut self, name: &str, step: Option<ChildrenChanged>, outcome: Outcome) {
        let step = step.map(|step| (name.to_owned(), step));
        self.changed.extend(step);
        match outcome {
            Outcome::Well => {}
            Outcome::Recover => self.recover = true,
            Outcome::Closed(refusal) => self.closed = Some(refusal),
        }
    }
}

impl Observed {
    /// They rest from now on, and those that come.
    pub(crate) fn rest(&mut self) {
        self.gone = Some(BTreeSet::new());
        self.collections.values_mut().for_each(Collection::rests);
    }

    /// They rest no longer.
    pub(crate) fn forget(&mut self) {
        self.gone = None;
        self.collections.values_mut().for_each(Collection::forget);
    }

    /// These rested, and are there again.
    pub(crate) fn restore(&mut self, collections: BTreeMap<String, Collection>) {
        self.gone = Some(BTreeSet::new());
        self.collections = collections;
    }

    /// Whether something of them is to be stored.
    pub(crate) fn is_to_be_stored(&self) -> bool {
        let gone = self.gone.as_ref().is_some_and(|gone| !gone.is_empty());
        gone || self.collections.values().any(Collection::is_to_be_stored)
    }

    /// Puts into `batch` what is to be stored of them; their rows are at `place`.
    pub(crate) fn write_rows(&mut self, place: &[u8], batch: &mut Batch) {
        for name in self.gone.as_mut().map(std::mem::take).into_iter().flatten() {
            remove_rows(place, Some(&name), batch);
        }
        for (name, collection) in &mut self.collections {
            collection.write_rows(place, name, batch);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name)
    }

    /// Whether the object has names at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    /// Bytes that it owns, about.
    pub(crate) fn bytes(&self) -> usize {
        self.collections.values().map(Collection::bytes_owned).sum()
    }

    /// Whether every child is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.collections.values().all(Collection::is_whole)
    }

    /// The collections, when every child is here.
    pub(crate) fn into_collections(self) -> BTreeMap<String, Collection> {
        self.collections
    }

    /// The first page that is still to come: its name, and what the one before ended with.
    pub(crate) fn next_page(&self) -> Option<(String, Option<(String, ChildId)>)> {
        let mut collections = self.collections.iter();
        let (name, collection) = collections.find(|(_, one)| !one.is_whole())?;
        Some((name.clone(), collection.continues_after()))
    }

    /// Where the streams stand of the names that are all here, as far as a `have` may say it.
    pub(crate) fn have(&self) -> ChildrenPositions {
        have(self.collections.iter())
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
                collection.reaches(Extent::Unknown);
                received.recover = true;
            }
            Taken::Done(changes) => {
                let step = collection.step(Origin::Live, changes, was_closed);
                received.add(name, step, Outcome::Well);
            }
        }
        received
    }

    /// Takes what the 200 of a `subscribe` says of children.
    pub(crate) fn content(&mut self, body: &str) -> Received {
        let answer = match decode(body).and_then(named) {
            Ok(answer) => answer,
            Err(refusal) => return Received::closed(refusal),
        };
        self.asked = None;
        self.yours = answer.you;
        self.has_names(&answer.names);
        self.take_all(answer.children)
    }

    /// Takes the answer to the `read` of a page.
    pub(crate) fn page(&mut self, body: &str) -> Received {
        self.asked = None;
        let mut answer: Answer<'_> = match decode(body) {
            Ok(answer) => answer,
            Err(refusal) => return Received::closed(refusal),
        };
        let before = self.next_page();
        let asked = before.as_ref().map(|(name, _)| name);
        answer.children.retain(|name, _| Some(name) == asked);
        let mut received = self.take_all(answer.children);
        // Who answers with something else is not asked again at once.
        received.recover |= self.next_page() == before;
        received
    }

    fn has_names(&mut self, names: &[String]) {
        let old = self.collections.keys();
        let gone: Vec<_> = old.filter(|name| !names.contains(name)).cloned().collect();
        self.collections.retain(|name, _| names.contains(name));
        for name in names {
            let collection = self.collections.entry(name.clone()).or_default();
            if self.gone.is_some() && !collection.is_resting() {
                collection.rests();
            }
        }
        if let Some(left) = &mut self.gone {
            left.extend(gone);
        }
    }

    fn take_all(&mut self, children: BTreeMap<String, NameAnswer<'_>>) -> Received {
        let mut received = Received::default();
        for (name, of) in children {
            if let Some(collection) = self.collections.get_mut(&name) {
                let (step, outcome) = collection.answered(of);
                received.add(&name, step, outcome);
            }
        }
        received
    }
}

/// Where the streams stand of those `collections` that are all here, as far as a `have` may say it.
pub(super) fn have<'a>(
    collections: impl Iterator<Item = (&'a String, &'a Collection)>,
) -> ChildrenPositions {
    let mut left = CHILDREN_HAVE_BYTES_MAX;
    let mut have = ChildrenPositions::new();
    for (name, collection) in collections {
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

/// An answer whose names can be an object's.
fn named(answer: Answer<'_>) -> Result<Answer<'_>, Refusal> {
    if answer.names.len() > CHILDREN_NAMES_MAX {
        let desc = "more names of children than an object may have";
        return Err(Refusal::too_large(desc));
    }
    match answer.names.iter().find(|name| !is_name(name)) {
        Some(bad) => Err(Refusal::malformed(format!(
            "field `body.childrenResources`: `{bad}` is no name"
        ))),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::children::Act;
    use crate::stream::Position;

    #[test]
    fn what_comes_twice_is_ignored_and_what_comes_early_is_asked_for() {
        let mut reader = Observed::default();
        let body = json!({"childrenResources": ["chat"],
            "children": {"chat": {"at": {}, "page": []}}});
        reader.content(&body.to_string());
        let commit = |seq| ChildCommit {
            from: Address::join("hyperty", "localhost", "author"),
            identity: None,
            position: Position::new(1, seq),
            base: None,
            act: Act::Nothing,
        };
        assert!(!reader.commit("chat", &commit(1)).recover);
        assert!(!reader.commit("chat", &commit(1)).recover);
        assert!(reader.commit("chat", &commit(3)).recover);
        assert!(!reader.commit("votes", &commit(3)).recover, "no such name");
    }

    #[test]
    fn the_number_of_a_child_that_was_deleted_before_it_came_is_known_when_its_place_is_reached() {
        let mut reader = Observed::default();
        let body = json!({"childrenResources": ["chat"],
            "children": {"chat": {"at": {}, "page": []}}});
        reader.content(&body.to_string());
        let commit = |from: &str, act| ChildCommit {
            from: Address::join("hyperty", "localhost", from),
            identity: None,
            position: Position::new(1, 1),
            base: None,
            act,
        };
        let author = commit("author", Act::Nothing);
        let child = ChildId::new(author.from.clone(), 5);
        let moderation = Act::Moderate([(child, author.position)].into());
        reader.commit("chat", &commit("reporter", moderation));
        reader.commit("chat", &author);
        let chat = reader.get("chat").unwrap();
        assert!(chat.numbers().eq([(&author.from, 5)]));
    }
}
