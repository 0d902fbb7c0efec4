//! The door for documents: checked reading of JSON text and checking of values the application made
//! (I-JSON, RFC 7493).

use std::fmt;
use std::io;

use serde::Serialize;
use serde_json::{Number, Value};

use super::path::write_pointer;
use super::reader::Reader;
use crate::limits::DEPTH_MAX;

/// The largest integer a double holds without a gap, 2⁵³ − 1 (RFC 7493 §2.2).
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;
/// From here on RFC 8785 writes a number with an exponent.
const EXPONENT_FROM: f64 = 1e21;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad JSON at {pointer:?}: {rule}")]
#[non_exhaustive]
pub struct JsonError {
    /// The place, as a JSON Pointer (RFC 6901) from the root of the text or value; `""` is the root
    /// itself.
    pub pointer: String,
    /// The rule it breaks.
    pub rule: JsonRule,
}

/// The rules of a document (protocol.md §4, RFC 8259, RFC 7493).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonRule {
    /// Not JSON (RFC 8259).
    #[error("expected {expected} at byte {offset}")]
    Syntax {
        /// Byte offset in the text.
        offset: usize,
        /// What had to stand there.
        expected: &'static str,
    },
    /// The key stands twice in one object (RFC 7493 §2.3).
    #[error("a key must stand only once in an object")]
    DuplicateKey,
    /// Half of a UTF-16 surrogate pair, which is no character (RFC 7493 §2.1).
    #[error("a string must not hold half of a surrogate pair")]
    LoneSurrogate,
    /// Nested deeper than [`DEPTH_MAX`] (protocol.md, appendix B).
    #[error("a document must not nest deeper than {} levels", DEPTH_MAX)]
    TooDeep,
    /// An integer beyond ±(2⁵³ − 1) (RFC 7493 §2.2).
    #[error("an integer must lie within ±9007199254740991; send a larger one as a string")]
    IntegerTooLarge,
    /// A number beyond the range of a double.
    #[error("a number must be within the range of a double")]
    NumberTooLarge,
}

/// Reads one JSON text. Linear (times log of the keys per object) and of bounded stack, whatever
/// the text.
///
/// Numbers are doubles read exactly, then: a number whose RFC 8785 form is an integer literal (`|x|
/// < 1e21`) must lie within ±(2⁵³ − 1), however it is spelt, and becomes an integer (`1.0` and
/// `1e0` are `1`); `-0` and `-0.0` are `0`; every other finite double stays as it is. So equal
/// documents are equal `Value`s and have equal hashes.
///
/// # Errors
/// Anything but one JSON value, a duplicate key, half of a surrogate pair, nesting deeper than
/// [`DEPTH_MAX`], a number out of range (protocol.md §4, RFC 7493).
pub fn parse(text: &str) -> Result<Value, JsonError> {
    parse_levels(text, DEPTH_MAX)
}

/// [`parse`] with another limit of depth, for a document that stands inside a frame of known depth.
pub(super) fn parse_levels(text: &str, levels: usize) -> Result<Value, JsonError> {
    Reader::new(text, levels)
        .document()
        .map_err(Fault::into_error)
}

/// Checks a value the application hands in and brings its numbers to the form [`parse`] gives.
/// Linear, in place.
///
/// # Errors
/// Nesting deeper than [`DEPTH_MAX`], a number out of range. (A `Value` cannot hold the other
/// faults.)
pub fn normalise(mut value: Value) -> Result<Value, JsonError> {
    match tidy(&mut value, DEPTH_MAX) {
        Ok(()) => Ok(value),
        Err(fault) => {
            dismantle(value);
            Err(fault.into_error())
        }
    }
}

/// The deepest nesting of a valid JSON text: 0 for a scalar, 1 for `{}`. One pass, no allocation.
///
/// For the node, which refuses deep frames without parsing them. Of invalid text it gives some
/// number and no panic.
#[must_use]
pub fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => _ = bytes.next(),
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    deepest
}

/// How many brackets open in `text`, those in strings too: never less than [`nesting`], and a tenth
/// of its cost.
pub(crate) fn brackets(text: &[u8]) -> usize {
    let opens = |byte: &u8| u8::from(matches!(byte, b'[' | b'{'));
    // Summed in bytes, which processors add many at once, so as many at a time as fit in one.
    let chunks = text.chunks(usize::from(u8::MAX));
    chunks
        .map(|chunk| usize::from(chunk.iter().map(opens).sum::<u8>()))
        .sum()
}

/// The bytes `value` takes as JSON text; `None` when that is more than `max`. Stops there;
/// allocates nothing.
#[must_use]
pub fn encoded_len(value: &impl Serialize, max: usize) -> Option<usize> {
    let mut gauge = Gauge { left: max };
    serde_json::to_writer(&mut gauge, value).ok()?;
    Some(max - gauge.left)
}

/// Whether `value` nests at most `levels` deep. Looks no deeper than that.
pub(super) fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(map) => levels > 0 && map.values().all(|item| fits(item, levels - 1)),
        _ => true,
    }
}

/// The number rule of [`parse`].
pub(super) fn number(x: f64) -> Result<Number, JsonRule> {
    if x.fract() != 0.0 || x.abs() >= EXPONENT_FROM {
        return Number::from_f64(x).ok_or(JsonRule::NumberTooLarge);
    }
    if x.abs() > INTEGER_MAX {
        return Err(JsonRule::IntegerTooLarge);
    }
    Ok(Number::from(x as i64)) // exact: an integer within ±(2⁵³ − 1)
}

