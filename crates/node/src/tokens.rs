//! Whose tokens count (protocol.md §3): JSON Web Tokens, signed with a private key whose public half is in
//! the operator's file. A secret that both sides share is never one: who can check could forge.

use std::path::PathBuf;

use byline_core::error::Refusal;
use byline_core::identity::Identity;
use byline_core::limits::ADDRESS_BYTES_MAX;
use byline_core::node::{Proven, VerifyToken};
use byline_core::time::Time;
use hyper::Uri;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;

use crate::files::{FileError, read};

/// Most keys in a file: a token may have to be tried with each.
const KEYS_MAX: usize = 64;
/// The clock of whoever makes tokens may be ahead by this much.
const AHEAD_MS: u64 = 60_000;

/// Whose tokens a node takes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct People {
    /// The public keys that tokens are signed with: PEM, one or several, or a JSON Web Key Set.
    pub keys: PathBuf,
    /// The `iss` that a token must have.
    pub issuer: Option<String>,
    /// The `aud` that a token must be for.
    pub audience: Option<String>,
}

impl People {
    /// People with tokens that one of the keys in the file `keys` has signed.
    #[must_use]
    pub fn new(keys: impl Into<PathBuf>) -> Self {
        Self {
            keys: keys.into(),
            issuer: None,
            audience: None,
        }
    }
}

/// Tells true tokens by the keys that were in the file when it was read.
#[derive(Debug)]
pub(crate) struct Tokens {
    keys: Vec<PublicKey>,
    issuer: Option<String>,
    audience: Option<String>,
    domain: String,
}

#[derive(Debug)]
struct PublicKey {
    /// What tokens call it.
    id: Option<String>,
    key: DecodingKey,
}

/// What a token says, as far as it concerns a node.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    iss: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Tokens {
    /// Reads the keys of `people`, for the node of `domain`.
    pub(crate) fn load(people: &People, domain: &str) -> Result<Self, FileError> {
        let text = String::from_utf8(read(&people.keys)?);
        let keys = text
            .map_err(|_| "it is no text".to_owned())
            .and_then(|text| public_keys(&text))
            .map_err(|why| FileError::content(&people.keys, why))?;
        Ok(Self {
            keys,
            issuer: people.issuer.clone(),
            audience: people.audience.clone(),
            domain: domain.to_owned(),
        })
    }

    /// What a token says, when one of the keys has signed it.
    fn signed(&self, token: &str) -> Result<Claims, Refusal> {
        let header = decode_header(token).map_err(|_| broken("it is no signed JSON Web Token"))?;
        if header.crit.is_some() {
            return Err(broken("its `crit` names what this node does not know"));
        }
        let candidates = self.candidates(&header);
        if candidates.is_empty() {
            return Err(broken(
                "no key that this node trusts signs with its `alg` and `kid`",
            ));
        }
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        for one in candidates {
            match decode::<Claims>(token, &one.key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {
                    return Err(broken("its claims are not what RFC 7519 says"));
                }
                Err(_) => {}
            }
        }
        Err(broken("no key that this node trusts has signed it"))
    }

    /// The keys that may have signed a token: those that it names, if any has that name.
    fn candidates(&self, header: &Header) -> Vec<&PublicKey> {
        let able = |one: &&PublicKey| one.key.family().algorithms().contains(&header.alg);
        let able: Vec<&PublicKey> = self.keys.iter().filter(able).collect();
        let named = |one: &&PublicKey| one.id.is_none() || one.id == header.kid;
        if header.kid.is_some() {
            able.into_iter().filter(named).collect()
        } else {
            able
        }
    }

    /// `user://<idp>/<sub>`.
    fn identity(&self, claims: &Claims) -> Result<Identity, Refusal> {
        let issuer = claims.iss.as_deref().and_then(host_of);
        let idp = issuer.unwrap_or_else(|| self.domain.clone());
        let sub = claims.sub.as_deref().unwrap_or_default();
        let text = format!("user://{idp}/{sub}");
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if sub.is_empty() || sub.contains(odd) || text.len() > ADDRESS_BYTES_MAX {
            return Err(broken(
                "its `sub` names nobody: it must be there, and have no blanks",
            ));
        }
        Ok(text.as_str().into())
    }
}

