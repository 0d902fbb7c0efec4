//! A Reporter whose node takes the children: it follows them as a reader does, and writes as an author does. The node
//! of these tests says what the test has it say.

use std::collections::BTreeMap;

use byline_core::children::{Child, ChildChangeKind, ChildrenChanged};
use byline_core::identity::Key;
use byline_core::message::body::Access;
use byline_core::object::Hash;
use byline_core::runtime::{Create, Input, Output, Runtime, Seat};
use byline_core::stream::Origin;
use byline_core::time::Time;
use serde_json::{Value, json};

const URL: &str = "ctxt://localhost/room";
const AUTHOR: &str = "hyperty://localhost/author";

/// A runtime with one room, and the node that it talks with.
struct Scene {
    runtime: Runtime,
    now: Time,
    seat: Seat,
    /// What was sent to the node, and not looked at.
    sent: Vec<Value>,
    steps: Vec<ChildrenChanged>,
    done: BTreeMap<u64, Result<(), u16>>,
}

impl Scene {
    /// A Reporter whose claim is under way.
    fn new(keep: usize) -> Self {
        let now = Time::from_unix_ms(1_700_000_000_000);
        let key = Key::from_bytes(&[1; 32]);
        let mut runtime = Runtime::new("localhost", key, [2; 32]);
        let hyperty = runtime.hyperty("reporter").unwrap();
        let create = Create {
            schema: "Context".into(),
            data: json!({}),
            url: Some(URL.parse().unwrap()),
            access: Access {
                public: true,
                ..Access::default()
            },
            children: [("chat".to_owned(), keep)].into(),
            ..Create::default()
        };
        let seat = runtime.create(&hyperty, create, now).unwrap();
        let mut scene = Self {
            runtime,
            now,
            seat,
            sent: vec![],
            steps: vec![],
            done: BTreeMap::new(),
        };
        scene.drains();
        scene.connects(json!({}));
        scene
    }

    /// A Reporter whose node takes the children, and has none.
    fn live(keep: usize) -> Self {
        let mut scene = Self::new(keep);
        scene.claimed(true, None);
        scene
    }

    fn connects(&mut self, says: Value) {
        self.runtime.handle(Input::Connected, self.now);
        self.drains();
        let open = self.sent.pop().unwrap();
        assert!(of(&open, "type").ends_with("open"), "{open}");
        let mut body = json!({"code": 200, "runtimeToken": "t"});
        body.as_object_mut()
            .unwrap()
            .extend(says.as_object().unwrap().clone());
        self.answers(&open, body);
    }

    fn reconnects(&mut self) {
        self.runtime.handle(Input::Disconnected(None), self.now);
        self.drains();
        self.sent.clear();
        self.connects(json!({"claims": {URL: [7, 0]}}));
    }

    fn claimed(&mut self, cache: bool, children: Option<Value>) {
        let claim = self.asked("subscribe");
        let mut body = json!({"code": 200, "epoch": 7, "position": [7, 0], "cache": cache,
            "access": {"public": true}});
        if let Some(positions) = children {
            body["children"] = json!(Hash::of(&positions));
        }
        self.answers(&claim, body);
    }

    fn drains(&mut self) {
        while let Some(output) = self.runtime.poll_output(self.now) {
            match output {
                Output::Send(frame) => self.sent.push(serde_json::from_str(&frame).unwrap()),
                Output::Children(_, _, step) => self.steps.push(step),
                Output::Done(call, result) => {
                    self.done
                        .insert(call, result.map_err(|refusal| refusal.code));
                }
                _ => {}
            }
        }
    }

    /// The first frame of this type that was sent and not looked at.
    #[track_caller]
    fn asked(&mut self, kind: &str) -> Value {
        let found = self.sent.iter().position(|frame| frame["type"] == kind);
        let found = found.unwrap_or_else(|| panic!("no `{kind}` in {:?}", self.sent));
        self.sent.remove(found)
    }

    /// Nothing more is asked of the node.
    #[track_caller]
    fn assert_asks_nothing(&self) {
        let asked: Vec<_> = self
            .sent
            .iter()
            .filter(|frame| !frame["id"].is_null())
            .collect();
        assert!(asked.is_empty(), "{asked:?}");
    }

