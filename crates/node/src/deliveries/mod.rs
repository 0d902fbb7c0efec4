//! Who is sent what, and in which order: ten thousand random claims, subscriptions, answers, kicks,
//! commits, cuts and time-outs go through the node, its queues and real sockets, and every delivery is
//! compared with `model.rs`. `BYLINE_SEED=<seed>` walks that one alone, with its steps.

mod connections;
mod model;
mod sockets;
mod steps;

use byline_core::entropy::Entropy;
use byline_core::identity::Key;
use byline_core::node::ConnectionId;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::time::advance;

use model::{Model, Person, Session, Which, Who};
use sockets::Sockets;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;
const STEPS: usize = 2_500;
/// Steps between two looks for what nobody should have got.
const ROUND: usize = 50;
/// Objects there are at a time.
const OBJECTS: usize = 4;
/// The identities of the clients; the last has none.
const PEOPLE: [u8; 7] = [1, 1, 2, 2, 3, 4, 0];

/// A connection that takes nothing for a while, and the object that fills its queue.
#[derive(Clone, Copy)]
struct Stall {
    who: Who,
    at: ConnectionId,
    which: Which,
    parked: bool,
    until: usize,
}

struct Walk {
    seed: u64,
    entropy: Entropy,
    sockets: Sockets,
    model: Model,
    keys: Vec<Key>,
    tokens: Vec<String>,
    /// The objects there are.
    objects: Vec<Which>,
    stall: Option<Stall>,
    /// The step from which on somebody is slow.
    stall_at: usize,
    step: usize,
    steps: Vec<String>,
}

impl Drop for Walk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = self.steps.len().saturating_sub(60);
            let steps = self.steps[last..].join("\n  ");
            eprintln!("BYLINE_SEED={}, step {}:\n  {steps}", self.seed, self.step);
        }
    }
}

#[test]
fn every_delivery_is_what_the_protocol_says_and_in_its_order() {
    let one = std::env::var("BYLINE_SEED").ok();
    let one = one.map(|seed| seed.parse().expect("a number"));
    let mut met = std::collections::BTreeMap::new();
    for seed in one.map_or(SEEDS, |seed| seed..=seed) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        for (what, count) in runtime.unwrap().block_on(walk(seed)) {
            *met.entry(what).or_insert(0) += count;
        }
    }
    eprintln!("{met:#?}");
    if one.is_none() {
        let rare = WORTH_MEETING
            .iter()
            .filter(|what| !met.contains_key(**what));
        assert_eq!(
            rare.collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "the walks are too tame"
        );
    }
}

/// What four walks together must have met.
const WORTH_MEETING: [&str; 15] = [
    "a commit of no holder",
    "a commit that does not follow",
    "a quiet head",
    "a session that ended",
    "an answer of somebody else",
    "deleted",
    "deliveries",
    "diverged",
    "kicked",
    "parked",
    "revoked by a claim",
    "revoked by access",
    "revoked by allow",
    "taken",
    "woken",
];

