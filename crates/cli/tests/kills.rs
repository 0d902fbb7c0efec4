//! The node, the Reporter and the Observer are killed in turn, each in the middle of a burst: nothing that was told
//! to be stored is gone, no version is replaced, and everybody has the same at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::document::document;
use crate::common::{Home, Node, Program, byline};

const KITCHEN: &str = "ctxt://localhost/kitchen";
const ROUNDS: usize = 20;
/// Lines before somebody is killed, of which some are then still on their way.
const BURST: u64 = 60;

/// Three programs that keep what they have, and everything that they ever said.
struct Play {
    home: Home,
    node: Node,
    ann: Program,
    bob: Program,
    /// The line that was written last.
    line: u64,
    /// The newest version that was told to be stored.
    stored: u64,
    /// The hash of every position that anybody has told.
    seen: BTreeMap<(u64, u64), Value>,
}

impl Play {
    fn begin(home: Home) -> Self {
        let node = Node::start_with_data(&home.path().join("node"));
        let ann = reporter(&home, &node, 0);
        let bob = observer(&home, &node);
        Self {
            home,
            node,
            ann,
            bob,
            line: 0,
            stored: 0,
            seen: BTreeMap::new(),
        }
    }

    fn burst(&mut self) {
        for _ in 0..BURST {
            self.line += 1;
            self.ann.write(&document(self.line).to_string());
        }
    }

    fn kill_node(&mut self) {
        self.node.program.kill();
        self.node = self.node.again_with_data(&self.home.path().join("node"));
    }

    fn kill_reporter(&mut self) {
        self.line += 1;
        self.ann.kill();
        let killed = std::mem::replace(&mut self.ann, reporter(&self.home, &self.node, self.line));
        for event in killed.ended().events() {
            self.note(&event);
        }
        let stored = self.stored;
        let first = self.until(Self::ann, |event| event["event"] == "reported");
        assert!(
            number(&first, "version") > stored,
            "{first}: {stored} was stored"
        );
    }

    fn kill_observer(&mut self) {
        self.bob.kill();
        let killed = std::mem::replace(&mut self.bob, observer(&self.home, &self.node));
        for event in killed.ended().events() {
            self.note(&event);
        }
    }

    /// One more line: everybody has it in the end, at the same position.
    fn meet(&mut self) {
        self.line += 1;
        let last = document(self.line);
        self.ann.write(&last.to_string());
        let seen = self.until(Self::bob, |event| event["data"] == last);
        let same =
            |event: &Value| event["event"] == "reported" && event["version"] == seen["version"];
        let written = self.until(Self::ann, same);
        assert_eq!(written["hash"], seen["hash"]);
    }

    const fn ann(&self) -> &Program {
        &self.ann
    }

    const fn bob(&self) -> &Program {
        &self.bob
    }

    /// The next event of a program that `wanted` picks; all are noted.
    fn until(&mut self, of: fn(&Self) -> &Program, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = of(self).event();
            self.note(&event);
            if wanted(&event) {
                return event;
            }
        }
    }

    fn note(&mut self, event: &Value) {
        match event["event"].as_str().unwrap() {
            "stored" => self.stored = self.stored.max(number(event, "version")),
            "reported" | "change" | "snapshot" => {
                let position = (number(event, "epoch"), number(event, "version"));
                let hash = &event["hash"];
                let known = self.seen.entry(position).or_insert_with(|| hash.clone());
                assert_eq!(known, hash, "{position:?} was replaced");
            }
            _ => {}
        }
    }
}

fn number(event: &Value, field: &str) -> u64 {
    event[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no `{field}`: {event}"))
}

fn store(home: &Home, user: &str) -> PathBuf {
    home.path().join(user)
}

fn start(home: &Home, node: &Node, user: &str, command: &str, more: &[&str]) -> Program {
    let store = store(home, user);
    let more = [&["--store", path(&store)], more].concat();
    byline(home, &node.url, user, &[command, KITCHEN], &more)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn reporter(home: &Home, node: &Node, line: u64) -> Program {
    let mut ann = start(home, node, "ann", "report", &["--public"]);
    ann.write(&document(line).to_string());
    assert_eq!(ann.event()["event"], "created");
    ann
}

fn observer(home: &Home, node: &Node) -> Program {
    start(home, node, "bob", "observe", &[])
}

#[test]
fn whoever_is_killed_in_the_middle_of_a_burst_nothing_stored_is_lost_and_nothing_replaced() {
    let mut play = Play::begin(Home::new("kills"));
    play.meet();
    for round in 0..ROUNDS {
        play.burst();
        match round % 3 {
            0 => play.kill_node(),
            1 => play.kill_reporter(),
            _ => play.kill_observer(),
        }
        play.meet();
    }
    assert!(play.stored > 0);
}
