//! The rule of protocol.md §2 that every request gets exactly one final answer, checked on all frames.

use std::collections::BTreeMap;

use byline_core::address::Address;
use byline_core::message::body::{Code, Many, SubscribeMany};
use byline_core::message::{Header, Type};
use byline_core::node::ConnectionId;

/// A connection, an id, and the address the answer goes to.
type Key = (ConnectionId, String, String);

#[derive(Default)]
pub struct Answers {
    asked: BTreeMap<Key, Tally>,
}

#[derive(Default)]
struct Tally {
    requests: usize,
    /// Commits, events and `close`: answered only when refused.
    others: usize,
    answers: usize,
    /// What is asked beside it, and refused with it.
    many: Vec<String>,
    held: bool,
}

impl Answers {
    /// A client sent a frame to the node.
    pub fn asked(&mut self, connection: ConnectionId, frame: &str) {
        let header = match Header::peek(frame) {
            Ok(header) => header,
            Err(malformed) => {
                let key = (connection, malformed.id, malformed.from.unwrap_or_default());
                self.asked.entry(key).or_default().others += 1;
                return;
            }
        };
        if header.id == "null" || header.kind == Type::Response {
            return;
        }
        // A `subscribe` to many objects is a request for each, known by its URL.
        let is_many = header.kind == Type::Subscribe && header.to.ends_with("/sm");
        let many = header.decode::<SubscribeMany>().ok().filter(|_| is_many);
        let many = many.into_iter().flat_map(|many| many.objects.into_keys());
        let many: Vec<String> = many.map(|url| json_text(&url)).collect();
        for id in &many {
            let key = (connection, id.clone(), header.from.to_string());
            self.asked.entry(key).or_default().requests += 1;
        }
        let key = (connection, header.id.to_owned(), header.from.to_string());
        let tally = self.asked.entry(key).or_default();
        tally.many = many;
        if header.is_request() && header.kind != Type::Close {
            tally.requests += 1;
        } else {
            tally.others += 1;
        }
    }

    /// The node sent a frame to a client.
    pub fn answered(&mut self, connection: ConnectionId, frame: &str) {
        let header = Header::peek(frame).expect("the node sends messages");
        if header.kind != Type::Response || header.id == "null" {
            return;
        }
        if let Ok(many) = header.decode::<Many>() {
            for (url, answer) in many.objects {
                if answer.code >= 200 {
                    self.final_answer(connection, &json_text(&url), &header.to, frame);
                }
            }
        }
        let code = header.decode::<Code>().map_or(500, |body| body.code);
        if code >= 400 {
            let key = (connection, header.id.to_owned(), header.to.to_string());
            let tally = self.asked.get_mut(&key);
            let many = tally.map(|tally| std::mem::take(&mut tally.many));
            for id in many.unwrap_or_default() {
                self.final_answer(connection, &id, &header.to, frame);
            }
        }
        if code >= 200 {
            return self.final_answer(connection, header.id, &header.to, frame);
        }
        let key = (connection, header.id.to_owned(), header.to.to_string());
        match self.asked.get_mut(&key) {
            Some(tally) => tally.held = true,
            None => panic!("nobody asked for {frame}"),
        }
    }

    fn final_answer(&mut self, connection: ConnectionId, id: &str, to: &str, frame: &str) {
        let key = (connection, id.to_owned(), to.to_owned());
        let Some(tally) = self.asked.get_mut(&key) else {
            panic!("nobody asked for {frame}");
        };
        tally.answers += 1;
        let once = tally.answers <= tally.requests + tally.others;
        assert!(once, "answered twice: {frame}");
    }

    /// Nobody waits at this connection any more.
    pub fn lost(&mut self, connection: ConnectionId) {
        self.asked.retain(|(at, _, _), _| *at != connection);
    }

    pub fn missing(&self) -> Vec<String> {
        let missing = self
            .asked
            .iter()
            .filter(|(_, tally)| tally.answers < tally.requests && !tally.held);
        missing.map(|(key, _)| format!("{key:?}")).collect()
    }
}

fn json_text(url: &Address) -> String {
    serde_json::Value::from(url.as_str()).to_string()
}
