//! Refusals: what a request is answered with when the answer is no (protocol.md §2).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// When the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not at all: the same request gets the same answer.
    Never,
    /// At once.
    Now,
    /// After this many seconds.
    Seconds(u32),
}

impl Serialize for Retry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_str("never"),
            Self::Now => serializer.serialize_str("now"),
            Self::Seconds(seconds) => serializer.serialize_u32(*seconds),
        }
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Seconds(u32),
            Word(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Seconds(seconds) => Ok(Self::Seconds(seconds)),
            Wire::Word(word) if word == "now" => Ok(Self::Now),
            Wire::Word(_) => Ok(Self::Never),
        }
    }
}

/// A refusal: a code with the meaning it has in HTTP, one sentence saying why, and when to retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{desc} ({code})")]
pub struct Refusal {
    /// 4xx: the asker's fault; 5xx: not the asker's.
    pub code: u16,
    /// Whose fault, what, and what to do next, in one sentence.
    #[serde(default)]
    pub desc: Cow<'static, str>,
    /// When the same request may be sent again.
    #[serde(default = "never")]
    pub retry: Retry,
}

const fn never() -> Retry {
    Retry::Never
}

impl Refusal {
    fn new(code: u16, retry: Retry, desc: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            desc: desc.into(),
            retry,
        }
    }

    /// 400: the message is not what protocol.md says it should be; `desc` names the field.
    pub fn malformed(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, Retry::Never, desc)
    }

    /// 401: who sends this has not shown who it is.
    pub fn unproven(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(401, Retry::Now, desc)
    }

    /// 403: who sends this may not.
    pub fn forbidden(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(403, Retry::Never, desc)
    }

    /// 404: there is nothing at this address.
    pub fn unknown(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(404, Retry::Never, desc)
    }

    /// 408: nobody answered in time.
    pub fn timed_out(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(408, Retry::Now, desc)
    }

    /// 409: it contradicts what is.
    pub fn conflict(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(409, Retry::Never, desc)
    }

    /// 413: larger than a limit, which `desc` names.
    pub fn too_large(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(413, Retry::Never, desc)
    }

    /// 429: more than a limit, which `desc` names.
    pub fn too_many(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(429, Retry::Seconds(1), desc)
    }

    /// 501: this version does not do it.
    pub fn not_built(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(501, Retry::Never, desc)
    }

    /// 503: who should answer is away.
    pub fn away(retry: Retry, desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, retry, desc)
    }
}
