//! A data object as it is stored and handed over: its metadata and its document.

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::{self, JsonError};
use crate::limits::DEPTH_MAX;

/// What is known of an object beside its data (protocol.md §4). Wire names are in camel case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The object's address; the one field that must be there.
    pub url: String,
    /// Address of the schema its data follows.
    pub schema: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Address of the hyperty that writes it.
    pub reporter: Option<String>,
    /// Address of the runtime the Reporter runs in.
    pub runtime: Option<String>,
    /// When it was created (RFC 3339).
    pub created: Option<String>,
    /// When its Reporter last changed it (RFC 3339).
    pub last_modified: Option<String>,
    /// What the application or the protocol says of its life.
    pub status: Option<String>,
    /// Every other field, kept as it came.
    pub more: Map<String, Value>,
}

/// An object: its metadata and its document. On the wire the metadata's fields stand beside `data`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataObject {
    /// What is known of it.
    pub metadata: Metadata,
    /// Its document; a JSON object.
    pub data: Value,
}

/// Why a text or a map is no metadata or no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Not I-JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but no object.
    #[error("an object's metadata must be a JSON object")]
    NotAnObject,
    /// A field is missing or not what it has to be.
    #[error("`{field}` of an object must be {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

/// The optional fields; with `url` and `data`, which stand elsewhere, these never are in `more`.
const TEXT_FIELDS: [&str; 7] = [
    "schema",
    "name",
    "reporter",
    "runtime",
    "created",
    "lastModified",
    "status",
];
/// What a commit leaves as it is: it is said when the object is made or claimed, or with each commit.
const FIXED_FIELDS: [&str; 9] = [
    "url",
    "schema",
    "reporter",
    "runtime",
    "created",
    "lastModified",
    "epoch",
    "version",
    "data",
];
const URL: MetadataError = MetadataError::Field {
    field: "url",
    expected: "text, and stay as it is",
};
const DATA: MetadataError = MetadataError::Field {
    field: "data",
    expected: "a JSON object",
};

impl Metadata {
    /// Metadata that says nothing but the address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Takes the fields from a map; `null` is as if missing.
    ///
    /// # Errors
    /// `url` missing, or a known field that is no text.
    pub fn from_fields(mut fields: Map<String, Value>) -> Result<Self, MetadataError> {
        let Some(Value::String(url)) = fields.remove("url") else {
            return Err(URL);
        };
        let mut metadata = Self::new(url);
        metadata.merge(fields)?;
        Ok(metadata)
    }

    /// Merges a commit's `metadata` (protocol.md §4): each field replaces the one there, `null`
    /// removes it. All or nothing. Who may change which field is not decided here.
    ///
    /// # Errors
    /// A known field that is neither text nor `null`; another `url`; a field `data`.
    pub fn merge(&mut self, patch: Map<String, Value>) -> Result<(), MetadataError> {
        let text_or_null = |field: &&str| {
            patch
                .get(*field)
                .is_some_and(|value| !value.is_string() && !value.is_null())
        };
        if let Some(field) = TEXT_FIELDS.into_iter().find(text_or_null) {
            return Err(MetadataError::Field {
                field,
                expected: "text",
            });
        }
        if patch.get("url").is_some_and(|url| *url != *self.url) {
            return Err(URL);
        }
        if patch.contains_key("data") {
            return Err(MetadataError::Field {
                field: "data",
                expected: "outside of metadata",
            });
        }
        for (key, value) in patch {
            match (self.text_field(&key), value) {
                (Some(field), Value::String(text)) => *field = Some(text),
                (Some(field), _) => *field = None,
                (None, Value::Null) => _ = self.more.remove(&key),
                (None, _) if key == "url" => {}
                (None, value) => _ = self.more.insert(key, value),
            }
        }
        Ok(())
    }

    /// Whether a commit may change this field (protocol.md §4).
    ///
    /// # Errors
    /// Which it is that may not.
    pub(crate) fn may_change(field: &str) -> Result<(), MetadataError> {
        match FIXED_FIELDS.into_iter().find(|fixed| *fixed == field) {
            Some(field) => Err(MetadataError::Field {
                field,
                expected: "left as it is",
            }),
            None => Ok(()),
        }
    }

