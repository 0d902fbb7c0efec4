//! Sessions of people: who they are, until when, and what becomes of their objects and grants when that
//! ends and when it goes on (protocol.md §3).

use byline_core::State;
use byline_core::error::Reason;
use byline_core::identity::encode_bytes;
use byline_core::limits::{GRACE_MS, TOKEN_BYTES_MAX};
use byline_core::runtime::Connection;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers_readers, code};
use crate::world::passes::{HOUR_MS, MINUTE_MS, room};
use crate::world::room::{closed, kicks};
use crate::world::{Client, DOMAIN, World, count, of};

fn reason(answer: &Value) -> Value {
    answer["body"]["reason"].clone()
}

fn renews(world: &mut World, client: &Client, token: Option<&str>) -> Value {
    let from = format!("{}/{}", client.runtime, client.token);
    let body = token.map_or_else(|| json!({}), |token| json!({"token": token}));
    world.asks(client, "re-open", &from, "mn:/session", body)
}

fn pings(world: &mut World, client: &Client) -> u64 {
    let from = client.runtime.clone();
    code(&world.asks(client, "ping", &from, "mn:/session", json!({})))
}

#[test]
fn a_session_with_a_key_needs_a_token_beside_it_and_then_is_the_person() {
    let mut world = World::of_people();
    let mut client = world.stranger(1);
    let runtime = client.runtime.clone();
    for pass in [None, Some("nonsense".to_owned()), Some("ana 5".to_owned())] {
        client.pass = pass;
        let refused = world.opens(&client, "open", &runtime);
        assert_eq!(code(&refused), 401, "{refused}");
        assert_eq!(reason(&refused), "needs-auth", "{refused}");
    }
    client.pass = Some("x".repeat(TOKEN_BYTES_MAX + 1));
    assert_eq!(code(&world.opens(&client, "open", &runtime)), 413);
    assert_eq!(world.node.counters().refused[&401], 3);
    // The token alone opens nothing.
    client.pass = Some(world.pass("ana", HOUR_MS));
    let mut thief = world.stranger(2);
    thief.runtime.clone_from(&runtime);
    thief.pass.clone_from(&client.pass);
    assert_eq!(code(&world.opens(&thief, "open", &runtime)), 403);
    let token = json!({"token": client.pass});
    let nobody = format!("hyperty-runtime://{DOMAIN}/nobody");
    let refused = world.asks(&thief, "open", &nobody, "mn:/session", token);
    assert_eq!(
        code(&refused),
        400,
        "a token without a key is nobody's: {refused}"
    );

    let opened = world.opens(&client, "open", &runtime);
    assert_eq!(of(&opened, "identity"), "user://example.com/ana");
    let ends = world.now.plus_ms(HOUR_MS).rfc3339();
    assert_eq!(of(&opened, "expires"), ends);
    // An anonymous session is nobody, as everywhere.
    let opened = world.asks(&thief, "open", &nobody, "mn:/session", json!({}));
    assert_eq!(code(&opened), 200, "{opened}");
    assert_eq!(opened["body"]["expires"], Value::Null);
}

#[test]
fn a_node_that_asks_for_no_token_pays_no_heed_to_one() {
    let mut world = World::new();
    let client = world.client_as(1, "ana", HOUR_MS);
    world.claims(&client, KITCHEN, json!({}));
    let reader = world.client(2);
    world.subscribes_raw(&reader, KITCHEN);
    let asked = world.frames(&client).pop().unwrap();
    assert_eq!(asked["body"]["identity"], json!(reader.identity()));
    assert_eq!(code(&renews(&mut world, &client, Some("ana 1"))), 409);
    let who = world.runtime_as("ana", HOUR_MS);
    world.settles();
    assert!(
        world
            .machine(who)
            .identity()
            .as_str()
            .starts_with("user-guid://")
    );
    let sent = world.place(who).sent;
    let token = world.pass("ana", HOUR_MS);
    world.authenticates(who, token);
    world.passes(HOUR_MS + MINUTE_MS);
    assert_eq!(world.place(who).connection, [Connection::Live]);
    assert_eq!(world.place(who).tokens_asked, 0);
    assert_eq!(world.place(who).sent - sent, 91, "pings, and nothing else");
}

