//! What is printed: a table for people, or one JSON object for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::recovery::{Recovered, Recovery};
use crate::room::Room;
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

const RECOVERY: &str = "\
- The node was killed and started again on its port. All observers and, in their midst, the Reporter
  connect without waiting for each other: WebSocket handshake, `open` without a key, `subscribe` with
  `hold` and the position of their copy. The Reporter proves its key, claims with its base, and answers each.
- **ms**: from the first connection until every observer has its 200, with the clients' and the
  Reporter's time in it. A node takes no claim in its first second; that second is over before.
- The floor accepts as many sockets, reads requests of the same lengths, and writes the same bytes, with
  the handshake's hash computed. It has no Reporter: what the node passes to and from it is the node's.
- **verified**: copies that the answer brought to where the Reporter stood, and that then got the next
  commits once and in order; at the floor, observers that got the bytes recorded at the node.
";

const KEPT: &str = "\
- The same object and the same missing commits at a node that keeps the object (`cache`) and was there all the time: it
  answers by itself, and the Reporter is asked nothing. The floor as above, with these bytes.
";

const ROOM: &str = "\
- A delivery is a child commit that a reader's socket has read. With it are counted the request to the
  Reporter, its answer, and the answer to the author: one of each for every so many deliveries.
- **by paced**: that of a delivery by what one of the object's own commits cost the same node's process,
  one each 100 ms, to the observers of the first table.
- **joining**: from the connection to the last page, by a whole runtime; the Reporter answers, in the same
  thread as who joins.
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
            "ratioRecoveryCpu": summary(|round| round.recovery.cpu_ratio()),
            "ratioRecoveryTime": summary(|round| round.recovery.wall_ratio()),
            "ratioKeptTime": summary(|round| round.kept.wall_ratio()),
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
            ..
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
        self.recovery(&mut text);
        self.kept(&mut text);
        self.room(&mut text);
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

    fn recovery(&self, text: &mut String) {
        let Some(first) = self.rounds.first().map(|round| round.recovery) else {
            return;
        };
        let title = format!("recovery of {} observers", first.observers);
        self.recoveries(text, &title, "", |round| &round.recovery);
        let count = |number: Number| self.show(0, |round| Some(number(round)));
        let _ = writeln!(
            text,
            "\n{RECOVERY}- The object has {} bytes, and an answer with the {} missing commits {}. \
             Requests that the node passed to the Reporter: {}; observers that came before its claim: {}.",
            first.object_bytes,
            first.missed,
            first.answer_bytes,
            count(|round| round.recovery.asked_of_reporter as f64),
            count(|round| round.recovery.told_to_wait as f64),
        );
    }

    fn kept(&self, text: &mut String) {
        let Some(first) = self.rounds.first().map(|round| round.kept) else {
            return;
        };
        let title = format!("{} observers come back", first.observers);
        self.recoveries(text, &title, ", target ≤ 6", |round| &round.kept);
        let _ = writeln!(
            text,
            "\n{KEPT}- Requests that the node passed to the Reporter: {}.",
            self.show(0, |round| Some(round.kept.asked_of_reporter as f64)),
        );
    }

    /// The table of a recovery at the node and at its floor.
    fn recoveries(
        &self,
        text: &mut String,
        title: &str,
        target: &str,
        of: impl Fn(&Round) -> &Recovery,
    ) {
        let _ = writeln!(
            text,
            "\n| {title} | CPU µs/observer | ratio | ms | ratio | kept waiting | clients busy | verified |\n\
             |---|---|---|---|---|---|---|---|"
        );
        let ratio = |number: fn(&Recovery) -> f64| self.show(2, |round| Some(number(of(round))));
        let node = [
            ratio(Recovery::cpu_ratio),
            ratio(Recovery::wall_ratio) + target,
        ];
        self.recovered(text, "node", &node, |round| &of(round).node);
        let floor = ["1", "1"].map(str::to_owned);
        self.recovered(text, "floor", &floor, |round| &of(round).floor);
    }

    fn room(&self, text: &mut String) {
        let Some(Room {
            authors,
            message_bytes,
            join,
            ..
        }) = self.rounds.first().map(|round| round.room)
        else {
            return;
        };
        let show = |decimals, number: Number| self.show(decimals, |round| Some(number(round)));
        let verified: usize = self.rounds.iter().map(|round| round.room.verified).sum();
        let _ = writeln!(
            text,
            "\n| a room of {authors} | CPU µs/delivery | by paced | kept waiting | clients busy | verified |\n\
             |---|---|---|---|---|---|\n| each says something each second, and reads all | {} | {} | {} | {} | {verified}/{} |\n\n\
             | joining a room | ms | node CPU ms | bytes |\n|---|---|---|---|\n| of {} children | {} | {} | {} |\n\n{ROOM}\
             - A message has {message_bytes} bytes on its author's way.",
            show(2, |round| round.room.cpu_us_per_delivery),
            show(2, |round| round.room.cpu_us_per_delivery
                / round.paced.node.cpu_us_per_delivery),
            show(2, |round| round.room.kept_waiting),
            show(2, |round| round.room.clients_busy),
            authors * self.rounds.len(),
            join.children,
            show(0, |round| round.room.join.ms),
            show(0, |round| round.room.join.node_cpu_ms),
            show(0, |round| round.room.join.bytes as f64),
        );
    }

    fn recovered(
        &self,
        text: &mut String,
        process: &str,
        [cpu_ratio, wall_ratio]: &[String; 2],
        side: impl Fn(&Round) -> &Recovered,
    ) {
        let verified: usize = self.rounds.iter().map(|round| side(round).verified).sum();
        let all: usize = self
            .rounds
            .iter()
            .map(|round| round.recovery.observers)
            .sum();
        let _ = writeln!(
            text,
            "| {process} | {} | {cpu_ratio} | {} | {wall_ratio} | {} | {} | {verified}/{all} |",
            self.show(1, |round| Some(side(round).cpu_us_per_observer)),
            self.show(0, |round| Some(side(round).wall_ms)),
            self.show(2, |round| Some(side(round).kept_waiting)),
            self.show(2, |round| Some(side(round).clients_busy)),
        );
    }

    fn show(&self, decimals: usize, number: impl Fn(&Round) -> Option<f64>) -> String {
        Summary::cell(self.rounds.iter().filter_map(number), decimals)
    }
}
