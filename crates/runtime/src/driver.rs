//! The driver: one task that performs what core's machine puts out and hands in what happens.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use byline_core::error::Refusal;
use byline_core::identity::Token;
use byline_core::runtime::Input;
use byline_core::storage::Batch;
use byline_store::Writer;

use crate::link::{Incoming, Link, Receiver, Sender};
use crate::shared::{Shared, ToLink};
use crate::token::{Asked, Source};

/// How long the last frames may take when the application is done.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

type Connected = Result<(Sender, Receiver), String>;
type Connecting = Pin<Box<dyn Future<Output = Connected> + Send>>;

/// What the loop waits for besides the connection.
enum Event {
    Woken,
    Timeout,
    Connected(Connected),
    In(Incoming),
    Token(Result<Token, String>),
    /// The socket takes one frame more, or does no longer.
    Ready(bool),
    Flushed(bool),
}

struct Driver {
    shared: Arc<Shared>,
    link: Link,
    source: Option<Source>,
    /// A token that the application was asked for.
    asked: Option<Asked>,
    connecting: Option<Connecting>,
    sender: Option<Sender>,
    receiver: Option<Receiver>,
    /// The frame that waits for the socket. No more are taken from the machine meanwhile.
    frame: Option<String>,
    unflushed: bool,
    writer: Option<Writer>,
}

/// Drives the machine until nobody holds a handle of it. The driver is there before the future is
/// awaited for the first time: its end is told even when that never happens.
pub(crate) fn drive(
    shared: Arc<Shared>,
    link: Link,
    source: Option<Source>,
    writer: Option<Writer>,
) -> impl Future<Output = ()> {
    let mut driver = Driver {
        shared: Arc::clone(&shared),
        link,
        source,
        asked: None,
        connecting: None,
        sender: None,
        receiver: None,
        frame: None,
        unflushed: false,
        writer,
    };
    async move {
        loop {
            driver.take_outputs();
            if shared.lock().closing {
                let _ = tokio::time::timeout(CLOSE_WAIT, driver.finish()).await;
                driver.finish_storing().await;
                break;
            }
            let event = driver.next_event().await;
            driver.handle(event);
        }
    }
}

/// However the driver ends, with the last handle or with the tokio runtime that it ran in, nobody
/// waits for it any longer.
impl Drop for Driver {
    fn drop(&mut self) {
        self.shared
            .lock()
            .end(Refusal::conflict("the runtime has ended"));
        self.shared.ended.send_replace(true);
    }
}

impl Driver {
    /// Performs outputs until there is a frame to be sent, or nothing.
    fn take_outputs(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut inner = shared.lock();
        // A socket that takes nothing does not keep anything from being stored.
        if let Some(batch) = inner.machine.poll_batch(shared.clock.now()) {
            self.store(batch);
        }
        while self.frame.is_none() {
            let now = shared.clock.now();
            let Some(output) = inner.machine.poll_output(now) else {
                break;
            };
            match inner.perform(output, now) {
                None => {}
                Some(ToLink::Connect) => self.connect(),
                Some(ToLink::Disconnect) => {
                    self.drop_connection();
                    inner
                        .machine
                        .handle(Input::Disconnected(None), shared.clock.now());
                }
                Some(ToLink::Send(frame)) if self.sender.is_some() => self.frame = Some(frame),
                Some(ToLink::Store(batch)) => self.store(batch),
                Some(ToLink::NeedsToken) if self.asked.is_some() => {}
                Some(ToLink::NeedsToken) => self.asked = self.source.as_ref().map(Source::ask),
                // Said to a connection that is gone: recovery says it again where it matters.
                Some(ToLink::Send(_)) => {}
            }
        }
    }

    fn store(&self, batch: Batch) {
        if let Some(writer) = &self.writer {
            writer.write(batch);
        }
    }