#[test]
fn a_reader_receives_nothing_after_its_token_has_ended() {
    let mut world = World::of_people();
    let ana = world.client_as(1, "ana", HOUR_MS);
    let ben = world.client_as(2, "ben", MINUTE_MS);
    let claimed = world.claims(&ana, KITCHEN, json!({}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    world.subscribes_raw(&ben, KITCHEN);
    answers_readers(&mut world, &ana, (epoch, 0));
    // One more request of Ben's is on its way when it happens.
    world.passes(MINUTE_MS - 1);
    world.subscribes_raw(&ben, KITCHEN);
    world.commits(&ana, KITCHEN, (epoch, 1), Value::Null);
    assert_eq!(
        world.counts(&ben, "update"),
        1 + 1,
        "a quiet head, a commit"
    );
    world.passes(1);
    let told = world.frames(&ben);
    let [refused, needs_auth] = &told[told.len() - 2..] else {
        panic!("{told:?}")
    };
    assert_eq!((code(refused), reason(refused)), (401, json!("needs-auth")));
    assert_eq!(needs_auth["type"], "execute");
    assert_eq!(needs_auth["to"], format!("{}/sm", ben.runtime));
    let body = json!({"method": "needs-auth", "params": []});
    assert_eq!(needs_auth["body"], body);
    assert_eq!(world.node.gauges().routes, 0);
    // Neither what is published, nor what was asked before, nor what is asked now.
    world.commits(&ana, KITCHEN, (epoch, 2), Value::Null);
    answers_readers(&mut world, &ana, (epoch, 2));
    world.passes(GRACE_MS - 1);
    assert_eq!(world.frames(&ben), told);
    assert_eq!(code(&world.subscribes_raw(&ben, KITCHEN)), 401);
    let from = ben.runtime.clone();
    let refused = world.asks(&ben, "open", &from, "mn:/session", json!({}));
    assert_eq!(reason(&refused), "needs-auth");
    assert_eq!(code(&renews(&mut world, &ben, None)), 401);
    assert_eq!(pings(&mut world, &ben), 200);
    assert!(world.closed.is_empty());
    world.passes(1);
    assert_eq!(world.closed[&ben.connection], 4003);
    assert_eq!(world.node.gauges().sessions, 1);
    world.assert_all_answered();
}

#[test]
fn a_newer_token_on_the_same_connection_brings_a_grant_back_without_loss() {
    let mut world = World::of_people();
    let ana = world.client_as(1, "ana", HOUR_MS);
    let ben = world.client_as(2, "ben", MINUTE_MS);
    let claimed = world.claims(&ana, KITCHEN, json!({}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    world.subscribes_raw(&ben, KITCHEN);
    answers_readers(&mut world, &ana, (epoch, 0));
    // Before its end: nothing is interrupted.
    let token = world.pass("ben", 2 * MINUTE_MS);
    let renewed = renews(&mut world, &ben, Some(&token));
    assert_eq!(code(&renewed), 200);
    assert_eq!(
        of(&renewed, "expires"),
        world.now.plus_ms(2 * MINUTE_MS).rfc3339()
    );
    assert_eq!(of(&renewed, "runtimeToken"), ben.token);
    assert_eq!(
        renewed["body"]["heads"][KITCHEN]["position"],
        json!([epoch, 0])
    );
    world.passes(MINUTE_MS + 1);
    world.commits(&ana, KITCHEN, (epoch, 1), Value::Null);
    assert_eq!(world.frames(&ben).pop().unwrap()["body"]["version"], 1);
    // After it: the head says what is lacking.
    world.passes(MINUTE_MS);
    world.commits(&ana, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(world.frames(&ben).pop().unwrap()["type"], "execute");
    let token = world.pass("ben", MINUTE_MS);
    let renewed = renews(&mut world, &ben, Some(&token));
    assert_eq!(
        renewed["body"]["heads"][KITCHEN]["position"],
        json!([epoch, 2])
    );
    world.commits(&ana, KITCHEN, (epoch, 3), Value::Null);
    assert_eq!(world.frames(&ben).pop().unwrap()["body"]["version"], 3);
    world.passes(GRACE_MS + 1);
    assert!(world.closed.is_empty(), "its grace time is no more");
}

#[test]
fn another_persons_token_does_not_continue_a_session() {
    let mut world = World::of_people();
    let ana = world.client_as(1, "ana", MINUTE_MS);
    let other = world.pass("ben", HOUR_MS);
    assert_eq!(code(&renews(&mut world, &ana, Some(&other))), 403);
    world.passes(MINUTE_MS);
    assert_eq!(code(&renews(&mut world, &ana, Some(&other))), 403);
    let mut as_ben = ana.clone();
    as_ben.pass = Some(other);
    let (_, answer) = world.reopens(&as_ben);
    assert_eq!(code(&answer), 403, "nor on another socket: {answer}");
    let mut stolen = world.client_as(2, "ana", HOUR_MS);
    stolen.runtime.clone_from(&ana.runtime);
    stolen.token.clone_from(&ana.token);
    let own = world.pass("ana", HOUR_MS);
    assert_eq!(code(&renews(&mut world, &stolen, Some(&own))), 409);
    let renewed = renews(&mut world, &ana, Some(&own));
    assert_eq!(code(&renewed), 200, "{renewed}");
}

#[test]
fn a_suspended_session_goes_on_at_another_socket_too() {
    let mut world = World::of_people();
    let mut ana = world.client_as(1, "ana", MINUTE_MS);
    world.claims(&ana, KITCHEN, json!({}));
    world.passes(MINUTE_MS + 1);
    ana.pass = Some(world.pass("ana", HOUR_MS));
    let (ana, answer) = world.reopens(&ana);
    assert_eq!(
        answer["body"]["claims"].as_object().unwrap().len(),
        1,
        "{answer}"
    );
    assert_eq!(world.closed.values().collect::<Vec<_>>(), [&4001]);
    world.passes(MINUTE_MS);
    assert_eq!(pings(&mut world, &ana), 200);
    // A socket lost meanwhile gives it no further grace time.
    world.passes(HOUR_MS - MINUTE_MS);
    world.passes(GRACE_MS - 1);
    world.drops(&ana);
    assert_eq!(world.node.gauges().sessions, 1);
    world.passes(1);
    assert_eq!(world.node.gauges().sessions, 0);
}

#[test]
fn what_a_person_reports_is_away_while_its_token_has_ended() {
    let mut world = World::of_people();
    let ana = world.client_as(1, "ana", MINUTE_MS);
    let ben = world.client_as(2, "ben", HOUR_MS);
    let claimed = world.claims(&ana, KITCHEN, json!({}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    world.subscribes_raw(&ben, KITCHEN);
    answers_readers(&mut world, &ana, (epoch, 0));
    world.passes(MINUTE_MS);
    let head = world.frames(&ben).pop().unwrap();
    assert_eq!(head["body"]["live"], false, "{head}");
    let refused = world.commits(&ana, KITCHEN, (epoch, 1), Value::Null);
    assert_eq!(
        (code(&refused), reason(&refused)),
        (401, json!("needs-auth"))
    );
    let token = world.pass("ana", HOUR_MS);
    let renewed = renews(&mut world, &ana, Some(&token));
    assert_eq!(renewed["body"]["claims"][KITCHEN], json!([epoch, 0]));
    assert_eq!(world.frames(&ben).pop().unwrap()["body"]["live"], true);
    assert_eq!(
        world.commits(&ana, KITCHEN, (epoch, 1), Value::Null),
        Value::Null
    );
    assert_eq!(world.frames(&ben).pop().unwrap()["body"]["version"], 1);
}

// Persons and what is theirs.

#[test]
fn a_kicked_person_with_a_new_key_and_hyperty_stays_out() {
    let (mut world, _, _, reporter, observer) = room(HOUR_MS);
    let reader = observer.hyperty.as_str().to_owned();
    kicks(&mut world, &reporter, &reader);
    world.settles();
    assert_eq!(closed(&world, &observer).unwrap().0, 403);
    let again = world.runtime_as("ben", HOUR_MS);
    let second = world.subscribes_as(again, "other", "room");
    world.settles();
    assert_eq!(closed(&world, &second).map(|(code, _)| code), Some(403));
    let friend = world.runtime_as("cleo", HOUR_MS);
    let third = world.subscribes(friend, "room");
    world.settles();
    world.assert_follows(&third, &reporter);
}

#[test]
fn a_person_claims_on_a_second_device_with_another_key() {
    let (mut world, _, _, reporter, observer) = room(HOUR_MS);
    world.writes(&reporter, "n", 1);
    world.settles();
    let device = world.runtime_as("ana", HOUR_MS);
    let second = world.creates_as(device, "room", count(50), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(world.state(&second), "live");
    let Some(State::Closed(refusal)) = world.states(&reporter).last() else {
        panic!("{:?}", world.state(&reporter))
    };
    assert_eq!(refusal.reason, Some(Reason::Superseded));
    world.writes(&second, "n", 2);
    world.settles();
    world.assert_follows(&observer, &second);
    let stranger = world.runtime_as("eve", HOUR_MS);
    let stolen = world.creates_as(stranger, "room", count(0), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(closed(&world, &stolen).map(|(code, _)| code), Some(403));
}

#[test]
fn a_persons_second_key_claims_what_the_first_one_minted_while_the_record_says_whose_it_is() {
    let mut world = World::of_people();
    let ana = world.client_as(1, "ana", HOUR_MS);
    let device = world.client_as(2, "ana", HOUR_MS);
    let eve = world.client_as(3, "eve", HOUR_MS);
    let nonce = [9; 16];
    let url = format!("ctxt://{DOMAIN}/{}", ana.key.public().mint(&nonce));
    let take = json!({"take": true, "base": null});
    assert_eq!(code(&world.claims(&device, &url, take.clone())), 403);
    let minted = json!({"nonce": encode_bytes(&nonce)});
    assert_eq!(code(&world.claims(&ana, &url, minted)), 200);
    assert_eq!(code(&world.claims(&eve, &url, take.clone())), 403);
    assert_eq!(code(&world.claims(&device, &url, take)), 200);
}

#[test]
fn only_the_person_reads_what_is_not_open_and_on_every_device() {
    let mut world = World::of_people();
    let ana = world.runtime_as("ana", HOUR_MS);
    let reporter = world.creates_as(ana, "diary", count(0), |create| {
        create.access.public = false;
    });
    let (device, ben) = (
        world.runtime_as("ana", HOUR_MS),
        world.runtime_as("ben", HOUR_MS),
    );
    let own = world.subscribes(device, "diary");
    let other = world.subscribes(ben, "diary");
    world.settles();
    world.assert_follows(&own, &reporter);
    assert_eq!(closed(&world, &other).map(|(code, _)| code), Some(403));
}
