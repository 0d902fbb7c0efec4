//! An Observer: a copy that follows. It has no method that writes.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use byline_core::State;
use byline_core::address::Address;
use byline_core::identity::Identity;
use byline_core::object::{Change, Hash, Metadata, Misfit};
use byline_core::runtime::{Seat, Snapshot};
use byline_core::stream::{Changed, Edit, ObserverCounters, ObserverStream, Origin, Position};
use futures_util::Stream;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::Refusal;
use crate::queue::Queue;
use crate::shared::{Alive, Inner};
use crate::typed;

/// A copy of one object that follows its Reporter, read as a `T` of the application, or as any JSON
/// object when nothing is said: see [`Observer::typed`]. Clones are the same copy; it is let go with
/// the last of them.
pub struct Observer<T = Value> {
    pub(crate) held: Arc<Held>,
    state: watch::Receiver<State>,
    typed: PhantomData<fn() -> T>,
}

// Derived, these would ask the same of `T`, of which there is none in here.
impl<T> Clone for Observer<T> {
    fn clone(&self) -> Self {
        self.typed()
    }
}

impl<T> fmt::Debug for Observer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("held", &self.held)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) alive: Arc<Alive>,
    pub(crate) seat: Seat,
    /// The hyperty observes no longer; the seat may be another Observer's.
    over: AtomicBool,
}

impl Held {
    /// Looks at the copy, while it is this Observer's.
    fn look<R>(&self, look: impl FnOnce(&ObserverStream) -> Option<R>) -> Option<R> {
        look(self.stream(&self.alive.0.lock())?)
    }

    fn stream<'a>(&self, inner: &'a Inner) -> Option<&'a ObserverStream> {
        // Changed under the same lock.
        let over = self.over.load(Ordering::Relaxed);
        inner.machine.observer(&self.seat).filter(|_| !over)
    }

    /// The copy as it is, as one step, and its number.
    fn whole(&self, inner: &Inner) -> Option<(u64, Changed)> {
        let whole = whole(self.stream(inner)?)?;
        Some((whole.number, whole))
    }

    fn end(&self) {
        let shared = &self.alive.0;
        let mut inner = shared.lock();
        if self.over.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(watched) = inner.observers.remove(&self.seat) {
            let closed = Refusal::conflict("unsubscribed by this application");
            watched.state.send_replace(State::Closed(closed));
            watched
                .queues
                .iter()
                .filter_map(std::sync::Weak::upgrade)
                .for_each(|q| q.close());
        }
        inner.end_followers(&self.seat);
        inner.machine.unsubscribe(&self.seat, shared.clock.now());
        drop(inner);
        shared.wake.notify_one();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let over = self.over.load(Ordering::Relaxed);
        // A copy that rests goes on without a handle.
        if over || !self.alive.0.lock().machine.release(&self.seat) {
            self.end();
        }
    }
}

impl<T: DeserializeOwned> Observer<T> {
    /// The copy as a `T`; `None` until the first snapshot. Costs a pass over the data;
    /// [`Observer::data`] costs nothing.
    ///
    /// # Errors
    /// [`Misfit`], which says where, when the copy is no `T`: its Reporter follows another schema.
    /// It concerns this reader alone. The copy goes on following, as [`Observer::data`].
    pub fn copy(&self) -> Result<Option<T>, Misfit> {
        self.data().map(|data| typed::read(&data)).transpose()
    }

    /// The copy as a `T` now, when there is one, and again whenever it has changed. Who reads slower
    /// than it changes gets the newest, and skips the others; [`Observer::changes`] skips none.
    #[must_use]
    pub fn copies(&self) -> Copies<T> {
        Copies {
            changes: self.changes(),
            observer: self.clone(),
        }
    }
}

impl<T> Observer<T> {
    pub(crate) fn new(alive: Arc<Alive>, seat: Seat, state: watch::Receiver<State>) -> Self {
        Self {
            held: Arc::new(Held {
                alive,
                seat,
                over: AtomicBool::new(false),
            }),
            state,
            typed: PhantomData,
        }
    }

    /// The same copy, read as an `U`: a type of the application that serde reads. What it does not
    /// know of in the data is passed over.
    #[must_use]
    pub fn typed<U>(&self) -> Observer<U> {
        Observer {
            held: Arc::clone(&self.held),
            state: self.state.clone(),
            typed: PhantomData,
        }
    }

    pub(crate) fn alive(&self) -> &Alive {
        &self.held.alive
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.held.seat
    }

    /// The object's address.
    #[must_use]
    pub fn url(&self) -> &Address {
        &self.held.seat.object
    }

