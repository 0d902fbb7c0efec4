//! Real lines through `report`, `observe` and `read`, by one user and by several.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::document::document;
use crate::common::{Home, Node, Program, byline, observe, report, write};

const OBJECT: &str = "ctxt://localhost/kitchen";

#[test]
fn lines_become_versions_that_observers_and_readers_have() {
    let home = Home::new("lines");
    let node = Node::start();
    let first = document(0).to_string();
    let mut reporter = report(&home, &node.url, "ann", OBJECT, &first, &["--public"]);
    let until = ["--until-version", "20", "--timeout", "60"];
    let (observer, snapshot) = observe(&home, &node.url, "bob", OBJECT, &until);
    assert_eq!(snapshot["url"], OBJECT);
    assert_eq!(snapshot["data"], document(0));
    for version in 1..=20 {
        let reported = write(&mut reporter, &document(version).to_string());
        let change = observer.event_named("change");
        for field in ["epoch", "version", "hash"] {
            assert_eq!(change[field], reported[field], "{field}");
        }
        assert_eq!(change["version"], version);
        assert_eq!(change["data"], document(version));
        assert!(
            change["paths"].as_array().unwrap().contains(&json!("line")),
            "{change}"
        );
    }
    observer.ended().assert_success();
    let read = byline(&home, &node.url, "bob", &["read", OBJECT], &[]);
    let whole = read.event();
    read.ended().assert_success();
    assert_eq!(
        (&whole["event"], &whole["version"]),
        (&json!("snapshot"), &json!(20))
    );
    assert_eq!(whole["data"], document(20));
}

