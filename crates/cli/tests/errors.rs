//! What goes wrong is said in one line on standard error, with the exit code 1.

use std::net::TcpListener;
use std::process::Command;

use crate::common::{Home, Node, Program, byline, report, write};

/// Runs `byline` with `input` on standard input, and gives what it complains of.
fn complaint(arguments: &[&str], input: &str) -> String {
    let mut program = Program::start(arguments);
    program.offer(input);
    let ended = program.ended();
    assert!(ended.output.is_empty(), "{ended:#?}");
    ended.complaint().to_owned()
}

fn assert_says(complaint: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(
            complaint.contains(part),
            "`{complaint}` does not say `{part}`"
        );
    }
}

#[test]
fn a_port_in_use_is_said() {
    let node = Node::start();
    let said = complaint(&["node", "--listen", node.address()], "");
    assert_says(
        &said,
        &["cannot listen on", node.address(), "another program"],
    );
}

#[test]
fn an_address_beyond_loopback_is_refused_with_the_reason() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let said = complaint(&["node", "--listen", address], "");
        assert_says(&said, &["cannot listen on", address, "--jwt-keys"]);
    }
}

#[test]
fn a_wrong_call_ends_with_2() {
    let calls: [&[&str]; 7] = [
        &[],
        &["watch", "ctxt://localhost/kitchen"],
        &["report"],
        &["read"],
        &["node", "--listen", "here"],
        &["node", "--listen", "127.0.0.1:99999"],
        &[
            "observe",
            "ctxt://localhost/kitchen",
            "--until-version",
            "-1",
        ],
    ];
    for call in calls {
        let ended = Program::start(call).ended();
        assert_eq!(ended.code, Some(2), "{call:?}: {ended:#?}");
        assert!(ended.output.is_empty(), "{call:?}: {ended:#?}");
    }
}

#[test]
fn a_bad_object_address_is_said() {
    let home = Home::new("address");
    let key = home.key("ann");
    let addresses = [
        "",
        "kitchen",
        "localhost/kitchen",
        "ctxt://",
        "ctxt://localhost",
        "ctxt://localhost/",
        "ctxt://localhost/a b",
        "ctxt://localhost/kitchen/changes",
        "ctxt://localhost/kitchen/subscription",
        "hyperty://localhost/kitchen",
        "hyperty-runtime://localhost/kitchen",
        "domain://localhost/kitchen",
        "mn:/session",
    ];
    for address in addresses {
        for command in ["report", "observe", "read"] {
            let said = complaint(&[command, address, "--key", &key], "{}");
            assert_says(&said, &[&format!("`{address}`")]);
        }
    }
}

#[test]
fn a_bad_node_address_is_said() {
    let home = Home::new("node-address");
    let key = home.key("ann");
    for node in [
        "",
        "garbage",
        "127.0.0.1:4680",
        "http://127.0.0.1:4680/ws",
        "wss://",
        "ws://",
        "ws:///ws",
        "ws://:4680/ws",
        "ws://127.0.0.1:99999/ws",
        "ws://127.0.0.1:port/ws",
        "ws://[::1/ws",
        "ws://a b/ws",
    ] {
        let call = [
            "read",
            "ctxt://localhost/kitchen",
            "--key",
            &key,
            "--node",
            node,
        ];
        let said = complaint(&call, "");
        assert_says(
            &said,
            &[
                &format!("`{node}` is no address of a node"),
                "ws://host:port/ws",
            ],
        );
    }
}

#[test]
fn a_node_that_cannot_be_reached_is_said() {
    let home = Home::new("unreachable");
    let key = home.key("ann");
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let node = format!("ws://{address}/ws");
    for command in ["report", "observe", "read"] {
        let call = [
            command,
            "ctxt://localhost/kitchen",
            "--key",
            &key,
            "--node",
            &node,
        ];
        assert_says(
            &complaint(&call, "{}"),
            &[&node, "cannot be reached", "`byline node`"],
        );
    }
}

#[test]
fn a_place_where_no_node_is_is_said() {
    let home = Home::new("elsewhere");
    let key = home.key("ann");
    let node = Node::start();
    let elsewhere = format!("ws://{}/elsewhere", node.address());
    let call = [
        "read",
        "ctxt://localhost/kitchen",
        "--key",
        &key,
        "--node",
        &elsewhere,
    ];
    assert_says(&complaint(&call, ""), &["cannot be reached", "404"]);
}

