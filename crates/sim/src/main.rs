//! `byline-sim`: runs seeds, and shows the shortest way to the first failure.

#![allow(
    clippy::print_stdout,
    reason = "it is a program, and this is its output"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use byline_sim::{Plan, Run, Totals, run, shrink};

/// Failures after which a batch ends: more would be of the same kinds.
const FAILURES_MAX: usize = 20;
const USAGE: &str = "usage: byline-sim SEED | --seeds N [--from SEED] | --forever";
/// From as many seeds on, whatever can happen must have happened.
const BATCH: u64 = 500;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
struct Batch {
    from: u64,
    count: u64,
    /// After so many failures it ends.
    failures_max: usize,
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Outcome {
    passed: u64,
    failed: Vec<u64>,
    totals: Totals,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(batch) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // A panic is a finding, told with its seed; its own words come with the replay.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = run_all(batch);
    let zeros = if batch.count >= BATCH {
        outcome.totals.zeros()
    } else {
        vec![]
    };
    for seed in outcome.failed.iter().take(1) {
        show(*seed);
    }
    if !zeros.is_empty() {
        println!("never met in {} seeds: {}", batch.count, zeros.join(", "));
    }
    let failed = outcome.failed.len() as u64 + u64::from(!zeros.is_empty());
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {} passed; {failed} failed",
        outcome.passed
    );
    println!("totals: {}", outcome.totals);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(arguments: &[String]) -> Option<Batch> {
    let number = |text: &String| text.parse::<u64>().ok();
    match arguments {
        [flag] if flag == "--forever" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            let from = u64::from(now.subsec_nanos()) << 20;
            println!("from seed {from}");
            Some(Batch {
                from,
                count: u64::MAX - from,
                failures_max: 1,
            })
        }
        [flag, count] if flag == "--seeds" => Some(Batch {
            from: 1,
            count: number(count)?,
            failures_max: FAILURES_MAX,
        }),
        [seeds, count, flag, from] if seeds == "--seeds" && flag == "--from" => Some(Batch {
            from: number(from)?,
            count: number(count)?,
            failures_max: FAILURES_MAX,
        }),
        [seed] => Some(Batch {
            from: number(seed)?,
            count: 1,
            failures_max: 1,
        }),
        _ => None,
    }
}

/// Runs a batch on all cores.
fn run_all(batch: Batch) -> Outcome {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failures) = (AtomicU64::new(0), AtomicUsize::new(0));
    let outcome = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut mine = Outcome::default();
                while failures.load(Ordering::Relaxed) < batch.failures_max {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= batch.count {
                        break;
                    }
                    let seed = batch.from + index;
                    let done = run(&Plan::new(seed), false);
                    mine.totals.merge(&done.totals);
                    match done.broken {
                        None => mine.passed += 1,
                        Some(broken) => {
                            println!("seed {seed}: {}: {}", broken.rule, broken.what);
                            mine.failed.push(seed);
                            failures.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                let mut all = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                all.passed += mine.passed;
                all.failed.extend(mine.failed);
                all.totals.merge(&mine.totals);
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.failed.sort_unstable();
    outcome
}

/// Shows how a seed fails, as short as can be.
fn show(seed: u64) {
    let plan = Plan::new(seed);
    let Some(broken) = run(&plan, false).broken else {
        return;
    };
    let short = shrink(&plan, broken.rule);
    println!(
        "\nseed {seed} in {} of its {} steps:",
        short.len(),
        plan.len()
    );
    for line in short.lines() {
        println!("  {line}");
    }
    drop(std::panic::take_hook());
    let Run { broken, events, .. } = run(&short, true);
    println!("\nthe last events:");
    for event in events {
        println!("  {event}");
    }
    if let Some(broken) = broken {
        println!("\n{}: {}", broken.rule, broken.what);
    }
}
