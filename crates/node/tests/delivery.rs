//! From one Reporter to many readers.

use std::io::Write;

use serde_json::json;

use crate::support::{self, Client, FIN, Reporter, TEXT, await_metric, masked, metric, node};

#[test]
fn every_reader_gets_the_reporters_own_bytes_in_order() {
    let node = node();
    let mut reporter = Reporter::claim(&node);
    let mut readers: Vec<_> = (0..20)
        .map(|n| reporter.admit(&node, &format!("o{n}")))
        .collect();
    let writes = metric(&node, "byline_writes_total ");
    let commits: Vec<_> = (0..300)
        .map(|n| reporter.commit(&format!("{n} ä\u{1f600}")))
        .collect();
    let together: Vec<_> = commits
        .iter()
        .flat_map(|commit| masked(FIN | TEXT, commit.as_bytes()))
        .collect();
    reporter.client.send_raw(&together);
    for reader in &mut readers {
        for commit in &commits {
            let frame = reader.frame();
            assert_eq!(frame.first, FIN | TEXT);
            assert_eq!(std::str::from_utf8(&frame.payload).unwrap(), commit);
        }
    }
    assert_eq!(metric(&node, "byline_deliveries_total "), 20 * 300);
    await_metric(&node, "byline_queued_bytes ", 0);
    // What came together left together: a frame each would be 6,000 writes.
    let writes = metric(&node, "byline_writes_total ") - writes;
    assert!(writes < 3_000, "{writes} writes");
}

#[test]
fn who_does_not_take_its_answers_is_not_read_until_it_does() {
    const REQUESTS: u64 = 30_000;
    let node = node();
    let mut client = Client::connect(&node);
    client.open("hyperty-runtime://localhost/x");
    // Every answer repeats a long address: together they are more than all buffers on the way.
    let to = format!("hyperty://localhost/{}", "y".repeat(900));
    let request =
        json!({"id": 1, "type": "read", "from": "hyperty-runtime://localhost/x", "to": to});
    let request = masked(FIN | TEXT, request.to_string().as_bytes());
    let mut stream = client.stream.try_clone().unwrap();
    let asking = std::thread::spawn(move || {
        for _ in 0..REQUESTS {
            stream.write_all(&request).unwrap();
        }
    });
    while metric(&node, "byline_queued_bytes ") < 1 << 20 {}
    let received = metric(&node, "byline_messages_received_total ");
    for _ in 0..200 {
        assert!(metric(&node, "byline_queued_bytes ") < 2 << 20);
        assert_eq!(metric(&node, "byline_messages_received_total "), received);
    }
    for _ in 0..REQUESTS {
        assert_eq!(client.message()["body"]["code"], 404);
    }
    asking.join().unwrap();
    await_metric(&node, "byline_queued_bytes ", 0);
}

#[test]
fn nothing_is_left_of_connections_that_vanish() {
    let node = node();
    let mut reporter = Reporter::claim(&node);
    let mut readers: Vec<_> = (0..200)
        .map(|n| reporter.admit(&node, &format!("o{n}")))
        .collect();
    for (n, reader) in readers.iter_mut().enumerate() {
        // Some leave a request behind, some half a frame.
        match n % 3 {
            0 => reader.send(&json!({
                "id": 5, "type": "read", "from": format!("hyperty://localhost/o{n}"),
                "to": support::OBJECT, "body": {},
            })),
            1 => reader.send_raw(&[FIN | TEXT, 0xff, 0, 0]),
            _ => {}
        }
    }
    for _ in (0..200).step_by(3) {
        assert_eq!(reporter.client.message()["type"], "read");
    }
    assert_eq!(metric(&node, "byline_connections "), 201);
    assert_eq!(metric(&node, "byline_routes "), 200);
    assert_eq!(metric(&node, "byline_unanswered_requests "), 67);
    drop(readers);
    await_metric(&node, "byline_connections ", 1);
    await_metric(&node, "byline_routes ", 0);
    // Their sessions have a grace time, which a new session of the same runtime ends.
    assert_eq!(metric(&node, "byline_sessions "), 201);
    for n in 0..200 {
        let mut again = Client::connect(&node);
        let runtime = format!("hyperty-runtime://localhost/o{n}");
        again.open(&runtime);
        again.send(&json!({"type": "close", "from": runtime, "to": "mn:/session"}));
        assert_eq!(again.frame().close_code(), 1000);
    }
    reporter.client.send(&json!({
        "type": "close", "from": "hyperty-runtime://localhost/r", "to": "mn:/session",
    }));
    loop {
        let frame = reporter.client.frame();
        if frame.first != FIN | TEXT {
            assert_eq!(frame.close_code(), 1000);
            break;
        }
    }
    drop(reporter);
    for gauge in [
        "connections",
        "sessions",
        "routes",
        "unanswered_requests",
        "queued_bytes",
    ] {
        await_metric(&node, &format!("byline_{gauge} "), 0);
    }
}
