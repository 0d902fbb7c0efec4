//! What a connection costs the node in memory.
#![cfg(target_os = "linux")]

mod support;

use support::{Reporter, node};

const CONNECTIONS: usize = 400;
/// What is allowed for each; about 5,200 were measured.
const BYTES_MAX: usize = 8 << 10;

/// Resident memory of this process: the node's, and next to nothing for the clients.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split(' ').nth(1);
    resident.and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4_096
}

/// One test, as both halves look at the memory of the whole process.
#[test]
fn a_connection_is_small_and_stays_so() {
    let node = node();
    let mut reporter = Reporter::claim(&node);
    let mut readers: Vec<_> = (0..50)
        .map(|n| reporter.admit(&node, &format!("warm{n}")))
        .collect();
    let before = resident_bytes();
    assert!(before > 0, "statm was not read");
    for n in 0..CONNECTIONS {
        readers.push(reporter.admit(&node, &format!("o{n}")));
    }
    let commit = reporter.commit("to everybody");
    reporter.client.send_text(&commit);
    for reader in &mut readers {
        assert_eq!(reader.frame().payload, commit.as_bytes());
    }
    let each = resident_bytes().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for each connection");
    assert!(each < BYTES_MAX, "{each} bytes for each connection");

    // A long message takes its memory with it when it goes.
    let long = " ".repeat(1 << 20);
    let before = resident_bytes();
    for reader in &mut readers[..100] {
        reader.send_text(&long);
        assert_eq!(reader.message()["body"]["code"], 400);
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("{grown} bytes after 100 messages of 1 MiB");
    assert!(
        grown < 20 << 20,
        "{grown} bytes after 100 messages of 1 MiB"
    );
}
