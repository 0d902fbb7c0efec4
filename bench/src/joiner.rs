//! Somebody who joins: the runtime of `byline-core` on a blocking socket.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use byline_core::State;
use byline_core::children::Collection;
use byline_core::identity::Key;
use byline_core::runtime::{Input, Output, Runtime, Seat};

use crate::line::Line;
use crate::reporter::{CHILDREN, DOMAIN, OBJECT, connect, now};

/// Somebody who joins: a whole runtime, as an application has it.
#[derive(Debug)]
pub(crate) struct Joiner {
    line: Line,
    runtime: Runtime,
    seat: Seat,
    live: bool,
    /// Bytes of the messages received.
    pub(crate) bytes: usize,
}

impl Joiner {
    /// Connects, and asks for the object.
    pub(crate) fn subscribe(node: SocketAddr) -> Result<Self> {
        let (mut secret, mut seed) = ([0; 32], [0; 32]);
        getrandom::fill(&mut secret)?;
        getrandom::fill(&mut seed)?;
        let line = connect(node)?;
        let mut runtime = Runtime::new(DOMAIN, Key::from_bytes(&secret), seed);
        let hyperty = runtime.hyperty("join")?;
        let seat = runtime.subscribe(&hyperty, OBJECT.parse()?, now())?;
        runtime.handle(Input::Connected, now());
        Ok(Self {
            line,
            runtime,
            seat,
            live: false,
            bytes: 0,
        })
    }

    /// Sends what is to be sent, and takes what came.
    pub(crate) fn turn(&mut self, buffer: &mut [u8]) -> Result<()> {
        while let Some(output) = self.runtime.poll_output(now()) {
            match output {
                Output::Send(text) => self.line.send(&text)?,
                Output::Observer(_, State::Closed(refusal)) => bail!("refused: {refusal}"),
                Output::Observer(_, state) => self.live = state == State::Live,
                _ => {}
            }
        }
        let (line, runtime, bytes) = (&mut self.line, &mut self.runtime, &mut self.bytes);
        line.read(buffer, |text| {
            *bytes += text.len();
            runtime.handle(Input::Received(std::str::from_utf8(text)?), now());
            Ok(())
        })
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.live
    }

    /// How many children are here.
    pub(crate) fn children(&self) -> usize {
        let here = self.runtime.children(&self.seat, CHILDREN);
        here.map_or(0, Collection::len)
    }
}
