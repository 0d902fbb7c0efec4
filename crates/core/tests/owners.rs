//! What an owner may do to its object and its readers: put out, let in, say who may read, delete.

use byline_core::limits::GRACE_MS;
use byline_core::message::body::Access;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, answers_readers, code, kitchen};
use crate::world::room::{closed, kicks, room};
use crate::world::{InFlight, World, count, sm};

fn private() -> Access {
    Access::default()
}

// Putting out and letting in.

#[test]
fn a_kicked_reader_is_told_why_and_gets_nothing_more_under_any_address() {
    let (mut world, owner, guest, reporter, observer) = room();
    let call = kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &observer), Some((403, "no shouting".into())));
    let received = world.place(guest).received.len();
    world.writes(&reporter, "n", 1);
    world.settles();
    assert_eq!(world.place(guest).received.len(), received, "not a frame");
    // The identity is denied, not the address alone.
    let again = world.subscribes_as(guest, "another", "room");
    world.settles();
    assert_eq!(closed(&world, &again).unwrap().0, 403);
    world.assert_all_answered();
}

#[test]
fn what_the_node_refuses_of_a_command_does_not_hold_here_either() {
    let (mut world, owner, guest, reporter, _) = room();
    let (now, none) = (world.now, "user-guid://none");
    let mut access = private();
    access.authorise = vec![none.to_owned(); 2_000];
    let call = world.machine(owner).access(&reporter, access, now).unwrap();
    world.settles();
    assert_eq!(
        world.place(owner).done[&call].clone().unwrap_err().code,
        413
    );
    let late = world.subscribes_as(guest, "late", "room");
    world.settles();
    world.assert_follows(&late, &reporter);
}

#[test]
fn what_was_on_its_way_to_a_kicked_reader_is_taken_back() {
    let (mut world, _, guest, reporter, observer) = room();
    world.stalls(guest);
    world.writes(&reporter, "n", 1);
    world.settles();
    let received = world.place(guest).received.len();
    kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    world.drains(guest);
    let received = &world.place(guest).received[received..];
    assert_eq!(received.len(), 1, "{received:?}");
    assert!(received[0].contains("revoked"));
    assert_eq!(world.data(&observer)["n"], 0);
}

#[test]
fn an_owner_that_cannot_be_put_out_is_let_in_by_its_other_device_afterwards() {
    let mut world = World::new();
    let (owner, other) = (world.runtime(), world.runtime_of(1));
    let reporter = world.creates(owner, "room", count(0));
    world.settles();
    let own = world.machine(owner).identity().as_str().to_owned();
    let call = kicks(&mut world, &reporter, &own);
    world.settles();
    let refusal = world.place(owner).done[&call].clone().unwrap_err();
    assert_eq!(refusal.code, 409);
    let observer = world.subscribes(other, "room");
    world.settles();
    world.assert_follows(&observer, &reporter);
}

#[test]
fn a_reader_that_is_away_when_kicked_learns_it_when_it_returns() {
    let (mut world, _, guest, reporter, observer) = room();
    for (away_ms, who_denies) in [(1_000, "in its grace time"), (GRACE_MS * 2, "after it")] {
        world.cut(guest, InFlight::Lost);
        world.passes(away_ms);
        kicks(&mut world, &reporter, observer.hyperty.as_str());
        world.settles();
        world.heals(guest);
        world.passes(60_000);
        assert_eq!(closed(&world, &observer).unwrap().0, 403, "{who_denies}");
        let (owner, now) = (world.who(&reporter), world.now);
        let identity = world.machine(guest).identity().as_str().to_owned();
        world
            .machine(owner)
            .allow(&reporter, &identity, now)
            .unwrap();
        world.settles();
        world.unsubscribes(&observer);
        world.subscribes(guest, "room");
        world.settles();
        world.assert_follows(&observer, &reporter);
    }
    world.assert_all_answered();
}

/// The node says who is denied while the Reporter's answer is on its way.
#[test]
fn a_request_under_way_is_answered_by_the_kick() {
    let (mut world, reporter, _, epoch) = kitchen();
    let late = world.client(3);
    assert_eq!(world.subscribes_raw(&late, KITCHEN), Value::Null);
    let body = json!({"method": "kick", "params": [KITCHEN, late.hyperty, 403, "out"]});
    let sm = sm();
    let kicked = world.asks(&reporter, "execute", &reporter.hyperty, &sm, body);
    assert_eq!(code(&kicked), 200, "{kicked}");
    assert_eq!(kicked["body"]["access"]["deny"], json!([late.identity()]));
    let refused = world.frames(&late).pop().unwrap();
    assert_eq!(
        (code(&refused), &refused["body"]["desc"]),
        (403, &json!("out"))
    );
    // The Reporter answers all the same.
    answers_readers(&mut world, &reporter, (epoch, 0));
    assert_eq!(world.node.gauges().routes, 1, "the first reader's");
    world.assert_all_answered();
}

