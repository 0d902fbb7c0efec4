//! The fields of a change: which belong together, and what is said when they do not (protocol.md
//! §4).

use byline_core::object::{Change, ChangeError, ChangeFields, ChangeShape, Path};
use serde_json::Value;

fn shape(text: &str) -> Result<ChangeShape, ChangeError> {
    ChangeFields::parse(text)?.shape()
}

#[test]
fn missing_and_null_are_different() {
    assert_eq!(shape(r#"{"attribute":"a"}"#), Ok(ChangeShape::Remove));
    let null = r#"{"attribute":"a","value":null}"#;
    assert_eq!(shape(null), Ok(ChangeShape::Set));
    assert!(ChangeFields::parse("{\"other\":1}").unwrap().is_empty());
    assert!(!ChangeFields::parse("{\"value\":null}").unwrap().is_empty());
}

#[test]
fn other_fields_escapes_and_white_space_do_not_matter() {
    let text = r#" {"attribute" : "\/a/0", "x":[1], "attributeType":"\u0061rray",
        "operation": "add", "value" : [ 1.0 ] }"#;
    assert_eq!(shape(text), Ok(ChangeShape::Insert));
    let path = Path::parse("a.0").unwrap();
    let change = Change::Insert {
        path,
        values: vec![Value::from(1)],
    };
    assert_eq!(serde_json::from_str::<Change>(text).unwrap(), change);
}

#[test]
fn fields_that_do_not_belong_together_are_named() {
    for (fields, text) in [
        (
            r#""value":1"#,
            "`attribute` of a change must be a path, as text",
        ),
        (
            r#""attribute":null"#,
            "`attribute` of a change must be text",
        ),
        (
            r#""attribute":"a..b""#,
            "`attribute` is not a path: key 1 of the dotted path is empty: write an empty key as a JSON Pointer",
        ),
        (
            r#""attribute":"""#,
            "`value` of a replacement of all must be an object",
        ),
        (
            r#""attribute":"","value":[]"#,
            "`value` of a replacement of all must be an object",
        ),
        (
            r#""attribute":"a","operation":"add""#,
            "`attributeType` of a change with `operation` must be \"array\" or \"string\"",
        ),
        (
            r#""attribute":"a","attributeType":"array""#,
            "`operation` of an array change must be \"add\" or \"remove\"",
        ),
        (
            r#""attribute":"a","attributeType":"number""#,
            "`attributeType` of a change must be \"array\", \"string\" or missing",
        ),
        (
            r#""attribute":"a","attributeType":"string","operation":"remove""#,
            "`operation` of a string change must be \"add\"",
        ),
        (
            r#""attribute":"a","attributeType":"string","operation":"add""#,
            "`value` of a text append must be text",
        ),
        (
            r#""attribute":"a.0","attributeType":"array","operation":"add","value":1"#,
            "`value` of an array insert must be a list",
        ),
        (
            r#""attribute":"a.b","attributeType":"array","operation":"add","value":[]"#,
            "`attribute` of an array insert must be a path that ends in an array index",
        ),
        (
            r#""attribute":"a.0","attributeType":"array","operation":"remove""#,
            "`value` of an array removal must be a count",
        ),
        (
            r#""attribute":"a.0","attributeType":"array","operation":"remove","value":-1"#,
            "`value` of an array removal must be a count",
        ),
    ] {
        let error = ChangeShape::check(&format!("{{{fields}}}")).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn what_only_the_reader_sees_is_named_too() {
    let change = |text| ChangeFields::parse(text).unwrap().into_change();
    let count = r#"{"attribute":"a.0","attributeType":"array","operation":"remove","value":1.5}"#;
    assert_eq!(
        change(count),
        Err(ChangeError::Field {
            field: "value",
            change: "an array removal",
            expected: "a whole number"
        })
    );
    let error = change(r#"{"attribute":"a","value":{"b":1e999}}"#).unwrap_err();
    let text =
        "`value` of a change: bad JSON at \"/b\": a number must be within the range of a double";
    assert_eq!(error.to_string(), text);
    for text in [
        "[]",
        "",
        "{",
        r#"{"value":1,"value":2}"#,
        r#"["a",null,null,1]"#,
    ] {
        assert!(
            matches!(ChangeShape::check(text), Err(ChangeError::Object { .. })),
            "{text}"
        );
    }
}

#[test]
fn a_list_of_changes_and_a_commit_body_hold_the_fields() {
    let body = r#"{"epoch":7,"version":42,"attribute":"a","value":null,"x":[{}]}"#;
    let fields: ChangeFields<'_> = serde_json::from_str(body).unwrap();
    assert_eq!(fields.shape(), Ok(ChangeShape::Set));
    let text = format!("[{body},{body}]");
    let list: Vec<ChangeFields<'_>> = serde_json::from_str(&text).unwrap();
    assert_eq!(list.len(), 2);
    let lists = r#"[["a",null,null,1]]"#;
    assert!(serde_json::from_str::<Vec<ChangeFields<'_>>>(lists).is_err());
}
