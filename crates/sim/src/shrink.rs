//! The shortest plan that still breaks the same rule: steps are left out, half of them at first, then
//! fewer at a time, for as long as the failure stays.

use crate::oracle::Rule;
use crate::plan::{Plan, Step};
use crate::run;

/// Runs that may be spent on one failure.
const RUNS_MAX: usize = 600;

/// Leaves out of `plan` what is not needed to break `rule`.
#[must_use]
pub fn shrink(plan: &Plan, rule: Rule) -> Plan {
    let mut steps = plan.steps.clone();
    let (mut chunk, mut runs) = (steps.len().div_ceil(2), 0);
    while chunk > 0 && runs < RUNS_MAX {
        let mut start = 0;
        let before = steps.len();
        while start < steps.len() && runs < RUNS_MAX {
            let end = (start + chunk).min(steps.len());
            let fewer: Vec<Step> = [&steps[..start], &steps[end..]].concat();
            runs += 1;
            let broken = run(&plan.with(fewer.clone()), false).broken;
            if broken.is_some_and(|broken| broken.rule == rule) {
                steps = fewer;
            } else {
                start = end;
            }
        }
        if chunk == 1 && steps.len() == before {
            break;
        }
        chunk = if chunk == 1 { 1 } else { chunk / 2 };
    }
    plan.with(steps)
}
