//! Many at once, and what is left of them: nothing.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::Write;

use byline_core::limits::{
    FRAME_BYTES_MAX, GRACE_MS, UNANSWERED_PER_ASKER_MAX, UNFINISHED_BYTES_MAX,
};
use byline_core::object::{Hash, Path};
use serde_json::{Value, json};

use crate::support::machine::Machine;
use crate::support::{
    Client, FIN, Node, OBJECT, PING, Reporter, TEXT, UPGRADE, await_metric, config, masked, metric,
    process, raise_open_files, tcp,
};

const CROWD: usize = 1_000;
const BURST: usize = 10_000;
const ENTRIES: usize = 1_000_000;

const TEST: &str = "crowds::nothing_is_left_of_a_crowd_a_burst_and_a_giant_and_the_same_again_takes_no_more_memory";

#[test]
fn nothing_is_left_of_a_crowd_a_burst_and_a_giant_and_the_same_again_takes_no_more_memory() {
    raise_open_files();
    if process::served() {
        return;
    }
    let (node, process) = process::node_of(TEST);
    round(&node);
    let first = process.resident_bytes();
    round(&node);
    let second = process.resident_bytes();
    let resident =
        format!("{first} bytes resident after the first round, {second} after the second");
    println!("{resident}");
    assert!(second * 100 < first * 105, "{resident}");
}

const HALVES: &str =
    "crowds::the_longest_messages_never_sent_to_their_end_cost_no_more_than_the_limit";

#[test]
fn the_longest_messages_never_sent_to_their_end_cost_no_more_than_the_limit() {
    if process::served() {
        return;
    }
    let (node, process) = process::node_of(HALVES);
    let before = process.resident_bytes();
    let whole = masked(FIN | TEXT, &vec![b' '; FRAME_BYTES_MAX]);
    let half = &whole[..whole.len() - 1];
    let fit = UNFINISHED_BYTES_MAX / half.len();
    for round in 1..=2 {
        let halves: Vec<_> = (0..2 * fit)
            .map(|_| {
                let mut client = Client::connect(&node);
                client.send_raw(half);
                client
            })
            .collect();
        let closed = "byline_connections_closed_total{code=\"1013\"} ";
        await_metric(&node, closed, (round * fit) as u64);
        let grown = process.resident_bytes() - before;
        println!(
            "{grown} bytes for {} messages without their last byte",
            2 * fit
        );
        assert!(grown < UNFINISHED_BYTES_MAX / 8 * 9, "{grown} bytes");
        drop(halves);
        await_metric(&node, "byline_unfinished_bytes ", 0);
    }
}

/// All that can happen to a node, and nothing of it is left.
fn round(node: &Node) {
    let mut reporter = Reporter::claim(node);
    burst(node, &mut reporter);
    crowd(node, &mut reporter);
    giant(node);
    drop(reporter);
    await_metric(node, "byline_connections ", 0);
    node.passes(std::time::Duration::from_millis(GRACE_MS));
    for gauge in [
        "connections",
        "sessions",
        "objects",
        "routes",
        "parked_routes",
        "unanswered_requests",
        "queued_bytes",
        "unfinished_bytes",
    ] {
        assert_eq!(metric(node, &format!("byline_{gauge} ")), 0, "{gauge}");
    }
}

