//! Who somebody is: an Ed25519 key, the identity it gives, the ids minted from it, and the proof
//! that a session holds it (protocol.md §1, §3).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Characters of an id minted from a key: 128 bits in base64url.
const MINTED_CHARS: usize = 22;

/// Bytes as protocol.md writes keys, nonces, challenges, signatures and hashes: base64url, unpadded.
#[must_use]
pub fn encode_bytes(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads exactly `N` bytes written by [`encode_bytes`]; `None` for anything else.
#[must_use]
pub fn decode_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Who a session or a message is from: `user-guid://<public key>`, or the person `user://<idp>/<sub>`
/// that a token names. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Arc<str>);

impl Identity {
    /// The identity as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Identity {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Identity {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What shows a node which person somebody is: a JWT (protocol.md §3). Whoever has it is that person, so
/// it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The secret key of a runtime. It is wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// The key made of 32 secret bytes, which must come from the operating system outside of tests.
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The 32 secret bytes, to be written where only their owner can read them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature that answers `challenge` when `runtime` opens a session at the node of `domain`.
    #[must_use]
    pub fn prove(&self, domain: &str, runtime: &str, challenge: &str) -> String {
        encode_bytes(
            &self
                .0
                .sign(proof_text(domain, runtime, challenge).as_bytes())
                .to_bytes(),
        )
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.public()).finish()
    }
}

/// The public key of a runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads 32 bytes in base64url; `None` when they are no point of the curve, or a weak one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = VerifyingKey::from_bytes(&decode_bytes(text)?).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// The identity this key gives.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity(format!("user-guid://{self}").into())
    }

    /// The id minted from this key and `nonce`: whoever sees both can check it (protocol.md §1).
    #[must_use]
    pub fn mint(&self, nonce: &[u8; 16]) -> String {
        let hash = Sha256::new()
            .chain_update(self.0.as_bytes())
            .chain_update(nonce)
            .finalize();
        encode_bytes(&hash[..16])
    }

    /// Whether `signature` answers `challenge` as [`Key::prove`] does. Costs about 60 µs.
    #[must_use]
    pub fn proves(&self, domain: &str, runtime: &str, challenge: &str, signature: &str) -> bool {
        decode_bytes::<64>(signature).is_some_and(|bytes| {
            let text = proof_text(domain, runtime, challenge);
            self.0
                .verify_strict(text.as_bytes(), &Signature::from_bytes(&bytes))
                .is_ok()
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_bytes(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Whether `id` has the form of a minted one, so that whoever claims it must show the nonce.
/// Without this rule a node that has forgotten everything could not tell a thief from the owner.
#[must_use]
pub fn looks_minted(id: &str) -> bool {
    id.len() == MINTED_CHARS && decode_bytes::<16>(id).is_some()
}

fn proof_text(domain: &str, runtime: &str, challenge: &str) -> String {
    format!("byline-open-1\n{domain}\n{runtime}\n{challenge}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_one_domain_one_runtime_and_one_challenge() {
        let key = Key::from_bytes(&[7; 32]);
        let signature = key.prove("d", "hyperty-runtime://d/r", "abc");
        let public = key.public();
        assert!(public.proves("d", "hyperty-runtime://d/r", "abc", &signature));
        assert!(!public.proves("e", "hyperty-runtime://d/r", "abc", &signature));
        assert!(!public.proves("d", "hyperty-runtime://d/s", "abc", &signature));
        assert!(!public.proves("d", "hyperty-runtime://d/r", "abd", &signature));
        assert!(!Key::from_bytes(&[8; 32]).public().proves(
            "d",
            "hyperty-runtime://d/r",
            "abc",
            &signature
        ));
        assert!(!public.proves("d", "hyperty-runtime://d/r", "abc", "no signature"));
    }

    #[test]
    fn a_minted_id_belongs_to_one_key_and_nonce() {
        let key = Key::from_bytes(&[7; 32]).public();
        let id = key.mint(&[1; 16]);
        assert!(looks_minted(&id));
        assert_ne!(id, key.mint(&[2; 16]));
        assert_ne!(id, Key::from_bytes(&[8; 32]).public().mint(&[1; 16]));
        assert!(!looks_minted("kitchen"));
    }

    #[test]
    fn a_public_key_is_read_as_it_is_written_and_a_weak_one_is_refused() {
        let key = Key::from_bytes(&[7; 32]).public();
        assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
        assert_eq!(PublicKey::parse("short"), None);
        let identity_point = encode_bytes(&{
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        });
        assert_eq!(PublicKey::parse(&identity_point), None);
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = [7; 32];
        let printed = format!("{:?}", Key::from_bytes(&secret));
        assert!(!printed.contains(&encode_bytes(&secret)) && !printed.contains("7, 7"));
        let printed = format!("{:?}", Token::from("eyJ.the.rest".to_owned()));
        assert_eq!(printed, "Token(…)");
    }
}