    fn says(&mut self, frame: &Value) {
        let frame = frame.to_string();
        self.runtime.handle(Input::Received(&frame), self.now);
        self.drains();
    }

    fn answers(&mut self, asked: &Value, body: Value) {
        self.says(
            &json!({"id": asked["id"], "type": "response", "from": asked["to"],
            "to": asked["from"], "body": body}),
        );
    }

    /// A commit that the node has taken, as everybody gets it.
    fn publishes(&mut self, kind: &str, from: &str, body: Value) {
        self.says(&json!({"id": null, "type": kind, "from": from,
            "to": format!("{URL}/children/chat"), "body": body}));
    }

    /// The author makes child `n`, with its commit `seq`.
    fn author_creates(&mut self, n: u64, seq: u64) {
        self.publishes("create", AUTHOR, creation(n, seq));
    }

    /// The author asks this Reporter to take child `n`.
    fn author_asks(&mut self, n: u64, seq: u64) {
        let mut body = creation(n, seq);
        body["identity"] = json!("user-guid://author");
        self.says(&json!({"id": 5, "type": "create", "from": AUTHOR,
            "to": format!("{URL}/children/chat"), "body": body}));
    }

    /// The node has taken what was asked, says so to everybody and then to who asked.
    fn takes(&mut self, asked: &Value) {
        let (kind, from) = (of(asked, "type"), of(asked, "from"));
        self.publishes(&kind, &from, asked["body"].clone());
        let position = json!([asked["body"]["epoch"], asked["body"]["seq"]]);
        self.answers(asked, json!({"code": 200, "position": position}));
    }

    fn says_head(&mut self, with: Value) {
        let mut body = json!({"epoch": 7, "position": [7, 0], "reporter": self.seat.hyperty,
            "live": true});
        body.as_object_mut()
            .unwrap()
            .extend(with.as_object().unwrap().clone());
        self.says(&json!({"id": null, "type": "update", "from": URL,
            "to": format!("{URL}/changes"), "body": body}));
    }

    fn waits(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.runtime.handle(Input::Timeout, self.now);
        self.drains();
    }

    fn writes(&mut self, text: &str) -> u64 {
        let value = json!({ "text": text });
        let written = self
            .runtime
            .create_child(&self.seat, "chat", value, self.now);
        self.drains();
        written.unwrap().1
    }

    fn texts(&self) -> Vec<String> {
        let chat = self.runtime.children(&self.seat, "chat").unwrap();
        let text = |child: &Child| child.value["text"].as_str().unwrap().to_owned();
        chat.iter().map(|(_, child)| text(child)).collect()
    }

    /// Where the streams stand here.
    fn positions(&self) -> Value {
        let chat = self.runtime.children(&self.seat, "chat").unwrap();
        let positions: BTreeMap<_, _> = chat.positions().collect();
        json!({ "chat": positions })
    }
}

fn of(frame: &Value, field: &str) -> String {
    frame[field].as_str().unwrap().to_owned()
}

fn time(n: u64) -> String {
    Time::from_unix_ms(1_700_000_000_000 + n).rfc3339()
}

fn creation(n: u64, seq: u64) -> Value {
    json!({"resource": format!("{AUTHOR}#{n}"), "epoch": 1, "seq": seq, "created": time(n),
        "value": {"text": n.to_string()}})
}

/// Child `n` of the author's as it stands on a page.
fn paged(n: u64, seq: u64) -> Value {
    json!({"resource": format!("{AUTHOR}#{n}"), "created": time(n), "position": [1, seq],
        "origin": [1, seq], "value": {"text": n.to_string()}})
}

fn page(name: Value) -> Value {
    json!({"code": 200, "epoch": 7, "position": [7, 0], "children": {"chat": name}})
}

#[test]
fn what_a_reporter_writes_is_in_the_collection_when_the_node_has_taken_it() {
    let mut scene = Scene::live(100);
    let call = scene.writes("mine");
    assert_eq!(scene.texts(), [""; 0], "it is the node that takes it");
    let asked = scene.asked("create");
    scene.takes(&asked);
    assert_eq!(scene.texts(), ["mine"]);
    assert_eq!(scene.done[&call], Ok(()));
    assert_eq!(scene.steps.len(), 1);
}

