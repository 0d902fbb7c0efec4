//! The frames that wait for one socket, and the few writes they leave with.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::tcp::OwnedWriteHalf;

/// Most frames one write takes along.
const FRAMES_PER_WRITE: usize = 64;
/// A drained queue that grew beyond this gives its memory back.
const CAPACITY_KEPT: usize = 16;

/// What one [`Outgoing::write`] has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
    pub(crate) writes: usize,
    /// The socket takes no more for now.
    pub(crate) blocked: bool,
}

/// Frames in the order they go out. An empty one owns next to nothing.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// A part of the first frame is out: the rest must follow before anything else.
    begun: bool,
}

impl Outgoing {
    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Drops what waits, but not the rest of a frame that the peer has begun to read.
    pub(crate) fn abandon(&mut self) {
        self.frames.truncate(usize::from(self.begun));
        self.bytes = self.frames.iter().map(Bytes::len).sum();
    }

    /// Writes until nothing is left or the socket blocks.
    pub(crate) fn write(&mut self, socket: &OwnedWriteHalf) -> io::Result<Written> {
        let mut done = Written::default();
        while !self.frames.is_empty() {
            match self.write_once(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    done.writes += 1;
                    done.bytes += bytes;
                    done.frames += self.advance(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    done.blocked = true;
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
        if self.frames.capacity() > CAPACITY_KEPT {
            self.frames = VecDeque::new();
        }
        Ok(done)
    }

    fn write_once(&self, socket: &OwnedWriteHalf) -> io::Result<usize> {
        if self.frames.len() == 1 {
            return socket.try_write(&self.frames[0]);
        }
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let count = self.frames.len().min(FRAMES_PER_WRITE);
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
        }
        socket.try_write_vectored(&slices[..count])
    }

    /// Forgets the first `bytes`; says how many frames are out with them.
    fn advance(&mut self, mut bytes: usize) -> usize {
        self.bytes -= bytes;
        let mut frames = 0;
        while let Some(first) = self.frames.front_mut() {
            if bytes < first.len() {
                first.advance(bytes);
                self.begun |= bytes > 0;
                break;
            }
            bytes -= first.len();
            self.frames.pop_front();
            self.begun = false;
            frames += 1;
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_part_is_never_abandoned() {
        let mut outgoing = Outgoing::default();
        for frame in ["first", "second", "third"] {
            outgoing.push(frame.into());
        }
        assert_eq!((outgoing.advance(8), outgoing.bytes()), (1, 8));
        outgoing.abandon();
        assert_eq!(outgoing.frames, ["ond"]);
        assert_eq!(outgoing.bytes(), 3);
        assert_eq!((outgoing.advance(3), outgoing.bytes()), (1, 0));
        outgoing.push("fourth".into());
        outgoing.abandon();
        assert!(outgoing.frames.is_empty());
    }
}
