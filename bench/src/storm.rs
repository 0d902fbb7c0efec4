//! Observers that come back all at once: each connects, opens a session and asks for what its copy
//! lacks, and nobody waits for anybody. One thread and one epoll, with the Reporter in its place.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem::Finder;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::retry_on_intr;
use rustix::time::Timespec;

use crate::crowd::number_after;
use crate::frame::{Opcode, masked};
use crate::line::{Line, PATIENCE};
use crate::reporter::Reporter;

/// Connections made before what came is read: fewer than any backlog of a listening socket.
const WAVE: usize = 64;
/// Events taken from the kernel at once.
const EVENTS: usize = 512;
/// What the Reporter's socket is known by among the observers' numbers.
const REPORTER: usize = usize::MAX;
/// Bytes taken from a socket at once: an answer fits in several times.
const BUFFER: usize = 64 << 10;
/// How long to wait for what should not come any more.
const REST: Duration = Duration::from_millis(10);

/// The two frames that an observer sends, ready to be written.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) open: Vec<u8>,
    pub(crate) subscribe: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(open: &str, subscribe: &str) -> Self {
        let frame = |text: &str| masked(Opcode::Text, text.as_bytes());
        Self {
            open: frame(open),
            subscribe: frame(subscribe),
        }
    }
}

/// What an observer was answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// The head of HTTP that made the socket a WebSocket.
    pub(crate) switching: String,
    /// The 200 to `open`.
    pub(crate) opened: String,
    /// What came for the `subscribe`: the 200 last, before it at most that it has to wait.
    pub(crate) subscribed: Vec<String>,
    /// What came after the 200.
    pub(crate) later: Vec<String>,
}

/// How far an observer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Switching,
    Opening,
    Subscribing,
    Current,
}

#[derive(Debug)]
struct Observer<'a> {
    line: Line,
    requests: &'a Requests,
    stage: Stage,
    answers: Answers,
}

/// The observers of one recovery.
pub(crate) struct Storm<'a> {
    epoll: OwnedFd,
    buffer: Vec<u8>,
    code: Finder<'static>,
    observers: Vec<Observer<'a>>,
    /// Who will answer; nobody at the floor.
    absent: Option<&'a mut Reporter>,
    /// Who answers.
    reporter: Option<&'a mut Reporter>,
    /// Requests that the Reporter has answered.
    pub(crate) answered: usize,
    /// Observers that have their 200.
    current: usize,
    /// What came to those.
    later: usize,
}

