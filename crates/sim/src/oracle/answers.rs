//! Every request has exactly one final answer, on the connection it came from, while that lives.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::{Address, Resource, Target};
use byline_core::message::body::{Claim, ClaimRequest, Command, Many, SubscribeMany};
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
    /// What is asked beside it, and refused with it.
    many: Vec<String>,
    what: What,
}

/// What a request would have the node do, where that matters here.
#[derive(Debug, Default)]
pub(super) enum What {
    #[default]
    Other,
    Claim(Box<Claim>),
    Command(Box<Command>),
    Delete(Address),
}

impl What {
    /// The object whose record it changes.
    fn object(&self) -> Option<&str> {
        let object = match self {
            Self::Other => return None,
            Self::Claim(claim) => &claim.url,
            Self::Command(command) => match &**command {
                Command::Kick(object, ..)
                | Command::Allow(object, ..)
                | Command::Access(object, ..)
                | Command::Delegate(object, ..) => object,
                _ => return None,
            },
            Self::Delete(object) => object,
        };
        Some(object.as_str())
    }
}

/// What a final answer answers.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) what: What,
    /// It was told to wait before.
    pub(super) waited: bool,
}

type Key = (ConnectionId, String, String);

/// All that was asked on connections that live.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    asked: BTreeMap<Key, Tally>,
    /// Connections that are gone. What was decided there may have to be stored before it is said.
    gone: BTreeSet<ConnectionId>,
}

impl Answers {
    pub(super) fn asked(&mut self, connection: ConnectionId, frame: &str) {
        if frame.starts_with("{\"type\":\"update\"") {
            // A commit of an honest Reporter has no id, and nor has its refusal.
            return;
        }
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
        let many = many(&header);
        for id in &many {
            let key = (connection, id.clone(), header.from.to_string());
            self.asked.entry(key).or_default().requests += 1;
        }
        let key = (connection, header.id.to_owned(), header.from.to_string());
        let tally = self.asked.entry(key).or_default();
        tally.many = many;
        tally.what = what(&header);
        if header.is_request() && header.id != "null" {
            tally.requests += 1;
        } else {
            tally.others += 1;
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
        let key = |id: String| (connection, id, header.to.to_string());
        let own = key(header.id.to_owned());
        let Some(tally) = self.asked.get_mut(&own) else {
            if self.gone.contains(&connection) {
                return Ok(Answered::default());
            }
            return Err(format!("nobody asked for {code}: {own:?}"));
        };
        if code < 200 {
            tally.held = true;
            return Ok(Answered::default());
        }
        let mut refused = std::mem::take(&mut tally.many);
        if let Ok(many) = header.decode::<Many>() {
            let refusals = many.objects.iter().filter(|(_, answer)| answer.code >= 200);
            refused = refusals.map(|(url, _)| json_text(url)).collect();
        }
        for id in refused {
            self.finish(key(id), code)?;
        }
        self.finish(own, code)
    }

    fn finish(&mut self, key: Key, code: u16) -> Result<Answered, String> {
        let Some(tally) = self.asked.get_mut(&key) else {
            return Err(format!(
                "nobody asked for {code}, or it is answered: {key:?}"
            ));
        };
        tally.answers += 1;
        let (what, waited) = (std::mem::take(&mut tally.what), tally.held);
        if tally.answers == tally.requests + tally.others {
            // The same id again is another request.
            self.asked.remove(&key);
        }
        Ok(Answered { what, waited })
    }

    /// Nobody waits at this connection any more.
    pub(crate) fn lost(&mut self, connection: ConnectionId) {
        self.gone.insert(connection);
        self.asked
            .retain(|(at, _, _), tally| *at != connection || tally.what.object().is_some());
    }

    /// Requests of a connection without a final answer, those that were told to wait left out.
    pub(crate) fn unanswered(&self, connection: ConnectionId) -> usize {
        let of = self.open().filter(|((at, _, _), _)| *at == connection);
        of.filter(|(_, tally)| !tally.held)
            .map(|(_, tally)| tally.requests - tally.answers)
            .sum()
    }

    /// How many requests wait, and were told so.
    pub(crate) fn held(&self) -> usize {
        self.open().filter(|(_, tally)| tally.held).count()
    }

    /// Requests without a final answer, those that were told to wait left out.
    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self.open().filter(|(_, tally)| !tally.held);
        missing.map(|(key, _)| format!("{key:?}")).collect()
    }

    /// Whether somebody asked for a change of what is on record of an object, and has no answer.
    pub(super) fn is_asked(&self, object: &str) -> bool {
        let asked = self.asked.values();
        let mut open = asked.filter(|tally| tally.answers < tally.requests);
        open.any(|tally| tally.what.object() == Some(object))
    }

    fn open(&self) -> impl Iterator<Item = (&Key, &Tally)> {
        let here = |(at, _, _): &Key| !self.gone.contains(at);
        let all = self.asked.iter().filter(move |(key, _)| here(key));
        all.filter(|(_, tally)| tally.answers < tally.requests)
    }
}

/// A `subscribe` to many objects is a request for each, known by its URL.
fn many(header: &Header<'_>) -> Vec<String> {
    if header.kind != Type::Subscribe || !header.body.contains("\"objects\"") {
        return vec![];
    }
    let many = header.decode::<SubscribeMany>().ok();
    let urls = many.into_iter().flat_map(|many| many.objects.into_keys());
    urls.map(|url| json_text(&url)).collect()
}

fn what(header: &Header<'_>) -> What {
    let manager = header.to.ends_with("/sm");
    match header.kind {
        Type::Subscribe if manager => {
            let claim = header.decode::<ClaimRequest>().ok();
            let claim = claim.and_then(|body| body.claim);
            claim.map_or(What::Other, |claim| What::Claim(Box::new(claim)))
        }
        Type::Execute if manager => {
            let command = header.decode::<Command>();
            command.map_or(What::Other, |command| What::Command(Box::new(command)))
        }
        Type::Delete => match Target::of(&header.to) {
            Target::Object(url, Resource::Changes) => {
                Address::object(url).map_or(What::Other, What::Delete)
            }
            _ => What::Other,
        },
        _ => What::Other,
    }
}

fn json_text(url: &Address) -> String {
    serde_json::Value::from(url.as_str()).to_string()
}