#[test]
fn who_was_let_in_by_the_reporter_stays_so_when_it_asks_again() {
    let mut world = World::new();
    let (reporter, reader) = (world.client(1), world.client(2));
    let claimed = world.claims(&reporter, KITCHEN, json!({"access": {}}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    for _ in 0..2 {
        assert_eq!(world.subscribes_raw(&reader, KITCHEN), Value::Null);
        let asked = world.frames(&reporter).pop().unwrap();
        answers(&mut world, &reporter, &asked, (epoch, 0));
    }
    let access = json!({"authorise": ["user-guid://another"]});
    let body = json!({"method": "access", "params": [KITCHEN, access]});
    let sm = sm();
    let said = world.asks(&reporter, "execute", &reporter.hyperty, &sm, body);
    assert_eq!(code(&said), 200, "{said}");
    assert_eq!(world.counts(&reader, "execute"), 0, "it is not revoked");
    assert_eq!(world.node.gauges().routes, 1);
}

#[test]
fn nobody_but_an_owner_commands_and_within_limits() {
    let (mut world, reporter, reader, _) = kitchen();
    let sm = sm();
    let owner = world.client(1);
    let kick = |who: &str, code: Value| json!({"method": "kick", "params": [KITCHEN, who, code]});
    for (client, body, expected) in [
        (&reader, kick(&reader.hyperty, json!(403)), 403),
        (
            &reader,
            json!({"method": "access", "params": [KITCHEN, {}]}),
            403,
        ),
        (
            &reader,
            json!({"method": "kick", "params": ["ctxt://localhost/none", "x"]}),
            403,
        ),
        (
            &reporter,
            json!({"method": "revoked", "params": [KITCHEN, reader.hyperty, 403, ""]}),
            403,
        ),
        (
            &reporter,
            json!({"method": "superseded", "params": [KITCHEN, 7]}),
            403,
        ),
        (
            &reporter,
            json!({"method": "paint", "params": [KITCHEN]}),
            400,
        ),
        (
            &reporter,
            json!({"method": "kick", "params": [KITCHEN]}),
            400,
        ),
        (&reporter, json!({}), 400),
        (&reporter, kick(&reader.hyperty, json!(200)), 400),
        (&reporter, kick("", json!(403)), 400),
        (&reporter, kick(&reporter.hyperty, json!(403)), 409),
        (&reporter, kick(&"x".repeat(2_000), json!(403)), 413),
        (&owner, kick(&reader.hyperty, json!(410)), 200),
    ] {
        let answer = world.asks(client, "execute", &client.hyperty, &sm, body.clone());
        assert_eq!(code(&answer), expected, "{body}: {answer}");
    }
    // What another owner says, the holder is told.
    let told = world.frames(&reporter).pop().unwrap();
    assert_eq!(told["body"]["method"], "access");
    assert_eq!(
        told["body"]["params"][1]["deny"],
        json!([reader.identity()])
    );
    let forged = json!({"method": "revoked", "params": [KITCHEN, reader.hyperty, 403, ""]});
    let to = format!("{}/sm", reader.runtime);
    let sent = world.asks(&reporter, "execute", &sm, &to, forged);
    assert_eq!(code(&sent), 403, "only the node speaks as the node");
    world.assert_all_answered();
}

#[test]
fn access_said_anew_closes_the_object_to_those_it_leaves_out_and_to_them_alone() {
    let (mut world, owner, guest, reporter, observer) = room();
    let friend = world.runtime();
    let stays = world.subscribes(friend, "room");
    world.settles();
    let mut access = private();
    access.authorise = vec![world.machine(friend).identity().as_str().to_owned()];
    let now = world.now;
    let call = world.machine(owner).access(&reporter, access, now).unwrap();
    world.passes(1_000);
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &observer).unwrap().0, 403);
    let received = world.place(guest).received.len();
    world.writes(&reporter, "n", 1);
    world.settles();
    assert_eq!(world.place(guest).received.len(), received);
    world.assert_follows(&stays, &reporter);
    world.assert_all_answered();
}

