//! A hostile client against the node: what it may not write, read, be or claim is refused, and reaches
//! nobody.

use byline_core::limits::GRACE_MS;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, code, kitchen};
use crate::world::{World, of};

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
