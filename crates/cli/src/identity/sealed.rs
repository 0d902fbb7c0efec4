//! A key on its way: sealed with a passphrase, in five lines of text that can be mailed, printed and typed.
//!
//! ```text
//! byline-identity-1
//! user-guid://<public key>
//! <salt, 16 bytes>
//! <the 32 bytes of the key, sealed, and a tag of 16>
//! <the first 16 bytes of the SHA-256 of the lines above, each with its newline>
//! ```
//!
//! Bytes are in base64url, as everywhere in Byline. Argon2id (RFC 9106: 64 MiB, 3 passes, 4 lanes) makes of passphrase
//! and salt the key of ChaCha20-Poly1305 (RFC 8439), with a nonce of zeros, since no two exports have one salt, and the
//! first three lines as associated data. The costs belong to the version in the first line: a file cannot ask for more.
//! The checksum tells what was damaged on the way apart from a wrong passphrase; it keeps nobody from altering the file.
//!
//! Why not age, which has such files: with all features off it brings 150 crates, among them a translation system and
//! an older curve25519-dalek, for 32 bytes; these two bring ten.

use std::fmt;

use anyhow::{Context as _, anyhow, bail};
use argon2::{Algorithm, Argon2, Params, Version};
use byline::key::Key;
use byline_core::identity::{decode_bytes, encode_bytes};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const KIND: &str = "byline-identity-";
const HEAD: &str = "byline-identity-1";

/// As RFC 9106 recommends where memory is scarce: KiB, passes, lanes.
const COSTS: (u32, u32, u32) = (64 * 1024, 3, 4);

/// A key that is of no use without its passphrase.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    identity: String,
    salt: [u8; 16],
    key: [u8; 48],
}

impl Sealed {
    pub(crate) fn seal(key: &Key, passphrase: &str) -> anyhow::Result<Self> {
        let mut sealed = Self {
            identity: key.public().identity().to_string(),
            salt: [0; 16],
            key: [0; 48],
        };
        getrandom::fill(&mut sealed.salt).context("the operating system gives no random bytes")?;
        let secret = Zeroizing::new(key.to_bytes());
        let told = sealed.told();
        let payload = Payload {
            msg: &*secret,
            aad: told.as_bytes(),
        };
        let cipher = sealed.cipher(passphrase)?;
        let bytes = cipher.encrypt(&Nonce::default(), payload);
        let bytes = bytes.map_err(|_| anyhow!("the key cannot be sealed"))?;
        sealed.key.copy_from_slice(&bytes);
        Ok(sealed)
    }

