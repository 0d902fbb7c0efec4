//! What a Reporter knows of who observes its object.

use byline_core::Audience;
use byline_core::address::Address;
use byline_core::limits::{AUDIENCE_MAX, GRACE_MS, OBSERVERS_PAGE_MAX, PRESENCE_MS};
use byline_core::runtime::Seat;
use serde_json::{Value, json};

use crate::world::room::pair;
use crate::world::{self, InFlight, Who, World, count};

fn audience(world: &World, reporter: &Seat) -> Audience {
    let who = world.who(reporter);
    world.place(who).runtime.audience(reporter).unwrap()
}

fn known(world: &World, reporter: &Seat) -> Vec<Address> {
    let audience = audience(world, reporter);
    assert_eq!(
        audience.known().map(|known| known.len() as u64),
        Some(audience.count())
    );
    audience.known().unwrap().keys().cloned().collect()
}

/// What the node tells the Reporter's runtime of its object.
fn tells(world: &mut World, reporter: &Seat, presence: Value) {
    let who = world.who(reporter);
    let frame = json!({"type": "execute", "from": world::sm(),
        "to": world.machine(who).url().resource("sm"),
        "body": {"method": "presence", "params": [reporter.object, presence]}});
    world.hands_to_runtime(who, &frame.to_string());
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers
        .map(|n| format!("hyperty://localhost/x{n:05}"))
        .collect()
}

fn joined(numbers: std::ops::Range<usize>) -> Vec<Value> {
    names(numbers)
        .into_iter()
        .map(|name| json!([name, null]))
        .collect()
}

/// The `observers` commands that were sent, by what they ask, and their ids.
fn asked(world: &World, who: Who) -> Vec<(Value, Value)> {
    let frames = world.place(who).executes.iter();
    let frames = frames.map(|frame| serde_json::from_str::<Value>(frame).unwrap());
    let asked = frames.filter(|frame| frame["body"]["method"] == "observers");
    asked
        .map(|frame| (frame["id"].clone(), frame["body"]["params"][1].clone()))
        .collect()
}

#[test]
fn who_comes_and_goes_is_known_by_name() {
    let (mut world, owner, guest, reporter, observer) = pair();
    world.passes(PRESENCE_MS);
    assert_eq!(
        known(&world, &reporter),
        [&observer.hyperty].map(Clone::clone)
    );
    let identity = world.machine(guest).identity().clone();
    let audience = audience(&world, &reporter);
    assert_eq!(audience.known().unwrap()[&observer.hyperty], Some(identity));
    // The Reporter's own reader is one too.
    let own = world.subscribes_as(owner, "mirror", "kitchen");
    world.passes(PRESENCE_MS);
    assert_eq!(known(&world, &reporter).len(), 2);
    world.unsubscribes(&observer);
    world.passes(PRESENCE_MS);
    assert_eq!(known(&world, &reporter), [own.hyperty]);
    assert_eq!(world.place(owner).presence.len(), 3, "told at each change");
}

#[test]
fn a_lost_reader_is_there_for_its_grace_time_and_no_longer() {
    let (mut world, _, guest, reporter, _) = pair();
    world.passes(PRESENCE_MS);
    world.cut(guest, InFlight::Lost);
    world.passes(GRACE_MS - 1);
    assert_eq!(audience(&world, &reporter).count(), 1);
    world.passes(1 + PRESENCE_MS);
    assert_eq!(known(&world, &reporter), [] as [Address; 0]);
}

#[test]
fn what_changed_while_the_reporter_was_away_is_known_when_it_is_back() {
    let (mut world, owner, _, reporter, observer) = pair();
    world.passes(PRESENCE_MS);
    world.cut(owner, InFlight::Lost);
    world.unsubscribes(&observer);
    world.passes(1_000);
    world.heals(owner);
    world.passes(10_000);
    assert_eq!(known(&world, &reporter), [] as [Address; 0]);
    // And when the node has forgotten everything.
    world.node_restarts();
    let guest = world.runtime();
    let other = world.subscribes(guest, "kitchen");
    world.passes(60_000);
    assert_eq!(known(&world, &reporter), [other.hyperty]);
}

#[test]
fn who_they_are_is_asked_for_page_by_page_when_it_was_not_told() {
    let (mut world, _, guest, reporter, _) = pair();
    let many = OBSERVERS_PAGE_MAX + 40;
    for n in 1..many {
        world.subscribes_as(guest, &format!("guest-{n:04}"), "kitchen");
    }
    world.passes(5_000);
    assert_eq!(known(&world, &reporter).len(), many);
    // A device that takes over is told a part, and asks for all.
    let device = world.runtime_of(1);
    let second = world.creates_as(device, "kitchen", count(0), |create| create.take = true);
    world.passes(10_000);
    assert_eq!(known(&world, &second).len(), many);
    assert!(
        asked(&world, device).len() >= 2,
        "{:?}",
        asked(&world, device)
    );
    world.assert_all_answered();
}

