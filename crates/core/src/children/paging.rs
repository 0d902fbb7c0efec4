//! Collections that come page by page, or from another session whole.

use std::collections::BTreeMap;

use super::collection::{Extent, Stream};
use super::net::Before;
use super::{Child, ChildId, ChildrenChanged, Collection};
use crate::address::Address;
use crate::limits::{CHILDREN_BYTES_MAX, CHILDREN_OVER_BYTES_MAX, CHILDREN_OVER_MAX};
use crate::stream::{Origin, Position};
use crate::time::Time;

impl Collection {
    /// The children older than `after`, or all, newest first.
    pub(super) fn older(
        &self,
        after: Option<&(Time, ChildId)>,
    ) -> impl Iterator<Item = (&ChildId, &Child)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let end = after.map_or(Unbounded, Excluded);
        let keys = self.order.range((Unbounded, end)).rev();
        keys.filter_map(|(_, id)| self.children.get_key_value(id))
    }

    /// Begins anew where the streams stand at `at`, whose authors have used `numbers` beside those of the children
    /// that come; gives the children of before.
    pub(super) fn restart(
        &mut self,
        at: BTreeMap<Address, Position>,
        numbers: &BTreeMap<Address, u64>,
    ) -> BTreeMap<ChildId, Child> {
        let streams = at.into_iter().map(|(author, position)| {
            let stream = Stream {
                position,
                number: numbers.get(&author).copied().unwrap_or_default(),
                ..Stream::default()
            };
            (author, stream)
        });
        let before = std::mem::replace(&mut self.streams, streams.collect());
        let children = std::mem::take(&mut self.children);
        let authors = before.keys().chain(self.streams.keys());
        if let Some(unstored) = &mut self.unstored {
            unstored.authors.extend(authors.cloned());
            unstored.children.extend(children.keys().cloned());
        }
        self.gone.clear();
        self.order.clear();
        self.bytes = 0;
        self.reaches(Extent::Unknown);
        children
    }

    /// What the page ended with that is here, when more are to come.
    pub(super) fn continues_after(&self) -> Option<(String, ChildId)> {
        match &self.extent {
            Extent::From(made, id) => Some((made.rfc3339(), id.clone())),
            Extent::Unknown | Extent::Whole => None,
        }
    }

    /// The children from `next` on are here, or all of them; says whether that is farther than before.
    pub(super) fn pages_to(&mut self, next: Option<(Time, ChildId)>) -> bool {
        let extent = next.map_or(Extent::Whole, |(made, id)| Extent::From(made, id));
        let farther = match (&self.extent, &extent) {
            (Extent::From(made, id), Extent::From(then, next)) => (then, next) < (made, id),
            _ => true,
        };
        self.reaches(extent);
        farther
    }

    /// Takes a child from a page, unless what is here of it is as new; says whether there was room.
    pub(super) fn keeps(&mut self, id: &ChildId, child: &Child) -> bool {
        let older = |here: &Child| here.position < child.position;
        if self.get(id).is_none_or(older) {
            self.remove(id, false);
            self.insert(id.clone(), child.clone());
        }
        if let Some(stream) = self.streams.get_mut(id.author()) {
            stream.has_used(id.number());
        }
        self.len() <= self.keep + CHILDREN_OVER_MAX
            && self.bytes <= CHILDREN_BYTES_MAX + 2 * CHILDREN_OVER_BYTES_MAX
    }

    /// Becomes what `theirs` is, in one step of this origin.
    pub(super) fn adopt(&mut self, theirs: Self, origin: Origin) -> Option<ChildrenChanged> {
        let was_closed = self.closed;
        let (keep, steps) = (self.keep, self.steps);
        self.differs_from(&theirs);
        let unstored = self.unstored.take();
        let old = std::mem::replace(
            self,
            Self {
                keep,
                steps,
                unstored,
                ..theirs
            },
        );
        let mut before = Before::default();
        before.note_others(old.children, &self.children);
        let changes = before.net(self);
        self.step(origin, changes, was_closed)
    }
}
