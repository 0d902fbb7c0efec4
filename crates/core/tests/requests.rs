//! Requests, answers and sessions at the node, under clients that forge, flood, hang and vanish: every
//! request gets exactly one answer, and nothing is left of who has left.

use byline_core::limits::{
    GRACE_MS, HYPERTIES_PER_SESSION_MAX, RECORD_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX,
};
use byline_core::node::Gauges;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, code, dropped, kitchen};
use crate::world::{self, Client, World};

// Answering.

#[test]
fn forged_answers_are_dropped_and_counted() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let (other, thief) = (world.client(4), world.client(3));
    world.subscribes_raw(&other, KITCHEN);
    let asked = world.frames(&reporter).pop().unwrap();
    let before = dropped(&world);
    // From somebody who was not asked, and from another address than was asked.
    answers(&mut world, &thief, &asked, (epoch, 0));
    let mut elsewhere = asked.clone();
    elsewhere["to"] = json!(KITCHEN);
    answers(&mut world, &reporter, &elsewhere, (epoch, 0));
    // To a request that nobody sent, and to somebody else.
    let mut unknown = asked.clone();
    unknown["id"] = json!(7);
    answers(&mut world, &reporter, &unknown, (epoch, 0));
    let mut astray = asked.clone();
    astray["from"] = json!(reader.hyperty);
    answers(&mut world, &reporter, &astray, (epoch, 0));
    assert_eq!(dropped(&world), before + 4);
    assert_eq!(world.node.gauges().routes, 1);
    assert_eq!(world.counts(&other, "response"), 2, "those to its opening");
    answers(&mut world, &reporter, &asked, (epoch, 0));
    assert_eq!(world.node.gauges().routes, 2);
    // A second answer.
    answers(&mut world, &reporter, &asked, (epoch, 0));
    assert_eq!(dropped(&world), before + 5);
    assert_eq!(world.counts(&other, "response"), 3);
    world.assert_all_answered();
}

#[test]
fn a_request_id_in_flight_is_not_used_twice_and_a_request_has_one() {
    let (mut world, _, _, _) = kitchen();
    let asker = world.client(3);
    let to = format!("{KITCHEN}/subscription");
    let frame = |id: Value| {
        json!({"id": id, "type": "subscribe", "from": asker.hyperty, "to": to, "body": {}})
            .to_string()
    };
    world.says(&asker, &frame(json!(5)));
    assert_eq!(world.answer(&asker, &json!(5)), Value::Null);
    world.says(&asker, &frame(json!(5)));
    assert_eq!(code(&world.answer(&asker, &json!(5))), 400);
    world.says(&asker, &frame(Value::Null));
    assert_eq!(code(&world.answer(&asker, &Value::Null)), 400);
    assert_eq!(world.node.gauges().unanswered, 1);
    // Text and number are two ids.
    world.says(&asker, &frame(json!("5")));
    assert_eq!(world.node.gauges().unanswered, 2);
}

#[test]
fn who_asks_too_much_is_told_so_and_who_never_answers_is_given_up() {
    let (mut world, reporter, _, _) = kitchen();
    let asker = world.client(3);
    for _ in 0..UNANSWERED_PER_ASKER_MAX {
        assert_eq!(world.subscribes_raw(&asker, KITCHEN), Value::Null);
    }
    let refused = world.subscribes_raw(&asker, KITCHEN);
    assert_eq!(code(&refused), 429);
    assert_eq!(refused["body"]["retry"], 1);
    assert_eq!(world.node.gauges().unanswered, UNANSWERED_PER_ASKER_MAX);
    // The Reporter hangs: its askers get their requests back.
    world.passes(UNANSWERED_MS);
    assert_eq!(world.node.gauges().unanswered, 0);
    assert_eq!(
        world.node.counters().refused[&408],
        UNANSWERED_PER_ASKER_MAX as u64
    );
    world.assert_all_answered();
    // One put off with 1xx is held.
    world.subscribes_raw(&asker, KITCHEN);
    let asked = world.frames(&reporter).pop().unwrap();
    let later = json!({"id": asked["id"], "type": "response", "from": asked["to"],
        "to": asked["from"], "body": {"code": 102, "desc": "soon"}});
    world.says(&reporter, &later.to_string());
    world.passes(UNANSWERED_MS * 10);
    assert_eq!(world.node.gauges().unanswered, 1);
}

