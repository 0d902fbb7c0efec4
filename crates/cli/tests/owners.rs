//! Children from the shell, and what an owner says from another process than the one that reports.

use serde_json::{Value, json};

use crate::common::{Home, Node, Program, byline};

const ROOM: &str = "comm://localhost/tea";

fn host(home: &Home, node: &Node, more: &[&str]) -> (Program, String) {
    let named = [&["--host", "--name", "ann"], more].concat();
    let host = byline(home, &node.url, "ann", &["chat", ROOM], &named);
    let room = host.event_named("room");
    (host, room["identity"].as_str().unwrap().to_owned())
}

fn enters(home: &Home, node: &Node, user: &str) -> Program {
    byline(home, &node.url, user, &["chat", ROOM], &["--name", user])
}

/// What an owner's command says of who may read.
fn access(home: &Home, node: &Node, command: &[&str]) -> Value {
    let told = byline(home, &node.url, "ann", command, &[]);
    let event = told.event_named("access");
    told.ended().assert_success();
    event["access"].clone()
}

#[test]
fn children_are_added_listed_and_followed() {
    let home = Home::new("children");
    let node = Node::start();
    let (mut ann, _) = host(&home, &node, &["--public"]);
    let children = ["children", ROOM, "messages"];
    let follower = byline(&home, &node.url, "eve", &children, &["--follow"]);
    let add = ["children", "add", ROOM, "messages"];
    let mut bob = byline(&home, &node.url, "bob", &add, &[]);
    bob.write(r#"{"name": "bob", "text": "from a script"}"#);
    let id = bob.event_named("added")["id"].clone();
    assert_eq!(ann.event_named("message")["text"], "from a script");
    bob.write("no JSON");
    assert!(
        bob.ended().complaint().contains("line 2"),
        "the line is told"
    );

    let followed = follower.event_named("child");
    assert_eq!(followed["id"], id);
    assert_eq!(
        followed["value"],
        json!({"name": "bob", "text": "from a script"})
    );
    let listed = byline(&home, &node.url, "bob", &children, &[]).ended();
    listed.assert_success();
    assert_eq!(listed.events(), std::slice::from_ref(&followed));
    ann.write(&format!("/delete {}", id.as_str().unwrap()));
    assert_eq!(follower.event_named("removed")["id"], id);

    let wrong = byline(
        &home,
        &node.url,
        "bob",
        &["children", ROOM, "pictures"],
        &[],
    );
    let wrong = wrong.ended();
    assert!(wrong.complaint().contains("no such children"), "{wrong:?}");
    let nowhere = ["children", "comm://localhost/nowhere", "messages"];
    let nobody = byline(&home, &node.url, "bob", &nowhere, &[]).ended();
    assert!(
        nobody.complaint().contains("comm://localhost/nowhere"),
        "{nobody:?}"
    );
}

#[test]
fn an_owner_lets_in_and_puts_out_from_another_process() {
    let home = Home::new("owners");
    let node = Node::start();
    let (_ann, anns) = host(&home, &node, &[]);
    // Bob learns who he is where he may come in: at a room of his own.
    let own = ["chat", "comm://localhost/own"];
    let own = byline(&home, &node.url, "bob", &own, &["--host", "--name", "bob"]);
    let bobs = own.event_named("room")["identity"].clone();
    let bobs = bobs.as_str().unwrap();
    assert!(
        enters(&home, &node, "bob")
            .ended()
            .complaint()
            .contains("403")
    );

    let after = access(&home, &node, &["invite", ROOM, bobs]);
    assert_eq!(after["authorise"], json!([bobs]));
    let bob = enters(&home, &node, "bob");
    bob.event_named("room");
    let after = access(&home, &node, &["kick", ROOM, bobs, "--why", "too loud"]);
    assert_eq!(after["deny"], json!([bobs]));
    bob.event_where(|event| event["state"] == "closed");
    assert!(bob.ended().complaint().contains("too loud"));
    let invite = byline(&home, &node.url, "ann", &["invite", ROOM, bobs], &[]).ended();
    assert!(invite.complaint().contains("was put out"), "{invite:?}");

    let after = access(
        &home,
        &node,
        &["access", ROOM, "--authorise", bobs, "--public"],
    );
    assert_eq!(
        (&after["public"], &after["deny"]),
        (&json!(true), &Value::Null)
    );
    enters(&home, &node, "bob").event_named("room");
    let after = access(&home, &node, &["access", ROOM, "--private", "--deny", bobs]);
    assert_eq!(
        (&after["public"], &after["deny"]),
        (&json!(false), &json!([bobs]))
    );
    assert_eq!(
        access(&home, &node, &["access", ROOM]),
        after,
        "and asked, it is told"
    );

    let key = home.key("ann");
    let people = ["access", ROOM, "--node", &node.url, "--key", &key];
    let told = Program::start(&people).ended();
    assert_eq!(
        told.output,
        [
            "open to its owners, and to those who are authorised".to_owned(),
            format!("put out: {bobs}"),
        ]
    );
    let owner = byline(&home, &node.url, "ann", &["kick", ROOM, &anns], &[]).ended();
    assert!(owner.complaint().contains("owner"), "{owner:?}");
    let stranger = byline(&home, &node.url, "bob", &["access", ROOM, "--public"], &[]).ended();
    assert!(
        stranger.complaint().contains("only an owner"),
        "{stranger:?}"
    );
    let nobody = byline(&home, &node.url, "ann", &["invite", ROOM, "bob"], &[]).ended();
    assert!(nobody.complaint().contains("bob"), "{nobody:?}");
}
