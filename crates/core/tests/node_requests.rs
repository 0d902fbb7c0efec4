//! What the node does with invitations, and with what is executed at an object.

use byline_core::limits::{GRACE_MS, HELD_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX};
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, code, kitchen};
use crate::world::{Client, World, of, sm};

const SUBSCRIPTION: &str = "ctxt://localhost/kitchen/subscription";

fn invites(world: &mut World, reporter: &Client, to: &str) -> Value {
    let body =
        json!({"source": reporter.hyperty, "schema": "Context", "value": {"name": "kitchen"}});
    world.asks(reporter, "create", SUBSCRIPTION, to, body)
}

fn responds(world: &mut World, who: &Client, to: &Value, body: &Value) {
    let answer = json!({"id": to["id"], "type": "response", "from": to["to"], "to": to["from"],
        "body": body});
    world.says(who, &answer.to_string());
}

// Invitations.

#[test]
fn an_invitation_reaches_the_hyperty_or_the_newest_session_of_the_person() {
    let (mut world, reporter, reader, _) = kitchen();
    let (old, new) = (world.client(7), world.client(7));
    world.client(8);
    let person = old.identity().as_str().to_owned();
    for (to, who) in [(reader.hyperty.clone(), &reader), (person.clone(), &new)] {
        assert_eq!(invites(&mut world, &reporter, &to), Value::Null);
        let invited = world.frames(who).pop().unwrap();
        assert_eq!(
            (&invited["type"], &invited["to"]),
            (&json!("create"), &json!(to))
        );
        assert_eq!(invited["from"], SUBSCRIPTION);
        assert_eq!(invited["body"]["identity"], json!(reporter.identity()));
        assert_eq!(invited["body"]["value"]["name"], "kitchen");
        // Seen, and coming later: it is waited for.
        responds(&mut world, who, &invited, &json!({"code": 102}));
        world.passes(UNANSWERED_MS + 1);
        responds(&mut world, who, &invited, &json!({"code": 200}));
        let answer = world.frames(&reporter).pop().unwrap();
        assert_eq!((code(&answer), &answer["from"]), (200, &json!(to)));
    }
    // The one that is connected is newer than the one that was.
    world.drops(&new);
    assert_eq!(invites(&mut world, &reporter, &person), Value::Null);
    let invited = world.frames(&old).pop().unwrap();
    responds(
        &mut world,
        &old,
        &invited,
        &json!({"code": 403, "desc": "no"}),
    );
    assert_eq!(code(&world.frames(&reporter).pop().unwrap()), 403);
    world.assert_all_answered();
}

#[test]
fn a_person_is_invited_whatever_the_key_of_its_session() {
    let mut world = World::of_people();
    let hour = 3_600_000;
    let reporter = world.client_as(1, "ana", hour);
    world.claims(&reporter, KITCHEN, json!({}));
    let (brief, lasting) = (
        world.client_as(2, "ben", 1_000),
        world.client_as(3, "ben", hour),
    );
    let newest = world.client_as(4, "ben", 1_000);
    let ben = "user://example.com/ben";
    for who in [&newest, &lasting] {
        assert_eq!(invites(&mut world, &reporter, ben), Value::Null);
        let invited = world.frames(who).pop().unwrap();
        assert_eq!(
            (&invited["type"], &invited["to"]),
            (&json!("create"), &json!(ben))
        );
        // A session whose token has ended is nobody's.
        world.passes(1_000);
    }
    assert_eq!(world.counts(&brief, "create"), 0);
    let key = lasting.identity().as_str().to_owned();
    assert_eq!(
        code(&invites(&mut world, &reporter, &key)),
        404,
        "a person, no key"
    );
}

#[test]
fn an_invitation_that_nobody_takes_is_answered_all_the_same() {
    let (mut world, reporter, _, _) = kitchen();
    let guest = world.client(7);
    let person = guest.identity().as_str().to_owned();
    for nobody in [
        "user-guid://nobody",
        "user://example.com/nobody",
        "user-guid://",
    ] {
        assert_eq!(
            code(&invites(&mut world, &reporter, nobody)),
            404,
            "{nobody}"
        );
    }
    // Silent.
    assert_eq!(invites(&mut world, &reporter, &person), Value::Null);
    world.passes(UNANSWERED_MS);
    assert_eq!(code(&world.frames(&reporter).pop().unwrap()), 408);
    // Held, and forgotten.
    invites(&mut world, &reporter, &person);
    let invited = world.frames(&guest).pop().unwrap();
    responds(&mut world, &guest, &invited, &json!({"code": 102}));
    world.passes(HELD_MS);
    let answers = world.frames(&reporter);
    let answer = answers.iter().rfind(|frame| frame["id"] == invited["id"]);
    assert_eq!(code(answer.unwrap()), 408);
    // Lost, away, gone.
    invites(&mut world, &reporter, &person);
    world.drops(&guest);
    assert_eq!(code(&world.frames(&reporter).pop().unwrap()), 503);
    assert_eq!(code(&invites(&mut world, &reporter, &person)), 503);
    world.passes(GRACE_MS);
    assert_eq!(code(&invites(&mut world, &reporter, &person)), 404);
    world.assert_all_answered();
}

