//! Applying changes: the conditions of the table in protocol.md §4, and what is undone and
//! reported.

use byline_core::object::{ApplyRule, Change, Path, apply};
use serde_json::{Value, json};

fn changes(list: Value) -> Vec<Change> {
    serde_json::from_value(list).unwrap()
}

fn rule(change: Value) -> ApplyRule {
    let start = json!({"a": [1, 2], "s": "x", "n": null});
    let mut data = start.clone();
    // A change before it, so that there is something to undo.
    let list = changes(json!([{"attribute": "new", "value": 1}, change]));
    let error = apply(&mut data, &list).unwrap_err();
    assert_eq!(
        (data, error.change, &error.path),
        (start, 1, list[1].path())
    );
    error.rule
}

#[test]
fn every_change_says_what_it_replaced() {
    let mut data = json!({"a": [1, 2, 3], "s": "x", "k": null});
    let list = changes(json!([
        {"attribute": "k", "value": 1},
        {"attribute": "new", "value": null},
        {"attribute": "a.0", "value": 9},
        {"attribute": "k"},
        {"attribute": "a.3", "attributeType": "array", "operation": "add", "value": [4, [5]]},
        {"attribute": "a.1", "attributeType": "array", "operation": "remove", "value": 2},
        {"attribute": "s", "attributeType": "string", "operation": "add", "value": "yz"}
    ]));
    let applied = apply(&mut data, &list).unwrap();
    assert_eq!(data, json!({"a": [9, 4, [5]], "s": "xyz", "new": null}));
    assert_eq!(applied.before(5), Some(&json!([2, 3])));
    assert_eq!(applied.before(7), None);
    let before = applied.clone().into_before();
    let expected = [
        Some(json!(null)),
        None,
        Some(json!(1)),
        Some(json!(1)),
        None,
        Some(json!([2, 3])),
        None,
    ];
    assert_eq!(before, expected);
    applied.undo(&mut data, &list);
    assert_eq!(data, json!({"a": [1, 2, 3], "s": "x", "k": null}));
}

#[test]
fn what_makes_no_difference_is_no_change() {
    let start = json!({"a": [1], "s": "x"});
    for change in [
        json!({"attribute": "s", "value": "x"}),
        json!({"attribute": "a.0", "attributeType": "array", "operation": "add", "value": []}),
        json!({"attribute": "a.1", "attributeType": "array", "operation": "remove", "value": 0}),
        json!({"attribute": "s", "attributeType": "string", "operation": "add", "value": ""}),
        json!({"attribute": "", "value": {"a": [1], "s": "x"}}),
    ] {
        let mut data = start.clone();
        assert!(
            !apply(&mut data, &changes(json!([change])))
                .unwrap()
                .changed(),
            "{change}"
        );
        assert_eq!(data, start);
    }
    let mut data = start;
    assert!(
        apply(&mut data, &changes(json!([{"attribute": "s", "value": 1}])))
            .unwrap()
            .changed()
    );
}

#[test]
fn every_condition_of_the_table_is_checked() {
    let add = |path: &str| json!({"attribute": path, "attributeType": "array", "operation": "add", "value": [0]});
    let cut = |path: &str, count: u64| json!({"attribute": path, "attributeType": "array", "operation": "remove", "value": count});
    let range = |index, count| ApplyRule::OutOfRange {
        index,
        count,
        length: 2,
    };
    for (change, expected) in [
        (json!({"attribute": "x.y", "value": 1}), ApplyRule::NoParent),
        (
            json!({"attribute": "s.y", "value": 1}),
            ApplyRule::ParentIsScalar,
        ),
        (
            json!({"attribute": "n.y", "value": 1}),
            ApplyRule::ParentIsScalar,
        ),
        (json!({"attribute": "a.2", "value": 1}), range(2, 1)),
        (json!({"attribute": "a.01", "value": 1}), ApplyRule::NoIndex),
        (json!({"attribute": "x"}), ApplyRule::NoKey),
        (json!({"attribute": "a.0"}), ApplyRule::ParentIsNoObject),
        (add("a.3"), range(3, 0)),
        (add("s.0"), ApplyRule::ParentIsNoArray),
        (add("x.0"), ApplyRule::NoParent),
        (cut("a.1", 2), range(1, 2)),
        (cut("a.9", 0), range(9, 0)),
        (
            json!({"attribute": "n", "attributeType": "string", "operation": "add", "value": ""}),
            ApplyRule::NoString,
        ),
        (
            json!({"attribute": "", "attributeType": "string", "operation": "add", "value": ""}),
            ApplyRule::NoString,
        ),
    ] {
        assert_eq!(rule(change.clone()), expected, "{change}");
    }
    let set_root = Change::Set {
        path: Path::root(),
        value: json!({}),
    };
    let error = apply(&mut json!({}), &[set_root]).unwrap_err();
    assert_eq!(error.rule, ApplyRule::Root);
    let text = "change 0 does not apply at \"\": the root can only be replaced, by an object";
    assert_eq!(error.to_string(), text);
}
