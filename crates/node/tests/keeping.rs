//! A node with a folder: what it has promised is there when it starts again, however it ended.

use std::path::{Path, PathBuf};

use byline_node::{Config, Server};
use serde_json::{Value, json};

use crate::support::{Client, Node, OBJECT, Reporter, config, http, metric, node_with};

/// A folder of this test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("byline-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// What would be there if the power failed now.
    fn after_a_power_cut(&self, name: &str) -> Self {
        let copy = Self::new(name);
        std::fs::create_dir_all(&copy.0).unwrap();
        for file in std::fs::read_dir(&self.0).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.0.join(file.file_name())).unwrap();
        }
        copy
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn kept_in(folder: &Path) -> Config {
    let mut config = config();
    config.data = Some(folder.to_owned());
    config
}

/// Claims the object again, from `base`.
fn claims(client: &mut Client, base: Value) -> Value {
    claims_with(client, base, &[])
}

/// The same of an object with children of these names.
fn claims_with(client: &mut Client, base: Value, children: &[&str]) -> Value {
    let hyperty = "hyperty://localhost/r";
    let body = json!({
        "resources": [OBJECT, format!("{OBJECT}/subscription")],
        "source": hyperty,
        "claim": {"url": OBJECT, "reporter": hyperty, "base": base, "cache": true, "children": children},
    });
    client.ask(
        "subscribe",
        hyperty,
        "domain://msg-node.localhost/sm",
        &body,
    )
}

fn unix_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn owner(node: &Node) -> Client {
    let mut client = Client::connect(node);
    let key = byline_core::identity::Key::from_bytes(&[7; 32]);
    client.open_with("hyperty-runtime://localhost/r", &key);
    client
}

#[test]
fn what_a_reader_has_got_is_on_record_when_the_power_fails() {
    let folder = Folder::new("cut");
    let node = node_with(kept_in(&folder.0));
    let mut reporter = Reporter::claim(&node);
    let mut reader = reporter.admit(&node, "o");
    for n in 0..20 {
        let commit = reporter.commit(&format!("{n}"));
        reporter.client.send_text(&commit);
    }
    for _ in 0..20 {
        reader.message();
    }
    let copy = folder.after_a_power_cut("cut-copy");
    let again = node_with(kept_in(&copy.0));
    let mut owner = owner(&again);
    let refused = claims(&mut owner, json!([reporter.epoch, 19]));
    assert_eq!(refused["body"]["code"], 409, "{refused}");
    let claimed = claims(&mut owner, json!([reporter.epoch, 20]));
    assert_eq!(claimed["body"]["code"], 200, "{claimed}");
    assert!(metric(&node, "byline_stored_batches_total ") > 0);
    assert_eq!(metric(&node, "byline_held_bytes "), 0);
}

#[test]
fn a_node_that_was_stopped_and_started_serves_a_reader_without_a_reporter() {
    let folder = Folder::new("stop");
    let node = node_with(kept_in(&folder.0));
    let mut owner = owner(&node);
    let claimed = claims(&mut owner, Value::Null);
    let epoch = &claimed["body"]["epoch"];
    let read = owner.message();
    assert_eq!(read["type"], "read", "the node asks for the whole: {read}");
    owner.send(&json!({
        "id": read["id"], "type": "response", "from": read["to"], "to": read["from"],
        "body": {"code": 200, "epoch": epoch, "position": [epoch, 0],
                 "value": {"url": OBJECT, "data": {"n": 1}}},
    }));
    let stored = owner.message();
    assert_eq!(stored["body"]["stored"], 0, "{stored}");
    drop(owner);
    node.stopped().unwrap();
    let node = node_with(kept_in(&folder.0));
    let mut reader = Client::connect(&node);
    let key = byline_core::identity::Key::from_bytes(&[7; 32]);
    reader.open_with("hyperty-runtime://localhost/o", &key);
    let from = "hyperty://localhost/o";
    let to = format!("{OBJECT}/subscription");
    let answer = reader.ask("subscribe", from, &to, &json!({}));
    assert_eq!(answer["body"]["value"]["data"]["n"], 1, "{answer}");
    let head = reader.message();
    assert_eq!(head["body"]["live"], false, "{head}");
    assert_eq!(metric(&node, "byline_kept_objects "), 1);
}

#[test]
fn what_was_written_while_the_reporter_was_away_is_there_when_the_power_fails() {
    let folder = Folder::new("chat");
    let node = node_with(kept_in(&folder.0));
    let mut owner = owner(&node);
    let claimed = claims_with(&mut owner, Value::Null, &["chat"]);
    let epoch = &claimed["body"]["epoch"];
    let read = owner.message();
    owner.send(&json!({
        "id": read["id"], "type": "response", "from": read["to"], "to": read["from"],
        "body": {"code": 200, "epoch": epoch, "position": [epoch, 0],
                 "value": {"url": OBJECT, "data": {"n": 1}},
                 "childrenResources": ["chat"], "children": {"chat": {"at": {}, "page": []}}},
    }));
    let stored = owner.message();
    assert_eq!(stored["body"]["stored"], 0, "{stored}");
    drop(owner);
    let author = "hyperty://localhost/a";
    let (subscription, chat) = (
        format!("{OBJECT}/subscription"),
        format!("{OBJECT}/children/chat"),
    );
    let key = byline_core::identity::Key::from_bytes(&[7; 32]);
    let mut writer = Client::connect(&node);
    writer.open_with("hyperty-runtime://localhost/a", &key);
    let there = writer.ask("subscribe", author, &subscription, &json!({}));
    assert_eq!(there["body"]["code"], 200, "{there}");
    let created = byline_core::time::Time::from_unix_ms(unix_ms()).rfc3339();
    let creation = json!({"epoch": 1, "seq": 1, "resource": format!("{author}#1"),
        "created": created, "value": {"text": "hello"}});
    writer.send(&json!({"id": 7, "type": "create", "from": author, "to": chat, "body": creation}));
    // Behind what it reads: heads, and the child itself.
    let taken = loop {
        let message = writer.message();
        if message["type"] == "response" {
            break message;
        }
    };
    assert_eq!(taken["body"]["position"], json!([1, 1]), "{taken}");
    let copy = folder.after_a_power_cut("chat-copy");
    let again = node_with(kept_in(&copy.0));
    let mut reader = Client::connect(&again);
    reader.open_with("hyperty-runtime://localhost/o", &key);
    let answer = reader.ask(
        "subscribe",
        "hyperty://localhost/o",
        &subscription,
        &json!({}),
    );
    let page = &answer["body"]["children"]["chat"]["page"];
    assert_eq!(page[0]["value"]["text"], "hello", "{answer}");
    assert_eq!(metric(&again, "byline_kept_children "), 1);
}

#[test]
fn a_node_says_whether_it_can_keep_its_promises() {
    let folder = Folder::new("ready");
    let node = node_with(kept_in(&folder.0));
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = http(node.local_addr(), request);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn a_folder_that_another_node_has_is_refused_in_one_line() {
    let folder = Folder::new("locked");
    let _node = node_with(kept_in(&folder.0));
    let refused = Server::bind(kept_in(&folder.0)).unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    assert!(!refused.contains('\n'));
}
