//! The measured processes: each on its cores, gone with this one, and what it has used.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};

use crate::machine;

/// How long a process may take until it listens.
const READY: Duration = Duration::from_secs(10);

/// What a node, and the floor, print when they listen.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    pub(crate) event: String,
    pub(crate) url: String,
    /// With which a node shows its numbers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) operator_token: String,
}

/// A process that listens on loopback. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// With which a node shows its numbers.
    pub(crate) operator_token: String,
}

impl Process {
    /// Starts `program` on `cores` and waits until it says where it listens.
    pub(crate) fn start(cores: &[usize], program: &OsStr, args: &[String]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("pinned")
            .arg(format!("--cores={}", listed(cores)))
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        let stdout = child.stdout.take();
        // From here on the child is killed whatever happens.
        let mut process = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            operator_token: String::new(),
        };
        let name = program.to_string_lossy();
        let line = stdout
            .context("the process has no output")
            .and_then(first_line)
            .with_context(|| format!("`{name}` did not say where it listens"))?;
        let ready: Ready = serde_json::from_str(&line)
            .with_context(|| format!("`{name}` said `{}`", line.trim_end()))?;
        process.address = address_of(&ready)?;
        process.operator_token = ready.operator_token;
        Ok(process)
    }

    /// The processor time each of its threads has had, to the nanosecond: user and system, with the
    /// softirq half of the loopback that ran in its system calls.
    pub(crate) fn cpu(&self) -> Result<Threads> {
        let mut threads = BTreeMap::new();
        let tasks = format!("/proc/{}/task", self.child.id());
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
            let task = task?;
            // A thread may end between the two readings.
            if let Ok(text) = fs::read_to_string(task.path().join("schedstat")) {
                let cpu = Cpu::parse(&text).with_context(|| format!("schedstat is `{text}`"))?;
                threads.insert(task.file_name(), cpu);
            }
        }
        ensure!(!threads.is_empty(), "no schedstat in {tasks}");
        Ok(Threads(threads))
    }

    /// The memory it has in RAM, in KiB. `smaps_rollup` counts pages; the counter in `status` may be
    /// a quarter of a MiB off.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(number.context("no Rss in smaps_rollup")?.parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already, and there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a thread, or a process, ran, and how long it could have run while something else did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) ran: Duration,
    pub(crate) waited: Duration,
}

impl Cpu {
    fn parse(schedstat: &str) -> Option<Self> {
        let mut numbers = schedstat.split_whitespace();
        let mut next = || Some(Duration::from_nanos(numbers.next()?.parse().ok()?));
        Some(Self {
            ran: next()?,
            waited: next()?,
        })
    }
}

/// The processor time of each thread.
#[derive(Debug)]
pub(crate) struct Threads(BTreeMap<OsString, Cpu>);

impl Threads {
    /// What was spent since `earlier`, without threads that have ended meanwhile.
    pub(crate) fn since(&self, earlier: &Self) -> Cpu {
        let mut spent = Cpu::default();
        for (thread, now) in &self.0 {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            spent.ran += now.ran.saturating_sub(before.ran);
            spent.waited += now.waited.saturating_sub(before.waited);
        }
        spent
    }
}

/// Becomes `program`, on `cores`. A launcher of its own, because what a child does between `fork` and
/// `exec` could only be said with unsafe code.
pub(crate) fn become_pinned(cores: &[usize], program: &OsStr, args: &[OsString]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    machine::pin(cores)?;
    let error = Command::new(program).args(args).exec();
    Err(error).with_context(|| format!("cannot run `{}`", program.to_string_lossy()))
}

/// As the command line has it.
fn listed(cores: &[usize]) -> String {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    cores.join(",")
}

fn first_line(mut stdout: ChildStdout) -> Result<String> {
    let until = Instant::now() + READY;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let timeout = Timespec::try_from(until.saturating_duration_since(Instant::now()))?;
        let mut fds = [PollFd::new(&stdout, PollFlags::IN)];
        ensure!(
            poll(&mut fds, Some(&timeout))? > 0,
            "nothing within {} s",
            READY.as_secs()
        );
        let mut byte = [0];
        ensure!(stdout.read(&mut byte)? > 0, "it ended");
        line.extend(byte);
        ensure!(line.len() < 4096, "its first line is too long");
    }
    Ok(String::from_utf8(line)?)
}

fn address_of(ready: &Ready) -> Result<SocketAddr> {
    let (_, rest) = ready.url.split_once("://").context("no URL")?;
    let address: SocketAddr = rest.split('/').next().unwrap_or_default().parse()?;
    if ready.event != "ready" || !address.ip().is_loopback() {
        bail!("not ready on loopback");
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(line: &str) -> Result<SocketAddr> {
        address_of(&serde_json::from_str(line)?)
    }

    #[test]
    fn the_first_line_of_a_node_says_where_it_listens() {
        let line = r#"{"event":"ready","url":"ws://127.0.0.1:4711/ws"}"#;
        let at = SocketAddr::from(([127, 0, 0, 1], 4711));
        assert_eq!(address(line).unwrap(), at);
        assert!(address(r#"{"event":"ready","url":"ws://192.0.2.1:80/ws"}"#).is_err());
        assert!(address("listening").is_err());
    }
}
