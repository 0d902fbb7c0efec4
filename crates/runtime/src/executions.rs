//! What readers ask an object's application to do: both sides of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use byline_core::address::Address;
use byline_core::identity::Identity;
use byline_core::runtime::{Executing, Seat};
use byline_core::stream::WriteError;
use futures_util::Stream;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::Refusal;
use crate::commands::CommandError;
use crate::observer::Observer;
use crate::reporter::Reporter;
use crate::shared::Alive;

impl<T> Reporter<T> {
    /// What readers ask to have done with [`Observer::execute`], each to be answered. While nobody holds
    /// what this gives, they are refused with 501; at most 256 wait, further ones are refused for now. Each
    /// is given once, to one of those who wait. A [`Stream`], which ends when this Reporter is closed.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, Runtime, State};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
    /// let reporter = ann.syncher("heater")?.create(Create::new("Context", json!({"on": false})).public())?;
    /// let mut executions = reporter.executions();
    /// let observer = bob.syncher("remote")?.subscribe(reporter.url().as_str())?;
    /// # observer.state().wait_for(|state| *state == State::Live).await?;
    ///
    /// let heater = async {
    ///     let execution = executions.next().await.unwrap();
    ///     assert_eq!(execution.method(), "switch");
    ///     reporter.update(|data| data["on"] = execution.params()["on"].clone())?;
    ///     execution.answer("done")
    /// };
    /// let (answer, heated) = tokio::join!(observer.execute("switch", json!({"on": true})), heater);
    /// assert_eq!(answer?, json!("done"));
    /// # heated?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn executions(&self) -> Executions {
        let mut inner = self.alive.0.lock();
        if let Some(reported) = inner.reporters.get_mut(&self.seat) {
            reported.executions.enter();
        }
        Executions {
            alive: Arc::clone(&self.alive),
            seat: self.seat.clone(),
        }
    }
}

impl<T> Observer<T> {
    /// Asks the application of the object to do something, and waits for its answer. It is asked once: when
    /// the connection is lost before the answer, it may have been done or not. `params` has at most 64 KiB.
    ///
    /// # Errors
    /// [`CommandError`]: 501 when the application takes nothing of the kind, 408 when it has not answered
    /// within 15 s and has not said that it takes longer, 503 when it is away or the connection was lost, 403
    /// for who does not observe the object any more.
    pub async fn execute(
        &self,
        method: &str,
        params: impl Into<Value>,
    ) -> Result<Value, CommandError> {
        let shared = &self.alive().0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone().into());
            }
            let now = shared.clock.now();
            let call = inner
                .machine
                .execute(self.seat(), method, params.into(), now)?;
            inner.answers.insert(call, answer);
        }
        shared.wake.notify_one();
        let ended = |_| Refusal::conflict("the session has ended: it may be done or not");
        Ok(answered.await.map_err(ended)??)
    }
}

/// What readers ask to have done, made by [`Reporter::executions`]. A [`Stream`].
#[derive(Debug)]
pub struct Executions {
    alive: Arc<Alive>,
    seat: Seat,
}

impl Executions {
    /// The next one; `None` when the Reporter is closed.
    pub async fn next(&mut self) -> Option<Execution> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Execution>> {
        let mut inner = self.alive.0.lock();
        let Some(reported) = inner.reporters.get_mut(&self.seat) else {
            return Poll::Ready(None);
        };
        let over = reported.is_over();
        let next = reported.executions.poll(over, cx);
        next.map(|executing| {
            Some(Execution {
                alive: Arc::clone(&self.alive),
                executing: executing?,
            })
        })
    }
}

impl Stream for Executions {
    type Item = Execution;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Execution>> {
        self.poll(cx)
    }
}

impl Drop for Executions {
    fn drop(&mut self) {
        let mut inner = self.alive.0.lock();
        let reported = inner.reporters.get_mut(&self.seat);
        for left in reported
            .map(|one| one.executions.leave())
            .unwrap_or_default()
        {
            inner.refuse_execution(left.number);
        }
        drop(inner);
        self.alive.0.wake.notify_one();
    }
}

/// Something that a reader asks for, who waits 15 s, or as [`Execution::hold`] says. One that is dropped
/// without an answer is refused with 501.
#[derive(Debug)]
#[must_use = "dropped, it is refused"]
pub struct Execution {
    alive: Arc<Alive>,
    executing: Executing,
}

impl Execution {
    /// The hyperty that asks.
    #[must_use]
    pub const fn hyperty(&self) -> &Address {
        &self.executing.hyperty
    }

    /// Who that is, as the node has proved it; `None` for an anonymous session.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.executing.identity.as_ref()
    }

    /// What is to be done.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.executing.method
    }

    /// With what.
    #[must_use]
    pub const fn params(&self) -> &Value {
        &self.executing.params
    }

    /// It is done, and this came of it.
    ///
    /// # Errors
    /// [`WriteError`] when the value is no I-JSON or has more than 4 MiB; who asked is told that there is
    /// no answer.
    pub fn answer(self, value: impl Into<Value>) -> Result<(), WriteError> {
        self.end(Ok(value.into()))
    }

    /// It is not done; who asked is told why, by a refusal with 4xx or 5xx.
    pub fn refuse(self, refusal: Refusal) {
        // Only a value can be wrong.
        _ = self.end(Err(refusal));
    }

    /// Lets who asks wait for so long, at most a day.
    pub fn hold(&self, time: Duration) {
        self.alive.0.hold(self.executing.number, time);
    }

    fn end(&self, answer: Result<Value, Refusal>) -> Result<(), WriteError> {
        let shared = &self.alive.0;
        let number = self.executing.number;
        let ended = shared.lock().machine.answer_execute(number, answer);
        shared.wake.notify_one();
        ended.map(drop)
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        let shared = &self.alive.0;
        // Answered before, it is not open any more.
        shared.lock().refuse_execution(self.executing.number);
        shared.wake.notify_one();
    }
}
