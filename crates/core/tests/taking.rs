//! A node that takes child commits in the Reporter's place (protocol.md §9), by what it says and stores.

use byline_core::limits::{CHILDREN_OVER_MAX, STORED_SAID_MS};
use byline_core::node::Input;
use byline_core::object::Hash;
use byline_core::storage::Table;
use serde_json::{Value, json};

use crate::world::chat::CHAT;
use crate::world::kitchen::{KITCHEN, code};
use crate::world::{Client, World, of};

/// A Reporter of the kitchen, whose children the node keeps; one who writes there and one who reads. All say
/// everything themselves.
struct Kitchen {
    world: World,
    reporter: Client,
    author: Client,
    reader: Client,
    epoch: u64,
}

fn kept() -> Value {
    json!({"children": ["chat"], "cache": true})
}

impl Kitchen {
    /// The claim is answered, and the Reporter not yet.
    fn claimed(mut world: World, with: Value) -> Self {
        let (reporter, author, reader) = (world.client(1), world.client(2), world.client(3));
        let claimed = world.claims(&reporter, KITCHEN, with);
        assert_eq!(claimed["body"]["cache"], true, "{claimed}");
        assert!(claimed["body"].get("children").is_none(), "{claimed}");
        let epoch = claimed["body"]["epoch"].as_u64().unwrap();
        Self {
            world,
            reporter,
            author,
            reader,
            epoch,
        }
    }

    fn new(world: World) -> Self {
        Self::with(world, kept())
    }

    fn with(world: World, claim: Value) -> Self {
        let mut kitchen = Self::claimed(world, claim);
        kitchen.tells(json!({"chat": {"at": {}, "page": []}}));
        for client in [kitchen.author.clone(), kitchen.reader.clone()] {
            assert_eq!(code(&kitchen.subscribes(&client, json!({}))), 200);
        }
        kitchen
    }

    /// The Reporter answers what it was asked last: which children there are.
    fn tells(&mut self, children: Value) {
        let frames = self.world.frames(&self.reporter);
        let read = frames.into_iter().rfind(|frame| frame["type"] == "read");
        let read = read.expect("it was asked");
        let mut body = json!({"code": 200, "epoch": self.epoch, "position": [self.epoch, 0],
            "children": children});
        if read["body"].get("children").is_none() {
            body["value"] = json!({"url": KITCHEN, "data": {"n": 0}});
            body["childrenResources"] = json!(["chat"]);
        }
        let answer = json!({"id": read["id"], "type": "response", "from": read["to"],
            "to": read["from"], "body": body});
        self.world.says(&self.reporter.clone(), &answer.to_string());
    }

    fn last(&self, client: &Client) -> Value {
        self.world.frames(client).pop().unwrap()
    }

    fn subscribes(&mut self, client: &Client, have: Value) -> Value {
        let body = json!({"source": client.hyperty, "have": have});
        let to = format!("{KITCHEN}/subscription");
        self.world
            .asks(client, "subscribe", &client.hyperty, &to, body)
    }

    fn creation(&self, author: &Client, number: u64) -> Value {
        json!({"epoch": 1, "seq": number, "resource": format!("{}#{number}", author.hyperty),
            "created": self.world.now.rfc3339(), "value": {"text": number}})
    }

    fn commits(&mut self, author: &Client, kind: &str, body: Value) -> Value {
        self.world.asks(author, kind, &author.hyperty, CHAT, body)
    }

    /// A child is made, and that is safe.
    #[track_caller]
    fn creates(&mut self, author: &Client, number: u64) {
        let creation = self.creation(author, number);
        let answer = self.commits(author, "create", creation);
        assert_eq!(
            answer["body"],
            json!({"code": 200, "position": [1, number]})
        );
    }

    /// The numbers of the children that a client was told to be made.
    fn told(&self, client: &Client) -> Vec<u64> {
        let frames = self.world.frames(client).into_iter();
        let made = frames.filter(|frame| frame["type"] == "create" && frame["to"] == CHAT);
        made.map(|frame| frame["body"]["seq"].as_u64().unwrap())
            .collect()
    }

