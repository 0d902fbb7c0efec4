//! What a Message Node costs per delivery, beside the least that the operating system allows.
//!
//! One object, 1,000 observers on loopback, a node on one core and all clients on another; then, in
//! the same round, a process that does nothing but write the same frames to as many sockets. The
//! numbers of one round are compared with each other, because those of different hours cannot be.

mod crowd;
mod durable;
mod floor;
mod frame;
mod join;
mod joiner;
mod line;
mod machine;
mod process;
mod recording;
mod recovery;
mod report;
mod reporter;
mod room;
mod round;
mod stats;
mod store;
mod storm;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use floor::Floor;
use machine::Cores;
use report::Report;
use round::Plan;

/// Measures what `byline node` costs per delivery, beside the floor of the operating system.
///
/// Prints a Markdown table. The node is `byline` beside this program, or what BYLINE_BIN names. Build
/// with --release, leave the machine alone meanwhile, and compare ratios rather than times. Fails
/// when an observer does not get exactly the commits that were sent, never because of a time.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Observers, each with a WebSocket of its own
    #[arg(long, default_value_t = 1_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=19_900))]
    observers: usize,
    /// Rounds: node and floors, one after the other [default: 5, with --quick 1]
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100))]
    rounds: Option<usize>,
    /// One round with fewer changes
    #[arg(long)]
    quick: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// What else this program does, and what it is when it starts itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// What storing costs, beside a file that is appended to and synced
    Store {
        /// Where to write: the disk that counts
        #[arg(default_value = ".")]
        place: PathBuf,
        /// Seconds of each case
        #[arg(long, default_value_t = 2)]
        seconds: u64,
        /// Rounds of all cases
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// What it costs that a node, and a Reporter, store what they send, and what joining costs then
    Durable {
        /// Where to write: the disk that counts
        #[arg(default_value = ".")]
        place: PathBuf,
        /// Rounds of all cases
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Writes the frames, and nothing else
    #[command(hide = true)]
    Floor { floor: Floor, observers: usize },
    /// Becomes another program, on these cores
    #[command(hide = true)]
    Pinned {
        #[arg(long, value_delimiter = ',')]
        cores: Vec<usize>,
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.role {
        Some(Role::Store {
            place,
            seconds,
            rounds,
        }) => measure_store(&place, rounds, seconds),
        Some(Role::Durable { place, rounds }) => measure_durable(&place, rounds),
        Some(Role::Floor { floor, observers }) => floor::run(observers, floor),
        Some(Role::Pinned {
            cores,
            program,
            args,
        }) => process::become_pinned(&cores, &program, &args),
        None => measure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
fn measure_store(place: &Path, rounds: usize, seconds: u64) -> Result<()> {
    print!(
        "{}",
        store::measure(place, rounds, Duration::from_secs(seconds))?
    );
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
fn measure_durable(place: &Path, rounds: usize) -> Result<()> {
    let cores = Cores::find()?;
    println!("{}\n", cores.machine());
    machine::pin(&[cores.clients])?;
    print!("{}", durable::measure(cores, &byline()?, place, rounds)?);
    Ok(())
}

/// The command that is measured.
fn byline() -> Result<OsString> {
    Ok(match std::env::var_os("BYLINE_BIN") {
        Some(byline) => byline,
        None => std::env::current_exe()?.with_file_name("byline").into(),
    })
}

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
fn measure(args: &Args) -> Result<()> {
    let byline = byline()?;
    let plan = Plan::new(args.observers, args.quick);
    let cores = Cores::find()?;
    let machine = cores.machine();
    machine::allow_sockets(args.observers)?;
    machine::pin(&[cores.clients])?;
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 5 });
    let rounds = (1..=rounds)
        .map(|number| {
            eprintln!("round {number} of {rounds}");
            round::run(cores, &byline, plan).with_context(|| format!("round {number}"))
        })
        .collect::<Result<_>>()?;
    let report = Report {
        machine,
        plan,
        rounds,
    };
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.markdown());
    }
    Ok(())
}
