use std::fmt;

/// Whose rows a folder holds. Another's are refused: they would be read as what they are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A runtime's.
    Runtime,
    /// A node's.
    Node {
        /// The domain it serves.
        domain: String,
    },
}

impl Whose {
    /// As the store notes it, for ever.
    pub(crate) fn note(&self) -> String {
        match self {
            Self::Runtime => "runtime".to_owned(),
            Self::Node { domain } => format!("node {domain}"),
        }
    }

    /// What a note says.
    pub(crate) fn from_note(note: &str) -> Option<Self> {
        match note.split_once(' ') {
            None if note == "runtime" => Some(Self::Runtime),
            Some(("node", domain)) => Some(Self::Node {
                domain: domain.to_owned(),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime => f.write_str("a runtime"),
            Self::Node { domain } => write!(f, "the node of {domain}"),
        }
    }
}
