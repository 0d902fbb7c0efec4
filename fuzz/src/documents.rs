//! Targets of `byline_core::object`: what is read from text, and what differs.

use byline_core::limits::DEPTH_MAX;
use byline_core::object::{
    ChangeFields, ChangeShape, DataObject, Hash, JsonRule, Path, apply, diff, encoded_len, nesting,
    normalise, parse,
};
use serde_json::Value;

/// Text is a path or none; as a path it is written so that it is read again.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::parse(text);
    assert_eq!(Path::check(text), path.clone().map(|_| ()));
    if let Ok(path) = path {
        assert!(path.keys().len() <= DEPTH_MAX);
        let written = path.to_string();
        assert_eq!(Path::parse(&written).as_ref(), Ok(&path));
        let by_pointer: String = path
            .keys()
            .iter()
            .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            .collect();
        assert_eq!(Path::parse(&by_pointer).as_ref(), Ok(&path));
        assert_eq!(
            written,
            Path::parse(&by_pointer).unwrap_or_default().to_string()
        );
    }
}

/// A line is a document or none; two documents differ by changes that lead from one to the other.
pub(crate) fn json(bytes: &[u8]) {
    _ = nesting(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, "{}"));
    _ = DataObject::parse(first);
    if let (Ok(shape), Ok(fields)) = (shape(first), ChangeFields::parse(first)) {
        if let Ok(change) = fields.into_change() {
            let written = serde_json::to_string(&change).unwrap_or_default();
            assert_eq!(self::shape(&written), Ok(shape));
        }
    } else if let Ok(fields) = ChangeFields::parse(first) {
        assert!(fields.into_change().is_err(), "{first} passes no node");
    }
    if let (Some(before), Some(after)) = (document(first), document(second)) {
        difference(&before, &after);
    }
}

fn shape(text: &str) -> Result<ChangeShape, ()> {
    let fields = ChangeFields::parse(text).map_err(|_| ())?;
    fields.shape().map_err(|_| ())
}

/// Reads the text, and asks another reader and another writer.
fn document(text: &str) -> Option<Value> {
    let other = serde_json::from_str::<Value>(text);
    let value = match parse(text) {
        Ok(value) => value,
        Err(error) => {
            let strict = !matches!(error.rule, JsonRule::Syntax { .. });
            assert!(
                strict || other.is_err(),
                "{error}, yet it is JSON: {text:?}"
            );
            return None;
        }
    };
    assert!(other.is_ok(), "no JSON: {text:?}");
    assert_eq!(normalise(value.clone()).as_ref(), Ok(&value));
    let written = value.to_string();
    assert_eq!(parse(&written).as_ref(), Ok(&value));
    assert_eq!(encoded_len(&value, usize::MAX), Some(written.len()));
    let depth = nesting(written.as_bytes());
    assert!(depth == nesting(text.as_bytes()) && depth <= DEPTH_MAX);
    let hash = Hash::of(&value);
    assert_eq!(hash.to_string().parse(), Ok(hash));
    Some(value)
}

fn difference(before: &Value, after: &Value) {
    if !before.is_object() || !after.is_object() {
        return;
    }
    let changes = diff(before, after);
    assert_eq!(changes.is_empty(), before == after);
    assert_eq!(before == after, Hash::of(before) == Hash::of(after));
    let mut data = before.clone();
    let applied = apply(&mut data, &changes).expect("a difference applies");
    assert_eq!(&data, after);
    applied.undo(&mut data, &changes);
    assert_eq!(&data, before);
}