    fn chat(&mut self, with: Value) -> Value {
        let reader = self.reader.clone();
        let answer = self
            .world
            .asks(&reader, "read", &reader.hyperty, KITCHEN, with);
        assert_eq!(code(&answer), 200, "{answer}");
        answer["body"]["children"]["chat"].clone()
    }
}

#[test]
fn while_it_reads_the_children_nothing_is_taken_and_then_what_was_there_is_there() {
    let mut kitchen = Kitchen::claimed(World::new(), kept());
    let reporter = kitchen.reporter.clone();
    let creation = kitchen.creation(&reporter, 1);
    let refused = kitchen.commits(&reporter, "create", creation);
    assert_eq!(
        (code(&refused), of(&refused, "retry").as_str()),
        (503, "now")
    );
    let child = |n: u64| {
        json!({"resource": format!("hyperty://localhost/h#{n}"), "value": {},
            "created": "2026-11-21T10:00:00.000Z", "position": [1, 2], "origin": [1, n]})
    };
    let at = json!({"hyperty://localhost/h": [1, 2]});
    let next = json!(["2026-11-21T10:00:00.000Z", "hyperty://localhost/h#2"]);
    kitchen.tells(json!({"chat": {"at": at, "page": [child(2)], "next": next}}));
    let read = kitchen.last(&reporter);
    assert_eq!(
        read["body"]["children"],
        json!({"name": "chat", "after": next})
    );
    kitchen.tells(json!({"chat": {"page": [child(1)]}}));
    assert_eq!(kitchen.world.node.gauges().kept_children, 2);
    kitchen.creates(&reporter, 1);
    let reader = kitchen.reader.clone();
    let answer = kitchen.subscribes(&reader, json!({}));
    let page = answer["body"]["children"]["chat"]["page"]
        .as_array()
        .unwrap();
    assert_eq!(page.len(), 3, "{answer}");
}

#[test]
fn of_the_children_that_it_reads_it_knows_which_numbers_were_used_of_those_that_are_gone() {
    let mut kitchen = Kitchen::claimed(World::new(), kept());
    let author = kitchen.author.clone();
    let at = json!({author.hyperty.as_str(): [1, 9]});
    let numbers = json!({author.hyperty.as_str(): 5});
    kitchen.tells(json!({"chat": {"at": at, "numbers": numbers, "page": []}}));
    let answer = kitchen.subscribes(&author, json!({}));
    assert_eq!(answer["body"]["you"]["chat"]["number"], 5, "{answer}");
    assert_eq!(answer["body"]["children"]["chat"]["numbers"], numbers);
    for (number, expected) in [(5, 409), (6, 200)] {
        let mut creation = kitchen.creation(&author, number);
        creation["seq"] = json!(10);
        let answer = kitchen.commits(&author, "create", creation);
        assert_eq!(code(&answer), expected, "{answer}");
    }
}

#[test]
fn a_reporter_that_does_not_say_its_children_is_asked_again_when_somebody_writes() {
    let mut kitchen = Kitchen::claimed(World::new(), kept());
    let reporter = kitchen.reporter.clone();
    kitchen.tells(json!({"chat": {"page": "nonsense"}}));
    let creation = kitchen.creation(&reporter, 1);
    assert_eq!(code(&kitchen.commits(&reporter, "create", creation)), 503);
    kitchen.tells(json!({"chat": {"at": {}, "page": []}}));
    kitchen.creates(&reporter, 1);
}