#[test]
fn a_reporter_makes_and_deletes_a_child_before_either_is_answered() {
    let mut scene = Scene::live(100);
    scene.writes("mine");
    let id = format!("{}#1", scene.seat.hyperty).parse().unwrap();
    let call = scene
        .runtime
        .delete_child(&scene.seat, "chat", &id, scene.now)
        .unwrap();
    scene.drains();
    let (made, deleted) = (scene.asked("create"), scene.asked("delete"));
    scene.takes(&made);
    scene.takes(&deleted);
    assert_eq!(scene.texts(), [""; 0]);
    assert_eq!(scene.done[&call], Ok(()));
}

#[test]
fn what_a_reporter_wrote_where_it_does_not_follow_is_written_again_in_a_new_epoch() {
    let mut scene = Scene::live(100);
    let call = scene.writes("mine");
    let first = scene.asked("create");
    let gap =
        json!({"code": 409, "desc": "a gap", "reason": "gap", "position": [3, 9], "retry": "now"});
    scene.answers(&first, gap);
    scene.waits(1_000);
    let again = scene.asked("create");
    assert_eq!(again["body"]["base"], json!([3, 9]));
    assert!(again["body"]["epoch"].as_u64() > first["body"]["epoch"].as_u64());
    scene.answers(&again, json!({"code": 413, "desc": "too much"}));
    assert_eq!(scene.done[&call], Err(413), "as it is with any author");
}

#[test]
fn the_oldest_leave_by_a_commit_that_is_said_once() {
    let mut scene = Scene::live(2);
    for n in 1..=5 {
        scene.author_creates(n, n);
    }
    let moderation = scene.asked("delete");
    assert_eq!(
        moderation["body"]["of"],
        json!({format!("{AUTHOR}#1"): [1, 1]})
    );
    scene.assert_asks_nothing();
    scene.takes(&moderation);
    let next = scene.asked("delete");
    assert_eq!(
        next["body"]["of"],
        json!({format!("{AUTHOR}#2"): [1, 2], format!("{AUTHOR}#3"): [1, 3]})
    );
    scene.takes(&next);
    assert_eq!(scene.texts(), ["4", "5"]);
}

#[test]
fn what_is_being_deleted_is_not_counted_among_what_is_more_than_is_kept() {
    let mut scene = Scene::live(2);
    scene.author_creates(1, 1);
    scene.author_creates(2, 2);
    let newest = format!("{AUTHOR}#2").parse().unwrap();
    let deletion = scene
        .runtime
        .delete_child(&scene.seat, "chat", &newest, scene.now);
    scene.drains();
    let deletion = (deletion.unwrap(), scene.asked("delete"));
    scene.author_creates(3, 3);
    scene.assert_asks_nothing();
    scene.takes(&deletion.1);
    assert_eq!(scene.done[&deletion.0], Ok(()));
    assert_eq!(scene.texts(), ["1", "3"]);
    scene.assert_asks_nothing();
}

#[test]
fn nothing_leaves_before_it_is_known_what_has_left_already() {
    let mut scene = Scene::live(2);
    for n in 1..=2 {
        scene.author_creates(n, n);
    }
    scene.says_head(json!({"missed": true}));
    let read = scene.asked("read");
    scene.author_creates(3, 3);
    scene.assert_asks_nothing();
    let deletion = json!({"type": "delete", "from": AUTHOR,
        "body": {"resource": format!("{AUTHOR}#2"), "epoch": 1, "seq": 4}});
    scene.answers(&read, page(json!({ "commits": [deletion] })));
    assert_eq!(scene.texts(), ["1", "3"]);
    scene.assert_asks_nothing();
}

#[test]
fn what_is_missing_before_a_commit_is_read_and_is_one_step() {
    let mut scene = Scene::live(100);
    scene.author_creates(1, 1);
    scene.author_creates(4, 4);
    scene.author_creates(5, 5);
    let read = scene.asked("read");
    assert_eq!(read["body"]["children"], json!({"name": "chat"}));
    assert_eq!(
        read["body"]["have"]["children"],
        json!({"chat": {AUTHOR: [1, 1]}})
    );
    scene.assert_asks_nothing();
    let commit = |n: u64| json!({"type": "create", "from": AUTHOR, "body": creation(n, n)});
    let commits: Vec<_> = (2..=5).map(commit).collect();
    scene.answers(&read, page(json!({ "commits": commits })));
    assert_eq!(scene.texts(), ["1", "2", "3", "4", "5"]);
    let step = scene.steps.last().unwrap();
    assert_eq!(
        (step.number, step.origin, step.changes.len()),
        (2, Origin::CatchUp, 4)
    );
    scene.author_creates(6, 6);
    assert_eq!(scene.texts().len(), 6);
    scene.assert_asks_nothing();
}

