//! Who observes an object (protocol.md §6): its holder is told who began to and who ceased to, and its
//! owners may ask. A session in its grace time is still there.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::session::SessionId;
use super::{Node, Timer};
use crate::address::Address;
use crate::limits::{OBSERVERS_PAGE_MAX, PRESENCE_CHANGES_MAX, PRESENCE_MS};
use crate::message::body::{Command, Observers, Observing, Presence};
use crate::time::Time;

/// What an object's holder was not told yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// The hyperties that came or went, and whether each was there when it was told last.
    changed: BTreeMap<Address, bool>,
    /// More came and went than are named.
    partial: bool,
    /// The holder has just come, and knows of nobody.
    reset: bool,
    /// Whether it will be told some time.
    armed: bool,
}

impl Node {
    /// The holder of `url` is told who observes it, all or as many as are named.
    pub(super) fn tell_presence_anew(&mut self, url: &Address, now: Time) {
        if let Some(object) = self.objects.get_mut(url) {
            object.untold.reset = true;
        }
        self.arm_presence(url, now);
    }

    /// `hyperty` began or ceased to observe `url`.
    pub(super) fn presence_changed(
        &mut self,
        url: &Address,
        hyperty: Address,
        was_there: bool,
        now: Time,
    ) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let untold = &mut object.untold;
        untold.changed.entry(hyperty).or_insert(was_there);
        if untold.changed.len() > PRESENCE_CHANGES_MAX {
            untold.partial = true;
            untold.changed.clear();
        }
        self.arm_presence(url, now);
    }

    fn arm_presence(&mut self, url: &Address, now: Time) {
        if let Some(object) = self.objects.get_mut(url)
            && !std::mem::replace(&mut object.untold.armed, true)
        {
            let timer = Timer::Presence(object.url.clone());
            self.timers.insert((now.plus_ms(PRESENCE_MS), timer));
        }
    }

    /// Tells the holder of `url` what it was not told. One that is away is told anew when it comes.
    pub(super) fn tell_presence(&mut self, url: &Address) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        let untold = std::mem::take(&mut object.untold);
        let Some(holder) = object.holder else { return };
        let routes = &object.routes;
        let mut presence = Presence {
            count: routes.observers().len() as u64,
            reset: untold.reset,
            partial: untold.partial,
            ..Presence::default()
        };
        let named = |hyperty: &Address, session: SessionId| {
            let session = self.sessions.get(&session);
            (
                hyperty.clone(),
                session.and_then(|session| session.identity.clone()),
            )
        };
        if untold.reset {
            let all = routes.observers().iter().take(PRESENCE_CHANGES_MAX);
            presence.joined = all.map(|(one, session)| named(one, *session)).collect();
            presence.partial = routes.observers().len() > PRESENCE_CHANGES_MAX;
        } else if !untold.partial {
            for (hyperty, was_there) in untold.changed {
                match routes.observers().get(&hyperty) {
                    Some(session) if !was_there => presence.joined.push(named(&hyperty, *session)),
                    None if was_there => presence.left.push(hyperty),
                    _ => {}
                }
            }
            if presence.joined.is_empty() && presence.left.is_empty() {
                return;
            }
        }
        self.command_runtime(holder, &Command::Presence(url.clone(), presence));
    }

    /// A page of those who observe `url`, in the order of their addresses.
    pub(super) fn observers(&self, url: &Address, after: Option<&Address>) -> Observers {
        let mut page = Observers {
            code: 200,
            ..Observers::default()
        };
        let Some(object) = self.objects.get(url) else {
            return page;
        };
        let all = object.routes.observers();
        page.count = all.len() as u64;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = all.range::<Address, _>((from, Bound::Unbounded));
        for (hyperty, session) in rest.by_ref().take(OBSERVERS_PAGE_MAX) {
            let session = self.sessions.get(session);
            page.observers.push(Observing {
                hyperty: hyperty.clone(),
                identity: session.and_then(|session| session.identity.clone()),
            });
        }
        if rest.next().is_some() {
            page.next = page.observers.last().map(|last| last.hyperty.clone());
        }
        page
    }
}
