//! One WebSocket connection: what the hub knows of it, and the task that reads it and waits for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use byline_core::node::ConnectionId;
use byline_core::time::Time;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use crate::http::Upgraded;
use crate::hub::Hub;
use crate::outgoing::Outgoing;
use crate::reader::Reader;
use crate::socket::{Receiving, Sending};

/// A connection that closes has this long to take what waits for it and to hang up.
pub(crate) const CLOSING: Duration = Duration::from_secs(5);
/// With more than this in answers and requests waiting for it, a connection is not read.
const BACKED_UP_BYTES: usize = 1 << 20;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Messages go both ways.
    Open,
    /// The last frame waits to be written; what comes in is dropped.
    Closing,
    /// All is written. What is left is to read until the peer hangs up: a socket closed with bytes
    /// unread would be reset, and the peer might never see the last frames.
    Lingering,
}

/// The hub's side of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) outgoing: Outgoing,
    /// What its bytes become messages in; none when nothing more is taken from it.
    pub(crate) reader: Option<Box<Reader>>,
    /// Bytes of a message that has come in part, and since when; `reader` has them.
    pub(crate) unfinished: Option<(usize, Time)>,
    pub(crate) phase: Phase,
    /// It is in the hub's list of what to write.
    pub(crate) dirty: bool,
    /// Its socket takes no more: its task waits for that, nobody else writes.
    pub(crate) blocked: bool,
    /// It is not read because too much waits for it.
    pub(crate) backed_up: bool,
    /// Routes on it were parked and wait to be woken.
    pub(crate) parked: bool,
    /// Pings since something was last heard.
    pub(crate) silent_pings: u8,
    /// Dropping it tells the peer that nothing more will come.
    pub(crate) socket: Option<Sending>,
    waker: Option<Waker>,
}

impl Connection {
    pub(crate) fn new(socket: Sending) -> Self {
        Self {
            outgoing: Outgoing::default(),
            reader: Some(Box::new(Reader::new())),
            unfinished: None,
            phase: Phase::Open,
            dirty: false,
            blocked: false,
            backed_up: false,
            parked: false,
            silent_pings: 0,
            socket: Some(socket),
            waker: None,
        }
    }

    /// Has the connection's task look again.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Decides whether it is read, by what waits for it; wide apart, so that it does not flutter.
    pub(crate) fn weigh(&mut self) {
        let bytes = self.outgoing.kept();
        if bytes > BACKED_UP_BYTES {
            self.backed_up = true;
        } else if self.backed_up && bytes < BACKED_UP_BYTES / 4 {
            self.backed_up = false;
            self.wake();
        }
    }

    fn register(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

/// Runs a connection from the end of its handshake to its own.
pub(crate) async fn run(hub: Rc<Hub>, upgraded: Upgraded<(Sending, Receiving)>) {
    let Upgraded {
        stream: (sending, mut socket),
        early,
        seat: _seat,
    } = upgraded;
    let id = hub.connect(sending);
    if !early.is_empty() {
        hub.receive(id, &early);
    }
    // It keeps all of the memory that HTTP was read into.
    drop(early);
    receive(&hub, id, &socket, &[]);
    let mut deadline = None;
    while let Some(count) = poll_fn(|cx| turn(&hub, id, &mut socket, &mut deadline, cx)).await {
        let filled = {
            let scratch = hub.scratch.borrow();
            receive(&hub, id, &socket, &scratch[..count]);
            count == scratch.len()
        };
        if filled {
            tokio::task::yield_now().await;
        }
    }
}

/// Hands the hub what `bytes` from the socket say.
fn receive(hub: &Hub, id: ConnectionId, socket: &Receiving, bytes: &[u8]) {
    match socket.open(bytes, |bytes| hub.receive(id, bytes)) {
        Ok(false) => {}
        Ok(true) => hub.mark(id),
        Err(error) => {
            debug!(connection = id.0, %error, "the TLS session is over");
            hub.lose(id);
        }
    }
}

/// Waits for whatever this connection can do next. Ready with the number of bytes now in the hub's
/// scratch, or with `None` when the connection is gone.
fn turn(
    hub: &Hub,
    id: ConnectionId,
    socket: &mut Receiving,
    deadline: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<usize>> {
    loop {
        let status = hub.look(id, |connection| {
            connection.register(cx.waker());
            (connection.phase, connection.blocked, connection.backed_up)
        });
        let Some((phase, blocked, backed_up)) = status else {
            return Poll::Ready(None);
        };
        if blocked && socket.socket.as_ref().poll_write_ready(cx).is_ready() {
            hub.unblock(id);
            continue;
        }
        if phase != Phase::Open {
            let deadline = deadline.get_or_insert_with(|| Box::pin(sleep(CLOSING)));
            if deadline.as_mut().poll(cx).is_ready() {
                hub.lose(id);
                return Poll::Ready(None);
            }
        } else if backed_up || hub.is_full() {
            return Poll::Pending;
        }
        let mut scratch = hub.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        let read = Pin::new(&mut socket.socket).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        return match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if count > 0 => Poll::Ready(Some(count)),
            Poll::Ready(_) => {
                hub.lose(id);
                Poll::Ready(None)
            }
        };
    }
}