#[test]
fn a_claim_that_finds_other_children_reads_them_page_by_page_as_one_step() {
    let mut scene = Scene::new(100);
    scene.claimed(true, Some(json!({"chat": {AUTHOR: [1, 3]}})));
    let read = scene.asked("read");
    let next = json!([time(3), format!("{AUTHOR}#3")]);
    scene.answers(
        &read,
        page(json!({"at": {AUTHOR: [1, 3]}, "page": [paged(3, 3)], "next": next})),
    );
    let read = scene.asked("read");
    assert_eq!(
        read["body"]["children"],
        json!({"name": "chat", "after": next})
    );
    scene.author_creates(4, 4);
    assert_eq!(
        scene.texts(),
        [""; 0],
        "it belongs to what is still to come"
    );
    scene.answers(&read, page(json!({"page": [paged(2, 2), paged(1, 1)]})));
    assert_eq!(scene.texts(), ["1", "2", "3", "4"]);
    assert_eq!(scene.steps.len(), 1);
    let added = |kind: &ChildChangeKind| matches!(kind, ChildChangeKind::Added(_));
    assert!(scene.steps[0].changes.iter().all(|one| added(&one.kind)));
}

#[test]
fn more_than_are_kept_leave_also_when_they_came_while_it_was_away() {
    let mut scene = Scene::new(2);
    scene.claimed(true, Some(json!({"chat": {AUTHOR: [1, 5]}})));
    let read = scene.asked("read");
    let all: Vec<_> = (1..=5).rev().map(|n| paged(n, n)).collect();
    scene.answers(&read, page(json!({"at": {AUTHOR: [1, 5]}, "page": all})));
    let moderation = scene.asked("delete");
    let oldest = (1..=3).map(|n| (format!("{AUTHOR}#{n}"), json!([1, n])));
    assert_eq!(moderation["body"]["of"], Value::from_iter(oldest));
    scene.takes(&moderation);
    assert_eq!(scene.texts(), ["4", "5"]);
}

#[test]
fn a_reporter_that_finds_children_of_its_own_uses_none_of_their_numbers() {
    let mut scene = Scene::new(100);
    let own = scene.seat.hyperty.to_string();
    let mut child = paged(5, 5);
    child["resource"] = json!(format!("{own}#5"));
    scene.claimed(true, Some(json!({"chat": {own.as_str(): [1, 5]}})));
    let read = scene.asked("read");
    scene.answers(&read, page(json!({"at": {own: [1, 5]}, "page": [child]})));
    scene.writes("mine");
    let resource = of(&scene.asked("create")["body"], "resource");
    assert_eq!(resource, format!("{}#6", scene.seat.hyperty));
}

#[test]
fn a_commit_that_misses_one_while_pages_come_has_them_read_anew() {
    let mut scene = Scene::new(100);
    scene.claimed(true, Some(json!({"chat": {AUTHOR: [1, 2]}})));
    let first = scene.asked("read");
    let next = json!([time(2), format!("{AUTHOR}#2")]);
    let half = json!({"at": {AUTHOR: [1, 2]}, "page": [paged(2, 2)], "next": next});
    scene.answers(&first, page(half));
    let second = scene.asked("read");
    scene.author_creates(4, 4);
    let anew = scene.asked("read");
    assert_eq!(anew["body"]["children"], json!({"name": "chat"}));
    scene.answers(&second, page(json!({"page": [paged(1, 1)]})));
    assert_eq!(scene.texts(), [""; 0], "nobody waits for that any more");
    let all: Vec<_> = (1..=4).rev().map(|n| paged(n, n)).collect();
    scene.answers(&anew, page(json!({"at": {AUTHOR: [1, 4]}, "page": all})));
    assert_eq!(scene.texts(), ["1", "2", "3", "4"]);
}

