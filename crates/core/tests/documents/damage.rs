//! Bytes that something has happened to.

use proptest::prelude::*;
use proptest::sample::Index;

/// What happens to bytes on a bad day.
#[derive(Clone, Debug)]
pub enum Damage {
    Byte(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Damage {
    pub fn to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let end = |at: usize, length: usize| (at + length).min(bytes.len());
        match self {
            Self::Byte(at, with) => {
                let at = at.index(bytes.len());
                bytes[at] = *with;
            }
            Self::Insert(at, text) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, text.bytes());
            }
            Self::Remove(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..end(at, *length));
            }
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let again = bytes[at..end(at, *length)].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

pub fn damage() -> impl Strategy<Value = Damage> {
    const TEXTS: [&str; 12] = [
        "\"",
        "\\",
        "{",
        "}",
        "[[",
        "null",
        ",",
        "-",
        "1e999",
        "\\ud800",
        "\"id\":1,",
        "\u{0}",
    ];
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, with)| Damage::Byte(at, with)),
        3 => (at(), prop::sample::select(&TEXTS[..])).prop_map(|(at, text)| Damage::Insert(at, text)),
        2 => (at(), 1..12_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (at(), 1..40_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        1 => at().prop_map(Damage::Cut),
    ]
}
