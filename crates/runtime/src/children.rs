//! Children: the JSON objects of many authors, in the collections of one object.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use byline_core::children::{Child, ChildId, ChildrenChanged};
use byline_core::runtime::{CallError, ChildError, Event, Seat};
use byline_core::time::Time;
use futures_util::Stream;
use serde_json::Value;
use tokio::sync::{broadcast, oneshot};

use crate::child_reporter::ChildReporter;
use crate::commands::CommandError;
use crate::observer::{Held, Observer};
use crate::queue::Queue;
use crate::reporter::Reporter;
use crate::shared::{Alive, Inner};
use crate::typed::{self, Data};
use crate::{Refusal, shared};

/// One collection of an object's children, each a `T` of the application with one author of its own.
/// The object's Reporter and everybody who observes it may add one; only its author changes it; its
/// author and the Reporter may remove it. Clones are the same collection.
///
/// ```
/// # use byline::{Create, MemoryNode, Runtime, State};
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = MemoryNode::start("localhost")?;
/// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
/// let create = Create::new("Communication", json!({"topic": "tea"})).public().children("messages");
/// let room = ann.syncher("chat")?.create(create)?;
/// let joined = bob.syncher("chat")?.subscribe(room.url().as_str())?;
/// joined.state().wait_for(|state| *state == State::Live).await?;
///
/// let messages = joined.children("messages");
/// let mut hello = messages.add(json!({"text": "hello"}))?;
/// hello.safe().await?;
/// assert_eq!(room.children::<serde_json::Value>("messages").list()[0].1.value["text"], "hello");
/// # Ok(())
/// # }
/// ```
pub struct Children<T = Value> {
    place: Place,
    typed: PhantomData<fn() -> T>,
}

/// A collection, seen from one hyperty.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) alive: Arc<Alive>,
    pub(crate) seat: Seat,
    pub(crate) name: Arc<str>,
    /// An Observer's copy is followed for as long as somebody uses its children.
    _held: Option<Arc<Held>>,
}

// Derived, these would ask the same of `T`, of which there is none in here.
impl<T> Clone for Children<T> {
    fn clone(&self) -> Self {
        Self::at(self.place.clone())
    }
}

impl<T> fmt::Debug for Children<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children")
            .field("seat", &self.place.seat)
            .field("name", &self.place.name)
            .finish_non_exhaustive()
    }
}

impl<T> Reporter<T> {
    /// The object's children of this name, which it was created with.
    #[must_use]
    pub fn children<U>(&self, name: &str) -> Children<U> {
        Children::at(Place {
            alive: Arc::clone(&self.alive),
            seat: self.seat.clone(),
            name: name.into(),
            _held: None,
        })
    }
}

impl<T> Observer<T> {
    /// The object's children of this name. There is none before the object has come, nor of a name
    /// that it does not have.
    #[must_use]
    pub fn children<U>(&self, name: &str) -> Children<U> {
        Children::at(Place {
            alive: Arc::clone(&self.held.alive),
            seat: self.held.seat.clone(),
            name: name.into(),
            _held: Some(Arc::clone(&self.held)),
        })
    }
}

impl<T: Data> Children<T> {
    /// Makes a child of `value`: a JSON object, or what serde writes as one, of at most 256 KiB. It is
    /// sent as soon as that can be, again after a cut, and stands in the collection, for its author too,
    /// when the object's Reporter has it.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn add(&self, value: T) -> Result<ChildReporter<T>, ChildError> {
        let value = typed::write(value)?;
        let (id, answered) = self.place.write(|machine, place, now| {
            machine.create_child(&place.seat, &place.name, value, now)
        })?;
        Ok(ChildReporter::new(self.place.clone(), id, answered))
    }

    /// The author's side of a child that this hyperty made; `None` when it is another's, or gone.
    #[must_use]
    pub fn own(&self, id: &ChildId) -> Option<ChildReporter<T>> {
        let inner = self.place.alive.0.lock();
        let Place { seat, name, .. } = &self.place;
        inner.machine.own_child(seat, name, id)?;
        drop(inner);
        Some(ChildReporter::resumed(self.place.clone(), id.clone()))
    }
}

impl<T> Children<T> {
    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    const fn at(place: Place) -> Self {
        Self {
            place,
            typed: PhantomData,
        }
    }

    /// The children, oldest first. Costs a step for each; their values are shared, not copied. Complete
    /// when the object's state is [`Live`](crate::State::Live): on joining the newest come first.
    #[must_use]
    pub fn list(&self) -> Vec<(ChildId, Child)> {
        all(&self.place.alive.0.lock(), &self.place).unwrap_or_default()
    }

    /// One of the children.
    #[must_use]
    pub fn child(&self, id: &ChildId) -> Option<Child> {
        let inner = self.place.alive.0.lock();
        let here = inner.machine.children(&self.place.seat, &self.place.name)?;
        here.get(id).cloned()
    }

    /// The children as they are now, then every change of them: who makes each in a map of its own has
    /// the collection. A follower that falls more than 1,024 steps behind gets all children anew in
    /// place of what it has missed.
    #[must_use]
    pub fn changes(&self) -> ChildrenChanges {
        let mut inner = self.place.alive.0.lock();
        let queue = Arc::new(Queue::new(whole(&inner, &self.place)));
        if inner.is_closed(&self.place.seat) {
            queue.close();
        }
        let followers = inner.followers(&self.place.seat, &self.place.name);
        followers.queues.push(Arc::downgrade(&queue));
        drop(inner);
        ChildrenChanges {
            place: self.place.clone(),
            queue,
        }
    }

