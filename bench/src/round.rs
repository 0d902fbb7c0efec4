//! One round: a fresh node and fresh floors, one after the other, with the same observers' code, the
//! same messages and the same cases.

use std::ffi::OsStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::crowd::{Crowd, Feed};
use crate::join::join;
use crate::line::Line;
use crate::machine::{Cores, own_cpu};
use crate::process::Process;
use crate::recovery::{self, Answering, Recovery};
use crate::reporter::{Prepared, Reporter};
use crate::room::{self, Room};
use crate::stats::percentile;

/// Changes in flight in the saturated case.
const WINDOW: usize = 32;
/// Fields of the object.
const FIELDS: usize = 8;
/// Time between changes in the paced case.
const PERIOD: Duration = Duration::from_millis(100);
/// A process has its memory in order after this long.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// How much is done in a round.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) observers: usize,
    /// Changes sent one at a time.
    pub(crate) single: usize,
    /// Changes sent with a window.
    pub(crate) saturated: usize,
    /// Changes sent by the clock.
    pub(crate) paced: usize,
    /// Seconds that a room is watched.
    pub(crate) talk: usize,
}

impl Plan {
    /// As many deliveries whatever the number of observers, within limits.
    pub(crate) fn new(observers: usize, quick: bool) -> Self {
        let (single, saturated, paced, talk) = if quick {
            (100_000, 1_000_000, 10, 1)
        } else {
            (1_000_000, 5_000_000, 30, 5)
        };
        let changes = |deliveries: usize, most| (deliveries / observers).clamp(2 * WINDOW, most);
        Self {
            observers,
            single: changes(single, 4_000),
            saturated: changes(saturated, 40_000) / WINDOW * WINDOW,
            paced,
            talk,
        }
    }

    /// Changes before a closed loop is measured: caches, congestion windows and heaps grow first.
    fn warm_up(changes: usize) -> usize {
        (changes / 8).next_multiple_of(WINDOW)
    }

    fn changes(&self) -> usize {
        let closed = [self.single, self.saturated];
        let closed = closed.map(|changes| changes + Self::warm_up(changes));
        closed.iter().sum::<usize>() + self.paced
    }
}

/// What one case cost one process.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Case {
    pub(crate) changes: usize,
    pub(crate) cpu_us_per_delivery: f64,
    pub(crate) deliveries_per_second: f64,
    /// The part of the time in which the process could have run and something else did.
    pub(crate) kept_waiting: f64,
    /// The part of their core that the clients used.
    pub(crate) clients_busy: f64,
    /// Observers that read every commit so far, in order.
    pub(crate) verified: usize,
    /// From the write of a change to its reading, in the paced case.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// What a node's memory and joining look like.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joining {
    pub(crate) connect_ms: f64,
    pub(crate) rss_before_kib: u64,
    pub(crate) rss_after_kib: u64,
    pub(crate) kib_per_observer: f64,
}

/// Every case at the node and at its floor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    pub(crate) joining: Joining,
    /// The bytes of a change, and of the message it travels in.
    pub(crate) change_bytes: usize,
    pub(crate) message_bytes: usize,
    pub(crate) single: Pair,
    pub(crate) saturated: Pair,
    pub(crate) paced: Pair,
    pub(crate) recovery: Recovery,
    pub(crate) kept: Recovery,
    pub(crate) room: Room,
}

/// A case at the node, and at its floor.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pair {
    pub(crate) node: Case,
    pub(crate) floor: Case,
}

impl Pair {
    pub(crate) fn ratio(&self) -> f64 {
        self.node.cpu_us_per_delivery / self.floor.cpu_us_per_delivery
    }
}

/// Runs a round: each process is gone before the next one starts.
pub(crate) fn run(cores: Cores, byline: &OsStr, plan: Plan) -> Result<Round> {
    let (mut side, joining, prepared) = Side::node(cores, byline, plan)?;
    let node = [
        side.closed_loop(plan.single, 1).context("node, single")?,
        side.closed_loop(plan.saturated, WINDOW)
            .context("node, saturated")?,
        side.paced(plan.paced).context("node, paced")?,
    ];
    drop(side);
    let messages = &prepared.messages;
    let mut side = Side::floor(cores, plan, messages, "single")?;
    let single = side.closed_loop(plan.single, 1).context("floor, single")?;
    let paced = side.paced(plan.paced).context("floor, paced")?;
    drop(side);
    let mut side = Side::floor(cores, plan, messages, "batched")?;
    let saturated = side
        .closed_loop(plan.saturated, WINDOW)
        .context("floor, saturated")?;
    drop(side);
    let pair = |node, floor| Pair { node, floor };
    Ok(Round {
        joining,
        change_bytes: prepared.change_bytes,
        message_bytes: messages.last().map_or(0, String::len),
        single: pair(node[0], single),
        saturated: pair(node[1], saturated),
        paced: pair(node[2], paced),
        recovery: recovery::run(cores, byline, plan.observers, Answering::Reporter)?,
        kept: recovery::run(cores, byline, plan.observers, Answering::Node)?,
        room: room::run(cores, byline, plan.talk)?,
    })
}

