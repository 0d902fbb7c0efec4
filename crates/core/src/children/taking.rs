//! What a Reporter's answer says of a collection, and how a copy takes it (protocol.md §9).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answering::Yours;
use super::collection::{Extent, Taken};
use super::net::Before;
use super::{Child, ChildCommit, ChildId, ChildrenChanged, Collection, encoded_child, too_large};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::CHILDREN_AUTHORS_MAX;
use crate::message::Type;
use crate::object::parse;
use crate::stream::{COUNT_MAX, Origin, Position};
use crate::time::Time;

/// What came of something received, beside the steps that were made.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Outcome {
    /// All is well.
    #[default]
    Well,
    /// Something is missing, or wrong: the collection is asked for again.
    Recover,
    /// Who answers so is not asked again.
    Closed(Refusal),
}

/// What an answer says of an object's children (protocol.md §9).
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(rename = "childrenResources", default)]
    pub(super) names: Vec<String>,
    #[serde(borrow, default)]
    pub(super) children: BTreeMap<String, NameAnswer<'a>>,
    #[serde(default)]
    pub(super) you: BTreeMap<String, Yours>,
}

#[derive(Deserialize)]
pub(super) struct NameAnswer<'a> {
    #[serde(default)]
    closed: bool,
    #[serde(borrow)]
    commits: Option<Vec<Logged<'a>>>,
    at: Option<BTreeMap<Address, Position>>,
    #[serde(default)]
    numbers: BTreeMap<Address, u64>,
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

impl Collection {
    /// Takes an answer: the commits that were missing, all from the start, or one more page. The step
    /// that it makes is told whatever comes of it.
    pub(super) fn answered(&mut self, of: NameAnswer<'_>) -> (Option<ChildrenChanged>, Outcome) {
        let was_closed = self.closed;
        let mut before = Before::default();
        let (origin, outcome) = match (of.commits, of.at) {
            (Some(commits), _) => {
                self.closes(of.closed);
                (Origin::CatchUp, self.missing(commits, &mut before))
            }
            (None, None) if self.extent == Extent::Unknown => (Origin::Snapshot, Outcome::Recover),
            // As many as a Reporter has, and itself.
            (None, Some(at)) if at.len() > CHILDREN_AUTHORS_MAX + 1 => {
                let desc = "more authors than a name may have";
                (Origin::Snapshot, Outcome::Closed(Refusal::too_large(desc)))
            }
            (None, Some(at)) if !are_numbers(&of.numbers, &at) => {
                let desc =
                    "field `body.children.numbers`: of authors in `at`, from 1 to 2^53-1 each";
                (Origin::Snapshot, Outcome::Closed(Refusal::malformed(desc)))
            }
            (None, at) => {
                if let Some(at) = at {
                    before.note_all(self.restart(at, &of.numbers));
                    self.closes(of.closed);
                }
                let paged = self.paged(of.page, of.next, &mut before);
                let outcome = paged.map_or_else(Outcome::Closed, |()| Outcome::Well);
                (Origin::Snapshot, outcome)
            }
        };
        let changes = before.net(self);
        (self.step(origin, changes, was_closed), outcome)
    }

    /// Takes the commits that were missing.
    fn missing(&mut self, commits: Vec<Logged<'_>>, before: &mut Before) -> Outcome {
        for logged in commits {
            let kind = Type::of(&logged.kind);
            let commit = match ChildCommit::decode(kind, &logged.from, logged.body.get()) {
                Ok(commit) => commit,
                Err(refusal) => return Outcome::Closed(refusal),
            };
            before.note(self, &commit);
            match self.take(&commit) {
                Taken::Old | Taken::Done(_) => {}
                Taken::Ahead | Taken::Misfit | Taken::Full => {
                    self.reaches(Extent::Unknown);
                    return Outcome::Recover;
                }
            }
        }
        Outcome::Well
    }

    /// Takes a page: of each child, what is newer of it and of what came live.
    fn paged(
        &mut self,
        page: Vec<Paged<'_>>,
        next: Option<(String, ChildId)>,
        before: &mut Before,
    ) -> Result<(), Refusal> {
        let malformed = |what: &str| Refusal::malformed(format!("field `body.children`: {what}"));
        let time = |text: &str| {
            let time = Time::parse_rfc3339(text);
            time.ok_or_else(|| malformed("what should be a time is none"))
        };
        for one in page {
            let value = parse(one.value.get()).map_err(|error| malformed(&error.to_string()))?;
            let made = time(&one.created)?;
            let child = Child {
                created: made.rfc3339(),
                identity: one.identity,
                position: one.position,
                origin: one.origin,
                made,
                bytes: encoded_child(&value).ok_or_else(too_large)?,
                value: Arc::new(value),
            };
            before.note_one(self, &one.resource);
            if !self.keeps(&one.resource, &child) {
                return Err(Refusal::too_large("more children than a name may have"));
            }
        }
        let next = match next {
            None => None,
            Some((created, id)) => Some((time(&created)?, id)),
        };
        if self.pages_to(next) {
            Ok(())
        } else {
            Err(malformed("the pages go back"))
        }
    }
}

/// Whether these can be the highest numbers that authors of `at` have used.
fn are_numbers(numbers: &BTreeMap<Address, u64>, at: &BTreeMap<Address, Position>) -> bool {
    let known = |author| at.contains_key(author);
    let counts = |number| (1..=COUNT_MAX).contains(number);
    numbers.keys().all(known) && numbers.values().all(counts)
}
