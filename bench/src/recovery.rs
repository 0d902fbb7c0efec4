//! Recovery: every observer of an object comes back at once, to a node that was killed and has
//! forgotten everything, or to one that keeps the object and answers by itself; then the same at a process that only reads
//! and writes the same bytes.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use byline_core::limits::FIRST_SECOND_MS;
use byline_core::message::Header;
use byline_core::message::body::Subscribe;
use byline_core::stream::{Digest, ObserverStream, Position};
use serde::Serialize;
use serde_json::Value;

use crate::join::{join, open, subscribe};

use crate::machine::{Cores, own_cpu};
use crate::process::Process;
use crate::recording::Recording;
use crate::reporter::{Claimed, Reporter};
use crate::round::SETTLE;
use crate::storm::{Answers, Requests, Storm};

/// Most observers of this case: a node forwards no more than 1,024 unanswered requests for an object.
pub(crate) const OBSERVERS_MAX: usize = 1_000;
/// Fields of the object: with their texts about 10 KiB.
const FIELDS: usize = 96;
/// Commits that the Reporter writes while there is no node.
const MISSED: usize = 16;
/// Commits written when every observer has recovered.
const LATER: usize = 2;

/// Who answers the observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// The Reporter: the node has been killed, and keeps nothing.
    Reporter,
    /// The node, which was there all the time, and keeps the object.
    Node,
}

/// What one process took for a recovery.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recovered {
    pub(crate) cpu_us_per_observer: f64,
    /// From the first connection until every observer had its 200.
    pub(crate) wall_ms: f64,
    /// The part of the time in which the process could have run and something else did.
    pub(crate) kept_waiting: f64,
    /// The part of their core that the clients used.
    pub(crate) clients_busy: f64,
    /// Observers that ended where they should.
    pub(crate) verified: usize,
}

/// A recovery at the node, and at its floor.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recovery {
    pub(crate) observers: usize,
    /// The bytes of the object, and of the 200 to an observer that lacks `missed` commits.
    pub(crate) object_bytes: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) missed: usize,
    /// Requests that the node passed to the Reporter.
    pub(crate) asked_of_reporter: usize,
    /// Observers that came before the claim, and were told to wait for it.
    pub(crate) told_to_wait: usize,
    pub(crate) node: Recovered,
    pub(crate) floor: Recovered,
}

impl Recovery {
    pub(crate) fn cpu_ratio(&self) -> f64 {
        self.node.cpu_us_per_observer / self.floor.cpu_us_per_observer
    }

    pub(crate) fn wall_ratio(&self) -> f64 {
        self.node.wall_ms / self.floor.wall_ms
    }
}

/// Runs the case at a fresh node and at a fresh floor.
pub(crate) fn run(
    cores: Cores,
    byline: &OsStr,
    observers: usize,
    answering: Answering,
) -> Result<Recovery> {
    let observers = observers.min(OBSERVERS_MAX);
    let (process, mut reporter, copies) = before(cores, byline, observers, answering)?;
    let object_bytes = serde_json::to_vec(&*reporter.stream()?.data())?.len();
    let have = reporter.stream()?.position();
    let requests = requests(observers, have)?;
    let process = missing(cores, byline, process, &mut reporter, answering)?;
    let recovered = reporter.stream()?.position();

    let mut storm = match answering {
        Answering::Reporter => Storm::new(Some(&mut reporter))?,
        Answering::Node => Storm::beside(&mut reporter)?,
    };
    let mut node = measured(&process, &mut storm, &requests).context("node, recovery")?;
    let asked_of_reporter = storm.answered;
    let later = storm.commit(LATER).context("node, after the recovery")?;
    // The process closes the sockets, so that no port of the clients' waits.
    drop(process);
    let answers = storm.into_answers();
    let expected = Expected {
        recovered: recovered.context("the object has no position")?,
        later,
        data: reporter.stream()?.data(),
    };
    for (number, (copy, answers)) in copies.iter().zip(&answers).enumerate() {
        let checked = expected.check(copy, answers);
        checked.with_context(|| format!("observer {number} has not recovered"))?;
        node.verified += 1;
    }

    let recording = Recording::new(&requests, &answers)?;
    let floor = at_floor(cores, &requests, &recording).context("floor, recovery")?;
    let answer = answers.first().and_then(|first| first.subscribed.last());
    let waited = |answers: &&Answers| answers.subscribed.len() > 1;
    Ok(Recovery {
        observers,
        object_bytes,
        answer_bytes: answer.map_or(0, String::len),
        missed: MISSED,
        asked_of_reporter,
        told_to_wait: answers.iter().filter(waited).count(),
        node,
        floor,
    })
}

