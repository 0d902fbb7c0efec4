//! One change of a document, and how it is written.

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::{self, JsonError};
use super::path::Path;
use super::shape::ChangeFields;

/// One change of a document: a row of the table in protocol.md §4, which also says when it applies.
///
/// On the wire it is an object of up to four fields, `attribute`, `attributeType`, `operation` and
/// `value`; serde reads and writes exactly that. A commit that holds the four fields beside its own
/// uses [`ChangeFields`] to read and [`write_fields`](Self::write_fields) to write them.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Sets a key of an object, there or not, or replaces an element of an array.
    Set {
        /// The key or element; not the root.
        path: Path,
        /// What is there afterwards; `null` is a value like any other.
        value: Value,
    },
    /// Removes a key of an object.
    Remove {
        /// The key.
        path: Path,
    },
    /// Inserts elements into an array; what stood at the index moves behind them.
    Insert {
        /// The array, then the index of the first new element.
        path: Path,
        /// The new elements.
        values: Vec<Value>,
    },
    /// Removes elements from an array; what stood behind them moves up.
    RemoveElements {
        /// The array, then the index of the first element to go.
        path: Path,
        /// How many go.
        count: usize,
    },
    /// Appends text to a string.
    Append {
        /// The string.
        path: Path,
        /// The text.
        text: String,
    },
    /// Replaces the whole document.
    Replace {
        /// The new document.
        data: Map<String, Value>,
    },
}

impl Change {
    /// Where it changes the document: of an insert or a removal of elements, the first element; of
    /// `Replace`, the root.
    #[must_use]
    pub fn path(&self) -> &Path {
        static ROOT: std::sync::LazyLock<Path> = std::sync::LazyLock::new(Path::root);
        match self {
            Self::Set { path, .. }
            | Self::Remove { path }
            | Self::Insert { path, .. }
            | Self::RemoveElements { path, .. }
            | Self::Append { path, .. } => path,
            Self::Replace { .. } => &ROOT,
        }
    }

    /// Checks the values of a change the application made, as [`normalise`](super::normalise) does.
    /// Linear, in place. A decoded change needs none of this.
    ///
    /// # Errors
    /// As for [`normalise`](super::normalise); the place is inside the change's `value`.
    pub fn normalise(self) -> Result<Self, JsonError> {
        Ok(match self {
            Self::Set { path, value } => Self::Set {
                path,
                value: json::normalise(value)?,
            },
            Self::Insert { path, values } => {
                match json::normalise(Value::Array(values))? {
                    Value::Array(values) => Self::Insert { path, values },
                    _ => Self::Insert {
                        path,
                        values: Vec::new(),
                    }, // a list stays a list
                }
            }
            Self::Replace { data } => match json::normalise(Value::Object(data))? {
                Value::Object(data) => Self::Replace { data },
                _ => Self::Replace { data: Map::new() }, // an object stays an object
            },
            other @ (Self::Remove { .. } | Self::RemoveElements { .. } | Self::Append { .. }) => {
                other
            }
        })
    }

    /// Writes the fields of the change into an object that is already open, such as the body of a
    /// commit.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("attribute", self.path())?;
        let (kind, operation) = match self {
            Self::Set { .. } | Self::Remove { .. } | Self::Replace { .. } => (None, None),
            Self::Insert { .. } => (Some("array"), Some("add")),
            Self::RemoveElements { .. } => (Some("array"), Some("remove")),
            Self::Append { .. } => (Some("string"), Some("add")),
        };
        if let (Some(kind), Some(operation)) = (kind, operation) {
            map.serialize_entry("attributeType", kind)?;
            map.serialize_entry("operation", operation)?;
        }
        match self {
            Self::Set { value, .. } => map.serialize_entry("value", value),
            Self::Remove { .. } => Ok(()),
            Self::Insert { values, .. } => map.serialize_entry("value", values),
            Self::RemoveElements { count, .. } => map.serialize_entry("value", count),
            Self::Append { text, .. } => map.serialize_entry("value", text),
            Self::Replace { data } => map.serialize_entry("value", data),
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_fields(&mut map)?;
        map.end()
    }
}

/// For convenience: copies the text of the change. Where the text is at hand, [`ChangeFields`]
/// borrows it instead.
impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let fields = ChangeFields::parse(text.get()).map_err(D::Error::custom)?;
        fields.into_change().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_row_of_the_table_is_written_and_read_as_it_stands() {
        let path = |text| Path::parse(text).unwrap();
        for (change, text) in [
            (
                Change::Set {
                    path: path("room.temperature"),
                    value: json!(21.5),
                },
                r#"{"attribute":"room.temperature","value":21.5}"#,
            ),
            (
                Change::Set {
                    path: path("/a.b/0"),
                    value: Value::Null,
                },
                r#"{"attribute":"/a.b/0","value":null}"#,
            ),
            (
                Change::Remove { path: path("a.b") },
                r#"{"attribute":"a.b"}"#,
            ),
            (
                Change::Insert {
                    path: path("a.0"),
                    values: vec![json!([1]), json!(2)],
                },
                r#"{"attribute":"a.0","attributeType":"array","operation":"add","value":[[1],2]}"#,
            ),
            (
                Change::RemoveElements {
                    path: path("a.7"),
                    count: 3,
                },
                r#"{"attribute":"a.7","attributeType":"array","operation":"remove","value":3}"#,
            ),
            (
                Change::Append {
                    path: path("t"),
                    text: "more".into(),
                },
                r#"{"attribute":"t","attributeType":"string","operation":"add","value":"more"}"#,
            ),
            (
                Change::Replace {
                    data: map(json!({"a": 1})),
                },
                r#"{"attribute":"","value":{"a":1}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&change).unwrap(), text);
            assert_eq!(serde_json::from_str::<Change>(text).unwrap(), change);
            let value = serde_json::to_value(&change).unwrap();
            assert_eq!(serde_json::from_value::<Change>(value).unwrap(), change);
        }
    }

    #[test]
    fn a_change_of_the_application_is_brought_to_the_one_form() {
        let path = Path::parse("a.0").unwrap();
        let insert = Change::Insert {
            path: path.clone(),
            values: vec![json!(1.0), json!(-0.0)],
        };
        let expected = Change::Insert {
            path: path.clone(),
            values: vec![json!(1), json!(0)],
        };
        assert_eq!(insert.normalise(), Ok(expected));
        let error = Change::Set {
            path,
            value: json!({"b": 1e20}),
        }
        .normalise()
        .unwrap_err();
        assert_eq!(error.pointer, "/b");
    }
}
