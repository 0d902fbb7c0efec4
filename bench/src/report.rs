//! What is printed: a table for people, or one JSON object for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::round::{Case, Pair, Plan, Round};
use crate::stats::Summary;

const LEGEND: &str = "\
- **CPU µs/delivery**: processor time of the process, user and system, by delivery; the sum of its
  threads' /proc/PID/task/*/schedstat. A delivery is a commit that an observer's socket has read.
- **ratio**: that of the node by that of the floor of the same round.
- **deliveries/s**: by the wall clock, with the clients' time in it.
- **kept waiting**: the part of the time in which the process could have run and something else did;
  far from 0 the machine was not quiet, and the numbers are not to be quoted.
- **clients busy**: the part of their core that the clients used; near 1 they hold the server up.
- **p50, p99 ms**: from the write of the change to its reading; with the clients' own queue, so read
  them beside the floor's.
- **verified**: observers that read exactly the commits 1, 2, 3 … in this order, over all rounds.
- Each number is the median over the rounds, and (min–max).
";

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) plan: Plan,
    pub(crate) rounds: Vec<Round>,
}

/// One number of a round.
type Number = fn(&Round) -> f64;

impl Report {
    /// One JSON object: every round, and the numbers that the project has targets for.
    pub(crate) fn json(&self) -> String {
        let summary = |number: Number| Summary::of(self.rounds.iter().map(number));
        json!({
            "machine": self.machine,
            "plan": self.plan,
            "ratioSingle": summary(|round| round.single.ratio()),
            "ratioSaturated": summary(|round| round.saturated.ratio()),
            "kibPerObserver": summary(|round| round.joining.kib_per_observer),
            "rounds": self.rounds,
        })
        .to_string()
    }

    /// Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let Plan {
            observers,
            single,
            saturated,
            paced,
        } = self.plan;
        let (change, message) = self
            .rounds
            .first()
            .map_or((0, 0), |round| (round.change_bytes, round.message_bytes));
        let _ = writeln!(
            text,
            "# One object, {observers} observers, rounds: {}\n\n{}\n\nA change has {change} bytes, the \
             message it travels in {message}. No TLS, no compression, loopback.\n\n\
             - **single**: the next of {single} changes is sent when every observer has read the last.\n\
             - **saturated**: {saturated} changes, 32 in flight; the floor writes each burst with one \
             send per socket.\n\
             - **paced**: {paced} changes, one each 100 ms; the floor as in single.\n",
            self.rounds.len(),
            self.machine
        );
        text.push_str(
            "| case | process | CPU µs/delivery | ratio | deliveries/s | kept waiting | clients busy | p50 ms | p99 ms | verified |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        self.rows(&mut text, "single", "≤ 1.3", |round| &round.single);
        self.rows(&mut text, "saturated", "", |round| &round.saturated);
        self.rows(&mut text, "paced", "", |round| &round.paced);
        let _ = writeln!(text, "\n{LEGEND}");
        self.joining(&mut text);
        text
    }

    fn rows(&self, text: &mut String, name: &str, target: &str, pair: fn(&Round) -> &Pair) {
        let ratio = self.show(2, |round| Some(pair(round).ratio()));
        let target = if target.is_empty() {
            ratio
        } else {
            format!("{ratio}, target {target}")
        };
        self.row(text, name, "node", &target, |round| &pair(round).node);
        self.row(text, name, "floor", "1", |round| &pair(round).floor);
    }

    fn row(
        &self,
        text: &mut String,
        name: &str,
        process: &str,
        ratio: &str,
        case: impl Fn(&Round) -> &Case,
    ) {
        let verified: usize = self.rounds.iter().map(|round| case(round).verified).sum();
        let _ = writeln!(
            text,
            "| {name} | {process} | {} | {ratio} | {} | {} | {} | {} | {} | {verified}/{} |",
            self.show(2, |round| Some(case(round).cpu_us_per_delivery)),
            self.show(0, |round| Some(case(round).deliveries_per_second)),
            self.show(2, |round| Some(case(round).kept_waiting)),
            self.show(2, |round| Some(case(round).clients_busy)),
            self.show(2, |round| case(round).p50_ms),
            self.show(2, |round| case(round).p99_ms),
            self.plan.observers * self.rounds.len(),
        );
    }

    fn joining(&self, text: &mut String) {
        let show = |decimals, number: Number| self.show(decimals, |round| Some(number(round)));
        let _ = writeln!(
            text,
            "| node with {} observers | KiB/observer | RSS before KiB | RSS after KiB | connect ms |\n\
             |---|---|---|---|---|\n| a session and a route each | {} | {} | {} | {} |\n\n\
             - **KiB/observer**: what the node's RSS grew by, by observer; without the kernel's socket \
             buffers.\n\
             - **connect ms**: until every observer had its 200, 64 at a time: WebSocket handshake, \
             `open` without a key, `subscribe` answered by the Reporter.",
            self.plan.observers,
            show(2, |round| round.joining.kib_per_observer),
            show(0, |round| round.joining.rss_before_kib as f64),
            show(0, |round| round.joining.rss_after_kib as f64),
            show(0, |round| round.joining.connect_ms),
        );
    }

    fn show(&self, decimals: usize, number: impl Fn(&Round) -> Option<f64>) -> String {
        Summary::of(self.rounds.iter().filter_map(number))
            .map_or_else(|| "–".to_owned(), |summary| summary.show(decimals))
    }
}
