//! The hub's connections over real sockets: what a client sends is handed to the hub at once, what it
//! is sent comes by loopback.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use byline_core::node::ConnectionId;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::model::Delivery;
use crate::hub::Hub;
use crate::server::Config;
use crate::socket::{Receiving, halves};

pub(super) struct Sockets {
    pub(super) hub: Hub,
    listener: TcpListener,
    sockets: BTreeMap<ConnectionId, Socket>,
    pub(super) asked: u64,
}

struct Socket {
    /// The hub's side: it says when that takes bytes again.
    hubs: Receiving,
    stream: TcpStream,
    bytes: Vec<u8>,
    heard: VecDeque<Delivery>,
    answers: BTreeMap<u64, Value>,
}

impl Sockets {
    pub(super) async fn new() -> Self {
        Self {
            hub: Hub::new(
                &Config::new(([127, 0, 0, 1], 0).into(), "localhost"),
                [7; 32],
            ),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            sockets: BTreeMap::new(),
            asked: 0,
        }
    }

    pub(super) async fn connects(&mut self) -> ConnectionId {
        let address = self.listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = self.listener.accept().await.unwrap();
        accepted.writable().await.unwrap();
        let (sending, hubs) = halves(accepted, None);
        let id = self.hub.connect(sending);
        let socket = Socket {
            hubs,
            stream,
            bytes: vec![],
            heard: VecDeque::new(),
            answers: BTreeMap::new(),
        };
        self.sockets.insert(id, socket);
        id
    }

    /// Sends a message with an id of its own, which is returned.
    pub(super) fn says(
        &mut self,
        at: ConnectionId,
        kind: &str,
        from: &str,
        to: &str,
        body: &Value,
    ) -> u64 {
        self.asked += 1;
        self.says_as(at, self.asked, kind, from, to, body);
        self.asked
    }

    pub(super) fn says_as(
        &self,
        at: ConnectionId,
        id: u64,
        kind: &str,
        from: &str,
        to: &str,
        body: &Value,
    ) {
        let frame = json!({"id": id, "type": kind, "from": from, "to": to, "body": body});
        let bytes = masked(&frame.to_string());
        self.hub.receive(at, &bytes);
        self.writes();
    }

    pub(super) fn writes(&self) {
        while self.hub.flush() {}
    }

    /// The answer to `id`, once it has come.
    pub(super) async fn answer(&mut self, at: ConnectionId, id: u64) -> Value {
        loop {
            if let Some(answer) = self.sockets.get_mut(&at).unwrap().answers.remove(&id) {
                return answer;
            }
            let open = self.reads(at).await;
            assert!(open, "connection {} is closed, and {id} not answered", at.0);
        }
    }

    /// All that a connection was sent of streams since it was looked at last.
    pub(super) async fn hears(&mut self, at: ConnectionId, runtime: &str) -> Vec<Delivery> {
        // What is sent before the answer comes before it.
        let id = self.says(at, "ping", runtime, "mn:/session", &json!({}));
        self.answer(at, id).await;
        let socket = self.sockets.get_mut(&at).unwrap();
        socket.heard.drain(..).collect()
    }

    /// Reads on what the hub has closed, to the end: what it was sent of streams.
    pub(super) async fn ends(&mut self, at: ConnectionId) -> Vec<Delivery> {
        while self.reads(at).await {}
        self.cuts(at).into()
    }

    /// The socket is gone.
    pub(super) fn cuts(&mut self, at: ConnectionId) -> VecDeque<Delivery> {
        self.hub.lose(at);
        self.writes();
        self.sockets.remove(&at).unwrap().heard
    }

    /// The socket takes nothing any more, as far as the hub knows.
    pub(super) fn stalls(&self, at: ConnectionId) {
        self.hub.look(at, |connection| connection.blocked = true);
    }

    /// Whether a queue was over its limit and is not short again.
    pub(super) fn is_parked(&self, at: ConnectionId) -> bool {
        self.hub.look(at, |connection| connection.parked).unwrap()
    }

    /// Reads once, as soon as there is something; `false` at the end.
    async fn reads(&mut self, at: ConnectionId) -> bool {
        let mut chunk = vec![0; 64 << 10];
        let Self { hub, sockets, .. } = self;
        let socket = sockets.get_mut(&at).unwrap();
        let count = poll_fn(|cx| {
            while hub.flush() {}
            while hub.look(at, |connection| connection.blocked) == Some(true)
                && socket.hubs.socket.as_ref().poll_write_ready(cx).is_ready()
            {
                hub.unblock(at);
                while hub.flush() {}
            }
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut socket.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(read) => Poll::Ready(read.map(|()| buffer.filled().len())),
            }
        });
        let count = count.await.unwrap();
        socket.bytes.extend_from_slice(&chunk[..count]);
        while let Some((opcode, payload)) = unframed(&mut socket.bytes) {
            if opcode == 1 {
                socket.takes(&serde_json::from_slice(&payload).unwrap());
            }
        }
        count > 0
    }
}

impl Socket {
    fn takes(&mut self, frame: &Value) {
        if frame["type"] == "response" {
            if let Some(id) = frame["id"].as_u64() {
                self.answers.insert(id, frame.clone());
            }
            return;
        }
        let Some(object) = frame["to"].as_str().unwrap().strip_suffix("/changes") else {
            return;
        };
        let which = object.rsplit('/').next().unwrap().parse().unwrap();
        let body = &frame["body"];
        let number = |value: &Value| value.as_u64().unwrap();
        let position = &body["position"];
        self.heard.push_back(if frame["type"] == "delete" {
            Delivery::Over(which)
        } else if position.is_array() {
            let at = (number(&position[0]), number(&position[1]));
            Delivery::Head(which, number(&body["epoch"]), at, body["live"] == true)
        } else {
            Delivery::Commit(which, (number(&body["epoch"]), number(&body["version"])))
        });
    }
}

/// A text frame as a client sends it, under the mask that changes nothing.
fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | u8::try_from(short).unwrap()),
        Ok(long) => {
            frame.push(0x80 | 126);
            frame.extend(long.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// Takes the first frame of a server from `bytes`, when it is whole: opcode and payload.
fn unframed(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()).into(),
        ),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap(),
        ),
        short => (2, short.into()),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    let opcode = bytes[0] & 0x0F;
    bytes.drain(..start + length);
    Some((opcode, payload))
}