/// What was before: the Reporter writes every field, and each observer gets its copy, the answer to its
/// `subscribe`. Then all observers are cut off.
fn before(
    cores: Cores,
    byline: &OsStr,
    observers: usize,
    answering: Answering,
) -> Result<(Process, Reporter, Vec<String>)> {
    let process = start_node(cores, byline, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let claimed = Claimed {
        fields: FIELDS,
        kept: answering == Answering::Node,
        ..Claimed::default()
    };
    let mut reporter = Reporter::claim_as(process.address, claimed)?;
    let written = reporter.write(FIELDS)?;
    reporter.send(&written.messages)?;
    // The node has taken all of it.
    sleep(SETTLE);
    let answers = (answering == Answering::Reporter).then_some(&mut reporter);
    let joined = join(process.address, answers, 0..observers)?;
    let copies = joined.into_iter().map(|observer| observer.answer);
    Ok((process, reporter, copies.collect()))
}

/// What the observers miss: the Reporter writes on, while there is no node, or at one that keeps it.
fn missing(
    cores: Cores,
    byline: &OsStr,
    process: Process,
    reporter: &mut Reporter,
    answering: Answering,
) -> Result<Process> {
    if answering == Answering::Node {
        let written = reporter.write(MISSED)?;
        reporter.send(&written.messages)?;
        return Ok(process);
    }
    let address = process.address;
    drop(process);
    reporter.cut()?;
    reporter.write(MISSED)?;
    let process = start_node(cores, byline, address)?;
    // A node without records takes no claim in its first second, which is nobody's work.
    sleep(Duration::from_millis(FIRST_SECOND_MS));
    Ok(process)
}

fn start_node(cores: Cores, byline: &OsStr, listen: SocketAddr) -> Result<Process> {
    let args = ["node", "--listen", &listen.to_string(), "--json"].map(str::to_owned);
    Process::start(&[cores.server], byline, &args)
}

fn requests(observers: usize, have: Option<Position>) -> Result<Vec<Requests>> {
    let one = |number| {
        let body = Subscribe {
            have: have.map(Digest::from),
            hold: true,
            ..Subscribe::default()
        };
        Ok(Requests::new(&open(number), &subscribe(number, body)?))
    };
    (0..observers).map(one).collect()
}

fn at_floor(cores: Cores, requests: &[Requests], recording: &Recording) -> Result<Recovered> {
    let args = ["floor", "recovery", &requests.len().to_string()].map(str::to_owned);
    let this = std::env::current_exe()?;
    let process = Process::start(&[cores.server], this.as_os_str(), &args)?;
    let _feed = recording.hand_to(process.address)?;
    let mut storm = Storm::new(None)?;
    let mut floor = measured(&process, &mut storm, requests)?;
    drop(process);
    for (exchange, answers) in recording.observers.iter().zip(storm.into_answers()) {
        ensure!(
            exchange.opened == answers.opened && exchange.subscribed == answers.subscribed,
            "the floor wrote something else than the node"
        );
        floor.verified += 1;
    }
    Ok(floor)
}

fn measured<'a>(
    process: &Process,
    storm: &mut Storm<'a>,
    requests: &'a [Requests],
) -> Result<Recovered> {
    sleep(SETTLE);
    let (cpu, clients, start) = (process.cpu()?, own_cpu(), Instant::now());
    storm.recover(process.address, requests)?;
    let (clients, wall) = (own_cpu() - clients, start.elapsed());
    // A running thread's processor time is as old as its last tick.
    sleep(SETTLE);
    let spent = process.cpu()?.since(&cpu);
    let seconds = wall.as_secs_f64();
    Ok(Recovered {
        cpu_us_per_observer: spent.ran.as_secs_f64() * 1e6 / requests.len() as f64,
        wall_ms: seconds * 1e3,
        kept_waiting: spent.waited.as_secs_f64() / seconds,
        clients_busy: clients.as_secs_f64() / seconds,
        verified: 0,
    })
}

/// Where every observer ends.
struct Expected {
    /// Where the Reporter stood when the node was back.
    recovered: Position,
    /// The commits that it made when all observers had recovered.
    later: Vec<String>,
    /// The data after those.
    data: Arc<Value>,
}

