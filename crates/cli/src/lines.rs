//! Lines of input, read on a thread of their own: a terminal or a pipe cannot be waited for
//! otherwise without losing what comes after a signal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use anyhow::Context as _;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::input::{TEXT_BYTES_MAX, object};

/// Lines read ahead.
const LINES_AHEAD: usize = 64;

type Sender = mpsc::Sender<(usize, io::Result<Vec<u8>>)>;

/// Lines, or the JSON objects that they are. Empty ones are passed over.
pub(crate) struct Lines {
    name: String,
    /// The number of the last line that was given out.
    number: usize,
    lines: mpsc::Receiver<(usize, io::Result<Vec<u8>>)>,
}

impl Lines {
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

    /// The next object; `None` at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        let text = self.text().await?;
        text.map(|text| object(&text, &self.place())).transpose()
    }

    /// The next line, whatever it holds; `None` at the end.
    pub(crate) async fn text(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let Some((number, line)) = self.lines.recv().await else {
            return Ok(None);
        };
        self.number = number;
        line.with_context(|| self.place()).map(Some)
    }

    /// Where the last object came from, for people.
    pub(crate) fn place(&self) -> String {
        format!("{}, line {}", self.name, self.number)
    }
}

fn read_lines(mut reader: Box<dyn BufRead + Send>, sender: &Sender) {
    for number in 1.. {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(TEXT_BYTES_MAX + 1)
            .read_until(b'\n', &mut line);
        let read = match read {
            Ok(0) => return,
            Ok(bytes) if bytes as u64 > TEXT_BYTES_MAX => Err(io::Error::other(format!(
                "it has more than {TEXT_BYTES_MAX} bytes"
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
