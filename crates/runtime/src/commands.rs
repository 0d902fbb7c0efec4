//! What a Reporter commands about its object besides writing: who is put out, who may read, that it is
//! over. And what its node tells it: which of its commits are no part of the object.

use std::sync::Arc;

use byline_core::State;
use byline_core::address::Address;
use byline_core::error::Reason;
use byline_core::message::body::Access;
use byline_core::runtime::{self, CallError, Seat};
use byline_core::stream::Written;
use byline_core::time::Time;
use tokio::sync::oneshot;

use crate::observer::Observer;
use crate::reporter::Reporter;
use crate::syncher::Syncher;
use crate::{Refusal, shared};

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The call cannot be.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node said no, or there is no session any more.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Each of these is answered by the node, or by who is invited, and waits through cuts until it is. It is sent when its
/// future is first polled; dropped after that, it is done all the same.
impl<T> Reporter<T> {
    /// Puts a reader out: `reader` is the address of a hyperty, whose identity is denied from now on,
    /// or an identity. The reader is told `why`, gets nothing more, and is refused when it asks again.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn kick(&self, reader: &str, why: &str) -> Result<(), CommandError> {
        self.command(|machine, seat, now| machine.kick(seat, reader, why, now))
            .await
    }

    /// Takes back that a reader was put out: an identity, or the address of a hyperty that is there.
    /// It may ask again.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn allow(&self, reader: &str) -> Result<(), CommandError> {
        self.command(|machine, seat, now| machine.allow(seat, reader, now))
            .await
    }

    /// Says anew who may observe. Whoever may no longer is told, and gets nothing more.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn set_access(&self, access: Access) -> Result<(), CommandError> {
        self.command(|machine, seat, now| machine.access(seat, access, now))
            .await
    }

    /// Asks somebody to observe the object: `to` is an identity, told on the device that was opened last, or
    /// the address of a hyperty. From now on it may, unless it was put out. It may take a day to answer, and
    /// where a cut came between, a day to be there: 32 at once are asked, further ones in turn.
    ///
    /// # Errors
    /// [`CommandError`]: who is invited says no, and why; 404 when nobody is there, or takes invitations;
    /// 408 when nobody answers.
    pub async fn invite(&self, to: &str) -> Result<(), CommandError> {
        let to = Address::parse(to).map_err(CallError::from)?;
        self.command(|machine, seat, now| machine.invite(seat, &to, now))
            .await
    }

    /// Hands the object over to `to`, an identity, or the address of a hyperty that observes: it owns the object from
    /// now on, and is asked to claim it. This Reporter writes on until it has, is closed then, and the object is
    /// observed in its place; what was written in the last moment and is no part of it, [`Reporter::rejected`] gives.
    /// This identity owns the object no more, unless `keep`, but may read it. The other may take a day to come.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, Notification, Runtime};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
    /// # bob.delivered().await?;
    /// let editor = bob.syncher("editor")?;
    /// let mut notifications = editor.notifications();
    /// let minutes = ann.syncher("editor")?.create(Create::new("Context", json!({"items": 3})))?;
    ///
    /// let takes_over = async {
    ///     match notifications.next().await {
    ///         Some(Notification::Invited(invitation)) if invitation.is_to_take_over() => {
    ///             invitation.take_over(&editor)
    ///         }
    ///         other => panic!("{other:?}"),
    ///     }
    /// };
    /// let bob = bob.identity();
    /// let (observer, reporter) = tokio::join!(minutes.delegate(bob.as_str(), false), takes_over);
    /// let (observer, reporter) = (observer?, reporter?);
    /// reporter.claimed().await?;
    /// reporter.update(|data| data["items"] = json!(4))?;
    /// let mut copies = observer.copies();
    /// while copies.next().await.unwrap()?["items"] != 4 {}
    /// assert_eq!(observer.identity(), Some(bob));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CommandError`]: who is to have it says no, and why; everything is as before then. 404 when nobody is there, or
    /// takes invitations.
    pub async fn delegate(&self, to: &str, keep: bool) -> Result<Observer<T>, CommandError> {
        let to = Address::parse(to).map_err(CallError::from)?;
        let delegated = |machine: &mut runtime::Runtime, seat: &Seat, now| {
            machine.delegate(seat, &to, keep, now)
        };
        match self.command(delegated).await {
            // It was claimed before the answer was here.
            Err(CommandError::Refused(refusal)) if refusal.reason == Some(Reason::Superseded) => {}
            answered => answered?,
        }
        let mut state = self.state.clone();
        let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
        match closed.await.as_deref() {
            Ok(State::Closed(refusal)) if refusal.reason == Some(Reason::Superseded) => {}
            Ok(State::Closed(refusal)) => return Err(refusal.clone().into()),
            _ => return Err(shared::ended().into()),
        }
        let syncher = Syncher::new(Arc::clone(&self.alive), self.seat.hyperty.clone());
        Ok(syncher.subscribe(self.url().as_str())?.typed())
    }

    /// Deletes the object, for good: everything written so far goes out before, then its readers are
    /// told, and the address is not used again. From the call on nothing more is written.
    ///
    /// # Errors
    /// [`CommandError`]; the object may be written again then.
    pub async fn delete(&self) -> Result<(), CommandError> {
        self.command(runtime::Runtime::delete).await
    }

    async fn command(
        &self,
        command: impl FnOnce(&mut runtime::Runtime, &Seat, Time) -> Result<u64, CallError>,
    ) -> Result<(), CommandError> {
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone().into());
            }
            let call = command(&mut inner.machine, &self.seat, shared.clock.now())?;
            inner.commands.insert(call, answer);
        }
        shared.wake.notify_one();
        Ok(answered.await.map_err(|_| shared::ended())??)
    }

    /// Waits until something that was written here turns out to be no part of the object, and gives
    /// it: commits, oldest first, each with what it wrote. Nobody has seen them. It happens when another
    /// device of the same identity had the object meanwhile: this Reporter goes on from what that one
    /// left, or is closed since that one took it, and the application decides what to write again. `None` when this
    /// Reporter is closed and nothing is left to give; where another has taken the object, that is known when the
    /// object can be read again.
    ///
    /// Each is given once, to one of those who wait. When nobody asks, the newest 1,024 are kept.
    pub async fn rejected(&self) -> Option<Vec<Written>> {
        let shared = &self.alive.0;
        let mut told = shared
            .lock()
            .reporters
            .get(&self.seat)?
            .rejected
            .subscribe();
        let mut state = self.state.clone();
        loop {
            let rejected = std::mem::take(&mut shared.lock().reporters.get_mut(&self.seat)?.kept);
            if !rejected.is_empty() {
                return Some(rejected.into());
            }
            let closed = matches!(*state.borrow_and_update(), State::Closed(_));
            if closed && !self.is_settling() {
                return None;
            }
            tokio::select! {
                more = told.changed() => more.ok()?,
                over = state.changed() => over.ok()?,
            }
        }
    }

    /// Whether more may be given though this Reporter is closed.
    fn is_settling(&self) -> bool {
        let inner = self.alive.0.lock();
        inner.over.is_none() && inner.machine.is_settling(&self.seat)
    }
}
