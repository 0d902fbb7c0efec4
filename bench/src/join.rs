//! Observers come: a socket, a session without a key, a subscription, each answered 200.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use byline_core::address::SESSION;
use byline_core::message::body::{Code, Open, Subscribe};
use byline_core::message::{Header, Type, encode};

use crate::line::{Line, PATIENCE};
use crate::reporter::{DOMAIN, OBJECT, Reporter};

/// Observers that come at the same time: fewer than any backlog of a listening socket.
const WAVE: usize = 64;

/// Connects `observers` observers. `reporter` answers their subscriptions, as it does in life.
pub(crate) fn join(
    node: SocketAddr,
    reporter: &mut Reporter,
    observers: usize,
) -> Result<Vec<Line>> {
    let mut joined = Vec::with_capacity(observers);
    while joined.len() < observers {
        let first = joined.len();
        let mut wave = (first..observers.min(first + WAVE))
            .map(|_| {
                let mut line = Line::connect(node)?;
                line.upgrade()?;
                Ok(line)
            })
            .collect::<Result<Vec<Line>>>()?;
        for (number, line) in (first..).zip(&mut wave) {
            line.upgraded()?;
            open(line, number)?;
        }
        for (number, line) in (first..).zip(&mut wave) {
            answered_200(line).context("`open`")?;
            subscribe(line, number)?;
        }
        reporter.answer(wave.len())?;
        for line in &mut wave {
            answered_200(line).context("`subscribe`")?;
        }
        joined.append(&mut wave);
    }
    Ok(joined)
}

fn open(line: &mut Line, number: usize) -> Result<()> {
    let runtime = format!("hyperty-runtime://{DOMAIN}/observer-{number}");
    line.send(&encode(
        "1",
        Type::Open,
        &runtime,
        SESSION,
        &Open::default(),
    ))
}

fn subscribe(line: &mut Line, number: usize) -> Result<()> {
    let hyperty = format!("hyperty://{DOMAIN}/observer-{number}/bench");
    let to = format!("{OBJECT}/subscription");
    let body = Subscribe {
        source: Some(hyperty.parse()?),
        ..Subscribe::default()
    };
    line.send(&encode("2", Type::Subscribe, &hyperty, &to, &body))
}

fn answered_200(line: &mut Line) -> Result<()> {
    let text = line.text(Instant::now() + PATIENCE)?;
    let text = text.context("no answer in time")?;
    let header = Header::peek(&text).map_err(|malformed| malformed.refusal)?;
    let Code { code } = header.decode()?;
    ensure!(
        header.kind == Type::Response && code == 200,
        "refused: {text}"
    );
    Ok(())
}
