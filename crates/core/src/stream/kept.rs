//! A stream as it is kept by somebody who neither writes nor reads it: a node (protocol.md §7). Commits
//! are kept as they came; nothing is parsed but to fold them into a new snapshot.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::answering::{ContentBody, Whole};
use super::copy::Copy;
use super::lineage::{forget_oldest, kept, note_end};
use super::{Answer, Commit, History, Position, answer};
use crate::children::ChildrenAnswer;
use crate::error::Refusal;
use crate::limits::{HISTORY_BYTES_MAX, HISTORY_COMMITS_MAX};
use crate::message::{body::Content, decode};
use crate::object::{DataObject, Hash};

/// A snapshot that is smaller is not folded anew for fewer commits than have so many bytes.
const FOLD_BYTES_MIN: usize = 64 << 10;

/// A snapshot, and every commit after it.
#[derive(Debug)]
pub(crate) struct KeptStream {
    snapshot: KeptSnapshot,
    /// Reaches back to the snapshot, or further.
    history: History,
    /// The commits after the snapshot, and their bytes.
    after: Outgrown,
}

/// The whole object at a position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptSnapshot {
    pub(crate) position: Position,
    /// Where earlier epochs ended, up to the newest commit that is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lineage: Vec<Position>,
    /// Of `data`, when its Reporter said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<Hash>,
    /// Metadata and data, as JSON.
    value: Arc<RawValue>,
}

/// Commits after a snapshot: whether they have outgrown it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outgrown {
    commits: usize,
    bytes: usize,
}

impl Outgrown {
    /// Counts one more commit.
    pub(crate) const fn count(&mut self, bytes: usize) {
        self.commits += 1;
        self.bytes += bytes;
    }

    /// Whether what was counted is more than `snapshot`, or more than a history keeps.
    pub(crate) fn is_more_than(self, snapshot: &KeptSnapshot) -> bool {
        let bytes = snapshot.bytes().clamp(FOLD_BYTES_MIN, HISTORY_BYTES_MAX);
        self.commits > HISTORY_COMMITS_MAX || self.bytes > bytes
    }
}

impl KeptSnapshot {
    pub(crate) fn bytes(&self) -> usize {
        self.value.get().len()
    }
}

impl KeptStream {
    /// What the 200 to a `read` holds, whose body this is.
    ///
    /// # Errors
    /// It holds no object.
    pub(crate) fn of(body: &str) -> Result<Self, Refusal> {
        let content: Content<'_> = decode(body)?;
        let missing = || Refusal::malformed("the answer to `read` holds no object");
        let mut lineage = content.lineage;
        forget_oldest(&mut lineage);
        Ok(Self::from(KeptSnapshot {
            position: content.position,
            lineage,
            hash: content.hash,
            value: content.value.ok_or_else(missing)?.to_owned().into(),
        }))
    }

    pub(crate) fn position(&self) -> Position {
        self.history.position()
    }

    pub(crate) const fn snapshot(&self) -> &KeptSnapshot {
        &self.snapshot
    }

    /// Bytes that it owns, about.
    pub(crate) fn bytes(&self) -> usize {
        self.snapshot.bytes() + self.history.bytes()
    }

    /// The commits after `position`, each with its own; `None` when it is none that the history reaches back to.
    pub(crate) fn after(
        &self,
        position: Position,
    ) -> Option<impl Iterator<Item = (Position, &Arc<RawValue>)>> {
        self.history.entries_after(position)
    }

    /// Keeps the commit at `position`, which follows what is here. Costs a pass over the object when the
    /// commits have outgrown the snapshot. Whether it could: else what is here is of no use any more.
    #[must_use]
    pub(crate) fn commit(&mut self, position: Position, body: Arc<RawValue>) -> bool {
        let mut after = self.after;
        after.count(body.get().len());
        // Before the history forgets what the snapshot lacks.
        let folded = !after.is_more_than(&self.snapshot) || self.fold();
        let last = self.position();
        note_end(&mut self.snapshot.lineage, last, position.epoch);
        self.after.count(body.get().len());
        self.history.push(position, body);
        folded && self.after(self.snapshot.position).is_some()
    }

    /// The body of the 200 for a reader that stands at `have`, under the claim of `epoch`; `whole` as for a
    /// `read`, with what it says of `children`. `None` when what is here does not fit together.
    pub(crate) fn content<'a>(
        &'a mut self,
        epoch: u64,
        have: Option<Position>,
        whole: bool,
        children: Option<&'a ChildrenAnswer>,
    ) -> Option<ContentBody<'a>> {
        let reader = have.filter(|_| !whole);
        let answer = answer(reader, &self.history, self.snapshot.bytes());
        if matches!(answer, Answer::Snapshot) && !self.fold() {
            return None;
        }
        let position = self.position();
        let lineage = &self.snapshot.lineage;
        let mut body = ContentBody::at(position);
        body.epoch = epoch;
        body.children = children;
        body.kept = have.and_then(|have| kept(lineage, position, have));
        if whole {
            body.lineage.clone_from(lineage);
        }
        match answer {
            Answer::Commits(commits) => body.commits = Some(commits),
            Answer::Snapshot => {
                body.value = Some(&self.snapshot.value);
                body.hash = self.snapshot.hash;
            }
        }
        Some(body)
    }

    /// Makes the snapshot one of where the stream stands. Whether it could.
    #[must_use]
    pub(crate) fn fold(&mut self) -> bool {
        let position = self.position();
        if self.snapshot.position == position {
            return true;
        }
        let Some(value) = self.folded() else {
            return false;
        };
        self.snapshot.position = position;
        self.snapshot.hash = None;
        self.snapshot.value = value;
        self.after = Outgrown::default();
        true
    }

    fn folded(&self) -> Option<Arc<RawValue>> {
        let value = self.snapshot.value.get();
        let object = DataObject::parse(value).ok()?;
        let mut copy = Copy::new(self.snapshot.position, object, value.len());
        for body in self.history.after(self.snapshot.position)? {
            let next = Commit::decode(body.get()).ok();
            let commit = next.filter(|commit| copy.is_before(commit))?;
            let _undo = copy.apply(&commit).ok()?;
        }
        let Copy { metadata, data, .. } = &copy;
        to_raw_value(&Whole { metadata, data }).ok().map(Arc::from)
    }
}

