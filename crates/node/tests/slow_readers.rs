//! Readers that do not keep up (protocol.md §7), beside those that do.

use byline_core::limits::QUEUE_BYTES_MAX;
use byline_core::object::{Hash, Path};
use byline_core::runtime::Seat;
use byline_core::stream::Origin;
use serde_json::{Value, json};

use crate::support::machine::{Machine, address};
use crate::support::{Client, FIN, Node, TEXT, await_metric, metric, metrics, node, value};

const HEAVY: &str = "heavy";
const LIGHT: &str = "light";
/// What one commit sets.
const VALUE_BYTES: usize = 256 << 10;
/// Four times what may wait for a connection: more than that and what the kernel keeps.
const ROUNDS: usize = 4 * QUEUE_BYTES_MAX / VALUE_BYTES;

fn object(reporter: &mut Machine, id: &str) -> Seat {
    reporter.creates(id, json!({"round": 0, "value": ""}))
}

/// A runtime with a copy of each object that was just created, which from then on takes nothing.
fn slow<const N: usize>(
    node: &Node,
    reporter: &mut Machine,
    objects: [&Seat; N],
) -> (Machine, [Seat; N]) {
    let mut slow = Machine::connect(node, 2);
    let copies = objects.map(|object| {
        let copy = slow.subscribes(object.object.id());
        assert!(reporter.take());
        slow.follows_to(&copy, reporter.position(object));
        copy
    });
    (slow, copies)
}

/// A client that reads the heavy object.
fn reader(node: &Node, reporter: &mut Machine, name: &str) -> Client {
    let mut reader = Client::connect(node);
    reader.open(&format!("hyperty-runtime://localhost/{name}"));
    reader.send(&json!({
        "id": "s", "type": "subscribe", "from": format!("hyperty://localhost/{name}"),
        "to": address(HEAVY).resource("subscription"), "body": {},
    }));
    assert!(reporter.take());
    assert_eq!(reader.message()["body"]["code"], 200);
    reader
}

/// Commits `bytes` that no other round has.
fn write(reporter: &mut Machine, object: &Seat, round: usize, bytes: usize) {
    let value = format!("{round} {}", "x".repeat(bytes));
    reporter.writes(object, Path::root().child("value"), json!(value));
}

/// Streams that wait for it do not keep what it says itself from being read.
fn says_what_is_read(node: &Node, slow: &mut Machine) {
    let to = "hyperty://localhost/nobody";
    slow.client
        .send(&json!({"id": "not found", "type": "read", "from": slow.runtime.url(), "to": to}));
    await_metric(node, "byline_refusals_total{code=\"404\"} ", 1);
}

fn assert_equal(slow: &Machine, copy: &Seat, reporter: &Machine, object: &Seat) {
    assert_eq!(Hash::of(&slow.data(copy)), Hash::of(&reporter.data(object)));
}

fn origins(slow: &Machine, copy: &Seat) -> Vec<Origin> {
    let told = slow.changes.iter().filter(|(seat, _)| seat == copy);
    told.map(|(_, changed)| changed.origin).collect()
}

#[test]
fn who_takes_nothing_while_64_mib_are_committed_recovers_beside_a_hundred_that_keep_up() {
    let node = node();
    let mut reporter = Machine::connect(&node, 1);
    let heavy = object(&mut reporter, HEAVY);
    let (mut slow, copies) = slow(&node, &mut reporter, [&heavy]);
    let mut vanishing = Some(reader(&node, &mut reporter, "vanishing"));
    let mut readers: Vec<_> = (0..100)
        .map(|n| reader(&node, &mut reporter, &format!("o{n}")))
        .collect();
    for round in 1..=ROUNDS {
        write(&mut reporter, &heavy, round, VALUE_BYTES);
        for reader in &mut readers {
            let frame = reader.frame();
            assert_eq!(frame.first, FIN | TEXT);
            assert!(frame.payload == reporter.sent.as_bytes(), "round {round}");
        }
        // One that vanishes with a full queue holds up nobody.
        vanishing = vanishing.filter(|_| round < ROUNDS / 8);
        let bounded = QUEUE_BYTES_MAX as u64 * (1 + u64::from(vanishing.is_some()));
        let queued = metric(&node, "byline_queued_bytes ");
        assert!(queued <= bounded, "{queued} bytes wait in round {round}");
    }
    assert_eq!(metric(&node, "byline_parked_routes "), 1);
    assert_eq!(metric(&node, "byline_parkings_total "), 1);
    assert_eq!(metric(&node, "byline_routes "), 101);

    // It reads again.
    let last = reporter.position(&heavy);
    let reporting = std::thread::spawn(move || reporter.serves());
    slow.follows_to(&copies[0], last);
    assert!(metric(&node, "byline_wakes_total ") >= 1);
    assert_eq!(metric(&node, "byline_parked_routes "), 0);
    await_metric(&node, "byline_queued_bytes ", 0);
    let page = metrics(&node);
    assert!(!page.contains("code=\"4008\""), "{page}");
    drop((readers, vanishing));
    let mut node = node;
    node.stops();
    let reporter = reporting.join().unwrap();
    assert_equal(&slow, &copies[0], &reporter, &heavy);
    // What it lacks is more than the history keeps.
    assert_eq!(origins(&slow, &copies[0]).last(), Some(&Origin::Snapshot));
}

