//! The HTTP in front of the WebSockets.

use std::io::Write;

use byline_node::{BindError, Config, Server};

use crate::support::{self, Client, UPGRADE, config, http, metrics, node, read_head, tcp};

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn a_node_answers_its_operator() {
    let node = node();
    let ask = |line: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        http(node.local_addr(), &request)
    };
    assert!(ask("GET /healthz").ends_with("\r\n\r\nok"));
    assert_eq!(status(&ask("GET /")), "404");
    assert_eq!(status(&ask("POST /metrics")), "404");
    let page = metrics(&node);
    assert!(page.contains("application/openmetrics-text"), "{page}");
    for line in [
        "# HELP byline_connections Connections",
        "# TYPE byline_deliveries counter",
        "byline_connections 0",
        "byline_deliveries_total 0",
        "# EOF",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
}

#[test]
fn a_request_that_is_no_websocket_is_told_what_it_lacks() {
    let node = node();
    let refused = |headers: &str, expected: &str, says: &str| {
        let request = format!("{headers}Connection: close\r\n\r\n");
        let answer = http(node.local_addr(), &request);
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.contains(says), "{answer}");
    };
    let plain = "GET /ws HTTP/1.1\r\nHost: localhost\r\n";
    refused(plain, "426", "send Connection: Upgrade");
    let old = UPGRADE.replace("Version: 13", "Version: 8");
    refused(&old, "426", "Sec-WebSocket-Version: 13");
    let keyless = UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short");
    refused(&keyless, "400", "Sec-WebSocket-Key");
    let posted = UPGRADE.replace("GET", "POST");
    refused(&posted, "400", "GET");
    let page = metrics(&node);
    assert!(page.contains("byline_upgrades_refused_total 4"), "{page}");
}

#[test]
fn a_request_without_end_is_ended() {
    let node = node();
    let mut stream = tcp(node.local_addr());
    stream.write_all(UPGRADE.as_bytes()).unwrap();
    let line = format!("X-Long: {}\r\n", "x".repeat(1_000));
    // The node answers 431 and hangs up, sooner or later in the middle of this.
    while stream.write_all(line.as_bytes()).is_ok() {}
    assert!(metrics(&node).contains("byline_connections 0"));
}

#[test]
fn a_web_page_from_elsewhere_may_not_connect() {
    let node = node();
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
    ] {
        // It is no excuse that the page's own name leads here.
        let upgrade = UPGRADE.replace("Host: localhost", "Host: evil.example");
        let request = format!("{upgrade}Origin: {origin}\r\n\r\n");
        let mut stream = tcp(node.local_addr());
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert_eq!(status(&head), "403", "{origin}: {head}");
    }
    for origin in [
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://[::1]:80",
    ] {
        let more = format!("Origin: {origin}\r\n");
        let mut page = Client::upgrade(tcp(node.local_addr()), &more);
        page.open("hyperty-runtime://localhost/page");
    }
}

#[test]
fn half_a_request_holds_up_nobody_else() {
    let node = node();
    let mut halves: Vec<_> = (0..50).map(|_| tcp(node.local_addr())).collect();
    for half in &mut halves {
        half.write_all(&UPGRADE.as_bytes()[..60]).unwrap();
    }
    Client::connect(&node).open("hyperty-runtime://localhost/whole");
    // And a half becomes whole when the rest comes, with the first message right behind it.
    let mut late = halves.swap_remove(7);
    let open =
        r#"{"id":1,"type":"open","from":"hyperty-runtime://localhost/late","to":"mn:/session"}"#;
    let mut rest = UPGRADE.as_bytes()[60..].to_vec();
    rest.extend(b"\r\n");
    rest.extend(support::masked(
        support::FIN | support::TEXT,
        open.as_bytes(),
    ));
    late.write_all(&rest).unwrap();
    let head = read_head(&mut late);
    assert_eq!(status(&head), "101", "{head}");
    let mut first = [0; 2];
    std::io::Read::read_exact(&mut late, &mut first).unwrap();
    assert_eq!(first[0], support::FIN | support::TEXT);
}

#[test]
fn an_address_that_cannot_be_had_is_refused_in_one_line() {
    let everywhere = Config::new("0.0.0.0:0".parse().unwrap(), "localhost");
    let error = Server::bind(everywhere).unwrap_err();
    assert!(matches!(error, BindError::NotLoopback(_)), "{error}");
    assert!(error.to_string().contains("others reach it"));
    let first = Server::bind(config()).unwrap();
    let mut second = config();
    second.listen = first.local_addr();
    let error = Server::bind(second).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    assert!(!error.to_string().contains('\n'));
}