#[test]
fn nobody_invites_to_what_is_not_its_own_nor_writes_to_people_otherwise() {
    let (mut world, reporter, reader, _) = kitchen();
    let guest = world.client(7);
    let person = guest.identity().as_str().to_owned();
    for to in [&person, &guest.hyperty] {
        let answer = invites(&mut world, &reader, to);
        assert_eq!(code(&answer), 403, "{answer}");
    }
    let from = reporter.hyperty.clone();
    let answer = world.asks(&reporter, "create", &from, &person, json!({}));
    assert_eq!(code(&answer), 403, "{answer}");
    for kind in ["execute", "read", "subscribe", "event", "paint"] {
        let answer = world.asks(&reporter, kind, SUBSCRIPTION, &person, json!({}));
        assert_eq!(code(&answer), 404, "{kind}: {answer}");
    }
    // Nobody speaks as a person, not even that person.
    let answer = world.asks(&guest, "read", &person, KITCHEN, json!({}));
    assert_eq!(code(&answer), 403);
    assert_eq!(
        world.frames(&guest).len(),
        3,
        "two of its opening, one refusal"
    );
}

/// The hyperty that was invited is its owner's: no other session asks in its name.
#[test]
fn an_invitation_is_taken_by_whom_it_was_for() {
    let mut world = World::new();
    let (reporter, guest, thief) = (world.client(1), world.client(2), world.client(3));
    let access = json!({"authorise": [guest.hyperty]});
    world.claims(&reporter, KITCHEN, json!({"access": access}));
    for (kind, to) in [("subscribe", SUBSCRIPTION), ("read", KITCHEN)] {
        for from in [&thief.hyperty, &guest.hyperty] {
            let body = json!({"source": guest.hyperty});
            let answer = world.asks(&thief, kind, from, to, body);
            assert_eq!(code(&answer), 403, "{answer}");
        }
    }
    assert_eq!(
        world.counts(&reporter, "subscribe") + world.counts(&reporter, "read"),
        0
    );
    let body = json!({"source": guest.hyperty});
    let answer = world.asks(&guest, "subscribe", &guest.hyperty, SUBSCRIPTION, body);
    assert_eq!(answer, Value::Null, "forwarded");
}

// Execute.

#[test]
fn what_a_reader_executes_its_reporter_answers_and_nobody_else() {
    let (mut world, reporter, reader, _) = kitchen();
    let body = json!({"method": "open", "params": [1], "identity": "user-guid://x"});
    assert_eq!(
        world.asks(&reader, "execute", &reader.hyperty, KITCHEN, body),
        Value::Null
    );
    let asked = world.frames(&reporter).pop().unwrap();
    let expected = json!({"method": "open", "params": [1], "identity": reader.identity()});
    assert_eq!((&asked["to"], &asked["body"]), (&json!(KITCHEN), &expected));
    let value = json!({"code": 200, "value": 7});
    responds(&mut world, &reader, &asked, &value);
    assert_eq!(
        world.answer(&reader, &asked["id"]),
        Value::Null,
        "not its to answer"
    );
    responds(&mut world, &reporter, &asked, &value);
    assert_eq!(world.answer(&reader, &asked["id"])["body"], value);
    // It starts nothing, and is told to nobody.
    assert_eq!(world.node.gauges().routes, 1);
}

#[test]
fn nobody_executes_without_a_route_of_its_own() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let stranger = world.client(7);
    let beside = format!("{}2", reader.hyperty);
    let body = json!({"method": "open", "params": []});
    for (who, from) in [(&stranger, &stranger.hyperty), (&reader, &beside)] {
        let answer = world.asks(who, "execute", from, KITCHEN, body.clone());
        assert_eq!(code(&answer), 403, "{answer}");
    }
    // `subscribe` under way is no route yet.
    world.subscribes_raw(&stranger, KITCHEN);
    let answer = world.asks(
        &stranger,
        "execute",
        &stranger.hyperty,
        KITCHEN,
        body.clone(),
    );
    assert_eq!(code(&answer), 403);
    let asked = world.frames(&reporter).pop().unwrap();
    answers(&mut world, &reporter, &asked, (epoch, 0));
    let answer = world.asks(
        &stranger,
        "execute",
        &stranger.hyperty,
        KITCHEN,
        body.clone(),
    );
    assert_eq!(answer, Value::Null);
    // Put out, it is answered, and the value is not for it.
    let kick = json!({"method": "kick", "params": [KITCHEN, stranger.hyperty]});
    world.asks(&reporter, "execute", &reporter.hyperty, &sm(), kick);
    let told = world.frames(&stranger);
    assert!(
        told.iter()
            .any(|frame| code(frame) == 403 && frame["from"] == KITCHEN),
        "{told:?}"
    );
    let asked = world.frames(&reporter);
    let asked = asked
        .iter()
        .rfind(|frame| frame["type"] == "execute")
        .unwrap();
    responds(
        &mut world,
        &reporter,
        asked,
        &json!({"code": 200, "value": "secret"}),
    );
    assert!(!format!("{:?}", world.frames(&stranger)).contains("secret"));
    world.assert_all_answered();
}

