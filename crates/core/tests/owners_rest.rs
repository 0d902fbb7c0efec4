//! Who owns and holds an object, and whose a hyperty is, survives the end of a node with a store.

use byline_core::State;
use byline_core::error::Reason;
use byline_core::limits::GRACE_MS;
use byline_core::runtime::Create;
use serde_json::{Value, json};

use crate::world::disk::Cut;
use crate::world::kitchen::{KITCHEN, answers_readers, claims, code};
use crate::world::room::closed;
use crate::world::{Client, DOMAIN, World, count, sm};

fn delegates(world: &mut World, reporter: &Client, heir: &Client) -> Value {
    let params = json!([KITCHEN, heir.identity(), heir.identity()]);
    let body = json!({"method": "delegate", "params": params});
    world.asks(reporter, "execute", &reporter.hyperty, &sm(), body)
}

fn last_told(world: &World, client: &Client) -> Value {
    world.frames(client).pop().unwrap_or_default()
}

#[test]
fn the_epoch_of_a_claim_that_takes_is_on_record_before_anybody_hears_of_it() {
    let mut world = World::with_disk();
    let (first, second) = (world.client(1), world.client(1));
    let epoch = claims(&mut world, &first, json!({}));
    world.disk().waits = true;
    let with = json!({"base": [epoch, 0], "take": true});
    let claimed = world.claims(&second, KITCHEN, with.clone());
    assert_eq!(claimed, Value::Null);
    assert_ne!(last_told(&world, &first)["body"]["method"], "superseded");
    // The power fails: nobody has heard of that claim, and the first goes on.
    world.node_restarts();
    world.disk().waits = false;
    let again = world.client(1);
    let next = claims(&mut world, &again, json!({"base": [epoch, 0]}));
    assert!(next > epoch);
    let second = world.client(1);
    world.disk().waits = true;
    assert_eq!(world.claims(&second, KITCHEN, with), Value::Null);
    world.stores();
    assert_eq!(code(&last_told(&world, &second)), 200);
    assert_eq!(last_told(&world, &again)["body"]["method"], "superseded");
}

#[test]
fn that_an_object_is_handed_over_is_on_record_before_the_200_and_after_a_power_cut() {
    let mut world = World::with_disk();
    let (host, heir) = (world.client(1), world.client(2));
    let epoch = claims(&mut world, &host, json!({}));
    world.disk().waits = true;
    assert_eq!(delegates(&mut world, &host, &heir), Value::Null);
    world.stores();
    assert_eq!(code(&last_told(&world, &host)), 200);
    world.disk().waits = false;
    world.node_restarts();
    let (host, heir) = (world.client(1), world.client(2));
    let held = claims(&mut world, &host, json!({"base": [epoch, 0]}));
    let claimed = world.claims(&heir, KITCHEN, json!({"base": [epoch, 0]}));
    assert_eq!(code(&claimed), 200, "without taking it: {claimed}");
    assert!(claimed["body"]["epoch"].as_u64() > Some(held));
    world.node_restarts();
    let (host, heir) = (world.client(1), world.client(2));
    let refused = world.claims(&host, KITCHEN, json!({"base": [epoch, 0], "take": true}));
    assert_eq!(code(&refused), 403, "it has handed it over");
    claims(&mut world, &heir, json!({"base": [epoch, 0]}));
}

