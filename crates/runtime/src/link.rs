//! Links: how frames travel between this runtime and its node.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use byline_core::limits::FRAME_BYTES_MAX;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};
use tokio_util::sync::PollSender;

use crate::memory::MemoryNode;

type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Bytes that a client's socket reads at once: its node sends small frames, many at a time.
const READ_BYTES: usize = 16 << 10;
/// Bytes that wait for the socket before more are taken from the machine.
const WRITE_BYTES: usize = 64 << 10;

/// Where a node is reached.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    WebSocket {
        url: String,
        /// How a node is trusted that speaks TLS.
        tls: Option<Arc<ClientConfig>>,
    },
    Memory(MemoryNode),
}

/// The half that frames leave by.
#[derive(Debug)]
pub(crate) enum Sender {
    WebSocket(SplitSink<WebSocket, Message>),
    Memory(PollSender<String>),
}

/// The half that frames come in by.
#[derive(Debug)]
pub(crate) enum Receiver {
    WebSocket(SplitStream<WebSocket>),
    Memory(mpsc::Receiver<String>),
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    Frame(String),
    /// The connection is gone, closed with this code if any.
    Gone(Option<u16>),
}

impl Link {
    /// Connects; dropping the future gives up.
    pub(crate) async fn connect(&self) -> io::Result<(Sender, Receiver)> {
        match self {
            Self::WebSocket { url, tls } => {
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ_BYTES)
                    .write_buffer_size(WRITE_BYTES)
                    .max_message_size(Some(FRAME_BYTES_MAX))
                    .max_frame_size(Some(FRAME_BYTES_MAX));
                let connector = tls.clone().map_or(Connector::Plain, Connector::Rustls);
                // Nagle's algorithm would hold back a commit while the last one is on its way.
                let connected =
                    connect_async_tls_with_config(url, Some(config), true, Some(connector)).await;
                let (socket, _) = connected.map_err(|error| refused(&error))?;
                let (sender, receiver) = socket.split();
                Ok((Sender::WebSocket(sender), Receiver::WebSocket(receiver)))
            }
            Self::Memory(node) => {
                let (sender, receiver) = node.connect();
                Ok((
                    Sender::Memory(PollSender::new(sender)),
                    Receiver::Memory(receiver),
                ))
            }
        }
    }
}

impl Sender {
    /// Ready when one frame more may be sent.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::WebSocket(sink) => sink.poll_ready_unpin(cx).map_err(io::Error::other),
            Self::Memory(sink) => sink.poll_ready_unpin(cx).map_err(io::Error::other),
        }
    }

    /// Takes a frame, after [`Sender::poll_ready`] said so.
    pub(crate) fn send(&mut self, frame: String) -> io::Result<()> {
        match self {
            Self::WebSocket(sink) => sink
                .start_send_unpin(Message::text(frame))
                .map_err(io::Error::other),
            Self::Memory(sink) => sink.start_send_unpin(frame).map_err(io::Error::other),
        }
    }

    /// Ready when everything taken is on its way.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::WebSocket(sink) => sink.poll_flush_unpin(cx).map_err(io::Error::other),
            Self::Memory(sink) => sink.poll_flush_unpin(cx).map_err(io::Error::other),
        }
    }
}

impl Receiver {
    /// The next thing that comes in. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Incoming {
        match self {
            Self::Memory(frames) => frames
                .recv()
                .await
                .map_or(Incoming::Gone(None), Incoming::Frame),
            Self::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Incoming::Frame(text.as_str().to_owned());
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return Incoming::Gone(frame.map(|frame| frame.code.into()));
                    }
                    // Pings are answered by the socket itself; a node sends no binary.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the connection broke");
                        return Incoming::Gone(None);
                    }
                    None => return Incoming::Gone(None),
                }
            },
        }
    }
}

/// Why there is no connection, in the words of whoever refused it where there are any.
fn refused(error: &tungstenite::Error) -> io::Error {
    if let tungstenite::Error::Http(answer) = error
        && let Some(Ok(body)) = answer.body().as_deref().map(str::from_utf8)
        && let Some(line) = body.lines().next()
    {
        return io::Error::other(format!("{line} ({})", answer.status().as_u16()));
    }
    if let tungstenite::Error::Io(failed) = error
        && let Some(broken) = failed.get_ref()
        && let Some(rustls::Error::InvalidMessage(_)) = broken.downcast_ref()
    {
        return io::Error::other("the node speaks no TLS there: connect with ws://");
    }
    io::Error::other(error.to_string())
}
