//! Finding the changes that lead from one document to another.

use serde::Serialize;
use serde_json::{Map, Value};

use super::change::Change;
use super::json::encoded_len;
use super::path::Path;

/// How far an array may have slid to be recognised as a window; bounds the comparisons.
const SLIDE_MAX: usize = 64;

/// The changes that make `after` of `before`; empty when they are equal. Applying them always gives
/// `after`.
///
/// Both have to be objects that came through [`parse`](super::parse) or
/// [`normalise`](super::normalise). (No change makes anything else of a document, so an `after`
/// that is no object gives an empty list.)
///
/// Small, not smallest, and the same for the same input: objects key by key; arrays without their
/// common ends, then the shortest of: element by element, remove and insert, slide (elements leave
/// at one end, new ones come at the other); text that grew is appended where that is shorter. A
/// list or a text whose changes take more bytes than itself is replaced as a whole, an object whose
/// changes take more than twice its own. Linear in the documents, times their depth for nested
/// arrays.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut plan = Plan::default();
    if after.is_object() {
        compare(&mut plan, &mut Path::root(), before, after);
    }
    plan.changes
}

/// Changes and the bytes they take in a commit.
#[derive(Default)]
struct Plan {
    changes: Vec<Change>,
    bytes: usize,
}

impl Plan {
    fn push(&mut self, change: Change) {
        self.bytes += 1 + length(&change);
        self.changes.push(change);
    }

    fn append(&mut self, mut other: Self) {
        self.changes.append(&mut other.changes);
        self.bytes += other.bytes;
    }
}

fn compare(plan: &mut Plan, path: &mut Path, before: &Value, after: &Value) {
    let mut parts = Plan::default();
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => compare_objects(&mut parts, path, old, new),
        (Value::Array(old), Value::Array(new)) => parts = compare_arrays(path, old, new),
        (Value::String(old), Value::String(new)) if !old.is_empty() && old != new => {
            let Some(text) = new.strip_prefix(old.as_str()) else {
                return plan.push(whole(path, after));
            };
            let (path, text) = (path.clone(), text.to_owned());
            parts.push(Change::Append { path, text });
        }
        (old, new) if old == new => return,
        _ => return plan.push(whole(path, after)),
    }
    // Who watches one key should not hear that all have changed, unless that is much shorter.
    let worth = if after.is_object() {
        parts.bytes / 2
    } else {
        parts.bytes
    };
    if worth > 0 && whole_is_shorter(path, after, worth) {
        plan.push(whole(path, after));
    } else {
        plan.append(parts);
    }
}

fn compare_objects(
    plan: &mut Plan,
    path: &mut Path,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) {
    for (key, old) in before {
        match after.get(key) {
            None => plan.push(Change::Remove {
                path: path.child(key.as_str()),
            }),
            Some(new) => compare_child(plan, path, key, old, new),
        }
    }
    for (key, new) in after {
        if !before.contains_key(key) {
            plan.push(Change::Set {
                path: path.child(key.as_str()),
                value: new.clone(),
            });
        }
    }
}

fn compare_child(plan: &mut Plan, path: &mut Path, key: &str, old: &Value, new: &Value) {
    // Most values are scalars that did not change: no key is copied for them.
    let is_nested = matches!(new, Value::Array(_) | Value::Object(_));
    if is_nested || old != new {
        path.push(key.to_owned());
        compare(plan, path, old, new);
        path.pop();
    }
}

/// The shortest of the ways from one list to the other; of equally short ones the first.
fn compare_arrays(path: &mut Path, before: &[Value], after: &[Value]) -> Plan {
    let pairs = before.iter().zip(after);
    let start = pairs.take_while(|(old, new)| old == new).count();
    let (before, after) = (&before[start..], &after[start..]);
    let pairs = before.iter().rev().zip(after.iter().rev());
    let same = pairs.take_while(|(old, new)| old == new).count();
    let before = &before[..before.len() - same];
    let after = &after[..after.len() - same];

    let both = before.len().min(after.len());
    let mut best = Plan::default();
    for (offset, (old, new)) in before.iter().zip(after).enumerate() {
        compare_child(&mut best, path, &(start + offset).to_string(), old, new);
    }
    splice(
        &mut best,
        path,
        start + both,
        before.len() - both,
        &after[both..],
    );

    let mut ways = Vec::new();
    if both > 0 && before.len() != after.len() {
        ways.push(Some((0, before.len(), 0, after)));
    }
    ways.push(slid_down(before, after));
    ways.push(slid_up(before, after));
    for (remove_at, count, insert_at, values) in ways.into_iter().flatten() {
        let mut way = Plan::default();
        splice(&mut way, path, start + remove_at, count, &[]);
        splice(&mut way, path, start + insert_at, 0, values);
        if way.bytes < best.bytes {
            best = way;
        }
    }
    best
}

/// Where to remove how many elements, then where to insert which.
type Slide<'v> = (usize, usize, usize, &'v [Value]);

/// The first elements left, new ones came at the end.
fn slid_down<'v>(before: &[Value], after: &'v [Value]) -> Option<Slide<'v>> {
    let gone = (1..before.len().min(SLIDE_MAX)).find(|gone| after.starts_with(&before[*gone..]))?;
    let kept = before.len() - gone;
    Some((0, gone, kept, &after[kept..]))
}

