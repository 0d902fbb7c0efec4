//! What happens to a hyperty without its asking: it is invited, and what it observes ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use byline_core::address::Address;
use byline_core::identity::Identity;
use byline_core::limits::HELD_MS;
use byline_core::runtime::CallError;
use byline_core::runtime::{self, Seat};
use byline_core::time::Time;
use futures_util::Stream;
use serde_json::{Map, Value};

use crate::Refusal;
use crate::reporter::Reporter;
use crate::shared::{Alive, Inner};
use crate::syncher::{Create, Syncher};

/// Endings that may wait. Beyond, the oldest is let go: the state of its Observer still tells it.
const ENDINGS: usize = 1024;

/// Something that a hyperty is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notification {
    /// Somebody asks it to observe an object.
    Invited(Invitation),
    /// An object that it observed was deleted by its Reporter.
    Deleted(Address),
    /// It was put out of an object that it observed, and this is why.
    PutOut(Address, Refusal),
}

/// The same, as it waits to be taken.
#[derive(Debug)]
pub(crate) enum Notice {
    Invited(runtime::Invitation),
    Deleted(Address),
    PutOut(Address, Refusal),
}

impl Syncher {
    /// What happens to this hyperty from now on. An invitation of the person goes to any of its hyperties that
    /// takes notifications; while none does, whoever invites is refused with 404. Each is given once, to one
    /// of those who wait: at most 256 invitations of a runtime and the newest 1,024 others are kept for them.
    /// A [`Stream`], which ends with the session.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, Notification, Runtime, State};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
    /// # bob.delivered().await?;
    /// let reader = bob.syncher("reader")?;
    /// let mut notifications = reader.notifications();
    /// let diary = ann.syncher("diary")?.create(Create::new("Context", serde_json::json!({"n": 1})))?;
    ///
    /// let comes = async {
    ///     match notifications.next().await {
    ///         Some(Notification::Invited(invitation)) => {
    ///             let observer = reader.subscribe(invitation.object().as_str());
    ///             invitation.accept();
    ///             observer
    ///         }
    ///         other => panic!("{other:?}"),
    ///     }
    /// };
    /// let bob = bob.identity();
    /// let (invited, observer) = tokio::join!(diary.invite(bob.as_str()), comes);
    /// invited?;
    /// observer?.state().wait_for(|state| *state == State::Live).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        let hyperty = self.hyperty().clone();
        let mut inner = self.alive.0.lock();
        inner.notices.entry(hyperty.clone()).or_default().enter();
        Notifications {
            alive: Arc::clone(&self.alive),
            hyperty,
        }
    }
}

/// What happens to a hyperty, made by [`Syncher::notifications`]. A [`Stream`].
#[derive(Debug)]
pub struct Notifications {
    alive: Arc<Alive>,
    hyperty: Address,
}

impl Notifications {
    /// The next one; `None` when the session has ended.
    pub async fn next(&mut self) -> Option<Notification> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Notification>> {
        let mut inner = self.alive.0.lock();
        let over = inner.over.is_some();
        let Some(notices) = inner.notices.get_mut(&self.hyperty) else {
            return Poll::Ready(None);
        };
        notices.poll(over, cx).map(|notice| {
            Some(match notice? {
                Notice::Deleted(object) => Notification::Deleted(object),
                Notice::PutOut(object, refusal) => Notification::PutOut(object, refusal),
                Notice::Invited(invitation) => Notification::Invited(Invitation {
                    alive: Arc::clone(&self.alive),
                    invitation,
                }),
            })
        })
    }
}

impl Stream for Notifications {
    type Item = Notification;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notification>> {
        self.poll(cx)
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        let mut inner = self.alive.0.lock();
        let notices = inner.notices.get_mut(&self.hyperty);
        for left in notices.map(|one| one.leave()).unwrap_or_default() {
            if let Notice::Invited(invitation) = left {
                inner.refuse_invitation(invitation.number);
            }
        }
        drop(inner);
        self.alive.0.wake.notify_one();
    }
}

impl Inner {
    /// Somebody invites `to`, a hyperty or this runtime's person. Once it waits to be taken it is seen.
    pub(crate) fn invited(&mut self, to: &Address, invitation: runtime::Invitation, now: Time) {
        let person = to == self.machine.url();
        let taken = |(hyperty, notices): &(&Address, &mut crate::inbox::Inbox<Notice>)| {
            notices.is_taken() && (person || *hyperty == to)
        };
        let number = invitation.number;
        match self.notices.iter_mut().find(taken) {
            Some((_, notices)) => {
                notices.push(Notice::Invited(invitation));
                self.machine.hold(number, HELD_MS, now);
            }
            None => self.refuse_invitation(number),
        }
    }

