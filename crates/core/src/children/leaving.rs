//! What leaves a collection by its Reporter's will: the oldest children, and authors of whom none is left.

use std::collections::BTreeMap;

use super::child::ChildChange;
use super::collection::Stream;
use super::{ChildId, Collection};
use crate::address::Address;
use crate::limits::{CHILDREN_AUTHORS_MAX, CHILDREN_BYTES_MAX, CHILDREN_GONE_MAX, MODERATED_MAX};
use crate::stream::Position;

impl Collection {
    /// How many children, the oldest, are more than it keeps.
    pub(super) fn over(&self) -> usize {
        let by_count = self.len().saturating_sub(self.keep);
        let mut over = self.bytes.saturating_sub(CHILDREN_BYTES_MAX);
        let by_bytes = self.iter().take_while(|(_, child)| {
            let counts = over > 0;
            over = over.saturating_sub(child.bytes);
            counts
        });
        by_count.max(by_bytes.count())
    }

    /// Whether its children have more bytes than it keeps.
    pub(super) const fn is_too_long(&self) -> bool {
        self.bytes > CHILDREN_BYTES_MAX
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
            if self.position(id.author()) < *of {
                self.gone.insert(id.clone(), *of);
                self.marks(|unstored| unstored.header = true);
            }
            if self
                .children
            let stream = self.streams.get_mut(id.author());
            if let Some(stream) = stream.filter(|stream| stream.number < id.number()) {
                stream.number = id.number();
                self.marks(|unstored| unstored.author(id));
            }
                .get(id)
                .is_some_and(|child| child.origin <= *of)
            {
                changes.extend(self.remove(id, true));
            }
        }
        (self.gone.len() <= CHILDREN_GONE_MAX).then_some(changes)
    }
}