#[test]
fn what_it_takes_every_reader_has_and_the_reporter_before_its_author_hears_so() {
    let mut kitchen = Kitchen::new(World::with_disk());
    let (reporter, author, reader) = (
        kitchen.reporter.clone(),
        kitchen.author.clone(),
        kitchen.reader.clone(),
    );
    kitchen.world.disk().waits = true;
    let creation = kitchen.creation(&author, 1);
    assert_eq!(
        kitchen.commits(&author, "create", creation.clone()),
        Value::Null
    );
    for client in [&reporter, &author, &reader] {
        assert_eq!(kitchen.told(client), [0; 0], "not before it is stored");
    }
    kitchen.world.stores();
    for client in [&reporter, &author, &reader] {
        assert_eq!(kitchen.told(client), [1]);
    }
    let commit = kitchen.last(&reader);
    assert_eq!(commit["body"]["identity"], author.identity().as_str());
    assert_eq!(
        kitchen.last(&author)["type"],
        "response",
        "after the commit"
    );
    assert_eq!(kitchen.world.disk().count(Table::Children), 1);
    let child = &kitchen.chat(json!({}))["page"][0];
    assert_eq!(child["identity"], author.identity().as_str());
    kitchen.world.disk().waits = false;
    // The same again: nothing is stored, readers have it again, and its author its answer.
    let batches = kitchen.world.disk().batches;
    assert_eq!(code(&kitchen.commits(&author, "create", creation)), 200);
    assert_eq!(
        (kitchen.told(&reader), kitchen.world.disk().batches),
        (vec![1, 1], batches)
    );
    // What the Reporter writes comes back to it, as to all.
    kitchen.creates(&reporter, 1);
    assert_eq!(kitchen.told(&reporter), [1, 1, 1]);
}

#[test]
fn it_judges_as_the_reporter_would_whether_that_is_there_or_not() {
    let mut kitchen = Kitchen::new(World::new());
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    kitchen.creates(&author, 1);
    kitchen.world.drops(&reporter);
    let third = kitchen.creation(&author, 3);
    let gap = kitchen.commits(&author, "create", third);
    assert_eq!((code(&gap), of(&gap, "reason").as_str()), (409, "gap"));
    assert_eq!(gap["body"]["position"], json!([1, 1]));
    let nobodys = json!({"epoch": 1, "seq": 2, "resource": format!("{}#9", author.hyperty)});
    assert_eq!(code(&kitchen.commits(&author, "delete", nobodys)), 404);
    let child = format!("{}#1", author.hyperty);
    let wrong =
        json!({"epoch": 1, "seq": 2, "resource": child, "attribute": "no.such", "value": 1});
    assert_eq!(code(&kitchen.commits(&author, "update", wrong)), 400);
    kitchen.creates(&author, 2);
    let (reporter, _) = kitchen.world.reopens(&reporter);
    let close = json!({"epoch": 1, "seq": 1, "closed": true});
    assert_eq!(
        code(&kitchen.commits(&author, "update", close.clone())),
        403
    );
    assert_eq!(code(&kitchen.commits(&reporter, "update", close)), 200);
    let third = kitchen.creation(&author, 3);
    assert_eq!(
        code(&kitchen.commits(&author, "create", third)),
        403,
        "closed"
    );
    assert_eq!(kitchen.chat(json!({}))["closed"], true);
}

#[test]
fn a_claim_says_how_many_are_kept_and_beyond_that_nobody_makes_more() {
    let claim = |keep: Value| json!({"children": ["chat"], "cache": true, "keep": keep});
    for bad in [
        json!({"votes": 7}),
        json!({"chat": 0}),
        json!({"chat": 100_001}),
    ] {
        let mut world = World::new();
        let client = world.client(1);
        assert_eq!(code(&world.claims(&client, KITCHEN, claim(bad))), 400);
    }
    let mut kitchen = Kitchen::with(World::with_disk(), claim(json!({"chat": 100_000})));
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    let mut fewer = claim(json!({"chat": 1}));
    fewer["base"] = json!([kitchen.epoch, 0]);
    kitchen.world.claims(&reporter, KITCHEN, fewer);
    let room = 1 + CHILDREN_OVER_MAX as u64;
    for number in 1..=room {
        let creation = kitchen.creation(&author, number);
        let frame = json!({"id": number, "type": "create", "from": author.hyperty, "to": CHAT,
            "body": creation});
        kitchen.world.says(&author, &frame.to_string());
    }
    assert_eq!(code(&kitchen.world.answer(&author, &json!(room))), 200);
    let one_more = kitchen.creation(&author, room + 1);
    assert_eq!(
        code(&kitchen.commits(&author, "create", one_more.clone())),
        429
    );
    kitchen.world.node_restarts();
    let mut author = author.at(kitchen.world.connects());
    author.token = of(
        &kitchen.world.opens(&author, "open", &author.runtime),
        "runtimeToken",
    );
    assert_eq!(code(&kitchen.subscribes(&author, json!({}))), 200);
    assert_eq!(
        code(&kitchen.commits(&author, "create", one_more)),
        429,
        "it rests"
    );
}

