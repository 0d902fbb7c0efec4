//! The Reporter: the runtime of `byline-core` on a blocking socket. It claims the object, answers
//! who subscribes, and writes the changes, whose frames are kept for the measured phases.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use byline_core::State;
use byline_core::identity::Key;
use byline_core::limits::KEEP_DEFAULT;
use byline_core::message::body::Access;
use byline_core::message::{Header, Type};
use byline_core::object::{Change, Path};
use byline_core::runtime::{Create, Input, Output, Runtime, Seat};
use byline_core::stream::ReporterStream;
use byline_core::time::Time;
use byline_store::{Folder, Store as _, StoreError, Whose, Writer};
use serde_json::{Value, json};

use crate::line::{Line, PATIENCE};

/// The domain that a node serves unless it is told otherwise.
pub(crate) const DOMAIN: &str = "localhost";
/// The one object.
pub(crate) const OBJECT: &str = "ctxt://localhost/bench";

/// Its collection of children.
pub(crate) const CHILDREN: &str = "messages";
/// Children whose being safe is waited for at a time.
const AT_ONCE: usize = 500;

/// A batch is asked for again after this long.
const STORED_WITHIN: Duration = Duration::from_millis(1);

/// Characters of a field: with its name around it, a change of about 120 bytes.
const TEXT_CHARS: usize = 96;

/// The author of the measured object.
#[derive(Debug)]
pub(crate) struct Reporter {
    line: Line,
    runtime: Runtime,
    seat: Seat,
    /// Fields of the object, written in turn.
    fields: usize,
    written: usize,
    /// Calls that are done.
    done: BTreeSet<u64>,
    /// Where it rests, when it does.
    store: Option<Rest>,
}

/// A store, and what came of its batches.
#[derive(Debug)]
struct Rest {
    writer: Writer,
    stored: Receiver<Result<(), StoreError>>,
}

impl Rest {
    fn start(folder: Folder) -> Result<Self> {
        let (sender, stored) = channel();
        // Whoever measures may be gone before the last batch.
        let writer = Writer::start(folder, move |outcome| drop(sender.send(outcome)))?;
        Ok(Self { writer, stored })
    }
}

/// What is claimed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claimed<'a> {
    /// Fields of the object.
    pub(crate) fields: usize,
    /// Everybody may say something in it.
    pub(crate) room: bool,
    /// The node keeps it.
    pub(crate) kept: bool,
    /// The folder in which it rests.
    pub(crate) store: Option<&'a FilePath>,
}

impl Reporter {
    /// Opens a session, proves its key, and claims the object of `fields` fields, which everybody
    /// may read, and which the node does not keep.
    pub(crate) fn claim(node: SocketAddr, fields: usize) -> Result<Self> {
        Self::claim_as(
            node,
            Claimed {
                fields,
                ..Claimed::default()
            },
        )
    }

    /// The same of an object in which everybody may say something.
    pub(crate) fn claim_room(node: SocketAddr) -> Result<Self> {
        let room = Claimed {
            fields: 1,
            room: true,
            ..Claimed::default()
        };
        Self::claim_as(node, room)
    }

    /// The same of any object. The node has all of one that it keeps when this returns.
    pub(crate) fn claim_as(node: SocketAddr, claimed: Claimed<'_>) -> Result<Self> {
        let (mut secret, mut seed) = ([0; 32], [0; 32]);
        getrandom::fill(&mut secret)?;
        getrandom::fill(&mut seed)?;
        let line = connect(node)?;
        let key = Key::from_bytes(&secret);
        let (mut runtime, store) = match claimed.store {
            None => (Runtime::new(DOMAIN, key, seed), None),
            Some(path) => {
                let folder = Folder::open(path, &Whose::Runtime, None)?;
                let runtime = Runtime::restored(DOMAIN, key, seed, [])?;
                (runtime, Some(Rest::start(folder)?))
            }
        };
        let hyperty = runtime.hyperty("bench")?;
        let fields = claimed.fields;
        let data = (0..fields).map(|field| (format!("s{field}"), Value::from("")));
        let children = claimed.room.then(|| (CHILDREN.to_owned(), KEEP_DEFAULT));
        let create = Create {
            schema: "Context".to_owned(),
            data: Value::Object(data.collect()),
            url: Some(OBJECT.parse()?),
            access: Access {
                public: true,
                anonymous: true,
                ..Access::default()
            },
            children: children.into_iter().collect(),
            // Where it keeps nothing, the node passes on, and its Reporter answers.
            cache: Some(claimed.kept),
            store: claimed.store.is_some(),
            ..Create::default()
        };
        let seat = runtime.create(&hyperty, create, now())?;
        runtime.handle(Input::Connected, now());
        let mut reporter = Self {
            line,
            runtime,
            seat,
            fields,
            written: 0,
            done: BTreeSet::new(),
            store,
        };
        let until = Instant::now() + PATIENCE;
        reporter.perform()?;
        while reporter.stream()?.position().is_none() {
            reporter.step(until).context("the object was not claimed")?;
        }
        if claimed.kept {
            // The node asks for the whole.
            reporter.answer(1)?;
        }
        Ok(reporter)
    }

