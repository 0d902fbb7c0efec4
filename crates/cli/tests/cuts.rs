//! Observers whose connections are cut again and again follow an object that never stops, and end
//! with exactly what its Reporter has.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use byline_proxy::{Faults, Proxy, Random};
use serde_json::Value;

use crate::common::document::document;
use crate::common::{Home, Node, Program, byline, report, write};

const OBJECT: &str = "ctxt://localhost/kitchen";
const OBSERVERS: usize = 20;
/// Commits, after the initial data.
const VERSIONS: u64 = 1000;
/// One line each: 50 in a second.
const PACE: Duration = Duration::from_millis(20);
const CUTS_MIN: u64 = 200;
/// Cuts from the middle of the upgrade to a second of commits.
const FAULTS: Faults = Faults {
    down: 50..12_000,
    up: u64::MAX - 1..u64::MAX,
    commits: None,
};

/// What an Observer has been through.
#[derive(Default)]
struct Journey {
    /// The hash of each version seen; each is some position of the original.
    hashes: BTreeMap<u64, String>,
    last: Value,
    /// Times it lost the way to the node and found it again.
    recoveries: u64,
}

#[test]
fn twenty_observers_follow_through_two_hundred_cuts() {
    let seed = Random::seed();
    println!("replay with BYLINE_SEED={seed}");
    let home = Home::new("cuts");
    let node = Node::start();
    let proxies: Vec<Proxy> = (0..OBSERVERS as u64)
        .map(|number| Proxy::start(node.address(), seed ^ number, FAULTS).unwrap())
        .collect();
    let mut reporter = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        &document(0).to_string(),
        &["--public"],
    );
    let observers: Vec<JoinHandle<Journey>> = (0..OBSERVERS)
        .map(|number| {
            let user = format!("observer-{number}");
            let until = ["--until-version", "1000", "--timeout", "120"];
            let observer = byline(
                &home,
                proxies[number].url(),
                &user,
                &["observe", OBJECT],
                &until,
            );
            thread::spawn(move || journey(number, observer))
        })
        .collect();

    let mut hashes = BTreeMap::new();
    let started = Instant::now();
    for version in 1..=VERSIONS {
        // The load is part of what is tested; nothing is waited for here.
        let due = PACE * u32::try_from(version).unwrap();
        thread::sleep(due.saturating_sub(started.elapsed()));
        let reported = write(&mut reporter, &document(version).to_string());
        assert_eq!(reported["version"], version);
        hashes.insert(version, reported["hash"].as_str().unwrap().to_owned());
    }

    let mut recoveries = 0;
    for (number, observer) in observers.into_iter().enumerate() {
        let journey = observer
            .join()
            .unwrap_or_else(|_| panic!("observer {number}, seed {seed}"));
        for (version, hash) in journey.hashes.range(1..) {
            assert_eq!(
                Some(hash),
                hashes.get(version),
                "observer {number} at {version}"
            );
        }
        assert_eq!(journey.last["version"], VERSIONS, "observer {number}");
        assert_eq!(
            journey.last["data"],
            document(VERSIONS),
            "observer {number}"
        );
        assert_eq!(journey.last["hash"], hashes[&VERSIONS], "observer {number}");
        recoveries += journey.recoveries;
    }
    let cuts: u64 = proxies
        .iter()
        .map(|proxy| proxy.counts().cuts.load(Ordering::Relaxed))
        .sum();
    println!(
        "{cuts} cuts, {recoveries} recoveries, {:?}",
        started.elapsed()
    );
    assert!(cuts >= CUTS_MIN, "only {cuts} cuts, seed {seed}");

    reporter.signal(rustix::process::Signal::TERM);
    reporter.ended().assert_success();
}

/// Reads all that an Observer prints, and checks that its copy never was anything but a position of
/// the original, never an older one.
fn journey(number: usize, observer: Program) -> Journey {
    let mut journey = Journey::default();
    let mut before = 0;
    while let Some(line) = observer.next_line() {
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "state" {
            journey.recoveries += u64::from(event["state"] == "stale");
            continue;
        }
        if event["event"] == "counters" {
            continue;
        }
        let version = event["version"]
            .as_u64()
            .unwrap_or_else(|| panic!("{number}: {event}"));
        assert!(
            version >= before,
            "observer {number} went back from {before} to {version}"
        );
        before = version;
        assert_eq!(
            event["data"],
            document(version),
            "observer {number} at {version}"
        );
        let hash = event["hash"].as_str().unwrap().to_owned();
        let known = journey
            .hashes
            .insert(version, hash.clone())
            .unwrap_or_else(|| hash.clone());
        assert_eq!(hash, known, "observer {number} at {version}");
        journey.last = event;
    }
    let ended = observer.ended();
    assert_eq!(ended.code, Some(0), "observer {number}: {ended:#?}");
    journey
}
