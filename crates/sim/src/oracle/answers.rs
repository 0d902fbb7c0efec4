//! Every request has exactly one final answer, on the connection it came from, while that lives.

use std::collections::BTreeMap;

use byline_core::message::body::{Claim, ClaimRequest};
use byline_core::message::{Header, Type};
use byline_core::node::ConnectionId;

/// What was asked with one id, by one address.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    /// Commits and events: answered only when refused.
    others: usize,
    answers: usize,
    held: bool,
    claim: Option<Claiming>,
}

/// What a final answer answers.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) claim: Option<Claiming>,
    /// It was told to wait before.
    pub(super) waited: bool,
}

/// A claim under way.
pub(crate) type Claiming = Box<Claim>;

type Key = (ConnectionId, String, String);

/// All that was asked on connections that live.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    asked: BTreeMap<Key, Tally>,
}

impl Answers {
    pub(super) fn asked(&mut self, connection: ConnectionId, frame: &str) {
        let header = match Header::peek(frame) {
            Ok(header) => header,
            Err(malformed) => {
                let key = (connection, malformed.id, malformed.from.unwrap_or_default());
                self.asked.entry(key).or_default().others += 1;
                return;
            }
        };
        if matches!(header.kind, Type::Response | Type::Close) {
            return;
        }
        if header.id == "null" && header.kind == Type::Update {
            // A commit without id: its refusal has none either.
            return;
        }
        let key = (connection, header.id.to_owned(), header.from.to_string());
        let tally = self.asked.entry(key).or_default();
        if header.is_request() && header.id != "null" {
            tally.requests += 1;
        } else {
            tally.others += 1;
        }
        if header.kind == Type::Subscribe && header.to.ends_with("/sm") {
            let claim = header.decode::<ClaimRequest>().ok();
            tally.claim = claim.and_then(|body| body.claim).map(Box::new);
        }
    }

    /// An answer goes to who asked; says what it answers.
    pub(super) fn answered(
        &mut self,
        connection: ConnectionId,
        header: &Header<'_>,
        code: u16,
    ) -> Result<Answered, String> {
        if header.id == "null" {
            return Ok(Answered::default());
        }
        let key = (connection, header.id.to_owned(), header.to.to_string());
        let Some(tally) = self.asked.get_mut(&key) else {
            return Err(format!(
                "nobody asked for {code} to {key:?}: {}",
                header.body
            ));
        };
        if code < 200 {
            tally.held = true;
            return Ok(Answered::default());
        }
        tally.answers += 1;
        if tally.answers > tally.requests + tally.others {
            return Err(format!(
                "answered twice: {code} to {key:?}: {}",
                header.body
            ));
        }
        let (claim, waited) = (tally.claim.take(), tally.held);
        if tally.answers == tally.requests + tally.others {
            // The same id again would be another request.
            self.asked.remove(&key);
        }
        Ok(Answered { claim, waited })
    }

    /// Nobody waits at this connection any more.
    pub(crate) fn lost(&mut self, connection: ConnectionId) {
        self.asked.retain(|(at, _, _), _| *at != connection);
    }

    /// Requests of a connection without a final answer, those that were told to wait left out.
    pub(crate) fn unanswered(&self, connection: ConnectionId) -> usize {
        let of = self
            .asked
            .iter()
            .filter(|((at, _, _), _)| *at == connection);
        of.filter(|(_, tally)| tally.answers < tally.requests && !tally.held)
            .map(|(_, tally)| tally.requests - tally.answers)
            .sum()
    }

    /// How many requests wait, and were told so.
    pub(crate) fn held(&self) -> usize {
        let open = |tally: &&Tally| tally.answers < tally.requests && tally.held;
        self.asked.values().filter(open).count()
    }

    /// Requests without a final answer, those that were told to wait left out.
    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self
            .asked
            .iter()
            .filter(|(_, tally)| tally.answers < tally.requests && !tally.held);
        missing.map(|(key, _)| format!("{key:?}")).collect()
    }
}
