//! The target of `byline_core::node`: three clients with open sessions who then say anything.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::limits::HELD_MS;
use byline_core::message::body::{Challenge, Claimed, Code, Opened, SubscribeMany};
use byline_core::message::{Header, Type};
use byline_core::node::{ConnectionId, Gauges, Input, Node, ObjectId, Output};
use byline_core::time::Time;
use serde_json::{Value, json};

use crate::clients::{CLIENTS, Client};
use crate::script::Script;
use crate::stream;

const MANAGER: &str = "domain://msg-node.localhost/sm";
const OBJECTS: [&str; 4] = [
    "ctxt://localhost/kitchen",
    "ctxt://localhost/hall/lamp",
    "ctxt://localhost/AAAAAAAAAAAAAAAAAAAAAA",
    "ctxt://example.com/kitchen",
];
/// Longer than a record or a grant is kept.
const ALL_TIME_MS: u64 = 100 * HELD_MS;
const WAITS_MS: [u64; 6] = [0, 1, 1_000, 30_000, 60_000, HELD_MS];

/// Frames of three sessions: whole ones, damaged ones, any text at all; sockets that come and go.
pub(crate) fn node(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut run = Run::new();
    while let Some(step) = script.next() {
        let who = usize::from(step / 64) % run.clients.len();
        match step % 8 {
            0 => {
                let text = script.text().into_owned();
                run.says(who, text);
            }
            1 => run.passes(script.pick(&WAITS_MS)),
            2 if script.below(4) == 0 => run.loses(who),
            2 => run.comes_back(who, script.below(2) == 0),
            3 if script.below(4) == 0 => run.parks(who, script.below(2) == 0),
            _ => {
                let frame = run.frame(who, &mut script).to_string();
                let frame = script.damaged(frame);
                run.says(who, frame);
            }
        }
    }
    run.ends();
}

struct Run {
    node: Node,
    now: Time,
    connections: u64,
    clients: [Client; 3],
    /// Frames and final answers by the text of their id.
    frames: BTreeMap<String, usize>,
    answers: BTreeMap<String, usize>,
    closed: BTreeSet<ConnectionId>,
    published: BTreeSet<ObjectId>,
    epoch: u64,
    ids: u64,
}

impl Run {
    fn new() -> Self {
        let start = Time::from_unix_ms(1_700_000_000_000);
        let mut run = Self {
            node: Node::new("localhost", [9; 32], start),
            now: start.plus_ms(1_000),
            connections: 0,
            clients: CLIENTS.clone(),
            frames: BTreeMap::new(),
            answers: BTreeMap::new(),
            closed: BTreeSet::new(),
            published: BTreeSet::new(),
            epoch: 0,
            ids: 0,
        };
        for who in 0..run.clients.len() {
            run.comes_back(who, false);
        }
        run
    }

