//! The clients of a run: one socket that changes are sent on, and the observers that read them. One
//! thread, one epoll, and no more work per delivery than to see that it is the right one.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem::{self, Finder};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::retry_on_intr;
use rustix::time::Timespec;

use crate::frame::{Opcode, masked};
use crate::line::{Line, PATIENCE};

/// Events taken from the kernel at once.
const EVENTS: usize = 512;
/// Bytes taken from a socket at once: a window of changes fits in several times.
const BUFFER: usize = 64 << 10;
/// How long to wait for what should not come any more, and for the other process to come to rest.
const REST: Duration = Duration::from_millis(10);

/// Where the changes go in: the Reporter's socket at a node, a trigger at the floor.
#[derive(Debug)]
pub(crate) struct Feed {
    line: Line,
    bytes: Vec<u8>,
    /// Where each change begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Feed {
    /// The Reporter's commits, ready to be sent.
    pub(crate) fn commits(line: Line, messages: &[String]) -> Self {
        let frames = messages
            .iter()
            .map(|message| masked(Opcode::Text, message.as_bytes()));
        Self::of(line, frames)
    }

    /// One byte for each of the messages that the floor got before.
    pub(crate) fn trigger(mut line: Line, messages: &[String]) -> Result<Self> {
        line.write(format!("{}\n\n", messages.join("\n")).as_bytes())?;
        Ok(Self::of(line, messages.iter().map(|_| vec![b'.'])))
    }

    fn of(line: Line, changes: impl Iterator<Item = Vec<u8>>) -> Self {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for change in changes {
            bytes.extend(change);
            starts.push(bytes.len());
        }
        Self {
            line,
            bytes,
            starts,
        }
    }

    /// Sends the changes after version `sent`, up to version `to`, in one write.
    fn send(&mut self, sent: usize, to: usize) -> Result<()> {
        let bounds = self.starts.get(sent).zip(self.starts.get(to));
        let (start, end) = bounds.context("more changes than were prepared")?;
        self.line.write(&self.bytes[*start..*end])
    }
}

#[derive(Debug)]
struct Observer {
    line: Line,
    /// The version of the last commit that was read.
    last: usize,
}

/// Observers that must get exactly the commits 1, 2, 3 … in this order.
pub(crate) struct Crowd {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    version: Finder<'static>,
    feed: Feed,
    observers: Vec<Observer>,
    /// By version: how many observers have read it.
    readers: Vec<usize>,
    sent: usize,
    /// The last version that every observer has read.
    complete: usize,
    /// When the last commit was sent or read.
    moved: Instant,
}