/// The last elements left, new ones came at the start.
fn slid_up<'v>(before: &[Value], after: &'v [Value]) -> Option<Slide<'v>> {
    let kept = |gone: usize| before.len() - gone;
    let gone =
        (1..before.len().min(SLIDE_MAX)).find(|gone| after.ends_with(&before[..kept(*gone)]))?;
    Some((kept(gone), gone, 0, &after[..after.len() - kept(gone)]))
}

fn splice(plan: &mut Plan, path: &Path, index: usize, count: usize, values: &[Value]) {
    let path = path.child(index.to_string());
    if count > 0 {
        plan.push(Change::RemoveElements {
            path: path.clone(),
            count,
        });
    }
    if !values.is_empty() {
        plan.push(Change::Insert {
            path,
            values: values.to_vec(),
        });
    }
}

fn whole(path: &Path, after: &Value) -> Change {
    match after {
        Value::Object(data) if path.is_root() => Change::Replace { data: data.clone() },
        _ => Change::Set {
            path: path.clone(),
            value: after.clone(),
        },
    }
}

/// Whether [`whole`] takes fewer bytes than `bytes`; looks at no more of `after` than that.
fn whole_is_shorter(path: &Path, after: &Value, bytes: usize) -> bool {
    let around = 1 + r#"{"attribute":,"value":}"#.len() + length(path);
    bytes
        .checked_sub(around + 1)
        .is_some_and(|max| encoded_len(after, max).is_some())
}

fn length(value: &impl Serialize) -> usize {
    encoded_len(value, usize::MAX).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::apply::apply;
    use super::*;
    use serde_json::json;

    fn assert_diff(before: Value, after: Value, expected: Value) {
        let changes = diff(&before, &after);
        assert_eq!(serde_json::to_value(&changes).unwrap(), expected);
        let mut data = before;
        assert_eq!(
            apply(&mut data, &changes).unwrap().changed(),
            !changes.is_empty()
        );
        assert_eq!(data, after);
    }

    fn long(from: u32, to: u32) -> Value {
        (from..to)
            .map(|n| format!("element number {n} of this list"))
            .collect()
    }

    #[test]
    fn equal_documents_need_no_change() {
        assert_diff(
            json!({"a": [{}], "b": ""}),
            json!({"a": [{}], "b": ""}),
            json!([]),
        );
    }

    #[test]
    fn objects_are_compared_key_by_key() {
        assert_diff(
            json!({"gone": 1, "kept": {"x": 1, "text": "as long as it takes"}, "also": [long(0, 9)]}),
            json!({"kept": {"x": 2, "text": "as long as it takes"}, "also": [long(0, 9)], "n": null}),
            json!([{"attribute": "gone"}, {"attribute": "kept.x", "value": 2}, {"attribute": "n", "value": null}]),
        );
    }

    #[test]
    fn what_is_shorter_as_a_whole_is_replaced() {
        let keys = |from: u64| -> Value {
            (0..9)
                .map(|key| (format!("k{key}"), json!(from + key)))
                .collect::<Map<_, _>>()
                .into()
        };
        assert_diff(
            json!({"kept": long(0, 9), "p": keys(0)}),
            json!({"kept": long(0, 9), "p": keys(1)}),
            json!([{"attribute": "p", "value": keys(1)}]),
        );
        assert_diff(
            keys(0),
            keys(1),
            json!([{"attribute": "", "value": keys(1)}]),
        );
    }

    #[test]
    fn keys_are_told_one_by_one_while_that_is_not_much_longer() {
        assert_diff(
            json!({"x": 1, "y": 2}),
            json!({"x": 3, "y": 4}),
            json!([{"attribute": "x", "value": 3}, {"attribute": "y", "value": 4}]),
        );
    }

    #[test]
    fn arrays_keep_their_common_ends() {
        let mut after = long(0, 9);
        after.as_array_mut().unwrap().insert(4, json!([1]));
        assert_diff(
            json!({"a": long(0, 9)}),
            json!({"a": after}),
            json!([{"attribute": "a.4", "attributeType": "array", "operation": "add", "value": [[1]]}]),
        );
        assert_diff(
            json!({"a": long(0, 9)}),
            json!({"a": long(0, 7)}),
            json!([{"attribute": "a.7", "attributeType": "array", "operation": "remove", "value": 2}]),
        );
    }

    #[test]
    fn a_window_that_slides_costs_what_comes_and_goes() {
        let cut = |path: &str| json!({"attribute": path, "attributeType": "array", "operation": "remove", "value": 1});
        let add = |path: &str, values: Value| json!({"attribute": path, "attributeType": "array", "operation": "add", "value": values});
        let (older, newer) = (json!({"a": long(0, 20)}), json!({"a": long(1, 21)}));
        assert_diff(
            older.clone(),
            newer.clone(),
            json!([cut("a.0"), add("a.19", long(20, 21))]),
        );
        assert_diff(newer, older, json!([cut("a.19"), add("a.0", long(0, 1))]));
    }

    #[test]
    fn text_that_grew_is_appended_where_that_is_shorter() {
        let long = "long ".repeat(20);
        let append = json!([{"attribute": "t", "attributeType": "string", "operation": "add", "value": "er"}]);
        assert_diff(
            json!({"t": long}),
            json!({"t": format!("{long}er")}),
            append,
        );
        assert_diff(
            json!({"t": "a"}),
            json!({"t": "ab"}),
            json!([{"attribute": "t", "value": "ab"}]),
        );
    }
}
