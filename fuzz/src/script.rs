//! Bytes read as decisions: what to do next, with which of a few values.

use std::borrow::Cow;

/// The length byte that means: all the rest.
const ALL: u8 = u8::MAX;

pub(crate) struct Script<'b> {
    bytes: &'b [u8],
}

impl<'b> Script<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// The next decision, `None` when there is none left.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// A number below `bound`, 0 when no decision is left.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next().unwrap_or(0)) % bound
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Text as it stands: a length, then so many bytes.
    pub(crate) fn text(&mut self) -> Cow<'b, str> {
        let length = match self.next().unwrap_or(0) {
            ALL => self.bytes.len(),
            length => usize::from(length).min(self.bytes.len()),
        };
        let (text, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        String::from_utf8_lossy(text)
    }

    /// `text`, in one of eight cases with a byte of it overwritten.
    pub(crate) fn damaged(&mut self, text: String) -> String {
        if self.below(8) != 7 || text.is_empty() {
            return text;
        }
        let at = self.below(256) * text.len() / 256;
        let mut bytes = text.into_bytes();
        bytes[at] = self.next().unwrap_or(0);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