#[test]
fn access_said_while_away_lets_nobody_in_by_what_the_node_still_has_on_record() {
    let (mut world, owner, _, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    world.passes(GRACE_MS * 2);
    world.writes(&reporter, "n", 1);
    let late = world.runtime();
    let waiting = world.subscribes(late, "room");
    let now = world.now;
    let call = world.machine(owner).access(&reporter, private(), now);
    world.heals(owner);
    world.passes(60_000);
    assert_eq!(world.place(owner).done[&call.unwrap()], Ok(()));
    assert_eq!(closed(&world, &waiting).map(|told| told.0), Some(403));
    assert_eq!(closed(&world, &observer).map(|told| told.0), Some(403));
    assert_eq!(
        world.data(&observer)["n"],
        0,
        "it saw nothing of what follows"
    );
}

#[test]
fn access_said_by_another_device_reaches_a_holder_that_was_away() {
    let (mut world, owner, guest, reporter, observer) = room();
    let device = world.client(1);
    // Into a dead socket, and while the holder is away.
    for half_open in [true, false] {
        if half_open {
            world.goes_half_open(owner);
        } else {
            world.cut(owner, InFlight::Lost);
        }
        let body = json!({"method": "access", "params": [reporter.object, {}]});
        let said = world.asks(&device, "execute", &device.hyperty, &sm(), body);
        assert_eq!(code(&said), 200, "{said}");
        if half_open {
            world.cut(owner, InFlight::Lost);
        }
        world.passes(1_000);
        world.heals(owner);
        world.passes(20_000);
        assert_eq!(world.state(&reporter), "live");
        assert_eq!(closed(&world, &observer).unwrap().0, 403);
        let late = world.subscribes_as(guest, &format!("late-{half_open}"), "room");
        world.passes(1_000);
        assert_eq!(closed(&world, &late).unwrap().0, 403);
    }
    world.assert_all_answered();
}

#[test]
fn a_request_under_way_is_asked_again_when_access_closes_before_its_answer() {
    let (mut world, reporter, _, epoch) = kitchen();
    let late = world.client(3);
    assert_eq!(world.subscribes_raw(&late, KITCHEN), Value::Null);
    let body = json!({"method": "access", "params": [KITCHEN, {}]});
    let said = world.asks(&reporter, "execute", &reporter.hyperty, &sm(), body);
    assert_eq!(code(&said), 200, "{said}");
    let refused = world.frames(&late).pop().unwrap();
    assert_eq!(
        (code(&refused), &refused["body"]["retry"]),
        (503, &json!("now"))
    );
    // The Reporter had let it in by what it knew.
    answers_readers(&mut world, &reporter, (epoch, 0));
    assert_eq!(world.node.gauges().routes, 0);
    world.assert_all_answered();
}

// The end of an object.

#[test]
fn a_deleted_object_is_over_for_everybody_after_its_last_commit_and_for_good() {
    let (mut world, owner, guest, reporter, observer) = room();
    let away = world.runtime();
    let absent = world.subscribes(away, "room");
    world.settles();
    world.cut(away, InFlight::Lost);
    world.writes(&reporter, "n", 1);
    let now = world.now;
    let call = world.machine(owner).delete(&reporter, now).unwrap();
    assert!(world.tries_to_write(&reporter, "n", 2).is_err());
    world.settles();
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &reporter).unwrap().0, 410);
    assert_eq!(closed(&world, &observer).unwrap().0, 410);
    assert_eq!(world.data(&observer)["n"], 1, "the last commit came first");
    world.heals(away);
    world.passes(60_000);
    assert_eq!(
        closed(&world, &absent).unwrap().0,
        410,
        "it learns it when it returns"
    );
    let late = world.subscribes_as(guest, "late", "room");
    let again = world.creates_as(owner, "room", count(5), |create| create.discard = true);
    world.settles();
    assert_eq!(closed(&world, &late).unwrap().0, 410);
    assert_eq!(
        closed(&world, &again).unwrap().0,
        410,
        "the address is not used again"
    );
    world.assert_all_answered();
}

#[test]
fn who_deletes_while_away_says_so_after_its_next_claim() {
    let (mut world, owner, guest, reporter, observer) = room();
    world.cut(owner, InFlight::Lost);
    world.passes(GRACE_MS * 2);
    world.writes(&reporter, "n", 7);
    let now = world.now;
    let call = world.machine(owner).delete(&reporter, now).unwrap();
    world.passes(1_000);
    assert_eq!(world.state(&observer), "stale");
    world.heals(owner);
    world.passes(60_000);
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &observer).unwrap().0, 410);
    assert_eq!(world.data(&observer)["n"], 7);
    // A request that waited is answered too.
    let waiting = world.subscribes_as(guest, "late", "room");
    world.settles();
    assert_eq!(closed(&world, &waiting).unwrap().0, 410);
}

#[test]
fn a_delete_whose_answer_was_lost_is_done() {
    let (mut world, owner, _, reporter, _) = room();
    let now = world.now;
    let call = world.machine(owner).delete(&reporter, now).unwrap();
    world.moves_once();
    world.blinks(owner, InFlight::Lost);
    world.passes(60_000);
    assert_eq!(world.place(owner).done[&call], Ok(()));
    assert_eq!(closed(&world, &reporter).unwrap().0, 410);
}

#[test]
fn nobody_but_the_holder_deletes() {
    let (mut world, reporter, reader, _) = kitchen();
    let (subscription, changes) = (
        format!("{KITCHEN}/subscription"),
        format!("{KITCHEN}/changes"),
    );
    let other = world.client(1);
    for client in [&reader, &other] {
        for from in [&subscription, &client.hyperty] {
            let refused = world.asks(client, "delete", from, &changes, json!({}));
            assert_eq!(code(&refused), 403, "{refused}");
        }
    }
    let refused = world.asks(&reporter, "delete", &reporter.hyperty, &changes, json!({}));
    assert_eq!(code(&refused), 403, "{refused}");
    let done = world.asks(&reporter, "delete", &subscription, &changes, json!({}));
    assert_eq!(code(&done), 200);
    assert_eq!(world.frames(&reader).pop().unwrap()["type"], "delete");
    let gone = world.asks(&reporter, "delete", &subscription, &changes, json!({}));
    assert_eq!(code(&gone), 403, "it is nobody's any more");
}