fn joining(
    process: &Process,
    reporter: &mut Reporter,
    observers: usize,
) -> Result<(Joining, Vec<Line>)> {
    sleep(SETTLE);
    let before = process.resident_kib()?;
    let start = Instant::now();
    let joined = join(process.address, Some(reporter), 0..observers)?;
    let connect = start.elapsed();
    sleep(SETTLE);
    let after = process.resident_kib()?;
    let joining = Joining {
        connect_ms: connect.as_secs_f64() * 1e3,
        rss_before_kib: before,
        rss_after_kib: after,
        kib_per_observer: (after as f64 - before as f64) / observers as f64,
    };
    let lines = joined.into_iter().map(|observer| observer.line);
    Ok((joining, lines.collect()))
}

/// A process and its clients.
struct Side {
    // Dropped first: the process closes the sockets, so that no port of the clients' waits.
    process: Process,
    crowd: Crowd,
}

impl Side {
    fn node(cores: Cores, byline: &OsStr, plan: Plan) -> Result<(Self, Joining, Prepared)> {
        let args = ["node", "--listen", "127.0.0.1:0", "--json"].map(str::to_owned);
        let process = Process::start(&[cores.server], byline, &args)?;
        let mut reporter = Reporter::claim(process.address, FIELDS)?;
        let (joining, lines) = joining(&process, &mut reporter, plan.observers)?;
        let (line, prepared) = reporter.prepare(plan.changes())?;
        let crowd = Crowd::new(Feed::commits(line, &prepared.messages), lines)?;
        Ok((Self { process, crowd }, joining, prepared))
    }

    fn floor(cores: Cores, plan: Plan, messages: &[String], floor: &str) -> Result<Self> {
        let args = ["floor", floor, &plan.observers.to_string()].map(str::to_owned);
        let this = std::env::current_exe()?;
        let process = Process::start(&[cores.server], this.as_os_str(), &args)?;
        let feed = Feed::trigger(Line::connect(process.address)?, messages)?;
        let lines = (0..plan.observers).map(|_| Line::connect(process.address));
        let crowd = Crowd::new(feed, lines.collect::<Result<_>>()?)?;
        Ok(Self { process, crowd })
    }

    fn closed_loop(&mut self, changes: usize, window: usize) -> Result<Case> {
        self.crowd.closed_loop(Plan::warm_up(changes), window)?;
        self.measured(changes, |crowd| {
            crowd.closed_loop(changes, window)?;
            Ok(Vec::new())
        })
    }

    fn paced(&mut self, changes: usize) -> Result<Case> {
        self.measured(changes, |crowd| crowd.paced(changes, PERIOD))
    }

    fn measured(
        &mut self,
        changes: usize,
        case: impl FnOnce(&mut Crowd) -> Result<Vec<u32>>,
    ) -> Result<Case> {
        self.crowd.rest()?;
        let (cpu, clients, start) = (self.process.cpu()?, own_cpu(), Instant::now());
        let mut waits = case(&mut self.crowd)?;
        let (clients, wall) = (own_cpu() - clients, start.elapsed());
        self.crowd.rest()?;
        let spent = self.process.cpu()?.since(&cpu);
        let (all, verified) = (self.crowd.observers(), self.crowd.verified());
        ensure!(
            verified == all,
            "verified {verified}/{all}: the others missed commits"
        );
        waits.sort_unstable();
        let ms = |percent| percentile(&waits, percent).map(|us| f64::from(us) / 1e3);
        let deliveries = (changes * all) as f64;
        Ok(Case {
            changes,
            cpu_us_per_delivery: spent.ran.as_secs_f64() * 1e6 / deliveries,
            deliveries_per_second: deliveries / wall.as_secs_f64(),
            kept_waiting: spent.waited.as_secs_f64() / wall.as_secs_f64(),
            clients_busy: clients.as_secs_f64() / wall.as_secs_f64(),
            verified,
            p50_ms: ms(50),
            p99_ms: ms(99),
        })
    }
}
