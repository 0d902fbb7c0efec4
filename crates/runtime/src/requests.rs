//! Those whom the access of an object leaves open, and what its application decides.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use byline_core::address::Address;
use byline_core::identity::Identity;
use byline_core::runtime::{Asking, Seat};
use futures_util::Stream;

use crate::Refusal;
use crate::reporter::Reporter;
use crate::shared::Alive;

impl<T> Reporter<T> {
    /// Those who ask to observe or read an object created with [`Create::approve`](crate::Create::approve),
    /// each to be decided on. At most 256 wait; further ones are refused for now. Each is given once, to
    /// one of those who wait. A [`Stream`], which ends when this Reporter is closed.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, Runtime, State};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
    /// let create = Create::new("Context", serde_json::json!({"n": 1})).approve();
    /// let reporter = ann.syncher("diary")?.create(create)?;
    /// let observer = bob.syncher("reader")?.subscribe(reporter.url().as_str())?;
    ///
    /// let request = reporter.requests().next().await.unwrap();
    /// assert_eq!(request.identity(), Some(&bob.identity()));
    /// request.accept();
    /// observer.state().wait_for(|state| *state == State::Live).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests {
            alive: Arc::clone(&self.alive),
            seat: self.seat.clone(),
        }
    }
}

/// Those who ask to observe or read one object, made by [`Reporter::requests`]. A [`Stream`].
#[derive(Debug)]
pub struct Requests {
    alive: Arc<Alive>,
    seat: Seat,
}

impl Requests {
    /// The next one; `None` when the Reporter is closed.
    pub async fn next(&mut self) -> Option<Request> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Request>> {
        let mut inner = self.alive.0.lock();
        let Some(reported) = inner.reporters.get_mut(&self.seat) else {
            return Poll::Ready(None);
        };
        let over = reported.is_over();
        let next = reported.requests.poll(over, cx);
        next.map(|asking| {
            Some(Request {
                alive: Arc::clone(&self.alive),
                asking: asking?,
            })
        })
    }
}

impl Stream for Requests {
    type Item = Request;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        self.poll(cx)
    }
}

/// Somebody asks to observe or read an object, and waits: a day at most, or as [`Request::hold`] says.
/// One that is dropped undecided is refused.
#[derive(Debug)]
#[must_use = "dropped, it is refused"]
pub struct Request {
    alive: Arc<Alive>,
    asking: Asking,
}

impl Request {
    /// The hyperty that asks.
    #[must_use]
    pub const fn hyperty(&self) -> &Address {
        &self.asking.hyperty
    }

    /// Who that is, as the node has proved it; `None` for an anonymous session.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.asking.identity.as_ref()
    }

    /// Whether the object is to be read once, rather than observed.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.asking.read
    }

    /// Lets it in. A hyperty that observes is not asked about again until it is put out.
    pub fn accept(self) {
        self.decide(Ok(()));
    }

    /// Refuses it; it is told why.
    pub fn reject(self, why: &str) {
        self.decide(Err(Refusal::forbidden(why.to_owned())));
    }

    /// Lets it wait for so long, at most a day, and no longer: after that it is told that nobody has
    /// decided, and asks again by and by.
    pub fn hold(&self, time: Duration) {
        self.alive.0.hold(self.asking.number, time);
    }

    fn decide(&self, answer: Result<(), Refusal>) {
        let shared = &self.alive.0;
        shared.lock().machine.decide(self.asking.number, answer);
        shared.wake.notify_one();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // Decided before, it is not open any more.
        self.decide(Err(Refusal::forbidden("nobody has decided to let you in")));
    }
}
