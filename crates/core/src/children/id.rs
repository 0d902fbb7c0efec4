//! What a child is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::header::is_child_of;
use crate::address::Address;

/// The id of a child (protocol.md §9): its author's hyperty, `#`, and a number that this author uses
/// once in this collection. Ordered by author, then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId {
    author: Address,
    number: u64,
}

/// The text is not a [`ChildId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no child's id: write <hyperty>#<number>, with a number from 1 on")]
#[non_exhaustive]
pub struct ChildIdError(String);

impl ChildId {
    /// Child `number` of `author`.
    #[must_use]
    pub const fn new(author: Address, number: u64) -> Self {
        Self { author, number }
    }

    /// The hyperty that made the child: it alone changes it.
    #[must_use]
    pub const fn author(&self) -> &Address {
        &self.author
    }

    /// Which of its author's it is.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.author, self.number)
    }
}

impl FromStr for ChildId {
    type Err = ChildIdError;

    fn from_str(text: &str) -> Result<Self, ChildIdError> {
        let parts = text
            .rsplit_once('#')
            .filter(|(author, _)| is_child_of(text, author));
        let id = parts.and_then(|(author, number)| {
            Some(Self::new(
                Address::parse(author).ok()?,
                number.parse().ok()?,
            ))
        });
        id.ok_or_else(|| ChildIdError(text.to_owned()))
    }
}

impl Serialize for ChildId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChildId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_author_and_a_number_spelt_in_one_way() {
        for text in ["hyperty://d/h#1", "hyperty://d/h#7/x#9007199254740991"] {
            assert_eq!(text.parse::<ChildId>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "hyperty://d/h",
            "hyperty://d/h#",
            "hyperty://d/h#0",
            "hyperty://d/h#07",
            "hyperty://d/h#+7",
            "hyperty://d/h#99999999999999999",
            "h#1",
        ] {
            assert_eq!(bad.parse::<ChildId>(), Err(ChildIdError(bad.to_owned())));
        }
    }

    #[test]
    fn ids_stand_in_the_order_of_their_authors_and_then_of_their_numbers() {
        let author = Address::parse("hyperty://d/h").unwrap();
        assert!(ChildId::new(author.clone(), 9) < ChildId::new(author.clone(), 10));
        let later = Address::parse("hyperty://d/i").unwrap();
        assert!(ChildId::new(author, 10) < ChildId::new(later, 9));
    }
}
