//! A Reporter of an object with children, one who writes there and one who reads, who say everything
//! themselves.

use serde_json::{Value, json};

use super::kitchen::{KITCHEN, answers, code, kitchen};
use super::{Client, World, sm};

pub const CHAT: &str = "ctxt://localhost/kitchen/children/chat";

pub struct Chat {
    pub world: World,
    pub reporter: Client,
    pub author: Client,
    pub reader: Client,
    pub epoch: u64,
}

pub fn chat() -> Chat {
    let (mut world, reporter, reader, epoch) = kitchen();
    let author = world.client(3);
    let mut chat = Chat {
        world,
        reporter,
        author: author.clone(),
        reader,
        epoch,
    };
    chat.lets_in(&author);
    chat
}

impl Chat {
    /// `client` subscribes, and the Reporter says yes.
    pub fn lets_in(&mut self, client: &Client) {
        assert_eq!(self.world.subscribes_raw(client, KITCHEN), Value::Null);
        let asked = self.world.frames(&self.reporter).pop().unwrap();
        answers(&mut self.world, &self.reporter, &asked, (self.epoch, 0));
        let answer = self.world.frames(client).pop().unwrap();
        assert_eq!(code(&answer), 200, "{answer}");
    }

    /// The Reporter's session observes its own object, under another hyperty.
    pub fn observes_itself(&mut self) {
        let hyperty = format!("{}-too", self.reporter.hyperty);
        let observer = Client {
            hyperty,
            ..self.reporter.clone()
        };
        assert_eq!(self.world.subscribes_raw(&observer, KITCHEN), Value::Null);
        let asked = self.world.frames(&self.reporter).pop().unwrap();
        answers(&mut self.world, &self.reporter, &asked, (self.epoch, 0));
    }

    /// The commit that makes the child with this number of `author`, as its first one.
    pub fn creation(&self, author: &Client, number: u64) -> Value {
        json!({"epoch": 1, "seq": number, "resource": format!("{}#{number}", author.hyperty),
            "created": self.world.now.rfc3339(), "value": {"text": "hello"}})
    }

    /// Sends a commit or an event of `author` and returns the answer, `null` when there is none yet.
    pub fn commits(&mut self, author: &Client, kind: &str, body: Value) -> Value {
        self.world.asks(author, kind, &author.hyperty, CHAT, body)
    }

    /// The child commits that the Reporter was asked to take.
    pub fn asked(&self) -> Vec<Value> {
        let mut frames = self.world.frames(&self.reporter);
        frames.retain(|frame| frame["to"] == CHAT && frame["id"] != Value::Null);
        frames
    }

    /// The Reporter takes what it was asked to.
    pub fn takes(&mut self, asked: &Value) {
        let position = [&asked["body"]["epoch"], &asked["body"]["seq"]];
        self.answers(asked, &json!({"code": 200, "position": position}));
    }

    pub fn answers(&mut self, asked: &Value, body: &Value) {
        let answer = json!({"id": asked["id"], "type": "response", "from": asked["to"],
            "to": asked["from"], "body": body});
        self.world.says(&self.reporter.clone(), &answer.to_string());
    }

    /// The Reporter puts a reader out.
    pub fn kicks(&mut self, reader: &str) {
        let body = json!({"method": "kick", "params": [KITCHEN, reader]});
        let reporter = self.reporter.clone();
        let answer = self
            .world
            .asks(&reporter, "execute", &reporter.hyperty, &sm(), body);
        assert_eq!(code(&answer), 200, "{answer}");
    }
}
