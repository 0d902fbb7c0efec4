//! Tokens without cryptography: what the machines make of a token is tried here, what a true one is
//! elsewhere.

use byline_core::error::Refusal;
use byline_core::identity::{Identity, Token};
use byline_core::node::{Proven, VerifyToken};
use byline_core::time::Time;

use super::{Client, Who, World};

/// Takes `<person> <end>` until the end.
#[derive(Debug)]
struct Passes;

impl VerifyToken for Passes {
    fn verify(&self, token: &str, now: Time) -> Result<Proven, Refusal> {
        let parts = token.split_once(' ');
        let read = parts.and_then(|(person, end)| Some((person, end.parse().ok()?)));
        let (person, end) = read.ok_or_else(|| Refusal::needs_auth("this is no pass"))?;
        let expires = Time::from_unix_ms(end);
        if expires <= now {
            return Err(Refusal::needs_auth("the pass has ended"));
        }
        let identity = identity(person);
        Ok(Proven { identity, expires })
    }
}

pub fn identity(person: &str) -> Identity {
    format!("user://example.com/{person}").as_str().into()
}

impl World {
    /// A node that asks who everybody is.
    pub fn of_people() -> Self {
        let mut world = Self::new();
        world.node.ask_for_tokens(Box::new(Passes));
        world
    }

    /// What shows `person` for the next `ms` milliseconds.
    pub fn pass(&self, person: &str, ms: u64) -> String {
        format!("{person} {}", self.now.plus_ms(ms).unix_ms())
    }

    /// One more runtime, with a key of its own, that has a token of `person`.
    pub fn runtime_as(&mut self, person: &str, ms: u64) -> Who {
        let who = self.runtime();
        let token = self.pass(person, ms);
        self.authenticates(who, token);
        who
    }

    /// Gives a runtime a token, and waits for nothing.
    pub fn authenticates(&mut self, who: Who, token: String) {
        let now = self.now;
        self.machine(who).authenticate(Token::from(token), now);
        self.collect();
    }

    /// A client of the key with this number, who is `person` for the next `ms` milliseconds.
    pub fn client_as(&mut self, key: u8, person: &str, ms: u64) -> Client {
        let mut client = self.stranger(key);
        client.pass = Some(self.pass(person, ms));
        let answer = self.opens(&client, "open", &client.runtime.clone());
        assert_eq!(answer["body"]["code"], 200, "{answer}");
        client.token = super::of(&answer, "runtimeToken");
        client
    }
}
