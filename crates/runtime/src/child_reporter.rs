//! A child's author: the one who writes it.

use std::marker::PhantomData;
use std::sync::Arc;

use byline_core::children::ChildId;
use byline_core::runtime::ChildError;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::children::Place;
use crate::typed::{self, Data};
use crate::{Refusal, shared};

/// The author of one child, made by [`Children::add`](crate::Children::add). Writing is synchronous, as a
/// [`Reporter`](crate::Reporter)'s: it is checked and applied before the call returns, and sent until it
/// is safe. Dropping it drops nothing that was written.
#[derive(Debug)]
pub struct ChildReporter<T = Value> {
    place: Place,
    id: ChildId,
    /// What is not known to be safe: no more than core lets wait.
    unsafe_yet: Vec<oneshot::Receiver<Result<(), Refusal>>>,
    /// The first refusal, until somebody asks.
    refused: Option<Refusal>,
    typed: PhantomData<fn() -> T>,
}

impl<T: Data> ChildReporter<T> {
    /// Lets `edit` change the child, and sends what it has changed as one commit. Says whether anything
    /// was different. Costs what [`Reporter::update`](crate::Reporter::update) does.
    ///
    /// # Errors
    /// [`ChildError`]; the child is as it was then.
    pub fn update(&mut self, edit: impl FnOnce(&mut T)) -> Result<bool, ChildError> {
        let before = self.data()?;
        let next = typed::edit(&before, edit)?;
        self.write_all(next)
    }

    /// Makes `next` the child, whole, and sends what is different as one commit.
    ///
    /// # Errors
    /// [`ChildError`]; the child is as it was then.
    pub fn replace(&mut self, next: T) -> Result<bool, ChildError> {
        let next = typed::write(next)?;
        self.write_all(next)
    }

    /// The child as its author has it, what is not safe yet included.
    ///
    /// # Errors
    /// [`ChildError::NoChild`] when it was removed; [`ChildError::Misfit`] when it is no `T`.
    pub fn copy(&self) -> Result<T, ChildError> {
        let data = self.data()?;
        Ok(typed::read(&data)?)
    }
}

impl<T> ChildReporter<T> {
    pub(crate) fn new(
        place: Place,
        id: ChildId,
        answered: oneshot::Receiver<Result<(), Refusal>>,
    ) -> Self {
        Self {
            unsafe_yet: vec![answered],
            ..Self::resumed(place, id)
        }
    }

    pub(crate) const fn resumed(place: Place, id: ChildId) -> Self {
        Self {
            place,
            id,
            unsafe_yet: Vec::new(),
            refused: None,
            typed: PhantomData,
        }
    }

    /// What the child is called, everywhere.
    #[must_use]
    pub const fn id(&self) -> &ChildId {
        &self.id
    }

    /// The child as its author has it, what is not safe yet included, as JSON.
    ///
    /// # Errors
    /// [`ChildError::NoChild`] when it was removed, or refused.
    pub fn data(&self) -> Result<Arc<Value>, ChildError> {
        let inner = self.place.alive.0.lock();
        let own = inner
            .machine
            .own_child(&self.place.seat, &self.place.name, &self.id);
        own.ok_or_else(|| ChildError::NoChild(self.id.clone()))
    }

    /// Removes the child.
    ///
    /// # Errors
    /// [`ChildError`]; it is as it was then.
    pub fn remove(&mut self) -> Result<(), ChildError> {
        let id = self.id.clone();
        let ((), answered) = self.place.write(|machine, place, now| {
            let call = machine.delete_child(&place.seat, &place.name, &id, now)?;
            Ok(((), call))
        })?;
        self.expect(answered);
        Ok(())
    }

    /// Waits until everything written so far is safe: the object's Reporter has it, or a node in its place, and so has or gets
    /// every reader. Waits through cuts.
    ///
    /// # Errors
    /// The first [`Refusal`] among what was written since the last call: that commit is undone.
    pub async fn safe(&mut self) -> Result<(), Refusal> {
        for answered in std::mem::take(&mut self.unsafe_yet) {
            self.note(answered.await.unwrap_or_else(|_| Err(shared::ended())));
        }
        self.refused.take().map_or(Ok(()), Err)
    }

    fn note(&mut self, answer: Result<(), Refusal>) {
        if let Err(refusal) = answer {
            self.refused.get_or_insert(refusal);
        }
    }

    fn write_all(&mut self, next: Value) -> Result<bool, ChildError> {
        let id = self.id.clone();
        let mut wrote = false;
        let shared = Arc::clone(&self.place.alive);
        let mut inner = shared.0.lock();
        if let Some(over) = &inner.over {
            return Err(ChildError::Closed(over.clone()));
        }
        let now = shared.0.clock.now();
        let (seat, name) = (&self.place.seat, &self.place.name);
        if let Some(call) = inner.machine.replace_child(seat, name, &id, next, now)? {
            let (answer, answered) = oneshot::channel();
            inner.commands.insert(call, answer);
            self.expect(answered);
            wrote = true;
        }
        drop(inner);
        shared.0.wake.notify_one();
        Ok(wrote)
    }

    /// One more answer to come; of those that came, only a refusal is of use.
    fn expect(&mut self, answered: oneshot::Receiver<Result<(), Refusal>>) {
        for mut earlier in std::mem::take(&mut self.unsafe_yet) {
            match earlier.try_recv() {
                Ok(answer) => self.note(answer),
                Err(oneshot::error::TryRecvError::Empty) => self.unsafe_yet.push(earlier),
                Err(oneshot::error::TryRecvError::Closed) => self.note(Err(shared::ended())),
            }
        }
        self.unsafe_yet.push(answered);
    }
}
