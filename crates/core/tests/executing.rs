//! What readers ask the application of an object to do.

use byline_core::error::{Refusal, Retry};
use byline_core::limits::{
    DATA_BYTES_MAX, GRACE_MS, METHOD_BYTES_MAX, QUESTION_BYTES_MAX, QUESTIONS_MAX, REQUEST_MS,
};
use byline_core::runtime::{CallError, Executing, Seat};
use serde_json::{Value, json};

use crate::world::room::{kicks, pair};
use crate::world::{InFlight, Who, World};

/// Asks for something, and gives the call.
fn executes(world: &mut World, observer: &Seat, method: &str, params: Value) -> u64 {
    let (who, now) = (world.who(observer), world.now);
    let machine = world.machine(who);
    let call = machine.execute(observer, method, params, now).unwrap();
    world.settles();
    call
}

fn asked(world: &World, owner: Who) -> Executing {
    world.place(owner).executing.last().unwrap().1.clone()
}

fn answers(world: &mut World, owner: Who, number: u64, answer: Result<Value, Refusal>) -> bool {
    let open = world.machine(owner).answer_execute(number, answer);
    world.settles();
    open.unwrap()
}

/// How a call has ended.
fn answered(world: &World, guest: Who, call: u64) -> Result<Value, Refusal> {
    world.place(guest).answered[&call].clone()
}

fn code(world: &World, guest: Who, call: u64) -> u16 {
    answered(world, guest, call).unwrap_err().code
}

#[test]
fn a_reader_asks_and_is_answered_with_a_value_or_a_refusal() {
    let (mut world, owner, guest, reporter, observer) = pair();
    let call = executes(&mut world, &observer, "heat", json!({"to": 22.5}));
    let (seat, asked) = world.place(owner).executing[0].clone();
    assert_eq!(seat, reporter);
    assert_eq!(asked.hyperty, observer.hyperty);
    let identity = world.machine(guest).identity().clone();
    assert_eq!(asked.identity, Some(identity));
    assert_eq!(
        (&*asked.method, &asked.params),
        ("heat", &json!({"to": 22.5}))
    );
    assert!(answers(
        &mut world,
        owner,
        asked.number,
        Ok(json!([1, null]))
    ));
    assert_eq!(answered(&world, guest, call), Ok(json!([1, null])));
    assert!(
        !answers(&mut world, owner, asked.number, Ok(Value::Null)),
        "answered once"
    );

    let call = executes(&mut world, &observer, "sing", Value::Null);
    let number = self::asked(&world, owner).number;
    let no = Refusal::not_built("this kitchen does not sing");
    answers(&mut world, owner, number, Err(no.clone()));
    assert_eq!(answered(&world, guest, call), Err(no));
    world.assert_all_answered();
}

#[test]
fn the_owners_own_reader_may_ask_too() {
    let (mut world, owner, ..) = pair();
    let own = world.subscribes_as(owner, "mirror", "kitchen");
    world.settles();
    let call = executes(&mut world, &own, "heat", Value::Null);
    let number = asked(&world, owner).number;
    answers(&mut world, owner, number, Ok(json!(true)));
    assert_eq!(answered(&world, owner, call), Ok(json!(true)));
}

#[test]
fn who_was_put_out_or_never_let_in_asks_nobody() {
    let (mut world, owner, guest, reporter, observer) = pair();
    kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.settles();
    let call = executes(&mut world, &observer, "heat", Value::Null);
    assert_eq!(code(&world, guest, call), 403);
    assert_eq!(world.place(owner).executing.len(), 0);
    let hyperty = world.hyperty(guest, "stranger");
    let stranger = Seat {
        hyperty,
        ..observer
    };
    let now = world.now;
    let refused = world
        .machine(guest)
        .execute(&stranger, "heat", Value::Null, now);
    assert_eq!(refused, Err(CallError::NotObserved(stranger.object)));
}

/// The node has let it through: who reports decides again.
#[test]
fn whom_the_owner_denies_is_refused_though_the_node_lets_it_through() {
    let (mut world, owner, guest, reporter, observer) = pair();
    let identity = world.machine(guest).identity().to_string();
    let frame = json!({"id": 5, "type": "execute", "from": observer.hyperty, "to": reporter.object,
        "body": {"method": "heat", "identity": identity}});
    // Commanded, and not at the node yet.
    world.goes_half_open(owner);
    kicks(&mut world, &reporter, observer.hyperty.as_str());
    world.hands_to_runtime(owner, &frame.to_string());
    assert_eq!(world.place(owner).executing.len(), 0);
}

