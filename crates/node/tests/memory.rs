//! What a connection costs the node in memory.
#![cfg(target_os = "linux")]

use crate::support::{Reporter, process, raise_open_files};

const CONNECTIONS: usize = 400;
/// What is allowed for each; about 4,500 were measured.
const BYTES_MAX: usize = 8 << 10;

const TEST: &str = "memory::a_connection_is_small_and_stays_so";

#[test]
fn a_connection_is_small_and_stays_so() {
    raise_open_files();
    if process::served() {
        return;
    }
    let (node, process) = process::node_of(TEST);
    let mut reporter = Reporter::claim(&node);
    let mut readers: Vec<_> = (0..50)
        .map(|n| reporter.admit(&node, &format!("warm{n}")))
        .collect();
    let before = process.resident_bytes();
    for n in 0..CONNECTIONS {
        readers.push(reporter.admit(&node, &format!("o{n}")));
    }
    let commit = reporter.commit("to everybody");
    reporter.client.send_text(&commit);
    for reader in &mut readers {
        assert_eq!(reader.frame().payload, commit.as_bytes());
    }
    let each = process.resident_bytes().saturating_sub(before) / CONNECTIONS;
    println!("{each} bytes for each connection");
    assert!(each < BYTES_MAX, "{each} bytes for each connection");

    // A long message takes its memory with it when it goes.
    let long = " ".repeat(1 << 20);
    let before = process.resident_bytes();
    for reader in &mut readers[..100] {
        reader.send_text(&long);
        assert_eq!(reader.message()["body"]["code"], 400);
    }
    let grown = process.resident_bytes().saturating_sub(before);
    println!("{grown} bytes after 100 messages of 1 MiB");
    assert!(
        grown < 20 << 20,
        "{grown} bytes after 100 messages of 1 MiB"
    );
}
