//! What a Reporter says of its collections when it is asked (protocol.md §9).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::collection::Stream;
use super::{ChildId, Collection, Reported};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{CHILDREN_ANSWER_BYTES_MAX, PAGE_BYTES_MAX, PAGE_CHILDREN_MAX};
use crate::object::Hash;
use crate::stream::{ChildrenPositions, Position};
use crate::time::Time;

/// Which children the asker of a `subscribe` or `read` wants beside the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChildrenWanted {
    /// All that it lacks, or none.
    Any(bool),
    /// One page of one name and nothing else: of a `read`.
    Page {
        /// The name.
        name: String,
        /// What its last page ended with; the newest page when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<(String, ChildId)>,
    },
}

impl Default for ChildrenWanted {
    fn default() -> Self {
        Self::Any(true)
    }
}

impl ChildrenWanted {
    pub(crate) const fn is_default(&self) -> bool {
        matches!(self, Self::Any(true))
    }
}

/// Where an author's own stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yours {
    /// The position of its last commit.
    pub position: Position,
    /// The highest number that it ever used.
    pub number: u64,
}

/// What a 200 says of an object's children, beside the object.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ChildrenAnswer {
    #[serde(rename = "childrenResources", skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    children: BTreeMap<String, Box<RawValue>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    you: BTreeMap<String, Yours>,
}

#[derive(Default, Serialize)]
struct NameAnswer<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    commits: Option<Vec<Arc<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<BTreeMap<&'a Address, Position>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    numbers: BTreeMap<&'a Address, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Vec<Paged<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<(&'a str, &'a ChildId)>,
}

#[derive(Serialize)]
struct Paged<'a> {
    resource: &'a ChildId,
    created: &'a str,
    value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a Identity>,
    position: Position,
    origin: Position,
}

/// What `asker` is told beside the object: of each name all that it lacks, as far as it fits.
pub(crate) fn answer(
    collections: &BTreeMap<String, Reported>,
    have: &ChildrenPositions,
    asker: &str,
    wanted: bool,
) -> ChildrenAnswer {
    let mut answer = ChildrenAnswer {
        names: collections.keys().cloned().collect(),
        ..ChildrenAnswer::default()
    };
    let mut left = CHILDREN_ANSWER_BYTES_MAX;
    for (name, reported) in collections {
        let yours = reported.collection.yours(asker);
        answer.you.extend(yours.map(|yours| (name.clone(), yours)));
        if !wanted {
            continue;
        }
        let Ok(text) = to_raw_value(&reported.lacking(have.get(name))) else {
            continue;
        };
        if let Some(rest) = left.checked_sub(text.get().len()) {
            left = rest;
            answer.children.insert(name.clone(), text);
        }
    }
    answer
}

/// The page of `name` after `after`, for a reader that has what stands before it; without that, what a reader lacks
/// that stands at `have`.
pub(crate) fn page(
    collections: &BTreeMap<String, Reported>,
    name: &str,
    after: Option<&(String, ChildId)>,
    have: &ChildrenPositions,
) -> Result<ChildrenAnswer, Refusal> {
    let reported = collections
        .get(name)
        .ok_or_else(|| Refusal::unknown(format!("the object has no children `{name}`")))?;
    let answer = match after {
        None => reported.lacking(have.get(name)),
        Some((created, id)) => {
            let malformed = || Refusal::malformed("field `body.children.after`: no time");
            let made = Time::parse_rfc3339(created).ok_or_else(malformed)?;
            NameAnswer::page(&reported.collection, Some(&(made, id.clone())))
        }
    };
    let text = to_raw_value(&answer).unwrap_or_else(|_| RawValue::NULL.to_owned());
    Ok(ChildrenAnswer {
        children: BTreeMap::from([(name.to_owned(), text)]),
        ..ChildrenAnswer::default()
    })
}

impl Collection {
    /// The authors who made children, and the highest number that each used.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&Address, u64)> {
        let number = |(author, stream): (_, &Stream)| (author, stream.number);
        self.streams
            .iter()
            .map(number)
            .filter(|(_, number)| *number > 0)
    }

    /// Where the stream of `author` stands; none when it never wrote.
    pub(super) fn yours(&self, author: &str) -> Option<Yours> {
        let stream = self.stream(author)?;
        Some(Yours {
            position: stream.position,
            number: stream.number,
        })
    }
}

impl Reported {
    /// What a reader lacks that stands at `have`.
    fn lacking(&self, have: Option<&BTreeMap<Address, Position>>) -> NameAnswer<'_> {
        let commits = have.and_then(|have| self.log.after(have, &self.collection));
        let answer = match commits {
            Some(commits) => NameAnswer {
                commits: Some(commits),
                ..NameAnswer::default()
            },
            None => NameAnswer::from_the_start(&self.collection),
        };
        NameAnswer {
            closed: self.collection.closed,
            ..answer
        }
    }
}

impl<'a> NameAnswer<'a> {
    /// Where the streams stand, and the newest page. The numbers say of each author what that page does not: which are
    /// used of children that are gone, or may be before their own page is asked for.
    fn from_the_start(collection: &'a Collection) -> Self {
        let answer = Self::page(collection, None);
        let mut numbers: BTreeMap<_, _> = collection.numbers().collect();
        for one in answer.page.iter().flatten() {
            let (author, number) = (one.resource.author(), one.resource.number());
            if numbers.get(author) == Some(&number) {
                numbers.remove(author);
            }
        }
        Self {
            at: Some(collection.positions().collect()),
            numbers,
            ..answer
        }
    }

    fn page(collection: &'a Collection, after: Option<&(Time, ChildId)>) -> Self {
        let mut bytes = 0;
        let mut page = Vec::new();
        let mut older = collection.older(after).peekable();
        while let Some((resource, child)) = older.peek() {
            bytes += child.bytes;
            let full = page.len() >= PAGE_CHILDREN_MAX || bytes > PAGE_BYTES_MAX;
            if full && !page.is_empty() {
                break;
            }
            page.push(Paged {
                resource,
                created: &child.created,
                value: &child.value,
                identity: child.identity.as_ref(),
                position: child.position,
                origin: child.origin,
            });
            older.next();
        }
        let last = page.last().filter(|_| older.peek().is_some());
        let next = last.map(|last| (last.created, last.resource));
        Self {
            page: Some(page),
            next,
            ..Self::default()
        }
    }
}

/// The hash of where the children's streams stand of an object that has any.
pub(crate) fn digest(collections: &BTreeMap<String, Reported>) -> Option<Hash> {
    let all = collections.iter();
    let all = all.map(|(name, reported)| (name, &reported.collection));
    (!collections.is_empty()).then(|| hash(all))
}

/// The hash of where an object's children's streams stand (protocol.md §9): its names, those that
/// nobody wrote to included. Costs a pass over the authors.
pub(super) fn hash<'a>(collections: impl Iterator<Item = (&'a String, &'a Collection)>) -> Hash {
    let positions: ChildrenPositions = collections
        .map(|(name, collection)| {
            let of = |(author, position): (&Address, _)| (author.clone(), position);
            (name.clone(), collection.positions().map(of).collect())
        })
        .collect();
    Hash::of(&serde_json::to_value(positions).unwrap_or_default())
}
