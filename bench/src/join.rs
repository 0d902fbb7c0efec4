//! Observers come: a socket, a session without a key, a subscription, each answered 200.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use byline_core::address::SESSION;
use byline_core::message::body::{Code, Open, Subscribe};
use byline_core::message::{Header, Type, encode};

use crate::line::{Line, PATIENCE};
use crate::reporter::{DOMAIN, OBJECT, Reporter};

/// Observers that come at the same time: fewer than any backlog of a listening socket.
const WAVE: usize = 64;

/// An observer with its first copy.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) line: Line,
    /// The 200 to its `subscribe`.
    pub(crate) answer: String,
}

/// Connects the observers of these numbers. `reporter` answers their subscriptions, as it does in life, but where the node
/// does.
pub(crate) fn join(
    node: SocketAddr,
    mut reporter: Option<&mut Reporter>,
    numbers: Range<usize>,
) -> Result<Vec<Joined>> {
    let mut joined = Vec::with_capacity(numbers.len());
    for first in numbers.clone().step_by(WAVE) {
        let mut wave = (first..numbers.end.min(first + WAVE))
            .map(|_| {
                let mut line = Line::connect(node)?;
                line.upgrade()?;
                Ok(line)
            })
            .collect::<Result<Vec<Line>>>()?;
        for (number, line) in (first..).zip(&mut wave) {
            line.upgraded()?;
            line.send(&open(number))?;
        }
        for (number, line) in (first..).zip(&mut wave) {
            answered_200(line).context("`open`")?;
            line.send(&subscribe(number, Subscribe::default())?)?;
        }
        if let Some(reporter) = &mut reporter {
            reporter.answer(wave.len())?;
        }
        for mut line in wave {
            let answer = answered_200(&mut line).context("`subscribe`")?;
            joined.push(Joined { line, answer });
        }
    }
    Ok(joined)
}

/// The `open` of an observer, which names no key.
pub(crate) fn open(number: usize) -> String {
    let runtime = format!("hyperty-runtime://{DOMAIN}/observer-{number}");
    encode("1", Type::Open, &runtime, SESSION, &Open::default())
}

/// The `subscribe` of an observer: `body` says how.
pub(crate) fn subscribe(number: usize, body: Subscribe) -> Result<String> {
    let hyperty = format!("hyperty://{DOMAIN}/observer-{number}/bench");
    let to = format!("{OBJECT}/subscription");
    let body = Subscribe {
        source: Some(hyperty.parse()?),
        ..body
    };
    Ok(encode("2", Type::Subscribe, &hyperty, &to, &body))
}

/// The code of an answer.
pub(crate) fn code_of(text: &str) -> Result<u16> {
    let header = Header::peek(text).map_err(|malformed| malformed.refusal)?;
    ensure!(header.kind == Type::Response, "no answer: {text}");
    let Code { code } = header.decode()?;
    Ok(code)
}

fn answered_200(line: &mut Line) -> Result<String> {
    let text = line.text(Instant::now() + PATIENCE)?;
    let text = text.context("no answer in time")?;
    ensure!(code_of(&text)? == 200, "refused: {text}");
    Ok(text)
}