/// An object is handed over while it is written and read: the power fails at some batch.
fn story(cut: Option<Cut>) -> usize {
    let mut world = World::with_disk();
    world.disk().cut = cut;
    let goes_on = |world: &mut World| world.passes(60_000);
    let (host, heir, guest) = (world.runtime(), world.runtime(), world.runtime());
    let kept = |create: &mut Create| create.cache = Some(true);
    let reporter = world.creates_as(host, "room", count(0), kept);
    goes_on(&mut world);
    let observer = world.subscribes(guest, "room");
    goes_on(&mut world);
    let to = world.machine(heir).identity().as_str().parse().unwrap();
    let now = world.now;
    let call = world.machine(host).delegate(&reporter, &to, false, now);
    assert!(call.is_ok());
    // Who is invited and says nothing for long is taken for a no.
    world.passes(10_000);
    world.writes(&reporter, "n", 1);
    let second = world.creates_as(heir, "room", count(50), kept);
    for (_, invitation) in world.place(heir).invited.clone() {
        world
            .machine(heir)
            .answer_invitation(invitation.number, Ok(()));
    }
    goes_on(&mut world);
    // Who was not back yet when it was invited again has not come: then everything is as before.
    let handed = world.state(&second) == "live";
    assert!(handed || cut.is_some());
    let (holder, other) = if handed {
        (&second, host)
    } else {
        (&reporter, heir)
    };
    let reason = match world.states(&reporter).last() {
        Some(State::Closed(refusal)) => refusal.reason,
        _ => None,
    };
    assert_eq!(reason, handed.then_some(Reason::Superseded), "{cut:?}");
    assert_eq!(world.state(holder), "live", "{cut:?}");
    world.writes(holder, "n", 10);
    goes_on(&mut world);
    world.assert_follows(&observer, holder);
    assert_eq!(world.observer(&observer).counters().rewinds, 0);
    let who = world.who(holder);
    let owner = world.machine(who).identity().clone();
    assert_eq!(world.observer(&observer).identity(), Some(&owner));
    let again = world.creates_as(other, "room", count(9), |create| create.take = true);
    goes_on(&mut world);
    assert_eq!(closed(&world, &again).unwrap().0, 403, "it is not theirs");
    world.assert_all_answered();
    let batches = world.disk().batches;
    assert!(world.disk().cut.is_none(), "it has happened");
    batches
}

#[test]
fn whenever_the_power_fails_an_object_that_is_handed_over_is_of_one_of_them() {
    let batches = story(None);
    assert!(batches > 5, "{batches}");
    for at in 1..=batches {
        story(Some(Cut::Before(at)));
        story(Some(Cut::After(at)));
    }
}

/// A client of this identity, whose hyperty has an address that it chose itself.
fn lamp(world: &mut World, identity: u8) -> Client {
    let mut client = world.client(identity);
    client.hyperty = format!("hyperty://{DOMAIN}/lamp");
    client
}

/// Whether a session of this identity may speak as the lamp.
fn may_be_the_lamp(world: &mut World, identity: u8) -> bool {
    let lamp = lamp(world, identity);
    let asked = world.asks(
        &lamp,
        "read",
        &lamp.hyperty,
        "ctxt://localhost/no",
        json!({}),
    );
    code(&asked) != 403
}

#[test]
fn a_hyperty_that_a_claim_names_stays_its_owners_after_its_session_and_the_node() {
    let mut world = World::with_disk();
    let reporter = lamp(&mut world, 1);
    claims(&mut world, &reporter, json!({}));
    world.drops(&reporter);
    world.passes(GRACE_MS * 2);
    assert!(!may_be_the_lamp(&mut world, 2), "after its session");
    world.node_restarts();
    assert!(!may_be_the_lamp(&mut world, 2), "after the node");
    let back = lamp(&mut world, 1);
    claims(&mut world, &back, json!({"base": null}));
    // When it is over with the object, the address is anybody's.
    assert_eq!(code(&world.deletes(&back, KITCHEN)), 200);
    world.drops(&back);
    world.passes(GRACE_MS * 2);
    assert!(may_be_the_lamp(&mut world, 2));
}

#[test]
fn a_hyperty_that_a_grant_names_stays_its_readers_until_the_grant_ends() {
    let mut world = World::with_disk();
    let reporter = world.client(1);
    let epoch = claims(&mut world, &reporter, json!({}));
    let reader = lamp(&mut world, 2);
    assert_eq!(world.subscribes_raw(&reader, KITCHEN), Value::Null);
    answers_readers(&mut world, &reporter, (epoch, 0));
    world.drops(&reader);
    world.passes(GRACE_MS * 2);
    assert!(!may_be_the_lamp(&mut world, 3), "after its session");
    world.node_restarts();
    assert!(!may_be_the_lamp(&mut world, 3), "after the node");
    let reader = lamp(&mut world, 2);
    let to = format!("{KITCHEN}/subscription");
    let gone = world.asks(&reader, "unsubscribe", &reader.hyperty, &to, json!({}));
    assert_eq!(code(&gone), 200);
    world.drops(&reader);
    world.passes(GRACE_MS * 2);
    assert!(may_be_the_lamp(&mut world, 3));
}
