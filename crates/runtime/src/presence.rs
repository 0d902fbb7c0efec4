//! Who observes an object: asked by its Reporter's application, and told as it changes.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use byline_core::Audience;
use byline_core::address::Address;
use byline_core::identity::Identity;
use byline_core::message::body::Observers;
use byline_core::runtime::Seat;
use futures_util::Stream;
use tokio::sync::oneshot;

use crate::Refusal;
use crate::commands::CommandError;
use crate::reported::Reported;
use crate::reporter::Reporter;
use crate::shared::Alive;

impl<T> Reporter<T> {
    /// Who observes the object now: how many hyperties, and which, as long as they are at most 1,024. One whose
    /// connection was lost counts for half a minute more. Cheap but for a copy of the list.
    #[must_use]
    pub fn observers(&self) -> Audience {
        let inner = self.alive.0.lock();
        inner.machine.audience(&self.seat).unwrap_or_default()
    }

    /// A page of those who observe the object, in the order of their addresses: those after a hyperty, or the
    /// first. For objects with more than [`Reporter::observers`] knows.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn observers_after(&self, after: Option<Address>) -> Result<Observers, CommandError> {
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone().into());
            }
            let now = shared.clock.now();
            let call = inner.machine.observers(&self.seat, after, now)?;
            inner.pages.insert(call, answer);
        }
        shared.wake.notify_one();
        let ended = |_| Refusal::conflict("the session has ended");
        Ok(answered.await.map_err(ended)??)
    }

    /// Who comes and who goes, beginning with those who are there. Each of these sees all of it for itself;
    /// who reads slower than they come and go is told what is different in the end. A [`Stream`], which ends
    /// when this Reporter is closed.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, PresenceChange, Runtime};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
    /// let create = Create::new("Context", serde_json::json!({"n": 1})).public();
    /// let reporter = ann.syncher("stage")?.create(create)?;
    /// let mut presence = reporter.presence();
    /// let observer = bob.syncher("seat")?.subscribe(reporter.url().as_str())?;
    /// match presence.next().await {
    ///     Some(PresenceChange::Joined { identity, count, .. }) => {
    ///         assert_eq!((identity, count), (Some(bob.identity()), 1));
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// observer.unsubscribe();
    /// assert!(matches!(presence.next().await, Some(PresenceChange::Left { count: 0, .. })));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence {
            alive: Arc::clone(&self.alive),
            seat: self.seat.clone(),
            count: 0,
            known: BTreeMap::new(),
            changes: VecDeque::new(),
        }
    }
}

/// Who comes and who goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// Somebody observes the object now.
    Joined {
        /// The hyperty.
        hyperty: Address,
        /// Who that is; nobody for an anonymous session.
        identity: Option<Identity>,
        /// How many observe the object.
        count: u64,
    },
    /// Somebody observes it no longer.
    Left {
        /// The hyperty.
        hyperty: Address,
        /// How many observe the object.
        count: u64,
    },
    /// So many observe it, and who they are is not known: they are more than 1,024, or it is asked for.
    Count(u64),
}

/// Who comes and who goes at one object, made by [`Reporter::presence`]. A [`Stream`].
#[derive(Debug)]
pub struct Presence {
    alive: Arc<Alive>,
    seat: Seat,
    /// What was given out: how many there were, and who.
    count: u64,
    known: BTreeMap<Address, Option<Identity>>,
    /// What is to be given out next.
    changes: VecDeque<PresenceChange>,
}

impl Presence {
    /// The next one; `None` when the Reporter is closed.
    pub async fn next(&mut self) -> Option<PresenceChange> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<PresenceChange>> {
        let alive = Arc::clone(&self.alive);
        let mut inner = alive.0.lock();
        let over = inner
            .reporters
            .get(&self.seat)
            .is_none_or(Reported::is_over);
        if self.changes.is_empty()
            && !over
            && let Some(audience) = inner.machine.audience(&self.seat)
        {
            self.compare(&audience);
        }
        if let Some(change) = self.changes.pop_front() {
            return Poll::Ready(Some(change));
        }
        let Some(reported) = inner.reporters.get_mut(&self.seat) else {
            return Poll::Ready(None);
        };
        let never = reported.presence.poll(over, cx);
        never.map(|never| never.map(|never| match never {}))
    }

    /// Notes what is different from what was given out.
    fn compare(&mut self, audience: &Audience) {
        let count = audience.count();
        let Some(known) = audience.known() else {
            if count != self.count {
                self.changes.push_back(PresenceChange::Count(count));
            }
            self.count = count;
            return;
        };
        let left = self.known.keys().filter(|one| !known.contains_key(*one));
        let left = left.map(|hyperty| PresenceChange::Left {
            hyperty: hyperty.clone(),
            count,
        });
        let joined = known
            .iter()
            .filter(|(one, _)| !self.known.contains_key(*one));
        let joined = joined.map(|(hyperty, identity)| PresenceChange::Joined {
            hyperty: hyperty.clone(),
            identity: identity.clone(),
            count,
        });
        self.changes.extend(left.chain(joined));
        self.known.clone_from(known);
        self.count = count;
    }
}

impl Stream for Presence {
    type Item = PresenceChange;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PresenceChange>> {
        self.poll(cx)
    }
}
