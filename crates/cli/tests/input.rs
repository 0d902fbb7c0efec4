//! Other ways to report than a whole state a line: merge patches, and a file that is watched.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Home, Node, Program, byline, observe, report, write};

const OBJECT: &str = "ctxt://localhost/kitchen";

/// Starts to watch `file`, and waits until the object is claimed.
fn watch(home: &Home, node: &Node, file: &str) -> Program {
    let report = byline(
        home,
        &node.url,
        "ann",
        &["report", OBJECT],
        &["--watch", file],
    );
    assert_eq!(report.event()["event"], "created");
    report
}

/// The data of the next step of an Observer, which must be this version.
fn step(observer: &Program, version: u64) -> Value {
    let change = observer.event_named("change");
    assert_eq!(change["version"], version, "{change}");
    change["data"].clone()
}

/// Writes a file as many editors do: another one, that takes the place of the old one.
fn put_in_place(home: &Home, file: &str, contents: &str) {
    let other = home.path().join("other");
    fs::write(&other, contents).unwrap();
    fs::rename(other, file).unwrap();
}

#[test]
fn each_patch_is_one_commit_of_what_is_different() {
    let home = Home::new("patch");
    let node = Node::start();
    let first = r#"{"lamp": true, "room": {"seats": [1, 2], "note": null}}"#;
    let mut reporter = report(&home, &node.url, "ann", OBJECT, first, &["--patch"]);
    let (observer, snapshot) = observe(&home, &node.url, "ann", OBJECT, &[]);
    assert_eq!(
        snapshot["data"],
        json!({"lamp": true, "room": {"seats": [1, 2]}})
    );
    write(
        &mut reporter,
        r#"{"room": {"note": "a", "seats": [3]}, "lamp": null}"#,
    );
    let change = observer.event_named("change");
    assert_eq!(
        (&change["version"], &change["data"]),
        (&json!(1), &json!({"room": {"seats": [3], "note": "a"}}))
    );
    assert_eq!(change["paths"], json!(["lamp", "room.seats", "room.note"]));
    for nothing in ["{}", r#"{"lamp": null}"#, r#"{"room": {"note": "a"}}"#] {
        reporter.write(nothing);
    }
    assert_eq!(write(&mut reporter, r#"{"room": 1}"#)["version"], 2);
    assert_eq!(step(&observer, 2), json!({"room": 1}));
    reporter.write("null");
    let ended = reporter.ended();
    assert!(
        ended
            .complaint()
            .contains("standard input, line 7 is no JSON object"),
        "{ended:#?}"
    );
}

#[test]
fn a_file_is_reported_whenever_it_changes_however_it_is_written() {
    let home = Home::new("watch");
    let node = Node::start();
    let file = home.file("kitchen.json", "{\n  \"n\": 0\n}\n", 0o644);
    let reporter = watch(&home, &node, &file);
    let (observer, snapshot) = observe(&home, &node.url, "ann", OBJECT, &[]);
    assert_eq!(snapshot["data"], json!({"n": 0}));
    for version in 1..=5 {
        let contents = format!("{{\"n\": {version}}}");
        if version % 2 == 0 {
            fs::write(&file, contents).unwrap();
        } else {
            put_in_place(&home, &file, &contents);
        }
        assert_eq!(reporter.event()["version"], version);
        assert_eq!(step(&observer, version), json!({"n": version}));
    }
    fs::write(&file, " {\"n\":5} ").unwrap();
    put_in_place(&home, &file, "{\"n\": 6}");
    assert_eq!(
        step(&observer, 6),
        json!({"n": 6}),
        "other white space is no commit"
    );
    reporter.signal(Signal::INT);
    reporter.ended().assert_success();
}

#[test]
fn a_file_that_is_incomplete_or_gone_is_told_once_and_waited_for() {
    let home = Home::new("half");
    let node = Node::start();
    let file = home.path().join("later.json").display().to_string();
    let reporter = byline(
        &home,
        &node.url,
        "ann",
        &["report", OBJECT],
        &["--watch", &file],
    );
    let told = |part: &str| {
        let line = reporter.error_line();
        assert!(
            line.starts_with(&file)
                && line.contains(part)
                && line.ends_with("waiting until it is mended"),
            "{line}"
        );
    };
    told("No such file");
    fs::write(&file, "{\"n\": 0}").unwrap();
    assert_eq!(reporter.event()["event"], "created");
    let (observer, _) = observe(&home, &node.url, "ann", OBJECT, &[]);

    put_in_place(&home, &file, "{\"n\": ");
    told("is no JSON: expected a value at column 6");
    fs::write(&file, "{\"n\": 1").unwrap();
    fs::write(&file, "{\"n\": 1}").unwrap();
    assert_eq!(step(&observer, 1), json!({"n": 1}));
    fs::remove_file(&file).unwrap();
    told("No such file");
    put_in_place(&home, &file, "{\"n\": 2}");
    assert_eq!(step(&observer, 2), json!({"n": 2}));
    let large = format!("{{\"n\": \"{}\"}}", "x".repeat(2 << 20));
    put_in_place(&home, &file, &large);
    told("1048576 bytes");
    fs::write(&file, "{\"n\": 3}").unwrap();
    assert_eq!(
        step(&observer, 3),
        json!({"n": 3}),
        "what was refused is no commit"
    );

    reporter.signal(Signal::TERM);
    let ended = reporter.ended();
    ended.assert_success();
    assert!(ended.errors.is_empty(), "each is told once: {ended:#?}");
}

#[test]
fn a_folder_that_goes_takes_the_watch_with_it_and_that_is_said() {
    let home = Home::new("folder");
    let node = Node::start();
    let folder = home.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("kitchen.json").display().to_string();
    fs::write(&file, "{}").unwrap();
    let reporter = watch(&home, &node, &file);
    fs::rename(&folder, home.path().join("elsewhere")).unwrap();
    let ended = reporter.ended();
    assert!(
        ended
            .complaint()
            .contains("its folder is gone or elsewhere"),
        "{ended:#?}"
    );
}

#[test]
fn what_does_not_go_together_with_watch_is_refused_in_one_line() {
    for (more, wanted) in [
        (vec!["states.json"], "leave out the other file"),
        (vec!["--patch"], "use one of them"),
        (vec!["--exit"], "has none"),
    ] {
        let ended =
            Program::start(&[&["report", OBJECT, "--watch", "a.json"], &more[..]].concat()).ended();
        assert_eq!((ended.code, ended.errors.len()), (Some(2), 1), "{ended:#?}");
        assert!(ended.errors[0].contains(wanted), "{ended:#?}");
    }
    let folder = std::env::temp_dir()
        .join("byline-no-such-folder")
        .join("a.json");
    let nowhere = ["report", OBJECT, "--watch", &folder.display().to_string()];
    assert!(
        Program::start(&nowhere)
            .ended()
            .complaint()
            .contains("cannot watch")
    );
}
