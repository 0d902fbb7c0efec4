//! What a connection may send, byte by byte, and what becomes of one that breaks the rules.

use byline_core::limits::FRAME_BYTES_MAX;
use serde_json::json;

use crate::support::{
    BINARY, CLOSE, Client, FIN, Node, PING, PONG, TEXT, await_metric, masked, metrics, node,
};

const PING_MESSAGE: &str =
    r#"{"id":9,"type":"ping","from":"hyperty-runtime://localhost/x","to":"mn:/session"}"#;

fn opened(node: &Node, name: &str) -> Client {
    let mut client = Client::connect(node);
    client.open(&format!("hyperty-runtime://localhost/{name}"));
    client
}

#[test]
fn a_message_may_come_in_fragments_and_in_single_bytes() {
    let node = node();
    let mut client = opened(&node, "x");
    let (one, rest) = PING_MESSAGE.as_bytes().split_at(10);
    let (two, three) = rest.split_at(30);
    let mut bytes = masked(TEXT, one);
    bytes.extend(masked(0, two));
    // A control frame may stand between the fragments.
    bytes.extend(masked(FIN | PING, b"between"));
    bytes.extend(masked(FIN, three));
    for byte in bytes {
        client.send_raw(&[byte]);
    }
    let pong = client.frame();
    assert_eq!(
        (pong.first, pong.payload.as_slice()),
        (FIN | PONG, &b"between"[..])
    );
    assert_eq!(client.message()["body"]["code"], 200);
}

#[test]
fn what_comes_at_once_is_answered_in_order() {
    let node = node();
    let mut client = opened(&node, "x");
    let mut bytes = Vec::new();
    for id in 0..500 {
        let message = PING_MESSAGE.replace("\"id\":9", &format!("\"id\":{id}"));
        bytes.extend(masked(FIN | TEXT, message.as_bytes()));
        bytes.extend(masked(FIN | PING, format!("{id}").as_bytes()));
    }
    client.send_raw(&bytes);
    for id in 0..500 {
        assert_eq!(client.message()["id"], id);
        let pong = client.frame();
        assert_eq!(
            (pong.first, pong.payload),
            (FIN | PONG, format!("{id}").into_bytes())
        );
    }
}

#[test]
fn a_broken_rule_ends_its_connection_and_no_other() {
    let node = node();
    let mut bystander = opened(&node, "x");
    let long = {
        let mut head = vec![FIN | TEXT, 0x80 | 127];
        head.extend((FRAME_BYTES_MAX as u64 + 1).to_be_bytes());
        head.extend([0; 4]);
        head
    };
    let half = vec![b' '; FRAME_BYTES_MAX / 2 + 1];
    let long_in_fragments = [masked(TEXT, &half), masked(FIN, &half)].concat();
    for (bytes, code) in [
        (masked(FIN | BINARY, b"{}"), 1003),
        (long, 1009),
        (long_in_fragments, 1009),
        (masked(FIN | TEXT, &[0xff, 0xfe]), 1007),
        (vec![FIN | TEXT, 2, b'{', b'}'], 1002),
        (masked(0xf0 | TEXT, b"{}"), 1002),
        (masked(FIN | 3, b"{}"), 1002),
        (masked(FIN, b"continues nothing"), 1002),
        (masked(FIN | PING, &[0; 126]), 1002),
        (masked(PING, b"in fragments"), 1002),
    ] {
        let mut client = Client::connect(&node);
        client.send_raw(&bytes);
        let close = client.frame();
        assert_eq!(close.close_code(), code);
        assert!(client.is_hung_up());
        // What was on its way is still read, and dropped: bytes left unread would reset the
        // connection, and not every peer would have learned why by then.
        client.send_raw(&vec![0; 256 << 10]);
        client.send_raw(&masked(close.first, &close.payload));
        drop(client);
        bystander.send_text(PING_MESSAGE);
        assert_eq!(bystander.message()["body"]["code"], 200, "after {code}");
    }
    await_metric(&node, "byline_connections ", 1);
    let page = metrics(&node);
    for (code, count) in [(1002, 6), (1003, 1), (1007, 1), (1009, 2)] {
        let line = format!("byline_connections_closed_total{{code=\"{code}\"}} {count}");
        assert!(page.contains(&line), "{line} in {page}");
    }
}

#[test]
fn a_message_as_long_as_the_limit_is_read() {
    let node = node();
    let mut client = opened(&node, "x");
    let padding = FRAME_BYTES_MAX - PING_MESSAGE.len();
    client.send_text(&format!("{PING_MESSAGE}{}", " ".repeat(padding)));
    assert_eq!(client.message()["body"]["code"], 200);
}

#[test]
fn a_peer_that_closes_is_answered_with_its_own_code() {
    let node = node();
    let mut client = opened(&node, "x");
    client.send_raw(&masked(FIN | CLOSE, &[0x03, 0xe8]));
    assert_eq!(client.frame().close_code(), 1000);
    assert!(client.is_hung_up());
    let mut client = opened(&node, "y");
    let close =
        json!({"type": "close", "from": "hyperty-runtime://localhost/y", "to": "mn:/session"});
    client.send(&close);
    assert_eq!(client.frame().close_code(), 1000);
    assert!(client.is_hung_up());
}

#[test]
fn a_message_that_is_none_is_answered_and_its_connection_stays() {
    let node = node();
    let mut client = opened(&node, "x");
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let deep = format!(r#"{{"id":1,"type":"x","from":"a","to":"b","body":{{"v":{deep}}}}}"#);
    for text in ["", "{", "[]", "17", r#"{"id":1,"type":7}"#, &deep] {
        client.send_text(text);
        let answer = client.message();
        assert_eq!(answer["body"]["code"], 400, "{answer}");
        assert!(answer["body"]["desc"].is_string(), "{answer}");
    }
    client.send_text(PING_MESSAGE);
    assert_eq!(client.message()["body"]["code"], 200);
    let page = metrics(&node);
    assert!(
        page.contains("byline_refusals_total{code=\"400\"} 6"),
        "{page}"
    );
}

#[test]
fn nothing_is_served_before_a_session_is_open() {
    let node = node();
    let mut client = Client::connect(&node);
    client.send_text(PING_MESSAGE);
    assert_eq!(client.message()["body"]["code"], 401);
    client.open("hyperty-runtime://localhost/x");
    client.send_text(PING_MESSAGE);
    assert_eq!(client.message()["body"]["code"], 200);
}