impl<'a> Storm<'a> {
    pub(crate) fn new(reporter: Option<&'a mut Reporter>) -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; BUFFER],
            code: Finder::new(b"\"code\":"),
            observers: Vec::new(),
            absent: reporter,
            reporter: None,
            answered: 0,
            current: 0,
            later: 0,
        })
    }

    /// The same beside a Reporter that is connected.
    pub(crate) fn beside(reporter: &'a mut Reporter) -> Result<Self> {
        let storm = Self::new(None)?;
        storm.watch(reporter.line(), REPORTER)?;
        Ok(Self {
            reporter: Some(reporter),
            ..storm
        })
    }

    /// Connects an observer for each of `requests`, in the midst of them the Reporter, and goes on
    /// until every observer has its 200.
    pub(crate) fn recover(&mut self, address: SocketAddr, requests: &'a [Requests]) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        for (number, of_one) in requests.iter().enumerate() {
            if number == requests.len() / 2 {
                self.connect_reporter(address)?;
            }
            self.connect(address, of_one)?;
            if number % WAVE == WAVE - 1 {
                self.turn(Duration::ZERO)?;
            }
        }
        while self.current < self.observers.len() {
            self.ensure_before(until)?;
            self.turn(PATIENCE)?;
        }
        Ok(())
    }

    /// Has the Reporter make `changes` commits, and waits until they came to every observer and
    /// nothing comes any more: whatever is read then was sent twice. Returns them.
    pub(crate) fn commit(&mut self, changes: usize) -> Result<Vec<String>> {
        let reporter = self.reporter.as_mut().context("there is no Reporter")?;
        let messages = reporter.write(changes)?.messages;
        reporter.send(&messages)?;
        let until = Instant::now() + PATIENCE;
        while self.later < messages.len() * self.observers.len() {
            self.ensure_before(until)?;
            self.turn(PATIENCE)?;
        }
        while self.turn(REST)? {}
        Ok(messages)
    }

    /// What each observer was answered.
    pub(crate) fn into_answers(self) -> Vec<Answers> {
        let answers = self.observers.into_iter().map(|observer| observer.answers);
        answers.collect()
    }

    fn ensure_before(&self, until: Instant) -> Result<()> {
        ensure!(
            Instant::now() < until,
            "{} of {} observers were current within {} s, and {} commits came to them",
            self.current,
            self.observers.len(),
            PATIENCE.as_secs(),
            self.later
        );
        Ok(())
    }

    fn connect(&mut self, address: SocketAddr, requests: &'a Requests) -> Result<()> {
        let mut line = Line::connect(address)?;
        line.upgrade()?;
        self.watch(&line, self.observers.len())?;
        self.observers.push(Observer {
            line,
            requests,
            stage: Stage::Switching,
            answers: Answers::default(),
        });
        Ok(())
    }

    fn connect_reporter(&mut self, address: SocketAddr) -> Result<()> {
        let Some(reporter) = self.absent.take() else {
            return Ok(());
        };
        reporter.come_back(address)?;
        self.watch(reporter.line(), REPORTER)?;
        self.reporter = Some(reporter);
        Ok(())
    }

    fn watch(&self, line: &Line, number: usize) -> Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        Ok(epoll::add(&self.epoll, line, data, epoll::EventFlags::IN)?)
    }

    /// Takes what is there, waiting for it at most `timeout`. False when nothing came.
    fn turn(&mut self, timeout: Duration) -> Result<bool> {
        let due = self.reporter.as_ref().map(|reporter| reporter.wait());
        let timeout = Timespec::try_from(due.map_or(timeout, |due| due.min(timeout)))?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)))?;
        for event in &events {
            let number = usize::try_from(event.data.u64())?;
            if number != REPORTER {
                self.read(number)
                    .with_context(|| format!("observer {number}"))?;
            }
        }
        // After the observers, so that one answer of its may serve many.
        if let Some(reporter) = &mut self.reporter {
            let answered = reporter.turn(&mut self.buffer);
            self.answered += answered.context("the Reporter")?;
        }
        Ok(!events.is_empty())
    }

    fn read(&mut self, number: usize) -> Result<()> {
        let Observer {
            line,
            requests,
            stage,
            answers,
        } = &mut self.observers[number];
        if *stage == Stage::Switching {
            if let Some(switching) = line.switching(&mut self.buffer)? {
                answers.switching = switching;
                *stage = Stage::Opening;
                line.write(&requests.open)?;
            }
            return Ok(());
        }
        let before = *stage;
        let (code, current, later) = (&self.code, &mut self.current, &mut self.later);
        line.read(&mut self.buffer, |text| {
            let said = std::str::from_utf8(text)?.to_owned();
            match (*stage, number_after(code, text)) {
                (Stage::Opening, Some(200)) => {
                    answers.opened = said;
                    *stage = Stage::Subscribing;
                }
                (Stage::Subscribing, Some(100..200)) => answers.subscribed.push(said),
                (Stage::Subscribing, Some(200)) => {
                    answers.subscribed.push(said);
                    *stage = Stage::Current;
                    *current += 1;
                }
                (Stage::Current, None) => {
                    answers.later.push(said);
                    *later += 1;
                }
                (stage, _) => bail!("got {said} while {stage:?}"),
            }
            Ok(())
        })?;
        if (before, *stage) == (Stage::Opening, Stage::Subscribing) {
            line.write(&requests.subscribe)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::net::TcpListener;
    use std::thread::spawn;

    use super::*;
    use crate::floor;
    use crate::line::ACCEPT;
    use crate::recording::{Exchange, Recording};

    const WAITING: &str = r#"{"id":"2","type":"response","body":{"code":102}}"#;
    const CURRENT: &str = r#"{"id":"2","type":"response","body":{"code":200,"commits":[]}}"#;
    const REFUSED: &str = r#"{"id":"2","type":"response","body":{"code":403}}"#;

    /// Three observers that recover at the floor, where each `subscribe` is answered so.
    fn recovered(subscribed: &[&str]) -> Result<Vec<Answers>> {
        let requests: Vec<Requests> = (0..3)
            .map(|number| Requests::new("{}", &"x".repeat(300 * number)))
            .collect();
        let recording = Recording {
            switching: format!("HTTP/1.1 101 Switching\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n"),
            observers: requests
                .iter()
                .map(|requests| Exchange {
                    open_bytes: requests.open.len(),
                    opened: r#"{"body":{"code":200}}"#.to_owned(),
                    subscribe_bytes: requests.subscribe.len(),
                    subscribed: subscribed.iter().map(|&text| text.to_owned()).collect(),
                })
                .collect(),
        };
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let floor = spawn(move || {
            let (feed, _) = listener.accept()?;
            floor::recover(&listener, BufReader::new(feed))
        });
        let feed = recording.hand_to(address)?;
        let mut storm = Storm::new(None)?;
        storm.recover(address, &requests)?;
        drop(feed);
        floor.join().unwrap()?;
        Ok(storm.into_answers())
    }

    #[test]
    fn an_observer_has_recovered_when_it_has_its_200_whatever_it_waited_for() {
        for subscribed in [&[CURRENT][..], &[WAITING, CURRENT]] {
            let answers = recovered(subscribed).unwrap();
            assert_eq!(answers.len(), 3);
            for answers in answers {
                assert!(answers.switching.contains(ACCEPT));
                assert_eq!(answers.opened, r#"{"body":{"code":200}}"#);
                assert_eq!(answers.subscribed, subscribed);
                assert_eq!(answers.later, [""; 0]);
            }
        }
    }

    #[test]
    fn a_recovery_that_is_refused_fails() {
        let error = format!("{:#}", recovered(&[REFUSED]).unwrap_err());
        assert!(error.contains("403"), "{error}");
        assert!(error.contains("while Subscribing"), "{error}");
    }
}
