//! What a node keeps, copied while it runs and put back.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::document::document;
use crate::common::{Home, Node, Program, byline, observe, report};

const KITCHEN: &str = "ctxt://localhost/kitchen";
const BACKUPS: u64 = 4;
/// Lines that are on their way while a backup is taken.
const BURST: u64 = 300;

/// Runs `byline <command> <from> <to>`.
fn copy(command: &str, from: &Path, to: &Path) -> Program {
    Program::start(&[command, from.to_str().unwrap(), to.to_str().unwrap()])
}

fn line_of(event: &Value) -> u64 {
    event["data"]["line"].as_u64().unwrap()
}

#[test]
fn a_backup_that_is_taken_during_writes_serves_what_readers_had_seen_before() {
    let home = Home::new("backup");
    let data = home.path().join("data");
    let node = Node::start_with_data(&data);
    let first = document(0).to_string();
    let mut ann = report(&home, &node.url, "ann", KITCHEN, &first, &["--public"]);
    let (bob, _) = observe(&home, &node.url, "bob", KITCHEN, &[]);
    let mut backups = Vec::new();
    for number in 0..BACKUPS {
        let burst = number * BURST + 1..=(number + 1) * BURST;
        let end = *burst.end();
        for line in burst {
            ann.write(&document(line).to_string());
        }
        let seen = line_of(&bob.event_named("change"));
        let to = home.path().join(format!("backup {number}"));
        copy("backup", &data, &to).ended().assert_success();
        backups.push((to, seen));
        bob.event_where(|event| event["event"] == "change" && line_of(event) == end);
    }
    let mut node = node;
    node.program.kill();

    for (backup, seen) in backups {
        let put_back = backup.with_extension("put back");
        copy("restore", &backup, &put_back).ended().assert_success();
        let node = Node::start_with_data(&put_back);
        let read = byline(&home, &node.url, "eve", &["read", KITCHEN], &[]);
        let snapshot = read.event_named("snapshot");
        let line = line_of(&snapshot);
        assert!(seen <= line && line <= BACKUPS * BURST, "{seen} {line}");
        assert_eq!(snapshot["data"], document(line));
    }
}

#[test]
fn nothing_is_written_over_and_what_is_no_backup_is_told() {
    let home = Home::new("no-backup");
    let [data, to, diary, empty] =
        ["data", "to", "diary", "empty"].map(|one| home.path().join(one));
    let mut node = Node::start_with_data(&data);
    node.program.kill();
    copy("backup", &data, &to).ended().assert_success();
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&diary).unwrap();
    fs::write(diary.join("page"), "Dear diary").unwrap();
    let file = diary.join("page");
    for (from, to, wanted) in [
        (&data, &to, "there already"),
        (&data, &diary, "there already"),
        (&data, &file, "there already"),
        (&diary, &empty, "there is no store.redb"),
        (
            &home.path().join("nowhere"),
            &empty,
            "there is no store.redb",
        ),
    ] {
        for command in ["backup", "restore"] {
            let said = copy(command, from, to).ended();
            assert!(said.complaint().contains(wanted), "{command}: {said:?}");
        }
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert_eq!(fs::read(&file).unwrap(), b"Dear diary");
    // A folder that is there and empty may be where a disk is mounted.
    copy("restore", &to, &empty).ended().assert_success();
    Node::start_with_data(&empty);

    let rows = to.join("store.redb");
    let mut bytes = fs::read(&rows).unwrap();
    let half = bytes.len() / 2;
    bytes.truncate(half);
    fs::write(&rows, bytes).unwrap();
    let said = copy("restore", &to, &home.path().join("other")).ended();
    assert!(said.complaint().contains("is damaged"), "{said:?}");
    assert!(!fs::exists(home.path().join("other")).unwrap());
}
