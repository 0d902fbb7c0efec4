//! Every case in which the predecessor's observer went away from its reporter: here both end up
//! equal.
//!
//! Each case goes the whole way: the reporter's document before and after, the changes found
//! between them, the commit's text, the check a node makes, the commit read from the text, applied
//! at the observer.

use byline_core::address::Address;
use byline_core::object::{Change, Hash, apply, diff, normalise, parse};
use byline_core::stream::{Commit, CommitHeader, Position};
use serde_json::{Map, Value, json};

/// What the observer holds after the changes between the two documents have reached it, and how
/// many there were.
fn observe(before: Value, after: Value) -> usize {
    let after = normalise(after).unwrap();
    let mut observer = parse(&before.to_string()).unwrap();
    let changes = diff(&before, &after);
    if changes.is_empty() {
        assert_eq!(observer, after);
        return 0;
    }
    let (source, count) = (Address::join("hyperty", "localhost", "h"), changes.len());
    let commit = Commit {
        position: Position::new(7, 1),
        base: None,
        changes,
        metadata: Map::new(),
        hash: None,
        bytes: 0,
    };
    let text = commit.encode(&source, "2026-11-21T10:00:00Z");
    CommitHeader::peek(text.get()).unwrap();
    let read = Commit::decode(text.get()).unwrap();
    _ = apply(&mut observer, &read.changes).unwrap();
    assert_eq!(observer, after);
    assert_eq!(Hash::of(&observer), Hash::of(&after));
    count
}

/// A document with a list of `count` elements, long enough not to be replaced as a whole.
fn list(elements: impl IntoIterator<Item = u32>) -> Value {
    let element = |n| json!({"id": n, "text": format!("element number {n}")});
    json!({"list": elements.into_iter().map(element).collect::<Vec<_>>()})
}

fn nested() -> Value {
    json!({"a": 1, "b": {"c": {"d": 1}, "e": "long enough to be left alone"}})
}

fn nested_with(pointer: &str, value: Value) -> Value {
    let mut data = nested();
    *data.pointer_mut(pointer).unwrap() = value;
    data
}

#[test]
fn a_scalar_set_takes_one_change() {
    assert_eq!(observe(nested(), nested_with("/a", json!(2))), 1);
}

#[test]
fn a_key_added_takes_one_change() {
    let mut after = nested();
    after["new"] = json!({"x": [1]});
    assert_eq!(observe(nested(), after), 1);
}

#[test]
fn null_set_takes_one_change() {
    assert_eq!(observe(nested(), nested_with("/a", Value::Null)), 1);
}

#[test]
fn a_nested_set_takes_one_change() {
    assert_eq!(observe(nested(), nested_with("/b/c/d", json!(2))), 1);
}

#[test]
fn a_field_deleted_takes_one_change() {
    let mut after = nested();
    after.as_object_mut().unwrap().remove("b");
    assert_eq!(observe(nested(), after), 1);
}

#[test]
fn a_subtree_replaced_takes_one_change() {
    assert_eq!(observe(nested(), nested_with("/b/c", json!([]))), 1);
}

#[test]
fn writing_an_equal_value_sends_nothing() {
    assert_eq!(
        observe(json!({"a": 1, "b": [0]}), json!({"a": 1.0, "b": [-0.0]})),
        0
    );
}

#[test]
fn an_element_set_takes_one_change() {
    let after = list([0, 1, 22, 3, 4, 5, 6, 7, 8]);
    assert!(observe(list(0..9), after) <= 2, "its two fields");
}

#[test]
fn a_field_of_an_element_takes_one_change() {
    let mut after = list(0..9);
    after["list"][4]["text"] = json!("changed");
    assert_eq!(observe(list(0..9), after), 1);
}

#[test]
fn pushing_one_or_many_takes_one_change() {
    assert_eq!(observe(list(0..9), list(0..10)), 1);
    assert_eq!(observe(list(0..9), list(0..12)), 1);
}

#[test]
fn a_sorted_array_arrives_sorted() {
    observe(list([3, 1, 2]), list([1, 2, 3]));
}

#[test]
fn a_splice_that_replaces_as_many_arrives() {
    observe(list(0..9), list([0, 1, 22, 33, 4, 5, 6, 7, 8]));
}

#[test]
fn insert_in_the_middle_takes_one_change() {
    assert_eq!(observe(list([0, 1, 2, 3]), list([0, 1, 7, 8, 2, 3])), 1);
}

#[test]
fn unshift_takes_one_change() {
    assert_eq!(observe(list([1, 2, 3]), list([0, 1, 2, 3])), 1);
}

#[test]
fn pushing_an_array_as_an_element_keeps_it_an_array() {
    observe(json!({"list": [1]}), json!({"list": [1, [2, 3]]}));
    observe(json!({"list": []}), json!({"list": [[]]}));
}

#[test]
fn pop_removes_the_last_element() {
    assert_eq!(observe(list([1, 2, 3]), list([1, 2])), 1);
}

#[test]
fn shift_leaves_no_stale_tail() {
    assert_eq!(observe(list([1, 2, 3, 4]), list([2, 3, 4])), 1);
}

#[test]
fn splice_remove_leaves_no_stale_tail() {
    assert_eq!(observe(list([1, 2, 3, 4, 5]), list([1, 5])), 1);
}

#[test]
fn length_zero_empties_the_array() {
    assert_eq!(observe(list([1, 2, 3]), list([])), 1);
}

#[test]
fn deleting_an_element_by_setting_null_keeps_its_place() {
    observe(json!({"list": [1, 2, 3]}), json!({"list": [1, null, 3]}));
}

#[test]
fn keys_with_dots_slashes_and_schemes_are_one_key() {
    for key in [
        "a.b",
        ".",
        "",
        "/",
        "a/b~c",
        "user://idp/x@y.status",
        "comm://d/1.identity",
    ] {
        observe(json!({}), json!({key: {"status": 1}}));
        observe(
            json!({key: {"status": 1}, "x": 1}),
            json!({key: {"status": 2}, "x": 1}),
        );
        observe(json!({key: 1, "x": 1}), json!({"x": 1}));
    }
}

#[test]
fn null_is_not_a_deletion() {
    assert_eq!(observe(json!({"a": 1}), json!({"a": null})), 1);
    let null: Change = serde_json::from_str(r#"{"attribute":"a","value":null}"#).unwrap();
    let missing: Change = serde_json::from_str(r#"{"attribute":"a"}"#).unwrap();
    assert_ne!(null, missing);
}

#[test]
fn names_of_a_prototype_are_plain_keys() {
    for key in ["__proto__", "constructor", "toString"] {
        observe(json!({}), json!({key: {"polluted": true}}));
        observe(
            json!({key: {"polluted": true, "x": 1}}),
            json!({key: {"polluted": false, "x": 1}}),
        );
    }
}

#[test]
fn a_change_whose_parent_is_missing_is_an_error_and_changes_nothing() {
    let mut data = json!({"a": 1});
    let change = |path: &str| Change::Set {
        path: path.parse().unwrap(),
        value: json!(2),
    };
    assert!(apply(&mut data, &[change("a"), change("x.y")]).is_err());
    assert_eq!(data, json!({"a": 1}));
}
