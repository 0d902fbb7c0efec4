//! A `byline` on a terminal of its own: what is typed there, and what is on its screen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A screen that shows nothing new for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: usize = 24;
const COLUMNS: usize = 100;

/// A program on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    painted: Receiver<Vec<u8>>,
    screen: Screen,
}

/// What stands on a terminal, as far as this program uses one.
pub(crate) struct Screen {
    cells: [[char; COLUMNS]; ROWS],
    /// Where the next character goes: row and column.
    at: (usize, usize),
    /// The beginning of a command.
    command: Option<String>,
    /// All commands that were no moves or colours.
    pub(crate) commands: Vec<String>,
}

impl Screen {
    fn take(&mut self, painted: char) {
        let Some(command) = &mut self.command else {
            match painted {
                '\u{1b}' => self.command = Some(String::new()),
                '\r' => self.at.1 = 0,
                '\n' => self.at.0 = (self.at.0 + 1).min(ROWS - 1),
                painted => {
                    let (row, column) = self.at;
                    self.cells[row][column] = painted;
                    self.at.1 = (column + 1).min(COLUMNS - 1);
                }
            }
            return;
        };
        command.push(painted);
        if !painted.is_ascii_alphabetic() {
            return;
        }
        let command = self.command.take().unwrap();
        match (command.strip_prefix('['), painted) {
            (Some(place), 'H') => {
                let (row, column) = place.trim_end_matches('H').split_once(';').unwrap();
                let number = |text: &str| text.parse::<usize>().unwrap() - 1;
                self.at = (number(row), number(column));
            }
            (Some(_), 'm') => {}
            _ => self.commands.push(command),
        }
    }

    pub(crate) fn rows(&self) -> Vec<String> {
        self.cells.iter().map(|row| row.iter().collect()).collect()
    }
}

impl Terminal {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize {
            ws_row: ROWS as u16,
            ws_col: COLUMNS as u16,
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
            screen: Screen {
                cells: [[' '; COLUMNS]; ROWS],
                at: (0, 0),
                command: None,
                commands: Vec::new(),
            },
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Screen) -> bool) {
        while !wanted(&self.screen) {
            let Ok(painted) = self.painted.recv_timeout(PATIENCE) else {
                panic!("{:#?} {:?}", self.screen.rows(), self.screen.commands);
            };
            self.paints(painted);
        }
    }

    fn paints(&mut self, painted: Vec<u8>) {
        // What is painted here is ASCII, but for a sign in the status line.
        for painted in painted.into_iter().filter(u8::is_ascii) {
            self.screen.take(painted.into());
        }
    }

    pub(crate) fn shows(&mut self, text: &str) {
        self.until(|screen| screen.rows().iter().any(|row| row.contains(text)));
    }

    /// All that stands on the screen, a line for each row.
    pub(crate) fn text(&self) -> String {
        self.screen.rows().join("\n")
    }

    /// Waits until the program has ended by itself and all that it painted is on the screen, and says whether it has
    /// done what it was to do.
    pub(crate) fn succeeds(&mut self) -> bool {
        while let Ok(painted) = self.painted.recv() {
            self.paints(painted);
        }
        self.child.wait().unwrap().success()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
