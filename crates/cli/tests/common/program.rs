//! A `byline` that runs as a child. It is waited for by what it prints; one that prints nothing for
//! too long fails its test with all that it has printed. It is killed with its handle.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A program that has nothing to say for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of the transcript that a failed test shows.
const SHOWN: usize = 40;

type Transcript = Arc<Mutex<Vec<String>>>;

pub(crate) struct Program {
    command: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    errors: Receiver<String>,
    transcript: Transcript,
}

/// What was not read yet of a program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) output: Vec<String>,
    pub(crate) errors: Vec<String>,
}

impl Ended {
    /// The events that were not read yet.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.output
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one line that says what was wrong.
    pub(crate) fn complaint(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:#?}");
        let [line] = self.errors.as_slice() else {
            panic!("not one line of error: {self:#?}")
        };
        line.strip_prefix("byline: ")
            .unwrap_or_else(|| panic!("{self:#?}"))
    }

    pub(crate) fn assert_success(&self) {
        assert_eq!((self.code, self.signal), (Some(0), None), "{self:#?}");
    }
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_byline"));
        command.args(arguments);
        Self::start_command(command)
    }

    pub(crate) fn start_command(mut command: Command) -> Self {
        command.env_remove("BYLINE_LOG").env_remove("RUST_LOG");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let transcript = Transcript::default();
        let output = lines(child.stdout.take().unwrap(), "", &transcript);
        let errors = lines(child.stderr.take().unwrap(), "stderr: ", &transcript);
        let input = child.stdin.take();
        let command = format!("{command:?}");
        Self {
            command,
            child,
            input,
            output,
            errors,
            transcript,
        }
    }

    /// The next line on standard output; `None` at its end.
    pub(crate) fn next_line(&self) -> Option<String> {
        self.receive(&self.output)
    }

    /// The next line on standard output.
    pub(crate) fn line(&self) -> String {
        self.next_line()
            .unwrap_or_else(|| self.fail("it has ended"))
    }

    /// The next event.
    pub(crate) fn event(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| self.fail("its output is no event"))
    }

    /// The next event of this name; others before it are passed over.
    pub(crate) fn event_named(&self, name: &str) -> Value {
        self.event_where(|event| event["event"] == name)
    }

    /// The next event that `wanted` picks.
    pub(crate) fn event_where(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.event();
            if wanted(&event) {
                return event;
            }
        }
    }

    /// The next line on standard error.
    pub(crate) fn error_line(&self) -> String {
        self.receive(&self.errors)
            .unwrap_or_else(|| self.fail("it has ended"))
    }

    /// Writes a line into standard input.
    pub(crate) fn write(&mut self, line: &str) {
        self.write_bytes(format!("{line}\n").as_bytes());
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        let written = self
            .input
            .as_mut()
            .expect("its input is open")
            .write_all(bytes);
        if let Err(error) = written {
            self.fail(&format!("it takes no input: {error}"));
        }
    }

    /// Writes a line for a program that may have ended without reading it.
    pub(crate) fn offer(&mut self, line: &str) {
        let _ = writeln!(self.input.as_mut().expect("its input is open"), "{line}");
    }

    /// Ends standard input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it, which it cannot hear, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> Ended {
        self.end_input();
        let output = std::iter::from_fn(|| self.receive(&self.output)).collect();
        let errors = std::iter::from_fn(|| self.receive(&self.errors)).collect();
        // It has closed its output, so it is about to end.
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            output,
            errors,
        }
    }

    fn receive(&self, lines: &Receiver<String>) -> Option<String> {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => self.fail("it says nothing"),
        }
    }

    fn fail(&self, what: &str) -> ! {
        let transcript = self.transcript.lock().unwrap().clone();
        let from = transcript.len().saturating_sub(SHOWN);
        let cut = |line: &String| line.chars().take(300).collect();
        let shown = transcript[from..]
            .iter()
            .map(cut)
            .collect::<Vec<String>>()
            .join("\n    ");
        panic!(
            "{}: {what}. It has printed {} lines, last:\n{shown}",
            self.command,
            transcript.len()
        );
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(
    from: impl Read + Send + 'static,
    mark: &'static str,
    transcript: &Transcript,
) -> Receiver<String> {
    let (sender, receiver) = channel();
    let transcript = Arc::clone(transcript);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            transcript.lock().unwrap().push(format!("{mark}{line}"));
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
