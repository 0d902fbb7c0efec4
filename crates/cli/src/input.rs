//! Lines of input, read on a thread of their own: a terminal or a pipe cannot be waited for
//! otherwise without losing what comes after a signal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::sync::mpsc;

/// Longest line, in bytes: that of the largest object, with room for white space.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// Lines read ahead.
const LINES_AHEAD: usize = 64;

/// States of an object, one JSON object a line. Empty lines are passed over.
pub(crate) struct Input {
    name: String,
    lines: mpsc::Receiver<io::Result<(usize, String)>>,
}

impl Input {
    /// Reads `file`; `-` is standard input.
    pub(crate) fn open(file: &str) -> anyhow::Result<Self> {
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        let name = if file == "-" { "standard input" } else { file }.to_owned();
        let reader: Box<dyn BufRead + Send> = if file == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(file).with_context(|| format!("cannot read {file}"))?))
        };
        std::thread::spawn(move || read_lines(reader, &sender));
        Ok(Self { name, lines })
    }

    /// The next state; `None` at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        let Some(line) = self.lines.recv().await else { return Ok(None) };
        let (number, line) = line.with_context(|| format!("cannot read {}", self.name))?;
        let place = || format!("{}, line {number}", self.name);
        let value = byline::parse(&line).with_context(place)?;
        if !value.is_object() {
            bail!("{}: an object's state is a JSON object, as in {{\"temperature\": 21}}", place());
        }
        Ok(Some(value))
    }
}

fn read_lines(mut reader: Box<dyn BufRead + Send>, sender: &mpsc::Sender<io::Result<(usize, String)>>) {
    for number in 1.. {
        let mut line = String::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).and_then(|bytes| {
            if bytes as u64 == LINE_BYTES_MAX && !line.ends_with('\n') {
                return Err(io::Error::other(format!("line {number} is over {LINE_BYTES_MAX} bytes")));
            }
            Ok(bytes)
        });
        let sent = match read {
            Ok(0) => return,
            Ok(_) if line.trim().is_empty() => Ok(()),
            Ok(_) => sender.blocking_send(Ok((number, line))),
            Err(error) => {
                // The reader of this channel stops at the first error.
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