#[test]
fn of_two_objects_only_the_one_that_weighs_is_parked() {
    let node = node();
    let mut reporter = Machine::connect(&node, 1);
    let (heavy, light) = (object(&mut reporter, HEAVY), object(&mut reporter, LIGHT));
    let (mut slow, copies) = slow(&node, &mut reporter, [&heavy, &light]);
    let mut asked = false;
    for round in 1..=ROUNDS {
        write(&mut reporter, &heavy, round, VALUE_BYTES);
        reporter.writes(&light, Path::root().child("round"), json!(round));
        if !asked && metric(&node, "byline_queued_bytes ") > QUEUE_BYTES_MAX as u64 / 4 {
            asked = true;
            says_what_is_read(&node, &mut slow);
        }
    }
    assert!(asked);
    await_metric(&node, "byline_commits_total ", 2 * ROUNDS as u64);
    assert_eq!(metric(&node, "byline_parkings_total "), 1);
    let (last, last_light) = (reporter.position(&heavy), reporter.position(&light));
    let reporting = std::thread::spawn(move || reporter.serves());
    slow.follows_to(&copies[1], last_light);
    assert_eq!(origins(&slow, &copies[1])[1..], vec![Origin::Live; ROUNDS]);
    slow.follows_to(&copies[0], last);
    let mut node = node;
    node.stops();
    let reporter = reporting.join().unwrap();
    assert_equal(&slow, &copies[0], &reporter, &heavy);
    assert_equal(&slow, &copies[1], &reporter, &light);
}

#[test]
fn a_parked_route_sleeps_until_its_reader_has_taken_most_of_what_waits() {
    let node = node();
    let mut reporter = Machine::connect(&node, 1);
    let (heavy, light) = (object(&mut reporter, HEAVY), object(&mut reporter, LIGHT));
    let (mut slow, copies) = slow(&node, &mut reporter, [&heavy, &light]);
    for round in 1..=ROUNDS {
        write(&mut reporter, &heavy, round, VALUE_BYTES);
        write(&mut reporter, &light, round, VALUE_BYTES / 8 * 7);
        if metric(&node, "byline_parkings_total ") == 1 {
            break;
        }
    }
    // What the light object has queued stays, and is more than a quarter of the limit.
    let quarter = QUEUE_BYTES_MAX as u64 / 4;
    let last = reporter.position(&light);
    let mut slept = 0;
    while slow.position(&copies[1]) != last {
        assert!(slow.take());
        let page = metrics(&node);
        let queued = value(&page, "byline_queued_bytes ");
        if value(&page, "byline_parked_routes ") == 1 {
            slept += 1;
        } else {
            assert!(queued < quarter, "woken with {queued} bytes queued");
        }
    }
    assert!(slept > 0);
    assert_eq!(metric(&node, "byline_wakes_total "), 1);
}

#[test]
fn requests_alone_that_are_more_than_the_limit_close_with_4008_and_are_answered() {
    const REQUESTS: usize = 2 * QUEUE_BYTES_MAX / (1 << 20);
    let node = node();
    let mut slow = Client::connect(&node);
    slow.open("hyperty-runtime://localhost/slow");
    let mut asker = Client::connect(&node);
    asker.open("hyperty-runtime://localhost/asker");
    let padding = "x".repeat(1 << 20);
    for id in 0..REQUESTS {
        asker.send(&json!({
            "id": id, "type": "execute", "from": "hyperty-runtime://localhost/asker",
            "to": "hyperty-runtime://localhost/slow", "body": {"value": padding},
        }));
    }
    let mut codes = vec![Value::Null; REQUESTS];
    for _ in 0..REQUESTS {
        let answer = asker.message();
        let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
        assert_eq!(codes[id], Value::Null, "answered twice: {answer}");
        codes[id] = answer["body"]["code"].clone();
    }
    assert!(codes.iter().all(|code| code == 503), "{codes:?}");
    let page = metrics(&node);
    let closed = "byline_connections_closed_total{code=\"4008\"} 1";
    assert!(page.contains(closed), "{page}");
    assert_eq!(metric(&node, "byline_parkings_total "), 0);
    // It reads at last: whole frames in order, then the reason.
    let mut seen = 0;
    let close = loop {
        let frame = slow.frame();
        if frame.first != FIN | TEXT {
            break frame;
        }
        let request: Value = serde_json::from_slice(&frame.payload).unwrap();
        assert_eq!(request["id"], seen);
        seen += 1;
    };
    assert_eq!(close.close_code(), 4008);
    assert!((1..REQUESTS).contains(&seen), "{seen} of {REQUESTS}");
    await_metric(&node, "byline_queued_bytes ", 0);
}
