//! Two devices of one user, with a store each, and one object that goes back and forth between them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Home, Node, Program, byline, observe};

const DIARY: &str = "ctxt://localhost/diary";
const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
const ROUNDS: u64 = 20;
/// Lines that are written while the node is gone.
const BURST: u64 = 3;

/// One of the devices, and what runs there.
struct Device {
    name: &'static str,
    store: PathBuf,
    report: Option<Program>,
}

/// The devices, the node, and a reader that follows all the time.
struct World {
    home: Home,
    data: PathBuf,
    node: Node,
    reader: Program,
    /// What the reader has seen: the hash of each version.
    seen: BTreeMap<u64, Value>,
    /// The last line that was written.
    line: u64,
}

fn state(line: u64) -> String {
    json!({"line": line, "pad": "x".repeat(500)}).to_string()
}

impl World {
    /// `desk` has the diary.
    fn new() -> (Self, [Device; 2]) {
        let home = Home::new("devices");
        let data = home.path().join("node");
        let node = Node::start_with_data(&data);
        let desk = home.file("desk.key", SECRET, 0o600);
        let words = home.file("words", "correct horse", 0o600);
        let identity = |arguments: &[&str]| {
            let by = ["--passphrase-file", &words];
            let ended = Program::start(&[&["identity"], arguments, &by].concat()).ended();
            ended.assert_success();
            ended.output.join("\n")
        };
        let exported = identity(&["export", "--key", &desk]);
        let exported = home.file("exported", exported, 0o600);
        identity(&["import", &exported, "--key", &home.key("phone")]);
        let device = |name: &'static str| Device {
            name,
            store: home.path().join(name),
            report: None,
        };
        let mut devices = [device("desk"), device("phone")];
        devices[0].starts(&home, &node, 0, &[]);
        devices[0].becomes_reporter();
        let (reader, first) = observe(&home, &node.url, "bob", DIARY, &[]);
        let world = Self {
            home,
            data,
            node,
            reader,
            seen: BTreeMap::from([(first["version"].as_u64().unwrap(), first["hash"].clone())]),
            line: 0,
        };
        (world, devices)
    }

    fn writes(&mut self, device: &mut Device) {
        self.line += 1;
        device.report().write(&state(self.line));
    }

    /// Waits until the reader has the last line. On the way it sees no version replaced.
    fn reads(&mut self) {
        loop {
            let event = self.reader.event();
            let Some(version) = event["version"].as_u64() else {
                continue;
            };
            let last = self.seen.last_key_value().map(|(version, _)| *version);
            assert!(Some(version) > last, "{last:?} and then {event}");
            assert_ne!(event["origin"], "rewound", "{event}");
            self.seen.insert(version, event["hash"].clone());
            if event["data"]["line"] == self.line {
                return;
            }
        }
    }

    fn node_is_killed(&mut self) {
        self.node.program.kill();
    }

    fn node_is_back(&mut self) {
        self.node = self.node.again_with_data(&self.data);
    }

    /// `device` takes the diary, and writes on it.
    fn takes(&mut self, device: &mut Device) {
        if let Some(mut report) = device.report.take() {
            report.kill();
        }
        self.line += 1;
        device.starts(&self.home, &self.node, self.line, &["--take"]);
        device.becomes_reporter();
        let reported = device.report().event_named("reported");
        self.reads();
        let version = reported["version"].as_u64().unwrap();
        assert_eq!(
            self.seen[&version], reported["hash"],
            "what it wrote is what is read"
        );
    }
}

impl Device {
    /// `byline report`, whose first line is this.
    fn starts(&mut self, home: &Home, node: &Node, line: u64, more: &[&str]) {
        let store = ["--public", "--store", self.store.to_str().unwrap()];
        let more = [&store, more].concat();
        let mut report = byline(home, &node.url, self.name, &["report", DIARY], &more);
        report.write(&state(line));
        self.report = Some(report);
    }

    fn report(&mut self) -> &mut Program {
        self.report.as_mut().expect("it runs")
    }

    fn becomes_reporter(&mut self) {
        let event = self.report().event();
        assert_eq!(event["event"], "created", "{event}");
    }

    /// Waits until it follows another device, and has its last line. Gives the lines that came back.
    fn follows(&mut self, reason: &str, line: u64, expected: usize) -> Vec<u64> {
        let event = self.report().event_named("elsewhere");
        assert_eq!(event["reason"], reason, "{event}");
        let (mut rejected, mut there) = (vec![], false);
        while !there || rejected.len() < expected {
            let event = self.report().event();
            if event["event"] == "rejected" {
                let change = &event["changes"][0];
                assert_eq!(change["attribute"], "line", "{event}");
                rejected.push(change["value"].as_u64().unwrap());
            }
            there |= event["data"]["line"] == line;
        }
        rejected
    }
}

#[test]
fn an_object_goes_back_and_forth_between_two_devices_whatever_is_killed() {
    let (mut world, [mut holder, mut other]) = World::new();
    for round in 0..ROUNDS {
        world.writes(&mut holder);
        world.reads();
        if round % 3 == 2 {
            // Both are here, and so is the node.
            world.takes(&mut other);
            assert_eq!(
                holder.follows("superseded", world.line, 0),
                Vec::<u64>::new()
            );
            std::mem::swap(&mut holder, &mut other);
            continue;
        }
        world.node_is_killed();
        let written: Vec<u64> = (world.line + 1..=world.line + BURST).collect();
        for line in &written {
            world.writes(&mut holder);
            let unsent = |event: &Value| event["event"] == "reported";
            holder.report().event_where(unsent);
            assert_eq!(world.line, *line);
        }
        let stops = round % 3 == 0;
        if stops {
            holder.report().signal(Signal::STOP);
        } else {
            holder.report().kill();
        }
        world.node_is_back();
        world.takes(&mut other);
        if stops {
            holder.report().signal(Signal::CONT);
            let rejected = holder.follows("superseded", world.line, written.len());
            assert_eq!(rejected, written);
        } else {
            holder.starts(&world.home, &world.node, 0, &[]);
            let rejected = holder.follows("held", world.line, 0);
            assert!(written.starts_with(&rejected), "{rejected:?}");
        }
        std::mem::swap(&mut holder, &mut other);
    }
    world.reader.signal(Signal::TERM);
    let counters = world.reader.event_named("counters");
    assert_eq!(counters["rewinds"], 0, "{counters}");
    assert_eq!(counters["divergences"], 0, "{counters}");
}