    /// An Observer was closed: where it had a copy, its hyperty may not have expected that.
    pub(crate) fn observer_ends(&mut self, seat: &Seat, refusal: &Refusal) {
        let stream = self.machine.observer(seat);
        if self.over.is_some() || stream.is_none_or(|stream| stream.position().is_none()) {
            return;
        }
        let object = seat.object.clone();
        let notice = match refusal.code {
            410 => Notice::Deleted(object),
            403 => Notice::PutOut(object, refusal.clone()),
            _ => return,
        };
        let notices = self.notices.get_mut(&seat.hyperty);
        if let Some(notices) = notices.filter(|notices| notices.is_taken()) {
            notices.push_within(notice, ENDINGS, |one| !matches!(one, Notice::Invited(_)));
        }
    }

    /// Nobody takes an invitation, if that is still to be said.
    pub(crate) fn refuse_invitation(&mut self, number: u64) {
        let refusal = Refusal::unknown("nobody here takes invitations");
        self.machine.answer_invitation(number, Err(refusal));
    }
}

/// Somebody asks a hyperty to observe an object, and has seen to it that it may. One that is dropped
/// undecided is refused.
#[derive(Debug)]
#[must_use = "dropped, it is refused"]
pub struct Invitation {
    alive: Arc<Alive>,
    invitation: runtime::Invitation,
}

impl Invitation {
    /// The object.
    #[must_use]
    pub const fn object(&self) -> &Address {
        &self.invitation.object
    }

    /// Who invites, as the node has proved it; `None` for an anonymous session.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.invitation.identity.as_ref()
    }

    /// The hyperty that invites, as it says itself.
    #[must_use]
    pub const fn hyperty(&self) -> &Address {
        &self.invitation.from
    }

    /// The object's schema.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.invitation.schema.as_deref()
    }

    /// The object's name for people.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.invitation.name.as_deref()
    }

    /// The names of the object's collections of children.
    #[must_use]
    pub fn children(&self) -> &[String] {
        &self.invitation.children
    }

    /// Whether the object is to be handed over: this identity owns it from now on, and [`Invitation::take_over`] claims
    /// it.
    #[must_use]
    pub const fn is_to_take_over(&self) -> bool {
        self.invitation.delegate
    }

    /// What claims the object: to be stored, for instance, and opened with [`Syncher::open`] when the invitation is
    /// accepted. How many children are kept is not known here: as many as when nothing is said.
    pub fn create(&self) -> Create {
        let schema = self.schema().unwrap_or_default();
        let create = Create::new(schema, Value::Object(Map::new())).at(self.object().as_str());
        let create = self.children().iter().fold(create, Create::children);
        match self.name() {
            Some(name) => create.name(name),
            None => create,
        }
    }

    /// Takes the object over that is handed over: accepts, and claims it for this hyperty. Its Reporter goes on from
    /// the object as it is.
    ///
    /// # Errors
    /// As [`Syncher::create`]; the invitation is refused then.
    pub fn take_over(self, syncher: &Syncher) -> Result<Reporter, CallError> {
        let reporter = syncher.create(self.create())?;
        self.accept();
        Ok(reporter)
    }

    /// Says that this hyperty is coming. To observe the object is the application's to do, with
    /// [`Syncher::subscribe`].
    pub fn accept(self) {
        self.answer(Ok(()));
    }

    /// Says why it is not.
    pub fn reject(self, why: &str) {
        self.answer(Err(Refusal::forbidden(why.to_owned())));
    }

    /// Lets whoever invites wait for so long, at most a day: by itself it is a day.
    pub fn hold(&self, time: Duration) {
        self.alive.0.hold(self.invitation.number, time);
    }

    fn answer(&self, answer: Result<(), Refusal>) {
        let shared = &self.alive.0;
        let number = self.invitation.number;
        shared.lock().machine.answer_invitation(number, answer);
        shared.wake.notify_one();
    }
}

impl Drop for Invitation {
    fn drop(&mut self) {
        // Answered before, it is not open any more.
        self.answer(Err(Refusal::forbidden("nobody has decided to come")));
    }
}
