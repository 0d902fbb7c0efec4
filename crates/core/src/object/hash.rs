//! The name of a document's content, by which two sides see that they hold the same.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest, Sha256};

const BYTES: usize = 16;
const TEXT_BYTES: usize = 22;

/// The first 128 bits of SHA-256 of a document's RFC 8785 form (protocol.md §4). As text: base64url
/// without padding, 22 characters (RFC 4648 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; BYTES]);

/// The text is not a [`struct@Hash`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("a hash must be 22 characters of base64url without padding, standing for 16 bytes")]
#[non_exhaustive]
pub struct HashError;

impl Hash {
    /// The hash of a document that came through [`parse`](super::parse) or
    /// [`normalise`](super::normalise).
    ///
    /// Writes and sorts the whole document and keeps a copy of it meanwhile: milliseconds for a
    /// large one, so not for every commit.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let canonical = serde_json_canonicalizer::to_vec(document)
            .expect("a Value has string keys and finite numbers, and a Vec takes every byte");
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&Sha256::digest(&canonical)[..BYTES]);
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl From<[u8; BYTES]> for Hash {
    fn from(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        if text.len() != TEXT_BYTES {
            return Err(HashError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| HashError)?;
        bytes.try_into().map(Self).map_err(|_| HashError)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    fn canonical(text: &str) -> String {
        serde_json_canonicalizer::to_string(&parse(text).unwrap()).unwrap()
    }

    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        // Section 3.2.2 and 3.2.4.
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        assert_eq!(
            canonical(text),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        // Section 3.2.3: keys sort by UTF-16 code units, so U+1F600 comes before U+FB33.
        let text = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        let sorted = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}";
        assert_eq!(canonical(text), sorted);
    }

    #[test]
    fn numbers_are_written_as_in_appendix_b_of_rfc_8785() {
        for (bits, text) in [
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(canonical(&format!("{:e}", f64::from_bits(bits))), text);
        }
    }

    #[test]
    fn the_hash_is_the_first_half_of_sha_256_as_base64url() {
        // printf '{}' | sha256sum =
        // 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
        let hash = Hash::of(&parse("{}").unwrap());
        assert_eq!(hash.as_bytes()[..4], [0x44, 0x13, 0x6f, 0xa3]);
        assert_eq!(hash.to_string(), "RBNvo1WzZ4oRRq0W9-hkng");
        assert_eq!("RBNvo1WzZ4oRRq0W9-hkng".parse(), Ok(hash));
        let spellings =
            [r#"{"a":1.0,"b":-0}"#, r#"{"b":0,"a":1}"#].map(|text| parse(text).unwrap());
        assert_eq!(Hash::of(&spellings[0]), Hash::of(&spellings[1]));
    }

    #[test]
    fn other_text_is_no_hash() {
        for text in [
            "",
            "RBNvo1WzZ4oRRq0W9-hkng==",
            "RBNvo1WzZ4oRRq0W9+hkng",
            "RBNvo1WzZ4oRRq0W9-hknh",
        ] {
            assert_eq!(text.parse::<Hash>(), Err(HashError), "{text}");
        }
    }
}
