//! People and TLS: programs with tokens behind a node that asks, and handles whose token ends.

#[allow(dead_code, reason = "the tests of the node use the rest")]
#[path = "../../node/tests/support/issuer.rs"]
mod issuer;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use byline::{Builder, Connection, Create, Origin, Runtime, State};
use byline_node::{Certificate, Config, People, Running, Server};
use issuer::{Authority, Folder, Issuer};
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::watch::Receiver;

use crate::common::{Home, Program, byline, observe, write};

const KITCHEN: &str = "ctxt://localhost/kitchen";

/// A node of its own program that asks for tokens of `issuer` and speaks TLS.
fn node(folder: &Folder, issuer: &Issuer, authority: &Authority) -> (Program, String) {
    let keys = folder.write("keys", &issuer.public_pem());
    let (chain, key) = authority.certifies(folder);
    folder.write("ca.pem", &authority.pem());
    let node = Program::start(&[
        "node",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--jwt-keys",
        text(&keys),
        "--tls-cert",
        text(&chain),
        "--tls-key",
        text(&key),
    ]);
    let ready = node.event();
    assert!(
        ready["operatorToken"].as_str().unwrap().len() > 20,
        "{ready}"
    );
    let url = ready["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
    (node, url)
}

#[test]
fn people_report_and_observe_through_tls() {
    let (home, folder) = (Home::new("people"), Folder::new());
    let (issuer, authority) = (Issuer::new(), Authority::new());
    let (_node, url) = node(&folder, &issuer, &authority);
    let ca = folder.path("ca.pem");
    let trusting = ["--ca", text(&ca)];
    // Ana's token is in her environment.
    let mut report = Command::new(env!("CARGO_BIN_EXE_byline"));
    report.env("BYLINE_TOKEN", issuer.token("ana"));
    report.args([
        "report",
        KITCHEN,
        "--json",
        "--node",
        &url,
        "--key",
        &home.key("ana"),
    ]);
    report.args(trusting);
    let mut report = Program::start_command(report);
    report.write(r#"{"n":0}"#);
    assert_eq!(report.event()["event"], "created");
    // She reads what is not open on another device, with another key.
    let own = folder.write("ana.jwt", &format!("{}\n", issuer.token("ana")));
    let more = [&trusting[..], &["--token-file", text(&own)]].concat();
    let (reader, snapshot) = observe(&home, &url, "device", KITCHEN, &more);
    assert_eq!(snapshot["data"], json!({"n": 0}));
    write(&mut report, r#"{"n":1}"#);
    assert_eq!(reader.event_named("change")["data"], json!({"n": 1}));
    // Ben does not; and without a token, or without trust, nobody is let in.
    let others = folder.write("ben.jwt", &issuer.token("ben"));
    let refused = |more: &[&str]| {
        let read = byline(&home, &url, "ben", &["read", KITCHEN], more);
        read.ended().complaint().to_owned()
    };
    let why = refused(&[&trusting[..], &["--token-file", text(&others)]].concat());
    assert!(why.contains("(403)"), "{why}");
    let why = refused(&trusting);
    assert!(
        why.contains("token") && why.contains("BYLINE_TOKEN"),
        "{why}"
    );
    let why = refused(&[&trusting[..], &["--token", "nonsense"]].concat());
    assert!(why.contains("no signed JSON Web Token"), "{why}");
    let why = refused(&["--token-file", text(&others)]);
    assert!(why.contains("certificate") && why.contains("--ca"), "{why}");
    let plain = url.replace("wss://", "ws://");
    let read = byline(&home, &plain, "ben", &["read", KITCHEN], &trusting);
    let ended = read.ended();
    assert!(
        ended.complaint().contains("connect with wss://"),
        "{ended:?}"
    );
}

#[test]
fn a_node_reads_its_keys_and_certificate_anew_when_it_is_hung_up_on() {
    let (home, folder) = (Home::new("reload"), Folder::new());
    let (old, authority) = (Issuer::new(), Authority::new());
    let (node, url) = node(&folder, &old, &authority);
    let ca = folder.path("ca.pem");
    let with = |token: &str| {
        let token = folder.write(&format!("{}.jwt", token.len()), token);
        vec![
            "--ca".to_owned(),
            text(&ca).to_owned(),
            "--token".to_owned(),
            std::fs::read_to_string(token).unwrap(),
        ]
    };
    let starts = |user: &str, command: &[&str], token: &str| {
        let more = with(token);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        byline(&home, &url, user, command, &more)
    };
    let mut report = starts("ana", &["report", KITCHEN, "--public"], &old.token("ana"));
    report.write(r#"{"n":0}"#);
    assert_eq!(report.event()["event"], "created");
    let reader = starts("ben", &["observe", KITCHEN], &old.token("ben"));
    reader.event_named("snapshot");
    let new = Issuer::new();
    folder.write("keys", &new.public_pem());
    authority.certifies(&folder);
    node.signal(Signal::HUP);
    assert_eq!(node.error_line(), "read the keys and the certificate anew");
    let refused = starts("cleo", &["read", KITCHEN], &old.token("cleo")).ended();
    assert!(refused.complaint().contains("has signed it"), "{refused:?}");
    starts("cleo", &["read", KITCHEN], &new.token("cleo"))
        .ended()
        .assert_success();
    // Who is there stays.
    write(&mut report, r#"{"n":1}"#);
    assert_eq!(reader.event_named("change")["data"], json!({"n": 1}));
    // A file that cannot be used changes nothing, and the node says so.
    folder.write("keys", "");
    node.signal(Signal::HUP);
    let told = node.error_line();
    assert!(
        told.contains("no public key") && told.contains("as before"),
        "{told}"
    );
    starts("cleo", &["read", KITCHEN], &new.token("cleo"))
        .ended()
        .assert_success();
}

// Handles, in this process.

/// A node that asks for tokens of `issuer`.
fn asking(folder: &Folder, issuer: &Issuer) -> Running {
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), "localhost");
    config.people = Some(People::new(folder.write("keys", &issuer.public_pem())));
    Server::bind(config).unwrap().spawn().unwrap()
}

fn to(node: &Running) -> Builder {
    Runtime::builder().node(node.url())
}

async fn reaches(connection: &mut Receiver<Connection>, wanted: impl Fn(&Connection) -> bool) {
    connection.wait_for(wanted).await.unwrap();
}

fn needs_auth(connection: &Connection) -> bool {
    matches!(connection, Connection::NeedsAuth(_))
}

#[tokio::test]
async fn a_source_is_asked_whenever_a_token_is_needed() {
    let (folder, issuer) = (Folder::new(), Arc::new(Issuer::new()));
    let node = asking(&folder, &issuer);
    let asked = Arc::new(AtomicUsize::new(0));
    let (theirs, count) = (Arc::clone(&issuer), Arc::clone(&asked));
    let ben = to(&node)
        .token_from(move || {
            // The first of them fails, and every token is short.
            let number = count.fetch_add(1, Ordering::Relaxed);
            let token = theirs.token_for("ben", 2);
            async move {
                if number == 0 {
                    Err("no provider")
                } else {
                    Ok(token)
                }
            }
        })
        .start()
        .unwrap();
    let ana = to(&node).token(issuer.token("ana")).start().unwrap();
    let create = Create::new("Context", json!({"n": 0})).at(KITCHEN).public();
    let reporter = ana.syncher("r").unwrap().create(create).unwrap();
    let observer = ben.syncher("o").unwrap().subscribe(KITCHEN).unwrap();
    let mut changes = observer.changes();
    assert_eq!(changes.next().await.unwrap().origin, Origin::Snapshot);
    assert_eq!(ben.identity().as_str(), "user://id.example.com/ben");
    // Until the third token is there.
    for n in 1.. {
        reporter.update(|data| data["n"] = json!(n)).unwrap();
        assert!(changes.next().await.is_some());
        if asked.load(Ordering::Relaxed) > 3 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_token_that_ends_is_told_and_another_one_brings_everything_back() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let node = asking(&folder, &issuer);
    let ana = to(&node).token(issuer.token("ana")).start().unwrap();
    let create = Create::new("Context", json!({"n": 0})).at(KITCHEN).public();
    let reporter = ana.syncher("r").unwrap().create(create).unwrap();
    reporter.claimed().await.unwrap();
    let ben = to(&node).start().unwrap();
    let mut connection = ben.connection();
    reaches(&mut connection, needs_auth).await;
    ben.authenticate(issuer.token_for("ben", 2));
    let observer = ben.syncher("o").unwrap().subscribe(KITCHEN).unwrap();
    let mut changes = observer.changes();
    assert_eq!(changes.next().await.unwrap().origin, Origin::Snapshot);
    reaches(&mut connection, needs_auth).await;
    assert!(matches!(*observer.state().borrow(), State::Stale(_)));
    reporter.update(|data| data["n"] = json!(1)).unwrap();
    ana.delivered().await.unwrap();
    assert_eq!(observer.data().unwrap()["n"], 0);
    ben.authenticate(issuer.token("ben"));
    let changed = changes.next().await.unwrap();
    assert_eq!(changed.edits[0].change.path().to_string(), "n");
    reaches(&mut connection, |now| *now == Connection::Live).await;
    ben.close().await;
    assert!(matches!(*connection.borrow(), Connection::Ended(_)));
}

#[tokio::test]
async fn a_runtime_says_in_one_line_why_tls_did_not_come_about() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (chain, key) = authority.certifies(&folder);
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), "localhost");
    config.certificate = Some(Certificate { chain, key });
    let encrypted = Server::bind(config).unwrap().spawn().unwrap();
    let config = Config::new("127.0.0.1:0".parse().unwrap(), "localhost");
    let plain = Server::bind(config).unwrap().spawn().unwrap();
    let ca = folder.write("ca.pem", &authority.pem());
    let trusting = |url: String| Runtime::builder().node(url).ca_file(&ca).start().unwrap();
    trusting(encrypted.url().to_owned())
        .connected()
        .await
        .unwrap();
    for (runtime, why) in [
        (to(&encrypted).start().unwrap(), "certificate"),
        (
            trusting(encrypted.url().replace("wss:", "ws:")),
            "connect with wss://",
        ),
        (trusting(plain.url().replace("ws:", "wss:")), "no TLS"),
    ] {
        let error = runtime.connected().await.unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
    }
    let none = folder.write("none.pem", "");
    let error = to(&encrypted).ca_file(none).start().unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error}");
}

#[test]
fn no_token_is_printed() {
    let builder = Runtime::builder().token("eyJ.the.rest");
    assert!(!format!("{builder:?}").contains("eyJ"), "{builder:?}");
}

/// A path as an argument of a program.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
