//! The fields of a change as they came, and the rules of which of them belong together (protocol.md
//! §4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::change::Change;
use super::json::{self, JsonError};
use super::path::{self, Path, PathError};

/// The four fields of a change, as raw text. `None` is a missing field; a field that is `null` is
/// `Some`.
///
/// Deserialise it from a change object or from a whole commit body that holds the fields: others
/// are passed over. Needs a deserialiser that borrows (`from_str`, `from_slice`).
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangeFields<'a> {
    /// The path.
    pub attribute: Option<&'a RawValue>,
    /// `"array"` or `"string"`.
    pub attribute_type: Option<&'a RawValue>,
    /// `"add"` or `"remove"`.
    pub operation: Option<&'a RawValue>,
    /// Value, list, count or text.
    pub value: Option<&'a RawValue>,
}

/// Which row of the table a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeShape {
    /// [`Change::Set`].
    Set,
    /// [`Change::Remove`].
    Remove,
    /// [`Change::Insert`].
    Insert,
    /// [`Change::RemoveElements`].
    RemoveElements,
    /// [`Change::Append`].
    Append,
    /// [`Change::Replace`].
    Replace,
}

/// Why fields are no [`Change`]. It is the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// A field is missing, has the wrong type or does not go with the others.
    #[error("`{field}` of {change} must be {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What the other fields make of it.
        change: &'static str,
        /// What the field has to be.
        expected: &'static str,
    },
    /// `attribute` is no path.
    #[error("`attribute` is not a path: {0}")]
    Path(#[from] PathError),
    /// `attribute` or `value` is no I-JSON.
    #[error("`{field}` of a change: {source}")]
    Json {
        /// The field's name.
        field: &'static str,
        /// What is wrong inside it.
        source: JsonError,
    },
    /// The text is no JSON object with at most one of each field.
    #[error("a change must be an object with its fields: {reason}")]
    Object {
        /// What the parser says.
        reason: String,
    },
}

const SET: &str = "a change";
const INSERT: &str = "an array insert";
const REMOVAL: &str = "an array removal";
const APPEND: &str = "a text append";
const REPLACE: &str = "a replacement of all";
const ARRAY: &str = "an array change";
const STRING: &str = "a string change";

impl ChangeShape {
    /// Checks that the text of one change has fields that belong together, for a node that must not
    /// build values.
    ///
    /// One pass over the text; allocates only when a path or a word is spelt with escapes. Of
    /// `value` it sees only the kind, by its first byte, so a change that passes may still be
    /// refused by [`ChangeFields::into_change`]; one that fails is always refused there.
    ///
    /// # Errors
    /// A [`ChangeError`] that names the field.
    pub fn check(text: &str) -> Result<(), ChangeError> {
        ChangeFields::parse(text)?.shape().map(|_| ())
    }
}

impl<'a> ChangeFields<'a> {
    /// Reads the fields of one change object; other fields are ignored.
    ///
    /// # Errors
    /// [`ChangeError::Object`].
    pub fn parse(text: &'a str) -> Result<Self, ChangeError> {
        serde_json::from_str(text).map_err(|error| ChangeError::Object {
            reason: error.to_string(),
        })
    }

