//! Somebody whom nodes trust to say who people are: keys made anew in each test, and files to put them in.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

/// A folder of one test; gone with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("byline-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Writes a file, and says where it is.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One key, and what it signs.
pub(crate) struct Issuer {
    pub(crate) keys: KeyPair,
    algorithm: Algorithm,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        Self::of(Algorithm::EdDSA)
    }

    pub(crate) fn of(algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        let keys = KeyPair::generate_for(kind).unwrap();
        Self { keys, algorithm }
    }

    pub(crate) fn public_pem(&self) -> String {
        self.keys.public_key_pem()
    }

    /// Signs `claims`.
    pub(crate) fn signs(&self, claims: &Value) -> String {
        self.signs_as(None, claims)
    }

    /// The same, and says which key it is.
    pub(crate) fn signs_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let private = self.keys.serialize_pem();
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_pem(private.as_bytes()),
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(private.as_bytes()),
            _ => EncodingKey::from_rsa_pem(private.as_bytes()),
        };
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        encode(&header, claims, &key.unwrap()).unwrap()
    }

    /// A token of `person` for an hour.
    pub(crate) fn token(&self, person: &str) -> String {
        self.token_for(person, 3_600)
    }

    /// A token of `person` for so many seconds from now.
    pub(crate) fn token_for(&self, person: &str, seconds: i64) -> String {
        self.signs(&json!({
            "iss": "https://id.example.com/realm", "sub": person, "exp": unix_seconds() + seconds,
        }))
    }
}

pub(crate) fn unix_seconds() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_secs()).unwrap()
}

/// An authority, and the certificates for this machine that it makes.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let keys = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, keys).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a new certificate to `cert.pem` and `key.pem` in `folder`.
    pub(crate) fn certifies(&self, folder: &Folder) -> (PathBuf, PathBuf) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let keys = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(names).unwrap();
        let certificate = parameters.signed_by(&keys, &self.0).unwrap();
        let chain = folder.write("cert.pem", &certificate.pem());
        (chain, folder.write("key.pem", &keys.serialize_pem()))
    }
}
