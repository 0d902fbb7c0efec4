//! The floor: a process that does nothing but write the same frames to the same number of sockets.
//! What it costs is what the operating system takes for the deliveries; a node can come close to it
//! and not below, unless it writes less often.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::frame::{Opcode, plain};
use crate::line::{ACCEPT, HEAD_END};
use crate::process::Ready;
use crate::recording::Recording;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Floor {
    /// Each change by itself.
    Single,
    /// Changes that were asked for together in one piece.
    Batched,
    /// The answers of a recovery.
    Recovery,
}

/// Runs until the feed is closed. The feed is the first connection: it sends the messages, one on
/// each line, then an empty line, then one byte for each change to write; or one line with the
/// [`Recording`] of a recovery, and is told when that can begin.
#[allow(
    clippy::print_stdout,
    reason = "whoever started it waits for this line"
)]
pub(crate) fn run(observers: usize, floor: Floor) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    rustix::net::listen(&listener, BACKLOG)?;
    let ready = Ready {
        event: "ready".to_owned(),
        url: format!("tcp://{}/", listener.local_addr()?),
        operator_token: String::new(),
    };
    println!("{}", serde_json::to_string(&ready)?);
    let (feed, _) = listener.accept()?;
    feed.set_nodelay(true)?;
    let mut feed = BufReader::new(feed);
    if floor == Floor::Recovery {
        return recover(&listener, feed);
    }
    let frames = Frames::receive(&mut feed)?;
    let sockets = (0..observers)
        .map(|_| accept(&listener))
        .collect::<Result<Vec<TcpStream>>>()?;
    write(&mut feed, &frames, &sockets, floor == Floor::Batched)
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    Ok(socket)
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

/// Reads what the observers of a recording ask, and answers what it says: the node's system calls
/// and the handshake's hash, without what a node does between them. Nothing waits for events, as
/// all observers ask at the same time: they are served in their order.
pub(crate) fn recover(listener: &TcpListener, mut feed: BufReader<TcpStream>) -> Result<()> {
    let mut line = String::new();
    feed.read_line(&mut line)?;
    let Recording {
        switching,
        observers,
    } = serde_json::from_str(&line)?;
    let around_key = switching
        .split_once(ACCEPT)
        .context("the recorded answer to the upgrade has another key")?;
    let frames: Vec<[Vec<u8>; 2]> = observers
        .iter()
        .map(|exchange| {
            let frame = |message: &String| plain(Opcode::Text, message.as_bytes());
            let subscribed = exchange.subscribed.iter().flat_map(frame);
            [frame(&exchange.opened), subscribed.collect()]
        })
        .collect();
    let mut buffer = vec![0; feed.capacity()];
    let mut sockets = Vec::with_capacity(observers.len());
    feed.get_ref().write_all(&plain(Opcode::Text, b"ready"))?;
    for _ in &observers {
        let mut socket = accept(listener)?;
        switch(&mut socket, &mut buffer, around_key)?;
        sockets.push(socket);
    }
    for ((socket, exchange), [opened, _]) in sockets.iter_mut().zip(&observers).zip(&frames) {
        socket.read_exact(&mut buffer[..exchange.open_bytes])?;
        socket.write_all(opened)?;
    }
    for ((socket, exchange), [_, subscribed]) in sockets.iter_mut().zip(&observers).zip(&frames) {
        socket.read_exact(&mut buffer[..exchange.subscribe_bytes])?;
        socket.write_all(subscribed)?;
    }
    // The sockets stay until the clients have read everything.
    feed.read_line(&mut line)?;
    Ok(())
}

/// Reads one upgrade request and writes its 101.
fn switch(socket: &mut TcpStream, buffer: &mut [u8], around_key: (&str, &str)) -> Result<()> {
    let mut read = 0;
    while !buffer[..read].ends_with(HEAD_END) {
        let more = socket.read(&mut buffer[read..])?;
        ensure!(more > 0, "the upgrade request ended early");
        read += more;
    }
    let request = std::str::from_utf8(&buffer[..read])?;
    let key = request
        .split("\r\n")
        .find_map(|header| header.strip_prefix("Sec-WebSocket-Key: "))
        .context("the upgrade request has no key")?;
    let (before, after) = around_key;
    let accept = derive_accept_key(key.as_bytes());
    Ok(socket.write_all(format!("{before}{accept}{after}").as_bytes())?)
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
