//! Tokens without cryptography: what the machines make of a token is tried here, what a true one is
//! elsewhere.

use byline_core::error::Refusal;
use byline_core::identity::{Identity, Token};
use byline_core::node::{Proven, VerifyToken};
use byline_core::runtime::Seat;
use byline_core::time::Time;

use super::{Client, Who, World, count};

pub const HOUR_MS: u64 = 3_600_000;
pub const MINUTE_MS: u64 = 60_000;

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

/// Ana's Reporter, and Ben's reader whose token lasts for `ms`.
pub fn room(ms: u64) -> (World, Who, Who, Seat, Seat) {
    let mut world = World::of_people();
    let ana = world.runtime_as("ana", HOUR_MS);
    let ben = world.runtime_as("ben", ms);
    let reporter = world.creates(ana, "room", count(0));
    let observer = world.subscribes(ben, "room");
    world.settles();
    world.assert_follows(&observer, &reporter);
    (world, ana, ben, reporter, observer)
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
