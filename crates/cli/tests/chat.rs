//! Rooms where several programs write through one node.

use byline_proxy::{Faults, Proxy};
use serde_json::{Value, json};

use crate::common::{Home, Node, Program, byline};

const ROOM: &str = "comm://localhost/tea";
/// A path that cuts nobody off but who is told to be.
const FAITHFUL: Faults = Faults {
    down: u64::MAX - 1..u64::MAX,
    up: u64::MAX - 1..u64::MAX,
    commits: None,
};

/// Somebody in the room, and what the room has said about them.
struct Member {
    program: Program,
    room: Value,
}

impl Member {
    fn identity(&self) -> &str {
        self.room["identity"].as_str().unwrap()
    }

    fn hyperty(&self) -> &str {
        self.room["hyperty"].as_str().unwrap()
    }

    /// Says something, and waits until the room has it.
    fn say(&mut self, text: &str) -> Value {
        self.program.write(text);
        self.hears(text)
    }

    fn hears(&self, text: &str) -> Value {
        self.program
            .event_where(|event| event["event"] == "message" && event["text"] == text)
    }

    /// Commands something, and gives what becomes of it.
    fn command(&mut self, line: &str) -> Value {
        self.program.write(line);
        self.program.event_where(|event| event["command"] == line)
    }

    fn history(&mut self) -> Value {
        self.program.write("/history 1000");
        self.program.event_named("history")["messages"].clone()
    }
}

fn enters(home: &Home, node: &str, user: &str, more: &[&str]) -> Program {
    let named = [&["--name", user], more].concat();
    byline(home, node, user, &["chat", ROOM], &named)
}

fn joins(home: &Home, node: &str, user: &str, more: &[&str]) -> Member {
    member(enters(home, node, user, more))
}

fn member(program: Program) -> Member {
    let room = program.event_named("room");
    Member { program, room }
}

/// What was said, by the letter: messages of one millisecond stand in the order of their authors.
fn texts(history: &Value) -> Vec<&str> {
    let messages = history.as_array().unwrap().iter();
    let mut texts: Vec<&str> = messages.map(|one| one["text"].as_str().unwrap()).collect();
    texts.sort_unstable();
    texts
}

#[test]
fn three_programs_talk_and_all_that_stay_have_one_history() {
    let home = Home::new("talk");
    let node = Node::start();
    let way = Proxy::start(node.address(), 1, FAITHFUL).unwrap();
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    let mut bob = joins(&home, way.url(), "bob", &[]);
    ann.say("is there tea?");
    bob.hears("is there tea?");
    let said = bob.say("there is");
    assert_eq!(said["name"], "bob");
    assert_eq!(said["identity"], bob.identity());
    assert_eq!(
        ann.hears("there is"),
        said,
        "everybody has the same message"
    );

    let mut eve = joins(&home, &node.url, "eve", &[]);
    let had = [
        eve.program.event_named("message"),
        eve.program.event_named("message"),
    ];
    assert!(had.contains(&said), "whoever is late has all: {had:?}");
    eve.say("I am late");
    bob.hears("I am late");

    way.shut();
    let cut = |event: &Value| event["event"] == "connection" && event["state"] == "connecting";
    bob.program.event_where(cut);
    let kick = format!("/kick {} too much sugar", bob.identity());
    assert_eq!(ann.command(&kick)["event"], "done");
    bob.program.write("do you hear me?");
    ann.say("more for us");
    eve.hears("more for us");
    way.open();
    loop {
        let event = bob.program.event();
        assert_ne!(
            event["text"], "more for us",
            "who was put out hears nothing"
        );
        if event["state"] == "closed" {
            break;
        }
    }
    assert!(bob.program.ended().complaint().contains("403"));

    let history = ann.history();
    assert_eq!(
        texts(&history),
        ["I am late", "is there tea?", "more for us", "there is"]
    );
    assert_eq!(eve.history(), history);
    eve.program.end_input();
    eve.program.ended().assert_success();
}

#[test]
fn nobody_speaks_for_another() {
    let home = Home::new("another");
    let node = Node::start();
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    let hers = ann.say("it is me");
    let named = byline(&home, &node.url, "eve", &["chat", ROOM], &["--name", "ann"]);
    let mut eve = member(named);
    eve.hears("it is me");
    let theirs = eve.say("no, me");
    assert_eq!(theirs["name"], "ann", "anybody may be called so");
    assert_ne!(theirs["identity"], hers["identity"]);
    assert_eq!(ann.hears("no, me")["identity"], eve.identity());
    ann.program.write("/who");
    let people = ann
        .program
        .event_where(|event| event["people"][eve.hyperty()].is_object());
    assert_eq!(people["people"][ann.hyperty()]["name"], "ann");
    assert_eq!(people["people"][eve.hyperty()]["name"], "ann");

    let delete = format!("/delete {}", hers["id"].as_str().unwrap());
    let refused = eve.command(&delete);
    assert!(
        refused["why"].as_str().unwrap().contains("another's"),
        "{refused}"
    );
    let kick = format!("/kick {}", ann.identity());
    let refused = eve.command(&kick);
    assert!(
        refused["why"].as_str().unwrap().contains("only the host"),
        "{refused}"
    );
    let delete = format!("/delete {}", theirs["id"].as_str().unwrap());
    assert_eq!(ann.command(&delete)["event"], "done", "the host moderates");
    let removed = eve.program.event_named("removed");
    assert_eq!(
        (&removed["id"], &removed["moderated"]),
        (&theirs["id"], &json!(true))
    );
    assert_eq!(texts(&eve.history()), ["it is me"]);
}

