//! The rows of what others than the Reporter write, execute, and are invited to.

use byline_core::limits::{CHILD_BODY_BYTES_MAX, MODERATED_MAX};
use serde_json::{Value, json};

use super::scene::{CELLAR, Receiver, Request, Scene};
use crate::world::kitchen::KITCHEN;

impl Scene {
    /// What a reader writes, or somebody else who may not.
    pub(crate) fn child(&self, request: &str, receiver: Receiver) -> Request {
        let by = match receiver {
            Receiver::NotPermitted => &self.asker,
            _ => &self.reader,
        };
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        let (resource, created) = (format!("{}#1", by.hyperty), self.world.now.rfc3339());
        let mut body = json!({"epoch": 1, "seq": 1, "resource": resource, "created": created});
        let kind = match request {
            "create, a child" => "create",
            "update, a child" => "update",
            "delete, a child" => "delete",
            _ => "event",
        };
        match kind {
            "create" => body["value"] = json!({}),
            "update" => body["attribute"] = json!("n"),
            _ => {}
        }
        if receiver == Receiver::OverALimit {
            if kind == "delete" {
                let many = (0..=MODERATED_MAX).map(|n| (format!("x#{n}"), json!([1, 1])));
                body = json!({"epoch": 1, "seq": 1, "of": many.collect::<serde_json::Map<_, _>>()});
            } else {
                body["value"] = json!({"text": "x".repeat(CHILD_BODY_BYTES_MAX)});
            }
        }
        let to = format!("{url}/children/chat");
        Request {
            from: by.hyperty.clone(),
            ..self.of_asker(kind, &to, body, &self.reporter)
        }
        .said_by(by.clone())
    }

    /// What a reader has its object's Reporter do.
    pub(crate) fn execute(&mut self, receiver: Receiver) -> Request {
        let body = json!({"method": "open", "params": []});
        self.of_reader("execute", "", body, receiver)
    }

    /// A chunk of a file that the object's Reporter has.
    pub(crate) fn chunk(&mut self, receiver: Receiver) -> Request {
        let resource = format!("{}#1", self.reporter.hyperty);
        let body = json!({"resource": resource, "chunk": 0});
        self.of_reader("read", "/children/chat", body, receiver)
    }

    fn of_reader(
        &mut self,
        kind: &'static str,
        at: &str,
        body: Value,
        receiver: Receiver,
    ) -> Request {
        let by = match receiver {
            Receiver::NotPermitted => self.asker.clone(),
            _ => self.reader.clone(),
        };
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        if receiver == Receiver::OverALimit {
            self.asks_too_much(&by);
        }
        Request {
            from: by.hyperty.clone(),
            ..self.of_asker(kind, &format!("{url}{at}"), body, &self.reporter)
        }
        .said_by(by)
    }

    /// What a Reporter sends to whom it wants to read; its receiver is that one.
    pub(crate) fn invitation(&mut self, to: String, receiver: Receiver) -> Request {
        let by = match receiver {
            Receiver::NotPermitted => self.asker.clone(),
            _ => self.reporter.clone(),
        };
        let to = match receiver {
            Receiver::Unknown => format!("{to}-nobody"),
            _ => to,
        };
        if receiver == Receiver::OverALimit {
            self.asks_too_much(&by);
        }
        let body = json!({"source": by.hyperty, "value": Value::Null});
        Request {
            from: format!("{KITCHEN}/subscription"),
            ..self.of_asker("create", &to, body, &self.reader)
        }
        .said_by(by)
    }
}
