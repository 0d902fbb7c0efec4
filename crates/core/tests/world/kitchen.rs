//! A Reporter and a reader who say everything themselves.

use serde_json::{Value, json};

use super::{Client, World};

pub const KITCHEN: &str = "ctxt://localhost/kitchen";

pub fn code(answer: &Value) -> u64 {
    answer["body"]["code"].as_u64().unwrap_or(0)
}

/// A Reporter that holds the kitchen, where there may be a chat, at the returned epoch, and a reader
/// with a route.
pub fn kitchen() -> (World, Client, Client, u64) {
    let mut world = World::new();
    let (reporter, reader) = (world.client(1), world.client(2));
    let epoch = claims(&mut world, &reporter, json!({"children": ["chat"]}));
    assert_eq!(world.subscribes_raw(&reader, KITCHEN), Value::Null);
    answers_readers(&mut world, &reporter, (epoch, 0));
    assert_eq!(world.node.gauges().routes, 1);
    (world, reporter, reader, epoch)
}

/// The epoch of a claim that is answered 200.
pub fn claims(world: &mut World, client: &Client, with: Value) -> u64 {
    let claimed = world.claims(client, KITCHEN, with);
    assert_eq!(code(&claimed), 200, "{claimed}");
    claimed["body"]["epoch"].as_u64().unwrap()
}

/// The Reporter answers every `subscribe` and `read` it was sent, those answered before too.
pub fn answers_readers(world: &mut World, reporter: &Client, at: (u64, u64)) {
    for frame in world.frames(reporter) {
        if frame["type"] == "subscribe" || frame["type"] == "read" {
            answers(world, reporter, &frame, at);
        }
    }
}

pub fn answers(world: &mut World, reporter: &Client, frame: &Value, at: (u64, u64)) {
    let body = json!({"code": 200, "epoch": at.0, "position": [at.0, at.1],
        "value": {"url": KITCHEN, "data": {"n": at.1}}});
    let answer = json!({"id": frame["id"], "type": "response", "from": frame["to"],
        "to": frame["from"], "body": body});
    world.says(reporter, &answer.to_string());
}

pub fn dropped(world: &World) -> u64 {
    world.node.counters().answers_dropped
}
