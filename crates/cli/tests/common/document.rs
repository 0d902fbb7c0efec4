//! A document of everything that JSON has, made from a number alone: an ordered list that moves,
//! text that grows, keys that come and go, numbers of several kinds.

use serde_json::{Value, json};

/// The state that line `number` of the input reports. Each is another than the one before.
pub(crate) fn document(number: u64) -> Value {
    let mut log = String::from("día 1 — 🚰");
    for entry in number / 40 * 40..number {
        log.push_str(&format!("; {entry}°"));
    }
    let first = number / 3;
    let queue: Vec<Value> = (first..first + 4 + number % 5)
        .map(|ticket| json!({ "ticket": ticket, "open": ticket.is_multiple_of(2) }))
        .collect();
    let mut data = json!({
        "line": number,
        "temperature": f64::from(number as u32 * 7 % 64) / 8.0 + 0.0625,
        "tiny": 1e-7 / (number + 1) as f64,
        "log": log,
        "queue": queue,
        "room": { "lamp": number.is_multiple_of(2), "people": { "count": number % 7, "names": [] } },
        "a.b/c~d": { "": number % 4, "__proto__": null },
    });
    if !number.is_multiple_of(3) {
        let by = ["Ann", "Bob"][number as usize % 2];
        data["seen"] = json!({ "by": by });
    }
    if number.is_multiple_of(11) {
        data["room"]["people"] = Value::Null;
    }
    data
}
