//! The Reporter: the runtime of `byline-core` on a blocking socket. It claims the object, answers
//! who subscribes, and writes the changes, whose frames are kept for the measured phases.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use byline_core::State;
use byline_core::identity::Key;
use byline_core::message::body::Access;
use byline_core::message::{Header, Type};
use byline_core::object::{Change, Path};
use byline_core::runtime::{Create, Input, Output, Runtime, Seat};
use byline_core::stream::ReporterStream;
use byline_core::time::Time;
use serde_json::{Value, json};

use crate::line::{Line, PATIENCE};

/// The domain that a node serves unless it is told otherwise.
pub(crate) const DOMAIN: &str = "localhost";
/// The one object.
pub(crate) const OBJECT: &str = "ctxt://localhost/bench";

/// Fields of the object, written in turn.
const FIELDS: usize = 8;
/// Characters of a field: with its name around it, a change of about 120 bytes.
const TEXT_CHARS: usize = 96;

/// The author of the measured object.
#[derive(Debug)]
pub(crate) struct Reporter {
    line: Line,
    runtime: Runtime,
    seat: Seat,
}

impl Reporter {
    /// Opens a session, proves its key, and claims the object, which everybody may read.
    pub(crate) fn claim(node: SocketAddr) -> Result<Self> {
        let (mut secret, mut seed) = ([0; 32], [0; 32]);
        getrandom::fill(&mut secret)?;
        getrandom::fill(&mut seed)?;
        let mut line = Line::connect(node)?;
        line.upgrade()?;
        line.upgraded()?;
        let mut runtime = Runtime::new(DOMAIN, Key::from_bytes(&secret), seed);
        let hyperty = runtime.hyperty("bench")?;
        let fields = (0..FIELDS).map(|field| (format!("s{field}"), Value::from("")));
        let create = Create {
            schema: "Context".to_owned(),
            data: Value::Object(fields.collect()),
            name: None,
            url: Some(OBJECT.parse()?),
            access: Access {
                public: true,
                anonymous: true,
                ..Access::default()
            },
            discard: false,
            take: false,
        };
        let seat = runtime.create(&hyperty, create, now())?;
        runtime.handle(Input::Connected, now());
        let mut reporter = Self {
            line,
            runtime,
            seat,
        };
        let until = Instant::now() + PATIENCE;
        reporter.perform()?;
        while reporter.stream()?.position().is_none() {
            reporter.step(until).context("the object was not claimed")?;
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
        let now = now();
        let (mut messages, mut change_bytes) = (Vec::new(), 0);
        for version in 1..=changes {
            let path = Path::parse(&format!("s{}", version % FIELDS))?;
            let value = json!(format!("{version:a>TEXT_CHARS$}"));
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
        ensure!(
            messages.len() == changes,
            "{changes} changes made {} commits",
            messages.len()
        );
        let prepared = Prepared {
            messages,
            change_bytes,
        };
        Ok((self.line, prepared))
    }

    /// Waits for the next message, or the next thing to do, and returns how many answers were sent.
    fn step(&mut self, until: Instant) -> Result<usize> {
        ensure!(Instant::now() < until, "no answer in time");
        let due = self.runtime.poll_timeout().map(|due| due.ms_since(now()));
        let wait = due.map_or(PATIENCE, Duration::from_millis);
        match self.line.text(until.min(Instant::now() + wait))? {
            Some(text) => self.runtime.handle(Input::Received(&text), now()),
            None => self.runtime.handle(Input::Timeout, now()),
        }
        self.perform()
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
                _ => {}
            }
        }
        Ok(answers)
    }

    fn stream(&self) -> Result<&ReporterStream> {
        self.runtime
            .reporter(&self.seat)
            .context("the object was let go")
    }
}

/// The commits of a round.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) messages: Vec<String>,
    /// The bytes of the last change itself.
    pub(crate) change_bytes: usize,
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    Time::from_unix_ms(u64::try_from(ms).unwrap_or(u64::MAX))
}
