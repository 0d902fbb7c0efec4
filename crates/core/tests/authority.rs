//! A hostile client against the node: what it may not write, read, be or claim is refused, and reaches
//! nobody.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use byline_core::identity::encode_bytes;
use byline_core::limits::{CHALLENGE_MS, GRACE_MS};
use serde_json::{Value, json};
use world::kitchen::{KITCHEN, answers, code, kitchen};
use world::{Client, DOMAIN, World, of, sm};

// Writing.

#[test]
fn an_update_of_an_object_one_does_not_hold_is_refused_and_delivered_to_nobody() {
    let (mut world, _, reader, epoch) = kitchen();
    let thief = world.client(3);
    let before = (
        world.counts(&reader, "update"),
        world.node.counters().deliveries,
    );
    for from in [KITCHEN, &thief.hyperty.clone(), &thief.runtime.clone()] {
        let body = json!({"epoch": epoch, "version": 1, "attribute": "n", "value": 1});
        let changes = format!("{KITCHEN}/changes");
        let refused = world.asks(&thief, "update", from, &changes, body);
        assert_eq!(code(&refused), 403, "{refused}");
    }
    // A head is no commit: only the node says heads.
    let head =
        json!({"epoch": epoch, "position": [epoch, 9], "reporter": thief.hyperty, "live": true});
    let refused = world.asks(
        &thief,
        "update",
        KITCHEN,
        &format!("{KITCHEN}/changes"),
        head,
    );
    assert_eq!(code(&refused), 403);
    assert_eq!(
        (
            world.counts(&reader, "update"),
            world.node.counters().deliveries
        ),
        before
    );
    assert_eq!(world.node.counters().refused[&403], 4);
    assert_eq!(world.node.counters().commits, 0);
}

#[test]
fn a_commit_that_does_not_follow_the_last_one_is_refused() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let null = Value::Null;
    assert_eq!(
        world.commits(&reporter, KITCHEN, (epoch, 1), null.clone()),
        null
    );
    for (at, base) in [
        ((epoch, 1), null.clone()),
        ((epoch, 3), null.clone()),
        ((epoch, 0), null.clone()),
        ((epoch - 1, 2), null.clone()),
        ((epoch + 1, 2), null.clone()),
        ((epoch + 1, 2), json!([epoch, 1])),
        ((epoch, (1 << 53) - 1), null.clone()),
    ] {
        let refused = world.commits(&reporter, KITCHEN, at, base);
        assert_eq!(code(&refused), 409, "{at:?}: {refused}");
    }
    let malformed = [
        json!({"epoch": epoch, "version": 2}),
        json!({"epoch": epoch, "version": -2, "attribute": "n", "value": 1}),
        json!({"epoch": epoch, "version": u64::MAX, "attribute": "n", "value": 1}),
        json!({"epoch": epoch, "version": 2, "changes": []}),
        json!({"epoch": epoch, "version": 2, "attribute": 7, "value": 1}),
        json!({"epoch": epoch, "position": [epoch, 2], "reporter": "x", "live": true}),
    ];
    for body in malformed {
        let refused = world.asks(
            &reporter,
            "update",
            KITCHEN,
            &format!("{KITCHEN}/changes"),
            body,
        );
        assert_eq!(code(&refused), 400, "{refused}");
    }
    assert_eq!(
        world.commits(&reporter, KITCHEN, (epoch, 2), null.clone()),
        null
    );
    assert_eq!(world.counts(&reader, "update"), 2);
    // Another claim, from another base: the epoch's first commit must name it.
    let claimed = world.claims(&reporter, KITCHEN, json!({"base": [epoch, 2]}));
    let next = claimed["body"]["epoch"].as_u64().unwrap();
    assert!(next > epoch);
    for (at, base) in [
        ((next, 3), null.clone()),
        ((next, 3), json!([epoch, 1])),
        ((next, 3), json!([next, 2])),
        ((epoch, 3), null.clone()),
    ] {
        let refused = world.commits(&reporter, KITCHEN, at, base);
        assert_eq!(code(&refused), 409, "{at:?}: {refused}");
    }
    let taken = world.commits(&reporter, KITCHEN, (next, 3), json!([epoch, 2]));
    assert_eq!(taken, null);
    world.assert_all_answered();
}