    /// Whether no field is there at all, as in a head or a change of metadata alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            attribute,
            attribute_type,
            operation,
            value,
        } = self;
        [attribute, attribute_type, operation, value]
            .into_iter()
            .all(|field| field.is_none())
    }

    /// Which row of the table the fields are; costs as [`ChangeShape::check`].
    ///
    /// # Errors
    /// A [`ChangeError`] that names the field.
    pub fn shape(&self) -> Result<ChangeShape, ChangeError> {
        let attribute =
            word(self.attribute, "attribute")?.ok_or(field("attribute", SET, "a path, as text"))?;
        Path::check(&attribute)?;
        let kind = word(self.attribute_type, "attributeType")?;
        let operation = word(self.operation, "operation")?;
        let value = self.value.map(|raw| first_byte(raw.get()));
        match (kind.as_deref(), operation.as_deref()) {
            (None, None) => plain_shape(&attribute, value),
            (Some("array"), Some("add")) => {
                indexed(&attribute, INSERT)?;
                value_is(value == Some(b'['), INSERT, "a list")?;
                Ok(ChangeShape::Insert)
            }
            (Some("array"), Some("remove")) => {
                indexed(&attribute, REMOVAL)?;
                value_is(
                    value.is_some_and(|byte| byte.is_ascii_digit()),
                    REMOVAL,
                    "a count",
                )?;
                Ok(ChangeShape::RemoveElements)
            }
            (Some("string"), Some("add")) => {
                value_is(value == Some(b'"'), APPEND, "text")?;
                Ok(ChangeShape::Append)
            }
            (Some("array"), _) => Err(field("operation", ARRAY, "\"add\" or \"remove\"")),
            (Some("string"), _) => Err(field("operation", STRING, "\"add\"")),
            (Some(_), _) => Err(field(
                "attributeType",
                SET,
                "\"array\", \"string\" or missing",
            )),
            (None, Some(_)) => Err(field(
                "attributeType",
                "a change with `operation`",
                "\"array\" or \"string\"",
            )),
        }
    }

    /// Builds the change. The value is read as by [`parse`](super::parse), so linear.
    ///
    /// # Errors
    /// A [`ChangeError`] that names the field.
    pub fn into_change(self) -> Result<Change, ChangeError> {
        let shape = self.shape()?;
        let path = match word(self.attribute, "attribute")? {
            Some(text) => Path::parse(&text)?,
            None => Path::root(),
        };
        let value = match self.value {
            Some(raw) => json::parse(raw.get()).map_err(|source| ChangeError::Json {
                field: "value",
                source,
            })?,
            None => Value::Null,
        };
        match (shape, value) {
            (ChangeShape::Remove, _) => Ok(Change::Remove { path }),
            (ChangeShape::Set, value) => Ok(Change::Set { path, value }),
            (ChangeShape::Insert, Value::Array(values)) => Ok(Change::Insert { path, values }),
            (ChangeShape::Append, Value::String(text)) => Ok(Change::Append { path, text }),
            (ChangeShape::Replace, Value::Object(data)) => Ok(Change::Replace { data }),
            (ChangeShape::RemoveElements, value) => {
                let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or(field("value", REMOVAL, "a whole number"))?;
                Ok(Change::RemoveElements { path, count })
            }
            // The shape has looked at the first byte, so the kind is right.
            _ => Err(field("value", SET, "of the kind its first byte says")),
        }
    }
}

/// By hand: derived code takes `null` for a missing field, and a list for an object.
impl<'de: 'a, 'a> Deserialize<'de> for ChangeFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Name {
    Attribute,
    AttributeType,
    Operation,
    Value,
    #[serde(other)]
    Other,
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = ChangeFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = ChangeFields::default();
        while let Some(name) = map.next_key()? {
            let (slot, name) = match name {
                Name::Attribute => (&mut fields.attribute, "attribute"),
                Name::AttributeType => (&mut fields.attribute_type, "attributeType"),
                Name::Operation => (&mut fields.operation, "operation"),
                Name::Value => (&mut fields.value, "value"),
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(name));
            }
        }
        Ok(fields)
    }
}

fn plain_shape(attribute: &str, value: Option<u8>) -> Result<ChangeShape, ChangeError> {
    match value {
        _ if attribute.is_empty() => {
            value_is(value == Some(b'{'), REPLACE, "an object")?;
            Ok(ChangeShape::Replace)
        }
        Some(_) => Ok(ChangeShape::Set),
        None => Ok(ChangeShape::Remove),
    }
}

fn indexed(attribute: &str, change: &'static str) -> Result<(), ChangeError> {
    if path::text_ends_in_index(attribute) {
        return Ok(());
    }
    Err(field(
        "attribute",
        change,
        "a path that ends in an array index",
    ))
}

fn value_is(right: bool, change: &'static str, expected: &'static str) -> Result<(), ChangeError> {
    if right {
        Ok(())
    } else {
        Err(field("value", change, expected))
    }
}

/// The text of a field that holds text; borrowed when it is spelt without escapes.
fn word<'a>(
    raw: Option<&'a RawValue>,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, ChangeError> {
    let Some(text) = raw.map(RawValue::get) else {
        return Ok(None);
    };
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner else {
        return Err(field(name, SET, "text"));
    };
    if !inner.contains('\\') {
        return Ok(Some(Cow::Borrowed(inner)));
    }
    match json::parse(text) {
        Ok(Value::String(text)) => Ok(Some(Cow::Owned(text))),
        Ok(_) => Err(field(name, SET, "text")),
        Err(source) => Err(ChangeError::Json {
            field: name,
            source,
        }),
    }
}

fn first_byte(text: &str) -> u8 {
    text.trim_start().bytes().next().unwrap_or_default()
}

fn field(field: &'static str, change: &'static str, expected: &'static str) -> ChangeError {
    ChangeError::Field {
        field,
        change,
        expected,
    }
}
