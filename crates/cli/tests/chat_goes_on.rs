//! Rooms that outlive those who are in them.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{Home, Node, Program, byline};

const ROOM: &str = "comm://localhost/tea";

/// Somebody in the room.
struct Member(Program);

impl Member {
    /// Comes into the room, or opens it.
    fn comes(home: &Home, node: &Node, user: &str, more: &[&str]) -> Self {
        let named = [&["--name", user], more].concat();
        let program = byline(home, &node.url, user, &["chat", ROOM], &named);
        program.event_named("room");
        Self(program)
    }

    fn hears(&self, text: &str) {
        let said = |event: &Value| event["event"] == "message" && event["text"] == text;
        self.0.event_where(said);
    }

    /// Says something, and waits until the room has it.
    fn says(&mut self, text: &str) {
        self.0.write(text);
        self.hears(text);
    }

    fn history(&mut self) -> Value {
        self.0.write("/history 1000");
        self.0.event_named("history")["messages"].clone()
    }
}

fn texts(history: &Value) -> Vec<&str> {
    let messages = history.as_array().unwrap().iter();
    messages.map(|one| one["text"].as_str().unwrap()).collect()
}

/// The node is killed, and starts again with what it has kept.
fn again(mut node: Node, data: &Path) -> Node {
    let (address, url) = (node.address().to_owned(), node.url.clone());
    node.program.kill();
    let data = data.to_str().unwrap();
    let program = Program::start(&["node", "--json", "--listen", &address, "--data", data]);
    assert_eq!(program.event()["event"], "ready");
    Node { program, url }
}

#[test]
fn a_chat_goes_on_while_its_creator_is_away_and_is_complete_when_it_returns() {
    let home = Home::new("goes-on");
    let (data, store) = (home.path().join("node"), home.path().join("ann"));
    let host = ["--host", "--public", "--store", store.to_str().unwrap()];
    let node = Node::start_with_data(&data);
    let mut ann = Member::comes(&home, &node, "ann", &host);
    let mut bob = Member::comes(&home, &node, "bob", &[]);
    let mut eve = Member::comes(&home, &node, "eve", &[]);
    ann.says("I open the room");
    bob.says("and I am in it");
    eve.hears("and I am in it");
    ann.hears("and I am in it");
    ann.0.kill();

    bob.says("where is Ann?");
    eve.hears("where is Ann?");
    eve.says("she was killed");
    bob.hears("she was killed");
    let carl = Member::comes(&home, &node, "carl", &[]);
    carl.hears("I open the room");
    let node = again(node, &data);
    bob.says("so was the node");
    eve.hears("so was the node");
    carl.hears("so was the node");

    let ann = Member::comes(&home, &node, "ann", &host);
    ann.hears("so was the node");
    let mut members = [ann, bob, eve, carl];
    members[0].says("I am back");
    for member in &mut members[1..] {
        member.hears("I am back");
    }
    members[3].says("and all is as it was");
    for member in &mut members[..3] {
        member.hears("and all is as it was");
    }
    let histories = members.each_mut().map(Member::history);
    assert_eq!(
        texts(&histories[0]),
        [
            "I open the room",
            "and I am in it",
            "where is Ann?",
            "she was killed",
            "so was the node",
            "I am back",
            "and all is as it was",
        ]
    );
    assert!(
        histories.iter().all(|one| *one == histories[0]),
        "{histories:#?}"
    );
}

#[test]
fn what_was_written_while_there_was_no_node_is_sent_by_the_next_run() {
    let home = Home::new("written-offline");
    let (data, store) = (home.path().join("node"), home.path().join("bob"));
    let stores = ["--store", store.to_str().unwrap()];
    let node = Node::start_with_data(&data);
    let ann = Member::comes(&home, &node, "ann", &["--host", "--public"]);
    let mut bob = Member::comes(&home, &node, "bob", &stores);
    bob.says("online");
    ann.hears("online");
    let (address, url) = (node.address().to_owned(), node.url.clone());
    node.program.signal(Signal::TERM);
    node.program.ended().assert_success();
    let away = |event: &Value| event["event"] == "connection" && event["state"] == "connecting";
    bob.0.event_where(away);
    bob.0.write("offline");
    // Lines are taken in their order: that this is answered says that the other was taken.
    assert_eq!(texts(&bob.history()), ["online"]);
    bob.0.signal(Signal::TERM);
    bob.0.ended();

    let data = data.to_str().unwrap();
    let program = Program::start(&["node", "--json", "--listen", &address, "--data", data]);
    assert_eq!(program.event()["event"], "ready");
    let node = Node { program, url };
    let mut bob = Member::comes(&home, &node, "bob", &stores);
    bob.hears("offline");
    ann.hears("offline");
    assert_eq!(texts(&bob.history()), ["online", "offline"]);
}

#[test]
fn a_host_that_stores_its_room_begins_no_other_and_one_that_does_not_does() {
    let home = Home::new("stored-room");
    let node = Node::start();
    let store = home.path().join("ann");
    let host = ["--host", "--store", store.to_str().unwrap()];
    for more in [&host[..], &host[..1]] {
        let mut ann = Member::comes(&home, &node, "ann", more);
        ann.says("one");
        ann.0.end_input();
        ann.0.ended().assert_success();
        let mut ann = Member::comes(&home, &node, "ann", more);
        ann.says("two");
        let stored = more.len() > 1;
        let expected = if stored {
            &["one", "two"][..]
        } else {
            &["two"]
        };
        assert_eq!(texts(&ann.history()), expected);
        ann.0.end_input();
        ann.0.ended();
    }
}

#[test]
fn a_room_that_goes_on_asks_its_host_as_is_said_now_and_is_opened_to_nobody_by_that() {
    let home = Home::new("asks-now");
    let (node, store) = (Node::start(), home.path().join("ann"));
    let host = ["--host", "--store", store.to_str().unwrap()];
    let ann = Member::comes(&home, &node, "ann", &host);
    ann.0.signal(Signal::TERM);
    ann.0.ended();
    let ann = Member::comes(&home, &node, "ann", &[&host[..], &["--approve"]].concat());
    let bob = byline(&home, &node.url, "bob", &["chat", ROOM], &["--name", "bob"]);
    ann.0.event_named("asking");
    ann.0.signal(Signal::TERM);
    ann.0.ended();
    bob.signal(Signal::TERM);

    let more = [&host[..], &["--public", "--name", "ann"]].concat();
    let ann = byline(&home, &node.url, "ann", &["chat", ROOM], &more);
    let told = ann.event_named("error");
    assert_eq!(told["command"], "--public", "{told}");
}
