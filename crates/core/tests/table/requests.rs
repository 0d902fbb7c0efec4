//! The rows of the table: each request as it is sent in each column.

use byline_core::identity::encode_bytes;
use byline_core::limits::{
    ACCESS_ENTRIES_MAX, CHALLENGE_MS, COMMIT_BODY_BYTES_MAX, HYPERTIES_PER_SESSION_MAX, OWNERS_MAX,
    UNANSWERED_PER_ASKER_MAX,
};
use serde_json::{Value, json};

use super::scene::{CELLAR, Receiver, Request, Scene};
use crate::world::kitchen::KITCHEN;
use crate::world::{Client, DOMAIN, of, sm};

const SESSION: &str = "mn:/session";

impl Scene {
    pub(crate) fn request(&mut self, request: &str, receiver: Receiver) -> Request {
        match request {
            "open" | "re-open" => self.opening(request, receiver),
            "ping" => self.session("ping", receiver),
            "close" => self.session("close", receiver),
            "claim" => self.claim(receiver),
            "subscribe" => self.reading("subscribe", json!({}), receiver),
            "subscribe, hold" => self.reading("subscribe", json!({"hold": true}), receiver),
            "read" => self.reading("read", json!({}), receiver),
            "subscribe to many" => self.many(receiver),
            "unsubscribe" => self.unsubscribe(receiver),
            "update, a commit" => self.commit(receiver),
            "update, a head" => self.head(receiver),
            "delete" => self.delete(receiver),
            "execute kick" => {
                let reader = json!(self.reader.hyperty);
                self.command("kick", &reader, receiver)
            }
            "execute allow" => {
                let reader = json!(self.reader.hyperty);
                self.command("allow", &reader, receiver)
            }
            "execute access" => self.command("access", &json!({"public": true}), receiver),
            "execute delegate" => self.delegation(receiver),
            "execute observers" => self.command("observers", &Value::Null, receiver),
            "create, a child" | "update, a child" | "delete, a child" | "event, to children" => {
                self.child(request, receiver)
            }
            "read, a chunk" => self.chunk(receiver),
            "execute, to an object" => self.execute(receiver),
            "create, an invitation" => {
                let to = self.reader.hyperty.clone();
                self.invitation(to, receiver)
            }
            "create, an invitation of a person" => {
                let to = self.reader.identity().as_str().to_owned();
                self.invitation(to, receiver)
            }
            "execute, to a hyperty" => {
                let to = self.reader.hyperty.clone();
                self.peer("execute", to, receiver)
            }
            "execute, to a runtime" => {
                let to = self.reader.runtime.clone();
                self.peer("execute", to, receiver)
            }
            "any other, to a peer" => {
                let to = self.reader.hyperty.clone();
                self.peer("paint", to, receiver)
            }
            "any other, to an object" => self.other(KITCHEN, CELLAR, receiver),
            "any other, to the node" => self.other(&sm(), "domain://registry.localhost", receiver),
            "event" => self.event(receiver),
            other => panic!("no such request: {other}"),
        }
    }

    pub(crate) fn of_asker(
        &self,
        kind: &'static str,
        to: &str,
        body: Value,
        receiver: &Client,
    ) -> Request {
        Request {
            by: self.asker.clone(),
            kind,
            from: self.asker.hyperty.clone(),
            to: to.to_owned(),
            body,
            receiver: receiver.clone(),
            reaches: to.to_owned(),
        }
    }

    /// An `open` or `re-open` that shows its proof.
    fn opening(&mut self, kind: &str, receiver: Receiver) -> Request {
        let mut by = self.world.stranger(4);
        let mut from = by.runtime.clone();
        if kind == "re-open" {
            by = self.asker.at(by.connection);
            from = match receiver {
                Receiver::Unknown => format!("{}/no-such-token", by.runtime),
                _ => format!("{}/{}", by.runtime, by.token),
            };
        }
        let key = by.key.public().to_string();
        let mut body = json!({"publicKey": key, "nonce": encode_bytes(&by.nonce)});
        let challenged = self.world.asks(&by, kind, &from, SESSION, body.clone());
        let challenge = of(&challenged, "challenge");
        let signer = match receiver {
            Receiver::NotPermitted => &self.reader.key,
            _ => &by.key,
        };
        body["signature"] = json!(signer.prove(DOMAIN, &by.runtime, &challenge));
        if receiver == Receiver::OverALimit {
            self.world.passes(CHALLENGE_MS + 1);
        }
        let to = match (kind, receiver) {
            ("open", Receiver::Unknown) => sm(),
            _ => SESSION.to_owned(),
        };
        Request {
            kind: if kind == "open" { "open" } else { "re-open" },
            from,
            body,
            receiver: self.reader.clone(),
            reaches: to.clone(),
            to,
            by,
        }
    }