    /// On a new connection, with a new session or its old one.
    fn comes_back(&mut self, who: usize, continues: bool) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.node.handle(Input::Connected(connection), self.now);
        // The old socket, if it is there, is found dead later or never.
        self.clients[who].connection = Some(connection);
        let client = &self.clients[who];
        let (kind, from) = if continues {
            ("re-open", format!("{}/{}", client.runtime, client.token))
        } else {
            ("open", client.runtime.clone())
        };
        let proof = client.proof.clone();
        let frame = self.message(kind, &from, "mn:/session", proof);
        self.says(who, frame.to_string());
    }

    fn loses(&mut self, who: usize) {
        if let Some(connection) = self.clients[who].connection.take() {
            self.closed.insert(connection);
            self.node.handle(Input::Lost(connection), self.now);
            self.collect();
        }
    }

    /// Too much waits for a connection, or no longer.
    fn parks(&mut self, who: usize, drained: bool) {
        let Some(connection) = self.clients[who].connection else {
            return;
        };
        let input = if drained {
            Input::Drained(connection)
        } else {
            Input::Parked(connection, self.published.clone())
        };
        self.node.handle(input, self.now);
        self.collect();
    }

    fn passes(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.node.handle(Input::Timeout, self.now);
        self.collect();
        assert!(
            self.node.poll_timeout().is_none_or(|at| at > self.now),
            "time-outs are over"
        );
    }

    fn says(&mut self, who: usize, frame: String) {
        let Some(connection) = self.clients[who].connection else {
            return;
        };
        let ids = match Header::peek(&frame) {
            Ok(header) => {
                // One of many has its URL for an id.
                let many = header.decode::<SubscribeMany>().ok();
                let urls = many.into_iter().flat_map(|many| many.objects.into_keys());
                let mut ids: Vec<_> = urls.map(|url| json!(url.as_str()).to_string()).collect();
                ids.push(header.id.to_owned());
                ids
            }
            Err(malformed) => vec![malformed.id],
        };
        for id in ids {
            *self.frames.entry(id).or_default() += 1;
        }
        self.node
            .handle(Input::Received(connection, frame.into()), self.now);
        self.collect();
    }

    /// Performs what the node puts out, and checks it.
    fn collect(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(connection, frame) => self.hears(connection, &frame),
                Output::Publish(object, connections, frame) => {
                    self.published.insert(object);
                    for connection in connections.iter() {
                        self.hears(*connection, &frame);
                    }
                }
                // Nothing is queued here.
                Output::Withdraw(..) => {}
                Output::Store(_) => unreachable!("it has no store"),
                Output::Close(connection, ..) => {
                    self.closed.insert(connection);
                    for client in &mut self.clients {
                        client.connection.take_if(|known| *known == connection);
                    }
                }
            }
        }
    }

    fn hears(&mut self, connection: ConnectionId, frame: &str) {
        assert!(
            !self.closed.contains(&connection),
            "sent to who is gone: {frame}"
        );
        let header = Header::peek(frame).expect("the node sends messages");
        let of = |client: &Client| client.connection == Some(connection);
        let who = self.clients.iter().position(of);
        if header.kind != Type::Response {
            if let Some(who) = who {
                let id = serde_json::from_str(header.id).expect("an id is JSON");
                self.clients[who].asked = (id, header.from.to_string(), header.to.to_string());
            }
            return;
        }
        let code = header.decode::<Code>().map_or(500, |body| body.code);
        if header.id != "null" && !(100..200).contains(&code) {
            let answers = self.answers.entry(header.id.to_owned()).or_default();
            *answers += 1;
            let frames = self.frames.get(header.id).copied().unwrap_or(0);
            assert!(*answers <= frames, "answered twice: {frame}");
        }
        let Some(who) = who else { return };
        if let Ok(Challenge { challenge, .. }) = header.decode() {
            let client = &self.clients[who];
            let mut proof = client.proof.clone();
            proof["signature"] = json!(client.key.prove("localhost", &client.runtime, &challenge));
            // As whom it asked: `open`, or `re-open` with its token.
            let kind = if *header.to == *client.runtime {
                "open"
            } else {
                "re-open"
            };
            let again = self
                .message(kind, &header.to, "mn:/session", proof)
                .to_string();
            *self.frames.entry(self.ids.to_string()).or_default() += 1;
            self.node
                .handle(Input::Received(connection, again.into()), self.now);
        } else if let Ok(opened) = header.decode::<Opened>() {
            self.clients[who].token = opened.runtime_token;
        } else if let Ok(claimed) = header.decode::<Claimed>() {
            self.epoch = claimed.epoch;
        }
    }

    fn message(&mut self, kind: &str, from: &str, to: &str, body: Value) -> Value {
        self.ids += 1;
        json!({"id": self.ids, "type": kind, "from": from, "to": to, "body": body})
    }

    /// A frame that somebody might send, from an address that may be its own.
    fn frame(&mut self, who: usize, script: &mut Script<'_>) -> Value {
        let object = script.pick(&[
            OBJECTS[0], OBJECTS[0], OBJECTS[0], OBJECTS[1], OBJECTS[2], OBJECTS[3],
        ]);
        let mine = self.clients[who].hyperty.clone();
        let other = self.clients[script.below(self.clients.len())]
            .hyperty
            .clone();
        let (changes, subscription) = (
            format!("{object}/changes"),
            format!("{object}/subscription"),
        );
        match script.below(18) {
            0 | 1 => {
                let body = claim(object, &mine, self.epoch, script);
                self.message("subscribe", &mine, MANAGER, body)
            }
            2 | 3 => {
                let hold = script.below(2) == 0;
                let have = json!({"data": [self.epoch, script.below(3)]});
                let body = json!({"source": mine, "hold": hold, "have": have, "x": 1});
                self.message("subscribe", &mine, &subscription, body)
            }
            4 => self.message("unsubscribe", &mine, &subscription, json!({"source": mine})),
            5 => self.message("read", &mine, object, json!({})),
            6 | 7 => {
                let mut body = stream::change(script);
                body["epoch"] = json!(self.epoch + script.below(2) as u64);
                self.message("update", object, &changes, body)
            }
            8 => {
                let body = stream::head(script);
                self.message("update", object, &changes, body)
            }
            9 | 10 => {
                let (id, from, to) = self.clients[who].asked.clone();
                let mut body = stream::content(script);
                body["code"] = json!(script.pick(&[200_u16, 200, 102, 403, 503]));
                json!({"id": id, "type": "response", "from": to, "to": from, "body": body})
            }
            11 => {
                let kind = script.pick(&["execute", "event", "create", "delete", "sing"]);
                let to = script.pick(&[other.as_str(), object, &mine, MANAGER, "mn:/session"]);
                self.message(
                    kind,
                    &mine,
                    to,
                    json!({"method": "x", "params": [], "identity": "me"}),
                )
            }
            12 => {
                let from = self.clients[who].runtime.clone();
                let kind = script.pick(&["ping", "close", "open", "re-open"]);
                self.message(kind, &from, "mn:/session", json!({}))
            }
            13 => self.message("subscribe", &other, &subscription, json!({"source": other})),
            _ => self.owner_frame(who, object, &other, script),
        }
    }

    /// A frame that an owner might send, and one that asks for many objects.
    fn owner_frame(
        &mut self,
        who: usize,
        object: &str,
        other: &str,
        script: &mut Script<'_>,
    ) -> Value {
        let mine = self.clients[who].hyperty.clone();
        match script.below(5) {
            0 | 1 => {
                let access = json!({"public": script.below(2) == 0, "deny": [other]});
                let body = match script.below(3) {
                    0 => json!({"method": "kick", "params": [object, other, 403, "out"]}),
                    1 => json!({"method": "allow", "params": [object, other]}),
                    _ => json!({"method": "access", "params": [object, access]}),
                };
                self.message("execute", &mine, MANAGER, body)
            }
            2 if script.below(4) == 0 => {
                let (from, to) = (
                    format!("{object}/subscription"),
                    format!("{object}/changes"),
                );
                self.message("delete", &from, &to, json!({}))
            }
            _ => {
                let have = json!({"data": [self.epoch, script.below(3)]});
                let objects = json!({OBJECTS[0]: have, OBJECTS[1]: null, object: null});
                let body =
                    json!({"source": mine, "objects": objects, "hold": script.below(2) == 0});
                self.message("subscribe", &mine, MANAGER, body)
            }
        }
    }

    /// When everybody has gone and all time is over, nothing is left.
    fn ends(mut self) {
        for connection in 1..=self.connections {
            let connection = ConnectionId(connection);
            if self.closed.insert(connection) {
                self.node.handle(Input::Lost(connection), self.now);
                self.collect();
            }
        }
        // First the sessions end, then what is kept for their return.
        self.passes(ALL_TIME_MS);
        self.passes(ALL_TIME_MS);
        assert_eq!(self.node.gauges(), Gauges::default(), "nothing is left");
        assert_eq!(self.node.poll_timeout(), None);
    }
}

fn claim(object: &str, mine: &str, epoch: u64, script: &mut Script<'_>) -> Value {
    let mut claim = json!({"url": object, "reporter": mine});
    claim["access"] = script
        .pick(&[
            r#"{"public":true}"#,
            r#"{"anonymous":true}"#,
            r#"{"deny":["hyperty://localhost/somebody/h"],"anonymous":true}"#,
            "{}",
        ])
        .parse()
        .unwrap_or_default();
    match script.below(4) {
        0 => {}
        1 => claim["base"] = Value::Null,
        _ => claim["base"] = json!([epoch, script.below(4)]),
    }
    claim["take"] = json!(script.below(2) == 0);
    claim["snapshot"] = json!(script.below(4) == 0);
    let resources = [object.to_owned(), format!("{object}/subscription")];
    json!({"resources": resources, "source": mine, "claim": claim})
}