/// A broken rule on its way out of the document: every level adds its key, so the last key is the
/// outermost.
#[derive(Debug)]
pub(super) struct Fault {
    rule: JsonRule,
    keys: Vec<String>,
}

impl Fault {
    pub(super) fn inside(mut self, key: impl fmt::Display) -> Self {
        self.keys.push(key.to_string());
        self
    }

    fn into_error(self) -> JsonError {
        let mut pointer = String::new();
        // Writing to a String does not fail.
        _ = write_pointer(self.keys.iter().rev().map(String::as_str), &mut pointer);
        JsonError {
            pointer,
            rule: self.rule,
        }
    }
}

impl From<JsonRule> for Fault {
    fn from(rule: JsonRule) -> Self {
        Self {
            rule,
            keys: Vec::new(),
        }
    }
}

fn tidy(value: &mut Value, levels: usize) -> Result<(), Fault> {
    match value {
        Value::Number(found) => {
            let exact = found
                .as_i64()
                .is_some_and(|x| x.unsigned_abs() <= INTEGER_MAX as u64);
            if !exact {
                *found = number(found.as_f64().unwrap_or(f64::INFINITY))?;
            }
        }
        Value::Array(_) | Value::Object(_) if levels == 0 => return Err(JsonRule::TooDeep.into()),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                tidy(item, levels - 1).map_err(|fault| fault.inside(index))?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                tidy(item, levels - 1).map_err(|fault| fault.inside(key))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
    Ok(())
}

/// Drops a value level by level: its own drop recurses, and one that is too deep would overflow the
/// stack.
fn dismantle(value: Value) {
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(map) => rest.extend(map.into_iter().map(|(_, item)| item)),
            _ => {}
        }
    }
}

/// Counts what is written and fails when there is no room left.
struct Gauge {
    left: usize,
}

impl io::Write for Gauge {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::WriteZero)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(text: &str) -> (String, JsonRule) {
        let error = parse(text).unwrap_err();
        (error.pointer, error.rule)
    }

    #[test]
    fn numbers_have_one_form() {
        for (text, form) in [
            ("1.0", "1"),
            ("10e-1", "1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("-1e-400", "0"),
            ("9007199254740991.0", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("0.1", "0.1"),
            ("1e21", "1e+21"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("122.416294033786585", "122.41629403378658"),
        ] {
            let value = parse(text).unwrap();
            assert_eq!(value.to_string(), form, "{text}");
            assert_eq!(normalise(value.clone()).unwrap(), value);
        }
        assert_eq!(
            normalise(json!({"a": [1.0, -0.0]})).unwrap(),
            json!({"a": [1, 0]})
        );
    }

    #[test]
    fn numbers_out_of_range_are_errors_that_say_where() {
        for text in [
            "9007199254740992",
            "-9007199254740993",
            "1e20",
            "9007199254740993.0",
        ] {
            assert_eq!(
                fault(text),
                (String::new(), JsonRule::IntegerTooLarge),
                "{text}"
            );
        }
        let text = r#"{"a":[0,{"b/c":1e400}]}"#;
        assert_eq!(fault(text), ("/a/1/b~1c".into(), JsonRule::NumberTooLarge));
        let error = normalise(json!({"a": [0, u64::MAX]})).unwrap_err();
        assert_eq!(
            (&*error.pointer, error.rule),
            ("/a/1", JsonRule::IntegerTooLarge)
        );
        let text = r#"bad JSON at "/a/1": an integer must lie within ±9007199254740991; send a larger one as a string"#;
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn nesting_of_100_000_is_an_error_and_no_overflow() {
        let arrays = "[".repeat(100_000);
        assert_eq!(parse(&arrays).unwrap_err().rule, JsonRule::TooDeep);
        assert_eq!(
            parse(&r#"{"a":"#.repeat(100_000)).unwrap_err().rule,
            JsonRule::TooDeep
        );
        assert_eq!(nesting(arrays.as_bytes()), 100_000);
        let deep = (0..100_000).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert_eq!(normalise(deep).unwrap_err().rule, JsonRule::TooDeep);
        let deepest = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(fits(&parse(&deepest).unwrap(), DEPTH_MAX));
        assert!(!fits(&parse(&deepest).unwrap(), DEPTH_MAX - 1));
        assert_eq!(
            fault(&format!("[{deepest}]")),
            ("/0".repeat(DEPTH_MAX), JsonRule::TooDeep)
        );
    }

    #[test]
    fn nesting_ignores_what_stands_in_strings() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"a[[":["]\"{{",[]]}"#, 3),
            (r#""\\""#, 0),
        ] {
            assert_eq!(nesting(text.as_bytes()), depth, "{text}");
        }
    }

    #[test]
    fn brackets_are_never_fewer_than_the_nesting_is_deep() {
        for (text, count) in [("1", 0), ("[{}]", 2), (r#"{"a[[":["]\"{{",[]]}"#, 7)] {
            assert_eq!(brackets(text.as_bytes()), count, "{text}");
        }
        for open in [254, 255, 256, 511, 100_000] {
            let arrays = "[".repeat(open);
            assert_eq!(brackets(arrays.as_bytes()), nesting(arrays.as_bytes()));
        }
    }

    #[test]
    fn a_length_is_counted_up_to_the_limit() {
        assert_eq!(encoded_len(&json!({"a": [1, "é"]}), 14), Some(14));
        assert_eq!(encoded_len(&json!({"a": [1, "é"]}), 13), None);
    }
}
