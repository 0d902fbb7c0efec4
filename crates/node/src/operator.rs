//! Who may see what only a node's operator may see.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// What shows that somebody is the operator of a node. It is never printed by accident.
#[derive(Clone)]
pub struct OperatorToken(String);

impl OperatorToken {
    /// Whether a request with `headers` shows it. Takes as long for a token that is almost right as for
    /// any other.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| {
            let pairs = shown.iter().zip(self.0.as_bytes());
            let differ = pairs.fold(0, |differ, (one, other)| differ | (one ^ other));
            shown.len() == self.0.len() && differ == 0
        })
    }
}

impl From<String> for OperatorToken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}
