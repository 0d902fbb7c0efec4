//! The JSON reader behind [`super::parse`].
//!
//! Our own, because serde_json's lets the last of two equal keys win, gives one key name a meaning
//! (its raw value token), reads doubles exactly only with a feature that others turn on, and cannot
//! say where in the document an error is.

use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::json::{Fault, JsonRule, number};

/// Up to this many digits every integer is below 2⁵³.
const SMALL_DIGITS: usize = 15;

pub(super) struct Reader<'t> {
    text: &'t str,
    /// Byte offset of what is read next; always on a character's border when a token begins or
    /// ends.
    at: usize,
    /// How many levels may still be opened.
    levels: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, levels: usize) -> Self {
        Self {
            text,
            at: 0,
            levels,
        }
    }

    /// The one value of the text.
    pub(super) fn document(&mut self) -> Result<Value, Fault> {
        let value = self.value()?;
        if self.next_token().is_some() {
            return Err(self.expected("the end of the text"));
        }
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, Fault> {
        match self.next_token() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads a container whose opening byte is next. The limit of levels also bounds the stack.
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, Fault>,
    ) -> Result<Value, Fault> {
        self.levels = self.levels.checked_sub(1).ok_or(JsonRule::TooDeep)?;
        self.at += 1;
        let value = read(self)?;
        self.levels += 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Fault> {
        let mut map = Map::new();
        if self.eat(b'}') {
            return Ok(Value::Object(map));
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let key = self.string()?;
            if !self.eat(b':') {
                return Err(self.expected("`:`").inside(key));
            }
            match map.entry(key) {
                Entry::Occupied(slot) => {
                    return Err(Fault::from(JsonRule::DuplicateKey).inside(slot.key()));
                }
                Entry::Vacant(slot) => {
                    let value = self.value().map_err(|fault| fault.inside(slot.key()))?;
                    slot.insert(value);
                }
            }
            if self.eat(b'}') {
                return Ok(Value::Object(map));
            }
            if !self.eat(b',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self) -> Result<Value, Fault> {
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value().map_err(|fault| fault.inside(items.len()))?);
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        self.skip(b'-');
        let digits = self.at;
        if !self.skip(b'0') {
            self.digits()?;
        }
        let is_small = self.at - digits <= SMALL_DIGITS;
        let mut is_integer = true;
        if self.skip(b'.') {
            is_integer = false;
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            is_integer = false;
            _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if is_integer
            && is_small
            && let Ok(integer) = text.parse::<i64>()
        {
            return Ok(Number::from(integer));
        }
        // Rust reads a decimal to the nearest double, as JavaScript does, and gives infinity beyond
        // the range.
        let double = text.parse().map_err(|_| self.expected("a number"))?;
        Ok(number(double)?)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.expected("a digit"))
        } else {
            Ok(())
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| !matches!(byte, b'"' | b'\\' | ..=0x1f))
            {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err(self.expected("an escape for a control character")),
                None => return Err(self.expected("the closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let found = match self.peek() {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(found)
    }

    /// Four digits, or a surrogate pair of two escapes.
    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let first = self.four_digits()?;
        let mut units = [first, 0];
        let mut count = 1;
        if (0xd800..0xdc00).contains(&first) && self.skip(b'\\') {
            if !self.skip(b'u') {
                return Err(JsonRule::LoneSurrogate.into());
            }
            units[1] = self.four_digits()?;
            count = 2;
        }
        match char::decode_utf16(units.into_iter().take(count)).next() {
            Some(Ok(found)) => Ok(found),
            _ => Err(JsonRule::LoneSurrogate.into()),
        }
    }

    fn four_digits(&mut self) -> Result<u16, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.ok_or_else(|| self.expected("a hexadecimal digit"))?;
            unit = unit << 4 | digit as u16; // below 16
            self.at += 1;
        }
        Ok(unit)
    }

    fn literal(&mut self, word: &'static str, value: Value) -> Result<Value, Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Takes `byte` if it is the next token.
    fn eat(&mut self, byte: u8) -> bool {
        self.next_token();
        self.skip(byte)
    }

    /// Takes `byte` if it stands right here.
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, expected: &'static str) -> Fault {
        JsonRule::Syntax {
            offset: self.at,
            expected,
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    #[test]
    fn strings_are_read_with_all_their_escapes() {
        let text = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#;
        assert_eq!(parse(text).unwrap(), "a\"\\/\u{8}\u{c}\n\r\té😀é");
    }

    #[test]
    fn half_of_a_surrogate_pair_is_an_error_wherever_it_stands() {
        for text in [
            r#"{"a":"\ud83d"}"#,
            r#"{"a":"\ude00"}"#,
            r#"{"a":"\ud83d\u0041"}"#,
            r#"{"a":"\ud83d\n"}"#,
            r#"{"a":{"\ud83d":1}}"#,
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (&*error.pointer, error.rule),
                ("/a", JsonRule::LoneSurrogate),
                "{text}"
            );
        }
    }

    #[test]
    fn a_duplicate_key_is_an_error_however_it_is_spelt() {
        let error = parse(r#"{"a":{"b":1,"\u0062":2}}"#).unwrap_err();
        assert_eq!(
            (&*error.pointer, error.rule),
            ("/a/b", JsonRule::DuplicateKey)
        );
    }

    #[test]
    fn what_is_not_json_says_what_was_expected_and_where() {
        for (text, offset, expected) in [
            ("", 0, "a value"),
            ("[1,]", 3, "a value"),
            ("{1:2}", 1, "a key in quotes"),
            ("{\"a\" 1}", 5, "`:`"),
            ("[1 2]", 3, "`,` or `]`"),
            ("{} x", 3, "the end of the text"),
            ("01", 1, "the end of the text"),
            ("-", 1, "a digit"),
            ("1.", 2, "a digit"),
            ("1e+", 3, "a digit"),
            ("nul", 0, "null"),
            ("\"\t\"", 1, "an escape for a control character"),
            ("\"\\x\"", 2, "an escape"),
            ("\"\\u00g0\"", 5, "a hexadecimal digit"),
            ("\"é", 3, "the closing quote"),
        ] {
            let rule = JsonRule::Syntax { offset, expected };
            assert_eq!(parse(text).unwrap_err().rule, rule, "{text:?}");
        }
    }

    #[test]
    fn no_key_has_a_meaning_of_its_own() {
        for key in [
            "__proto__",
            "constructor",
            "",
            "$serde_json::private::RawValue",
        ] {
            let value = parse(&format!(r#"{{"{key}":"1"}}"#)).unwrap();
            assert_eq!(value[key], "1");
            assert_eq!(parse(&value.to_string()).unwrap(), value);
        }
    }
}