    /// The copy, as JSON; `None` until the first snapshot. Cheap; holding it costs one copy of the data at the
    /// next change.
    #[must_use]
    pub fn data(&self) -> Option<Arc<Value>> {
        self.held.look(ObserverStream::data)
    }

    /// What the object says of itself, beside its data; `None` until the first snapshot. That it is another is
    /// told by [`Changed::metadata`].
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata> {
        self.held.look(|stream| stream.metadata().cloned())
    }

    /// Who writes the object, as the node states it; `None` until it has. It becomes another when the object is
    /// handed over; where somebody else has it otherwise, this Observer is closed.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.held.look(|stream| stream.identity().cloned())
    }

    /// Where the copy stands.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.held.look(ObserverStream::position)
    }

    /// The whole of it at one moment, with the hash of the data, computed here. Costs a pass over the
    /// data.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let parts = |stream: &ObserverStream| {
            Some((
                stream.metadata()?.clone(),
                stream.data()?,
                stream.position()?,
            ))
        };
        let (metadata, data, position) = self.held.look(parts)?;
        let hash = Hash::of(&data);
        Some(Snapshot {
            metadata,
            data,
            position,
            hash,
        })
    }

    /// Observes no longer, as if the last clone were dropped: no clone has a copy any more, their changes
    /// end, and the node is told. Other hyperties of this runtime are not concerned.
    pub fn unsubscribe(self) {
        self.held.end();
    }

    /// How the object is doing; can be waited on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// What this copy met and got over.
    #[must_use]
    pub fn counters(&self) -> ObserverCounters {
        let counters = self.held.look(|stream| Some(stream.counters()));
        counters.unwrap_or_default()
    }

    /// Every step of the copy from here on, beginning with the copy as it is when there is one:
    /// who applies the edits of each to a document of its own, beginning with `{}`, has the copy.
    ///
    /// A follower that falls more than 1,024 steps behind gets one that replaces everything in place
    /// of those it has missed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        let mut inner = self.held.alive.0.lock();
        let queue = Arc::new(Queue::new(self.held.whole(&inner)));
        if let Some(watched) = inner.observers.get_mut(&self.held.seat) {
            watched.queues.push(Arc::downgrade(&queue));
        }
        let closed = matches!(&*self.state.borrow(), State::Closed(_));
        drop(inner);
        if closed {
            queue.close();
        }
        Changes {
            held: Arc::clone(&self.held),
            queue,
        }
    }
}

/// The copy as it is, as one step.
fn whole(stream: &ObserverStream) -> Option<Changed> {
    let (data, position, number) = (stream.data()?, stream.position()?, stream.steps());
    let data = data.as_object().cloned().unwrap_or_default();
    let edits = vec![Edit {
        change: Change::Replace { data },
        before: None,
    }];
    Some(Changed {
        number,
        position,
        origin: Origin::Snapshot,
        edits,
        metadata: true,
        kept: None,
    })
}

/// The steps of one copy, made by [`Observer::changes`]. A [`Stream`].
#[derive(Debug)]
pub struct Changes {
    held: Arc<Held>,
    queue: Arc<Queue<Changed>>,
}

impl Changes {
    /// The next step; `None` when the object is closed and everything before was given out.
    pub async fn next(&mut self) -> Option<Changed> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Changed>> {
        // The machine's lock first: nothing can be pushed between looking and leaving the waker.
        let inner = self.held.alive.0.lock();
        self.queue.poll(cx, || self.held.whole(&inner))
    }
}

impl Stream for Changes {
    type Item = Changed;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Changed>> {
        self.poll(cx)
    }
}

/// What an Observer's copy becomes, made by [`Observer::copies`]. A [`Stream`].
#[derive(Debug)]
pub struct Copies<T> {
    observer: Observer<T>,
    changes: Changes,
}

impl<T: DeserializeOwned> Copies<T> {
    /// The copy as soon as it is another than the last one given out; `None` when the object is
    /// closed. Costs a pass over the data.
    ///
    /// # Errors
    /// [`Misfit`], as [`Observer::copy`]; the next copy may fit again.
    pub async fn next(&mut self) -> Option<Result<T, Misfit>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<T, Misfit>>> {
        let mut changed = false;
        loop {
            match self.changes.poll(cx) {
                Poll::Ready(Some(step)) => changed |= !step.edits.is_empty(),
                // At the end, too, the last copy is given out first.
                Poll::Ready(None) | Poll::Pending if changed => {
                    return Poll::Ready(self.observer.copy().transpose());
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for Copies<T> {
    type Item = Result<T, Misfit>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}