#[test]
fn a_claim_hears_what_is_here_and_only_one_that_begins_afresh_loses_it() {
    let mut kitchen = Kitchen::new(World::with_disk());
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    kitchen.creates(&author, 1);
    let hash = Hash::of(&json!({"chat": {author.hyperty.as_str(): [1, 1]}}));
    let again = |with: Value| {
        let mut claim = json!({"base": [kitchen.epoch, 0]});
        claim
            .as_object_mut()
            .unwrap()
            .extend(with.as_object().unwrap().clone());
        claim
    };
    // Also one that would not have anything kept.
    for claim in [again(kept()), again(json!({"children": ["chat"]}))] {
        let claimed = kitchen.world.claims(&reporter, KITCHEN, claim);
        assert_eq!(claimed["body"]["children"], json!(hash), "{claimed}");
        assert_eq!(claimed["body"]["cache"], true);
    }
    let more = json!({"children": ["votes", "chat"], "cache": true});
    let claimed = kitchen.world.claims(&reporter, KITCHEN, again(more));
    let both = json!({"chat": {author.hyperty.as_str(): [1, 1]}, "votes": {}});
    assert_eq!(claimed["body"]["children"], json!(Hash::of(&both)));
    let other = json!({"children": ["votes"], "cache": true});
    kitchen.world.claims(&reporter, KITCHEN, again(other));
    assert_eq!(kitchen.world.disk().count(Table::Children), 0);
    assert_eq!(
        kitchen.world.disk().count(Table::Collections),
        1,
        "the votes"
    );
    let afresh = json!({"children": ["votes"], "cache": true, "base": null});
    let claimed = kitchen.world.claims(&reporter, KITCHEN, afresh);
    assert!(claimed["body"].get("children").is_none(), "{claimed}");
    assert_eq!(kitchen.world.disk().count(Table::Collections), 0);
}

#[test]
fn a_deletion_leaves_no_child() {
    let mut kitchen = Kitchen::new(World::with_disk());
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    kitchen.creates(&author, 1);
    kitchen.world.deletes(&reporter, KITCHEN);
    for table in [Table::Children, Table::Collections] {
        assert_eq!(kitchen.world.disk().count(table), 0);
    }
    assert_eq!(kitchen.world.node.gauges().kept_bytes, 0);
    let creation = kitchen.creation(&author, 2);
    assert_eq!(code(&kitchen.commits(&author, "create", creation)), 410);
}