impl Expected {
    /// Takes what an observer was answered to its `copy`, as an Observer does.
    fn check(&self, copy: &str, answers: &Answers) -> Result<()> {
        let mut stream = ObserverStream::new();
        let answer = answers.subscribed.last().context("no answer")?;
        stream.content(body(copy)?);
        stream.content(body(answer)?);
        ensure!(
            stream.position() == Some(self.recovered),
            "it stands at {:?} and not at {}",
            stream.position(),
            self.recovered
        );
        ensure!(
            answers.later == self.later,
            "the commits that followed came as {:?} and not as {:?}",
            answers.later,
            self.later
        );
        for commit in &answers.later {
            stream.commit(body(commit)?);
        }
        ensure!(
            stream.data().as_ref() == Some(&self.data),
            "its data is not the Reporter's"
        );
        Ok(())
    }
}

fn body(message: &str) -> Result<&str> {
    let header = Header::peek(message).map_err(|malformed| malformed.refusal)?;
    Ok(header.body)
}

#[cfg(test)]
mod tests {
    use byline_core::message::{Type, encode};
    use byline_core::object::{Change, Metadata, Path};
    use byline_core::stream::ReporterStream;
    use byline_core::time::Time;
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn message(body: &str) -> String {
        let body: Box<RawValue> = serde_json::from_str(body).unwrap();
        encode("2", Type::Response, "a", "b", &body)
    }

    fn reporter() -> ReporterStream {
        let metadata = Metadata {
            url: "ctxt://localhost/bench".to_owned(),
            ..Metadata::default()
        };
        let source = "hyperty://localhost/reporter".parse().unwrap();
        let mut reporter = ReporterStream::new(metadata, source, json!({"n": 0})).unwrap();
        reporter.claimed(7, Position::new(7, 0));
        reporter
    }

    fn write(reporter: &mut ReporterStream, n: u64) -> String {
        let path = Path::parse("n").unwrap();
        let value = json!(n);
        let change = Change::Set { path, value };
        reporter
            .write(vec![change], Time::from_unix_ms(1_000))
            .unwrap();
        message(reporter.next_unsent().unwrap().unwrap().get())
    }

    #[test]
    fn a_copy_has_recovered_when_it_is_where_the_reporter_is_and_gets_each_later_commit_once() {
        let mut reporter = reporter();
        let copy = message(&reporter.content(None, true));
        let have = reporter.position();
        let missed = write(&mut reporter, 1);
        let behind = message(&reporter.content(have, false));
        write(&mut reporter, 2);
        let answer = message(&reporter.content(have, false));
        let recovered = reporter.position().unwrap();
        let later = [3, 4].map(|n| write(&mut reporter, n));
        let data = reporter.data();
        let expected = Expected {
            recovered,
            later: later.to_vec(),
            data,
        };
        let check = |copy: &str, answer: &str, later: &[&String]| {
            let answers = Answers {
                subscribed: vec![answer.to_owned()],
                later: later.iter().copied().cloned().collect(),
                ..Answers::default()
            };
            let checked = expected.check(copy, &answers);
            checked.map_err(|error| error.to_string())
        };
        let [first, second] = &later;
        assert_eq!(check(&copy, &answer, &[first, second]), Ok(()));
        for (answer, later, why) in [
            (&behind, &[first, second][..], "it stands at"),
            (&answer, &[first], "the commits that followed"),
            (
                &answer,
                &[first, first, second],
                "the commits that followed",
            ),
            (&answer, &[second, first], "the commits that followed"),
            (
                &answer,
                &[&missed, first, second],
                "the commits that followed",
            ),
        ] {
            let wrong = check(&copy, answer, later).unwrap_err();
            assert!(wrong.contains(why), "{wrong}");
        }
    }

    #[test]
    fn a_copy_with_other_data_has_not_recovered() {
        let mut reporter = reporter();
        let copy = message(&reporter.content(None, true));
        let answer = message(&reporter.content(reporter.position(), false));
        let expected = Expected {
            recovered: reporter.position().unwrap(),
            later: vec![],
            data: Arc::new(json!({"n": 1})),
        };
        let answers = Answers {
            subscribed: vec![answer],
            ..Answers::default()
        };
        let wrong = expected.check(&copy, &answers).unwrap_err().to_string();
        assert!(wrong.contains("its data is not the Reporter's"), "{wrong}");
    }
}
