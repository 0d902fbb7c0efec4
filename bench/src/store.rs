//! What stores cost beside the least that the disk allows: a file that is appended to and synced.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use byline_core::storage::{Batch, Table, Write, key};
use byline_store::{Folder, Memory, Store, Whose};

use crate::stats::{Summary, percentile};

/// Commits that are stored together.
const SIZES: [usize; 3] = [1, 64, 1_024];
/// Objects that they are of.
const OBJECTS: usize = 1_000;
/// Bytes of a commit's body.
const BODY_BYTES: usize = 150;
/// Commits of an object that rest: the oldest goes when one comes, as if it had been folded.
const HISTORY: usize = 100;

const LEGEND: &str = "\
- **commits/s**: of 150 bytes each, to 1,000 objects in turn, with their positions; what is 100 commits old is removed.
  A batch is durable before the next one begins.
- **floor**: the same bytes appended to a file, and fdatasync.
- **ratio**: commits/s of the store by those of the floor in the same round.
- **written**: bytes that the process gave the disk, by the bytes of keys and values.
- **p50, p99 ms**: of one batch.
- Each number is the median over the rounds, and (min–max).
";

/// Who keeps the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Floor,
    Folder,
    Memory,
}

const KEEPERS: [Keeper; 3] = [Keeper::Floor, Keeper::Folder, Keeper::Memory];

/// What one keeper did with batches of one size.
struct Case {
    commits_per_second: f64,
    written: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures `rounds` rounds of so much time for each case in a new folder below `place`, and gives Markdown.
pub(crate) fn measure(place: &Path, rounds: usize, time: Duration) -> Result<String> {
    let folder = place.join(format!("byline-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let report = report(&folder, rounds, time);
    fs::remove_dir_all(&folder)?;
    report
}

fn report(folder: &Path, rounds: usize, time: Duration) -> Result<String> {
    let mut text = String::from(
        "| commits in a batch | kept by | commits/s | ratio | written | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|\n",
    );
    for size in SIZES {
        let mut cases: [Vec<Case>; 3] = Default::default();
        for round in 0..rounds {
            for (keeper, cases) in KEEPERS.into_iter().zip(&mut cases) {
                let path = folder.join(format!("{keeper:?}-{size}-{round}"));
                cases.push(run(keeper, &path, size, time)?);
            }
        }
        for (keeper, of_keeper) in KEEPERS.into_iter().zip(&cases) {
            let show = |number: fn(&Case) -> f64, decimals| {
                let summary = Summary::of(of_keeper.iter().map(number));
                summary.map_or_else(String::new, |summary| summary.show(decimals))
            };
            let pairs = of_keeper.iter().zip(&cases[0]);
            let ratios =
                pairs.map(|(case, floor)| case.commits_per_second / floor.commits_per_second);
            let ratio = Summary::of(ratios).map_or_else(String::new, |ratio| ratio.show(2));
            writeln!(
                text,
                "| {size} | {} | {} | {ratio} | {} | {} | {} |",
                format!("{keeper:?}").to_lowercase(),
                show(|case| case.commits_per_second, 0),
                show(|case| case.written, 1),
                show(|case| case.p50_ms, 2),
                show(|case| case.p99_ms, 2),
            )?;
        }
    }
    text.push('\n');
    text.push_str(LEGEND);
    Ok(text)
}

fn run(keeper: Keeper, path: &Path, size: usize, time: Duration) -> Result<Case> {
    match keeper {
        Keeper::Floor => {
            let mut file = OpenOptions::new()
                .create_new(true)
                .append(true)
                .open(path)?;
            stream(size, time, |batch| {
                file.write_all(&encoded(batch))?;
                Ok(file.sync_data()?)
            })
        }
        Keeper::Folder => {
            let mut store = Folder::open(path, &Whose::Runtime, None)?;
            stream(size, time, |batch| Ok(store.commit(batch)?))
        }
        Keeper::Memory => {
            let mut store = Memory::default();
            stream(size, time, |batch| Ok(store.commit(batch)?))
        }
    }
}

/// Stores batch after batch for so long. Making them is not in the time.
fn stream(
    size: usize,
    time: Duration,
    mut store: impl FnMut(&Batch) -> Result<()>,
) -> Result<Case> {
    let mut lasted_us = Vec::new();
    let (mut number, mut payload, mut spent) = (0, 0, Duration::ZERO);
    let before = written()?;
    while spent < time {
        let batch = batch(number, size);
        payload += encoded(&batch).len();
        let start = Instant::now();
        store(&batch)?;
        let lasted = start.elapsed();
        spent += lasted;
        lasted_us.push(u32::try_from(lasted.as_micros()).unwrap_or(u32::MAX));
        number += size;
    }
    lasted_us.sort_unstable();
    let ms = |percent| percentile(&lasted_us, percent).map_or(0.0, |us| f64::from(us) / 1e3);
    Ok(Case {
        commits_per_second: number as f64 / spent.as_secs_f64(),
        written: (written()? - before) as f64 / payload as f64,
        p50_ms: ms(50),
        p99_ms: ms(99),
    })
}

/// The commits from `number` on.
fn batch(number: usize, size: usize) -> Batch {
    let mut batch = Batch::default();
    for number in number..number + size {
        let object = format!("ctxt://localhost/{}", number % OBJECTS);
        let version = number / OBJECTS;
        let commit = |version: usize| key(&[object.as_bytes(), &version.to_be_bytes()]);
        batch.put(Table::Commits, commit(version), [b'x'; BODY_BYTES]);
        batch.put(Table::Positions, object.as_bytes(), [0; 16]);
        if let Some(old) = version.checked_sub(HISTORY) {
            batch.remove(Table::Commits, commit(old));
        }
    }
    batch
}

/// What a file would have to hold of a batch.
fn encoded(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    for write in batch.writes() {
        if let Write::Put(row) = write {
            bytes.extend_from_slice(&row.key);
            bytes.extend_from_slice(&row.value);
        }
    }
    bytes
}

/// Bytes that this process has given the disk.
fn written() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("/proc/self/io does not say")?.parse()?)
}
