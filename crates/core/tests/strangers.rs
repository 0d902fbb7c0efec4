//! A stranger who knows the address of a private object, and one who asks for more than there is: they
//! learn nothing, and the others do not notice.

use std::collections::BTreeSet;

use byline_core::limits::{GRACE_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX};
use serde_json::{Value, json};

use crate::world::chat::{CHAT, chat};
use crate::world::kitchen::{KITCHEN, answers, code};
use crate::world::{Client, World, of, sm};

/// What nobody hears of who may not read.
const SECRETS: [&str; 7] = [
    "plum", "quince", "medlar", "sloe", "damson", "bullace", "bramble",
];
const TYPES: [&str; 12] = [
    "subscribe",
    "unsubscribe",
    "read",
    "update",
    "create",
    "delete",
    "execute",
    "event",
    "open",
    "re-open",
    "ping",
    "paint",
];

/// A private object in which every word that may be secret is.
struct Orchard {
    world: World,
    reporter: Client,
    reader: Client,
    stranger: Client,
    epoch: u64,
    version: u64,
    seq: u64,
    /// Frames of the Reporter's inbox that it has seen, and requests of the stranger.
    answered: usize,
    asked: u64,
}

impl Orchard {
    fn new() -> Self {
        let mut world = World::new();
        let (mut reporter, mut reader) = (world.client(1), world.client(2));
        reporter.hyperty = format!("{}/bramble", reporter.hyperty);
        reader.hyperty = format!("{}/damson", reader.hyperty);
        let access = json!({"authorise": [reader.hyperty, "user-guid://bullace"]});
        let claim =
            json!({"access": access, "name": "plum", "schema": "quince", "children": ["sloe"]});
        let claimed = world.claims(&reporter, KITCHEN, claim);
        let epoch = claimed["body"]["epoch"].as_u64().unwrap();
        let mut orchard = Self {
            stranger: world.client(7),
            world,
            reporter,
            reader,
            epoch,
            version: 0,
            seq: 0,
            answered: 0,
            asked: 0,
        };
        let reader = orchard.reader.clone();
        orchard.world.subscribes_raw(&reader, KITCHEN);
        orchard.decides();
        assert_eq!(orchard.world.node.gauges().routes, 1);
        orchard
    }

    /// The Reporter answers what it was sent since: its reader, and nobody else.
    fn decides(&mut self) {
        let inbox = self.world.inboxes.get(&self.reporter.connection);
        let new = inbox.map_or(&[][..], |inbox| &inbox[self.answered..]);
        let new: Vec<Value> = new
            .iter()
            .map(|frame| serde_json::from_str(frame).unwrap())
            .collect();
        self.answered += new.len();
        for asked in new {
            if asked["type"] != "subscribe" && asked["type"] != "read" {
                continue;
            }
            if asked["from"] == self.reader.hyperty {
                answers(&mut self.world, &self.reporter, &asked, (self.epoch, 0));
                continue;
            }
            let no = json!({"id": asked["id"], "type": "response", "from": asked["to"],
                "to": asked["from"], "body": {"code": 403, "desc": "not open to you"}});
            self.world.says(&self.reporter.clone(), &no.to_string());
        }
    }

    /// Everything that readers get is said once.
    fn lives(&mut self) {
        let (reporter, reader) = (self.reporter.clone(), self.reader.clone());
        self.version += 1;
        self.seq += 1;
        let commit = json!({"epoch": self.epoch, "version": self.version, "attribute": "n", "value": "medlar"});
        self.world.asks(
            &reporter,
            "update",
            KITCHEN,
            &format!("{KITCHEN}/changes"),
            commit,
        );
        let child = json!({"epoch": 1, "seq": self.seq, "created": self.world.now.rfc3339(),
            "resource": format!("{}#{}", reporter.hyperty, self.seq), "value": {"text": "medlar"}});
        let to = format!("{KITCHEN}/children/sloe");
        let answer = self
            .world
            .asks(&reporter, "create", &reporter.hyperty, &to, child);
        assert_eq!(code(&answer), 200, "{answer}");
        self.world.asks(
            &reader,
            "event",
            &reader.hyperty,
            &to,
            json!({"value": "medlar"}),
        );
    }

    /// The stranger says everything that there is to say.
    fn tries_everything(&mut self) {
        let (stranger, epoch) = (self.stranger.clone(), self.epoch);
        let resources = [
            KITCHEN.to_owned(),
            format!("{KITCHEN}/subscription"),
            format!("{KITCHEN}/changes"),
            format!("{KITCHEN}/registration"),
            format!("{KITCHEN}/children/"),
            format!("{KITCHEN}/children/guess"),
            format!("{KITCHEN}/children/guess/more"),
            sm(),
        ];
        let froms = [
            stranger.hyperty.clone(),
            stranger.runtime.clone(),
            KITCHEN.to_owned(),
            format!("{KITCHEN}/subscription"),
        ];
        let bodies = bodies(&stranger, epoch);
        for (kind, to) in pairs(&TYPES, &resources) {
            for (from, body) in pairs(&froms, &bodies) {
                self.asked += 1;
                let frame = json!({"id": self.asked, "type": kind, "from": from, "to": to,
                    "body": body});
                self.world.says(&stranger, &frame.to_string());
                self.decides();
            }
        }
    }
}

fn pairs<'a, A, B>(all: &'a [A], with: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    all.iter()
        .flat_map(move |one| with.iter().map(move |other| (one, other)))
}

