//! A node in a process of its own, so that its memory is nobody else's: this test's program, started
//! once more.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::clock::{Node, node};

/// Tells the program that it is to be the node.
const NODE: &str = "BYLINE_TEST_NODE";

/// What the other process says in front of each line, so that nobody else's is taken for one.
const SAYS: &str = "node: ";

/// Serves, when this is the process that is to: the first thing that a test does. True when it did.
pub(crate) fn served() -> bool {
    if std::env::var_os(NODE).is_none() {
        return false;
    }
    let node = node();
    say(node.local_addr());
    for line in std::io::stdin().lines() {
        let ms = line.unwrap().parse().unwrap();
        node.passes(Duration::from_millis(ms));
        say("done");
    }
    true
}

#[allow(clippy::print_stdout, reason = "the other process reads it")]
fn say(what: impl std::fmt::Display) {
    println!("\n{SAYS}{what}");
}

/// A node in a process of its own, which `test` makes when it is run there.
pub(crate) fn node_of(test: &str) -> (Node, Process) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(NODE, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = move || {
        let mut lines = lines.by_ref().map(Result::unwrap);
        let line = lines.find_map(|line| line.strip_prefix(SAYS).map(str::to_owned));
        line.expect("the node's process has ended")
    };
    let address = heard().parse().unwrap();
    let wire = Mutex::new(move |by: Duration| {
        writeln!(stdin, "{}", by.as_millis()).unwrap();
        assert_eq!(heard(), "done");
    });
    let node = Node {
        address,
        clock: Box::new(move |by| (wire.lock().unwrap())(by)),
        reload: None,
        stop: None,
        thread: None,
    };
    (node, Process(child))
}

/// The process of a node; it ends with its test.
pub(crate) struct Process(Child);

impl Process {
    /// Its resident memory.
    pub(crate) fn resident_bytes(&self) -> usize {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id())).unwrap();
        let resident = pages.split(' ').nth(1).unwrap();
        resident.parse::<usize>().unwrap() * 4_096
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended: then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
