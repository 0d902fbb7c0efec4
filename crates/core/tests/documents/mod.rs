//! Documents, paths and changes to be generated: I-JSON with odd keys, numbers where a rule begins or
//! ends, nesting down to the limit.

#![allow(unreachable_pub, reason = "`pub` is what tests use")]

mod damage;

use std::hash::{BuildHasher, Hasher, RandomState};

use byline_core::limits::DEPTH_MAX;
use byline_core::object::{Change, Path, normalise};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

pub use damage::damage;

/// Addresses that messages name, and a hash that is one.
pub const OBJECT: &str = "ctxt://localhost/kitchen";
pub const HYPERTY: &str = "hyperty://localhost/h";
pub const HASH: &str = "RBNvo1WzZ4oRRq0W9-hkng";

/// So many cases, drawn from a seed that a failure shows: `PROPTEST_RNG_SEED=<it> cargo test …` draws
/// the same again.
pub fn cases(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().build_hasher().finish());
    }
    eprintln!("PROPTEST_RNG_SEED={}", config.rng_seed);
    config
}

const ODD_KEYS: [&str; 20] = [
    "",
    ".",
    "/",
    "~",
    "~0",
    "~1",
    "a.b",
    "a/b",
    "0",
    "00",
    "17",
    "__proto__",
    "constructor",
    "é",
    "😀",
    "\u{fb33}\n\"\\",
    "two words",
    " ",
    "user://idp/x@y.status",
    "attribute",
];

/// Numbers on both sides of each rule, in the one form they have.
const NUMBERS: [f64; 12] = [
    9_007_199_254_740_991.0,
    -9_007_199_254_740_991.0,
    9_007_199_254_740_990.0,
    -0.0,
    1.0,
    -1.0,
    1e21,
    -1e21,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
    0.1,
];

pub fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c]",
        2 => select(&ODD_KEYS[..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[ab]{0,3}", 1 => any::<String>(), 1 => "(long enough text ){2,6}[ab]?"]
}

pub fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        (-9_007_199_254_740_991..=9_007_199_254_740_991_i64).prop_map(Value::from),
        select(&NUMBERS[..]).prop_map(|x| normalise(json!(x)).unwrap()),
        prop::num::f64::NORMAL.prop_filter_map("no I-JSON", |x| normalise(json!(x)).ok()),
        text().prop_map(Value::from),
    ]
}

pub fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

pub fn document() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(key(), value(), 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

pub fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(key(), 0..5).prop_map(|keys| keys.into_iter().collect())
}

pub fn element_path() -> impl Strategy<Value = Path> {
    (path(), 0..9_usize).prop_map(|(path, index)| path.child(index.to_string()))
}

pub fn map_of(document: Value) -> Map<String, Value> {
    document.as_object().unwrap().clone()
}

pub fn change() -> impl Strategy<Value = Change> {
    let key_path = || (path(), key()).prop_map(|(path, key)| path.child(key));
    let values = prop::collection::vec(value(), 0..4);
    prop_oneof![
        (key_path(), value()).prop_map(|(path, value)| Change::Set { path, value }),
        key_path().prop_map(|path| Change::Remove { path }),
        (element_path(), values).prop_map(|(path, values)| Change::Insert { path, values }),
        (element_path(), 0..5_usize)
            .prop_map(|(path, count)| Change::RemoveElements { path, count }),
        (path(), text()).prop_map(|(path, text)| Change::Append { path, text }),
        document().prop_map(|data| Change::Replace { data: map_of(data) }),
    ]
}

/// A document and one near it: a few places of the first changed, so that differences are deep and
/// small.
pub fn near() -> impl Strategy<Value = (Value, Value)> {
    let edits = prop::collection::vec((any::<Index>(), any::<Index>(), value()), 0..5);
    (document(), edits).prop_map(|(before, edits)| {
        let mut after = before.clone();
        for (place, kind, value) in edits {
            let places = places(&after);
            let pointer = &places[place.index(places.len())];
            edit(after.pointer_mut(pointer).unwrap(), &kind, value);
        }
        (before, after)
    })
}

/// The JSON Pointers of all containers and texts of a value.
pub fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, child)| (key.replace('~', "~0").replace('/', "~1"), child))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, child)| (index.to_string(), child))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        if child.is_object() || child.is_array() || child.is_string() {
            found.extend(
                places(child)
                    .into_iter()
                    .map(|rest| format!("/{key}{rest}")),
            );
        }
    }
    found
}

fn edit(target: &mut Value, kind: &Index, value: Value) {
    match target {
        Value::String(text) => text.push_str("more"),
        Value::Object(map) if !map.is_empty() && kind.index(3) > 0 => {
            let key = map.keys().nth(kind.index(map.len())).cloned().unwrap();
            if kind.index(2) == 0 {
                map.remove(&key);
            } else {
                map.insert(key, value);
            }
        }
        Value::Object(map) => _ = map.insert("added".into(), value),
        Value::Array(items) if !items.is_empty() && kind.index(4) > 0 => {
            let at = kind.index(items.len());
            match kind.index(3) {
                0 => _ = items.remove(at),
                1 => items[at] = value,
                _ => items.rotate_left(at),
            }
        }
        Value::Array(items) => items.insert(kind.index(items.len() + 1), value),
        _ => {}
    }
}

/// A document as deep as a document may be, or nearly, and wide at the bottom.
pub fn deep() -> impl Strategy<Value = Value> {
    let levels = prop::collection::vec((key(), any::<bool>()), DEPTH_MAX - 6..DEPTH_MAX - 1);
    let bottom = prop::collection::vec(scalar(), 0..4).prop_map(Value::from);
    (levels, bottom).prop_map(|(levels, bottom)| {
        let inner = levels.into_iter().fold(bottom, |inner, (key, is_list)| {
            if is_list {
                json!([inner, 1])
            } else {
                Value::Object(Map::from_iter([(key, inner)]))
            }
        });
        json!({ "a": inner })
    })
}

/// A long list and one near it: a few elements gone, new, changed, or slid along.
pub fn long_lists() -> impl Strategy<Value = (Value, Value)> {
    let edits = prop::collection::vec((any::<Index>(), any::<Index>(), scalar()), 0..6);
    (200..900_u32, edits).prop_map(|(length, edits)| {
        let element = |n| json!({"id": n, "text": "a line of text"});
        let before = Value::from((0..length).map(element).collect::<Vec<_>>());
        let mut after = before.clone();
        for (place, kind, value) in edits {
            let Some(items) = after.as_array_mut() else {
                continue;
            };
            let at = place.index(items.len());
            match kind.index(4) {
                0 => _ = items.remove(at),
                1 => items.insert(at, value),
                2 => items[at] = value,
                _ => _ = items.drain(..at.min(70)),
            }
        }
        (json!({ "list": before }), json!({ "list": after }))
    })
}
