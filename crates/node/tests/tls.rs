//! A node that speaks TLS: its certificate, and those who speak something else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use byline_node::{Certificate, Server};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::support::issuer::{Authority, Folder};
use crate::support::{
    self, Client, FIN, Node, Reporter, TEXT, UPGRADE, config, http, masked, node_with, read_head,
    tcp,
};

type Tls = StreamOwned<ClientConnection, TcpStream>;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn tls_node(folder: &Folder, authority: &Authority) -> Node {
    let (chain, key) = authority.certifies(folder);
    let mut config = config();
    config.certificate = Some(Certificate { chain, key });
    node_with(config)
}

/// Shakes hands as somebody who trusts `authority`.
fn shakes_hands(node: &Node, authority: &Authority) -> Tls {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(session, tcp(node.local_addr()))
}

fn asks(stream: &mut Tls, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn http_and_websockets_are_served_in_tls() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = tls_node(&folder, &authority);
    let answer = asks(&mut shakes_hands(&node, &authority), HEALTH).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"),
        "{answer}"
    );
    let mut client = Client::upgrade(shakes_hands(&node, &authority), "");
    let runtime = "hyperty-runtime://localhost/r";
    client.open(runtime);
    client.pings(runtime);
    // What no socket takes at once comes whole, both ways.
    let long = "x".repeat(3 << 20);
    let body = json!({ "long": long });
    let answer = client.ask("execute", runtime, &format!("{runtime}/self"), &body);
    let (asked, mut client) = (answer, client);
    assert_eq!(asked["type"], "execute", "its own request comes to it");
    assert_eq!(asked["body"]["long"].as_str().unwrap().len(), long.len());
    client.send(&json!({"type": "close", "from": runtime, "to": "mn:/session", "body": {}}));
    assert_eq!(client.frame().close_code(), 1000);
    // It waits for the peer to hang up, and says in TLS that nothing more comes.
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn every_commit_reaches_readers_behind_tls_whole_and_in_order() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = tls_node(&folder, &authority);
    let connect = || Client::upgrade(shakes_hands(&node, &authority), "");
    let mut reporter = Reporter::claim_on(connect());
    let mut readers: Vec<_> = (0..3)
        .map(|n| reporter.admit_on(connect(), &format!("o{n}")))
        .collect();
    let commits: Vec<String> = (0..200)
        .map(|n| reporter.commit(&format!("{n}").repeat(n * 20)))
        .collect();
    let frames: Vec<u8> = commits
        .iter()
        .flat_map(|one| masked(0x81, one.as_bytes()))
        .collect();
    // Readers that read only when all is said.
    reporter.client.send_raw(&frames);
    reporter.client.pings("hyperty-runtime://localhost/r");
    for reader in &mut readers {
        for commit in &commits {
            assert_eq!(String::from_utf8(reader.frame().payload).unwrap(), *commit);
        }
    }
}

#[test]
fn what_a_client_says_on_the_heels_of_its_upgrade_is_heard() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = tls_node(&folder, &authority);
    let mut stream = shakes_hands(&node, &authority);
    let pad = "x".repeat(12 << 10);
    let open = json!({"id": 1, "type": "open", "from": "hyperty-runtime://localhost/r",
        "to": "mn:/session", "body": {"pad": pad}});
    // In one write, before the upgrade is answered: more than HTTP takes along.
    let mut early = format!("{UPGRADE}\r\n").into_bytes();
    early.extend(masked(FIN | TEXT, open.to_string().as_bytes()));
    stream.write_all(&early).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], FIN | TEXT, "the answer to `open`");
}

#[test]
fn whoever_speaks_something_else_than_tls_is_told_in_one_line() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = tls_node(&folder, &authority);
    let upgrade = format!("{UPGRADE}\r\n");
    for request in [HEALTH, &upgrade] {
        let answer = http(node.local_addr(), request);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("wss://") && !body.contains('\n'), "{body}");
    }
    // Bytes that are neither.
    let mut stream = tcp(node.local_addr());
    stream.write_all(&[0x16, 3, 1, 0, 4, 9, 0, 0, 0]).unwrap();
    let mut rest = vec![];
    stream.read_to_end(&mut rest).unwrap();
    let answer = asks(&mut shakes_hands(&node, &authority), HEALTH).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 "),
        "the node goes on: {answer}"
    );
}

#[test]
fn a_tls_session_that_breaks_ends_its_connection_alone() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let node = tls_node(&folder, &authority);
    let mut client = Client::upgrade(shakes_hands(&node, &authority), "");
    client.open("hyperty-runtime://localhost/r");
    let mut other = Client::upgrade(shakes_hands(&node, &authority), "");
    other.open("hyperty-runtime://localhost/s");
    client
        .stream
        .sock
        .write_all(&[23, 3, 3, 0, 5, 1, 2, 3, 4, 5])
        .unwrap();
    let mut rest = vec![];
    let _ = client.stream.sock.read_to_end(&mut rest);
    other.pings("hyperty-runtime://localhost/s");
    let page = asks(
        &mut shakes_hands(&node, &authority),
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(support::value(&page.unwrap(), "byline_connections"), 1);
}

#[test]
fn a_certificate_read_anew_is_shown_to_those_who_come_then() {
    let (folder, first, second) = (Folder::new(), Authority::new(), Authority::new());
    let node = tls_node(&folder, &first);
    let mut client = Client::upgrade(shakes_hands(&node, &first), "");
    client.open("hyperty-runtime://localhost/r");
    second.certifies(&folder);
    node.reloads().unwrap();
    let refused = asks(&mut shakes_hands(&node, &first), HEALTH).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let answer = asks(&mut shakes_hands(&node, &second), HEALTH).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    client.pings("hyperty-runtime://localhost/r");
    // Half of a pair is none: the node goes on with what it has.
    folder.write("cert.pem", "");
    let error = node.reloads().unwrap_err().to_string();
    assert!(
        error.contains("cert.pem: it holds no certificate"),
        "{error}"
    );
    assert!(asks(&mut shakes_hands(&node, &second), HEALTH).is_ok());
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_with_what_is_wrong() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (chain, key) = authority.certifies(&folder);
    let refused = |chain: &Path, key: &Path| {
        let mut config = config();
        let (chain, key) = (chain.to_owned(), key.to_owned());
        config.certificate = Some(Certificate { chain, key });
        let error = Server::bind(config).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    let why = refused(&chain, &folder.path("nowhere"));
    assert!(why.starts_with("cannot read "), "{why}");
    let why = refused(&key, &key);
    assert!(why.ends_with("it holds no certificate in PEM"), "{why}");
    let why = refused(&chain, &chain);
    assert!(why.ends_with("it holds no private key in PEM"), "{why}");
    let other = Folder::new();
    let (_, others_key) = authority.certifies(&other);
    let why = refused(&chain, &others_key);
    assert!(why.starts_with("cannot use "), "{why}");
    assert!(!format!("{why:?}").contains("BEGIN"), "{why}");
}
