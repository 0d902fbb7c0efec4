//! One client's socket: the WebSocket handshake, and text messages both ways.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::Timespec;

use crate::frame::{self, Frame, Opcode};

/// How long anything may take before it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The example of RFC 6455 §1.3: a handshake's key has to be random for the sake of proxies only.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// What a head of HTTP ends with.
pub(crate) const HEAD_END: &[u8] = b"\r\n\r\n";

/// Bytes asked of a socket at once while a client waits for a single message.
const CHUNK: usize = 16 << 10;

/// A connected socket, and what was read from it that is no whole frame yet.
#[derive(Debug)]
pub(crate) struct Line {
    socket: TcpStream,
    held: Vec<u8>,
}

impl Line {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            held: Vec::new(),
        })
    }

    /// Asks for the WebSocket; [`Line::upgraded`] waits for the answer.
    pub(crate) fn upgrade(&mut self) -> Result<()> {
        let host = self.socket.peer_addr()?;
        self.write(
            format!(
                "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            )
            .as_bytes(),
        )
    }

    pub(crate) fn upgraded(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.take_switching()?.is_none() {
            ensure!(self.wait(until)?, "no answer to the WebSocket handshake");
        }
        Ok(())
    }

    /// [`Line::upgraded`] without waiting: the answer once it is whole. `buffer` as in [`Line::read`].
    pub(crate) fn switching(&mut self, buffer: &mut [u8]) -> Result<Option<String>> {
        if let Some(bytes) = self.receive(buffer)? {
            self.held.clear();
            self.held.extend_from_slice(bytes);
        }
        self.take_switching()
    }

    fn take_switching(&mut self) -> Result<Option<String>> {
        let Some(end) = memmem::find(&self.held, HEAD_END) else {
            return Ok(None);
        };
        let end = end + HEAD_END.len();
        let answer = String::from_utf8_lossy(&self.held[..end]).into_owned();
        ensure!(
            answer.starts_with("HTTP/1.1 101") && answer.contains(ACCEPT),
            "the WebSocket handshake was refused: {}",
            answer.lines().next().unwrap_or_default()
        );
        self.held.drain(..end);
        Ok(Some(answer))
    }

    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        self.write(&frame::masked(Opcode::Text, text.as_bytes()))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).context("cannot write")
    }

    /// The next text message; `None` when there is none until then.
    pub(crate) fn text(&mut self, until: Instant) -> Result<Option<String>> {
        loop {
            let Some(frame) = frame::parse(&self.held)? else {
                if self.wait(until)? {
                    continue;
                }
                return Ok(None);
            };
            let bytes = frame.bytes;
            let text = match text_of(&self.socket, &frame)? {
                Some(text) => Some(String::from_utf8(text.to_vec())?),
                None => None,
            };
            self.held.drain(..bytes);
            if text.is_some() {
                return Ok(text);
            }
        }
    }

    /// Receives once, without waiting, and hands each whole text message to `each`. `buffer` is
    /// shared by all lines, so that it stays in the processor's cache.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(mut rest) = self.receive(buffer)? else {
            return Ok(());
        };
        while let Some(frame) = frame::parse(rest)? {
            rest = &rest[frame.bytes..];
            if let Some(text) = text_of(&self.socket, &frame)? {
                each(text)?;
            }
        }
        self.held.clear();
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// What was held and what has come, in `buffer`; `None` when nothing has.
    fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
        let held = self.held.len();
        ensure!(held < buffer.len(), "a message is longer than the buffer");
        buffer[..held].copy_from_slice(&self.held);
        let received = match recv(&self.socket, &mut buffer[held..], RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            other => other.context("cannot read")?.0,
        };
        ensure!(received > 0, "the connection was closed");
        Ok(Some(&buffer[..held + received]))
    }

    /// Waits for bytes and keeps them; false when none came until then.
    fn wait(&mut self, until: Instant) -> Result<bool> {
        let timeout = Timespec::try_from(until.saturating_duration_since(Instant::now()))?;
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).context("cannot wait")? == 0 {
            return Ok(false);
        }
        let held = self.held.len();
        self.held.resize(held + CHUNK, 0);
        let (received, _) = recv(&self.socket, &mut self.held[held..], RecvFlags::DONTWAIT)?;
        self.held.truncate(held + received);
        ensure!(received > 0, "the connection was closed");
        Ok(true)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The text of a frame that has one; control frames are answered here.
fn text_of<'a>(mut socket: &TcpStream, frame: &Frame<'a>) -> Result<Option<&'a [u8]>> {
    match frame.opcode {
        Opcode::Text => return Ok(Some(frame.payload)),
        Opcode::Ping => socket.write_all(&frame::masked(Opcode::Pong, frame.payload))?,
        Opcode::Pong => {}
        Opcode::Close => match frame.payload {
            [high, low, why @ ..] => bail!(
                "closed with {}: {}",
                u16::from_be_bytes([*high, *low]),
                String::from_utf8_lossy(why)
            ),
            _ => bail!("closed without a code"),
        },
    }
    Ok(None)
}
