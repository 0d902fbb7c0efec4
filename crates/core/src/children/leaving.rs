//! What leaves a collection by its Reporter's will: the oldest children, and authors of whom none is left.

use std::collections::{BTreeMap, BTreeSet};

use super::child::ChildChange;
use super::collection::Stream;
use super::{ChildId, Collection};
use crate::address::Address;
use crate::limits::{CHILDREN_AUTHORS_MAX, CHILDREN_BYTES_MAX, CHILDREN_GONE_MAX, MODERATED_MAX};
use crate::stream::Position;

impl Collection {
    /// The oldest children, some at a time, because more are here than are kept. What `leaving` names leaves anyway.
    pub(super) fn oldest(&self, leaving: &BTreeSet<&ChildId>) -> Vec<ChildId> {
        let leave = leaving.iter().filter_map(|id| self.children.get(*id));
        let (count, bytes) = leave.fold((self.len(), self.bytes), |(count, bytes), child| {
            (count - 1, bytes - child.bytes)
        });
        let batch = (self.keep / 16).clamp(1, MODERATED_MAX);
        if count < self.keep + batch && bytes <= CHILDREN_BYTES_MAX {
            return vec![];
        }
        let mut over = count.saturating_sub(self.keep);
        let mut over_bytes = bytes.saturating_sub(CHILDREN_BYTES_MAX);
        let stay = self.iter().filter(|(id, _)| !leaving.contains(id));
        let oldest = stay.take_while(|(_, child)| {
            let goes = over > 0 || over_bytes > 0;
            over = over.saturating_sub(1);
            over_bytes = over_bytes.saturating_sub(child.bytes);
            goes
        });
        let ids = oldest.map(|(id, _)| id.clone());
        ids.take(MODERATED_MAX).collect()
    }

    /// These authors are forgotten, of whom no child is left.
    pub(super) fn forget_authors(&mut self, authors: &BTreeMap<Address, Position>) {
        for (author, at) in authors {
            let childless = |stream: &Stream| stream.position == *at && stream.children == 0;
            if self.streams.get(author).is_some_and(childless) {
                self.streams.remove(author);
                self.gone.retain(|id, _| id.author() != author);
                self.marks(|unstored| {
                    unstored.authors.insert(author.clone());
                    unstored.header = true;
                });
            }
        }
    }

    /// The authors without a child that were silent for longest, where there is hardly room for more.
    pub(super) fn forgettable(&self) -> Vec<Address> {
        if self.streams.len() + MODERATED_MAX <= CHILDREN_AUTHORS_MAX {
            return vec![];
        }
        let childless = self.streams.iter().filter(|(_, one)| one.children == 0);
        let mut authors: Vec<_> = childless.map(|(author, one)| (one.turn, author)).collect();
        authors.sort_unstable();
        authors.truncate(MODERATED_MAX);
        authors
            .into_iter()
            .map(|(_, author)| author.clone())
            .collect()
    }

    /// What the Reporter deleted is gone, also where it has not come yet.
    pub(super) fn moderate(
        &mut self,
        of: &BTreeMap<ChildId, Position>,
    ) -> Option<Vec<ChildChange>> {
        let mut changes = Vec::new();
        for (id, of) in of {
            let stream = self.streams.get_mut(id.author());
            if let Some(stream) = stream.filter(|stream| stream.number < id.number()) {
                stream.number = id.number();
                self.marks(|unstored| unstored.author(id));
            }
            if self.position(id.author()) < *of {
                self.gone.insert(id.clone(), *of);
                self.marks(|unstored| unstored.header = true);
            }
            if self
                .children
                .get(id)
                .is_some_and(|child| child.origin <= *of)
            {
                changes.extend(self.remove(id, true));
            }
        }
        (self.gone.len() <= CHILDREN_GONE_MAX).then_some(changes)
    }
}
