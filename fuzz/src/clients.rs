//! The clients of a fuzzed node.

use std::sync::LazyLock;

use byline_core::identity::{Key, encode_bytes};
use byline_core::node::ConnectionId;
use serde_json::{Value, json};

/// The three clients before they have said anything: keys cost more than a run does.
pub(crate) static CLIENTS: LazyLock<[Client; 3]> =
    LazyLock::new(|| [Client::new(1), Client::new(2), Client::anonymous()]);

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) key: Key,
    pub(crate) runtime: String,
    pub(crate) hyperty: String,
    /// What proves it, when it has a key.
    pub(crate) proof: Value,
    pub(crate) token: String,
    /// The header of the last request it was sent: id, from, to.
    pub(crate) asked: (Value, String, String),
}

impl Client {
    fn new(number: u8) -> Self {
        let (key, nonce) = (Key::from_bytes(&[number; 32]), [number; 16]);
        let id = key.public().mint(&nonce);
        let proof = json!({"publicKey": key.public().to_string(), "nonce": encode_bytes(&nonce)});
        Self::of(key, &id, proof)
    }

    fn anonymous() -> Self {
        Self::of(Key::from_bytes(&[3; 32]), "somebody", json!({}))
    }

    fn of(key: Key, id: &str, proof: Value) -> Self {
        Self {
            connection: None,
            key,
            runtime: format!("hyperty-runtime://localhost/{id}"),
            hyperty: format!("hyperty://localhost/{id}/h"),
            proof,
            token: String::new(),
            asked: (Value::Null, String::new(), String::new()),
        }
    }
}