#[test]
fn a_commit_from_another_sender_than_the_object_is_refused() {
    let (mut world, reporter, _, epoch) = kitchen();
    let body = json!({"epoch": epoch, "version": 1, "attribute": "n", "value": 1});
    let changes = format!("{KITCHEN}/changes");
    for from in [
        &reporter.hyperty.clone(),
        &format!("{KITCHEN}/subscription"),
    ] {
        let refused = world.asks(&reporter, "update", from, &changes, body.clone());
        assert_eq!(code(&refused), 403, "{refused}");
    }
}

// Reading.

#[test]
fn who_has_no_grant_gets_not_a_frame() {
    let mut world = World::new();
    let (reporter, stranger, owner) = (world.client(1), world.client(2), world.client(1));
    let claimed = world.claims(&reporter, KITCHEN, json!({"access": {}}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    // What the node leaves open is the Reporter's to say; its own identity is let in.
    assert_eq!(world.subscribes_raw(&stranger, KITCHEN), Value::Null);
    let asked = world.frames(&reporter).pop().unwrap();
    assert_eq!(asked["body"]["identity"], json!(stranger.identity()));
    let no = json!({"id": asked["id"], "type": "response", "from": asked["to"], "to": asked["from"],
        "body": {"code": 403, "desc": "no"}});
    world.says(&reporter, &no.to_string());
    world.subscribes_raw(&owner, KITCHEN);
    let asked = world.frames(&reporter).pop().unwrap();
    answers(&mut world, &reporter, &asked, (epoch, 0));
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    assert_eq!(world.counts(&owner, "update"), 1);
    assert_eq!(world.counts(&stranger, "update"), 0);
    assert_eq!(world.node.gauges().routes, 1);
    world.assert_all_answered();
}

#[test]
fn a_private_objects_runtime_refuses_other_identities_and_lets_its_own_in() {
    let mut world = World::new();
    let (a, own, other) = (world.runtime(), world.runtime_of(1), world.runtime());
    let reporter = world.creates_as(a, "diary", json!({"n": 0}), |create| {
        create.access = byline_core::message::body::Access::default();
    });
    let mine = world.subscribes(own, "diary");
    let theirs = world.subscribes(other, "diary");
    let peek = world.reads(other, "diary");
    world.passes(1_000);
    world.assert_follows(&mine, &reporter);
    assert_eq!(world.state(&theirs), "closed");
    assert_eq!(
        world.place(other).reads[&peek][0]
            .as_ref()
            .unwrap_err()
            .code,
        403
    );
    let before = world.place(other).received.len();
    world.writes(&reporter, "n", 1);
    world.passes(60_000);
    world.assert_follows(&mine, &reporter);
    assert_eq!(
        world.place(other).received.len() - before,
        1,
        "a pong, no more"
    );
}

#[test]
fn a_runtime_serves_a_hyperty_under_its_own_grant_only() {
    let mut world = World::new();
    let (a, other) = (world.runtime(), world.runtime());
    let guest = world.hyperty(other, "guest");
    let reporter = world.creates_as(a, "diary", json!({"n": 0}), |create| {
        create.access.public = false;
        create.access.authorise = vec![guest.to_string()];
    });
    let invited = world.subscribes_as(other, "guest", "diary");
    let not = world.subscribes_as(other, "snoop", "diary");
    world.passes(1_000);
    assert_eq!(world.state(&not), "closed");
    // The route that the two share brings it nothing.
    world.writes(&reporter, "n", 1);
    world.passes(60_000);
    world.assert_follows(&invited, &reporter);
    assert_eq!(world.states(&not).len(), 1, "closed, and left so");
    assert_eq!(world.data(&not), Value::Null);
}

#[test]
fn a_denied_identity_is_refused_by_the_node_itself() {
    let mut world = World::new();
    let (reporter, denied) = (world.client(1), world.client(2));
    let access = json!({"public": true, "deny": [denied.identity()]});
    world.claims(&reporter, KITCHEN, json!({"access": access}));
    let refused = world.subscribes_raw(&denied, KITCHEN);
    assert_eq!(code(&refused), 403);
    let body = json!({"source": denied.hyperty});
    let refused = world.asks(&denied, "read", &denied.hyperty.clone(), KITCHEN, body);
    assert_eq!(code(&refused), 403);
    assert_eq!(
        world.counts(&reporter, "subscribe") + world.counts(&reporter, "read"),
        0
    );
}

// Who somebody is.

#[test]
fn nobody_speaks_as_somebody_else() {
    let (mut world, reporter, reader, _) = kitchen();
    let thief = world.client(3);
    let own = thief.hyperty.clone();
    let to = format!("{KITCHEN}/subscription");
    for from in [
        &reader.hyperty,
        &reader.runtime,
        &reporter.hyperty,
        &KITCHEN.to_owned(),
        &sm(),
    ] {
        let refused = world.asks(&thief, "subscribe", from, &to, json!({}));
        assert_eq!(code(&refused), 403, "{from}");
    }
    for source in [&reader.hyperty, &reader.runtime, &reporter.hyperty] {
        let body = json!({"source": source});
        for kind in ["subscribe", "unsubscribe"] {
            let refused = world.asks(&thief, kind, &own, &to, body.clone());
            assert_eq!(code(&refused), 403, "{source}");
        }
        let claim = json!({"url": "ctxt://localhost/x", "reporter": source});
        let resources = ["ctxt://localhost/x", "ctxt://localhost/x/subscription"];
        let body = json!({"resources": resources, "source": own, "claim": claim});
        let refused = world.asks(&thief, "subscribe", &own, &sm(), body);
        assert_eq!(code(&refused), 403, "{source}");
    }
    assert_eq!(world.node.gauges().routes, 1, "the reader still reads");
    // Nor is anybody first at an address that another's runtime has not used yet.
    let victim = format!("{}/unused", reporter.hyperty.strip_suffix("/h").unwrap());
    let refused = world.asks(&thief, "subscribe", &victim, &to, json!({}));
    assert_eq!(code(&refused), 403, "{refused}");
    assert_eq!(world.counts(&reporter, "subscribe"), 1);
}

#[test]
fn nothing_is_served_before_open() {
    let (mut world, _, _, epoch) = kitchen();
    let stranger = world.stranger(3);
    let claimed = world.claims(&stranger, "ctxt://localhost/x", json!({}));
    assert_eq!(code(&claimed), 401);
    let ping = world.asks(
        &stranger,
        "ping",
        &stranger.runtime.clone(),
        "mn:/session",
        json!({}),
    );
    assert_eq!(code(&ping), 401);
    assert_eq!(code(&world.subscribes_raw(&stranger, KITCHEN)), 401);
    assert_eq!(
        code(&world.commits(&stranger, KITCHEN, (epoch, 1), Value::Null)),
        401
    );
    for text in [
        "",
        "[]",
        "{}",
        "{\"id\":1}",
        "null",
        "\u{0}",
        r#"{"id":{},"type":"x"}"#,
    ] {
        world.says(&stranger, text);
    }
    assert_eq!(world.node.gauges().sessions, 2);
    assert_eq!(
        code(&world.opens(&stranger, "open", &stranger.runtime.clone())),
        200
    );
}

#[test]
fn a_session_opens_with_the_right_signature_only() {
    let mut world = World::new();
    let mut client = world.stranger(1);
    let runtime = client.runtime.clone();
    let (public, nonce) = (client.key.public().to_string(), encode_bytes(&client.nonce));
    let says = |world: &mut World, client: &Client, signature: Option<String>| {
        let mut body = json!({"publicKey": public, "nonce": nonce});
        if let Some(signature) = signature {
            body["signature"] = json!(signature);
        }
        world.asks(client, "open", &client.runtime.clone(), "mn:/session", body)
    };
    let other = world.stranger(2);
    let key = client.key.clone();
    type Sign<'a> = Box<dyn Fn(&str) -> String + 'a>;
    let wrong: [(&str, Sign<'_>); 4] = [
        (
            "another key",
            Box::new(|c| other.key.prove(DOMAIN, &runtime, c)),
        ),
        (
            "another runtime",
            Box::new(|c| key.prove(DOMAIN, &other.runtime, c)),
        ),
        (
            "another domain",
            Box::new(|c| key.prove("example.com", &runtime, c)),
        ),
        ("nonsense", Box::new(|_| "nonsense".to_owned())),
    ];
    for (what, sign) in wrong {
        let challenge = of(&says(&mut world, &client, None), "challenge");
        let refused = says(&mut world, &client, Some(sign(&challenge)));
        assert_eq!(code(&refused), 403, "{what}");
        // The challenge is used up, by whatever answered it.
        let late = client.key.prove(DOMAIN, &client.runtime, &challenge);
        assert_eq!(code(&says(&mut world, &client, Some(late))), 401, "{what}");
    }
    // An expired one, and one of another socket.
    let challenge = of(&says(&mut world, &client, None), "challenge");
    world.passes(CHALLENGE_MS + 1);
    let late = client.key.prove(DOMAIN, &client.runtime, &challenge);
    assert_eq!(code(&says(&mut world, &client, Some(late))), 401);
    let challenge = of(&says(&mut world, &client, None), "challenge");
    let elsewhere = client.at(world.connects());
    let replayed = client.key.prove(DOMAIN, &client.runtime, &challenge);
    assert_eq!(
        code(&says(&mut world, &elsewhere, Some(replayed.clone()))),
        401
    );
    assert_eq!(world.node.gauges().sessions, 0);
    let opened = says(&mut world, &client, Some(replayed.clone()));
    assert_eq!(code(&opened), 200);
    client.token = of(&opened, "runtimeToken");
    // Used once: not for a second session, not for this one again.
    assert_eq!(code(&says(&mut world, &elsewhere, Some(replayed))), 401);
    assert_eq!(code(&says(&mut world, &client, None)), 409);
}

#[test]
fn a_runtime_url_belongs_to_the_key_it_is_minted_from() {
    let mut world = World::new();
    let victim = world.client(1);
    let mut thief = world.stranger(2);
    let own = thief.runtime.clone();
    thief.runtime.clone_from(&victim.runtime);
    // With its own key, with the victim's nonce, without any, and without a key.
    assert_eq!(code(&world.opens(&thief, "open", &victim.runtime)), 403);
    thief.nonce = victim.nonce;
    assert_eq!(code(&world.opens(&thief, "open", &victim.runtime)), 403);
    let bare = json!({"publicKey": thief.key.public().to_string()});
    for body in [json!({}), bare] {
        let refused = world.asks(&thief, "open", &victim.runtime, "mn:/session", body);
        assert_eq!(code(&refused), 403);
    }
    let stolen = format!("{}/{}", victim.runtime, victim.token);
    for body in [json!({}), json!({"nonce": encode_bytes(&victim.nonce)})] {
        let refused = world.asks(&thief, "re-open", &stolen, "mn:/session", body);
        assert_eq!(code(&refused), 403, "a token alone opens nothing");
    }
    // Nor does anybody settle under it.
    let below = format!("{}/sm", victim.runtime);
    let refused = world.asks(&thief, "open", &below, "mn:/session", json!({}));
    assert_eq!(code(&refused), 400, "{refused}");
    for from in [
        "hyperty://localhost/x",
        "kitchen",
        "",
        &own.replace("localhost", ""),
    ] {
        let refused = world.asks(&thief, "open", from, "mn:/session", json!({}));
        assert!(matches!(code(&refused), 400 | 403), "{from}: {refused}");
    }
    let pong = world.asks(&victim, "ping", &victim.runtime, "mn:/session", json!({}));
    assert_eq!(code(&pong), 200, "the victim is still there");
    assert_eq!(world.node.gauges().sessions, 1);
}

#[test]
fn a_minted_object_is_claimed_with_its_nonce_and_key_only() {
    let mut world = World::new();
    let (owner, thief) = (world.client(1), world.client(2));
    let nonce = [9; 16];
    let url = format!("ctxt://{DOMAIN}/{}", owner.key.public().mint(&nonce));
    for (who, with) in [
        (&owner, json!({})),
        (&owner, json!({"nonce": encode_bytes(&[8; 16])})),
        (&owner, json!({"nonce": "short"})),
        (&thief, json!({})),
        (&thief, json!({"nonce": encode_bytes(&nonce)})),
    ] {
        let refused = world.claims(who, &url, with.clone());
        assert_eq!(code(&refused), 403, "{with}");
    }
    let claimed = world.claims(&owner, &url, json!({"nonce": encode_bytes(&nonce)}));
    assert_eq!(code(&claimed), 200);
}

#[test]
fn an_anonymous_session_claims_nothing() {
    let (mut world, reporter, _, _) = kitchen();
    let mut nobody = world.stranger(3);
    nobody.runtime = format!("hyperty-runtime://{DOMAIN}/nobody");
    nobody.hyperty = format!("hyperty://{DOMAIN}/nobody/h");
    let opened = world.asks(&nobody, "open", &nobody.runtime, "mn:/session", json!({}));
    assert_eq!(code(&opened), 200);
    let refused = world.claims(&nobody, "ctxt://localhost/x", json!({}));
    assert_eq!(code(&refused), 403, "{refused}");
    // It may ask, without a name: whatever it says of itself is removed.
    let body = json!({"source": nobody.hyperty, "identity": reporter.identity()});
    let to = format!("{KITCHEN}/subscription");
    world.asks(&nobody, "subscribe", &nobody.hyperty, &to, body);
    let asked = world.frames(&reporter).pop().unwrap();
    assert_eq!(asked["from"], json!(nobody.hyperty));
    assert_eq!(asked["body"]["identity"], Value::Null);
}

#[test]
fn a_forged_identity_is_replaced_by_the_nodes_stamp() {
    let (mut world, reporter, _, _) = kitchen();
    let liar = world.client(3);
    let to = format!("{KITCHEN}/subscription");
    for key in ["identity", "identit\\u0079"] {
        let id = json!(format!("forged {key}"));
        let frame = format!(
            r#"{{"id":{id},"type":"subscribe","from":"{}","to":"{to}","body":{{"{key}":"{}","kept":[1]}}}}"#,
            liar.hyperty,
            reporter.identity()
        );
        world.says(&liar, &frame);
        let asked = world.frames(&reporter).pop().unwrap();
        assert_eq!(asked["body"]["identity"], json!(liar.identity()), "{asked}");
        assert_eq!(asked["body"]["kept"], json!([1]));
    }
}

// Claiming.

#[test]
fn an_object_of_another_identity_cannot_be_claimed() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let thief = world.client(3);
    for with in [
        json!({}),
        json!({"take": true}),
        json!({"base": null, "take": true}),
        json!({"base": [epoch, 0], "take": true}),
        json!({"base": [epoch, 0], "snapshot": true}),
    ] {
        let refused = world.claims(&thief, KITCHEN, with.clone());
        assert_eq!(code(&refused), 403, "{with}");
    }
    assert_eq!(
        world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null),
        Value::Null
    );
    assert_eq!(world.counts(&reader, "update"), 1);
    // Not even when its owner is gone.
    world.drops(&reporter);
    world.passes(GRACE_MS + 1);
    assert_eq!(code(&world.claims(&thief, KITCHEN, json!({}))), 403);
}

#[test]
fn what_a_session_holds_is_given_to_another_of_its_owner_on_take_only() {
    let (mut world, first, reader, epoch) = kitchen();
    let second = world.client(1);
    let refused = world.claims(&second, KITCHEN, json!({"base": [epoch, 0]}));
    assert_eq!(code(&refused), 409);
    assert!(of(&refused, "desc").starts_with("held"));
    // A session in its grace time still holds.
    world.drops(&first);
    let refused = world.claims(&second, KITCHEN, json!({"base": [epoch, 0]}));
    assert!(of(&refused, "desc").starts_with("held"));
    let (first, opened) = world.reopens(&first);
    assert_eq!(opened["body"]["claims"][KITCHEN], json!([epoch, 0]));
    // Held is checked first, then diverged: taking a diverged object takes nothing.
    let refused = world.claims(
        &second,
        KITCHEN,
        json!({"base": [epoch - 1, 5], "take": true}),
    );
    assert!(of(&refused, "desc").starts_with("diverged"), "{refused}");
    assert_eq!(
        world.commits(&first, KITCHEN, (epoch, 1), Value::Null),
        Value::Null
    );
    let taken = world.claims(&second, KITCHEN, json!({"base": [epoch, 1], "take": true}));
    assert_eq!(code(&taken), 200);
    let told = world.frames(&first).pop().unwrap();
    assert_eq!(told["body"]["method"], "superseded");
    assert_eq!(
        told["body"]["params"],
        json!([KITCHEN, taken["body"]["epoch"]])
    );
    assert_eq!(
        code(&world.commits(&first, KITCHEN, (epoch, 2), Value::Null)),
        403
    );
    let epoch = taken["body"]["epoch"].as_u64().unwrap();
    let refused = world.commits(&second, KITCHEN, (epoch, 2), json!([epoch - 1, 1]));
    assert_eq!(refused, Value::Null);
    assert_eq!(
        world.counts(&reader, "update"),
        5,
        "two commits, and heads: away, back, taken"
    );
}

#[test]
fn a_claims_base_cannot_come_from_the_future_or_from_elsewhere() {
    let mut world = World::new();
    let reporter = world.client(1);
    let now = world.now.unix_ms();
    for base in [
        json!([now + 86_500_000, 1]),
        json!([9_007_199_254_740_991_u64, 1]),
    ] {
        let refused = world.claims(&reporter, KITCHEN, json!({"base": base}));
        assert_eq!(code(&refused), 400, "{refused}");
    }
    for base in [
        json!([1]),
        json!([1, -1]),
        json!("x"),
        json!([1_u64 << 60, 1]),
    ] {
        let refused = world.claims(&reporter, KITCHEN, json!({"base": base}));
        assert_eq!(code(&refused), 400, "{refused}");
    }
    let claimed = world.claims(&reporter, KITCHEN, json!({}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    for base in [
        json!([epoch, 0]),
        json!([epoch - 1, 7]),
        json!([epoch + 1, 1]),
    ] {
        let refused = world.claims(&reporter, KITCHEN, json!({"base": base}));
        assert!(of(&refused, "desc").starts_with("diverged"), "{refused}");
    }
    // A claim refused as diverged ends the one that the session held.
    let refused = world.commits(&reporter, KITCHEN, (epoch, 2), Value::Null);
    assert_eq!(code(&refused), 403);
    assert_eq!(world.node.gauges().objects, 0);
    // Two claims never have the same epoch.
    let mut epochs = vec![epoch];
    for _ in 0..5 {
        let claimed = world.claims(&reporter, KITCHEN, json!({"base": null}));
        epochs.push(claimed["body"]["epoch"].as_u64().unwrap());
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
    assert_eq!(
        code(&world.claims(&reporter, "hyperty://localhost/x", json!({}))),
        400
    );
    assert_eq!(
        code(&world.claims(&reporter, "ctxt://example.com/x", json!({}))),
        404
    );
    let many: Vec<String> = (0..2_000).map(|n| format!("user-guid://{n}")).collect();
    let refused = world.claims(&reporter, KITCHEN, json!({"access": {"deny": many}}));
    assert_eq!(code(&refused), 413);
}

#[test]
fn an_object_that_starts_afresh_is_as_open_as_it_now_says_but_for_the_denied() {
    let (mut world, reporter, reader, epoch) = kitchen();
    let denied = world.client(9);
    let access = json!({"public": true, "deny": [denied.identity()]});
    let afresh = json!({"base": null, "access": access});
    let claimed = world.claims(&reporter, KITCHEN, afresh);
    assert_eq!(claimed["body"]["access"]["public"], true);
    assert_eq!(claimed["body"]["access"]["deny"], access["deny"]);
    // Continued, it is as open as it was; afresh, nobody denied is let in again.
    let private = json!({"public": false, "anonymous": false});
    let claimed = world.claims(&reporter, KITCHEN, json!({"base": null, "access": private}));
    assert_eq!(claimed["body"]["access"]["public"], false);
    assert_eq!(claimed["body"]["access"]["deny"], access["deny"]);
    let epoch = claimed["body"]["epoch"]
        .as_u64()
        .filter(|new| *new > epoch)
        .unwrap();
    // Whom the record leaves open is told to ask again, and hears nothing of what follows.
    let told = world.frames(&reader).pop().unwrap();
    assert_eq!(told["body"]["method"], "revoked");
    assert_eq!(told["body"]["params"][1], json!(reader.hyperty));
    assert_eq!(told["body"]["params"][2], 503);
    assert_eq!(world.node.gauges().routes, 0);
    world.commits(&reporter, KITCHEN, (epoch, 1), Value::Null);
    let continued = json!({"base": [epoch, 1], "access": {"public": true}});
    let claimed = world.claims(&reporter, KITCHEN, continued);
    assert_eq!(claimed["body"]["access"]["public"], false);
}
