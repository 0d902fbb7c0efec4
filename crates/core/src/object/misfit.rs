//! A document and an application's type for it that do not fit each other.

use super::Path;

/// A document is not what the application's type for it can hold, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not fit `{type_name}`: {reason}", place(path))]
pub struct Misfit {
    /// Where in the document.
    pub path: Path,
    /// The application's type.
    pub type_name: &'static str,
    /// What was found there, and what was expected.
    pub reason: String,
}

fn place(path: &Path) -> String {
    if path.is_root() {
        "the data".to_owned()
    } else {
        format!("the data at `{path}`")
    }
}
