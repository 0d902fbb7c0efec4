//! The floor: a process that does nothing but write the same frames to the same number of sockets.
//! What it costs is what the operating system takes for the deliveries; a node can come close to it
//! and not below, unless it writes less often.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};

use crate::frame::{Opcode, plain};
use crate::process::Ready;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Runs until the feed is closed. The feed is the first connection: it sends the messages, one on
/// each line, then an empty line, then one byte for each change to write.
#[allow(
    clippy::print_stdout,
    reason = "whoever started it waits for this line"
)]
pub(crate) fn run(observers: usize, batched: bool) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    rustix::net::listen(&listener, BACKLOG)?;
    let ready = Ready {
        event: "ready".to_owned(),
        url: format!("tcp://{}/", listener.local_addr()?),
    };
    println!("{}", serde_json::to_string(&ready)?);
    let (feed, _) = listener.accept()?;
    feed.set_nodelay(true)?;
    let mut feed = BufReader::new(feed);
    let frames = Frames::receive(&mut feed)?;
    let sockets = (0..observers)
        .map(|_| {
            let (socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            Ok(socket)
        })
        .collect::<Result<Vec<TcpStream>>>()?;
    write(&mut feed, &frames, &sockets, batched)
}

fn write(
    feed: &mut BufReader<TcpStream>,
    frames: &Frames,
    sockets: &[TcpStream],
    batched: bool,
) -> Result<()> {
    // As large as the reader's own buffer: then reading is one recv(2) and no copy.
    let mut changes = vec![0; feed.capacity()];
    let mut written = 0;
    loop {
        let asked = feed.read(&mut changes)?;
        if asked == 0 {
            return Ok(());
        }
        let at_once = if batched { asked } else { 1 };
        for _ in (0..asked).step_by(at_once) {
            let burst = frames.burst(written, at_once)?;
            for mut socket in sockets {
                socket.write_all(burst)?;
            }
            written += at_once;
        }
    }
}

/// All frames in one piece, so that a burst needs no copy.
#[derive(Debug)]
struct Frames {
    bytes: Vec<u8>,
    /// Where each frame begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Frames {
    fn receive(feed: &mut BufReader<TcpStream>) -> Result<Self> {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        let mut line = String::new();
        loop {
            line.clear();
            feed.read_line(&mut line)?;
            let message = line
                .strip_suffix('\n')
                .context("the feed ended among the messages")?;
            if message.is_empty() {
                return Ok(Self { bytes, starts });
            }
            bytes.extend(plain(Opcode::Text, message.as_bytes()));
            starts.push(bytes.len());
        }
    }

    fn burst(&self, first: usize, count: usize) -> Result<&[u8]> {
        let bounds = self.starts.get(first).zip(self.starts.get(first + count));
        let (start, end) = bounds.context("more changes than messages")?;
        Ok(&self.bytes[*start..*end])
    }
}