    /// Reads what `to_string` wrote, whatever became of spaces and the ends of lines.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.collect();
        match lines.first() {
            Some(&HEAD) => {}
            Some(line) if line.starts_with(KIND) => {
                bail!("a newer `byline identity export` wrote it: import it with that version")
            }
            _ => bail!("it is no exported identity: `byline identity export` makes one"),
        }
        let parsed = match lines[..] {
            [_, identity, salt, key, checksum] => decode_bytes(salt)
                .zip(decode_bytes(key))
                .map(|(salt, key)| Self {
                    identity: identity.to_owned(),
                    salt,
                    key,
                })
                .filter(|parsed| checksum == parsed.checksum()),
            _ => None,
        };
        parsed.context("it was damaged on its way: export the identity again, or copy it anew")
    }

    pub(crate) fn unseal(&self, passphrase: &str) -> anyhow::Result<Key> {
        let told = self.told();
        let payload = Payload {
            msg: &self.key,
            aad: told.as_bytes(),
        };
        let cipher = self.cipher(passphrase)?;
        let secret = cipher.decrypt(&Nonce::default(), payload);
        let secret = secret.map_err(|_| anyhow!("the passphrase is another one: try again"))?;
        let secret = Zeroizing::new(secret);
        let secret = secret.first_chunk().expect("what was sealed are 32 bytes");
        Ok(Key::from_bytes(secret))
    }

    fn cipher(&self, passphrase: &str) -> anyhow::Result<ChaCha20Poly1305> {
        let (memory, passes, lanes) = COSTS;
        let params = Params::new(memory, passes, lanes, None).expect("they are in bounds");
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, &mut *key)
            .map_err(|error| anyhow!("the passphrase cannot be used: {error}"))?;
        Ok(ChaCha20Poly1305::new((&*key).into()))
    }

    /// What everybody may know, and nobody may alter.
    fn told(&self) -> String {
        format!("{HEAD}\n{}\n{}\n", self.identity, encode_bytes(&self.salt))
    }

    fn checksum(&self) -> String {
        let text = format!("{}{}\n", self.told(), encode_bytes(&self.key));
        encode_bytes(&Sha256::digest(text)[..16])
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (told, key) = (self.told(), encode_bytes(&self.key));
        write!(f, "{told}{key}\n{}\n", self.checksum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        Sealed::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_key_comes_back_by_its_passphrase_alone() {
        let key = Key::from_bytes(&[7; 32]);
        let sealed = Sealed::seal(&key, "correct horse").unwrap();
        let text = sealed.to_string();
        assert_eq!(text.lines().count(), 5);
        assert_eq!(Sealed::parse(&text).unwrap(), sealed);
        assert_eq!(sealed.unseal("correct horse").unwrap().to_bytes(), [7; 32]);
        for other in ["", "correct horse ", "Correct horse"] {
            let wrong = sealed.unseal(other).unwrap_err();
            assert!(wrong.to_string().contains("passphrase"), "{wrong}");
        }
        let again = Sealed::seal(&key, "correct horse").unwrap();
        assert_ne!((again.salt, again.key), (sealed.salt, sealed.key));
    }

    #[test]
    fn nobody_puts_another_name_on_a_key() {
        let key = Key::from_bytes(&[7; 32]);
        let mut sealed = Sealed::seal(&key, "correct horse").unwrap();
        sealed.identity = Key::from_bytes(&[8; 32]).public().identity().to_string();
        assert!(sealed.unseal("correct horse").is_err());
    }

    /// One that was exported once and can be imported for ever.
    #[test]
    fn an_export_of_version_1_is_read() {
        let sealed = Sealed::parse(VERSION_1).unwrap();
        let key = sealed.unseal("correct horse").unwrap();
        assert_eq!(key.to_bytes(), [7; 32]);
    }

    const VERSION_1: &str = "\
byline-identity-1
user-guid://6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw
TpPpM3CLngLbBoHQAUnMTg
5OiPJoHsWplKdalm-7CL9SNtpfSdDWrXgBZMq1UJveXw-e_hcGvxN646g9_4wjoW
1iG9c4juGzy0cOBntD-jHw";

    #[test]
    fn what_became_of_spaces_and_ends_of_lines_is_no_matter() {
        let mailed = VERSION_1.replace('\n', " \r\n\r\n");
        assert_eq!(
            Sealed::parse(&mailed).unwrap(),
            Sealed::parse(VERSION_1).unwrap()
        );
    }

    #[test]
    fn each_letter_that_is_altered_or_lost_is_told() {
        for (at, letter) in VERSION_1.char_indices().skip(HEAD.len()) {
            if letter == '\n' {
                continue;
            }
            let other = if letter == 'A' { "B" } else { "A" };
            let (before, after) = (&VERSION_1[..at], &VERSION_1[at + 1..]);
            for altered in [[before, other, after].concat(), [before, after].concat()] {
                assert!(complaint(&altered).contains("damaged"), "{altered}");
            }
        }
        let short = VERSION_1.rsplit_once('\n').unwrap().0;
        assert!(complaint(short).contains("damaged"));
    }

    #[test]
    fn what_is_something_else_is_told() {
        for other in ["", "my diary", "-----BEGIN PRIVATE KEY-----\n"] {
            assert!(complaint(other).contains("no exported identity"), "{other}");
        }
        assert!(complaint("byline-identity-2\n").contains("newer"));
    }
}
