//! Who observes an object: its holder is told, its owners may ask, and nobody else hears of it.

use byline_core::limits::{GRACE_MS, OBSERVERS_PAGE_MAX, PRESENCE_CHANGES_MAX, PRESENCE_MS};
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, code};
use crate::world::{Client, World, sm};

struct Room {
    world: World,
    reporter: Client,
    epoch: u64,
}

fn room() -> Room {
    let mut world = World::new();
    let reporter = world.client(1);
    let claimed = world.claims(&reporter, KITCHEN, json!({}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    let mut room = Room {
        world,
        reporter,
        epoch,
    };
    assert_eq!(room.hears(), [json!({"count": 0, "reset": true})]);
    room
}

impl Room {
    /// `client` observes as this hyperty of its own.
    fn joins(&mut self, client: &Client, name: &str) -> String {
        let hyperty = format!("{}/{name}", client.hyperty);
        let observer = Client {
            hyperty: hyperty.clone(),
            ..client.clone()
        };
        assert_eq!(self.world.subscribes_raw(&observer, KITCHEN), Value::Null);
        let asked = self.world.frames(&self.reporter).pop().unwrap();
        answers(&mut self.world, &self.reporter, &asked, (self.epoch, 0));
        hyperty
    }

    fn leaves(&mut self, client: &Client, hyperty: &str) {
        let to = format!("{KITCHEN}/subscription");
        let answer = self
            .world
            .asks(client, "unsubscribe", hyperty, &to, json!({}));
        assert_eq!(code(&answer), 200, "{answer}");
    }

    /// What the Reporter is told within the time that it takes.
    fn hears(&mut self) -> Vec<Value> {
        let before = self.world.frames(&self.reporter).len();
        self.world.passes(PRESENCE_MS);
        let frames = self.world.frames(&self.reporter).split_off(before);
        let told = frames
            .into_iter()
            .filter(|frame| frame["body"]["method"] == "presence");
        told.map(|frame| {
            assert_eq!(frame["from"], sm());
            assert_eq!(frame["to"], format!("{}/sm", self.reporter.runtime));
            assert_eq!(
                (&frame["type"], &frame["id"]),
                (&json!("execute"), &Value::Null)
            );
            assert_eq!(frame["body"]["params"][0], KITCHEN);
            frame["body"]["params"][1].clone()
        })
        .collect()
    }

    fn observers(&mut self, who: &Client, params: Value) -> Value {
        let body = json!({"method": "observers", "params": params});
        self.world.asks(who, "execute", &who.hyperty, &sm(), body)
    }
}

#[test]
fn the_holder_is_told_who_began_and_who_ceased_to_observe_at_once_for_many() {
    let mut room = room();
    let (a, b) = (room.world.client(2), room.world.client(3));
    let first = room.joins(&a, "1");
    let second = room.joins(&b, "1");
    let (of_a, of_b) = (json!([first, a.identity()]), json!([second, b.identity()]));
    let mut joined = [of_a, of_b];
    joined.sort_by_key(Value::to_string);
    assert_eq!(room.hears(), [json!({"count": 2, "joined": joined})]);
    assert_eq!(room.hears(), Vec::<Value>::new());
    // Another hyperty of the same session observes too; asking again changes nothing.
    let third = room.joins(&a, "2");
    room.joins(&a, "1");
    assert_eq!(
        room.hears(),
        [json!({"count": 3, "joined": [[third, a.identity()]]})]
    );
    room.leaves(&a, &third);
    room.leaves(&a, &third);
    assert_eq!(room.hears(), [json!({"count": 2, "left": [third]})]);
    // Who came and went meanwhile was not there; who went and came was.
    room.joins(&a, "3");
    room.leaves(&a, &format!("{}/3", a.hyperty));
    room.leaves(&a, &first);
    room.joins(&a, "1");
    assert_eq!(room.hears(), Vec::<Value>::new());
}

#[test]
fn who_is_in_its_grace_time_is_there_and_who_is_put_out_or_ends_is_not() {
    let mut room = room();
    let (a, b) = (room.world.client(2), room.world.client(3));
    let (first, second) = (room.joins(&a, "1"), room.joins(&b, "1"));
    room.hears();
    room.world.drops(&a);
    assert_eq!(room.hears(), Vec::<Value>::new());
    room.world.passes(GRACE_MS - PRESENCE_MS);
    assert_eq!(room.hears(), [json!({"count": 1, "left": [first]})]);
    let body = json!({"method": "kick", "params": [KITCHEN, second]});
    let reporter = room.reporter.clone();
    room.world
        .asks(&reporter, "execute", &reporter.hyperty, &sm(), body);
    assert_eq!(room.hears(), [json!({"count": 0, "left": [second]})]);
}

#[test]
fn whoever_comes_to_hold_an_object_is_told_who_is_there() {
    let mut room = room();
    let a = room.world.client(2);
    let first = room.joins(&a, "1");
    room.hears();
    room.world.drops(&room.reporter.clone());
    let own = format!("{}/own", a.hyperty);
    room.leaves(&a, &first);
    room.world.passes(PRESENCE_MS);
    let all = json!({"count": 1, "reset": true, "joined": [[own, a.identity()]]});
    let (back, _) = room.world.reopens(&room.reporter.clone());
    room.reporter = back;
    room.joins(&a, "own");
    assert_eq!(room.hears(), std::slice::from_ref(&all));
    // Another device takes it; the one that lost it hears no more.
    let (before, device) = (room.reporter.clone(), room.world.client(1));
    let claim = json!({"base": [room.epoch, 0], "take": true});
    assert_eq!(code(&room.world.claims(&device, KITCHEN, claim)), 200);
    room.reporter = device;
    assert_eq!(room.hears(), [all]);
    room.leaves(&a, &own);
    let heard = room.world.frames(&before).len();
    assert_eq!(room.hears(), [json!({"count": 0, "left": [own]})]);
    assert_eq!(room.world.frames(&before).len(), heard);
}

#[test]
fn of_more_than_are_named_only_the_number_is_told_and_the_rest_is_asked_for() {
    let mut room = room();
    let (a, device) = (room.world.client(2), room.world.client(1));
    let names = PRESENCE_CHANGES_MAX + 3;
    let all: Vec<String> = (0..names)
        .map(|n| room.joins(&a, &format!("{n:04}")))
        .collect();
    assert_eq!(room.hears(), [json!({"count": names, "partial": true})]);
    room.world.drops(&room.reporter.clone());
    let (back, _) = room.world.reopens(&room.reporter.clone());
    room.reporter = back;
    let told = room.hears().remove(0);
    assert_eq!(
        (&told["count"], &told["reset"], &told["partial"]),
        (&json!(names), &json!(true), &json!(true))
    );
    let named = told["joined"].as_array().unwrap();
    assert_eq!(named.len(), PRESENCE_CHANGES_MAX);
    // Any session of an owner asks, page by page.
    let page = room.observers(&device, json!([KITCHEN]));
    assert_eq!(page["body"]["count"], names);
    let listed = page["body"]["observers"].as_array().unwrap().clone();
    assert_eq!(listed.len(), OBSERVERS_PAGE_MAX);
    assert_eq!(
        listed[0],
        json!({"hyperty": all[0], "identity": a.identity()})
    );
    let last = &all[OBSERVERS_PAGE_MAX - 1];
    assert_eq!(page["body"]["next"], json!(last));
    let page = room.observers(&device, json!([KITCHEN, last]));
    let rest = page["body"]["observers"].as_array().unwrap();
    assert_eq!(rest.len(), names - OBSERVERS_PAGE_MAX);
    assert_eq!(rest[0]["hyperty"], json!(all[OBSERVERS_PAGE_MAX]));
    assert_eq!(page["body"]["next"], Value::Null);
    room.world.assert_all_answered();
}

#[test]
fn nobody_but_its_owners_asks_who_observes_and_nobody_but_the_node_says_it() {
    let mut room = room();
    let a = room.world.client(2);
    let observer = room.joins(&a, "1");
    for who in [a.clone(), room.world.client(3)] {
        for params in [
            json!([KITCHEN]),
            json!([KITCHEN, observer]),
            json!([KITCHEN, null]),
        ] {
            assert_eq!(code(&room.observers(&who, params)), 403);
        }
    }
    let reporter = room.reporter.clone();
    let body = json!({"method": "presence", "params": [KITCHEN, {"count": 9}]});
    for who in [&a, &reporter] {
        let answer = room
            .world
            .asks(who, "execute", &who.hyperty, &sm(), body.clone());
        assert_eq!(code(&answer), 403, "{answer}");
    }
    let answer = room.observers(&reporter, json!(["ctxt://localhost/nothing"]));
    assert_eq!(code(&answer), 403, "{answer}");
    let answer = room.observers(&reporter, json!([KITCHEN, "no address"]));
    assert_eq!(code(&answer), 400, "{answer}");
}
