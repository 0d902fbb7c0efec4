//! A Reporter: the one author of an object.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use byline_core::State;
use byline_core::address::Address;
use byline_core::limits::HISTORY_COMMITS_MAX;
use byline_core::object::{Change, Hash, Metadata, Misfit, Path};
use byline_core::runtime::{FlushError, Seat};
use byline_core::stream::{Position, WriteError};
use serde_json::{Map, Value};
use tokio::sync::{oneshot, watch};

use crate::Refusal;
use crate::shared::Alive;
use crate::typed::{self, Data};

/// The author of one object, whose data is a `T` of the application, or any JSON object when nothing
/// is said. Clones write the same object. Writing is synchronous: it is checked, applied and numbered
/// before the call returns, and sent as soon as the connection takes it.
pub struct Reporter<T = Value> {
    pub(crate) alive: Arc<Alive>,
    pub(crate) seat: Seat,
    pub(crate) state: watch::Receiver<State>,
    typed: PhantomData<fn() -> T>,
}

// Derived, these would ask the same of `T`, of which there is none in here.
impl<T> Clone for Reporter<T> {
    fn clone(&self) -> Self {
        Self::new(
            Arc::clone(&self.alive),
            self.seat.clone(),
            self.state.clone(),
        )
    }
}

impl<T> fmt::Debug for Reporter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("seat", &self.seat)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<T: Data> Reporter<T> {
    /// Lets `edit` change the data, and reports what it has changed as one commit: what `T` does not
    /// know of stays as it is. Says whether anything was different.
    ///
    /// Costs a copy of the data and a comparison, and, where `T` is a type of the application, three
    /// passes of serde over it; [`Reporter::set`] and its like cost only the change. Two clones that
    /// update at the same time do not wait for each other: the later one writes what it has seen.
    ///
    /// # Errors
    /// [`WriteError`]; the object is as it was then. [`WriteError::Misfit`] when the data is no `T`,
    /// before or after.
    pub fn update(&self, edit: impl FnOnce(&mut T)) -> Result<bool, WriteError> {
        let next = typed::edit(&self.data(), edit)?;
        self.write_all(next)
    }

    /// Makes `next` the object's data, whole, and reports what is different as one commit. Costs a
    /// pass over both, and two of serde where `T` is a type of the application.
    ///
    /// # Errors
    /// [`WriteError`]; the object is as it was then.
    pub fn replace(&self, next: T) -> Result<bool, WriteError> {
        self.write_all(typed::write(next)?)
    }

    /// The data as a `T`. Costs a pass over it; [`Reporter::data`] costs nothing.
    ///
    /// # Errors
    /// [`Misfit`] when something was written that is no `T`.
    pub fn copy(&self) -> Result<T, Misfit> {
        typed::read(&self.data())
    }
}

impl<T> Reporter<T> {
    pub(crate) const fn new(alive: Arc<Alive>, seat: Seat, state: watch::Receiver<State>) -> Self {
        Self {
            alive,
            seat,
            state,
            typed: PhantomData,
        }
    }

    /// The object's address, to be given to whoever is to observe it.
    #[must_use]
    pub const fn url(&self) -> &Address {
        &self.seat.object
    }

    /// Sets the value at `path`: `room.temperature`, or a JSON Pointer (RFC 6901) as in
    /// `/room/temperature`.
    ///
    /// # Errors
    /// [`WriteError`]; the object is as it was then.
    pub fn set(&self, path: &Path, value: impl Into<Value>) -> Result<bool, WriteError> {
        self.write(vec![Change::Set {
            path: path.clone(),
            value: value.into(),
        }])
    }

    /// Removes the key at `path`.
    ///
    /// # Errors
    /// [`WriteError`]; the object is as it was then.
    pub fn remove(&self, path: &Path) -> Result<bool, WriteError> {
        self.write(vec![Change::Remove { path: path.clone() }])
    }

    /// Reports `changes` as one commit: every Observer sees all of them or none.
    ///
    /// # Errors
    /// [`WriteError`]; the object is as it was then.
    pub fn write(&self, changes: Vec<Change>) -> Result<bool, WriteError> {
        self.writing(|inner, now| inner.machine.write(&self.seat, changes, now))
    }

