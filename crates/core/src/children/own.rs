//! An author's own children as it has them, what is not safe included (protocol.md §9).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::write::{Unsafe, Write};
use super::{Authoring, ChildId, Collection};
use crate::limits::CHILD_BYTES_MAX;
use crate::object::{Change, encoded_len};
use crate::stream::Position;

/// A child as its author has it, what is not safe included.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// None when it is deleted.
    pub(super) value: Option<Arc<Value>>,
    /// What the first of its commits that are not safe is applied to.
    before: Option<Arc<Value>>,
    /// How many of its commits are not safe.
    left: usize,
    /// The last that is.
    last: Position,
}

impl Own {
    /// One of its commits is not safe yet; before it, it was as `before`, if there was none.
    pub(super) fn waits(&mut self, before: Option<Arc<Value>>, value: Option<Arc<Value>>) {
        if self.left == 0 {
            self.before = before;
        }
        self.value = value;
        self.left += 1;
    }

    /// The first of those that are not safe is, at `position`.
    pub(super) fn is_safe(&mut self, write: &Write, position: Position) {
        self.left -= 1;
        self.last = position;
        let before = self.before.take();
        self.before = (self.left > 0).then(|| write.applied(before)).flatten();
    }

    /// One of them is refused.
    pub(super) const fn is_refused(&mut self) {
        self.left -= 1;
    }

    /// Whether a copy whose stream is at `seen` does not have it as it is here.
    pub(super) fn is_news(&self, seen: Position) -> bool {
        self.left > 0 || seen < self.last
    }

    /// Whether nobody has it as it is here: all of it was safe, and that was lost. The author's stream stands `at` there.
    fn is_lost(&self, at: Position) -> bool {
        self.left == 0 && at < self.last
    }

    /// As it was before all that is not safe.
    pub(super) fn before(&self) -> Option<Arc<Value>> {
        self.before.clone()
    }
}

impl Unsafe {
    /// Says the whole child, where it changes it so that it is `value`.
    pub(super) fn says(&mut self, value: &Value) {
        if let Write::Update(_, changes) = &mut self.write
            && let Value::Object(data) = value
        {
            *changes = vec![Change::Replace { data: data.clone() }];
            self.bytes = encoded_len(value, CHILD_BYTES_MAX).unwrap_or(CHILD_BYTES_MAX);
        }
    }
}

impl Authoring {
    /// The author's own child as it is, what is not safe included; `here` is its collection.
    pub(crate) fn child(&self, id: &ChildId, here: &Collection) -> Option<Arc<Value>> {
        match self.own.get(id) {
            Some(own) => own.value.clone(),
            None => here.get(id).map(|child| Arc::clone(&child.value)),
        }
    }

    /// Whether the copy that the author writes by is at the last commit that is safe, or at one that was sent since.
    pub(super) fn is_in_step(&self, here: &Collection) -> bool {
        let at = here.position(&self.author);
        at == self.safe || self.queue.iter().any(|one| one.is_at(at))
    }

    /// Whoever takes its commits has its children otherwise than the author knows: `at` is where its stream stands there.
    /// Of each child that is changed, the first change says the whole; those behind it change that.
    pub(super) fn says_whole(&mut self, at: Position) {
        self.own.retain(|_, own| !own.is_lost(at));
        let mut said = BTreeSet::new();
        for one in &mut self.queue {
            let Some(id) = one.write.child().filter(|id| !said.contains(*id)).cloned() else {
                continue;
            };
            let before = self.own.get(&id).and_then(Own::before);
            let bytes = one.bytes;
            if let Some(value) = one.write.applied(before) {
                one.says(&value);
            }
            self.bytes = self.bytes - bytes + one.bytes;
            said.insert(id);
        }
    }

    /// Learns its own children from `here` and from what waits, both as they rested.
    pub(super) fn owns_as_rested(&mut self, here: &Collection) {
        let seen = here.position(&self.author);
        for one in &mut self.queue {
            let Some(id) = one.write.child().cloned() else {
                continue;
            };
            let child = here.get(&id).map(|child| Arc::clone(&child.value));
            if let Some(child) = &child
                && one.sent.as_ref().is_some_and(|sent| sent.position <= seen)
            {
                // It came back before it was known to be safe: it is in there.
                one.says(child);
            }
            let own = self.own.entry(id).or_default();
            let before = if own.left == 0 {
                child
            } else {
                own.value.take()
            };
            own.waits(before.clone(), one.write.applied(before));
        }
    }
}
