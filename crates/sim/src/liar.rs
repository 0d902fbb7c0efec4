//! Liars: foreign sessions that say whatever might do harm, and a Reporter that lies about its own
//! object. They speak to the node without delay and remember what they overhear.

use std::collections::VecDeque;
use std::sync::Arc;

use byline_core::identity::{Identity, Key, encode_bytes};
use byline_core::node::{ConnectionId, Input};
use byline_core::stream::Position;
use serde_json::{Value, json};

use crate::oracle::Rule;
use crate::random::Random;
use crate::totals::Count;
use crate::world::{DOMAIN, Peer, World};

/// The object of the Reporter that lies.
pub(crate) const LIES: &str = "lies";
/// Unanswered requests that a session may have (protocol.md, appendix B).
const UNANSWERED_MAX: usize = 64;
/// The liar that reports.
pub(crate) const REPORTER: usize = 2;
const INBOX: usize = 90;

/// What a liar does: which one, how, about what.
#[derive(Clone, Debug)]
pub(crate) struct Lie {
    liar: usize,
    kind: Kind,
    object: usize,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Commit,
    Head,
    Claim,
    Answer,
    Unsubscribe,
    Superseded,
    Command,
    Subscribe,
    ForgedSource,
    Tell,
    Garbage,
    Replay,
    Burst,
    Steal,
    Child,
    Leave,
    // Of the Reporter that lies.
    OwnClaim,
    OwnCommits,
    OwnAnswers,
}

const FOREIGN: [Kind; 22] = [
    Kind::Commit,
    Kind::Head,
    Kind::Claim,
    Kind::Answer,
    Kind::Unsubscribe,
    Kind::Superseded,
    Kind::Command,
    Kind::Subscribe,
    Kind::ForgedSource,
    Kind::Tell,
    Kind::Garbage,
    Kind::Replay,
    Kind::Burst,
    Kind::Steal,
    Kind::Child,
    Kind::Child,
    Kind::Child,
    Kind::Child,
    Kind::Child,
    Kind::Child,
    Kind::Child,
    Kind::Leave,
];
const OWN: [Kind; 6] = [
    Kind::OwnClaim,
    Kind::OwnCommits,
    Kind::OwnCommits,
    Kind::OwnAnswers,
    Kind::OwnAnswers,
    Kind::OwnAnswers,
];

impl Lie {
    pub(crate) fn drawn(random: &mut Random, objects: usize) -> Self {
        let liar = random.index(3);
        Self {
            liar,
            kind: if liar == REPORTER {
                random.one_of(&OWN)
            } else {
                random.one_of(&FOREIGN)
            },
            object: random.index(objects),
            random: random.next(),
        }
    }
}

/// One liar, and its session when it has one.
#[derive(Debug)]
pub(crate) struct Liar {
    key: Option<Key>,
    identity: Option<Identity>,
    nonce: String,
    runtime: String,
    pub(crate) hyperty: String,
    pub(crate) connection: Option<ConnectionId>,
    /// It has proved who it is.
    proved: bool,
    pub(crate) inbox: VecDeque<Arc<str>>,
    asked: u64,
    /// Where it says its own object stands.
    pub(crate) epoch: u64,
    pub(crate) version: u64,
}

impl Liar {
    /// A liar with a key, one without, and the Reporter that lies.
    pub(crate) fn all(random: &mut Random) -> Vec<Self> {
        [Some(200), None, Some(201)]
            .into_iter()
            .map(|key: Option<u8>| {
                let key = key.map(|number| Key::from_bytes(&[number; 32]));
                let mut nonce = [0; 16];
                nonce[..8].copy_from_slice(&random.next().to_le_bytes());
                let minted = key.as_ref().map(|key| key.public().mint(&nonce));
                let id = minted.unwrap_or_else(|| "somebody".to_owned());
                let identity = key.as_ref().map(|key| key.public().identity());
                Self {
                    key,
                    identity,
                    nonce: encode_bytes(&nonce),
                    runtime: format!("hyperty-runtime://{DOMAIN}/{id}"),
                    hyperty: format!("hyperty://{DOMAIN}/{id}/liar"),
                    connection: None,
                    proved: false,
                    inbox: VecDeque::new(),
                    asked: 0,
                    epoch: 0,
                    version: 0,
                }
            })
            .collect()
    }

    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    pub(crate) fn hears(&mut self, frame: Arc<str>) {
        if self.inbox.len() == INBOX {
            self.inbox.pop_front();
        }
        self.inbox.push_back(frame);
    }

