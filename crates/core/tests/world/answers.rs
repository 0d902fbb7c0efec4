//! The rule of protocol.md §2 that every request gets exactly one final answer, checked on all frames.

use std::collections::BTreeMap;

use byline_core::message::body::Code;
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
    /// Commits and events: answered only when refused.
    others: usize,
    answers: usize,
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
        if header.id == "null" || matches!(header.kind, Type::Response | Type::Close) {
            return;
        }
        let key = (connection, header.id.to_owned(), header.from.to_string());
        let tally = self.asked.entry(key).or_default();
        if header.is_request() {
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
        let key = (connection, header.id.to_owned(), header.to.to_string());
        let code = header.decode::<Code>().map_or(500, |body| body.code);
        let Some(tally) = self.asked.get_mut(&key) else {
            panic!("nobody asked for {frame}");
        };
        if code < 200 {
            tally.held = true;
        } else {
            tally.answers += 1;
        }
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