#[test]
fn events_are_passed_on_and_leave_nothing_behind() {
    let mut world = World::new();
    let (a, b) = (world.client(1), world.client(2));
    world.claims(&b, KITCHEN, json!({})); // its hyperty is known by its first use
    for n in 0..200 {
        let body = json!({"n": n, "identity": "user-guid://forged"});
        let answer = world.asks(&a, "event", &a.hyperty, &b.hyperty, body);
        assert_eq!(answer, Value::Null);
    }
    let nobody = "hyperty://localhost/nobody/there";
    assert_eq!(
        world.asks(&a, "event", &a.hyperty, nobody, json!({})),
        Value::Null
    );
    assert_eq!(world.counts(&b, "event"), 200);
    assert_eq!(
        world.frames(&b).pop().unwrap()["body"]["identity"],
        json!(a.identity())
    );
    assert_eq!(world.node.gauges().unanswered, 0);
    let refused = world.asks(&a, "execute", &a.hyperty, nobody, json!({}));
    assert_eq!(code(&refused), 404);
}

#[test]
fn a_request_is_forwarded_as_it_came_but_for_its_stamp() {
    let mut world = World::new();
    let (a, b) = (world.client(1), world.client(2));
    world.claims(&b, KITCHEN, json!({}));
    let frame = json!({"id": "x", "type": "Sing", "from": a.hyperty, "to": b.hyperty, "via": [1, 2.50],
        "body": {"song": "é", "identity": "user-guid://forged"}});
    world.says(&a, &frame.to_string());
    let mut expected = frame;
    expected["body"]["identity"] = json!(a.identity());
    assert_eq!(world.frames(&b).pop().unwrap(), expected);
}

#[test]
fn a_claim_names_the_object_and_its_subscription() {
    let mut world = World::new();
    let a = world.client(1);
    let subscription = format!("{KITCHEN}/subscription");
    let claim = json!({"url": KITCHEN, "reporter": a.hyperty});
    for (resources, expected) in [
        (json!([KITCHEN]), 400),
        (json!([subscription]), 400),
        (json!([KITCHEN, subscription]), 200),
    ] {
        let body = json!({"resources": resources, "source": a.hyperty, "claim": claim});
        let answer = world.asks(&a, "subscribe", &a.hyperty, &world::sm(), body);
        assert_eq!(code(&answer), expected, "{answer}");
    }
}

#[test]
fn a_session_has_so_many_hyperties_and_no_more() {
    let mut world = World::new();
    let client = world.client(1);
    let says = |world: &mut World, who: &Client, from: &str| {
        world.asks(who, "event", from, &client.runtime, json!({}))
    };
    for n in 0..HYPERTIES_PER_SESSION_MAX {
        let from = format!("{}{n}", client.hyperty);
        assert_eq!(says(&mut world, &client, &from), Value::Null);
    }
    let from = format!("{}-one-more", client.hyperty);
    let refused = says(&mut world, &client, &from);
    assert_eq!(code(&refused), 429);
    // They are free again for their runtime's next session.
    world.drops(&client);
    world.passes(GRACE_MS + 1);
    let again = client.at(world.connects());
    assert_eq!(code(&world.opens(&again, "open", &again.runtime)), 200);
    assert_eq!(says(&mut world, &again, &from), Value::Null);
}

#[test]
fn a_lost_reporters_askers_are_each_answered_once_with_503() {
    let (mut world, reporter, _, epoch) = kitchen();
    let askers: Vec<Client> = (3..6).map(|n| world.client(n)).collect();
    for asker in &askers {
        world.subscribes_raw(asker, KITCHEN);
        let body = json!({});
        world.asks(asker, "read", &asker.hyperty, KITCHEN, body);
    }
    assert_eq!(world.node.gauges().unanswered, 6);
    world.drops(&reporter);
    for asker in &askers {
        let frames = world.frames(asker);
        let away: Vec<&Value> = frames.iter().filter(|frame| code(frame) == 503).collect();
        assert_eq!(away.len(), 2);
        assert_eq!(away[0]["body"]["retry"], "now");
    }
    assert_eq!(world.node.gauges().unanswered, 0);
    // What comes in the grace time waits for the re-open; without one it is answered when that is over.
    let body = json!({});
    world.asks(
        &askers[0],
        "read",
        &askers[0].hyperty,
        KITCHEN,
        body.clone(),
    );
    let (reporter, _) = world.reopens(&reporter);
    let asked = world.frames(&reporter).pop().unwrap();
    assert_eq!(asked["type"], "read");
    answers(&mut world, &reporter, &asked, (epoch, 0));
    world.drops(&reporter);
    world.asks(&askers[0], "read", &askers[0].hyperty, KITCHEN, body);
    assert_eq!(world.node.gauges().unanswered, 1);
    world.passes(GRACE_MS + 1);
    assert_eq!(world.node.gauges().unanswered, 0);
    world.assert_all_answered();
}

// Sessions.