#[test]
fn of_more_than_may_be_known_there_is_the_count_and_pages() {
    let (mut world, owner, _, reporter, observer) = pair();
    world.passes(PRESENCE_MS);
    tells(
        &mut world,
        &reporter,
        json!({"count": AUDIENCE_MAX, "reset": true, "joined": joined(0..AUDIENCE_MAX)}),
    );
    assert_eq!(known(&world, &reporter).len(), AUDIENCE_MAX);
    tells(
        &mut world,
        &reporter,
        json!({"count": AUDIENCE_MAX + 1, "joined": joined(5_000..5_001)}),
    );
    let audience = audience(&world, &reporter);
    assert_eq!(
        (audience.count(), audience.known()),
        (AUDIENCE_MAX as u64 + 1, None)
    );
    assert_eq!(asked(&world, owner), [], "not asked for either");
    // The application may ask for itself.
    let now = world.now;
    let call = world
        .machine(owner)
        .observers(&reporter, None, now)
        .unwrap();
    world.settles();
    let page = world.place(owner).pages[&call].clone().unwrap();
    assert_eq!((page.count, page.next), (1, None));
    assert_eq!(page.observers[0].hyperty, observer.hyperty);
    // Fewer again: they are asked for.
    tells(
        &mut world,
        &reporter,
        json!({"count": AUDIENCE_MAX, "left": names(5_000..5_001)}),
    );
    world.settles();
    assert_eq!(known(&world, &reporter), [observer.hyperty]);
}

#[test]
fn who_comes_and_goes_while_pages_are_read_is_not_lost() {
    let (mut world, owner, _, reporter, _) = pair();
    world.passes(PRESENCE_MS);
    world.goes_half_open(owner);
    tells(
        &mut world,
        &reporter,
        json!({"count": 300, "partial": true}),
    );
    let (id, after) = asked(&world, owner)[0].clone();
    assert_eq!(after, Value::Null);
    let page =
        |world: &mut World, id: &Value, numbers: std::ops::Range<usize>, next: Option<&str>| {
            let observers: Vec<Value> = names(numbers)
                .iter()
                .map(|name| json!({"hyperty": name}))
                .collect();
            let to = world.machine(owner).url().to_string();
            let body = json!({"code": 200, "count": 300, "observers": observers, "next": next});
            let answer =
                json!({"id": id, "type": "response", "from": world::sm(), "to": to, "body": body});
            world.hands_to_runtime(owner, &answer.to_string());
        };
    let last = names(255..256).remove(0);
    page(&mut world, &id, 0..256, Some(&last));
    let told = json!({"count": 300, "joined": joined(10_000..10_001), "left": names(0..1)});
    tells(&mut world, &reporter, told);
    assert_eq!(audience(&world, &reporter).known(), None);
    let (id, after) = asked(&world, owner)[1].clone();
    assert_eq!(after, json!(last));
    page(&mut world, &id, 256..300, None);
    let names = known(&world, &reporter);
    assert_eq!(names.len(), 300);
    assert!(names.iter().any(|name| name.as_str().ends_with("x10000")));
}

#[test]
fn what_only_its_node_may_say_is_not_believed_of_others() {
    let (mut world, owner, _, reporter, _) = pair();
    world.passes(PRESENCE_MS);
    let before = audience(&world, &reporter);
    let to = world.machine(owner).url().resource("sm");
    let lie = json!({"id": 1, "type": "execute", "from": "hyperty://localhost/h", "to": to,
        "body": {"method": "presence", "params": [reporter.object, {"count": 9, "reset": true}]}});
    world.hands_to_runtime(owner, &lie.to_string());
    assert_eq!(audience(&world, &reporter), before);
    assert_eq!(world.place(owner).refusals, [403]);
}

#[test]
fn the_audience_of_a_local_object_is_its_own_runtime() {
    let mut world = World::new();
    let who = world.runtime();
    let reporter = world.creates_as(who, "kitchen", count(0), |create| create.local = true);
    let observer = world.subscribes(who, "kitchen");
    world.settles();
    assert_eq!(
        known(&world, &reporter),
        [&observer.hyperty].map(Clone::clone)
    );
    world.unsubscribes(&observer);
    world.settles();
    assert_eq!(known(&world, &reporter), [] as [Address; 0]);
    assert_eq!(world.place(who).presence.len(), 2);
}