impl VerifyToken for Tokens {
    fn verify(&self, token: &str, now: Time) -> Result<Proven, Refusal> {
        let claims = self.signed(token)?;
        let expires = claims
            .exp
            .and_then(time)
            .ok_or_else(|| broken("it has no `exp`: it would never end"))?;
        if expires <= now {
            return Err(broken(format!("it ended at {}", expires.rfc3339())));
        }
        if let Some(from) = claims.nbf.and_then(time)
            && from > now.plus_ms(AHEAD_MS)
        {
            let why = format!("it begins at {}: `nbf`", from.rfc3339());
            return Err(broken(why));
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(broken("it is of another issuer than this node's: `iss`"));
        }
        if let Some(audience) = &self.audience
            && !claims.aud.as_ref().is_some_and(|aud| aud.has(audience))
        {
            return Err(broken("it is for another audience than this node's: `aud`"));
        }
        let identity = self.identity(&claims)?;
        Ok(Proven { identity, expires })
    }
}

impl Audience {
    fn has(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

fn broken(why: impl std::fmt::Display) -> Refusal {
    Refusal::needs_auth(format!("field `body.token`: {why}"))
}

/// The time of a claim, which is in seconds and may have a fraction.
fn time(seconds: f64) -> Option<Time> {
    let ms = seconds * 1000.0;
    (ms.is_finite() && ms >= 0.0).then(|| Time::from_unix_ms(ms as u64))
}

/// The host of an issuer that is a URL.
fn host_of(issuer: &str) -> Option<String> {
    let uri: Uri = issuer.parse().ok()?;
    uri.scheme()?;
    uri.host().map(str::to_ascii_lowercase)
}

/// The keys in a file, or why they are none.
fn public_keys(text: &str) -> Result<Vec<PublicKey>, String> {
    let keys = if text.trim_start().starts_with('{') {
        from_jwks(text)?
    } else {
        from_pem(text)?
    };
    match keys.len() {
        0 => Err("it holds no public key, neither in PEM nor as a JSON Web Key Set".to_owned()),
        1..=KEYS_MAX => Ok(keys),
        _ => Err(format!("it holds more than {KEYS_MAX} keys")),
    }
}

fn from_pem(text: &str) -> Result<Vec<PublicKey>, String> {
    let blocks = text.match_indices("-----BEGIN ").map(|(at, _)| &text[at..]);
    let key = |block: &str| {
        let label = block["-----BEGIN ".len()..].split("-----").next();
        if !matches!(label, Some("PUBLIC KEY" | "RSA PUBLIC KEY")) {
            let label = label.unwrap_or_default();
            return Err(format!(
                "it holds a {label}: only public keys belong there, BEGIN PUBLIC KEY"
            ));
        }
        let block = block.as_bytes();
        let key = DecodingKey::from_rsa_pem(block)
            .or_else(|_| DecodingKey::from_ec_pem(block))
            .or_else(|_| DecodingKey::from_ed_pem(block))
            .map_err(|_| "a key in it is neither RSA, nor P-256 or P-384, nor Ed25519")?;
        Ok(PublicKey { id: None, key })
    };
    blocks.map(key).collect()
}

/// Keys for something else than signing, and of kinds that no token is signed with, are passed over.
fn from_jwks(text: &str) -> Result<Vec<PublicKey>, String> {
    let set: JwkSet = serde_json::from_str(text)
        .map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
    let mut keys = vec![];
    for jwk in set.keys {
        let signs = !matches!(
            jwk.common.public_key_use,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
        );
        match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => {
                return Err(
                    "it holds a shared secret (`oct`): only public keys belong there".into(),
                );
            }
            AlgorithmParameters::Other(_) => {}
            _ if signs => {
                let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
                keys.push(PublicKey {
                    id: jwk.common.key_id,
                    key,
                });
            }
            _ => {}
        }
    }
    Ok(keys)
}
