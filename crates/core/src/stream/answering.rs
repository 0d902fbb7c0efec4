//! What a Reporter says of its stream when it is asked (protocol.md §4, §6, §7), and how it goes on from
//! what another session says (§8).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::lineage::{forget_oldest, kept};
use super::{Answer, Commit, Head, History, Position, ReporterStream, Written, answer};
use crate::children::ChildrenAnswer;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::message::{body::Content, decode};
use crate::object::{DataObject, Hash, Metadata, encoded_len};

/// The whole object, encoded once for all who ask at the same position.
#[derive(Debug)]
pub(super) struct Snapshot {
    position: Position,
    value: Box<RawValue>,
    hash: Hash,
}

impl ReporterStream {
    /// The body of the 200 for a reader that stands at `have` (protocol.md §6, §7). All commits must
    /// have been handed out before, so that the answer has its place among them. A `read` is answered
    /// the `whole`, wherever its reader stands.
    #[must_use]
    pub fn content(&mut self, have: Option<Position>, whole: bool) -> String {
        self.content_with(have, whole, None)
    }

    /// The same, with what it says of the object's children.
    pub(crate) fn content_with(
        &mut self,
        have: Option<Position>,
        whole: bool,
        children: Option<&ChildrenAnswer>,
    ) -> String {
        let mut body = ContentBody {
            kept: have.and_then(|have| kept(&self.lineage, self.shown().0, have)),
            lineage: if whole { self.lineage.clone() } else { vec![] },
            ..self.place(children)
        };
        // What was overwritten since counts no more, or commits would always seem to be the less.
        if have.is_some() && !self.measured {
            self.data_bytes = encoded_len(&*self.data, usize::MAX).unwrap_or(self.data_bytes);
            self.measured = true;
        }
        let reader = have.filter(|_| !whole);
        let unsaid = self.history.after(body.position).map(|after| after.len());
        match answer(reader, &self.history, self.data_bytes) {
            Answer::Commits(mut commits) if unsaid.is_some() => {
                commits.truncate(commits.len() - unsaid.unwrap_or_default().min(commits.len()));
                body.commits = Some(commits);
            }
            _ => {
                let snapshot = self.snapshot();
                body.value = Some(&snapshot.value);
                body.hash = Some(snapshot.hash);
            }
        }
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The body of a 200 that holds children and nothing of the object but its place.
    pub(crate) fn children_only(&self, children: &ChildrenAnswer) -> String {
        serde_json::to_string(&self.place(Some(children))).unwrap_or_default()
    }

    fn place<'a>(&self, children: Option<&'a ChildrenAnswer>) -> ContentBody<'a> {
        let position = self.shown().0;
        ContentBody {
            epoch: self.epoch.unwrap_or(position.epoch),
            children,
            ..ContentBody::at(position)
        }
    }

    /// Where the object stands for readers, and what it is there.
    fn shown(&self) -> (Position, Whole<'_>) {
        let (position, metadata, data) = match self.view() {
            Some(view) => (view.position, &view.metadata, &view.data),
            None => (self.history.position(), &self.metadata, &self.data),
        };
        (position, Whole { metadata, data })
    }

    fn snapshot(&mut self) -> &Snapshot {
        let kept = self.snapshot.take();
        let (position, whole) = self.shown();
        let kept = kept.filter(|kept| kept.position == position);
        let snapshot = kept.unwrap_or_else(|| Snapshot {
            position,
            value: to_raw_value(&whole).unwrap_or_else(|_| RawValue::NULL.to_owned()),
            hash: Hash::of(whole.data),
        });
        self.snapshot.insert(snapshot)
    }

    /// Goes on from the object as another session has it: `body` is the 200 to a `read`. Gives back what
    /// was written here and is no part of it, oldest first: it must be claimed again.
    ///
    /// # Errors
    /// The answer cannot be read; nothing has changed then.
    pub fn catch_up(&mut self, body: &str) -> Result<Vec<Written>, Refusal> {
        let content: Content<'_> = decode(body)?;
        let missing = || Refusal::malformed("the answer to `read` holds no object");
        let value = content.value.ok_or_else(missing)?.get();
        let DataObject { metadata, data } = DataObject::parse(value)
            .map_err(|error| Refusal::malformed(format!("field `body.value`: {error}")))?;
        let mine = self.history.position();
        let kept = content.kept.unwrap_or(mine);
        let rejected = self.take_after(kept);
        self.metadata = Metadata {
            reporter: self.metadata.reporter.take(),
            runtime: self.metadata.runtime.take(),
            ..metadata
        };
        self.data = Arc::new(data);
        self.data_bytes = value.len();
        self.measured = false;
        self.epoch = None;
        self.lineage = content.lineage;
        forget_oldest(&mut self.lineage);
        self.history = History::new(content.position);
        self.sent = content.position;
        self.snapshot = None;
        if let Some(stored) = &mut self.stored {
            stored.begin_anew();
        }
        Ok(rejected)
    }

    /// Takes back what was written and never handed out to be sent, oldest first.
    pub(crate) fn take_unsent(&mut self) -> Vec<Written> {
        self.take_after(self.sent)
    }

    fn take_after(&mut self, position: Position) -> Vec<Written> {
        let after = self.history.after(position).into_iter().flatten();
        // Encoded here, each can be decoded.
        let after = after.filter_map(|body| Commit::decode(body.get()).ok());
        let written = |commit: Commit| Written {
            changes: commit.changes,
            metadata: commit.metadata,
        };
        let mut taken: Vec<_> = after.map(written).collect();
        let unnumbered = std::mem::take(&mut self.unnumbered);
        taken.extend(unnumbered.commits.into_iter().map(|(written, _)| written));
        taken
    }

    /// The head of a quiet object, with its hash (protocol.md §4): when the node has every commit.
    /// Costs a pass over the data.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let position = self.history.position();
        Some(Head {
            epoch: self.epoch.filter(|_| self.sent == position)?,
            position,
            reporter: self.source.clone(),
            identity: None,
            owners: BTreeSet::new(),
            live: true,
            since: None,
            hash: Some(Hash::of(&self.data)),
            children: None,
            stored: None,
            missed: false,
        })
    }
}

/// The body of the 200 to a `subscribe` or `read`, as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct ContentBody<'a> {
    code: u16,
    pub(super) epoch: u64,
    position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commits: Option<Vec<Arc<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<Position>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lineage: Vec<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    owners: BTreeSet<Identity>,
    #[serde(flatten)]
    pub(super) children: Option<&'a ChildrenAnswer>,
}

impl<'a> ContentBody<'a> {
    /// Children, and nothing of the object but its place.
    pub(crate) const fn children_only(
        epoch: u64,
        position: Position,
        children: &'a ChildrenAnswer,
    ) -> Self {
        let mut body = Self::at(position);
        (body.epoch, body.children) = (epoch, Some(children));
        body
    }

    /// As a node answers, which says whose the object is.
    pub(crate) fn stated(self, identity: Option<Identity>, owners: BTreeSet<Identity>) -> Self {
        Self {
            identity,
            owners,
            ..self
        }
    }

    /// Of a stream that stands at `position`: nothing more yet.
    pub(super) const fn at(position: Position) -> Self {
        Self {
            code: 200,
            epoch: position.epoch,
            position,
            value: None,
            commits: None,
            hash: None,
            kept: None,
            lineage: vec![],
            identity: None,
            owners: BTreeSet::new(),
            children: None,
        }
    }
}

/// The wire form of a [`DataObject`](crate::object::DataObject), without owning its parts.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    pub(super) metadata: &'a Metadata,
    pub(super) data: &'a Value,
}
