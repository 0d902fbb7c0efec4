//! A disk that fills up: 8 MiB of memory, mounted in a namespace that only the test's own programs see.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Home, Node, Program, address, observe, report};

const KITCHEN: &str = "ctxt://localhost/kitchen";
/// What is freed again, of the 8 MiB, beside a runtime's store.
const BALLAST_BYTES: &str = "4000000";
/// The same beside a node's, which is smaller.
const NODE_BALLAST_BYTES: &str = "7700000";
/// By so much each state is longer than the one before.
const GROWTH_BYTES: usize = 300_000;
/// States until the disk must be full.
const STATES: usize = 13;
/// Lines of something else before one of them says what became of a state.
const LINES: usize = 8;

/// A disk of 8 MiB, of which a part is taken. It goes with the test.
struct Disk {
    holder: Program,
    path: PathBuf,
}

impl Disk {
    fn mount(path: PathBuf, ballast: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let script = r#"mount -t tmpfs -o size=8m none "$1" && head -c "$2" /dev/zero >"$1/ballast" && echo mounted && cat"#;
        let mut unshare = Command::new("unshare");
        unshare.args(["-Urm", "sh", "-c", script, "sh"]);
        unshare.arg(&path).arg(ballast);
        let holder = Program::start_command(unshare);
        assert_eq!(holder.line(), "mounted");
        Self { holder, path }
    }

    /// A program that sees the disk. What it says of errors stands among what it prints.
    fn run(&self, arguments: &[&str]) -> Program {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-U", "-m", "--preserve-credentials", "-t"]);
        nsenter.arg(self.holder.id().to_string());
        nsenter.args(["sh", "-c", r#"exec "$0" "$@" 2>&1"#]);
        nsenter.arg(env!("CARGO_BIN_EXE_byline")).args(arguments);
        Program::start_command(nsenter)
    }

    /// Frees what was taken.
    fn free(&self) {
        let seen = Path::new("/proc").join(self.holder.id().to_string());
        let path = self.path.strip_prefix("/").unwrap();
        fs::remove_file(seen.join("root").join(path).join("ballast")).unwrap();
    }
}

fn state(number: usize) -> Value {
    json!({"number": number, "text": "y".repeat(number * GROWTH_BYTES)})
}

/// What is told next: the version that is stored, or nothing when it is that the disk is full.
fn stored(report: &Program) -> Option<u64> {
    for _ in 0..LINES {
        let line = report.line();
        if let Some(error) = line.strip_prefix("byline: ") {
            assert!(error.contains(" is full: free some space"), "{error}");
            return None;
        }
        // What is logged about each try stands there, too.
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["event"] == "stored" {
            return event["version"].as_u64();
        }
    }
    panic!("neither that it is stored is told nor that the disk is full");
}

#[test]
fn on_a_full_disk_the_writer_hears_of_it_what_was_stored_stays_and_freed_it_goes_on() {
    let home = Home::new("full-disk");
    let disk = Disk::mount(home.path().join("disk"), BALLAST_BYTES);
    let node = Node::start();
    let (store, key) = (disk.path.join("ann"), home.key("ann"));
    let arguments = [
        "report",
        KITCHEN,
        "--public",
        "--json",
        "--store",
        store.to_str().unwrap(),
        "--key",
        &key,
        "--node",
        &node.url,
    ];
    let report = |first: usize| {
        let mut ann = disk.run(&arguments);
        ann.write(&state(first).to_string());
        assert_eq!(ann.event()["event"], "created");
        ann
    };
    let mut ann = report(0);
    let (mut number, mut last) = (0, 0);
    loop {
        number += 1;
        assert!(number < STATES, "the disk is never full");
        ann.write(&state(number).to_string());
        match stored(&ann) {
            Some(version) => last = version,
            None => break,
        }
    }
    assert!(last > 0, "nothing was stored");
    ann.kill();

    // Still full: what was stored is there, and what comes after it waits for room.
    let ann = report(number + 1);
    assert_eq!(stored(&ann), None);
    disk.free();
    let version = stored(&ann).unwrap();
    assert!(version > last, "{version} {last}");
    let (_, seen) = observe(&home, &node.url, "bob", KITCHEN, &[]);
    assert_eq!(seen["data"], state(number + 1));
    assert_eq!(seen["version"], version);
}

/// Reads on until a line says this.
fn says(program: &Program, what: &str) -> String {
    loop {
        let line = program.line();
        if line.contains(what) {
            return line;
        }
    }
}

/// What the node tells who watches over it.
fn readiness(node: &str) -> String {
    page(node, "/readyz", "")
}

/// A page of a node, for who has the operator's token.
fn page(node: &str, path: &str, token: &str) -> String {
    let mut socket = TcpStream::connect(address(node)).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_node_whose_disk_is_full_tells_it_and_goes_on_when_it_is_freed() {
    let home = Home::new("full-node");
    let disk = Disk::mount(home.path().join("disk"), NODE_BALLAST_BYTES);
    let data = disk.path.join("node");
    let node = disk.run(&[
        "node",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ]);
    let ready: Value = serde_json::from_str(&says(&node, "\"ready\"")).unwrap();
    let url = ready["url"].as_str().unwrap();
    let token = ready["operatorToken"].as_str().unwrap();
    assert!(readiness(url).starts_with("HTTP/1.1 200 OK"));
    let mut ann = report(&home, url, "ann", KITCHEN, "{}", &["--public"]);
    // Nothing of a text is that of the one before.
    for letter in 'a'..='f' {
        let text = String::from(letter).repeat(3 * GROWTH_BYTES);
        ann.write(&json!({ "text": text }).to_string());
    }
    says(&node, " is full: free some space");
    let answer = readiness(url);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains(" is full: free some space"), "{answer}");
    // It tries again, and says that once.
    let failures = || {
        let page = page(url, "/metrics", token);
        let line = page
            .lines()
            .find(|line| line.starts_with("byline_store_failures"));
        let count = line.and_then(|line| line.split(' ').next_back()?.parse::<u64>().ok());
        count.unwrap_or_else(|| panic!("no count of failures: {page}"))
    };
    while failures() < 2 {}
    disk.free();
    let next = node.line();
    assert!(
        next.contains("what waited is stored"),
        "it is told where it was told that it failed: {next}"
    );
    let last = |event: &Value| event["version"] == 6;
    let (bob, seen) = observe(&home, url, "bob", KITCHEN, &[]);
    if !last(&seen) {
        bob.event_where(last);
    }
    assert!(readiness(url).starts_with("HTTP/1.1 200 OK"));
}
