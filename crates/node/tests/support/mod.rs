//! A WebSocket client made by hand, so that a test says which bytes go out and sees which come in.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use byline_core::identity::Key;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

pub(crate) mod clock;
pub(crate) mod issuer;
pub(crate) mod machine;
#[cfg(target_os = "linux")]
pub(crate) mod process;

pub(crate) use clock::{Node, config, node, node_with};

/// Whatever takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// The bit of the last frame of a message.
pub(crate) const FIN: u8 = 0x80;

/// Sends `request` and returns everything that comes until the node hangs up.
pub(crate) fn http(node: SocketAddr, request: &str) -> String {
    let mut stream = tcp(node);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn tcp(node: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(node).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The value of a metric, `name` being all of the line before it; 0 when there is none yet.
pub(crate) fn metric(node: &Node, name: &str) -> u64 {
    value(&metrics(node), name)
}

/// The same, of a page of metrics: several of one moment.
pub(crate) fn value(page: &str, name: &str) -> u64 {
    let family = name.split(['{', ' ']).next().unwrap_or(name);
    let family = family.trim_end_matches("_total");
    assert!(page.contains(family), "no {family} in {page}");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

pub(crate) fn metrics(node: &Node) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    http(node.local_addr(), request)
}

/// Asks again until the node says that `name` is `value`.
pub(crate) fn await_metric(node: &Node, name: &str, value: u64) {
    let mut last = 0;
    for _ in 0..2_000 {
        last = metric(node, name);
        if last == value {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{name} is {last}, not {value}");
}

/// Lets this process open as many files as the system allows it.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The first byte: opcode, and whether it is the last frame of its message.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn close_code(&self) -> u16 {
        assert_eq!(self.first, FIN | CLOSE, "{self:?}");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }

    fn tells_presence(&self) -> bool {
        let text = std::str::from_utf8(&self.payload);
        text.is_ok_and(|text| text.contains(r#""method":"presence""#))
    }
}

#[derive(Debug)]
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    ids: u64,
}

pub(crate) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Client {
    pub(crate) fn connect(node: &Node) -> Self {
        Self::upgrade(tcp(node.local_addr()), "")
    }
}

impl<S: Read + Write> Client<S> {
    /// Upgrades `stream` with `more` header lines.
    pub(crate) fn upgrade(mut stream: S, more: &str) -> Self {
        stream
            .write_all(format!("{UPGRADE}{more}\r\n").as_bytes())
            .unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self { stream, ids: 0 }
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send_raw(&masked(FIN | TEXT, text.as_bytes()));
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// The next frame, `None` when the node has hung up.
    pub(crate) fn try_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            Err(error) => panic!("nothing came: {error}"),
        }
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).unwrap();
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        let first = head[0];
        Some(Frame { first, payload })
    }

    /// The next frame but for what a holder is told, whenever time passes, of who observes.
    pub(crate) fn frame(&mut self) -> Frame {
        loop {
            let frame = self.try_frame().expect("the node hung up");
            if !frame.tells_presence() {
                return frame;
            }
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Value {
        let frame = self.frame();
        assert_eq!(frame.first, FIN | TEXT, "{frame:?}");
        serde_json::from_slice(&frame.payload).unwrap()
    }

    /// Sends a request and returns the answer that must come next.
    pub(crate) fn ask(&mut self, kind: &str, from: &str, to: &str, body: &Value) -> Value {
        self.ids += 1;
        let id = self.ids;
        self.send(&json!({"id": id, "type": kind, "from": from, "to": to, "body": body}));
        let answer = self.message();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Opens an anonymous session; returns the token.
    pub(crate) fn open(&mut self, runtime: &str) -> String {
        let answer = self.ask("open", runtime, "mn:/session", &json!({}));
        assert_eq!(answer["body"]["code"], 200, "{answer}");
        answer["body"]["runtimeToken"].as_str().unwrap().to_owned()
    }

    /// Opens a session that is bound to a key.
    pub(crate) fn open_with(&mut self, runtime: &str, key: &Key) {
        let answer = self.proves(runtime, key, json!({}));
        assert_eq!(answer["body"]["code"], 200, "{answer}");
    }

    /// Opens a session that is bound to a key with `token`; gives the answer.
    pub(crate) fn opens_as(&mut self, runtime: &str, key: &Key, token: &str) -> Value {
        self.proves(runtime, key, json!({ "token": token }))
    }

    fn proves(&mut self, runtime: &str, key: &Key, mut body: Value) -> Value {
        body["publicKey"] = json!(key.public().to_string());
        let answer = self.ask("open", runtime, "mn:/session", &body);
        let Some(challenge) = answer["body"]["challenge"].as_str() else {
            return answer;
        };
        body["signature"] = json!(key.prove("localhost", runtime, challenge));
        self.ask("open", runtime, "mn:/session", &body)
    }

    /// Asks whether the session lives: it does, and everything sent before was handled.
    pub(crate) fn pings(&mut self, runtime: &str) {
        let answer = self.ask("ping", runtime, "mn:/session", &json!({}));
        assert_eq!(answer["body"]["code"], 200, "{answer}");
    }

    /// Whether the node hangs up without another frame.
    pub(crate) fn is_hung_up(&mut self) -> bool {
        self.try_frame().is_none()
    }
}

/// Who holds `ctxt://localhost/test`, which everybody may read.
#[derive(Debug)]
pub(crate) struct Reporter<S = TcpStream> {
    pub(crate) client: Client<S>,
    pub(crate) epoch: u64,
    pub(crate) version: u64,
}

pub(crate) const OBJECT: &str = "ctxt://localhost/test";

impl Reporter {
    pub(crate) fn claim(node: &Node) -> Self {
        Self::claim_on(Client::connect(node))
    }

    /// A new reader, subscribed.
    pub(crate) fn admit(&mut self, node: &Node, name: &str) -> Client {
        self.admit_on(Client::connect(node), name)
    }
}

impl<S: Read + Write> Reporter<S> {
    pub(crate) fn claim_on(mut client: Client<S>) -> Self {
        client.open_with("hyperty-runtime://localhost/r", &Key::from_bytes(&[7; 32]));
        let hyperty = "hyperty://localhost/r";
        let body = json!({
            "resources": [OBJECT, format!("{OBJECT}/subscription")],
            "source": hyperty,
            "claim": {"url": OBJECT, "reporter": hyperty, "base": null,
                      "access": {"public": true, "anonymous": true}},
        });
        let manager = "domain://msg-node.localhost/sm";
        let answer = client.ask("subscribe", hyperty, manager, &body);
        assert_eq!(answer["body"]["code"], 200, "{answer}");
        Self {
            client,
            epoch: answer["body"]["epoch"].as_u64().unwrap(),
            version: 0,
        }
    }

    /// A new reader on a connection of its own, subscribed.
    pub(crate) fn admit_on(&mut self, mut reader: Client<S>, name: &str) -> Client<S> {
        reader.open(&format!("hyperty-runtime://localhost/{name}"));
        self.subscribe(&mut reader, name);
        reader
    }

    /// Subscribes a client that has a session.
    pub(crate) fn subscribe(&mut self, reader: &mut Client<S>, name: &str) {
        reader.send(&json!({
            "id": "s", "type": "subscribe", "from": format!("hyperty://localhost/{name}"),
            "to": format!("{OBJECT}/subscription"), "body": {},
        }));
        let request = self.client.message();
        assert_eq!(request["type"], "subscribe", "{request}");
        self.client.send(&json!({
            "id": request["id"], "type": "response", "from": request["to"], "to": request["from"],
            "body": {"code": 200, "epoch": self.epoch, "position": [self.epoch, self.version],
                     "value": {"data": {}}},
        }));
        let answer = reader.message();
        assert_eq!(answer["body"]["code"], 200, "{answer}");
    }

    /// The next commit, as the frame that readers get: `value` is set.
    pub(crate) fn commit(&mut self, value: &str) -> String {
        self.version += 1;
        json!({
            "type": "update", "from": OBJECT, "to": format!("{OBJECT}/changes"),
            "body": {"epoch": self.epoch, "version": self.version, "attribute": "a", "value": value},
        })
        .to_string()
    }
}

/// A client's frame.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Reads up to the empty line and not a byte further.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
