//! What the tests of the command have in common: the programs as children of the test, each in a
//! folder of the test's own, and what they print as it comes.

pub(crate) mod document;
pub(crate) mod program;
pub(crate) mod terminal;

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use program::Program;
use serde_json::Value;

/// A folder that a test has for itself; it goes with the test.
pub(crate) struct Home {
    path: PathBuf,
}

impl Home {
    pub(crate) fn new(test: &str) -> Self {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("byline-{test}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where `user` keeps the key; two users are two identities.
    pub(crate) fn key(&self, user: &str) -> String {
        self.path.join(format!("{user}.key")).display().to_string()
    }

    /// A file with these contents, that others may read according to `mode`.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) -> String {
        let path = self.path.join(name);
        let mut file = fs::OpenOptions::new();
        let mut file = file
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .unwrap();
        std::io::Write::write_all(&mut file, contents.as_ref()).unwrap();
        path.display().to_string()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What a killed child has left in it is no concern of the test.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A node on a port that was free.
pub(crate) struct Node {
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::listen("127.0.0.1:0")
    }

    /// One that keeps what it promises in this folder.
    pub(crate) fn start_with_data(folder: &Path) -> Self {
        Self::run(&[
            "--listen",
            "127.0.0.1:0",
            "--data",
            folder.to_str().unwrap(),
        ])
    }

    fn listen(address: &str) -> Self {
        Self::run(&["--listen", address])
    }

    fn run(more: &[&str]) -> Self {
        let program = Program::start(&[&["node", "--json"], more].concat());
        let ready = program.event();
        assert_eq!(ready["event"], "ready");
        let url = ready["url"].as_str().unwrap().to_owned();
        Self { program, url }
    }

    /// Where it listens, as in 127.0.0.1:4680.
    pub(crate) fn address(&self) -> &str {
        address(&self.url)
    }

    /// The node starts again with what it keeps in this folder, where it was.
    pub(crate) fn again_with_data(&self, folder: &Path) -> Self {
        let folder = folder.to_str().unwrap();
        Self::run(&["--listen", self.address(), "--data", folder])
    }

    /// Another node, which knows nothing, in the place of this one, which has ended.
    pub(crate) fn again(&self) -> Self {
        Self::in_place_of(&self.url)
    }

    /// A node where the one of this URL was.
    pub(crate) fn in_place_of(url: &str) -> Self {
        Self::listen(address(url))
    }
}

/// `byline <command> <object> --json --node … --key …` as this user, and whatever `more` says.
pub(crate) fn byline(
    home: &Home,
    node: &str,
    user: &str,
    command: &[&str],
    more: &[&str],
) -> Program {
    let key = home.key(user);
    let session = ["--json", "--node", node, "--key", &key];
    Program::start(&[command, &session, more].concat())
}

/// Starts a report whose first line is `data`, and waits until the object is claimed.
pub(crate) fn report(
    home: &Home,
    node: &str,
    user: &str,
    url: &str,
    data: &str,
    more: &[&str],
) -> Program {
    let mut report = byline(home, node, user, &["report", url], more);
    report.write(data);
    assert_eq!(report.event()["event"], "created");
    report
}

/// Writes a line, and waits for the commit that it becomes.
pub(crate) fn write(report: &mut Program, line: &str) -> Value {
    report.write(line);
    let reported = report.event();
    assert_eq!(reported["event"], "reported", "{reported}");
    reported
}

/// Starts to observe, and waits for the copy.
pub(crate) fn observe(
    home: &Home,
    node: &str,
    user: &str,
    url: &str,
    more: &[&str],
) -> (Program, Value) {
    let observe = byline(home, node, user, &["observe", url], more);
    let snapshot = observe.event_named("snapshot");
    (observe, snapshot)
}

/// Where the node of this URL listens.
pub(crate) fn address(url: &str) -> &str {
    url.strip_prefix("ws://")
        .and_then(|rest| rest.strip_suffix("/ws"))
        .unwrap()
}
