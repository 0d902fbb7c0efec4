//! Bytes from a socket to messages: tungstenite's reader, fed by hand, so that a connection at rest
//! owns a few hundred bytes and what tungstenite answers keeps its place among the node's frames.

use std::io::{self, Read, Write};

use byline_core::limits::FRAME_BYTES_MAX;
use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes that tungstenite's buffer begins with and takes in one step: the longest header of a frame.
/// With more, a long message would leave room behind itself, and its memory with it.
const STEP_BYTES: usize = 14;
/// A message from this length on takes the reader's buffer with it when it goes.
const LONG_BYTES: usize = 16 << 10;
/// What stands before the payload of a client's ping.
const CONTROL_HEADER_BYTES: usize = 6;
/// What RFC 6455 §7.1.5 calls a close without code.
const NO_CODE: u16 = 1005;

/// What came next.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Text(Utf8Bytes),
    /// Nothing before more bytes come.
    Starved,
    /// The peer broke a rule: close with this code, for this reason.
    Broken(u16, &'static str),
    /// The peer closed with this code, and its close is answered.
    Closed(u16),
}

/// The reading side of one WebSocket.
#[derive(Debug)]
pub(crate) struct Reader {
    context: WebSocketContext,
    peer_code: u16,
    /// Kept until the next read: while it lives, the reader's buffer cannot take its space back, and
    /// so a connection that once sent a long message does not own that much for ever.
    long: Option<Utf8Bytes>,
    /// Bytes taken of a message that is not whole.
    unfinished: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(STEP_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            peer_code: NO_CODE,
            long: None,
            unfinished: 0,
        }
    }

    /// Bytes taken of a message that is not whole, and so what this reader owns, about.
    pub(crate) const fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Takes from `wire` what the next message needs.
    pub(crate) fn next(&mut self, wire: &mut Wire<'_>) -> Incoming {
        loop {
            let before = wire.input.len();
            let read = self.context.read(wire);
            self.unfinished += before - wire.input.len();
            self.long = None;
            return match read {
                Ok(Message::Text(text)) => {
                    self.unfinished = 0;
                    self.long = (text.len() >= LONG_BYTES).then(|| text.clone());
                    Incoming::Text(text)
                }
                Ok(Message::Binary(_)) => Incoming::Broken(1003, "messages are text, not binary"),
                Ok(Message::Close(close)) => {
                    self.peer_code = close.map_or(NO_CODE, |close| close.code.into());
                    continue;
                }
                Ok(Message::Ping(control) | Message::Pong(control)) => {
                    // It may stand between the parts of a message.
                    let control = CONTROL_HEADER_BYTES + control.len();
                    self.unfinished = self.unfinished.saturating_sub(control);
                    continue;
                }
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    Incoming::Starved
                }
                Err(Error::ConnectionClosed) => Incoming::Closed(self.peer_code),
                Err(Error::Capacity(_)) => Incoming::Broken(1009, "a message is 8 MiB at most"),
                Err(Error::Utf8(_)) => Incoming::Broken(1007, "a message is valid UTF-8"),
                Err(_) => Incoming::Broken(1002, "this is not how WebSocket frames are made"),
            };
        }
    }
}

/// The bytes that came, and those that tungstenite answers to pings and closes.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl<'a> Wire<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            output: Vec::new(),
        }
    }

    /// Whether all that came is taken.
    pub(crate) const fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// What was answered since the last call.
    pub(crate) fn answers(&mut self) -> Option<Bytes> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output).into())
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
