//! What costs a peer nothing costs the node little: connections, parts of messages, silence.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::support::{
    self, BINARY, Client, FIN, Node, PING, TEXT, UPGRADE, await_metric, config, http, masked,
    metric, metrics, node, node_with, raise_open_files, read_head, tcp,
};

const KIB: usize = 1 << 10;
const UNFINISHED: &str = "byline_unfinished_bytes ";
/// How long a request's head may take, and how long a close.
const HEAD: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(5);
/// Sockets that speak HTTP, beside the connections.
const SPARE_SOCKETS: usize = 1_000;

fn runtime(name: &str) -> String {
    format!("hyperty-runtime://localhost/{name}")
}

fn opened(node: &Node, name: &str) -> Client {
    let mut client = Client::connect(node);
    client.open(&runtime(name));
    client
}

/// The status of the answer to one more upgrade.
fn upgrade(node: &Node) -> String {
    let mut stream = tcp(node.local_addr());
    let request = format!("{UPGRADE}\r\n");
    stream.write_all(request.as_bytes()).unwrap_or_default();
    let head = read_head(&mut stream);
    head.split(' ').nth(1).unwrap_or(&head).to_owned()
}

/// Waits until this much has come in part: about, as a few bytes that came with the end of a message
/// before it are not counted.
fn await_unfinished(node: &Node, kib: u64) {
    let mut last = 0;
    for _ in 0..2_000 {
        last = metric(node, UNFINISHED);
        if last.div_ceil(KIB as u64) == kib {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{last} bytes have come in part, not {kib} KiB");
}

/// The first `sent` bytes of a message of `length`.
fn part(length: usize, sent: usize) -> Vec<u8> {
    let mut bytes = masked(FIN | TEXT, " ".repeat(length).as_bytes());
    bytes.truncate(sent);
    bytes
}

#[test]
fn one_connection_too_many_is_refused_until_another_goes() {
    let mut config = config();
    config.connections_max = 3;
    let node = node_with(config);
    let mut clients: Vec<_> = (0..3).map(|n| opened(&node, &format!("c{n}"))).collect();
    for refused in 1..=2 {
        assert_eq!(upgrade(&node), "503");
        assert_eq!(metric(&node, "byline_upgrades_refused_total "), refused);
    }
    // Those that are there are served.
    for (n, client) in clients.iter_mut().enumerate() {
        client.pings(&runtime(&format!("c{n}")));
    }
    drop(clients.pop());
    await_metric(&node, "byline_connections ", 2);
    opened(&node, "again");
}

#[test]
fn with_all_sockets_taken_nobody_is_accepted_and_those_that_are_there_are_served() {
    raise_open_files();
    let mut config = config();
    config.connections_max = 1;
    let node = node_with(config);
    let mut client = opened(&node, "x");
    let mut halves: Vec<_> = (0..SPARE_SOCKETS)
        .map(|_| {
            let mut half = tcp(node.local_addr());
            half.write_all(&UPGRADE.as_bytes()[..60]).unwrap();
            half
        })
        .collect();
    let mut waiting = tcp(node.local_addr());
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    waiting.write_all(request.as_bytes()).unwrap();
    for _ in 0..200 {
        client.pings(&runtime("x"));
    }
    waiting.set_nonblocking(true).unwrap();
    let nothing = waiting.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    waiting.set_nonblocking(false).unwrap();
    drop(halves.pop());
    let head = read_head(&mut waiting);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[test]
fn a_head_that_takes_too_long_is_given_up_however_steadily_it_comes() {
    let node = node();
    let mut client = opened(&node, "x");
    let (mut half, mut slow, mut silent) = (
        tcp(node.local_addr()),
        tcp(node.local_addr()),
        tcp(node.local_addr()),
    );
    half.write_all(&UPGRADE.as_bytes()[..60]).unwrap();
    let mut bytes = UPGRADE.bytes();
    for _ in 0..10 {
        slow.write_all(&[bytes.next().unwrap_or(b' ')]).unwrap();
        // It has been read when an answer to what was sent after it is here.
        client.pings(&runtime("x"));
        node.passes(HEAD / 10);
    }
    for stream in [&mut half, &mut slow, &mut silent] {
        let mut rest = vec![];
        let read = stream.read_to_end(&mut rest);
        assert!(read.is_ok(), "{read:?}");
        assert!(!rest.starts_with(b"HTTP/1.1 1"), "{rest:?}");
    }
    client.pings(&runtime("x"));
}

#[test]
fn who_does_not_hang_up_after_a_close_is_hung_up_on() {
    let mut config = config();
    config.connections_max = 1;
    let node = node_with(config);
    let mut client = opened(&node, "x");
    client.send_raw(&masked(FIN | BINARY, b"{}"));
    assert_eq!(client.frame().close_code(), 1003);
    assert!(client.is_hung_up());
    // It keeps its place, and what it still sends is read, until its time is over.
    node.passes(CLOSING - Duration::from_millis(1));
    assert_eq!(upgrade(&node), "503");
    client.send_raw(&[0; 64 * KIB]);
    node.passes(Duration::from_millis(1));
    let mut tries = 0;
    while upgrade(&node) == "503" {
        tries += 1;
        assert!(tries < 1_000, "the place is never free");
    }
}

#[test]
fn a_peer_that_vanished_without_a_word_is_lost_with_its_routes() {
    let node = node();
    let mut reporter = support::Reporter::claim(&node);
    let mut there = opened(&node, "there");
    let half_open: Vec<_> = (0..20)
        .map(|n| reporter.admit(&node, &format!("o{n}")))
        .collect();
    assert_eq!(metric(&node, "byline_routes "), 20);
    for _ in 0..3 {
        node.passes(config().ping_every);
        for (client, name) in [(&mut there, "there"), (&mut reporter.client, "r")] {
            assert_eq!(client.frame().first, FIN | PING);
            client.pings(&runtime(name));
        }
    }
    assert_eq!(metric(&node, "byline_connections "), 2);
    assert_eq!(metric(&node, "byline_routes "), 0);
    let page = metrics(&node);
    assert!(page.contains("closed_total{code=\"1006\"} 20"), "{page}");
    drop(half_open);
}

#[test]
fn of_too_much_that_has_come_in_part_what_began_first_is_given_up() {
    let mut config = config();
    config.unfinished_bytes_max = 1_000 * KIB;
    let node = node_with(config);
    let [mut busy, mut first, mut second, mut third] =
        ["busy", "first", "second", "third"].map(|name| opened(&node, name));
    // It began before the others, but what it sends later began after.
    busy.send_raw(&part(300 * KIB, 200 * KIB));
    await_unfinished(&node, 200);
    node.passes(Duration::from_secs(1));
    // A ping between its parts does not make it look longer or whole.
    let begun = masked(TEXT, " ".repeat(300 * KIB).as_bytes());
    first.send_raw(&begun);
    first.send_raw(&masked(FIN | PING, &[b'p'; 100]));
    first.frame();
    let came = 200 * KIB + begun.len();
    assert_eq!(metric(&node, UNFINISHED), came as u64);
    node.passes(Duration::from_secs(1));
    let rest = &part(300 * KIB, usize::MAX)[200 * KIB..];
    busy.send_raw(&[rest, &part(300 * KIB, 200 * KIB)].concat());
    assert_eq!(busy.message()["body"]["code"], 400);
    node.passes(Duration::from_secs(1));
    second.send_raw(&part(600 * KIB, 400 * KIB));
    await_unfinished(&node, 901);
    third.send_raw(&part(600 * KIB, 200 * KIB));
    assert_eq!(first.frame().close_code(), 1013);
    await_unfinished(&node, 800);
    // Nobody else's message is lost, finished one after the other.
    let long = part(600 * KIB, usize::MAX);
    for (client, rest) in [
        (&mut busy, rest),
        (&mut second, &long[400 * KIB..]),
        (&mut third, &long[200 * KIB..]),
    ] {
        client.send_raw(rest);
        assert_eq!(client.message()["body"]["code"], 400);
    }
    assert_eq!(metric(&node, UNFINISHED), 0);
    third.send_raw(&part(600 * KIB, 400 * KIB));
    await_unfinished(&node, 400);
    drop(third);
    await_unfinished(&node, 0);
}

#[test]
fn an_upgrade_that_comes_in_single_bytes_is_as_good_as_any() {
    let node = node();
    let mut stream = tcp(node.local_addr());
    for byte in format!("{UPGRADE}\r\n").bytes() {
        stream.write_all(&[byte]).unwrap_or_default();
    }
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let ok = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(http(node.local_addr(), ok).ends_with("ok"));
}