#[test]
fn people_get_data_on_standard_output_and_talk_on_standard_error() {
    let home = Home::new("people");
    let node = Node::start();
    let key = home.key("ann");
    let session = ["--node", &node.url, "--key", &key];
    let mut reporter = Program::start(&[&["report", OBJECT], &session[..]].concat());
    reporter.write(r#"{"lamp": false}"#);
    assert!(reporter.error_line().contains(OBJECT));
    let observer =
        Program::start(&[&["observe", OBJECT, "--until-version", "1"], &session[..]].concat());
    assert_eq!(observer.line(), r#"{"lamp":false}"#);
    reporter.write(r#"{"lamp": true}"#);
    assert_eq!(observer.line(), r#"{"lamp":true}"#);
    observer.ended().assert_success();
    let read = Program::start(&[&["read", OBJECT], &session[..]].concat()).ended();
    assert_eq!(read.code, Some(0));
    assert_eq!(
        serde_json::from_str::<Value>(&read.output.concat()).unwrap(),
        json!({"lamp": true})
    );
}

#[test]
fn a_state_that_is_the_same_is_no_version() {
    let home = Home::new("same");
    let node = Node::start();
    let mut reporter = report(&home, &node.url, "ann", OBJECT, r#"{"a": 1, "b": 0}"#, &[]);
    for same in [
        r#"{"b":0,"a":1}"#,
        r#"{"a": 1.0, "b": -0.0}"#,
        "  ",
        r#"{"a":10e-1,"b":0}"#,
    ] {
        reporter.write(same);
    }
    assert_eq!(write(&mut reporter, r#"{"a": 2, "b": 0}"#)["version"], 1);
}

#[test]
fn an_object_that_nobody_reports_yet_is_waited_for_and_that_is_said_once() {
    let home = Home::new("waiting");
    let node = Node::start();
    let until = ["--until-version", "0", "--timeout", "60"];
    let observer = byline(&home, &node.url, "bob", &["observe", OBJECT], &until);
    let first = observer.event();
    assert_eq!(
        (&first["event"], &first["state"]),
        (&json!("state"), &json!("waiting")),
        "{first}"
    );
    assert!(first["desc"].as_str().unwrap().contains(OBJECT), "{first}");
    let reporter = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        r#"{"a": 1}"#,
        &["--public"],
    );
    let next = observer.event();
    assert_eq!(next["event"], "snapshot", "it is said once: {next}");
    assert_eq!(next["data"], json!({"a": 1}));
    observer.ended().assert_success();
    drop(reporter);
}

#[test]
fn report_run_again_starts_the_object_afresh_and_ends_the_earlier_one() {
    let home = Home::new("again");
    let node = Node::start();
    let mut earlier = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        r#"{"run": 1}"#,
        &["--public"],
    );
    write(&mut earlier, r#"{"run": 1, "n": 1}"#);
    let (observer, before) = observe(&home, &node.url, "bob", OBJECT, &[]);
    let mut later = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        r#"{"run": 2}"#,
        &["--public"],
    );
    let ended = earlier.ended();
    assert!(ended.complaint().contains("superseded"), "{ended:#?}");
    let afresh = observer.event_named("snapshot");
    assert_eq!(
        (&afresh["version"], &afresh["data"]),
        (&json!(0), &json!({"run": 2}))
    );
    assert!(
        afresh["epoch"].as_u64() > before["epoch"].as_u64(),
        "{before} {afresh}"
    );
    let reported = write(&mut later, r#"{"run": 2, "n": 1}"#);
    let change = observer.event_named("change");
    assert_eq!(change["epoch"], reported["epoch"]);
    assert_eq!(change["hash"], reported["hash"]);
}

#[test]
fn a_report_that_was_killed_is_run_again_and_observers_follow_on() {
    let home = Home::new("killed");
    let node = Node::start();
    let mut killed = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        r#"{"run": 1}"#,
        &["--public"],
    );
    let (observer, _) = observe(&home, &node.url, "bob", OBJECT, &["--until-version", "1"]);
    killed.kill();
    observer.event_where(|event| event["state"] == "stale");
    let mut again = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        r#"{"run": 2}"#,
        &["--public"],
    );
    assert_eq!(observer.event_named("snapshot")["data"], json!({"run": 2}));
    write(&mut again, r#"{"run": 3}"#);
    assert_eq!(observer.event_named("change")["data"], json!({"run": 3}));
    observer.ended().assert_success();
}

#[test]
fn an_address_belongs_to_the_key_that_was_first() {
    let home = Home::new("first");
    let node = Node::start();
    let mut first = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        r#"{"by": "ann"}"#,
        &["--public"],
    );
    let mut second = byline(&home, &node.url, "eve", &["report", OBJECT], &["--public"]);
    second.write(r#"{"by": "eve"}"#);
    let ended = second.ended();
    assert!(ended.output.is_empty(), "{ended:#?}");
    assert!(
        ended.complaint().contains("another identity (403)"),
        "{ended:#?}"
    );
    assert_eq!(write(&mut first, r#"{"by": "Ann"}"#)["version"], 1);
}

#[test]
fn a_private_object_is_its_own_users_alone() {
    let home = Home::new("private");
    let node = Node::start();
    let _reporter = report(&home, &node.url, "ann", OBJECT, r#"{"a": 1}"#, &[]);
    let (_, mine) = observe(&home, &node.url, "ann", OBJECT, &[]);
    assert_eq!(mine["data"], json!({"a": 1}));
    let stranger = byline(&home, &node.url, "eve", &["observe", OBJECT], &[]).ended();
    let events = stranger.events();
    let [closed] = events.as_slice() else {
        panic!("{stranger:#?}")
    };
    assert_eq!(
        (&closed["event"], &closed["code"]),
        (&json!("closed"), &json!(403))
    );
    assert!(stranger.complaint().contains("403"), "{stranger:#?}");
    let read = byline(&home, &node.url, "eve", &["read", OBJECT], &[]).ended();
    assert!(
        read.output.is_empty() && read.complaint().contains("403"),
        "{read:#?}"
    );
}

#[test]
fn until_version_ends_at_once_when_the_copy_is_there_and_timeout_ends_with_1() {
    let home = Home::new("until");
    let node = Node::start();
    let mut reporter = report(
        &home,
        &node.url,
        "ann",
        OBJECT,
        "{}",
        &["--schema", "Context"],
    );
    write(&mut reporter, r#"{"a": 1}"#);
    let there = ["--until-version", "1"];
    byline(&home, &node.url, "ann", &["observe", OBJECT], &there)
        .ended()
        .assert_success();
    let never = ["--until-version", "2", "--timeout", "1"];
    let ended = byline(&home, &node.url, "ann", &["observe", OBJECT], &never).ended();
    assert!(
        ended
            .complaint()
            .contains("time is over after 1 s, at version 1"),
        "{ended:#?}"
    );
    let nobody = "ctxt://localhost/nobody";
    let ended = byline(
        &home,
        &node.url,
        "ann",
        &["observe", nobody],
        &["--timeout", "1"],
    )
    .ended();
    assert!(ended.complaint().contains("without a copy"), "{ended:#?}");
}

#[test]
fn report_with_exit_leaves_when_the_node_has_everything() {
    let home = Home::new("exit");
    let node = Node::start();
    let until = ["--until-version", "500", "--timeout", "60"];
    let observer = byline(&home, &node.url, "bob", &["observe", OBJECT], &until);
    assert_eq!(observer.event()["state"], "waiting");
    let lines: String = (0..=500)
        .map(|number| format!("{}\n", document(number)))
        .collect();
    let file = home.file("lines", lines, 0o644);
    let call = ["report", OBJECT, &file];
    let report = byline(&home, &node.url, "ann", &call, &["--public", "--exit"]).ended();
    report.assert_success();
    let reported = report.events().pop().unwrap();
    assert_eq!(reported["version"], 500);
    let observer = observer.ended();
    observer.assert_success();
    let last = observer
        .events()
        .into_iter()
        .rfind(|event| event["data"].is_object())
        .unwrap();
    assert_eq!(
        (&last["version"], &last["hash"]),
        (&reported["version"], &reported["hash"])
    );
    assert_eq!(last["data"], document(500));
}

#[test]
fn what_was_reported_before_a_bad_line_arrives() {
    let home = Home::new("before-bad");
    let node = Node::start();
    let until = ["--until-version", "100", "--timeout", "60"];
    let observer = byline(&home, &node.url, "bob", &["observe", OBJECT], &until);
    assert_eq!(observer.event()["state"], "waiting");
    let mut lines: String = (0..=100)
        .map(|number| format!("{}\n", document(number)))
        .collect();
    lines.push_str("over\n");
    let file = home.file("lines", lines, 0o644);
    let report = byline(
        &home,
        &node.url,
        "ann",
        &["report", OBJECT, &file],
        &["--public"],
    )
    .ended();
    assert!(report.complaint().contains("line 102"), "{report:#?}");
    observer.ended().assert_success();
}

#[test]
fn output_that_nobody_reads_any_more_ends_observe_quietly_and_at_once() {
    let home = Home::new("head");
    let node = Node::start();
    let _reporter = report(&home, &node.url, "ann", OBJECT, r#"{"n": 0}"#, &[]);
    let mut pipe = Command::new("sh");
    pipe.args([
        "-c",
        r#"{ "$0" "$@"; echo "ended with $?" >&2; } | head -n 1"#,
    ]);
    pipe.arg(env!("CARGO_BIN_EXE_byline"))
        .args(["observe", OBJECT, "--node", &node.url]);
    pipe.args(["--key", &home.key("ann"), "--timeout", "60"]);
    let pipe = Program::start_command(pipe);
    assert_eq!(pipe.line(), r#"{"n":0}"#);
    let ended = pipe.ended();
    assert_eq!(
        ended.errors.last().map(String::as_str),
        Some("ended with 0"),
        "{ended:#?}"
    );
    assert!(
        !ended.errors.iter().any(|line| line.starts_with("byline: ")),
        "{ended:#?}"
    );
}

#[test]
fn without_a_key_file_the_key_is_in_the_users_data_folder() {
    let home = Home::new("data-folder");
    let node = Node::start();
    let read = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_byline"));
        command
            .args(["read", OBJECT, "--node", &node.url])
            .env("XDG_DATA_HOME", home.path());
        Program::start_command(command).ended().code
    };
    let key = home.path().join("byline").join("key");
    assert_eq!(read(), Some(1));
    let first = std::fs::read(&key).unwrap();
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(read(), Some(1));
    assert_eq!(std::fs::read(&key).unwrap(), first, "the key is made once");
}