    /// Changes what the object says of itself, beside its data, as one commit: each field of `patch`
    /// replaces the one there, `null` removes it. `name` and `status` are text; other fields are the
    /// application's own. At most 64 KiB in all.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, Runtime};
    /// # use serde_json::{Map, json};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let runtime = Runtime::builder().memory(&node).start()?;
    /// # let reporter = runtime.syncher("sensor")?.create(Create::new("Context", json!({})))?;
    /// reporter.describe(Map::from_iter([("name".into(), json!("Kitchen")), ("floor".into(), json!(2))]))?;
    /// assert_eq!(reporter.metadata().unwrap().name.as_deref(), Some("Kitchen"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WriteError`]; the object is as it was then. [`WriteError::Metadata`] for a field that is said when
    /// an object is made or claimed, or with each commit, such as `schema` and `lastModified`.
    pub fn describe(&self, patch: Map<String, Value>) -> Result<bool, WriteError> {
        self.writing(|inner, now| inner.machine.describe(&self.seat, patch, now))
    }

    fn write_all(&self, next: Value) -> Result<bool, WriteError> {
        self.writing(|inner, now| inner.machine.replace(&self.seat, next, now))
    }

    fn writing(
        &self,
        write: impl FnOnce(
            &mut crate::shared::Inner,
            byline_core::time::Time,
        ) -> Result<bool, WriteError>,
    ) -> Result<bool, WriteError> {
        if let State::Closed(refusal) = &*self.state.borrow() {
            return Err(WriteError::Closed(refusal.to_string()));
        }
        let shared = &self.alive.0;
        let changed = write(&mut shared.lock(), shared.clock.now())?;
        shared.wake.notify_one();
        Ok(changed)
    }

    /// The data as it is, as JSON. Cheap; holding it costs one copy of the data at the next write.
    #[must_use]
    pub fn data(&self) -> Arc<Value> {
        let inner = self.alive.0.lock();
        inner
            .machine
            .reporter(&self.seat)
            .map(|stream| stream.data())
            .unwrap_or_default()
    }

    /// What the object says of itself, beside its data; `None` when this Reporter was let go.
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata> {
        let inner = self.alive.0.lock();
        let stream = inner.machine.reporter(&self.seat)?;
        Some(stream.metadata().clone())
    }

    /// Where the object stands, and the hash of its data there; `None` until it is claimed. Costs a
    /// pass over the data.
    #[must_use]
    pub fn head(&self) -> Option<(Position, Hash)> {
        let inner = self.alive.0.lock();
        let stream = inner.machine.reporter(&self.seat)?;
        let (position, data) = (stream.position()?, stream.data());
        drop(inner);
        Some((position, Hash::of(&data)))
    }

    /// How the object is doing; can be waited on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Waits until the node has agreed that this is the object's Reporter.
    ///
    /// # Errors
    /// The node's [`Refusal`]: the address belongs to somebody else, or another session holds it.
    pub async fn claimed(&self) -> Result<(), Refusal> {
        let mut state = self.state.clone();
        let settled = |state: &State| matches!(state, State::Live | State::Closed(_));
        match state.wait_for(settled).await.as_deref() {
            Ok(State::Closed(refusal)) => Err(refusal.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::conflict("the runtime has ended")),
        }
    }

    /// Waits until everything written so far is stored: here, where it was created with [`Create::store`](crate::Create::store), with what
    /// was written to its children; and at a node that says that it stores what the object holds, without that. Works again
    /// when the store does.
    ///
    /// # Errors
    /// [`FlushError`]: what the store says (the disk is full), or that nothing is stored anywhere.
    pub async fn flushed(&self) -> Result<(), FlushError> {
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone().into());
            }
            let call = inner.machine.flush(&self.seat, shared.clock.now())?;
            inner.flushes.insert(call, answer);
        }
        shared.wake.notify_one();
        answered.await.map_err(|_| crate::shared::ended())?
    }

    /// Waits until few commits wait to be sent. Who writes faster than the network reads, and wants
    /// every commit on its way rather than a snapshot now and then, waits here before each write.
    ///
    /// # Errors
    /// The [`Refusal`] that this Reporter was closed with.
    pub async fn ready(&self) -> Result<(), Refusal> {
        let shared = &self.alive.0;
        loop {
            let sent = shared.sent.notified();
            if let State::Closed(refusal) = &*self.state.borrow() {
                return Err(refusal.clone());
            }
            let unsent = shared
                .lock()
                .machine
                .reporter(&self.seat)
                .map_or(0, |s| s.unsent());
            if unsent < HISTORY_COMMITS_MAX / 2 {
                return Ok(());
            }
            let mut state = self.state.clone();
            tokio::select! {
                () = sent => {}
                closed = state.wait_for(|state| matches!(state, State::Closed(_))) => drop(closed),
            }
        }
    }
}