    /// Whether `other` says the same, but for when the object was last changed.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        let timeless = |one: &Self| Self {
            last_modified: None,
            ..one.clone()
        };
        timeless(self) == timeless(other)
    }

    fn text_field(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "schema" => &mut self.schema,
            "name" => &mut self.name,
            "reporter" => &mut self.reporter,
            "runtime" => &mut self.runtime,
            "created" => &mut self.created,
            "lastModified" => &mut self.last_modified,
            "status" => &mut self.status,
            _ => return None,
        })
    }

    fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("url", &self.url)?;
        let texts = [
            &self.schema,
            &self.name,
            &self.reporter,
            &self.runtime,
            &self.created,
            &self.last_modified,
            &self.status,
        ];
        for (name, text) in TEXT_FIELDS.into_iter().zip(texts) {
            if let Some(text) = text {
                map.serialize_entry(name, text)?;
            }
        }
        let is_known = |key: &str| matches!(key, "url" | "data") || TEXT_FIELDS.contains(&key);
        for (key, value) in self.more.iter().filter(|(key, _)| !is_known(key)) {
            map.serialize_entry(key, value)?;
        }
        Ok(())
    }
}

impl DataObject {
    /// Reads the wire form. Linear; every field goes through [`parse`](super::parse)'s rules.
    ///
    /// # Errors
    /// Bad JSON, `data` missing or no object, and those of [`Metadata::from_fields`].
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        // One level more: `data` may be as deep as a document may, and stands inside this object.
        let mut fields = fields(text, DEPTH_MAX + 1)?;
        let data = fields.remove("data").filter(Value::is_object).ok_or(DATA)?;
        Ok(Self {
            metadata: Metadata::from_fields(fields)?,
            data,
        })
    }
}

fn fields(text: &str, levels: usize) -> Result<Map<String, Value>, MetadataError> {
    match json::parse_levels(text, levels)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(MetadataError::NotAnObject),
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_fields(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let fields = fields(text.get(), DEPTH_MAX).map_err(D::Error::custom)?;
        Self::from_fields(fields).map_err(D::Error::custom)
    }
}

impl Serialize for DataObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.metadata.write_fields(&mut map)?;
        map.serialize_entry("data", &self.data)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for DataObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(text.get()).map_err(D::Error::custom)
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
    fn an_object_keeps_every_field_it_came_with() {
        let text = r#"{"url":"comm://a/1","schema":"s","lastModified":"2026-11-21T10:00:00Z","tags":[1],"data":{"a":{}}}"#;
        let object = DataObject::parse(text).unwrap();
        assert_eq!(
            object.metadata.last_modified.as_deref(),
            Some("2026-11-21T10:00:00Z")
        );
        assert_eq!(object.metadata.more, map(json!({"tags": [1]})));
        assert_eq!(serde_json::to_string(&object).unwrap(), text);
        assert_eq!(serde_json::from_str::<DataObject>(text).unwrap(), object);
        let metadata = serde_json::to_value(&object.metadata).unwrap();
        assert_eq!(
            serde_json::from_value::<Metadata>(metadata).unwrap(),
            object.metadata
        );
    }

    #[test]
    fn data_may_be_as_deep_as_a_document() {
        let levels = |count: usize| {
            format!(
                "{}{{}}{}",
                r#"{"a":"#.repeat(count - 1),
                "}".repeat(count - 1)
            )
        };
        let object = |data: String| DataObject::parse(&format!(r#"{{"url":"u","data":{data}}}"#));
        assert!(object(levels(DEPTH_MAX)).is_ok());
        assert!(matches!(
            object(levels(DEPTH_MAX + 1)),
            Err(MetadataError::Json(_))
        ));
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (text, message) in [
            ("[]", "an object's metadata must be a JSON object"),
            (
                r#"{"data":{}}"#,
                "`url` of an object must be text, and stay as it is",
            ),
            (
                r#"{"url":"u","data":[]}"#,
                "`data` of an object must be a JSON object",
            ),
            (
                r#"{"url":"u"}"#,
                "`data` of an object must be a JSON object",
            ),
            (
                r#"{"url":"u","name":5,"data":{}}"#,
                "`name` of an object must be text",
            ),
        ] {
            assert_eq!(DataObject::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_merge_replaces_and_null_removes() {
        let mut metadata =
            Metadata::from_fields(map(json!({"url": "u", "name": "n", "x": 1}))).unwrap();
        metadata
            .merge(map(
                json!({"url": "u", "name": null, "x": null, "y": 2, "status": "live"}),
            ))
            .unwrap();
        let mut expected = Metadata::new("u");
        expected.status = Some("live".into());
        expected.more = map(json!({"y": 2}));
        assert_eq!(metadata, expected);
        for patch in [
            json!({"y": 3, "name": 1}),
            json!({"y": 3, "url": "v"}),
            json!({"y": 3, "data": {}}),
        ] {
            assert!(metadata.merge(map(patch)).is_err());
            assert_eq!(metadata, expected);
        }
    }
}