    fn session(&mut self, kind: &'static str, receiver: Receiver) -> Request {
        let by = match receiver {
            Receiver::NotPermitted => self.world.stranger(4),
            _ => self.asker.clone(),
        };
        let to = match receiver {
            Receiver::Unknown => sm(),
            _ => SESSION.to_owned(),
        };
        Request {
            from: by.runtime.clone(),
            ..self.of_asker(kind, &to, json!({}), &by)
        }
        .said_by(by)
    }

    fn claim(&self, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => "ctxt://example.com/cellar",
            Receiver::NotPermitted => KITCHEN,
            _ => CELLAR,
        };
        let entries = if receiver == Receiver::OverALimit {
            ACCESS_ENTRIES_MAX + 1
        } else {
            0
        };
        let hyperty = &self.asker.hyperty;
        let claim = json!({"url": url, "reporter": hyperty, "access": {"deny": named(entries)}});
        let resources = json!([url, format!("{url}/subscription")]);
        let body = json!({"resources": resources, "source": hyperty, "claim": claim});
        self.of_asker("subscribe", &sm(), body, &self.asker)
    }

    /// `subscribe` and `read`, whose receiver is the Reporter.
    fn reading(&mut self, kind: &'static str, body: Value, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        self.prepares(receiver);
        let to = match kind {
            "read" => url.to_owned(),
            _ => format!("{url}/subscription"),
        };
        self.of_asker(kind, &to, body, &self.reporter)
    }

    fn many(&mut self, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        let mut objects = json!({ url: null });
        if receiver == Receiver::OverALimit {
            for n in 0..UNANSWERED_PER_ASKER_MAX {
                objects[format!("{CELLAR}/{n}")] = Value::Null;
            }
        } else {
            self.prepares(receiver);
        }
        let body = json!({ "objects": objects });
        Request {
            reaches: format!("{url}/subscription"),
            ..self.of_asker("subscribe", &sm(), body, &self.reporter)
        }
    }

    fn unsubscribe(&self, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        let source = match receiver {
            Receiver::NotPermitted => &self.asker.hyperty,
            _ => &self.reader.hyperty,
        };
        let (to, body) = (format!("{url}/subscription"), json!({ "source": source }));
        Request {
            from: self.reader.hyperty.clone(),
            ..self.of_asker("unsubscribe", &to, body, &self.reporter)
        }
        .said_by(self.reader.clone())
    }

    /// What only the holder sends to its readers.
    fn update(&self, kind: &'static str, body: Value, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        let by = match receiver {
            Receiver::NotPermitted => self.asker.clone(),
            _ => self.reporter.clone(),
        };
        let from = match (kind, receiver) {
            // Nobody owns it: what is refused is that it is said about an object not held.
            (_, Receiver::Unknown) => by.hyperty.clone(),
            ("delete", _) => format!("{url}/subscription"),
            _ => url.to_owned(),
        };
        Request {
            from,
            ..self.of_asker(kind, &format!("{url}/changes"), body, &self.reader)
        }
        .said_by(by)
    }

    fn commit(&self, receiver: Receiver) -> Request {
        let value = match receiver {
            Receiver::OverALimit => "x".repeat(COMMIT_BODY_BYTES_MAX),
            _ => "x".to_owned(),
        };
        let body = json!({"epoch": self.epoch, "version": 1, "attribute": "n", "value": value});
        self.update("update", body, receiver)
    }

    fn head(&self, receiver: Receiver) -> Request {
        let (epoch, hyperty) = (self.epoch, &self.reporter.hyperty);
        let body =
            json!({"epoch": epoch, "position": [epoch, 0], "reporter": hyperty, "live": true});
        self.update("update", body, receiver)
    }

    fn delete(&self, receiver: Receiver) -> Request {
        self.update("delete", json!({}), receiver)
    }

    /// What an owner commands; its receiver is the reader that it concerns.
    fn command(&mut self, method: &str, what: &Value, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        let by = match receiver {
            Receiver::NotPermitted => self.asker.clone(),
            _ => self.reporter.clone(),
        };
        let mut params = json!([url, what]);
        if receiver == Receiver::OverALimit {
            params[1] = json!({"deny": named(ACCESS_ENTRIES_MAX)});
            if method == "kick" {
                let body = json!({"method": "access", "params": params});
                let from = by.hyperty.clone();
                self.world.asks(&by, "execute", &from, &sm(), body);
                params[1] = json!("user-guid://one-more");
            } else {
                params[1]["authorise"] = json!(named(1));
            }
        }
        let body = json!({"method": method, "params": params});
        Request {
            from: by.hyperty.clone(),
            ..self.of_asker("execute", &sm(), body, &self.reader)
        }
        .said_by(by)
    }

    /// The holder hands its object over; its receiver is who is to have it.
    fn delegation(&mut self, receiver: Receiver) -> Request {
        let url = match receiver {
            Receiver::Unknown => CELLAR,
            _ => KITCHEN,
        };
        let mut by = match receiver {
            Receiver::NotPermitted => self.asker.clone(),
            _ => self.reporter.clone(),
        };
        let to = |heir: &Client| {
            let params = json!([url, heir.identity(), heir.identity(), true]);
            json!({"method": "delegate", "params": params})
        };
        if receiver == Receiver::OverALimit {
            for owner in 1..OWNERS_MAX {
                let heir = self.world.client(100 + u8::try_from(owner).unwrap());
                let (from, body) = (by.hyperty.clone(), to(&heir));
                self.world.asks(&by, "execute", &from, &sm(), body);
                let base = json!({"base": [self.epoch, 0]});
                self.world.claims(&heir, KITCHEN, base);
                by = heir;
            }
        }
        let body = to(&self.reader);
        Request {
            from: by.hyperty.clone(),
            ..self.of_asker("execute", &sm(), body, &self.reader)
        }
        .said_by(by)
    }

    /// A message to a hyperty or a runtime.
    fn peer(&mut self, kind: &'static str, to: String, receiver: Receiver) -> Request {
        let to = match receiver {
            Receiver::Unknown => format!("{to}-nobody"),
            _ => to,
        };
        let from = match receiver {
            Receiver::NotPermitted => self.reporter.hyperty.clone(),
            _ => self.asker.hyperty.clone(),
        };
        // The address is known by its first use.
        let (hyperty, body) = (self.reader.hyperty.clone(), json!({}));
        let runtime = self.reader.runtime.clone();
        self.world
            .asks(&self.reader, "event", &hyperty, &runtime, body);
        if receiver == Receiver::OverALimit {
            self.asks_too_much(&self.asker.clone());
        }
        Request {
            from,
            ..self.of_asker(kind, &to, json!({}), &self.reader)
        }
    }

    fn event(&mut self, receiver: Receiver) -> Request {
        if receiver != Receiver::OverALimit {
            let to = self.reader.hyperty.clone();
            return self.peer("event", to, receiver);
        }
        let (own, to) = (self.asker.hyperty.clone(), self.reader.hyperty.clone());
        for n in 0..=HYPERTIES_PER_SESSION_MAX {
            let from = format!("{own}{n}");
            self.world.asks(&self.asker, "event", &from, &to, json!({}));
        }
        Request {
            from: format!("{own}-one-more"),
            ..self.of_asker("event", &to, json!({}), &self.reporter)
        }
    }

    /// A type that nobody at the address takes.
    fn other(&self, known: &str, unknown: &str, receiver: Receiver) -> Request {
        let to = match receiver {
            Receiver::Unknown => unknown,
            _ => known,
        };
        let from = match receiver {
            Receiver::NotPermitted => &self.reader.hyperty,
            _ => &self.asker.hyperty,
        };
        Request {
            from: from.clone(),
            ..self.of_asker("paint", to, json!({}), &self.reporter)
        }
    }

    /// Who may not, and who asks too much.
    fn prepares(&mut self, receiver: Receiver) {
        match receiver {
            Receiver::NotPermitted => self.puts_out(),
            Receiver::OverALimit => self.asks_too_much(&self.asker.clone()),
            _ => {}
        }
    }
}

impl Request {
    pub(crate) fn said_by(self, by: Client) -> Self {
        Self { by, ..self }
    }
}

fn named(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-guid://{n}")).collect()
}
