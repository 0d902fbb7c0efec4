//! The machine: its cores, its limits, and a line that says what it is.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Most files this process ever asks to have open.
const FILES_MAX: u64 = 20_000;
/// Files that are open beside the observers' sockets.
const FILES_SPARE: u64 = 64;

/// Which core the measured process runs on, and which the clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) clients: usize,
    count: usize,
}

impl Cores {
    /// The first two that this process may use; one core is shared when there is no other.
    pub(crate) fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let all: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| allowed.is_set(*core))
            .collect();
        let server = *all.first().context("no core is allowed")?;
        Ok(Self {
            server,
            clients: all.get(1).copied().unwrap_or(server),
            count: all.len(),
        })
    }

    /// Both of them: for a process that may run beside the clients.
    pub(crate) const fn both(self) -> [usize; 2] {
        [self.server, self.clients]
    }

    /// One line for who reads the numbers later.
    pub(crate) fn machine(&self) -> String {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown CPU", |(_, model)| model);
        let uname = rustix::system::uname();
        let load = read("/proc/loadavg");
        let shared = if self.server == self.clients {
            " (SHARED: worthless numbers)"
        } else {
            ""
        };
        format!(
            "{} cores of {model}, {} {}, load {} at the start; server on core {}, clients on core {}{shared}",
            self.count,
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy(),
            load.split(' ').next().unwrap_or_default(),
            self.server,
            self.clients,
        )
    }
}

/// Keeps this thread, and what it starts from now on, on `cores`.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on cores {cores:?}"))
}

/// Makes room for `observers` sockets, here and in every process started from now on.
pub(crate) fn allow_sockets(observers: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
    let current = limit.current.unwrap_or(FILES_MAX).max(most);
    let needed = observers as u64 + FILES_SPARE;
    ensure!(
        needed <= current,
        "{observers} observers need {needed} open files, and {current} are allowed"
    );
    let raised = Rlimit {
        current: Some(current),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

/// The processor time of this process.
pub(crate) fn own_cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}