/// More requests at once than anybody may have unanswered: each is answered once.
fn burst(node: &Node, reporter: &mut Reporter) {
    let mut asker = Client::connect(node);
    asker.open("hyperty-runtime://localhost/asker");
    let request = |id: usize| json!({"id": id, "type": "read", "from": "hyperty-runtime://localhost/asker", "to": OBJECT});
    let frames: Vec<_> = (0..BURST)
        .flat_map(|id| masked(FIN | TEXT, request(id).to_string().as_bytes()))
        .collect();
    let mut stream = asker
        .stream
        .try_clone()
        .unwrap_or_else(|error| panic!("{error}"));
    let asking = std::thread::spawn(move || stream.write_all(&frames));
    let mut open: BTreeSet<_> = (0..BURST as u64).collect();
    let mut answered = |answer: &Value, code: u64| {
        assert_eq!(answer["body"]["code"], code, "{answer}");
        let id = answer["id"].as_u64().unwrap_or(u64::MAX);
        assert!(open.remove(&id), "answered twice: {answer}");
    };
    for _ in UNANSWERED_PER_ASKER_MAX..BURST {
        answered(&asker.message(), 429);
    }
    assert!(asking.join().is_ok_and(|written| written.is_ok()));
    assert_eq!(
        metric(node, "byline_unanswered_requests "),
        UNANSWERED_PER_ASKER_MAX as u64
    );
    for _ in 0..UNANSWERED_PER_ASKER_MAX {
        let request = reporter.client.message();
        reporter.client.send(&json!({
            "id": request["id"], "type": "response", "from": request["to"], "to": request["from"],
            "body": {"code": 200},
        }));
        answered(&asker.message(), 200);
    }
    assert!(open.is_empty());
}

/// A thousand readers vanish at once: some with half a message, some with a request, some with more
/// waiting for them than their sockets take, some in the middle of the handshake.
fn crowd(node: &Node, reporter: &mut Reporter) {
    let mut readers: Vec<_> = (0..CROWD)
        .map(|n| reporter.admit(node, &format!("o{n}")))
        .collect();
    let mut halves: Vec<_> = (0..CROWD / 10).map(|_| tcp(node.local_addr())).collect();
    for half in &mut halves {
        assert!(half.write_all(&UPGRADE.as_bytes()[..60]).is_ok());
    }
    let connected = CROWD as u64 + 1;
    assert_eq!(metric(node, "byline_connections "), connected);
    assert_eq!(metric(node, "byline_routes "), CROWD as u64);
    let commit = reporter.commit(&"x".repeat(64 << 10));
    reporter.client.send_text(&commit);
    let mut asked = 0;
    for (n, reader) in readers.iter_mut().enumerate() {
        match n % 4 {
            0 => reader.send_raw(&masked(TEXT, &[b' '; 5_000])[..4_000]),
            1 => {
                asked += 1;
                reader.send(&json!({
                    "id": 5, "type": "read", "from": format!("hyperty://localhost/o{n}"), "to": OBJECT,
                }));
            }
            2 => assert_eq!(reader.frame().payload, commit.as_bytes()),
            _ => reader.send_raw(&masked(FIN | PING, b"gone")),
        }
    }
    for _ in 0..asked {
        assert_eq!(reporter.client.message()["type"], "read");
    }
    await_metric(node, "byline_unfinished_bytes ", 4_000 * CROWD as u64 / 4);
    assert_eq!(metric(node, "byline_unanswered_requests "), asked);
    drop((readers, halves));
    await_metric(node, "byline_connections ", 1);
    await_metric(node, "byline_routes ", 0);
    await_metric(node, "byline_queued_bytes ", 0);
    assert_eq!(metric(node, "byline_unanswered_requests "), 0);
    // The Reporter is pinged while they are gone, and still there.
    node.passes(config().ping_every);
    assert_eq!(reporter.client.frame().first, FIN | PING);
    reporter.client.pings("hyperty-runtime://localhost/r");
}

/// An object of a million entries is followed.
fn giant(node: &Node) {
    let mut reporter = Machine::connect(node, 1);
    let data = json!({"list": vec![0; ENTRIES]});
    let object = reporter.creates("giant", data);
    let mut observer = Machine::connect(node, 2);
    let copy = observer.subscribes("giant");
    assert!(reporter.take());
    observer.follows_to(&copy, reporter.position(&object));
    let last = (ENTRIES - 1).to_string();
    reporter.writes(&object, Path::root().child("list").child(last), json!(1));
    observer.follows_to(&copy, reporter.position(&object));
    assert_eq!(
        Hash::of(&observer.data(&copy)),
        Hash::of(&reporter.data(&object))
    );
}