    pub(crate) fn loses_its_session(&mut self) {
        self.connection = None;
        self.proved = false;
        self.inbox.clear();
    }

    pub(crate) fn last_heard(&self) -> Value {
        let last = self.inbox.back();
        last.and_then(|frame| serde_json::from_str(frame).ok())
            .unwrap_or_default()
    }

    /// Where its own stream stands at the children that `to` names, by the last answer.
    pub(crate) fn child_position(&self, to: &str) -> Value {
        let answers = self.inbox.iter().rev().filter(|frame| frame.contains(to));
        let mut answers = answers.filter_map(|frame| serde_json::from_str::<Value>(frame).ok());
        let at = answers.find(|answer| {
            answer["type"] == "response"
                && answer["from"] == to
                && answer["body"]["position"].is_array()
        });
        at.map_or(Value::Null, |answer| answer["body"]["position"].clone())
    }

    pub(crate) fn message(&mut self, kind: &str, from: &str, to: &str, body: &Value) -> String {
        self.asked += 1;
        json!({"id": self.asked, "type": kind, "from": from, "to": to, "body": body}).to_string()
    }
}

impl World {
    pub(crate) fn liars_lose_their_sessions(&mut self) {
        for liar in &mut self.liars {
            liar.loses_its_session();
        }
    }

    /// All liars go.
    pub(crate) fn liars_leave(&mut self) {
        for liar in 0..self.liars.len() {
            self.leaves(liar);
        }
    }

    pub(crate) fn lies(&mut self, lie: &Lie) {
        if self.node_down_until > self.now {
            return;
        }
        if self.liars[lie.liar].connection.is_none() {
            self.opens(lie.liar);
            if lie.liar == REPORTER {
                self.claims_its_own(&mut Random::new(lie.random));
            } else {
                self.observes_as_a_guest(lie.liar);
            }
        }
        self.proves(lie.liar);
        self.liars[REPORTER].learns_its_claim();
        let mut random = Random::new(lie.random);
        match lie.kind {
            Kind::Leave => self.leaves(lie.liar),
            Kind::Burst => self.bursts(lie.liar),
            // The first three objects have children.
            Kind::Child => self.forges_child(lie.liar, lie.object % 3, &mut random),
            Kind::OwnClaim => self.claims_its_own(&mut random),
            Kind::OwnCommits => {
                self.writes_its_own(&mut random);
                self.answers_its_own(&mut random);
            }
            Kind::OwnAnswers => self.answers_its_own(&mut random),
            Kind::Garbage => {
                let frame = garbage(&mut random, self.overheard.back());
                self.says(lie.liar, frame);
            }
            Kind::Replay => {
                for _ in 0..3 {
                    let some = random.index(self.overheard.len().max(1));
                    // A node that has forgotten gives a readable address to whoever claims it first.
                    let may = |frame: &Arc<str>| {
                        !(self.oracle.node_has_forgotten() || self.node_disk.is_some())
                            || !frame.contains("\"claim\"")
                    };
                    let frame = self.overheard.get(some).cloned();
                    if let Some(frame) = frame.filter(may) {
                        self.says(lie.liar, frame.to_string());
                    }
                }
            }
            kind => {
                if let Some(frame) = self.forges(lie.liar, kind, lie.object, &mut random) {
                    self.says(lie.liar, frame);
                }
            }
        }
    }

    pub(crate) fn says(&mut self, liar: usize, frame: String) {
        let count = if liar == REPORTER {
            Count::LyingReporter
        } else {
            Count::LiarSpoke
        };
        self.totals.one(count);
        if let Some(connection) = self.liars[liar].connection {
            self.node_hears(connection, &frame.into());
        }
    }

