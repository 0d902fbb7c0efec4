//! A whole Byline world in one thread, made to break it.
//!
//! A seed decides everything: who there is, what they write and follow, which faults strike when, and
//! what liars say. The machines are the real ones of `byline-core`; the links, the clocks and the
//! applications are made here, and an oracle checks at every step what must always hold. The same
//! seed is the same run, byte for byte. `docs/testing.md` tells how to read a failure.
//!
//! ```
//! let run = byline_sim::run(&byline_sim::Plan::new(1), false);
//! assert!(run.broken.is_none(), "{:?}", run.broken);
//! assert!(run.totals.commits() >= 300);
//! ```

mod application;
mod authoring;
mod child_forgery;
mod clock;
mod commanding;
mod disk;
mod ending;
mod ending_children;
mod fault;
mod forgery;
mod handing;
mod liar;
mod link;
mod lying_reporter;
mod node_driver;
mod oracle;
mod outliving;
mod place;
mod plan;
mod random;
mod returning;
mod runtime_driver;
mod scene;
mod shrink;
mod storing;
mod totals;
mod trace;
mod withholding;
mod world;
mod writing;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use oracle::{Broken, Rule};
pub use plan::Plan;
pub use shrink::shrink;
pub use totals::Totals;

/// What became of a plan.
#[derive(Clone, Debug)]
pub struct Run {
    /// The rule that was broken first, if any.
    pub broken: Option<Broken>,
    /// What was met.
    pub totals: Totals,
    /// A number that stands for every frame and its time.
    pub fingerprint: u64,
    /// The last events, when they were wanted.
    pub events: Vec<String>,
}

/// Runs `plan`. With `traced` the last events are kept, which costs time.
#[must_use]
pub fn run(plan: &Plan, traced: bool) -> Run {
    let mut world = world::World::new(plan.clone(), traced);
    let panicked = catch_unwind(AssertUnwindSafe(|| world.runs())).is_err();
    let world::World {
        mut oracle,
        totals,
        trace,
        now,
        ..
    } = world;
    if panicked {
        oracle.breaks(Rule::Panic, || format!("a machine panicked at {now} ms"));
    }
    Run {
        broken: oracle.into_broken(),
        totals,
        fingerprint: trace.fingerprint(),
        events: trace.into_events(),
    }
}
