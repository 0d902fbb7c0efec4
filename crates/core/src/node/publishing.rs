//! What readers are sent (protocol.md §4, §6): commits and heads, to every route of an object.

use std::sync::Arc;

use super::{Node, Output, Timer};
use crate::address::Address;
use crate::limits::QUIET_UNSAID_MS;
use crate::message::Header;
use crate::stream::{Head, Position};
use crate::time::Time;

impl Node {
    /// The way of a commit: everything was checked, the bytes go on as they came.
    pub(super) fn publish(
        &mut self,
        url: &str,
        position: Position,
        header: &Header<'_>,
        text: &Arc<str>,
        now: Time,
    ) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        object.moved_to(position);
        let kept = object.content.is_some();
        self.outbox
            .follows(object, |unstored| unstored.position = true);
        self.stirs(url, now);
        self.counters.commits += 1;
        if kept {
            self.keep_commit(url, position, header, now);
        }
        self.deliver(url, text);
    }

    /// Something of the object was written: it is said where it stands when nothing more is, for a while.
    pub(super) fn stirs(&mut self, url: &str, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        object.last_commit = now;
        object.quiet_said = None;
        if !std::mem::replace(&mut object.quiet_armed, true) {
            let due = now.plus_ms(QUIET_UNSAID_MS);
            self.timers.insert((due, Timer::Quiet(object.url.clone())));
        }
    }

    /// The Reporter's own head: it knows the hash. Where the node takes the children, it knows theirs.
    pub(super) fn pass_head(&mut self, url: &str, head: Head, text: &Arc<str>) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        object.quiet_said = object.record.as_ref().map(|record| record.position);
        match object.children_hash() {
            None => self.deliver(url, text),
            children => {
                let text = object.frame(&Head { children, ..head });
                self.deliver(url, &text);
            }
        }
    }

    pub(super) fn deliver(&mut self, url: &str, text: &Arc<str>) {
        let Some(object) = self.objects.get(url) else {
            return;
        };
        let to = object.routes.connections();
        self.counters.deliveries += to.len() as u64;
        if !to.is_empty() {
            self.outbox
                .push(Output::Publish(object.id, Arc::clone(to), Arc::clone(text)));
        }
    }

    /// Tells every reader where the object stands.
    pub(super) fn publish_head(&mut self, url: &Address) {
        let Some(object) = self.objects.get(url) else {
            return;
        };
        if object.routes.connections().is_empty() {
            return;
        }
        if let Some(text) = object.head_frame() {
            self.deliver(url.as_str(), &text);
        }
    }

    pub(super) fn quiet(&mut self, url: &Address, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let due = object.last_commit.plus_ms(QUIET_UNSAID_MS);
        if due > now {
            self.timers.insert((due, Timer::Quiet(url.clone())));
            return;
        }
        object.quiet_armed = false;
        let position = object.record.as_ref().map(|record| record.position);
        if object.quiet_said != position {
            self.publish_head(url);
        }
    }
}
