//! Refusals: what a request is answered with when the answer is no (protocol.md §2).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stream::Position;
use crate::time::Time;

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
    /// What a program can act on, where the code alone does not say it.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub reason: Option<Reason>,
    /// Where the stream stands that a child commit does not follow (protocol.md §9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Box<Position>>,
    /// What the time is, in RFC 3339, where the asker's clock is too far off (protocol.md §9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// Why a claim was refused with 409 or ended (protocol.md §8), a child commit was refused (§9), or who must
/// say who they are (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Another session of the same owner writes the object.
    Held,
    /// The claimant's copy is not what the object is: it catches up and claims again.
    Diverged,
    /// As [`Reason::Diverged`], and nobody is there to catch up from.
    Alone,
    /// Another session of the same owner took the object.
    Superseded,
    /// A child commit does not follow what its Reporter has of its author (§9).
    Gap,
    /// Who sends this needs a token, or a newer one, that says who they are.
    NeedsAuth,
}

/// A reason of a later version is none.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reason>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Known(Reason),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Wire::deserialize(deserializer)? {
        Wire::Known(reason) => Some(reason),
        Wire::Other(_) => None,
    })
}

const fn never() -> Retry {
    Retry::Never
}

impl Refusal {
    fn new(code: u16, retry: Retry, desc: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            desc: one_line(desc.into()),
            retry,
            reason: None,
            position: None,
            time: None,
        }
    }

    /// A refusal with this code, as another has told it.
    pub(crate) fn told(code: u16, desc: String) -> Self {
        let retry = if code < 500 { Retry::Never } else { Retry::Now };
        Self::new(code, retry, desc)
    }

    /// The same refusal, with a reason that a program can act on.
    #[must_use]
    pub const fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The same refusal, with what the time is.
    #[must_use]
    pub fn at(mut self, now: Time) -> Self {
        self.time = Some(now.rfc3339());
        self
    }

    /// 400: the message is not what protocol.md says it should be; `desc` names the field.
    pub fn malformed(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, Retry::Never, desc)
    }

    /// 401: who sends this has not shown who it is.
    pub fn unproven(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(401, Retry::Now, desc)
    }

    /// 401: who sends this needs a token, or a newer one; `desc` says what is wrong with theirs.
    pub fn needs_auth(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::unproven(desc).because(Reason::NeedsAuth)
    }

    /// 403: who sends this may not.
    pub fn forbidden(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(403, Retry::Never, desc)
    }

    /// 404: there is nothing at this address.
    pub fn unknown(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(404, Retry::Never, desc)
    }

    /// 102: no refusal yet; the answer follows.
    pub(crate) fn follows(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(102, Retry::Never, desc)
    }

    /// 408: nobody answered in time.
    pub fn timed_out(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(408, Retry::Now, desc)
    }

    /// 409: it contradicts what is.
    pub fn conflict(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(409, Retry::Never, desc)
    }

    /// 410: it is over, and will not be again.
    pub fn gone(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(410, Retry::Never, desc)
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

    /// 502: what another answered is not what it should be, and asking again would not help.
    pub(crate) fn broken(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(502, Retry::Never, desc)
    }

    /// 503: who should answer is away.
    pub fn away(retry: Retry, desc: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, retry, desc)
    }
}

/// What a peer wrote may stand in a sentence: it breaks no line, and commands no terminal.
fn one_line(desc: Cow<'static, str>) -> Cow<'static, str> {
    if !desc.contains(char::is_control) {
        return desc;
    }
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    desc.chars().map(visible).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn a_refusal_is_one_line_whatever_a_peer_wrote() {
        let refusal = Refusal::unknown(format!("nobody is at `{}`", "a\n\u{1b}[2Jb"));
        assert_eq!(refusal.desc, "nobody is at `a\u{fffd}\u{fffd}[2Jb`");
        let refusal = Refusal::unknown("nobody is at `é😀`");
        assert_eq!(refusal.desc, "nobody is at `é😀`");
    }
}
