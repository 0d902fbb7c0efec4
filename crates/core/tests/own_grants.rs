//! Each hyperty of a runtime is served under its own grant, though they share one route.

use byline_core::limits::GRACE_MS;
use byline_core::runtime::Seat;
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers};
use crate::world::room::closed;
use crate::world::{self, Client, InFlight, Who, World};

/// A Reporter that lets in whom it likes, and two hyperties of one runtime, of which it has let in the first.
fn shared_route() -> (World, Client, u64, Who, [Seat; 2]) {
    let mut world = World::new();
    let reporter = world.client(1);
    let claimed = world.claims(&reporter, KITCHEN, json!({"access": {}}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    let guest = world.runtime();
    let seats = ["first", "second"].map(|name| world.subscribes_as(guest, name, "kitchen"));
    world.settles();
    let asked = of_hyperty(&world, &reporter, &seats[0]);
    answers(&mut world, &reporter, &asked, (epoch, 0));
    assert_eq!(world.state(&seats[0]), "live");
    (world, reporter, epoch, guest, seats)
}

/// The last request of a hyperty that the Reporter was sent.
fn of_hyperty(world: &World, reporter: &Client, seat: &Seat) -> Value {
    let frames = world.frames(reporter);
    let asked = |frame: &&Value| frame["body"]["source"] == seat.hyperty.as_str();
    frames.iter().rfind(asked).unwrap().clone()
}

fn commits(world: &mut World, reporter: &Client, at: (u64, u64)) {
    let refused = world.commits(reporter, KITCHEN, at, Value::Null);
    assert_eq!(refused, Value::Null);
    world.settles();
}

#[test]
fn who_waits_for_an_answer_gets_nothing_of_what_comes_for_another_hyperty() {
    let (mut world, reporter, epoch, _, [first, second]) = shared_route();
    commits(&mut world, &reporter, (epoch, 1));
    assert_eq!(world.data(&first)["n"], 1);
    assert_eq!(world.observer(&second).counters().gaps, 0, "not even seen");
    let asked = of_hyperty(&world, &reporter, &second);
    answers(&mut world, &reporter, &asked, (epoch, 1));
    commits(&mut world, &reporter, (epoch, 2));
    assert_eq!(
        (&world.data(&first)["n"], &world.data(&second)["n"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn who_is_to_ask_again_keeps_its_copy_and_gets_nothing_more_until_it_is_let_in_again() {
    let (mut world, reporter, epoch, guest, [first, second]) = shared_route();
    let asked = of_hyperty(&world, &reporter, &second);
    answers(&mut world, &reporter, &asked, (epoch, 0));
    let told = json!({"id": null, "type": "execute", "from": world::sm(), "body": {"method": "revoked",
        "params": [KITCHEN, second.hyperty, 503, "who may read was said anew"]},
        "to": format!("{}/sm", world.machine(guest).url())});
    world.hands_to_runtime(guest, &told.to_string());
    commits(&mut world, &reporter, (epoch, 1));
    assert_eq!(
        (&world.data(&first)["n"], &world.data(&second)["n"]),
        (&json!(1), &json!(0))
    );
    let asked = of_hyperty(&world, &reporter, &second);
    answers(&mut world, &reporter, &asked, (epoch, 1));
    assert_eq!(world.data(&second)["n"], 1);
}

#[test]
fn what_is_said_to_all_readers_is_not_for_who_waits() {
    let (mut world, reporter, _, guest, [first, _]) = shared_route();
    let said = json!({"id": null, "type": "event", "from": reporter.hyperty,
        "to": format!("{KITCHEN}/children/chat"), "body": {"value": "hello"}});
    world.hands_to_runtime(guest, &said.to_string());
    let heard: Vec<&Seat> = world
        .place(guest)
        .events
        .iter()
        .map(|(seat, ..)| seat)
        .collect();
    assert_eq!(heard, [&first]);
}

/// The node names routes by object: one that is left may be another hyperty's.
#[test]
fn who_was_put_out_while_away_learns_it_though_another_hyperty_still_has_the_route() {
    let (mut world, reporter, epoch, guest, [first, second]) = shared_route();
    let asked = of_hyperty(&world, &reporter, &second);
    answers(&mut world, &reporter, &asked, (epoch, 0));
    world.cut(guest, InFlight::Delivered);
    // By its address alone: the other hyperty of the same identity stays.
    let access = json!({"authorise": [first.hyperty], "deny": [second.hyperty]});
    let command = json!({"method": "access", "params": [KITCHEN, access]});
    world.asks(
        &reporter,
        "execute",
        &reporter.hyperty,
        &world::sm(),
        command,
    );
    world.heals(guest);
    world.passes(GRACE_MS / 2);
    assert_eq!(closed(&world, &second).map(|(code, _)| code), Some(403));
    let asked = of_hyperty(&world, &reporter, &first);
    answers(&mut world, &reporter, &asked, (epoch, 0));
    commits(&mut world, &reporter, (epoch, 1));
    assert_eq!(
        (&world.data(&first)["n"], &world.data(&second)["n"]),
        (&json!(1), &json!(0))
    );
}