#[test]
fn the_host_is_asked_about_who_comes() {
    let home = Home::new("asked");
    let node = Node::start();
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--approve"]);
    for (user, answer) in [("bob", "/accept"), ("eve", "/reject")] {
        let comes = enters(&home, &node.url, user, &[]);
        let asking = ann.program.event_named("asking");
        let why = if answer == "/reject" {
            " we are full"
        } else {
            ""
        };
        let line = format!("{answer} {}{why}", asking["identity"].as_str().unwrap());
        assert_eq!(ann.command(&line)["event"], "done");
        if answer == "/accept" {
            comes.event_named("room");
            let again = ann.command(&line);
            assert!(
                again["why"].as_str().unwrap().contains("nobody who asks"),
                "{again}"
            );
        } else {
            assert!(comes.ended().complaint().contains("we are full"));
        }
    }
}

#[test]
fn files_are_sent_and_got() {
    let home = Home::new("files");
    let node = Node::start();
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    let mut bob = joins(&home, &node.url, "bob", &[]);
    // Of several chunks.
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
    let path = home.file("a cup.png", &content, 0o600);
    let sent = format!("/send {path}");
    assert_eq!(bob.command(&sent)["event"], "done");
    let file = ann.program.event_named("file");
    assert_eq!(
        (&file["name"], &file["size"]),
        (&json!("a cup.png"), &json!(800_000))
    );
    assert_eq!(file["identity"], bob.identity());

    let place = home.path().join("got.png");
    let got = format!("/get {} {}", file["id"].as_str().unwrap(), place.display());
    assert_eq!(ann.command(&got)["event"], "done");
    assert_eq!(std::fs::read(&place).unwrap(), content);
    let again = ann.command(&got);
    assert!(
        again["why"].as_str().unwrap().contains("there already"),
        "{again}"
    );
    let folder = bob.command(&format!("/send {}", home.path().display()));
    assert!(
        folder["why"].as_str().unwrap().contains("is no file"),
        "{folder}"
    );
}

#[test]
fn everybody_sees_who_comes_and_who_goes() {
    let home = Home::new("presence");
    let node = Node::start();
    let ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    let bob = joins(&home, &node.url, "bob", &[]);
    let eve = joins(&home, &node.url, "eve", &[]);
    let (there, gone) = (eve.hyperty().to_owned(), |event: &Value, who: &str| {
        event["event"] == "people" && event["people"][who].is_null()
    });
    for member in [&ann, &bob] {
        let named = |event: &Value| event["people"][&there]["name"] == "eve";
        member.program.event_where(named);
    }
    eve.program.ended().assert_success();
    for member in [&ann, &bob] {
        member.program.event_where(|event| gone(event, &there));
    }
}

#[test]
fn a_closed_room_takes_words_of_its_host_alone() {
    let home = Home::new("closed");
    let node = Node::start();
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    let mut bob = joins(&home, &node.url, "bob", &[]);
    assert_eq!(ann.command("/close")["event"], "done");
    assert_eq!(bob.program.event_named("messages")["closed"], true);
    bob.program.write("let me speak");
    let refused = bob.program.event_named("refused");
    assert_eq!(refused["text"], "let me speak");
    assert!(
        refused["why"].as_str().unwrap().contains("403"),
        "{refused}"
    );
    ann.say("listen");
    bob.hears("listen");
    assert_eq!(ann.command("/open")["event"], "done");
    assert_eq!(bob.program.event_named("messages")["closed"], false);
    bob.say("thank you");
    ann.hears("thank you");
    assert_eq!(texts(&ann.history()), ["listen", "thank you"]);
}

#[test]
fn lines_of_a_pipe_are_said_when_the_room_is_there_and_before_it_is_left() {
    let home = Home::new("pipe");
    let node = Node::start();
    let mut early = enters(&home, &node.url, "bob", &[]);
    early.write("one\n\ntwo\n//three");
    early.end_input();
    let waiting = early.event_where(|event| event["state"] == "waiting");
    assert!(
        waiting["desc"].as_str().unwrap().contains(ROOM),
        "{waiting}"
    );
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    early.ended().assert_success();
    ann.hears("/three");
    assert_eq!(texts(&ann.history()), ["/three", "one", "two"]);
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let home = Home::new("wrong");
    let node = Node::start();
    let mut ann = joins(&home, &node.url, "ann", &["--host", "--public"]);
    for (line, why) in [
        ("/dance", "there is no command /dance: /help lists them"),
        (
            "/kick nobody",
            "nobody here is called `nobody`: /who lists them",
        ),
        (
            "/delete x#9",
            "there is nothing of the ID `x#9`: /history shows them",
        ),
        ("/accept bob", "nobody who asks to come in is `bob`"),
        ("/invite bob", "bob"),
        ("/send /no/such/file", "cannot read /no/such/file"),
        ("/get x#9", "there is nothing of the ID `x#9`"),
    ] {
        let told = ann.command(line);
        assert_eq!(told["event"], "error", "{told}");
        let told = told["why"].as_str().unwrap();
        assert!(told.contains(why) && !told.contains('\n'), "{told}");
    }
    let again = enters(&home, &node.url, "ann", &["--host"]).ended();
    assert!(again.complaint().contains("held"), "{again:?}");
    let bad = Program::start(&["chat", "tea"]).ended();
    assert!(bad.complaint().contains("tea"), "{bad:?}");
}
