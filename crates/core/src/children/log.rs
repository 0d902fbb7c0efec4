//! What a Reporter remembers of a collection's commits, in its own order, for readers that lack some.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Act, ChildCommit, ChildId, Collection};
use crate::address::Address;
use crate::limits::{HISTORY_BYTES_MAX, HISTORY_COMMITS_MAX};
use crate::stream::Position;

/// The newest commits of a collection, encoded: at most [`HISTORY_COMMITS_MAX`] of them in at most
/// [`HISTORY_BYTES_MAX`] bytes. The oldest leave first.
#[derive(Debug, Default)]
pub(super) struct ChildLog {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    from: Address,
    position: Position,
    base: Option<Position>,
    /// The child that it makes or changes: when that is gone, this says nothing any more.
    child: Option<ChildId>,
    text: Arc<RawValue>,
}

#[derive(Serialize)]
struct Encoded<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    from: &'a Address,
    body: &'a RawValue,
}

impl ChildLog {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers a commit that was taken, and forgets what it deletes.
    pub(super) fn push(&mut self, commit: &ChildCommit) {
        if matches!(commit.act, Act::Delete(_) | Act::Moderate(_)) {
            self.forget(|child| commit.children().any(|gone| gone == child));
        }
        if let Act::Forget(authors) = &commit.act {
            let bytes = &mut self.bytes;
            self.entries.retain(|entry| {
                let stays = !authors.contains_key(&entry.from);
                *bytes -= if stays { 0 } else { entry.text.get().len() };
                stays
            });
        }
        let child = match &commit.act {
            Act::Create(id, ..) | Act::Update(id, _) => Some(id.clone()),
            _ => None,
        };
        let text = encode(commit);
        self.bytes += text.get().len();
        self.entries.push_back(Entry {
            from: commit.from.clone(),
            position: commit.position,
            base: commit.base,
            child,
            text,
        });
        while self.entries.len() > HISTORY_COMMITS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.text.get().len();
        }
    }

    /// Puts the empty commit in the place of those whose children are `gone`.
    fn forget(&mut self, gone: impl Fn(&ChildId) -> bool) {
        for entry in &mut self.entries {
            if entry.child.as_ref().is_some_and(&gone) {
                entry.child = None;
                self.bytes -= entry.text.get().len();
                entry.text = encode(&ChildCommit {
                    from: entry.from.clone(),
                    identity: None,
                    position: entry.position,
                    base: entry.base,
                    act: Act::Nothing,
                });
                self.bytes += entry.text.get().len();
            }
        }
    }

    /// The commits that lead from `have` to where the streams of `collection` stand, in order; `None`
    /// when these do not. Costs a pass over the log and over the authors.
    pub(super) fn after(
        &self,
        have: &BTreeMap<Address, Position>,
        collection: &Collection,
    ) -> Option<Vec<Arc<RawValue>>> {
        let mut reached: BTreeMap<&Address, Position> =
            have.iter().map(|(author, at)| (author, *at)).collect();
        let mut missing = Vec::new();
        for entry in &self.entries {
            let mine = reached.entry(&entry.from).or_default();
            if entry.position <= *mine {
                continue;
            }
            if entry.before() != *mine {
                return None;
            }
            *mine = entry.position;
            missing.push(Arc::clone(&entry.text));
        }
        let there = reached
            .iter()
            .all(|(author, at)| collection.position(author) == *at);
        let all = collection
            .positions()
            .all(|(author, at)| reached.get(author) == Some(&at));
        (there && all).then_some(missing)
    }
}

impl Entry {
    /// Where its author's stream stood before it.
    fn before(&self) -> Position {
        match self.position {
            Position { version: 1, .. } => self.base.unwrap_or_default(),
            Position { epoch, version } => Position::new(epoch, version.saturating_sub(1)),
        }
    }
}

fn encode(commit: &ChildCommit) -> Arc<RawValue> {
    let entry = Encoded {
        kind: commit.kind().as_str(),
        from: &commit.from,
        body: &commit.encode(),
    };
    to_raw_value(&entry).map_or_else(|_| RawValue::NULL.to_owned().into(), Arc::from)
}