#[test]
fn a_first_line_that_is_no_state_is_said_before_anything_is_sent() {
    let home = Home::new("first-line");
    let key = home.key("ann");
    let lines = [
        ("[1]", "JSON object"),
        ("17", "JSON object"),
        ("null", "JSON object"),
        (r#""text""#, "JSON object"),
        ("{", ""),
        ("{} {}", ""),
        ("{'a': 1}", ""),
        (r#"{"a": NaN}"#, ""),
        (r#"{"a": 1, "a": 2}"#, "only once"),
        (r#"{"a": 9007199254740993}"#, "9007199254740991"),
        (r#"{"a": 1e400}"#, ""),
        (r#"{"a": "\ud800"}"#, ""),
        ("\n\n  \n\u{feff}{}", "line 4"),
    ];
    for (line, wanted) in lines {
        let said = complaint(&["report", "ctxt://localhost/kitchen", "--key", &key], line);
        assert_says(&said, &["standard input, line ", wanted]);
    }
    let file = home.file("latin1", b"{\"a\": \"\xe9\"}\n", 0o644);
    let said = complaint(
        &["report", "ctxt://localhost/kitchen", &file, "--key", &key],
        "",
    );
    assert_says(&said, &[&file, "line 1", "utf-8"]);
}

#[test]
fn input_that_is_not_there_is_said() {
    let home = Home::new("no-input");
    let key = home.key("ann");
    let blank = home.file("blank", "\n  \n\t\n", 0o644);
    let missing = home.path().join("missing").display().to_string();
    let folder = home.path().display().to_string();
    for (file, wanted) in [
        (blank.as_str(), "there is no input"),
        (missing.as_str(), "cannot read"),
        (folder.as_str(), "directory"),
    ] {
        let said = complaint(
            &["report", "ctxt://localhost/kitchen", file, "--key", &key],
            "",
        );
        assert_says(&said, &[wanted]);
    }
    let nothing = Program::start(&["report", "ctxt://localhost/kitchen", "--key", &key]).ended();
    assert_says(nothing.complaint(), &["there is no input"]);
}

#[test]
fn what_is_too_large_is_said() {
    let home = Home::new("large");
    let node = Node::start();
    let text = |bytes: usize| format!("{{\"text\": \"{}\"}}\n", "x".repeat(bytes));
    for (name, contents, wanted) in [
        ("line", text(9 << 20), ["line 1", "8388608 bytes"]),
        ("data", text(5 << 20), ["line 1", "4194304 bytes"]),
        (
            "commit",
            "{}\n".to_owned() + &text(2 << 20),
            ["line 2", "1048576 bytes"],
        ),
    ] {
        let file = home.file(name, contents, 0o644);
        let address = format!("ctxt://localhost/{name}");
        let report = byline(&home, &node.url, "ann", &["report", &address, &file], &[]);
        assert_says(
            report.ended().complaint(),
            &[&[file.as_str()], &wanted[..]].concat(),
        );
    }
}

#[test]
fn a_later_line_that_is_no_state_is_named() {
    let home = Home::new("later-line");
    let node = Node::start();
    let mut reporter = report(
        &home,
        &node.url,
        "ann",
        "ctxt://localhost/kitchen",
        "{}",
        &[],
    );
    write(&mut reporter, r#"{"a": 1}"#);
    reporter.write("");
    reporter.write("[]");
    let ended = reporter.ended();
    assert!(ended.output.is_empty(), "{ended:#?}");
    assert_says(
        ended.complaint(),
        &["standard input, line 4", "JSON object"],
    );
}

#[test]
fn a_key_file_that_cannot_be_used_is_said() {
    let home = Home::new("key");
    let key = "A".repeat(43) + "\n";
    let open = home.file("open", &key, 0o644);
    let diary = home.file("diary", "Dear diary", 0o600);
    let beyond = format!("{diary}/key");
    for (file, wanted) in [
        (open.as_str(), "chmod 600"),
        (diary.as_str(), "holds no key"),
        (beyond.as_str(), "Not a directory"),
        ("/proc/version/key", "key file"),
    ] {
        let said = complaint(&["read", "ctxt://localhost/kitchen", "--key", file], "");
        assert_says(&said, &["key file", file, wanted]);
    }
    assert_eq!(
        std::fs::read(&diary).unwrap(),
        b"Dear diary",
        "it was left alone"
    );
}

#[test]
fn without_a_home_the_key_has_no_place() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byline"));
    command
        .args(["read", "ctxt://localhost/kitchen"])
        .env_clear();
    let ended = Program::start_command(command).ended();
    assert_says(ended.complaint(), &["HOME", "--key FILE"]);
}

#[test]
fn an_object_of_another_domain_is_said() {
    let home = Home::new("domain");
    let node = Node::start();
    for command in ["report", "observe", "read"] {
        let address = "ctxt://example.org/kitchen";
        let mut program = byline(&home, &node.url, "ann", &[command, address], &[]);
        program.offer("{}");
        assert_says(program.ended().complaint(), &["example.org"]);
    }
}

#[test]
fn to_read_what_nobody_has_claimed_is_said() {
    let home = Home::new("unclaimed");
    let node = Node::start();
    let read = byline(
        &home,
        &node.url,
        "ann",
        &["read", "ctxt://localhost/kitchen"],
        &[],
    )
    .ended();
    assert!(read.output.is_empty());
    assert_says(
        read.complaint(),
        &["nobody has claimed", "ctxt://localhost/kitchen", "404"],
    );
}