impl Crowd {
    pub(crate) fn new(feed: Feed, lines: Vec<Line>) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let watched = lines.iter().chain([&feed.line]);
        for (number, line) in (0..).zip(watched) {
            let data = epoll::EventData::new_u64(number);
            epoll::add(&epoll, line, data, epoll::EventFlags::IN)?;
        }
        let observers = lines.into_iter().map(|line| Observer { line, last: 0 });
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            version: Finder::new(b"\"version\":"),
            readers: vec![0; feed.starts.len()],
            feed,
            observers: observers.collect(),
            sent: 0,
            complete: 0,
            moved: Instant::now(),
        })
    }

    /// How many observers there are.
    pub(crate) const fn observers(&self) -> usize {
        self.observers.len()
    }

    /// How many of them have read everything, in order.
    pub(crate) fn verified(&self) -> usize {
        let done = |observer: &&Observer| observer.last == self.sent;
        self.observers.iter().filter(done).count()
    }

    /// Sends `changes` changes, never more than `window` ahead of the slowest observer.
    pub(crate) fn closed_loop(&mut self, changes: usize, window: usize) -> Result<()> {
        let until = self.sent + changes;
        while self.complete < until {
            let to = until.min(self.complete + window);
            if to > self.sent {
                self.send(to)?;
            }
            self.read(PATIENCE, |_| {})?;
            self.ensure_moving()?;
        }
        Ok(())
    }

    /// Sends a change each `period`, whatever has been read, and returns the microseconds from the
    /// write of each change to its reading by each observer.
    pub(crate) fn paced(&mut self, changes: usize, period: Duration) -> Result<Vec<u32>> {
        let before = self.sent;
        let mut waits = Vec::with_capacity(changes * self.observers.len());
        let mut writes: Vec<Instant> = Vec::with_capacity(changes);
        let mut due = Instant::now();
        while self.complete < before + changes {
            let now = Instant::now();
            if writes.len() < changes && due <= now {
                writes.push(now);
                due += period;
                self.send(self.sent + 1)?;
            }
            let timeout = if writes.len() < changes {
                due.saturating_duration_since(Instant::now())
            } else {
                PATIENCE
            };
            self.read(timeout, |version| {
                if let Some(written) = writes.get(version - before - 1) {
                    let wait = written.elapsed().as_micros();
                    waits.push(u32::try_from(wait).unwrap_or(u32::MAX));
                }
            })?;
            self.ensure_moving()?;
        }
        Ok(waits)
    }

    /// Waits until nothing happens any more; whatever is read now was sent twice.
    pub(crate) fn rest(&mut self) -> Result<()> {
        while self.read(REST, |_| {})? {}
        Ok(())
    }

    fn send(&mut self, to: usize) -> Result<()> {
        self.feed.send(self.sent, to)?;
        self.sent = to;
        self.moved = Instant::now();
        Ok(())
    }

    /// A node's pings come whether it delivers or not.
    fn ensure_moving(&self) -> Result<()> {
        ensure!(
            self.moved.elapsed() < PATIENCE,
            "verified {}/{}: no commit came for {} s, and {} were sent",
            self.verified(),
            self.observers.len(),
            PATIENCE.as_secs(),
            self.sent
        );
        Ok(())
    }

    /// Reads what is there, waiting for it at most `timeout`; `each` gets the version of each
    /// delivery. False when nothing came.
    fn read(&mut self, timeout: Duration, mut each: impl FnMut(usize)) -> Result<bool> {
        let timeout = Timespec::try_from(timeout)?;
        let mut delivered = false;
        let mut each = |version| {
            delivered = true;
            each(version);
        };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)))?;
        for event in &events {
            let number = usize::try_from(event.data.u64())?;
            if number < self.observers.len() {
                self.read_observer(number, &mut each)
                    .with_context(|| format!("observer {number}"))?;
            } else {
                // It is told who reads, and what is stored; anything else is a refusal.
                let told = |text: &[u8]| {
                    let is = |what: &str| memmem::find(text, what.as_bytes()).is_some();
                    let told = is("\"method\":\"presence\"") || is("\"stored\":");
                    ensure!(told, "{}", String::from_utf8_lossy(text));
                    Ok(())
                };
                let read = self.feed.line.read(&mut self.buffer, told);
                read.context("the sender of the changes")?;
            }
        }
        while self.complete < self.sent && self.readers[self.complete + 1] == self.observers.len() {
            self.complete += 1;
        }
        if delivered {
            self.moved = Instant::now();
        }
        let any = !events.is_empty();
        self.events = events;
        Ok(any)
    }

    fn read_observer(&mut self, number: usize, each: &mut impl FnMut(usize)) -> Result<()> {
        let Observer { line, last } = &mut self.observers[number];
        let (readers, sent) = (&mut self.readers, self.sent);
        line.read(&mut self.buffer, |text| {
            match number_after(&self.version, text) {
                Some(version) if version == *last + 1 && version <= sent => {
                    *last = version;
                    readers[version] += 1;
                    each(version);
                }
                Some(version) => bail!("got commit {version} after {last}, {sent} were sent"),
                // A head moves nothing; anything else has no place here.
                None => ensure!(
                    memmem::find(text, b"\"position\":").is_some(),
                    "got {}",
                    String::from_utf8_lossy(text)
                ),
            }
            Ok(())
        })
    }
}

/// The number after the first `key`: the version of a commit. A search, because to parse JSON would
/// cost the clients more than everything else they do; no field before it has a name that contains
/// this one.
pub(crate) fn number_after(key: &Finder<'_>, text: &[u8]) -> Option<usize> {
    let start = key.find(text)? + key.needle().len();
    let digits = text[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;
    use crate::frame::plain;

    /// One observer that gets `versions` when three changes are sent.
    fn delivered(versions: &[usize]) -> Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connect = || Line::connect(listener.local_addr()?);
        let messages = ["", "", ""].map(str::to_owned);
        let feed = Feed::trigger(connect()?, &messages)?;
        let mut crowd = Crowd::new(feed, vec![connect()?])?;
        let (_feed, (mut server, _)) = (listener.accept()?, listener.accept()?);
        for version in versions {
            let text = format!(r#"{{"body":{{"epoch":7,"version":{version}}}}}"#);
            server.write_all(&plain(Opcode::Text, text.as_bytes()))?;
        }
        crowd.closed_loop(3, 3)?;
        crowd.rest()?;
        Ok(crowd.verified())
    }

    #[test]
    fn an_observer_is_verified_when_it_reads_each_commit_once_and_in_order() {
        assert_eq!(delivered(&[1, 2, 3]).unwrap(), 1);
        for (wrong, why) in [
            (&[1, 3][..], "got commit 3 after 1"),
            (&[1, 1], "got commit 1 after 1"),
            (&[1, 2, 3, 3], "got commit 3 after 3"),
            (&[1, 2, 3, 4], "got commit 4 after 3"),
        ] {
            let error = format!("{:#}", delivered(wrong).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_version_of_a_commit_is_found_and_a_head_has_none() {
        let key = Finder::new(b"\"version\":");
        let commit = br#"{"type":"update","body":{"epoch":7,"version":42,"attribute":"s1"}}"#;
        assert_eq!(number_after(&key, commit), Some(42));
        let head = br#"{"type":"update","body":{"epoch":7,"position":[7,42],"live":true}}"#;
        assert_eq!(number_after(&key, head), None);
    }
}
