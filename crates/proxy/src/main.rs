//! `byline-proxy ADDRESS SEED`: a proxy in front of the node at ADDRESS, as a storm has it. It prints
//! where it listens; SIGUSR1 calms it, SIGTERM has it print what it has done and ends it.

#![allow(clippy::print_stdout, reason = "a program of the command line")]

use std::sync::atomic::{AtomicU64, Ordering};

use byline_proxy::{Faults, Proxy};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, seed] = arguments.as_slice() else {
        return Err("say where the node is and a seed: byline-proxy 127.0.0.1:4680 1".into());
    };
    let mut calmed = signal(SignalKind::user_defined1())?;
    let mut ended = signal(SignalKind::terminate())?;
    let faults = Faults {
        // From the upgrade, which who starts must get through, to some seconds of commits.
        down: 1_000..40_000,
        up: 4_000..40_000,
        commits: Some(40),
    };
    let proxy = Proxy::start(address, seed.parse()?, faults)?;
    println!("{}", proxy.url());
    loop {
        tokio::select! {
            _ = calmed.recv() => proxy.calm(),
            _ = ended.recv() => break,
        }
    }
    let counts = proxy.counts();
    let said = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (cuts, twice, lost, late) = (&counts.cuts, &counts.twice, &counts.lost, &counts.late);
    println!(
        "cuts={} twice={} lost={} late={}",
        said(cuts),
        said(twice),
        said(lost),
        said(late)
    );
    Ok(())
}
