//! How connections end that break no rule.

use std::io::Write;

use byline_node::Server;

use crate::support::{
    Client, FIN, PING, PONG, Reporter, UPGRADE, config, masked, metric, node, read_head, tcp,
};

#[test]
fn a_node_that_stops_says_so_to_everybody_and_returns() {
    let mut node = node();
    let mut reporter = Reporter::claim(&node);
    let mut readers: Vec<_> = (0..50)
        .map(|n| reporter.admit(&node, &format!("o{n}")))
        .collect();
    let mut half = tcp(node.local_addr());
    half.write_all(UPGRADE.as_bytes()).unwrap();
    let commit = reporter.commit("the last one");
    reporter.client.send_text(&commit);
    // The request comes back when the commit before it has been handled.
    reporter.client.pings("hyperty-runtime://localhost/r");
    node.stops();
    for reader in &mut readers {
        assert_eq!(reader.frame().payload, commit.as_bytes());
    }
    readers.push(reporter.client);
    let mut first = readers.swap_remove(0);
    assert_eq!(first.frame().close_code(), 1012);
    half.write_all(b"\r\n").unwrap();
    let head = read_head(&mut half);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop(first);
    for client in &mut readers {
        let close = client.frame();
        assert_eq!(close.close_code(), 1012);
        assert_eq!(&close.payload[2..], b"node stopping");
        client.send_raw(&masked(close.first, &close.payload));
        assert!(client.is_hung_up());
    }
    drop(readers);
    node.stopped().unwrap();
}

#[test]
fn a_dropped_node_stops_too() {
    let node = Server::bind(config()).unwrap().spawn().unwrap();
    let mut client = Client::upgrade(tcp(node.local_addr()), "");
    let dropping = std::thread::spawn(move || drop(node));
    assert_eq!(client.frame().close_code(), 1012);
    drop(client);
    dropping.join().unwrap();
}

#[test]
fn who_answers_no_ping_is_lost_and_who_answers_stays() {
    let node = node();
    let every = config().ping_every;
    let mut silent = Client::connect(&node);
    let mut answering = Client::connect(&node);
    answering.open("hyperty-runtime://localhost/x");
    for _ in 0..4 {
        node.passes(every);
        let ping = answering.frame();
        assert_eq!(ping.first, FIN | PING);
        answering.send_raw(&masked(FIN | PONG, &ping.payload));
        // The node has read the pong when it has read what follows it.
        answering.pings("hyperty-runtime://localhost/x");
    }
    assert_eq!(silent.frame().first, FIN | PING);
    assert_eq!(silent.frame().first, FIN | PING);
    assert!(silent.is_hung_up());
    assert_eq!(metric(&node, "byline_connections "), 1);
}
