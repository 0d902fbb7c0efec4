//! The frames that wait for one socket, and the few writes they leave with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice};

use byline_core::node::ObjectId;
use bytes::{Buf, Bytes};

use crate::socket::Sending;

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

/// A frame that waits.
#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    /// Whose stream it is of: it may be dropped. Without, it never is.
    of: Option<ObjectId>,
}

/// Frames in the order they go out. An empty one owns next to nothing.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Those of them that are never dropped.
    kept: usize,
    /// A part of the first frame is out: the rest must follow before anything else.
    begun: bool,
}

impl Outgoing {
    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that wait and are never dropped: answers, requests, and what else is no stream's.
    pub(crate) const fn kept(&self) -> usize {
        self.kept
    }

    pub(crate) fn push(&mut self, bytes: Bytes, of: Option<ObjectId>) {
        self.bytes += bytes.len();
        if of.is_none() {
            self.kept += bytes.len();
        }
        self.frames.push_back(Frame { bytes, of });
    }

    /// Drops what waits, but not the rest of a frame that the peer has begun to read.
    pub(crate) fn abandon(&mut self) {
        self.frames.truncate(usize::from(self.begun));
        self.weigh();
    }

    /// Drops the stream frames of the object with most bytes, then of the next, until no more than
    /// `bytes` wait; says whose. Costs a pass over the frames.
    pub(crate) fn shed(&mut self, bytes: usize) -> BTreeSet<ObjectId> {
        let begun = usize::from(self.begun);
        let mut weights: BTreeMap<ObjectId, usize> = BTreeMap::new();
        for frame in self.frames.iter().skip(begun) {
            if let Some(object) = frame.of {
                *weights.entry(object).or_default() += frame.bytes.len();
            }
        }
        let mut heaviest: Vec<_> = weights.into_iter().collect();
        heaviest.sort_by_key(|(_, weight)| Reverse(*weight));
        let mut left = self.bytes;
        let mut dropped = BTreeSet::new();
        for (object, weight) in heaviest {
            if left <= bytes {
                break;
            }
            left -= weight;
            dropped.insert(object);
        }
        self.keep(|object| !dropped.contains(&object));
        dropped
    }

    /// Drops the stream frames of `object`.
    pub(crate) fn withdraw(&mut self, object: ObjectId) {
        self.keep(|one| one != object);
    }

    /// Drops the stream frames of other objects, but for what the peer has begun to read.
    fn keep(&mut self, keep: impl Fn(ObjectId) -> bool) {
        let begun = usize::from(self.begun);
        let mut index = 0;
        self.frames.retain(|frame| {
            index += 1;
            index <= begun || frame.of.is_none_or(&keep)
        });
        self.weigh();
    }

    fn weigh(&mut self) {
        let bytes =
            |frames: &mut dyn Iterator<Item = &Frame>| frames.map(|frame| frame.bytes.len()).sum();
        self.bytes = bytes(&mut self.frames.iter());
        self.kept = bytes(&mut self.frames.iter().filter(|frame| frame.of.is_none()));
    }

    /// Writes until nothing is left or the socket blocks.
    pub(crate) fn write(&mut self, socket: &Sending) -> io::Result<Written> {
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
        match socket.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => done.blocked = true,
            flushed => flushed?,
        }
        if self.frames.capacity() > CAPACITY_KEPT {
            self.frames = VecDeque::new();
        }
        Ok(done)
    }

    fn write_once(&self, socket: &Sending) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let count = self.frames.len().min(FRAMES_PER_WRITE);
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame.bytes);
        }
        socket.write(&slices[..count])
    }

    /// Forgets the first `bytes`; says how many frames are out with them.
    pub(crate) fn advance(&mut self, mut bytes: usize) -> usize {
        self.bytes -= bytes;
        let mut frames = 0;
        while let Some(first) = self.frames.front_mut() {
            let out = bytes.min(first.bytes.len());
            if first.of.is_none() {
                self.kept -= out;
            }
            if out < first.bytes.len() {
                first.bytes.advance(out);
                self.begun |= out > 0;
                break;
            }
            bytes -= out;
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

    fn object(number: u64) -> ObjectId {
        ObjectId(number.try_into().unwrap())
    }

    /// What waits, as text.
    fn waiting(outgoing: &Outgoing) -> Vec<&str> {
        let frames = outgoing.frames.iter();
        frames
            .map(|frame| std::str::from_utf8(&frame.bytes).unwrap())
            .collect()
    }

    #[test]
    fn what_was_written_in_part_is_never_abandoned() {
        let mut outgoing = Outgoing::default();
        for frame in ["first", "second", "third"] {
            outgoing.push(frame.into(), None);
        }
        assert_eq!((outgoing.advance(8), outgoing.bytes()), (1, 8));
        outgoing.abandon();
        assert_eq!(waiting(&outgoing), ["ond"]);
        assert_eq!(outgoing.bytes(), 3);
        assert_eq!((outgoing.advance(3), outgoing.bytes()), (1, 0));
        outgoing.push("fourth".into(), None);
        outgoing.abandon();
        assert!(outgoing.frames.is_empty());
    }

    #[test]
    fn the_heaviest_object_is_dropped_first_and_no_more_than_needed() {
        let mut outgoing = Outgoing::default();
        for (frame, of) in [("a", 1), ("bbbb", 2), ("ccc", 3), ("AA", 1), ("BBBB", 2)] {
            outgoing.push(frame.into(), Some(object(of)));
        }
        assert_eq!(outgoing.shed(14), BTreeSet::new());
        assert_eq!(outgoing.shed(13), [object(2)].into());
        assert_eq!(waiting(&outgoing), ["a", "ccc", "AA"]);
        assert_eq!((outgoing.bytes(), outgoing.kept()), (6, 0));
        outgoing.withdraw(object(2));
        assert_eq!(outgoing.bytes(), 6);
        outgoing.withdraw(object(3));
        assert_eq!(waiting(&outgoing), ["a", "AA"]);
        outgoing.push("ccc".into(), Some(object(3)));
        assert_eq!(outgoing.shed(0), [object(1), object(3)].into());
        assert_eq!(outgoing.bytes(), 0);
    }

    #[test]
    fn answers_and_what_the_peer_has_begun_to_read_are_never_dropped() {
        let mut outgoing = Outgoing::default();
        outgoing.push("first".into(), Some(object(1)));
        outgoing.push("answer".into(), None);
        outgoing.push("second".into(), Some(object(1)));
        assert_eq!(outgoing.advance(2), 0);
        assert_eq!(outgoing.shed(0), [object(1)].into());
        assert_eq!(waiting(&outgoing), ["rst", "answer"]);
        assert_eq!((outgoing.bytes(), outgoing.kept()), (9, 6));
        assert_eq!(outgoing.advance(5), 1);
        assert_eq!((outgoing.bytes(), outgoing.kept()), (4, 4));
        assert_eq!(outgoing.advance(4), 1);
        assert_eq!((outgoing.bytes(), outgoing.kept()), (0, 0));
    }
}
