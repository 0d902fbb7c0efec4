//! Messages (protocol.md §2): the envelope, the header-only peek that a node routes by, and the
//! encoder. Bodies are in [`body`]; only those who act on a body decode it.

pub mod body;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Refusal;
use crate::limits::{ADDRESS_BYTES_MAX, MESSAGE_DEPTH_MAX};
use crate::object::{brackets, nesting};

/// Longest `id`, in bytes of JSON: an address may be one (§6).
const ID_BYTES_MAX: usize = ADDRESS_BYTES_MAX + 2;

/// What a message asks for. Read without regard to case, written in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Start a session.
    Open,
    /// Continue a session on a new socket.
    ReOpen,
    /// End a session.
    Close,
    /// Show that both sides are there.
    Ping,
    /// Observe or claim.
    Subscribe,
    /// Stop observing.
    Unsubscribe,
    /// Fetch once.
    Read,
    /// A commit, a head, or a child's change.
    Update,
    /// Make a child, or invite.
    Create,
    /// Remove a child, or an object.
    Delete,
    /// A command.
    Execute,
    /// Something told once and not kept.
    Event,
    /// The answer to a request.
    Response,
    /// Not known here: routed as a request.
    Other,
}

impl Type {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Update, "update"),
        (Self::Response, "response"),
        (Self::Subscribe, "subscribe"),
        (Self::Unsubscribe, "unsubscribe"),
        (Self::Read, "read"),
        (Self::Open, "open"),
        (Self::ReOpen, "re-open"),
        (Self::Close, "close"),
        (Self::Ping, "ping"),
        (Self::Create, "create"),
        (Self::Delete, "delete"),
        (Self::Execute, "execute"),
        (Self::Event, "event"),
    ];

    pub(crate) fn of(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|(_, word)| word.eq_ignore_ascii_case(text))
            .map_or(Self::Other, |(kind, _)| kind)
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(kind, _)| *kind == self)
            .map_or("other", |(_, word)| word)
    }
}

/// The header of a message: all that a node reads of one that it only routes.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// The id as JSON text, `null` when there is none; echoed unchanged.
    pub id: &'a str,
    /// What is asked.
    pub kind: Type,
    /// Who says it is from.
    pub from: Cow<'a, str>,
    /// Where it goes.
    pub to: Cow<'a, str>,
    /// The body as JSON text, `{}` when there is none.
    pub body: &'a str,
    raw_body: Option<&'a RawValue>,
    /// The whole message.
    pub text: &'a str,
}

/// A message that is none: what to answer, and to whom as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The id as JSON text, `null` when it could not be read.
    pub id: String,
    /// The sender it names, when it could be read.
    pub from: Option<String>,
    /// The answer, which names the field or the rule.
    pub refusal: Refusal,
}

#[derive(Deserialize)]
struct RawHeader<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl<'a> Header<'a> {
    /// Reads the header of `text` and leaves its body alone. One pass, no allocation unless a field
    /// is written with escapes; nesting deeper than [`MESSAGE_DEPTH_MAX`] is refused here, so that
    /// nobody behind a node meets it.
    ///
    /// # Errors
    /// [`Malformed`], with the field or the rule that is broken.
    pub fn peek(text: &'a str) -> Result<Self, Malformed> {
        let raw: RawHeader<'a> = serde_json::from_str(text).map_err(|error| Malformed {
            id: "null".to_owned(),
            from: None,
            refusal: Refusal::malformed(format!(
                "a message is one JSON object with id, type, from, to and body: {error}"
            )),
        })?;
        let id = raw.id.map_or("null", RawValue::get);
        let from = raw.from.and_then(text_of);
        let id_ok = id.len() <= ID_BYTES_MAX && !id.starts_with(['{', '[', 't', 'f']);
        let malformed = |desc: String| Malformed {
            id: if id_ok { id } else { "null" }.to_owned(),
            from: from.as_deref().map(str::to_owned),
            refusal: Refusal::malformed(desc),
        };
        let missing = |field| malformed(format!("field `{field}` must be a string"));
        if !id_ok {
            return Err(malformed(format!(
                "field `id` must be a number or a string of at most {ID_BYTES_MAX} bytes"
            )));
        }
        let kind = raw.kind.and_then(text_of).ok_or_else(|| missing("type"))?;
        let to = raw.to.and_then(text_of).ok_or_else(|| missing("to"))?;
        let from = from.clone().ok_or_else(|| missing("from"))?;
        let body = raw.body.map_or("{}", RawValue::get);
        if !body.starts_with('{') {
            return Err(malformed("field `body` must be an object".to_owned()));
        }
        // All of it: a field that nobody here reads goes on to readers as it is. Most messages have
        // too few brackets to be too deep.
        let depth = match brackets(text.as_bytes()) {
            few @ ..=MESSAGE_DEPTH_MAX => few,
            _ => nesting(text.as_bytes()),
        };
        if depth > MESSAGE_DEPTH_MAX {
            return Err(malformed(format!(
                "the message is nested {depth} deep: at most {MESSAGE_DEPTH_MAX} is allowed"
            )));
        }
        Ok(Self {
            id,
            kind: Type::of(&kind),
            from,
            to,
            body,
            raw_body: raw.body,
            text,
        })
    }

    /// Whether the protocol wants an answer to this message (protocol.md §2).
    #[must_use]
    pub fn is_request(&self) -> bool {
        match self.kind {
            Type::Response | Type::Event => false,
            Type::Update => !self.to.ends_with("/changes"),
            _ => true,
        }
    }

    /// The body, to be kept: as it came, without another look at it.
    pub(crate) fn raw_body(&self) -> Arc<RawValue> {
        let body = self.raw_body.unwrap_or(RawValue::NULL);
        body.to_owned().into()
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// A 400 that names the field.
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T, Refusal> {
        decode(self.body)
    }
}

