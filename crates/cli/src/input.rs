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

type Sender = mpsc::Sender<(usize, io::Result<Vec<u8>>)>;

/// States of an object, one JSON object a line. Empty lines are passed over.
pub(crate) struct Input {
    name: String,
    /// The number of the last line that was given out.
    number: usize,
    lines: mpsc::Receiver<(usize, io::Result<Vec<u8>>)>,
}

impl Input {
    /// Reads `file`; `-` is standard input.
    pub(crate) fn open(file: &str) -> anyhow::Result<Self> {
        let (sender, lines) = mpsc::channel(LINES_AHEAD);
        let name = if file == "-" { "standard input" } else { file }.to_owned();
        let reader: Box<dyn BufRead + Send> = if file == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(
                File::open(file).with_context(|| format!("cannot read {file}"))?,
            ))
        };
        std::thread::spawn(move || read_lines(reader, &sender));
        Ok(Self {
            name,
            number: 0,
            lines,
        })
    }

    /// The next state; `None` at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        let Some((number, line)) = self.lines.recv().await else {
            return Ok(None);
        };
        self.number = number;
        let line = line.with_context(|| self.place())?;
        let line = str::from_utf8(&line).with_context(|| self.place())?;
        let value = byline::parse(line).with_context(|| self.place())?;
        if !value.is_object() {
            bail!(
                "{}: an object's state is a JSON object, as in {{\"temperature\": 21}}",
                self.place()
            );
        }
        Ok(Some(value))
    }

    /// Where the last state came from, for people.
    pub(crate) fn place(&self) -> String {
        format!("{}, line {}", self.name, self.number)
    }
}

fn read_lines(mut reader: Box<dyn BufRead + Send>, sender: &Sender) {
    for number in 1.. {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut line);
        let read = match read {
            Ok(0) => return,
            Ok(bytes) if bytes as u64 > LINE_BYTES_MAX => Err(io::Error::other(format!(
                "it has more than {LINE_BYTES_MAX} bytes"
            ))),
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => Ok(line),
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        // The reader of this channel stops at the first error, or when the command is over.
        if sender.blocking_send((number, read)).is_err() || failed {
            return;
        }
    }
}