    fn leaves(&mut self, liar: usize) {
        if let Some(connection) = self.liars[liar].connection.take() {
            self.liars[liar].loses_its_session();
            self.oracle.answers.lost(connection);
            self.node_takes(Input::Lost(connection));
        }
    }

    fn opens(&mut self, liar: usize) {
        let connection = self.new_connection(Peer::Liar(liar));
        self.node_takes(Input::Connected(connection));
        let one = &mut self.liars[liar];
        one.connection = Some(connection);
        let runtime = one.runtime.clone();
        let mut body = json!({});
        if let Some(key) = &one.key {
            body = json!({"publicKey": key.public().to_string(), "nonce": one.nonce});
        }
        let open = one.message("open", &runtime, "mn:/session", &body);
        self.says(liar, open);
        self.proves(liar);
    }

    /// Answers the node's challenge, as soon as that is here.
    fn proves(&mut self, liar: usize) {
        let one = &mut self.liars[liar];
        let heard = one.inbox.iter().rev();
        let heard = heard.filter_map(|frame| serde_json::from_str::<Value>(frame).ok());
        let challenge = heard
            .filter(|_| !one.proved)
            .find_map(|frame| Some(frame["body"]["challenge"].as_str()?.to_owned()));
        let (Some(key), Some(challenge)) = (&one.key, challenge) else {
            return;
        };
        let body = json!({"publicKey": key.public().to_string(), "nonce": one.nonce,
            "signature": key.prove(DOMAIN, &one.runtime, &challenge)});
        let runtime = one.runtime.clone();
        let open = one.message("open", &runtime, "mn:/session", &body);
        one.proved = true;
        self.says(liar, open);
    }

    /// Many requests that nobody answers: no more of them are kept than the limit allows.
    fn bursts(&mut self, liar: usize) {
        let Some(connection) = self.liars[liar].connection else {
            return;
        };
        // What waits for a Reporter in its grace time is bounded by its bytes instead.
        let before = self.oracle.answers.unanswered(connection);
        let own = self.liars[liar].hyperty.clone();
        let to = format!("ctxt://{DOMAIN}/{LIES}");
        for _ in 0..UNANSWERED_MAX + 3 {
            let frame = self.liars[liar].message("read", &own, &to, &json!({"source": own}));
            self.says(liar, frame);
        }
        let unanswered = self.oracle.answers.unanswered(connection);
        let unanswered = unanswered.saturating_sub(before);
        let holder = self.oracle.holder(&to);
        let there =
            self.liars[REPORTER].connection.is_some() && holder == Some(Peer::Liar(REPORTER));
        // What is decided is not said while something is to be stored first.
        let said = self.node.held_bytes() == 0;
        self.oracle.expects(
            !there || !said || unanswered <= UNANSWERED_MAX,
            Rule::Answer,
            || format!("{unanswered} requests of one session are unanswered"),
        );
    }
}

/// A commit that changes one key.
pub(crate) fn commit(at: Position, source: &str) -> Value {
    json!({"epoch": at.epoch, "version": at.version, "source": source,
        "lastModified": "2026-11-21T10:00:00Z", "attribute": "n", "value": -1})
}

/// Bytes that are no message, or hardly one.
fn garbage(random: &mut Random, heard: Option<&Arc<str>>) -> String {
    let heard = heard.map_or("", |frame| &**frame);
    match random.between(0, 6) {
        0 => heard
            .chars()
            .take(random.index(heard.len().max(1)))
            .collect(),
        1 => "[".repeat(300),
        2 => format!(
            r#"{{"id":1,"type":"read","from":"","to":"x","body":{}1{}}}"#,
            "[".repeat(90),
            "]".repeat(90)
        ),
        3 => "null".to_owned(),
        4 => r#"{"id":{"a":1},"type":"ping","from":"a","to":"mn:/session"}"#.to_owned(),
        5 => heard.replace(':', "\u{0}"),
        _ => format!(
            r#"{{"id":"{}","type":"ping","from":"hyperty://x/y","to":"mn:/session"}}"#,
            "9".repeat(200)
        ),
    }
}