/// Decodes a body, or a part of one.
///
/// # Errors
/// A 400 that names the field.
pub fn decode<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(json).map_err(|first| {
        // Read again for the path: only who sends nonsense pays for it.
        let mut reader = serde_json::Deserializer::from_str(json);
        match serde_path_to_error::deserialize::<_, T>(&mut reader) {
            Err(error) if error.path().iter().next().is_some() => {
                Refusal::malformed(format!("field `body.{}`: {}", error.path(), error.inner()))
            }
            _ => Refusal::malformed(format!("field `body`: {first}")),
        }
    })
}

fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A message to be written. `id` is JSON text.
#[derive(Debug, Serialize)]
pub struct Message<'a, B: Serialize> {
    /// The id; a response carries the one of its request.
    pub id: &'a RawValue,
    /// The word for what is asked.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Who it is from.
    pub from: &'a str,
    /// Where it goes.
    pub to: &'a str,
    /// What it says.
    pub body: B,
}

/// Writes a message. `id` is JSON text, as [`Header::id`] is.
#[must_use]
pub fn encode(id: &str, kind: Type, from: &str, to: &str, body: &impl Serialize) -> String {
    let null = RawValue::NULL;
    let owned = RawValue::from_string(id.to_owned());
    let id = owned.as_deref().unwrap_or(null);
    serde_json::to_string(&Message {
        id,
        kind: kind.as_str(),
        from,
        to,
        body,
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Header::peek(text).unwrap_err().refusal.desc.into_owned()
    }

    #[test]
    fn a_header_is_read_and_the_body_left_alone() {
        let header = Header::peek(
            r#"{"type":"UPDATE","from":"a\u002fb","extra":[1],"to":"c/changes","body":{"x": 1},"id":"7"}"#,
        )
        .unwrap();
        assert_eq!((header.id, header.kind), (r#""7""#, Type::Update));
        assert_eq!(
            (&*header.from, &*header.to, header.body),
            ("a/b", "c/changes", r#"{"x": 1}"#)
        );
        assert!(!header.is_request());
        let bare = Header::peek(r#"{"type":"sing","from":"a","to":"b"}"#).unwrap();
        assert_eq!((bare.id, bare.kind, bare.body), ("null", Type::Other, "{}"));
        assert!(bare.is_request());
    }

    #[test]
    fn a_malformed_message_is_told_which_field() {
        assert!(refused("{").starts_with("a message is one JSON object"));
        assert!(refused(r#"{"id":1,"id":2}"#).contains("duplicate field `id`"));
        assert_eq!(
            refused(r#"{"from":"a","to":"b"}"#),
            "field `type` must be a string"
        );
        assert_eq!(
            refused(r#"{"type":"x","from":7,"to":"b"}"#),
            "field `from` must be a string"
        );
        assert_eq!(
            refused(r#"{"type":"x","from":"a"}"#),
            "field `to` must be a string"
        );
        let body = refused(r#"{"type":"x","from":"a","to":"b","body":[]}"#);
        assert_eq!(body, "field `body` must be an object");
        assert!(refused(r#"{"id":[1],"type":"x","from":"a","to":"b"}"#).contains("`id`"));
        let answered = Header::peek(r#"{"id":4,"from":"a","to":"b"}"#).unwrap_err();
        assert_eq!(
            (answered.id.as_str(), answered.from.as_deref()),
            ("4", Some("a"))
        );
    }

    #[test]
    fn nesting_of_a_hundred_thousand_is_refused_and_overflows_no_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(r#"{{"id":1,"type":"x","from":"a","to":"b","body":{{"v":{deep}}}}}"#);
        assert!(refused(&text).contains("nested 100002 deep"));
    }

    #[test]
    fn a_message_may_be_as_deep_as_allowed_and_as_wide_as_it_likes() {
        let text = |inner: &str| {
            format!(r#"{{"id":1,"type":"x","from":"a","to":"b","body":{{"v":{inner}}}}}"#)
        };
        let deep = |levels: usize| text(&("[".repeat(levels) + &"]".repeat(levels)));
        assert!(Header::peek(&deep(MESSAGE_DEPTH_MAX - 2)).is_ok());
        let over = format!("nested {} deep", MESSAGE_DEPTH_MAX + 1);
        assert!(refused(&deep(MESSAGE_DEPTH_MAX - 1)).contains(&over));
        let wide = "[],".repeat(10 * MESSAGE_DEPTH_MAX);
        assert!(Header::peek(&text(&format!("[{wide}0]"))).is_ok());
    }

    #[test]
    fn a_wrong_body_is_told_which_field() {
        #[derive(Debug, Deserialize)]
        struct Inner {
            #[serde(rename = "base")]
            _base: u64,
        }
        #[derive(Debug, Deserialize)]
        struct Body {
            #[serde(rename = "claim")]
            _claim: Inner,
        }
        let refusal = decode::<Body>(r#"{"claim":{"base":"x"}}"#).unwrap_err();
        assert!(
            refusal
                .desc
                .starts_with("field `body.claim.base`: invalid type"),
            "{refusal}"
        );
        assert!(
            decode::<Body>("{}")
                .unwrap_err()
                .desc
                .contains("missing field `claim`")
        );
    }
}
