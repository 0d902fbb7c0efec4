//! What it costs that nothing is lost: commits that a node stores before anybody reads them, from a Reporter without
//! and with a store of its own, beside the store alone; and joining an object that was written a hundred thousand times.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread::{sleep, yield_now};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use byline_core::message::Header;
use byline_core::storage::{Batch, Table, key};
use byline_store::{Folder, Store as _, Whose};
use memchr::memmem::Finder;

use crate::crowd::{Crowd, Feed, number_after};
use crate::join::join;
use crate::line::{Line, PATIENCE};
use crate::machine::{Cores, pin};
use crate::process::Process;
use crate::reporter::{Claimed, OBJECT, Reporter, read_back};
use crate::round::SETTLE;
use crate::stats::Summary;

/// Fields of the object: with their texts about 1 KiB.
const FIELDS: usize = 8;
/// Commits on their way at the same time.
const WINDOW: usize = 256;
/// Commits of a measured run.
const COMMITS: usize = 100_000;
/// Commits before it: heaps and files grow first.
const WARM_UP: usize = 10_000;
/// What an object was written before it is joined.
const FEW: usize = 100;
const MANY: usize = 100_000;
/// How often it is joined.
const JOINS: usize = 200;
/// Bytes taken from a socket at once.
const BUFFER: usize = 64 << 10;
/// Children of an object that is read back.
const CHILDREN: usize = 10_000;
/// How often it is.
const READS: usize = 5;
/// Characters of each.
const CHILD_CHARS: usize = 100;
/// Commits whose bytes a node keeps before it folds them: those of a small object, as in protocol.md §7.
const FOLD_BYTES: usize = 64 << 10;

const LEGEND: &str = "\
- **commits/s**: to one object of about 1 KiB, at most 256 on their way, until its one observer has read each, in order.
- **node durable**: a node with `--data`, which may use both cores, one of which the clients use too; **one core**: it and its
  thread that writes have one, and nothing of the other. **both**: the Reporter, too, stores each commit before it sends it: the
  node has one core, the Reporter, its thread that writes, and the observer have the other.
- **store alone**: batches of as many commits of the same bytes as the node's had on average, on the node's core: a row for each, the
  object's position, and a snapshot in place of the commits after each 64 KiB.
- **ratio**: by the store alone at that size, in the same round.
- **joining**: a new connection, `open` without a key, `subscribe`; 200 of them, one after the other, from the connection to
  the 200 that the node gives from what it keeps.
- **read back**: from the opening of a Reporter's folder until its object with all children is there, five times.
";

/// A run of commits.
#[derive(Clone, Copy, Debug)]
struct Run {
    per_second: f64,
    /// Commits in a batch of the node's, on average.
    batch: f64,
    /// The same of the store alone.
    alone: f64,
}

impl Run {
    fn ratio(&self) -> f64 {
        self.per_second / self.alone
    }
}

/// An object that was written so often.
#[derive(Clone, Copy, Debug)]
struct Joined {
    ms: f64,
    bytes: u64,
}

struct Round {
    free: Run,
    pinned: Run,
    both: Run,
    few: Joined,
    many: Joined,
    read_back_ms: f64,
}

