//! What the node puts out, in one order. Where it has a store, nothing that was decided after a change is
//! given out before that change is stored (docs/decisions/0010-one-batch-at-a-time.md).

use std::collections::VecDeque;
use std::mem::{size_of, take};
use std::sync::Arc;

use super::object::Object;
use super::resting::Unstored;
use super::{ConnectionId, Output};
use crate::address::Address;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    free: VecDeque<Output>,
    /// What waits for changes to be stored.
    held: VecDeque<Output>,
    held_bytes: usize,
    /// How many of those, the first, wait for the batch under way and for nothing else.
    behind_batch: usize,
    /// The objects that the batch under way is about, when there is one.
    under_way: Option<Vec<Address>>,
    /// Why the batch under way cannot be written, as its driver says.
    not_stored: Option<Arc<str>>,
    /// The objects with changes that are in no batch yet; `None` where there is no store.
    changed: Option<Vec<Address>>,
}

impl Outbox {
    /// From now on there is a store.
    pub(super) fn keeps(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Whether there is a store.
    pub(super) const fn is_on(&self) -> bool {
        self.changed.is_some()
    }

    /// Puts `output` behind all that was put here before.
    pub(super) fn push(&mut self, output: Output) {
        let changed = self.changed.as_ref().is_some_and(|some| !some.is_empty());
        if !changed && self.under_way.is_none() {
            return self.free.push_back(output);
        }
        self.held_bytes += bytes(&output);
        self.held.push_back(output);
        if !changed {
            self.behind_batch = self.held.len();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.free.pop_front()
    }

    /// What `note` says of `object` is to be stored, and what is put here from now on waits for that. Costs
    /// nothing where there is no store.
    pub(super) fn follows(&mut self, object: &mut Object, note: impl FnOnce(&mut Unstored)) {
        if let Some(changed) = &mut self.changed {
            note(&mut object.unstored);
            if !object.unstored.is_listed() {
                object.unstored.list();
                changed.push(object.url.clone());
            }
        }
    }

    /// The objects that the next batch is about: all with changes, when there are any and no batch is
    /// under way. The caller says that it is by [`Outbox::batch_begins`].
    pub(super) fn take_changed(&mut self) -> Vec<Address> {
        if self.under_way.is_some() {
            return vec![];
        }
        self.changed.as_mut().map(take).unwrap_or_default()
    }

    /// Everything that had changed, of these objects, is in a batch, which the driver gets now.
    pub(super) fn batch_begins(&mut self, objects: Vec<Address>) {
        self.under_way = Some(objects);
        self.behind_batch = self.held.len();
    }

    /// The batch under way is stored: what waited for it alone is free. Says of which objects it was.
    pub(super) fn batch_stored(&mut self) -> Vec<Address> {
        self.not_stored = None;
        for output in self.held.drain(..take(&mut self.behind_batch)) {
            self.held_bytes -= bytes(&output);
            self.free.push_back(output);
        }
        self.under_way.take().unwrap_or_default()
    }

    pub(super) fn batch_fails(&mut self, why: Arc<str>) {
        self.not_stored = self.under_way.is_some().then_some(why);
    }

    pub(super) const fn not_stored(&self) -> Option<&Arc<str>> {
        self.not_stored.as_ref()
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

/// What an output owns, about. A frame for many is counted once, as it is kept once.
fn bytes(output: &Output) -> usize {
    let frame = match output {
        Output::Send(_, text) => text.len(),
        Output::Publish(_, to, text) => text.len() + to.len() * size_of::<ConnectionId>(),
        Output::Withdraw(..) | Output::Close(..) | Output::Store(_) => 0,
    };
    frame + size_of::<Output>()
}
