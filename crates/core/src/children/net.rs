//! What many commits, or a page, come to: one net change of each child.

use std::collections::{BTreeMap, BTreeSet};

use super::child::{Child, ChildChange, ChildChangeKind};
use super::{Act, ChildCommit, ChildId, Collection};
use crate::stream::edits_between;

/// The children as they were before the first commit that touched them.
#[derive(Debug, Default)]
pub(super) struct Before {
    children: BTreeMap<ChildId, Option<Child>>,
    moderated: BTreeSet<ChildId>,
}

impl Before {
    /// Notes what `commit` is about to touch.
    pub(super) fn note(&mut self, collection: &Collection, commit: &ChildCommit) {
        for id in commit.children() {
            self.note_one(collection, id);
            if matches!(commit.act, Act::Moderate(_)) {
                self.moderated.insert(id.clone());
            }
        }
    }

    /// Notes that a child may be another now.
    pub(super) fn note_one(&mut self, collection: &Collection, id: &ChildId) {
        let before = || collection.get(id).cloned();
        self.children.entry(id.clone()).or_insert_with(before);
    }

    /// Notes that all of `children` may be others now.
    pub(super) fn note_all(&mut self, children: BTreeMap<ChildId, Child>) {
        for (id, child) in children {
            self.children.entry(id).or_insert(Some(child));
        }
    }

    /// Notes that `old` children may be gone, and `new` ones there.
    pub(super) fn note_others(
        &mut self,
        old: BTreeMap<ChildId, Child>,
        new: &BTreeMap<ChildId, Child>,
    ) {
        self.note_all(old);
        for id in new.keys() {
            self.children.entry(id.clone()).or_insert(None);
        }
    }

    /// What became of each child that was noted.
    pub(super) fn net(self, collection: &Collection) -> Vec<ChildChange> {
        let mut changes = Vec::new();
        for (id, before) in self.children {
            let moderated = self.moderated.contains(&id);
            let kinds = match (before, collection.get(&id)) {
                (None, None) => [None, None],
                (None, Some(now)) => [Some(ChildChangeKind::Added(now.clone())), None],
                (Some(_), None) => [Some(ChildChangeKind::Removed { moderated }), None],
                (Some(before), Some(now)) if before.origin != now.origin => [
                    Some(ChildChangeKind::Removed { moderated: false }),
                    Some(ChildChangeKind::Added(now.clone())),
                ],
                (Some(before), Some(now)) => [updated(&before, now), None],
            };
            let kinds = kinds.into_iter().flatten();
            changes.extend(kinds.map(|kind| ChildChange::new(&id, kind)));
        }
        changes
    }
}

fn updated(before: &Child, now: &Child) -> Option<ChildChangeKind> {
    let edits = edits_between(&before.value, &now.value)?;
    (!edits.is_empty()).then(|| ChildChangeKind::Updated {
        edits,
        child: now.clone(),
    })
}
