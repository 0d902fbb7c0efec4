//! What every seed is: the same each time, and never tame.

use byline_sim::{Plan, run};

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    for seed in [1, 7, 4_242] {
        let (first, second) = (run(&Plan::new(seed), false), run(&Plan::new(seed), true));
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}");
        assert_eq!(first.totals, second.totals, "seed {seed}");
        let other = run(&Plan::new(seed + 1), false);
        assert_ne!(
            first.fingerprint, other.fingerprint,
            "seed {seed} and the next"
        );
    }
}

#[test]
fn every_seed_has_many_commits_and_many_faults() {
    for seed in 1..=20 {
        let done = run(&Plan::new(seed), false);
        assert!(done.broken.is_none(), "seed {seed}: {:?}", done.broken);
        assert!(done.totals.commits() >= 300, "seed {seed}: {}", done.totals);
        assert!(done.totals.faults() >= 30, "seed {seed}: {}", done.totals);
    }
}
