//! A room on a terminal: what is typed there is said, and what is said is on the screen.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::{Home, Node, byline};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const ROOM: &str = "comm://localhost/tea";
/// A screen that shows nothing new for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    painted: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(path.to_str().unwrap())
            .unwrap();
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_byline"))
            .args(arguments)
            .env_remove("BYLINE_LOG")
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let keys = File::from(ours);
        let mut screen = keys.try_clone().unwrap();
        let (sender, painted) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut buffer)
                && sender.send(buffer[..read].to_vec()).is_ok()
            {}
        });
        Self {
            child,
            keys,
            painted,
            shown: String::new(),
        }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is painted; what was painted before is passed over.
    fn shows(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let more = self.painted.recv_timeout(PATIENCE);
            let more = more.unwrap_or_else(|_| panic!("no `{text}` in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
        let end = self.shown.find(text).unwrap() + text.len();
        self.shown.drain(..end);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_terminal_shows_what_is_said_and_says_what_is_typed() {
    let home = Home::new("screen");
    let node = Node::start();
    let key = home.key("ann");
    let host = ["chat", ROOM, "--host", "--public", "--name", "ann"];
    let mut screen = Terminal::start(&[&host[..], &["--node", &node.url, "--key", &key]].concat());
    screen.shows("1 here");

    let mut bob = byline(&home, &node.url, "bob", &["chat", ROOM], &["--name", "bob"]);
    bob.event_named("room");
    screen.shows("2 here");
    bob.write("teatime");
    screen.shows("teatime");

    screen.types("biscuits?");
    assert_eq!(bob.event_named("typing")["name"], "ann");
    screen.types("\r");
    let said = bob.event_where(|event| event["text"] == "biscuits?");
    assert_eq!(said["name"], "ann");
    bob.event_where(|event| event["text"] == "biscuits?" && event["event"] == "message");

    screen.types("/dance\r");
    screen.shows("/help");
    // Control-C leaves, and gives the terminal back: the other screen is there again.
    screen.types("\u{3}");
    screen.shows("\u{1b}[?1049l");
    assert!(screen.child.wait().unwrap().success());
}
