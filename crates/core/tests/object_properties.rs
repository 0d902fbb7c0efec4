//! Properties of documents and changes, over arbitrary I-JSON documents with odd keys.

use byline_core::limits::DEPTH_MAX;
use byline_core::object::{
    Change, ChangeFields, ChangeShape, Hash, Path, apply, diff, encoded_len, is_noop, nesting,
    normalise, parse,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::documents::{cases, change, deep, document, map_of, near, path, places, scalar, value};

/// A document and a change that applies to it, often one that makes no difference.
fn touching() -> impl Strategy<Value = (Value, Change)> {
    let new = prop_oneof![Just(None), value().prop_map(Some)];
    (near(), any::<Index>(), 0..3_usize, new).prop_map(|((document, _), place, count, new)| {
        let places = places(&document);
        let pointer = &places[place.index(places.len())];
        let path = Path::parse(pointer).unwrap();
        let old = document.pointer(pointer).unwrap().clone();
        let change = match (old, new) {
            (Value::String(_), None) => Change::Append {
                path,
                text: "x".repeat(count),
            },
            (Value::Array(items), None) if items.len() >= count => Change::RemoveElements {
                path: path.child("0"),
                count,
            },
            (Value::Array(items), Some(value)) => {
                let path = path.child(items.len().to_string());
                Change::Insert {
                    path,
                    values: vec![value; count],
                }
            }
            (Value::Object(data), None) if path.is_root() => Change::Replace { data },
            (_, Some(value)) if path.is_root() => Change::Replace {
                data: map_of(json!({"a": value})),
            },
            (old, new) => Change::Set {
                path,
                value: new.unwrap_or(old),
            },
        };
        (document, change)
    })
}

fn check_diff(before: &Value, after: &Value) -> Result<(), TestCaseError> {
    let changes = diff(before, after);
    prop_assert_eq!(&changes, &diff(before, after));
    prop_assert_eq!(changes.is_empty(), before == after);
    let mut data = before.clone();
    let applied = apply(&mut data, &changes).unwrap();
    prop_assert_eq!(&data, after);
    prop_assert_eq!(applied.changed(), !changes.is_empty());
    let bytes = encoded_len(&changes, usize::MAX).unwrap();
    let whole = encoded_len(
        &[Change::Replace {
            data: map_of(after.clone()),
        }],
        usize::MAX,
    )
    .unwrap();
    prop_assert!(changes.is_empty() || bytes <= 2 * whole + 1);
    applied.undo(&mut data, &changes);
    prop_assert_eq!(&data, before);
    Ok(())
}

/// JSON text of the same document spelt differently: keys the other way round, integers as floats.
fn respell(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_i64() => format!("{number}.0e+0"),
        Value::Array(items) => {
            format!(
                "[ {} ]",
                items.iter().map(respell).collect::<Vec<_>>().join(" ,\n")
            )
        }
        Value::Object(map) => {
            let fields = map.iter().rev();
            let fields = fields.map(|(key, child)| format!("{}: {}", json!(key), respell(child)));
            format!("{{\t{}}}", fields.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn applying_a_diff_gives_the_other_document(before in document(), after in document()) {
        check_diff(&before, &after)?;
    }

    #[test]
    fn applying_a_diff_of_near_documents_gives_the_other((before, after) in near()) {
        check_diff(&before, &after)?;
        check_diff(&after, &before)?;
    }

    #[test]
    fn lists_of_few_kinds_of_elements_are_told_apart(
        before in prop::collection::vec(0..3_u8, 0..12),
        after in prop::collection::vec(0..3_u8, 0..12),
        long in any::<bool>(),
    ) {
        let list = |items: &[u8]| -> Value {
            let element = |n: &u8| if long { json!(n.to_string().repeat(60)) } else { json!(n) };
            json!({"list": items.iter().map(element).collect::<Vec<_>>()})
        };
        check_diff(&list(&before), &list(&after))?;
    }

    #[test]
    fn changes_that_do_not_apply_leave_the_document_as_it_was(
        (before, after) in near(),
        others in prop::collection::vec(change(), 1..4),
    ) {
        let mut changes = diff(&before, &after);
        changes.extend(others);
        let mut data = before.clone();
        match apply(&mut data, &changes) {
            Ok(applied) => applied.undo(&mut data, &changes),
            Err(error) => prop_assert_eq!(&error.path, changes[error.change].path()),
        }
        prop_assert_eq!(data, before);
    }

    #[test]
    fn what_is_reported_as_no_change_is_none((before, change) in touching(), other in change()) {
        for change in [change, other] {
            let mut data = before.clone();
            let changed = apply(&mut data, std::slice::from_ref(&change)).map(|done| done.changed());
            prop_assert_eq!(changed == Ok(false), is_noop(&before, &change));
            prop_assert_eq!(changed == Ok(true), data != before);
        }
    }

    #[test]
    fn a_change_is_read_as_it_was_written(change in change()) {
        let text = serde_json::to_string(&change).unwrap();
        prop_assert!(ChangeShape::check(&text).is_ok());
        let fields: ChangeFields<'_> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&fields.into_change().unwrap(), &change);
        prop_assert_eq!(&serde_json::from_str::<Change>(&text).unwrap(), &change);
    }

    #[test]
    fn a_path_is_read_as_it_was_written(path in path()) {
        let text = path.to_string();
        prop_assert_eq!(Path::check(&text), Ok(()));
        prop_assert_eq!(Path::parse(&text), Ok(path.clone()));
        let json = serde_json::to_string(&path).unwrap();
        prop_assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), path);
    }

    #[test]
    fn a_document_is_read_as_it_was_written(document in document()) {
        let text = document.to_string();
        prop_assert_eq!(&parse(&text).unwrap(), &document);
        prop_assert_eq!(&normalise(document.clone()).unwrap(), &document);
        prop_assert_eq!(nesting(text.as_bytes()), depth(&document));
        prop_assert_eq!(encoded_len(&document, usize::MAX), Some(text.len()));
        let canonical = serde_json_canonicalizer::to_string(&document).unwrap();
        prop_assert_eq!(&parse(&canonical).unwrap(), &document);
    }

    #[test]
    fn damaged_text_is_read_or_refused(document in document(), cut in any::<Index>(), with in any::<u8>()) {
        let mut bytes = document.to_string().into_bytes();
        let at = cut.index(bytes.len());
        bytes[at] = with;
        _ = nesting(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) && parse(text).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(text).is_ok());
        }
        bytes.truncate(at);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert!(parse(text).is_err());
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_the_spelling(document in document(), other in document()) {
        let again = parse(&respell(&document)).unwrap();
        prop_assert_eq!(&again, &document);
        prop_assert_eq!(Hash::of(&again), Hash::of(&document));
        prop_assert_eq!(Hash::of(&other) == Hash::of(&document), other == document);
        let hash = Hash::of(&document);
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn the_limit_of_depth_holds_wherever_a_value_goes(above in 1..DEPTH_MAX + 3, below in 0..DEPTH_MAX + 3) {
        let nest = |levels| (0..levels).fold(json!(0), |inner, _| json!({"a": inner}));
        let mut data = nest(above.min(DEPTH_MAX));
        let before = data.clone();
        let path: Path = std::iter::repeat_n("a", above).collect();
        let result = apply(&mut data, &[Change::Set { path, value: nest(below) }]);
        prop_assert_eq!(result.is_ok(), above + below <= DEPTH_MAX);
        prop_assert!(depth(&data) <= DEPTH_MAX);
        prop_assert!(result.is_ok() || data == before);
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn applying_a_diff_of_deep_documents_gives_the_other(before in deep(), after in deep(), new in scalar()) {
        check_diff(&before, &after)?;
        let mut near = before.clone();
        let places = places(&near);
        let deepest = places.iter().max_by_key(|place| place.matches('/').count()).unwrap();
        if let Some(Value::Array(items)) = near.pointer_mut(deepest) {
            items.push(new);
        }
        check_diff(&before, &near)?;
        check_diff(&near, &before)?;
    }
}
