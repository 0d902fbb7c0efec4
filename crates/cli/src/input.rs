//! Where the states of an object come from, and what is said of those that are none.

use anyhow::{Context as _, anyhow, bail};
use byline::{JsonRule, WriteError};
use serde_json::Value;

use crate::ReportArgs;
use crate::lines::Lines;
use crate::patch::merge;
use crate::watch::Watched;

/// Longest text of a state, in bytes: that of the largest object, with room for white space.
pub(crate) const TEXT_BYTES_MAX: u64 = 8 << 20;

/// The input of `report`.
pub(crate) enum Input {
    /// Each line is the next state.
    States(Lines),
    /// Each line is a merge patch of the state before.
    Patches(Lines),
    /// The file is the state.
    File(Watched),
}

impl Input {
    pub(crate) fn open(args: &ReportArgs) -> anyhow::Result<Self> {
        if let Some(file) = &args.watch {
            return Ok(Self::File(Watched::open(file)?));
        }
        let lines = Lines::open(args.file.as_deref().unwrap_or("-"))?;
        Ok(if args.patch {
            Self::Patches(lines)
        } else {
            Self::States(lines)
        })
    }

    /// The next state, which follows `state`; `None` at the end.
    pub(crate) async fn next(&mut self, state: &Value) -> anyhow::Result<Option<Value>> {
        match self {
            Self::States(lines) => lines.next().await,
            Self::Patches(lines) => Ok(lines.next().await?.map(|patch| {
                let mut next = state.clone();
                merge(&mut next, patch);
                next
            })),
            Self::File(file) => file.next().await.map(Some),
        }
    }

    /// The last state was refused, and is no commit. A file can be mended, a line is past.
    pub(crate) fn refused(&mut self, error: WriteError) -> anyhow::Result<bool> {
        match self {
            Self::File(file) if !matches!(error, WriteError::Closed(_)) => {
                file.complain(&error.to_string())?;
                Ok(false)
            }
            _ => Err(error).with_context(|| self.place()),
        }
    }

    /// Where the last state came from, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::States(lines) | Self::Patches(lines) => lines.place(),
            Self::File(file) => file.name().to_owned(),
        }
    }
}

/// Reads a JSON object that came from `place`.
pub(crate) fn object(text: &[u8], place: &str) -> anyhow::Result<Value> {
    let text = str::from_utf8(text).with_context(|| place.to_owned())?;
    let text = text.trim_end();
    let value = match byline::parse(text) {
        Ok(value) => value,
        Err(error) => match error.rule {
            JsonRule::Syntax { offset, expected } => {
                let (expected, at) = (wanted(text, expected), spot(text, offset));
                bail!("{place} is no JSON: expected {expected} at {at}");
            }
            _ => return Err(anyhow!(error).context(place.to_owned())),
        },
    };
    if !value.is_object() {
        bail!("{place} is no JSON object, as in {{\"temperature\": 21}}");
    }
    Ok(value)
}

/// What a person would have had to write, where a reader of JSON had it narrowed down already.
fn wanted<'a>(text: &str, expected: &'a str) -> &'a str {
    match expected {
        _ if !text.trim_start().starts_with('{') => "an object, as in {\"temperature\": 21},",
        "true" | "false" | "null" => "a value",
        _ => expected,
    }
}

/// A place in a text, as an editor shows it.
fn spot(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before[start..].chars().count() + 1;
    if text.contains('\n') {
        format!("line {line}, column {column}")
    } else {
        format!("column {column}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_state_is_told_as_a_person_needs_it() {
        let told = |text: &str| object(text.as_bytes(), "line 3").unwrap_err().to_string();
        for (text, wanted) in [
            (
                "foo",
                "line 3 is no JSON: expected an object, as in {\"temperature\": 21}, at column 1",
            ),
            (
                "\u{feff}{}",
                "line 3 is no JSON: expected an object, as in {\"temperature\": 21}, at column 1",
            ),
            (
                "[1]\n",
                "line 3 is no JSON object, as in {\"temperature\": 21}",
            ),
            (
                "{\"é\": foo}",
                "line 3 is no JSON: expected a value at column 7",
            ),
            (
                "{\"a\": 1\n",
                "line 3 is no JSON: expected `,` or `}` at column 8",
            ),
            (
                "{\n  \"a\": 1\n  \"b\"",
                "line 3 is no JSON: expected `,` or `}` at line 3, column 3",
            ),
            (
                "{}\n{}",
                "line 3 is no JSON: expected the end of the text at line 2, column 1",
            ),
            (
                "",
                "line 3 is no JSON: expected an object, as in {\"temperature\": 21}, at column 1",
            ),
        ] {
            assert_eq!(told(text), wanted, "{text}");
        }
    }
}