async fn walk(seed: u64) -> std::collections::BTreeMap<&'static str, u64> {
    let mut walk = Walk::new(seed).await;
    walk.passes(1_000).await;
    for who in 0..PEOPLE.len() {
        walk.opens(who).await;
    }
    for step in 0..STEPS {
        walk.step = step;
        walk.steps_once().await;
        walk.compares().await;
        if step % ROUND == ROUND - 1 {
            walk.looks_around().await;
        }
    }
    walk.ends_stall().await;
    walk.looks_around().await;
    std::mem::take(&mut walk.model.met)
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let sockets = Sockets::new().await;
        let key = |(number, identity): (usize, &u8)| {
            let key = Key::from_bytes(&[*identity; 32]);
            let id = match identity {
                0 => "nobody".to_owned(),
                _ => key.public().mint(&[u8::try_from(number).unwrap(); 16]),
            };
            let person = Person {
                identity: (*identity > 0).then(|| key.public().identity().as_str().to_owned()),
                runtime: format!("hyperty-runtime://localhost/{id}"),
                hyperties: [0, 1].map(|n| format!("hyperty://localhost/{id}/{n}")),
            };
            (key, person)
        };
        let (keys, people) = PEOPLE.iter().enumerate().map(key).unzip();
        let mut walk = Self {
            seed,
            entropy: Entropy::new(bytes),
            model: Model {
                people,
                sessions: std::collections::BTreeMap::<Who, Session>::new(),
                objects: (0..OBJECTS)
                    .map(|which| (which, model::Object::default()))
                    .collect(),
                asked: std::collections::BTreeMap::new(),
                expected: std::collections::BTreeMap::new(),
                met: std::collections::BTreeMap::new(),
                now: sockets.hub.clock.now().unix_ms(),
            },
            sockets,
            keys,
            tokens: vec![String::new(); PEOPLE.len()],
            objects: (0..OBJECTS).collect(),
            stall: None,
            stall_at: connections::STALL_EVERY,
            step: 0,
            steps: vec![],
        };
        walk.notes(format!("seed {seed}"));
        walk
    }

    fn notes(&mut self, step: String) {
        self.steps.push(step);
    }

    fn up_to(&mut self, bound: usize) -> usize {
        usize::try_from(self.entropy.up_to(bound as u64)).unwrap()
    }

    /// Each connection that had to get something got that, in that order, and nothing else.
    async fn compares(&mut self) {
        self.notices_parking();
        for (who, session) in self.model.sessions.clone() {
            let at = session.connection;
            let expects = |at: &ConnectionId| {
                let expected = self.model.expected.get(at);
                expected.is_some_and(|expected| !expected.is_empty())
            };
            if let Some(at) = at.filter(expects) {
                self.compares_one(who, at).await;
            }
        }
    }

    async fn compares_one(&mut self, who: Who, at: ConnectionId) {
        if self.stall.is_none_or(|stall| stall.at != at) {
            let runtime = self.model.people[who].runtime.clone();
            let heard = self.sockets.hears(at, &runtime).await;
            let expected = self.model.expected.remove(&at);
            assert_eq!(heard, expected.unwrap_or_default(), "at {who}");
        }
    }

    /// Nobody else got anything, and the node counts what the model counts.
    async fn looks_around(&mut self) {
        for (who, session) in self.model.sessions.clone() {
            if let Some(at) = session.connection {
                self.compares_one(who, at).await;
            }
        }
        let gauges = self.sockets.hub.snapshot().gauges;
        let objects = || self.model.objects.values();
        let connected = |object: &model::Object| {
            let routes = object.routes.keys();
            routes
                .filter(|who| self.model.connection(**who).is_some())
                .count()
        };
        let parked = objects().map(|object| object.parked.len()).sum::<usize>();
        assert_eq!(gauges.routes, objects().map(connected).sum::<usize>());
        assert_eq!(gauges.parked, parked);
        let asked = &self.model.asked;
        assert_eq!(gauges.unanswered, asked.len(), "{asked:?}");
        assert_eq!(gauges.sessions, self.model.sessions.len());
    }

    /// The hub dropped what filled a queue: of the one object that did.
    fn notices_parking(&mut self) {
        if let Some(stall) = &mut self.stall
            && !stall.parked
            && self.sockets.is_parked(stall.at)
        {
            stall.parked = true;
            self.model.parks(stall.who, stall.at, stall.which);
        }
    }

    async fn ends_stall(&mut self) {
        let Some(stall) = self.stall.take() else {
            return;
        };
        self.notes(format!("{} takes frames again", stall.who));
        self.sockets.hub.unblock(stall.at);
        self.model.wakes(stall.who, stall.at);
        self.sockets.writes();
        self.compares().await;
    }

    /// Lets time pass, from one time-out to the next.
    async fn passes(&mut self, ms: u64) {
        let end = self.model.now + ms;
        self.notes(format!("{ms} ms pass"));
        loop {
            let due = self.sockets.hub.wake_at().map(|time| time.unix_ms());
            let next = due.filter(|due| *due <= end);
            let until = next.unwrap_or(end).max(self.model.now);
            advance(std::time::Duration::from_millis(until - self.model.now)).await;
            self.sockets.hub.timeout();
            self.sockets.writes();
            self.model.is_now(until);
            self.compares().await;
            if next.is_none() {
                return;
            }
        }
    }

    /// A session for `who`, and its hyperties used once: what nobody uses is nobody's.
    async fn opens(&mut self, who: Who) {
        let (before, runtime) = (
            self.model.connection(who),
            self.model.people[who].runtime.clone(),
        );
        let at = self.sockets.connects().await;
        let answer = self.proves(who, at, "open", &runtime).await;
        self.model.opens(who, at);
        self.settles_in(who, at, before, &answer).await;
    }

    async fn reopens(&mut self, who: Who) {
        let (before, runtime) = (
            self.model.connection(who),
            self.model.people[who].runtime.clone(),
        );
        let at = self.sockets.connects().await;
        let from = format!("{runtime}/{}", self.tokens[who]);
        let answer = self.proves(who, at, "re-open", &from).await;
        let goes_on = self.model.reopens(who, at);
        assert_eq!(answer["body"]["fresh"] != true, goes_on, "{answer}");
        self.settles_in(who, at, before, &answer).await;
    }

    async fn settles_in(
        &mut self,
        who: Who,
        at: ConnectionId,
        before: Option<ConnectionId>,
        answer: &Value,
    ) {
        assert_eq!(answer["body"]["code"], 200, "{answer}");
        self.tokens[who] = answer["body"]["runtimeToken"].as_str().unwrap().to_owned();
        if let Some(before) = before {
            self.closed(before).await;
        }
        let person = self.model.people[who].clone();
        for hyperty in &person.hyperties {
            self.sockets
                .says(at, "event", hyperty, &person.runtime, &json!({}));
        }
    }

    /// The hub has closed a connection: what it had to get before it got.
    async fn closed(&mut self, at: ConnectionId) {
        let expected = self.model.expected.remove(&at);
        assert_eq!(self.sockets.ends(at).await, expected.unwrap_or_default());
    }

    async fn proves(&mut self, who: Who, at: ConnectionId, kind: &str, from: &str) -> Value {
        let mut body = json!({});
        let key = self.keys[who].clone();
        if self.model.people[who].identity.is_some() {
            let nonce = [u8::try_from(who).unwrap(); 16];
            body["publicKey"] = json!(key.public().to_string());
            body["nonce"] = json!(byline_core::identity::encode_bytes(&nonce));
        }
        let id = self.sockets.says(at, kind, from, "mn:/session", &body);
        let answer = self.sockets.answer(at, id).await;
        let Some(challenge) = answer["body"]["challenge"].as_str() else {
            return answer;
        };
        let runtime = &self.model.people[who].runtime;
        body["signature"] = json!(key.prove("localhost", runtime, challenge));
        let id = self.sockets.says(at, kind, from, "mn:/session", &body);
        self.sockets.answer(at, id).await
    }
}