#[test]
fn a_session_goes_on_in_its_grace_time_and_is_a_new_one_after() {
    let (mut world, reporter, reader, epoch) = kitchen();
    world.drops(&reader);
    world.passes(GRACE_MS - 1);
    let (reader, opened) = world.reopens(&reader);
    assert_eq!(opened["body"]["runtimeToken"], json!(reader.token));
    assert_eq!(
        opened["body"]["heads"][KITCHEN]["position"],
        json!([epoch, 0])
    );
    // The grace time of the first loss is over: it is not that of the second.
    world.drops(&reader);
    world.passes(2);
    let (reader, opened) = world.reopens(&reader);
    assert_eq!(opened["body"]["fresh"], Value::Null);
    let before = world.counts(&reader, "update");
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    assert_eq!(world.counts(&reader, "update"), before + 1);
    let mut stranger = reader.clone();
    stranger.token = "wrong".to_owned();
    let (_, opened) = world.reopens(&stranger);
    assert_eq!(opened["body"]["fresh"], true);
    assert_eq!(opened["body"]["heads"], Value::Null);
    assert_eq!(world.closed[&reader.connection], 4001);
    assert_eq!(world.node.gauges().routes, 0, "a new session has no routes");
    world.drops(&reporter);
    world.passes(GRACE_MS + 1);
    let (_, opened) = world.reopens(&reporter);
    assert_eq!(opened["body"]["fresh"], true);
    assert_eq!(opened["body"]["claims"], Value::Null);
}

#[test]
fn a_re_open_that_an_older_socket_delivers_late_does_not_end_the_newer_one() {
    let (mut world, _, reader, _) = kitchen();
    let slow = world.connects();
    let (newer, opened) = world.reopens(&reader);
    assert_eq!(code(&opened), 200);
    let from = format!("{}/{}", reader.runtime, reader.token);
    world.opens(&reader.at(slow), "re-open", &from);
    assert_eq!(world.closed.get(&slow), Some(&4001));
    assert_eq!(world.closed.get(&newer.connection), None);
    let from = newer.runtime.clone();
    let pong = world.asks(&newer, "ping", &from, "mn:/session", json!({}));
    assert_eq!(code(&pong), 200, "the newer socket goes on");
}

#[test]
fn a_second_socket_supersedes_the_first_whose_frames_are_dropped() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let (again, opened) = world.reopens(&reporter);
    assert_eq!(code(&opened), 200);
    assert_eq!(world.closed[&reporter.connection], 4001);
    let sent = world.frames(&reporter).len();
    assert_eq!(
        world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null),
        Value::Null
    );
    world.opens(&reporter, "open", &reporter.runtime);
    assert_eq!(world.frames(&reporter).len(), sent, "dropped, not answered");
    assert_eq!(
        world.counts(&reader, "update"),
        1,
        "the head of the re-open"
    );
    world.drops(&reporter);
    assert_eq!(
        world.commits(&again, KITCHEN, (epoch, 1), Value::Null),
        Value::Null
    );
    assert_eq!(world.counts(&reader, "update"), 2);
    world.drops(&again);
    assert_eq!(
        world.counts(&reader, "update"),
        3,
        "the head that says it is away"
    );
}

#[test]
fn open_ends_the_earlier_session_of_its_runtime_with_all_it_had() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let again = reporter.at(world.connects());
    assert_eq!(code(&world.opens(&again, "open", &again.runtime)), 200);
    assert_eq!(world.closed[&reporter.connection], 4001);
    let head = world.frames(&reader).pop().unwrap();
    assert_eq!(head["body"]["live"], false);
    assert_eq!(
        code(&world.commits(&again, KITCHEN, (epoch, 1), Value::Null)),
        403
    );
}

#[test]
fn when_all_have_left_nothing_is_left() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let waiting = world.client(3);
    let body = json!({"hold": true});
    let told = world.asks(
        &waiting,
        "subscribe",
        &waiting.hyperty,
        "ctxt://localhost/x/subscription",
        body,
    );
    assert_eq!(code(&told), 102);
    world.subscribes_raw(&waiting, KITCHEN);
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    let gauges = world.node.gauges();
    assert_eq!((gauges.objects, gauges.unanswered), (2, 2));
    // One closes, one is cut, one is superseded and then cut.
    let frame =
        json!({"id": 1, "type": "close", "from": reader.runtime, "to": "mn:/session", "body": {}});
    world.says(&reader, &frame.to_string());
    assert_eq!(world.closed[&reader.connection], 1000);
    let (again, _) = world.reopens(&waiting);
    world.drops(&waiting);
    world.drops(&again);
    world.drops(&reader);
    world.drops(&reporter);
    world.passes(GRACE_MS + 1);
    assert_eq!(world.node.gauges(), Gauges::default());
    world.passes(RECORD_MS);
    assert_eq!(world.node.poll_timeout(), None, "no timer is left");
    // A claim's record goes too, and its address is not used again.
    let late = world.client(1);
    let refused = world.claims(&late, KITCHEN, json!({}));
    assert_eq!(code(&refused), 410, "{refused}");
}
