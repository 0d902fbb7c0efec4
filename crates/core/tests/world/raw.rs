//! A client without a runtime: it says whatever it likes.

use byline_core::identity::{Identity, Key, encode_bytes};
use byline_core::node::{self, ConnectionId};
use byline_core::object::nesting;
use serde_json::{Value, json};

use super::{DOMAIN, World};

/// A raw client, on one connection.
#[derive(Clone)]
pub struct Client {
    pub connection: ConnectionId,
    pub key: Key,
    pub nonce: [u8; 16],
    pub runtime: String,
    pub hyperty: String,
    pub token: String,
    /// What shows who it is to a node that asks.
    pub pass: Option<String>,
}

impl Client {
    pub fn identity(&self) -> Identity {
        self.key.public().identity()
    }

    /// The same client on another connection.
    pub fn at(&self, connection: ConnectionId) -> Self {
        Self {
            connection,
            ..self.clone()
        }
    }
}

impl World {
    /// A connection on which nothing was said.
    pub fn connects(&mut self) -> ConnectionId {
        self.connection()
    }

    /// A client of the identity with this number, who has said nothing yet.
    pub fn stranger(&mut self, identity: u8) -> Client {
        let connection = self.connection();
        let key = Key::from_bytes(&[identity; 32]);
        let nonce = [u8::try_from(connection.0).unwrap(); 16];
        let id = key.public().mint(&nonce);
        Client {
            connection,
            key,
            nonce,
            runtime: format!("hyperty-runtime://{DOMAIN}/{id}"),
            hyperty: format!("hyperty://{DOMAIN}/{id}/h"),
            token: String::new(),
            pass: None,
        }
    }

    /// A client of the identity with this number, whose session is open.
    pub fn client(&mut self, identity: u8) -> Client {
        let mut client = self.stranger(identity);
        let answer = self.opens(&client, "open", &client.runtime.clone());
        assert_eq!(answer["body"]["code"], 200, "{answer}");
        client.token = of(&answer, "runtimeToken");
        client
    }

    /// Opens or re-opens as `from`, and proves it.
    pub fn opens(&mut self, client: &Client, kind: &str, from: &str) -> Value {
        let body = open_body(client, None);
        let challenged = self.asks(client, kind, from, "mn:/session", body);
        if challenged["body"]["challenge"].is_null() {
            return challenged;
        }
        let challenge = of(&challenged, "challenge");
        let signature = client.key.prove(DOMAIN, &client.runtime, &challenge);
        let body = open_body(client, Some(&signature));
        self.asks(client, kind, from, "mn:/session", body)
    }

    /// Re-opens the session of `client` on a connection of its own.
    pub fn reopens(&mut self, client: &Client) -> (Client, Value) {
        let connection = self.connection();
        let again = client.at(connection);
        let from = format!("{}/{}", client.runtime, client.token);
        let answer = self.opens(&again, "re-open", &from);
        (again, answer)
    }

    /// Sends text, and lets everything happen.
    pub fn says(&mut self, client: &Client, frame: &str) {
        assert!(nesting(frame.as_bytes()) < 1_000, "a sane test");
        self.hands_to_node(client.connection, frame);
        self.settles();
    }

    /// Sends a request and returns the last answer to it, `null` when there is none yet.
    pub fn asks(
        &mut self,
        client: &Client,
        kind: &str,
        from: &str,
        to: &str,
        body: Value,
    ) -> Value {
        self.connections += 1;
        let id = self.connections + 1_000_000;
        let frame = json!({"id": id, "type": kind, "from": from, "to": to, "body": body});
        self.says(client, &frame.to_string());
        self.answer(client, &json!(id))
    }

    /// The last answer to the request `id`.
    pub fn answer(&self, client: &Client, id: &Value) -> Value {
        let frames = self.frames(client);
        let found = frames
            .into_iter()
            .rfind(|frame| frame["type"] == "response" && frame["id"] == *id);
        found.unwrap_or(Value::Null)
    }

    /// Everything a client was sent.
    pub fn frames(&self, client: &Client) -> Vec<Value> {
        let inbox = self.inboxes.get(&client.connection);
        let frames = inbox.map_or(&[][..], Vec::as_slice);
        frames
            .iter()
            .map(|frame| serde_json::from_str(frame).unwrap())
            .collect()
    }

    /// How many frames of this type a client was sent.
    pub fn counts(&self, client: &Client, kind: &str) -> usize {
        let frames = self.frames(client);
        frames.iter().filter(|frame| frame["type"] == kind).count()
    }

    pub fn claims(&mut self, client: &Client, url: &str, with: Value) -> Value {
        let mut claim = json!({"url": url, "reporter": client.hyperty, "access": {"public": true}});
        for (key, value) in with.as_object().unwrap() {
            claim[key] = value.clone();
        }
        let resources = json!([url, format!("{url}/subscription")]);
        let body = json!({"resources": resources, "source": client.hyperty, "claim": claim});
        self.asks(client, "subscribe", &client.hyperty, &sm(), body)
    }

    pub fn subscribes_raw(&mut self, client: &Client, url: &str) -> Value {
        let body = json!({"source": client.hyperty});
        let to = format!("{url}/subscription");
        self.asks(client, "subscribe", &client.hyperty, &to, body)
    }

    /// Says that an object of the client's is over.
    pub fn deletes(&mut self, client: &Client, url: &str) -> Value {
        let (from, to) = (format!("{url}/subscription"), format!("{url}/changes"));
        self.asks(client, "delete", &from, &to, json!({}))
    }

    /// Sends a commit and returns the refusal, `null` when there is none.
    pub fn commits(&mut self, client: &Client, url: &str, at: (u64, u64), base: Value) -> Value {
        let body = json!({"epoch": at.0, "version": at.1, "base": base, "source": client.hyperty,
            "lastModified": "2026-11-21T10:00:00Z", "attribute": "n", "value": at.1});
        self.asks(client, "update", url, &format!("{url}/changes"), body)
    }

    /// The client's socket is gone.
    pub fn drops(&mut self, client: &Client) {
        self.lost(client.connection);
        self.settles();
    }

    pub fn node_says(&mut self, input: node::Input) {
        self.node.handle(input, self.now);
        self.settles();
    }
}

pub fn sm() -> String {
    format!("domain://msg-node.{DOMAIN}/sm")
}

/// A text in the body of an answer.
pub fn of(answer: &Value, field: &str) -> String {
    answer["body"][field]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn open_body(client: &Client, signature: Option<&str>) -> Value {
    let public_key = client.key.public().to_string();
    let nonce = encode_bytes(&client.nonce);
    let mut body = json!({"publicKey": public_key, "nonce": nonce});
    if let Some(signature) = signature {
        body["signature"] = json!(signature);
    }
    if let Some(pass) = &client.pass {
        body["token"] = json!(pass);
    }
    body
}