impl From<KeptSnapshot> for KeptStream {
    fn from(snapshot: KeptSnapshot) -> Self {
        Self {
            history: History::new(snapshot.position),
            snapshot,
            after: Outgrown::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{CommitHeader, ObserverStream, ReporterStream};
    use super::*;
    use crate::address::Address;
    use crate::object::{Change, Metadata, Path};
    use crate::time::Time;

    const EPOCH: u64 = 7;

    fn reporter(data: Value) -> ReporterStream {
        let source = Address::parse("hyperty://localhost/r").unwrap();
        let mut stream = ReporterStream::new(Metadata::default(), source, data).unwrap();
        stream.claimed(EPOCH, Position::new(EPOCH, 0));
        stream
    }

    /// Writes, and has it kept.
    fn writes(reporter: &mut ReporterStream, kept: &mut KeptStream, key: &str, value: Value) {
        let path = Path::root().child(key);
        let now = Time::from_unix_ms(kept.position().version * 1_000);
        reporter
            .write(vec![Change::Set { path, value }], now)
            .unwrap();
        let body = reporter.next_unsent().unwrap().unwrap();
        let position = CommitHeader::peek(body.get()).unwrap().position;
        assert!(kept.commit(position, body));
    }

    /// Has a commit kept that its Reporter did not write.
    fn keeps(kept: &mut KeptStream, version: u64, attribute: &str) -> bool {
        let body = json!({"epoch": EPOCH, "version": version, "attribute": attribute, "value": 1});
        let body = to_raw_value(&body).unwrap();
        kept.commit(Position::new(EPOCH, version), body.into())
    }

    fn content(kept: &mut KeptStream, have: Option<Position>) -> String {
        let body = kept.content(EPOCH, have, false, None).unwrap();
        serde_json::to_string(&body).unwrap()
    }

    #[test]
    fn whoever_it_answers_has_what_the_reporter_has_wherever_it_stood() {
        let mut reporter = reporter(json!({"n": 0, "pad": "x".repeat(3_000)}));
        let mut kept = KeptStream::of(&reporter.content(None, true)).unwrap();
        let mut readers: Vec<ObserverStream> = vec![];
        for n in 1..=3_000_u64 {
            writes(&mut reporter, &mut kept, &format!("k{}", n % 50), json!(n));
            if n % 97 == 0 {
                readers.push(ObserverStream::new());
            }
            let count = readers.len().max(1);
            let Some(reader) = readers.get_mut(usize::try_from(n).unwrap() * 7 % count) else {
                continue;
            };
            let have = reader.have();
            let reaction = reader.content(&content(&mut kept, have));
            assert!(reaction.closed.is_none() && !reaction.recover);
            assert_eq!(reader.position(), reporter.position());
            assert_eq!(reader.data().unwrap(), reporter.data());
        }
        assert!(kept.bytes() < 3 * FOLD_BYTES_MIN, "{}", kept.bytes());
    }

    #[test]
    fn a_commit_larger_than_a_history_is_in_the_snapshot_or_nothing_is_kept() {
        let mut reporter = reporter(json!({}));
        let mut kept = KeptStream::of(&reporter.content(None, true)).unwrap();
        for n in 0..3 {
            let large = json!(format!("{n}").repeat(HISTORY_BYTES_MAX / 2));
            writes(&mut reporter, &mut kept, &format!("k{n}"), large);
        }
        let mut reader = ObserverStream::new();
        reader.content(&content(&mut kept, None));
        assert_eq!(reader.data().unwrap(), reporter.data());
    }

    #[test]
    fn what_cannot_be_applied_is_not_answered_with() {
        let mut reporter = reporter(json!({"n": 0, "pad": "x".repeat(500)}));
        let mut kept = KeptStream::of(&reporter.content(None, true)).unwrap();
        assert!(keeps(&mut kept, 1, "no.such"));
        assert!(kept.content(EPOCH, None, false, None).is_none());
        let lacking = kept.content(EPOCH, Some(Position::new(EPOCH, 0)), false, None);
        assert!(
            lacking.is_some(),
            "the commit itself is its reader's to judge"
        );
    }

    #[test]
    fn a_commit_that_is_missing_is_not_passed_over() {
        let mut reporter = reporter(json!({"n": 0, "pad": "x".repeat(500)}));
        let mut kept = KeptStream::of(&reporter.content(None, true)).unwrap();
        assert!(keeps(&mut kept, 2, "n"));
        assert!(!kept.fold());
        assert!(kept.content(EPOCH, None, false, None).is_none());
    }
}