/// Measures `rounds` rounds in a new folder below `place`, and gives Markdown.
pub(crate) fn measure(cores: Cores, byline: &OsStr, place: &Path, rounds: usize) -> Result<String> {
    let folder = place.join(format!("byline-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let rounds: Result<Vec<Round>> = (0..rounds)
        .map(|number| round(cores, byline, &folder.join(number.to_string())))
        .collect();
    fs::remove_dir_all(&folder)?;
    report(&rounds?)
}

fn report(rounds: &[Round]) -> Result<String> {
    let show =
        |decimals, number: fn(&Round) -> f64| Summary::cell(rounds.iter().map(number), decimals);
    let mut text = String::from(
        "| stored by | commits/s | in a batch | store alone | ratio |\n|---|---|---|---|---|\n",
    );
    let mut row = |by, target, run: fn(&Round) -> Run| {
        text += &stored(by, target, rounds.iter().map(run));
    };
    row("node durable", ", target ≥ 0.6", |round| round.free);
    row("node durable, one core", "", |round| round.pinned);
    row("both", ", target ≥ 0.35", |round| round.both);
    text.push_str("\n| joining after | ms | ratio | bytes on disk |\n|---|---|---|---|\n");
    writeln!(
        text,
        "| {FEW} commits | {} | 1 | {} |",
        show(3, |round| round.few.ms),
        show(0, |round| round.few.bytes as f64),
    )?;
    writeln!(
        text,
        "| {MANY} commits | {} | {}, target 0.8–1.2 | {} |",
        show(3, |round| round.many.ms),
        show(2, |round| round.many.ms / round.few.ms),
        show(0, |round| round.many.bytes as f64),
    )?;
    text.push_str("\n| read back | ms |\n|---|---|\n");
    writeln!(
        text,
        "| {CHILDREN} children | {}, target < 50 |",
        show(1, |round| round.read_back_ms)
    )?;
    text.push('\n');
    text.push_str(LEGEND);
    Ok(text)
}

/// The row of runs that were stored by somebody.
fn stored(by: &str, target: &str, runs: impl Iterator<Item = Run> + Clone) -> String {
    let show = |decimals, number: fn(Run) -> f64| Summary::cell(runs.clone().map(number), decimals);
    let (per_second, batch) = (show(0, |run| run.per_second), show(1, |run| run.batch));
    let (alone, ratio) = (show(0, |run| run.alone), show(2, |run| run.ratio()));
    format!("| {by} | {per_second} | {batch} | {alone} | {ratio}{target} |\n")
}

fn round(cores: Cores, byline: &OsStr, folder: &Path) -> Result<Round> {
    fs::create_dir_all(folder)?;
    let node = |on: &[usize], name| node_durable(cores, on, byline, &folder.join(name));
    let (free, _) = node(&cores.both(), "free").context("node durable")?;
    let (pinned, bytes) = node(&[cores.server], "pinned").context("node on one core")?;
    let both = both(cores, byline, folder, bytes).context("both")?;
    let (few, many) = joining(cores, byline, folder).context("joining")?;
    let read_back_ms = reading_back(cores, byline, folder).context("reading back")?;
    Ok(Round {
        free,
        pinned,
        both,
        few,
        many,
        read_back_ms,
    })
}

/// A node that runs `on` these cores stores what a Reporter without a store sends. Gives the bytes of a commit, too.
fn node_durable(cores: Cores, on: &[usize], byline: &OsStr, folder: &Path) -> Result<(Run, usize)> {
    let process = start(on, byline, &folder.join("node"))?;
    let (mut crowd, bytes) = crowd(&process, WARM_UP + COMMITS)?;
    crowd.closed_loop(WARM_UP, WINDOW)?;
    let (batches, start) = (stored_batches(&process)?, Instant::now());
    crowd.closed_loop(COMMITS, WINDOW)?;
    let seconds = start.elapsed().as_secs_f64();
    let batches = stored_batches(&process)? - batches;
    drop(process);
    Ok((run(cores, folder, seconds, batches, bytes)?, bytes))
}

/// The Reporter stores each commit, too, before it is sent.
fn both(cores: Cores, byline: &OsStr, folder: &Path, bytes: usize) -> Result<Run> {
    let process = start(&[cores.server], byline, &folder.join("node-of-both"))?;
    let claimed = Claimed {
        fields: FIELDS,
        kept: true,
        store: Some(&folder.join("reporter")),
        ..Claimed::default()
    };
    let mut reporter = Reporter::claim_as(process.address, claimed)?;
    let mut observers = join(process.address, None, 0..1)?;
    let observer = observers.pop().context("nobody has joined")?;
    let mut reader = Reader::new(observer.line);
    reader.follow(&mut reporter, WARM_UP)?;
    let (batches, start) = (stored_batches(&process)?, Instant::now());
    reader.follow(&mut reporter, COMMITS)?;
    let seconds = start.elapsed().as_secs_f64();
    let batches = stored_batches(&process)? - batches;
    drop(process);
    run(cores, folder, seconds, batches, bytes)
}

/// What came of a run, and what the store alone does with batches as large.
fn run(cores: Cores, folder: &Path, seconds: f64, batches: u64, bytes: usize) -> Result<Run> {
    ensure!(batches > 0, "the node has stored nothing");
    let batch = COMMITS as f64 / batches as f64;
    pin(&[cores.server])?;
    let alone = alone(&folder.join("alone"), batch.round() as usize, bytes);
    pin(&[cores.clients])?;
    Ok(Run {
        per_second: COMMITS as f64 / seconds,
        batch,
        alone: alone?,
    })
}

/// Commits a second that a store alone takes in batches of `size` commits of `bytes` bytes.
fn alone(folder: &Path, size: usize, bytes: usize) -> Result<f64> {
    let _ = fs::remove_dir_all(folder);
    let mut store = Folder::open(folder, &Whose::Runtime, None)?;
    let size = size.max(1);
    let (mut version, mut after, mut spent) = (0_usize, 0, 0.0);
    while version < COMMITS {
        let mut batch = Batch::default();
        for _ in 0..size {
            version += 1;
            after += bytes;
            let key = key(&[OBJECT.as_bytes(), &(version as u128).to_be_bytes()]);
            batch.put(Table::Commits, key, vec![b'x'; bytes]);
        }
        if after > FOLD_BYTES {
            after = 0;
            batch.put(Table::Snapshots, OBJECT, vec![b'x'; 1 << 10]);
            batch.remove_under(Table::Commits, &[OBJECT.as_bytes()]);
        }
        batch.put(Table::Positions, OBJECT, [0; 16]);
        let start = Instant::now();
        store.commit(&batch)?;
        spent += start.elapsed().as_secs_f64();
    }
    Ok(version as f64 / spent)
}

/// Joins an object after few commits, and after many.
fn joining(cores: Cores, byline: &OsStr, folder: &Path) -> Result<(Joined, Joined)> {
    let data = folder.join("joined");
    let process = start(&[cores.server], byline, &data)?;
    let (mut crowd, _) = crowd(&process, MANY)?;
    let mut numbers = 1..;
    let mut joined = |commits| {
        crowd.closed_loop(commits, WINDOW)?;
        sleep(SETTLE);
        // The first one folds what came since the last snapshot.
        let mut join = || {
            let number = numbers.next().unwrap_or_default();
            join(process.address, None, number..number + 1).map(drop)
        };
        join()?;
        let start = Instant::now();
        for _ in 0..JOINS {
            join()?;
        }
        let ms = start.elapsed().as_secs_f64() * 1e3 / JOINS as f64;
        Ok::<_, anyhow::Error>(Joined {
            ms,
            bytes: bytes_in(&data)?,
        })
    };
    Ok((joined(FEW)?, joined(MANY - FEW)?))
}

/// Milliseconds from the opening of a Reporter's folder until all children of its object are there, on average.
fn reading_back(cores: Cores, byline: &OsStr, folder: &Path) -> Result<f64> {
    let process = start(&[cores.server], byline, &folder.join("node-of-room"))?;
    let store = folder.join("room");
    let claimed = Claimed {
        fields: 1,
        room: true,
        kept: true,
        store: Some(&store),
    };
    let mut reporter = Reporter::claim_as(process.address, claimed)?;
    reporter.say(CHILDREN, &"x".repeat(CHILD_CHARS))?;
    reporter.close()?;
    let start = Instant::now();
    for _ in 0..READS {
        let children = read_back(&store)?;
        ensure!(children == CHILDREN, "{children} children are there");
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / READS as f64)
}

fn start(cores: &[usize], byline: &OsStr, data: &Path) -> Result<Process> {
    let data = data.to_str().context("the folder's name is no text")?;
    let args = ["node", "--listen", "127.0.0.1:0", "--json", "--data", data];
    Process::start(cores, byline, &args.map(str::to_owned))
}

/// One observer of an object that the node keeps, `changes` changes to send, and the bytes of one.
fn crowd(process: &Process, changes: usize) -> Result<(Crowd, usize)> {
    let claimed = Claimed {
        fields: FIELDS,
        kept: true,
        ..Claimed::default()
    };
    let reporter = Reporter::claim_as(process.address, claimed)?;
    let observers = join(process.address, None, 0..1)?;
    let lines = observers.into_iter().map(|observer| observer.line);
    let (line, prepared) = reporter.prepare(changes)?;
    let last = prepared.messages.last().context("nothing to send")?;
    let header = Header::peek(last).map_err(|malformed| malformed.refusal)?;
    let crowd = Crowd::new(Feed::commits(line, &prepared.messages), lines.collect())?;
    Ok((crowd, header.body.len()))
}

/// The one observer of a Reporter that writes on while it reads.
struct Reader {
    line: Line,
    buffer: Vec<u8>,
    version: Finder<'static>,
    /// The version of the last commit that was read.
    last: usize,
}

impl Reader {
    fn new(line: Line) -> Self {
        Self {
            line,
            buffer: vec![0; BUFFER],
            version: Finder::new(b"\"version\":"),
            last: 0,
        }
    }

    /// Has `reporter` write so many commits, and reads them, each once and in order.
    fn follow(&mut self, reporter: &mut Reporter, commits: usize) -> Result<()> {
        let (until, patience) = (self.last + commits, Instant::now() + 3 * PATIENCE);
        while self.last < until {
            ensure!(Instant::now() < patience, "it reads no more");
            let before = self.last;
            while reporter.written() < until.min(self.last + WINDOW) {
                reporter.write_on()?;
            }
            reporter.turn(&mut self.buffer)?;
            let (last, version) = (&mut self.last, &self.version);
            self.line.read(&mut self.buffer, |text| {
                if let Some(found) = number_after(version, text) {
                    ensure!(found == *last + 1, "got commit {found} after {last}");
                    *last = found;
                }
                Ok(())
            })?;
            if self.last == before {
                // The thread that writes has the same core.
                yield_now();
            }
        }
        Ok(())
    }
}

/// Bytes of the files in a folder.
fn bytes_in(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

/// Batches that a node has stored, as it tells its operator.
fn stored_batches(node: &Process) -> Result<u64> {
    let mut socket = TcpStream::connect_timeout(&node.address, PATIENCE)?;
    let (host, token) = (node.address, &node.operator_token);
    write!(
        socket,
        "GET /metrics HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("byline_stored_batches_total "));
    Ok(line.context("no stored batches in /metrics")?.parse()?)
}
