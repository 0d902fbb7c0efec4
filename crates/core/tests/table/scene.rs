//! What becomes of a request's receiver, and what its asker is answered meanwhile.

use byline_core::limits::{GRACE_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX};
use serde_json::{Value, json};

use crate::world::kitchen::{KITCHEN, answers, code, kitchen};
use crate::world::{Client, World};

/// An object that nobody has claimed.
pub(crate) const CELLAR: &str = "ctxt://localhost/cellar";
/// The id of the request that a cell is about.
pub(crate) const ID: &str = "cell";

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Receiver {
    Alive,
    /// Its socket is lost before the request comes, and its session ends; then another comes.
    DiesBefore,
    /// Its socket is lost when it has the request; it comes back, and answers.
    DiesAfter,
    Unknown,
    NotPermitted,
    OverALimit,
}

impl Receiver {
    pub(crate) const ALL: [Self; 6] = [
        Self::Alive,
        Self::DiesBefore,
        Self::DiesAfter,
        Self::Unknown,
        Self::NotPermitted,
        Self::OverALimit,
    ];
}

/// A request, by whom, and who receives it.
pub(crate) struct Request {
    pub(crate) by: Client,
    pub(crate) kind: &'static str,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) body: Value,
    pub(crate) receiver: Client,
    /// At which address the receiver gets it.
    pub(crate) reaches: String,
}

/// A Reporter that holds the kitchen, its reader, and somebody else.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) reporter: Client,
    pub(crate) reader: Client,
    pub(crate) asker: Client,
    pub(crate) epoch: u64,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (mut world, reporter, reader, epoch) = kitchen();
        let asker = world.client(3);
        Self {
            world,
            reporter,
            reader,
            asker,
            epoch,
        }
    }

    /// Sends the request while its receiver is as the column says, lets all time-outs pass, and
    /// returns the codes of the answers.
    pub(crate) fn plays(&mut self, request: &str, receiver: Receiver) -> Vec<u64> {
        let request = self.request(request, receiver);
        let (kind, to) = (request.kind, &request.reaches);
        let receives = |world: &World| {
            let frames = world.frames(&request.receiver);
            let is_it = |frame: &&Value| frame["type"] == kind && frame["to"] == **to;
            frames.iter().filter(is_it).count()
        };
        if receiver == Receiver::DiesBefore {
            self.world.drops(&request.receiver);
        }
        let before = receives(&self.world);
        let frame = json!({"id": ID, "type": kind, "from": request.from, "to": request.to,
            "body": request.body});
        self.world.says(&request.by, &frame.to_string());
        match receiver {
            Receiver::Alive => self.receiver_answers(&request.receiver, &request.reaches),
            Receiver::DiesAfter => {
                assert_eq!(receives(&self.world), before + 1, "it was forwarded");
                self.world.drops(&request.receiver);
                let (back, _) = self.world.reopens(&request.receiver);
                self.answers_late(&request.receiver, &back);
            }
            Receiver::DiesBefore | Receiver::Unknown => {
                self.world.passes(GRACE_MS + 1);
                self.somebody_comes();
            }
            Receiver::NotPermitted | Receiver::OverALimit => {
                assert_eq!(receives(&self.world), before, "it was not forwarded");
            }
        }
        self.world.passes(UNANSWERED_MS + GRACE_MS);
        self.codes(&request.by)
    }

    /// The codes of all answers to the request, and to the objects that it names one by one.
    fn codes(&self, by: &Client) -> Vec<u64> {
        let frames = self.world.frames(by);
        let is_answer = |frame: &&Value| {
            let ids = [ID, KITCHEN, CELLAR];
            frame["type"] == "response" && ids.iter().any(|id| frame["id"] == **id)
        };
        let mut codes = vec![];
        for answer in frames.iter().filter(is_answer) {
            codes.push(code(answer));
            let objects = answer["body"]["objects"].as_object();
            let refused = objects.into_iter().flatten();
            let refused = refused.filter_map(|(_, object)| object["code"].as_u64());
            codes.extend(refused.filter(|code| *code >= 200));
        }
        codes
    }

    /// The receiver answers what it was sent, twice: the second is nobody's.
    fn receiver_answers(&mut self, receiver: &Client, to: &str) {
        for frame in self.world.frames(receiver) {
            let asked = frame["type"] != "response" && frame["id"] != Value::Null;
            if asked && frame["to"] == to {
                answers(&mut self.world, receiver, &frame, (self.epoch, 0));
                answers(&mut self.world, receiver, &frame, (self.epoch, 0));
            }
        }
    }

    /// The receiver answers on its new socket what it was sent on the old one.
    fn answers_late(&mut self, receiver: &Client, back: &Client) {
        for frame in self.world.frames(receiver) {
            if frame["type"] != "response" && frame["id"] != Value::Null {
                answers(&mut self.world, back, &frame, (self.epoch, 0));
            }
        }
    }

    /// Another session of the owner claims what is free, and answers who waits.
    fn somebody_comes(&mut self) {
        let device = self.world.client(1);
        for (url, base) in [(KITCHEN, json!([self.epoch, 0])), (CELLAR, Value::Null)] {
            self.world.claims(&device, url, json!({"base": base}));
        }
        for frame in self.world.frames(&device) {
            if frame["type"] == "subscribe" || frame["type"] == "read" {
                answers(&mut self.world, &device, &frame, (self.epoch, 0));
            }
        }
    }

    /// A client has as many requests unanswered as it may.
    pub(crate) fn asks_too_much(&mut self, by: &Client) {
        for _ in 0..UNANSWERED_PER_ASKER_MAX {
            let answer = self.world.asks(by, "read", &by.hyperty, KITCHEN, json!({}));
            assert_eq!(answer, Value::Null);
        }
    }

    /// The Reporter puts the asker out.
    pub(crate) fn puts_out(&mut self) {
        let body = json!({"method": "kick", "params": [KITCHEN, self.asker.identity()]});
        let from = self.reporter.hyperty.clone();
        let sm = crate::world::sm();
        let answer = self.world.asks(&self.reporter, "execute", &from, &sm, body);
        assert_eq!(code(&answer), 200, "{answer}");
    }
}