    /// Stores what is left to be stored, unless the store takes nothing.
    async fn finish_storing(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            {
                let mut inner = shared.lock();
                if let Some(batch) = inner.machine.poll_batch(shared.clock.now()) {
                    self.store(batch);
                }
                if !inner.machine.is_storing() || inner.machine.not_stored().is_some() {
                    break;
                }
            }
            shared.wake.notified().await;
        }
        let writer = self.writer.take();
        // A last try that fails has been told by then.
        let _ = tokio::task::spawn_blocking(move || writer.map(Writer::stop)).await;
    }

    fn connect(&mut self) {
        self.drop_connection();
        let link = self.link.clone();
        self.connecting = Some(Box::pin(async move {
            match tokio::time::timeout(CONNECT_WAIT, link.connect()).await {
                Ok(connected) => connected.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", CONNECT_WAIT.as_secs())),
            }
        }));
    }

    fn drop_connection(&mut self) {
        (self.connecting, self.sender, self.receiver, self.frame) = (None, None, None, None);
        self.unflushed = false;
    }

    /// Waits for whatever comes first. Reading goes on while writing waits, or two full sockets
    /// would wait for each other.
    async fn next_event(&mut self) -> Event {
        let at = self
            .shared
            .lock()
            .machine
            .poll_timeout()
            .map(|at| self.shared.clock.instant(at));
        let timeout = async {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        let connected = async {
            match &mut self.connecting {
                Some(connecting) => connecting.await,
                None => pending().await,
            }
        };
        let token = async {
            match &mut self.asked {
                Some(asked) => asked.await,
                None => pending().await,
            }
        };
        let incoming = async {
            match &mut self.receiver {
                Some(receiver) => receiver.next().await,
                None => pending().await,
            }
        };
        let (has_frame, unflushed) = (self.frame.is_some(), self.unflushed);
        let outgoing = async {
            match &mut self.sender {
                Some(sender) if has_frame => {
                    Event::Ready(poll_fn(|cx| sender.poll_ready(cx)).await.is_ok())
                }
                Some(sender) if unflushed => {
                    Event::Flushed(poll_fn(|cx| sender.poll_flush(cx)).await.is_ok())
                }
                _ => pending().await,
            }
        };
        tokio::select! {
            () = self.shared.wake.notified() => Event::Woken,
            () = timeout => Event::Timeout,
            connected = connected => Event::Connected(connected),
            token = token => Event::Token(token),
            incoming = incoming => Event::In(incoming),
            event = outgoing => event,
        }
    }

    fn handle(&mut self, event: Event) {
        let input = match event {
            Event::Woken => return,
            Event::Timeout => Input::Timeout,
            Event::Ready(true) => return self.send(),
            Event::Flushed(true) => {
                self.unflushed = false;
                return self.shared.sent.notify_waiters();
            }
            Event::Connected(Ok((sender, receiver))) => {
                self.connecting = None;
                self.shared.reached.send_replace(Some(Ok(())));
                (self.sender, self.receiver) = (Some(sender), Some(receiver));
                Input::Connected
            }
            Event::Token(token) => {
                self.asked = None;
                let (mut inner, now) = (self.shared.lock(), self.shared.clock.now());
                return match token {
                    Ok(token) => inner.machine.authenticate(token, now),
                    Err(error) => {
                        tracing::warn!(%error, "there is no token to be had");
                        inner.machine.no_token(&error, now);
                    }
                };
            }
            Event::In(Incoming::Frame(frame)) => {
                let mut inner = self.shared.lock();
                return inner
                    .machine
                    .handle(Input::Received(&frame), self.shared.clock.now());
            }
            Event::In(Incoming::Gone(code)) => {
                self.drop_connection();
                Input::Disconnected(code)
            }
            Event::Connected(Err(error)) => {
                tracing::debug!(%error, "the node cannot be reached");
                self.drop_connection();
                self.shared.reached.send_replace(Some(Err(error)));
                Input::Disconnected(None)
            }
            Event::Ready(false) | Event::Flushed(false) => {
                self.drop_connection();
                Input::Disconnected(None)
            }
        };
        self.shared
            .lock()
            .machine
            .handle(input, self.shared.clock.now());
    }

    fn send(&mut self) {
        let (Some(sender), Some(frame)) = (&mut self.sender, self.frame.take()) else {
            return;
        };
        // An error here is one of the connection too: reading meets it next.
        if let Err(error) = sender.send(frame) {
            tracing::debug!(%error, "a frame was not sent");
        }
        self.unflushed = true;
        self.shared.sent.notify_waiters();
    }

    /// Sends what is left to say.
    async fn finish(&mut self) {
        while let Some(sender) = &mut self.sender {
            let sent = match self.frame.take() {
                Some(frame) => {
                    let ready = poll_fn(|cx| sender.poll_ready(cx)).await;
                    ready.and_then(|()| sender.send(frame))
                }
                None => {
                    let flushed = poll_fn(|cx| sender.poll_flush(cx)).await;
                    self.wait_for_close(flushed.is_ok()).await;
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
            self.take_outputs();
        }
    }

    /// The node closes the connection when it has read the last frame: leaving before would reset it
    /// and lose what is on its way.
    async fn wait_for_close(&mut self, flushed: bool) {
        while flushed && let Some(receiver) = &mut self.receiver {
            if let Incoming::Gone(_) = receiver.next().await {
                return;
            }
        }
    }
}