    /// Answers `subscribes` observers.
    pub(crate) fn answer(&mut self, subscribes: usize) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let mut answered = 0;
        while answered < subscribes {
            answered += self.step(until).context("waiting for observers")?;
        }
        Ok(())
    }

    /// Writes `changes` changes and keeps their messages, unsent.
    pub(crate) fn prepare(mut self, changes: usize) -> Result<(Line, Prepared)> {
        let prepared = self.write(changes)?;
        let messages = prepared.messages.len();
        ensure!(
            messages == changes,
            "{changes} changes made {messages} commits"
        );
        Ok((self.line, prepared))
    }

    /// Writes `changes` changes. Their messages are the caller's to send; there are none before the
    /// object is claimed, nor while there is no node.
    pub(crate) fn write(&mut self, changes: usize) -> Result<Prepared> {
        let now = now();
        let (mut messages, mut change_bytes) = (Vec::new(), 0);
        for _ in 0..changes {
            self.written += 1;
            let path = Path::parse(&format!("s{}", self.written % self.fields))?;
            let value = json!(format!("{:a>TEXT_CHARS$}", self.written));
            let change = Change::Set { path, value };
            change_bytes = serde_json::to_string(&change)?.len();
            self.runtime.write(&self.seat, vec![change], now)?;
            while let Some(output) = self.runtime.poll_output(now) {
                match output {
                    Output::Send(message) => messages.push(message),
                    other => bail!("writing a change led to {other:?}"),
                }
            }
        }
        Ok(Prepared {
            messages,
            change_bytes,
        })
    }

    /// Waits until everything is stored, and closes the store.
    pub(crate) fn close(mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        self.perform()?;
        while self.runtime.is_storing() {
            self.step(until).context("it is not stored")?;
        }
        let store = self.store.context("there is no store")?;
        Ok(store.writer.stop()?)
    }

    /// How many changes were written.
    pub(crate) const fn written(&self) -> usize {
        self.written
    }

    /// Writes one more change, and sends what may be sent.
    pub(crate) fn write_on(&mut self) -> Result<()> {
        self.written += 1;
        let path = Path::parse(&format!("s{}", self.written % self.fields))?;
        let value = json!(format!("{:a>TEXT_CHARS$}", self.written));
        self.runtime
            .write(&self.seat, vec![Change::Set { path, value }], now())?;
        self.perform().map(drop)
    }

    /// Says so many things in the object's collection.
    pub(crate) fn say(&mut self, children: usize, text: &str) -> Result<()> {
        for first in (0..children).step_by(AT_ONCE) {
            let mut open = BTreeSet::new();
            for number in first..children.min(first + AT_ONCE) {
                let value = json!({"text": text, "number": number});
                let made = self
                    .runtime
                    .create_child(&self.seat, CHILDREN, value, now())?;
                open.insert(made.1);
            }
            self.perform()?;
            let until = Instant::now() + PATIENCE;
            while !open.is_empty() {
                self.step(until).context("the children were not taken")?;
                open.retain(|call| !self.done.contains(call));
            }
            self.done.clear();
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, messages: &[String]) -> Result<()> {
        messages
            .iter()
            .try_for_each(|message| self.line.send(message))
    }

    /// The node is gone.
    pub(crate) fn cut(&mut self) -> Result<()> {
        self.runtime.handle(Input::Disconnected(None), now());
        self.perform().map(drop)
    }

    /// A node is there again: asks it for the session, which is then [`Reporter::turn`]'s to follow.
    pub(crate) fn come_back(&mut self, node: SocketAddr) -> Result<()> {
        self.line = connect(node)?;
        self.runtime.handle(Input::Connected, now());
        self.perform().map(drop)
    }

    /// Takes what came, without waiting, or what is due when nothing did. Says how many answers were
    /// sent.
    pub(crate) fn turn(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.hear_of_store()?;
        let (line, runtime) = (&mut self.line, &mut self.runtime);
        runtime.handle(Input::Timeout, now());
        line.read(buffer, |text| {
            runtime.handle(Input::Received(std::str::from_utf8(text)?), now());
            Ok(())
        })?;
        self.perform()
    }

    pub(crate) const fn line(&self) -> &Line {
        &self.line
    }

    /// How long until something is due by the clock.
    pub(crate) fn wait(&self) -> Duration {
        if self.runtime.is_storing() {
            return STORED_WITHIN;
        }
        let due = self.runtime.poll_timeout();
        due.map_or(PATIENCE, |due| Duration::from_millis(due.ms_since(now())))
    }

    /// Waits for the next message, or the next thing to do, and returns how many answers were sent.
    fn step(&mut self, until: Instant) -> Result<usize> {
        ensure!(Instant::now() < until, "no answer in time");
        self.hear_of_store()?;
        // What waited for the store is not to wait for the node, too.
        let answers = self.perform()?;
        if answers > 0 {
            return Ok(answers);
        }
        match self.line.text(until.min(Instant::now() + self.wait()))? {
            Some(text) => self.runtime.handle(Input::Received(&text), now()),
            None => self.runtime.handle(Input::Timeout, now()),
        }
        self.perform()
    }

    /// Takes up what the store has done.
    fn hear_of_store(&mut self) -> Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        for outcome in store.stored.try_iter() {
            outcome?;
            self.runtime.handle(Input::Stored, now());
        }
        Ok(())
    }

    fn perform(&mut self) -> Result<usize> {
        let mut answers = 0;
        while let Some(output) = self.runtime.poll_output(now()) {
            match output {
                Output::Send(text) => {
                    let header = Header::peek(&text).map_err(|malformed| malformed.refusal)?;
                    answers += usize::from(header.kind == Type::Response);
                    self.line.send(&text)?;
                }
                Output::Refused(refusal) | Output::Reporter(_, State::Closed(refusal)) => {
                    bail!("the node refused the Reporter: {refusal}")
                }
                Output::Disconnect => bail!("the node does not let the Reporter in"),
                Output::Store(batch) => {
                    let store = self.store.as_ref().context("there is no store")?;
                    store.writer.write(batch);
                }
                Output::Done(call, result) => {
                    result.context("the node refused a child")?;
                    self.done.insert(call);
                }
                _ => {}
            }
        }
        Ok(answers)
    }

    /// The object as its author has it.
    pub(crate) fn stream(&self) -> Result<&ReporterStream> {
        self.runtime
            .reporter(&self.seat)
            .context("the object was let go")
    }
}

/// What a store holds, read back from `path`: how many children of the object there are.
pub(crate) fn read_back(path: &FilePath) -> Result<usize> {
    let folder = Folder::open(path, &Whose::Runtime, None)?;
    let rows = folder.rows()?.collect::<Result<Vec<_>, _>>()?;
    let mut runtime = Runtime::restored(DOMAIN, Key::from_bytes(&[0; 32]), [0; 32], rows)?;
    let hyperty = runtime.hyperty("bench")?;
    runtime.wake(&hyperty, now());
    let object = OBJECT.parse()?;
    let children = runtime.children(&Seat { hyperty, object }, CHILDREN);
    Ok(children.map_or(0, byline_core::children::Collection::len))
}

/// The commits of a round.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) messages: Vec<String>,
    /// The bytes of the last change itself.
    pub(crate) change_bytes: usize,
}

pub(crate) fn connect(node: SocketAddr) -> Result<Line> {
    let mut line = Line::connect(node)?;
    line.upgrade()?;
    line.upgraded()?;
    Ok(line)
}

pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    Time::from_unix_ms(u64::try_from(ms).unwrap_or(u64::MAX))
}
