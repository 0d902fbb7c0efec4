//! A room: everybody in it writes children and reads those of all others. Then somebody joins a room in
//! which much was said.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use byline_core::message::{Type, encode};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::retry_on_intr;
use rustix::time::Timespec;
use serde::Serialize;
use serde_json::json;

use crate::join::join;
use crate::joiner::Joiner;
use crate::line::{Line, PATIENCE};
use crate::machine::{Cores, own_cpu};
use crate::process::Process;
use crate::reporter::{CHILDREN, DOMAIN, OBJECT, Reporter, now};
use crate::round::SETTLE;

/// Those who write a child each second, and read what all write.
const AUTHORS: usize = 200;
/// Children in the room that is joined.
const SAID: usize = 10_000;
/// What an author says: with all around it, a message of some 400 bytes.
const TEXT: &str =
    "the quick brown fox jumps over the lazy dog, and then it does so once more, as it liked it";
/// Events taken from the kernel at once.
const EVENTS: usize = 512;
/// Bytes taken from a socket at once.
const BUFFER: usize = 1 << 20;

/// What a room cost its node.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Room {
    pub(crate) authors: usize,
    pub(crate) messages: usize,
    pub(crate) message_bytes: usize,
    pub(crate) cpu_us_per_delivery: f64,
    pub(crate) kept_waiting: f64,
    pub(crate) clients_busy: f64,
    /// Readers that got every message, each once.
    pub(crate) verified: usize,
    pub(crate) join: Join,
}

/// What joining cost.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Join {
    pub(crate) children: usize,
    pub(crate) ms: f64,
    pub(crate) node_cpu_ms: f64,
    pub(crate) bytes: usize,
}

/// Runs the room for `seconds`, then joins another.
pub(crate) fn run(cores: Cores, byline: &OsStr, seconds: usize) -> Result<Room> {
    let args = ["node", "--listen", "127.0.0.1:0", "--json"].map(str::to_owned);
    let process = Process::start(&[cores.server], byline, &args)?;
    let mut talk = Talk::begin(&process)?;
    talk.say(1)?;
    sleep(SETTLE);
    let (cpu, clients, start) = (process.cpu()?, own_cpu(), Instant::now());
    talk.say(seconds)?;
    let (clients, wall) = (own_cpu() - clients, start.elapsed());
    let spent = process.cpu()?.since(&cpu);
    let (verified, said) = (talk.verified()?, seconds * AUTHORS);
    let message_bytes = talk.message_bytes;
    drop((talk, process));
    let process = Process::start(&[cores.server], byline, &args)?;
    let join = join_late(&process)?;
    Ok(Room {
        authors: AUTHORS,
        messages: said,
        message_bytes,
        cpu_us_per_delivery: spent.ran.as_secs_f64() * 1e6 / (said * AUTHORS) as f64,
        kept_waiting: spent.waited.as_secs_f64() / wall.as_secs_f64(),
        clients_busy: clients.as_secs_f64() / wall.as_secs_f64(),
        verified,
        join,
    })
}

fn join_late(process: &Process) -> Result<Join> {
    let mut reporter = Reporter::claim_room(process.address)?;
    reporter.say(SAID, TEXT)?;
    sleep(SETTLE);
    let (cpu, start) = (process.cpu()?, Instant::now());
    let mut joiner = Joiner::subscribe(process.address)?;
    let mut buffer = vec![0; BUFFER];
    while joiner.children() < SAID || !joiner.is_live() {
        ensure!(start.elapsed() < PATIENCE, "joining takes too long");
        joiner.turn(&mut buffer)?;
        reporter.turn(&mut buffer)?;
    }
    Ok(Join {
        children: joiner.children(),
        ms: start.elapsed().as_secs_f64() * 1e3,
        node_cpu_ms: process.cpu()?.since(&cpu).ran.as_secs_f64() * 1e3,
        bytes: joiner.bytes,
    })
}

/// The room's Reporter and those who talk in it: one thread, one epoll.
struct Talk {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    reporter: Reporter,
    lines: Vec<Line>,
    /// By reader: the messages it got, and the answers to its own.
    got: Vec<(usize, usize)>,
    said: usize,
    message_bytes: usize,
}

impl Talk {
    fn begin(process: &Process) -> Result<Self> {
        let mut reporter = Reporter::claim_room(process.address)?;
        let joined = join(process.address, Some(&mut reporter), 0..AUTHORS)?;
        let lines: Vec<Line> = joined.into_iter().map(|one| one.line).collect();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, line) in (0..).zip(lines.iter().chain([reporter.line()])) {
            let data = epoll::EventData::new_u64(number);
            epoll::add(&epoll, line, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            reporter,
            got: vec![(0, 0); lines.len()],
            lines,
            said: 0,
            message_bytes: 0,
        })
    }

    /// Everybody says something each second, one after the other, for so many seconds.
    fn say(&mut self, seconds: usize) -> Result<()> {
        let period = Duration::from_secs(1) / u32::try_from(AUTHORS)?;
        let until = self.said + seconds * AUTHORS;
        let mut due = Instant::now();
        while self.said < until {
            while due > Instant::now() {
                self.turn(due.saturating_duration_since(Instant::now()))?;
            }
            due += period;
            let (author, number) = (self.said % AUTHORS, self.said / AUTHORS + 1);
            let message = message(author, number)?;
            self.message_bytes = message.len();
            self.lines[author].send(&message)?;
            self.said += 1;
        }
        let last = Instant::now();
        while self.verified()? < AUTHORS {
            ensure!(last.elapsed() < PATIENCE, "not everybody got everything");
            self.turn(PATIENCE)?;
        }
        Ok(())
    }

    /// How many readers got every message, and an answer to each of their own.
    fn verified(&self) -> Result<usize> {
        let over = self.got.iter().find(|(got, _)| *got > self.said);
        ensure!(over.is_none(), "a message came twice");
        let own = self.said / AUTHORS;
        let all = |got: &&(usize, usize)| **got == (self.said, own);
        Ok(self.got.iter().filter(all).count())
    }

    fn turn(&mut self, timeout: Duration) -> Result<()> {
        let timeout = Timespec::try_from(timeout.min(self.reporter.wait()))?;
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)))?;
        for event in &events {
            let number = usize::try_from(event.data.u64())?;
            let Some(line) = self.lines.get_mut(number) else {
                self.reporter.turn(&mut self.buffer)?;
                continue;
            };
            let (got, answered) = &mut self.got[number];
            line.read(&mut self.buffer, |text| {
                if memmem::find(text, b"\"type\":\"create\"").is_some() {
                    *got += 1;
                } else if memmem::find(text, b"\"code\":200").is_some() {
                    *answered += 1;
                }
                Ok(())
            })
            .with_context(|| format!("author {number}"))?;
        }
        self.events = events;
        Ok(())
    }
}

/// What an observer of [`join`] says as its `number`th child.
fn message(author: usize, number: usize) -> Result<String> {
    let hyperty = format!("hyperty://{DOMAIN}/observer-{author}/bench");
    let to = format!("{OBJECT}/children/{CHILDREN}");
    let body = json!({
        "resource": format!("{hyperty}#{number}"), "epoch": 1, "seq": number,
        "created": now().rfc3339(), "value": {"text": TEXT, "name": format!("author {author}")},
    });
    Ok(encode(
        &(number + 10).to_string(),
        Type::Create,
        &hyperty,
        &to,
        &body,
    ))
}