#[test]
fn what_cannot_be_read_now_is_asked_for_later() {
    let mut scene = Scene::new(100);
    scene.claimed(true, Some(json!({"chat": {AUTHOR: [1, 1]}})));
    let read = scene.asked("read");
    scene.answers(&read, json!({"code": 503, "desc": "not now", "retry": 2}));
    scene.author_creates(2, 2);
    scene.assert_asks_nothing();
    scene.waits(3_000);
    let read = scene.asked("read");
    scene.answers(
        &read,
        page(json!({"at": {AUTHOR: [1, 2]}, "page": [paged(1, 1), paged(2, 2)]})),
    );
    assert_eq!(scene.texts(), ["1", "2"]);
}

#[test]
fn a_claim_that_finds_the_same_children_reads_nothing_and_a_session_that_goes_on_asks() {
    let mut scene = Scene::live(100);
    scene.author_creates(1, 1);
    scene.reconnects();
    let read = scene.asked("read");
    assert_eq!(
        read["body"]["have"]["children"],
        json!({"chat": {AUTHOR: [1, 1]}})
    );
    scene.answers(&read, page(json!({"commits": []})));
    assert_eq!(scene.steps.len(), 1, "nothing has changed");
    scene.runtime.handle(Input::Disconnected(None), scene.now);
    scene.drains();
    scene.connects(json!({"fresh": true}));
    let here = scene.positions();
    scene.claimed(true, Some(here));
    scene.assert_asks_nothing();
}

#[test]
fn a_head_that_says_that_something_was_missed_or_is_otherwise_has_it_read() {
    let mut scene = Scene::live(100);
    scene.author_creates(1, 1);
    let here = Hash::of(&scene.positions());
    scene.says_head(json!({ "children": here }));
    scene.assert_asks_nothing();
    for with in [
        json!({"missed": true}),
        json!({"children": Hash::of(&json!({}))}),
    ] {
        scene.says_head(with);
        let read = scene.asked("read");
        scene.answers(&read, page(json!({"commits": []})));
    }
}

#[test]
fn a_reporter_that_follows_takes_nothing_itself_and_says_nothing_of_where_children_stand() {
    let mut scene = Scene::live(100);
    let head = scene.asked("update");
    assert_eq!(head["body"].get("children"), None, "{head}");
    scene.author_asks(1, 1);
    let answer = scene.asked("response");
    assert_eq!(
        (&answer["body"]["code"], &answer["body"]["retry"]),
        (&json!(503), &json!("now"))
    );
    assert_eq!(scene.texts(), [""; 0]);
}

#[test]
fn a_reporter_whose_node_no_longer_takes_them_goes_on_from_what_it_has() {
    let mut scene = Scene::live(100);
    let first = scene.writes("first");
    let asked = scene.asked("create");
    let position = json!([asked["body"]["epoch"], asked["body"]["seq"]]);
    // It is safe at the node, and the commit itself is lost on its way.
    scene.answers(&asked, json!({"code": 200, "position": position}));
    assert_eq!(scene.done[&first], Ok(()));
    scene.runtime.handle(Input::Disconnected(None), scene.now);
    scene.drains();
    let second = scene.writes("second");
    scene.connects(json!({"fresh": true}));
    scene.claimed(false, None);
    let asked = scene.asked("create");
    assert_eq!(scene.texts(), ["second"], "what it sends is taken here");
    assert_eq!(asked["body"].get("base"), None, "nothing is before it here");
    scene.answers(
        &asked,
        json!({"code": 200, "position": [asked["body"]["epoch"], 1]}),
    );
    assert_eq!(scene.done[&second], Ok(()));
    scene.author_asks(1, 1);
    assert_eq!(scene.asked("response")["body"]["code"], 200);
    assert_eq!(scene.texts().len(), 2);
}

#[test]
fn a_claim_says_how_many_children_are_kept_where_that_is_not_the_default() {
    for (keep, said) in [(10_000, Value::Null), (7, json!({"chat": 7}))] {
        let mut scene = Scene::new(keep);
        assert_eq!(scene.asked("subscribe")["body"]["claim"]["keep"], said);
    }
}