/// What may be said about the kitchen.
fn bodies(stranger: &Client, epoch: u64) -> Vec<Value> {
    let own = &stranger.hyperty;
    let mut bodies = vec![
        json!({}),
        json!({"source": own, "have": {"data": [epoch, 0]}}),
        json!({"source": own, "hold": true}),
        json!({"source": own, "children": {"name": "guess"}, "granted": true}),
        json!({"objects": {KITCHEN: null}, "source": own}),
        json!({"epoch": epoch, "version": 1, "attribute": "n", "value": 1}),
        json!({"epoch": 1, "seq": 1, "resource": format!("{own}#1"), "created": "2023-11-14T22:13:21Z", "value": {}}),
        json!({"epoch": 1, "seq": 1, "of": {"x#1": [1, 1]}}),
        json!({"epoch": 1, "seq": 1, "closed": true}),
        json!({"method": "open", "params": []}),
    ];
    for claim in [
        json!({}),
        json!({"take": true}),
        json!({"base": null, "take": true}),
        json!({"base": [epoch, 0], "snapshot": true}),
    ] {
        let mut claim = claim;
        claim["url"] = json!(KITCHEN);
        claim["reporter"] = json!(own);
        let resources = json!([KITCHEN, format!("{KITCHEN}/subscription")]);
        bodies.push(json!({"resources": resources, "source": own, "claim": claim}));
    }
    for (method, more) in [
        ("kick", json!(own)),
        ("allow", json!(own)),
        ("access", json!({"public": true})),
        ("superseded", json!(9)),
        ("observers", Value::Null),
        ("observers", json!(own)),
        ("presence", json!({"count": 1})),
    ] {
        bodies.push(json!({"method": method, "params": [KITCHEN, more]}));
    }
    bodies
}

#[test]
fn a_stranger_who_knows_the_address_of_a_private_object_learns_no_word_of_it() {
    let mut orchard = Orchard::new();
    let heard = |orchard: &Orchard, who: &Client| orchard.world.inboxes[&who.connection].clone();
    for moment in ["live", "away", "gone", "claimed again", "deleted"] {
        match moment {
            "away" => orchard.world.drops(&orchard.reporter.clone()),
            "gone" => orchard.world.passes(GRACE_MS),
            "claimed again" => {
                let device = orchard.world.client(1);
                let base = json!([orchard.epoch, orchard.version]);
                let claim = json!({"base": base, "children": ["sloe"]});
                let claimed = orchard.world.claims(&device, KITCHEN, claim);
                orchard.epoch = claimed["body"]["epoch"].as_u64().unwrap();
                orchard.reporter = device;
                orchard.answered = 0;
            }
            "deleted" => {
                orchard.world.deletes(&orchard.reporter.clone(), KITCHEN);
            }
            _ => orchard.lives(),
        }
        orchard.tries_everything();
        orchard.world.passes(UNANSWERED_MS);
        let all = heard(&orchard, &orchard.stranger);
        for frame in &all {
            let told = SECRETS.iter().find(|secret| frame.contains(**secret));
            assert_eq!(told, None, "{moment}: {frame}");
        }
    }
    // Readers do hear those words: they are there to be heard.
    let theirs = heard(&orchard, &orchard.reader).concat();
    assert!(theirs.contains("medlar") && theirs.contains("sloe"));
    // Nothing but answers, and of those nothing but refusals, and the plain 200 of `unsubscribe`.
    let opening = 2;
    let frames = orchard.world.frames(&orchard.stranger).split_off(opening);
    let plain = json!({"code": 200});
    let bad = frames.iter().find(|frame| {
        let refused =
            code(frame) >= 400 || matches!(code(frame), 102 | 207) || frame["body"] == plain;
        frame["type"] != "response" || !refused
    });
    assert_eq!(bad, None);
    let codes: BTreeSet<u64> = frames.iter().map(code).collect();
    assert_eq!(
        codes,
        BTreeSet::from([102, 200, 207, 400, 403, 404, 409, 410, 503]),
        "tried indeed"
    );
    orchard.world.assert_all_answered();
}

#[test]
fn ten_thousand_requests_of_one_session_are_answered_and_another_is_served() {
    let mut chat = chat();
    let (loud, other) = (chat.author.clone(), chat.reader.clone());
    let reporter = chat.reporter.clone();
    let before = chat.world.counts(&reporter, "subscribe");
    for n in 0..10_000_u64 {
        let (kind, to, body) = match n % 2 {
            0 => ("create", CHAT.to_owned(), chat.creation(&loud, n + 1)),
            _ => ("subscribe", format!("{KITCHEN}/subscription"), json!({})),
        };
        let frame = json!({"id": n, "type": kind, "from": loud.hyperty, "to": to, "body": body});
        chat.world.says(&loud, &frame.to_string());
    }
    let answers = chat.world.frames(&loud);
    let refused = answers.iter().filter(|answer| code(answer) == 429).count();
    let forwarded = chat.asked().len() + chat.world.counts(&reporter, "subscribe") - before;
    assert_eq!(forwarded, UNANSWERED_PER_ASKER_MAX);
    assert_eq!(refused, 10_000 - UNANSWERED_PER_ASKER_MAX);
    // The other's commit is taken while the loud one's are not answered.
    assert_eq!(
        chat.commits(&other, "create", chat.creation(&other, 1)),
        Value::Null
    );
    let asked = chat.asked().pop().unwrap();
    chat.takes(&asked);
    assert_eq!(of(&chat.world.frames(&other).pop().unwrap(), "desc"), "");
    assert_eq!(code(&chat.world.answer(&other, &asked["id"])), 200);
    let heard = chat.world.frames(&loud);
    let heard = heard.iter().filter(|frame| frame["to"] == CHAT).count();
    assert_eq!(heard, 1, "as a reader");
    chat.world.passes(UNANSWERED_MS);
    assert_eq!(chat.world.node.gauges().unanswered, 0);
    chat.world.assert_all_answered();
}