    /// Removes a child: its author's own, or, by the Reporter of the object, anybody's, for good.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn remove(&self, id: &ChildId) -> Result<(), CommandError> {
        self.command(|machine, place, now| machine.delete_child(&place.seat, &place.name, id, now))
            .await
    }

    /// Takes no more from anybody but the object's Reporter, which says so; what is there stays.
    ///
    /// # Errors
    /// [`CommandError`]: only the Reporter closes a collection.
    pub async fn close(&self) -> Result<(), CommandError> {
        self.set_closed(true).await
    }

    /// Takes commits of everybody again.
    ///
    /// # Errors
    /// As [`Children::close`].
    pub async fn open(&self) -> Result<(), CommandError> {
        self.set_closed(false).await
    }

    /// Whether the Reporter has closed the collection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let inner = self.place.alive.0.lock();
        let here = inner.machine.children(&self.place.seat, &self.place.name);
        here.is_some_and(byline_core::children::Collection::is_closed)
    }

    async fn set_closed(&self, closed: bool) -> Result<(), CommandError> {
        self.command(|machine, place, now| {
            machine.close_children(&place.seat, &place.name, closed, now)
        })
        .await
    }

    async fn command(
        &self,
        command: impl FnOnce(
            &mut byline_core::runtime::Runtime,
            &Place,
            Time,
        ) -> Result<u64, ChildError>,
    ) -> Result<(), CommandError> {
        let wrote = self
            .place
            .write(|machine, place, now| command(machine, place, now).map(|call| ((), call)));
        let ((), answered) = wrote.map_err(CallError::from)?;
        Ok(answered.await.map_err(|_| shared::ended())??)
    }

    /// Says something to everybody who is here: it is kept nowhere, and reaches who can be reached. For
    /// what is over in a moment: who is typing, a pointer that moves. At most 64 KiB.
    ///
    /// # Errors
    /// [`ChildError`]; nobody hears it then.
    pub fn send_event(&self, value: impl Into<Value>) -> Result<(), ChildError> {
        let shared = &self.place.alive.0;
        let Place { seat, name, .. } = &self.place;
        let now = shared.clock.now();
        shared
            .lock()
            .machine
            .send_event(seat, name, value.into(), now)?;
        shared.wake.notify_one();
        Ok(())
    }

    /// What is said here from now on by [`Children::send_event`]; what an observing hyperty says itself comes
    /// back to it, too. Of more than 256 that wait, the oldest are lost.
    #[must_use]
    pub fn events(&self) -> Events {
        let mut inner = self.place.alive.0.lock();
        let followers = inner.followers(&self.place.seat, &self.place.name);
        let events = followers.events.subscribe();
        drop(inner);
        Events {
            _place: self.place.clone(),
            events,
        }
    }
}

impl Place {
    /// Writes, and gives what was made and where its answer comes.
    pub(crate) fn write<R>(
        &self,
        write: impl FnOnce(
            &mut byline_core::runtime::Runtime,
            &Self,
            Time,
        ) -> Result<(R, u64), ChildError>,
    ) -> Result<(R, oneshot::Receiver<Result<(), Refusal>>), ChildError> {
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        let mut inner = shared.lock();
        if let Some(over) = &inner.over {
            return Err(ChildError::Closed(over.clone()));
        }
        let (made, call) = write(&mut inner.machine, self, shared.clock.now())?;
        inner.commands.insert(call, answer);
        drop(inner);
        shared.wake.notify_one();
        Ok((made, answered))
    }
}

/// What a follower of a collection is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildrenStep {
    /// All children that are here, oldest first: whatever the follower had is to be forgotten.
    All(Vec<(ChildId, Child)>),
    /// What changed.
    Changed(ChildrenChanged),
}

fn all(inner: &Inner, place: &Place) -> Option<Vec<(ChildId, Child)>> {
    let here = inner.machine.children(&place.seat, &place.name)?;
    Some(
        here.iter()
            .map(|(id, child)| (id.clone(), child.clone()))
            .collect(),
    )
}

fn whole(inner: &Inner, place: &Place) -> Option<(u64, ChildrenStep)> {
    let number = inner.machine.children(&place.seat, &place.name)?.steps();
    Some((number, ChildrenStep::All(all(inner, place)?)))
}

/// The steps of one collection, made by [`Children::changes`]. A [`Stream`].
#[derive(Debug)]
pub struct ChildrenChanges {
    place: Place,
    queue: Arc<Queue<ChildrenStep>>,
}

impl ChildrenChanges {
    /// The next step; `None` when the object is closed and everything before was given out.
    pub async fn next(&mut self) -> Option<ChildrenStep> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<ChildrenStep>> {
        // The machine's lock first: nothing can be pushed between looking and leaving the waker.
        let inner = self.place.alive.0.lock();
        self.queue.poll(cx, || whole(&inner, &self.place))
    }
}

impl Stream for ChildrenChanges {
    type Item = ChildrenStep;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

/// What is said in a collection and kept nowhere, made by [`Children::events`].
#[derive(Debug)]
pub struct Events {
    _place: Place,
    events: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when the object is let go or the runtime has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.events.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