#[test]
fn who_lacks_some_of_a_name_asks_for_that_and_gets_the_commits() {
    let mut kitchen = Kitchen::new(World::new());
    let author = kitchen.author.clone();
    for number in 1..=3 {
        kitchen.creates(&author, number);
    }
    let name = json!({"name": "chat"});
    let have = |at: Value| json!({"chat": {author.hyperty.as_str(): at}});
    let here = json!({"children": name, "have": {"data": null, "children": have(json!([1, 1]))}});
    let answer = kitchen.chat(here);
    assert_eq!(answer["commits"].as_array().unwrap().len(), 2, "{answer}");
    let elsewhere =
        json!({"children": name, "have": {"data": null, "children": have(json!([7, 1]))}});
    let answer = kitchen.chat(elsewhere);
    assert_eq!(answer["page"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(answer["at"], json!({author.hyperty.as_str(): [1, 3]}));
}

#[test]
fn a_reporter_that_lets_itself_not_read_has_the_children_all_the_same() {
    let mine = World::new().client(1).identity();
    let claim = json!({"children": ["chat"], "cache": true,
        "access": {"public": true, "deny": [mine]}});
    let mut kitchen = Kitchen::with(World::new(), claim);
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    kitchen.creates(&author, 1);
    let wanted = json!({"children": {"name": "chat"}});
    let mut read = |from: &str| {
        kitchen
            .world
            .asks(&reporter, "read", from, KITCHEN, wanted.clone())
    };
    let answer = read(&reporter.hyperty);
    assert_eq!(code(&answer), 200, "{answer}");
    let page = answer["body"]["children"]["chat"]["page"].as_array();
    assert_eq!(page.unwrap().len(), 1, "{answer}");
    let other = read(&format!("{}/other", reporter.hyperty));
    assert_eq!(code(&other), 403, "another of its hyperties: {other}");
}

#[test]
fn heads_say_where_the_children_stand_whoever_makes_them() {
    let mut kitchen = Kitchen::new(World::with_disk());
    let (reporter, author, reader) = (
        kitchen.reporter.clone(),
        kitchen.author.clone(),
        kitchen.reader.clone(),
    );
    let expected = |seq: u64| {
        json!(Hash::of(
            &json!({"chat": {author.hyperty.as_str(): [1, seq]}})
        ))
    };
    kitchen.creates(&author, 1);
    let head = json!({"epoch": kitchen.epoch, "position": [kitchen.epoch, 0], "live": true,
        "reporter": reporter.hyperty, "hash": Hash::of(&json!({"n": 0}))});
    let frame = json!({"id": null, "type": "update", "from": KITCHEN,
        "to": format!("{KITCHEN}/changes"), "body": head});
    kitchen.world.says(&reporter, &frame.to_string());
    let passed = kitchen.last(&reader);
    assert_eq!(passed["body"]["children"], expected(1), "{passed}");
    assert_eq!(passed["body"]["hash"], head["hash"]);
    // Nothing but a child is written, and the Reporter says nothing of it.
    kitchen.creates(&author, 2);
    kitchen.world.passes(60_000);
    assert_eq!(kitchen.last(&reader)["body"]["children"], expected(2));
    kitchen.world.drops(&reporter);
    assert_eq!(kitchen.last(&reader)["body"]["children"], expected(2));
    assert_eq!(kitchen.last(&reader)["body"]["live"], false);
}

#[test]
fn a_reporter_too_slow_for_what_others_write_is_woken_as_a_reader_is() {
    let mut kitchen = Kitchen::new(World::new());
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    kitchen.creates(&author, 1);
    kitchen.world.parks(reporter.connection, KITCHEN);
    kitchen.creates(&author, 2);
    assert_eq!(kitchen.told(&reporter), [1]);
    kitchen.world.node_says(Input::Drained(reporter.connection));
    let head = kitchen.last(&reporter);
    assert_eq!(head["body"]["missed"], true, "{head}");
    kitchen.creates(&author, 3);
    assert_eq!(kitchen.told(&reporter), [1, 3]);
}

#[test]
fn whom_the_reporter_lets_in_gets_what_the_node_has() {
    let mut claim = kept();
    claim["access"] = json!({"public": false});
    let mut kitchen = Kitchen::claimed(World::new(), claim);
    kitchen.tells(json!({"chat": {"at": {}, "page": []}}));
    let (reporter, reader) = (kitchen.reporter.clone(), kitchen.reader.clone());
    kitchen.creates(&reporter, 1);
    assert_eq!(kitchen.subscribes(&reader, json!({})), Value::Null);
    let asked = kitchen.last(&reporter);
    assert_eq!(asked["type"], "subscribe");
    let body = json!({"code": 200, "epoch": kitchen.epoch, "position": [kitchen.epoch, 0],
        "value": {"url": KITCHEN, "data": {"n": 0}}, "childrenResources": ["chat"],
        "children": {"chat": {"at": {}, "page": []}}});
    let answer = json!({"id": asked["id"], "type": "response", "from": asked["to"],
        "to": asked["from"], "body": body});
    kitchen.world.says(&reporter, &answer.to_string());
    let answer = kitchen.last(&reader);
    let page = answer["body"]["children"]["chat"]["page"]
        .as_array()
        .unwrap();
    assert_eq!(page.len(), 1, "{answer}");
    kitchen.creates(&reporter, 2);
    assert_eq!(kitchen.told(&reader), [2]);
}

#[test]
fn who_waits_for_a_reporter_with_long_positions_has_them_counted() {
    let mut claim = kept();
    claim["access"] = json!({"public": false});
    let mut kitchen = Kitchen::claimed(World::new(), claim);
    let reader = kitchen.reader.clone();
    let position = |n: usize| (format!("hyperty://localhost/{n:0>900}"), json!([1, 1]));
    let authors: serde_json::Map<_, _> = (0..400).map(position).collect();
    let have = json!({"data": null, "children": {"chat": authors}});
    for _ in 0..2 {
        assert_eq!(kitchen.subscribes(&reader, have.clone()), Value::Null);
    }
    assert_eq!(code(&kitchen.subscribes(&reader, have)), 429);
    assert_eq!(
        kitchen.subscribes(&reader, json!({})),
        Value::Null,
        "a small one"
    );
}

#[test]
fn children_count_as_content_and_are_never_dropped_for_other_content() {
    let mut world = World::new();
    world.node.keep_content(100_000);
    let mut kitchen = Kitchen::new(world);
    let author = kitchen.author.clone();
    let creation = |kitchen: &Kitchen, number: u64| {
        let mut creation = kitchen.creation(&author, number);
        creation["value"] = json!({"pad": "x".repeat(20_000)});
        creation
    };
    let mut taken = 0;
    let refused = loop {
        assert!(taken <= 5, "it is never full");
        let one_more = creation(&kitchen, taken + 1);
        let answer = kitchen.commits(&author, "create", one_more);
        if code(&answer) != 200 {
            break answer;
        }
        taken += 1;
    };
    assert_eq!(code(&refused), 429, "{refused}");
    assert!(taken >= 3, "{taken}");
    let known = creation(&kitchen, taken);
    assert_eq!(code(&kitchen.commits(&author, "create", known)), 200);
    // No other object's children are taken in hand now.
    let other = kitchen.world.client(7);
    let claim = kept();
    let claimed = kitchen.world.claims(&other, "ctxt://localhost/hall", claim);
    assert_eq!(claimed["body"]["cache"], false, "{claimed}");
    let resource = format!("{}#1", author.hyperty);
    let deletion = json!({"epoch": 1, "seq": taken + 1, "resource": resource});
    assert_eq!(code(&kitchen.commits(&author, "delete", deletion)), 200);
    assert_eq!(kitchen.world.node.gauges().kept_children as u64, taken - 1);
    // And what the object holds beside them is served without its Reporter.
    kitchen.world.drops(&kitchen.reporter.clone());
    assert_ne!(kitchen.chat(json!({})), Value::Null);
}

#[test]
fn a_head_about_what_is_stored_tells_the_reporter_no_more_than_it_has() {
    let mut kitchen = Kitchen::new(World::with_disk());
    let (reporter, author) = (kitchen.reporter.clone(), kitchen.author.clone());
    kitchen.creates(&author, 1);
    let epoch = kitchen.epoch;
    kitchen
        .world
        .commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    kitchen.world.passes(STORED_SAID_MS);
    let frames = kitchen.world.frames(&reporter);
    let stored = frames
        .iter()
        .rev()
        .find(|frame| frame["body"]["stored"] == 1)
        .unwrap();
    let hash = Hash::of(&json!({"chat": {author.hyperty.as_str(): [1, 1]}}));
    assert_eq!(stored["body"]["children"], json!(hash));
}