#[test]
fn an_application_that_stays_silent_is_given_up_unless_it_says_how_long_it_takes() {
    let (mut world, owner, guest, _, observer) = pair();
    let call = executes(&mut world, &observer, "heat", Value::Null);
    world.passes(REQUEST_MS);
    assert_eq!(code(&world, guest, call), 408);
    world.passes(REQUEST_MS);
    let first = asked(&world, owner).number;
    assert_eq!(world.place(owner).gone, [first]);

    let call = executes(&mut world, &observer, "heat", Value::Null);
    let number = asked(&world, owner).number;
    let now = world.now;
    assert!(world.machine(owner).hold(number, 600_000, now));
    world.passes(599_000);
    assert!(answers(&mut world, owner, number, Ok(json!("warm"))));
    assert_eq!(answered(&world, guest, call), Ok(json!("warm")));
    world.assert_all_answered();
}

#[test]
fn what_was_sent_before_a_cut_is_not_said_twice() {
    let (mut world, owner, guest, _, observer) = pair();
    let call = executes(&mut world, &observer, "heat", Value::Null);
    world.blinks(guest, InFlight::Lost);
    let lost = answered(&world, guest, call).unwrap_err();
    assert_eq!((lost.code, lost.retry), (503, Retry::Never));
    // What was not sent is sent when there is a session again.
    let later = executes(&mut world, &observer, "cool", Value::Null);
    world.passes(5_000);
    assert_eq!(asked(&world, owner).method, "cool");
    assert_eq!(world.place(owner).executing.len(), 2);
    // A cut of who answers: the node says so, and who asked may ask again.
    let number = asked(&world, owner).number;
    world.blinks(owner, InFlight::Lost);
    world.settles();
    assert_eq!(code(&world, guest, later), 503);
    assert!(!answers(&mut world, owner, number, Ok(Value::Null)));
    world.assert_all_answered();
}

#[test]
fn what_cannot_be_sent_in_time_is_given_up() {
    let (mut world, _, guest, _, observer) = pair();
    world.cut(guest, InFlight::Lost);
    let call = executes(&mut world, &observer, "heat", Value::Null);
    world.passes(REQUEST_MS);
    assert_eq!(code(&world, guest, call), 408);
    world.passes(GRACE_MS);
    let later = executes(&mut world, &observer, "heat", Value::Null);
    let now = world.now;
    world.machine(guest).close(now);
    world.settles();
    assert_eq!(code(&world, guest, later), 409);
}

#[test]
fn what_is_over_a_limit_is_told_where_it_is_written() {
    let (mut world, owner, guest, _, observer) = pair();
    let now = world.now;
    let machine = world.machine(guest);
    let large = json!("x".repeat(QUESTION_BYTES_MAX));
    let refused = machine.execute(&observer, "heat", large, now).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("params would have more than 65536 bytes")
    );
    let long = "x".repeat(METHOD_BYTES_MAX + 1);
    assert!(machine.execute(&observer, &long, Value::Null, now).is_err());
    let call = executes(&mut world, &observer, "recite", Value::Null);
    let number = asked(&world, owner).number;
    let large = json!("x".repeat(DATA_BYTES_MAX));
    let refused = world.machine(owner).answer_execute(number, Ok(large));
    assert!(refused.is_err());
    world.settles();
    assert_eq!(code(&world, guest, call), 500);
}

#[test]
fn as_many_wait_as_may_and_the_next_is_refused() {
    let (mut world, owner, _, reporter, _) = pair();
    for n in 0..=QUESTIONS_MAX {
        let frame = json!({"id": n, "type": "execute", "from": "hyperty://localhost/h",
            "to": reporter.object, "body": {"method": "m", "identity": "user-guid://x"}});
        world.hands_to_runtime(owner, &frame.to_string());
    }
    let large = json!({"id": 1, "type": "execute", "from": "hyperty://localhost/h", "to": reporter.object,
        "body": {"method": "m", "params": "x".repeat(QUESTION_BYTES_MAX)}});
    world.hands_to_runtime(owner, &large.to_string());
    assert_eq!(world.place(owner).executing.len(), QUESTIONS_MAX);
    assert_eq!(world.place(owner).refusals, [429, 413]);
}

#[test]
fn many_calls_at_once_take_turns() {
    let (mut world, owner, guest, _, observer) = pair();
    let calls: Vec<u64> = (0..100)
        .map(|n| {
            let now = world.now;
            let machine = world.machine(guest);
            machine.execute(&observer, "count", json!(n), now).unwrap()
        })
        .collect();
    let mut done = 0;
    while done < 100 {
        world.settles();
        let asked: Vec<u64> = world.place(owner).executing[done..]
            .iter()
            .map(|(_, one)| one.number)
            .collect();
        assert!(!asked.is_empty());
        for number in asked {
            done += 1;
            answers(&mut world, owner, number, Ok(json!(done)));
        }
    }
    assert!(
        calls
            .iter()
            .all(|call| answered(&world, guest, *call).is_ok())
    );
    world.assert_all_answered();
}
