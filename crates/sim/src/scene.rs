//! Scenes: steps in an order that chance alone brings about too seldom.

use crate::fault::{Fault, outage};
use crate::plan::{Action, Plan, Step};
use crate::random::Random;
use crate::storing::Part;

/// Longer than the node keeps a session whose socket is lost.
const LONG_MS: u64 = 36_000;

/// The steps of one scene that begins at `at_ms`.
pub(crate) fn drawn(random: &mut Random, plan: &Plan, at_ms: u64) -> Vec<Step> {
    match random.between(0, 6) {
        0 | 1 => old_device_returns(random, plan, at_ms),
        2 | 3 => devices_take_turns(random, at_ms),
        4 | 5 => object_changes_hands(random, plan, at_ms),
        _ => crowd_leaves(random, plan, at_ms),
    }
}

fn write(object: usize, count: u64) -> Action {
    Action::Write {
        object,
        count,
        bytes: 0,
    }
}

/// Somebody loses the connection and some of what was on its way, and comes back at once, soon or late.
fn cut_off(random: &mut Random, who: usize) -> Action {
    Action::Fault(Fault::Cut {
        who,
        lost_up: random.index(4),
        lost_down: random.index(4),
        node_ms: 0,
        place_ms: Some(0),
        offline_ms: random.one_of(&[0, 2_500, LONG_MS]),
    })
}

/// The power of `part` fails a few batches from now.
fn power_fails(random: &mut Random, part: Part) -> Action {
    Action::Fault(Fault::Power {
        part,
        batches: random.between(1, 4),
        outage: outage(random),
    })
}

/// A device is away while another takes its object and writes; the node forgets, and the first comes
/// back before the other does.
fn old_device_returns(random: &mut Random, plan: &Plan, at_ms: u64) -> Vec<Step> {
    let (away, taker) = if random.chance(50) { (0, 1) } else { (1, 0) };
    let object = random.index(2);
    let write = |count: u64| write(object, count);
    let cut = |who: usize, offline_ms: u64| {
        Action::Fault(Fault::Cut {
            who,
            lost_up: 0,
            lost_down: 0,
            node_ms: 0,
            place_ms: Some(0),
            offline_ms,
        })
    };
    let discard = random.chance(50);
    let report = |device: usize| Action::Report {
        object,
        device,
        discard,
        take: true,
        deny: None,
    };
    let forgets = Action::Fault(Fault::Node {
        forgets: true,
        down_ms: 0,
        lost: 0,
    });
    let back_ms = random.between(4_000, LONG_MS);
    let mut steps = vec![
        (0, report(away)),
        (500, write(3)),
        (900, cut(away, back_ms)),
        (1_200, report(taker)),
        (2_000, write(random.between(1, 4))),
        (back_ms - 500, cut(taker, 6_000)),
        (back_ms - 400, forgets),
        (back_ms + 6_500, write(random.between(0, 8))),
    ];
    for who in 0..plan.places.len() {
        let echo = Action::Fault(Fault::Echo { who });
        steps.push((back_ms + random.between(200, 5_000), echo));
    }
    let step = |(after_ms, action)| Step {
        at_ms: at_ms + after_ms,
        action,
    };
    steps.into_iter().map(step).collect()
}

/// Two devices have an object in turns, and take it or do not, one or both of them cut off now and then; and the power
/// of a device or of the node fails while they write.
fn devices_take_turns(random: &mut Random, at_ms: u64) -> Vec<Step> {
    let object = random.index(2);
    let mut steps = vec![];
    let mut after_ms = 0;
    for turn in 0..6 {
        let device = turn % 2;
        let part = random.one_of(&[Part::Node, Part::Place(device), Part::Place(1 - device)]);
        let cut = cut_off(random, 1 - device);
        let power = power_fails(random, part);
        let write = |count: u64| write(object, count);
        let report = Action::Report {
            object,
            device,
            discard: false,
            take: random.chance(75),
            deny: None,
        };
        let mut then = |wait_ms: u64, action: Action| {
            after_ms += wait_ms;
            let at_ms = at_ms + after_ms;
            steps.push(Step { at_ms, action });
        };
        if random.chance(50) {
            then(0, cut);
        }
        then(random.between(0, 300), report);
        then(random.between(0, 900), write(random.between(1, 5)));
        if random.chance(60) {
            then(0, power);
        }
        then(random.between(0, 900), write(random.between(1, 5)));
        then(random.between(0, 2_000), Action::Flush { object });
        then(random.between(0, 4_000), write(1));
    }
    steps
}

/// An object is handed over again and again, or an owner takes it meanwhile; who is to have it, or anybody else, is cut
/// off, and the power of anybody or of the node fails while they write.
fn object_changes_hands(random: &mut Random, plan: &Plan, at_ms: u64) -> Vec<Step> {
    let object = plan.baton();
    let mut steps = vec![];
    let mut after_ms = 0;
    for _ in 0..6 {
        let (heir, other) = (
            random.index(plan.places.len()),
            random.index(plan.places.len()),
        );
        let who = random.one_of(&[heir, other]);
        let cut = cut_off(random, who);
        let part = random.one_of(&[Part::Node, Part::Place(heir), Part::Place(other)]);
        let power = power_fails(random, part);
        let write = |count: u64| write(object, count);
        let hand_over = Action::HandOver {
            object,
            heir,
            keep: random.chance(50),
        };
        let takes = Action::Report {
            object,
            device: other,
            discard: false,
            take: true,
            deny: None,
        };
        let mut then = |wait_ms: u64, action: Action| {
            after_ms += wait_ms;
            let at_ms = at_ms + after_ms;
            steps.push(Step { at_ms, action });
        };
        then(0, write(random.between(1, 5)));
        if random.chance(40) {
            then(0, power);
        }
        then(random.between(0, 30), hand_over);
        if random.chance(50) {
            then(random.between(0, 60), cut);
        }
        if random.chance(40) {
            then(random.between(0, 60), takes);
        }
        for _ in 0..4 {
            then(random.between(0, 60), write(random.between(1, 3)));
        }
        then(random.between(0, 4_000), Action::Flush { object });
    }
    steps
}

/// Everybody is cut off at once, and the node's machine comes back with or without its memory.
fn crowd_leaves(random: &mut Random, plan: &Plan, at_ms: u64) -> Vec<Step> {
    let mut steps = vec![];
    for who in 0..plan.places.len() {
        let fault = Fault::Cut {
            who,
            lost_up: random.index(4),
            lost_down: random.index(4),
            node_ms: random.between(0, 50),
            place_ms: random.chance(60).then_some(0),
            offline_ms: random.one_of(&[0, 3_000, LONG_MS]),
        };
        steps.push(Step {
            at_ms: at_ms + random.between(0, 40),
            action: Action::Fault(fault),
        });
    }
    steps
}