#[test]
fn what_is_executed_does_not_wait_for_a_reporter_who_is_away() {
    let (mut world, reporter, reader, _) = kitchen();
    let body = json!({"method": "open", "params": []});
    world.asks(&reader, "execute", &reader.hyperty, KITCHEN, body.clone());
    world.drops(&reporter);
    let refused = world
        .frames(&reader)
        .into_iter()
        .rfind(|frame| frame["type"] == "response");
    let refused = refused.unwrap();
    assert_eq!((code(&refused), of(&refused, "retry")), (503, "now".into()));
    let answer = world.asks(&reader, "execute", &reader.hyperty, KITCHEN, body);
    assert_eq!(code(&answer), 503, "{answer}");
    let (back, _) = world.reopens(&reporter);
    assert_eq!(world.counts(&back, "execute"), 0);
    world.assert_all_answered();
}

// Whom the Reporter let in.

#[test]
fn who_was_let_in_by_its_reporter_is_said_to_be_and_nobody_says_so_itself() {
    let mut world = World::new();
    let (reporter, reader) = (world.client(1), world.client(2));
    let claimed = world.claims(&reporter, KITCHEN, json!({"access": {}}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    let asks = |world: &mut World, kind: &str, to: &str| {
        let body = json!({"source": reader.hyperty, "granted": true});
        world.asks(&reader, kind, &reader.hyperty, to, body);
        world.frames(&reporter).pop().unwrap()
    };
    for (kind, to) in [("read", KITCHEN), ("subscribe", SUBSCRIPTION)] {
        let asked = asks(&mut world, kind, to);
        assert_eq!(
            (&asked["type"], &asked["body"]["granted"]),
            (&json!(kind), &Value::Null)
        );
        answers(&mut world, &reporter, &asked, (epoch, 0));
    }
    // Another device of the Reporter need not ask its user again.
    let device = world.client(1);
    world.claims(&device, KITCHEN, json!({"base": [epoch, 0], "take": true}));
    for (kind, to) in [("read", KITCHEN), ("subscribe", SUBSCRIPTION)] {
        let body = json!({"source": reader.hyperty});
        world.asks(&reader, kind, &reader.hyperty, to, body);
        let asked = world.frames(&device).pop().unwrap();
        assert_eq!(
            (&asked["type"], &asked["body"]["granted"]),
            (&json!(kind), &json!(true))
        );
    }
    // Of another identity at that address it is not said, nor of who ceased to read.
    world.asks(
        &reader,
        "unsubscribe",
        &reader.hyperty,
        SUBSCRIPTION,
        json!({}),
    );
    let body = json!({"source": reader.hyperty});
    world.asks(&reader, "read", &reader.hyperty, KITCHEN, body);
    let asked = world.frames(&device).pop().unwrap();
    assert_eq!(asked["body"]["granted"], Value::Null);
}

#[test]
fn ten_thousand_invitations_of_one_session_leave_the_others_alone() {
    let (mut world, reporter, reader, _) = kitchen();
    let guest = world.client(7);
    let person = guest.identity().as_str().to_owned();
    for n in 0..10_000 {
        let frame = json!({"id": n, "type": "create", "from": SUBSCRIPTION, "to": person});
        world.says(&reporter, &frame.to_string());
    }
    let refused = world.frames(&reporter);
    let refused = refused.iter().filter(|answer| code(answer) == 429);
    assert_eq!(refused.count(), 10_000 - UNANSWERED_PER_ASKER_MAX);
    assert_eq!(world.counts(&guest, "create"), UNANSWERED_PER_ASKER_MAX);
    let answer = world.asks(&reader, "execute", &reader.hyperty, KITCHEN, json!({}));
    assert_eq!(answer, Value::Null, "forwarded");
    world.passes(UNANSWERED_MS);
    world.assert_all_answered();
    assert_eq!(world.node.gauges().unanswered, 0);
}
