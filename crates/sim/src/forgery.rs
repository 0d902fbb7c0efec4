//! Frames of liars that would do harm, were they believed.

use byline_core::stream::Position;
use serde_json::{Value, json};

use crate::liar::{Kind, commit};
use crate::random::Random;
use crate::world::{DOMAIN, World};

/// What a liar needs to know of its victim.
struct Aim {
    /// The object, and where it stands.
    url: String,
    at: Position,
    /// The liar's own hyperty.
    own: String,
    /// A runtime, one of its hyperties, and its identity.
    runtime: String,
    hyperty: String,
    identity: String,
    some: u64,
}

/// A frame without its id: type, `from`, `to`, body.
type Forged = (&'static str, String, String, Value);

impl World {
    /// A frame of this kind, when there is somebody to harm.
    pub(crate) fn forges(
        &mut self,
        liar: usize,
        kind: Kind,
        object: usize,
        random: &mut Random,
    ) -> Option<String> {
        let url = self.url_of(object)?.as_str().to_owned();
        let victim = &self.places[random.index(self.places.len())].runtime;
        let aim = Aim {
            at: self.oracle.books.last(&url).unwrap_or_default(),
            url,
            own: self.liars[liar].hyperty.clone(),
            runtime: victim.url().as_str().to_owned(),
            hyperty: format!("hyperty://{DOMAIN}/{}/first", victim.url().id()),
            identity: victim.identity().as_str().to_owned(),
            some: random.next(),
        };
        let (kind, from, to, body) = match kind {
            Kind::Commit => aim.commit(),
            Kind::Head => aim.head(),
            // What has a readable address and no owner on record is anybody's to claim.
            Kind::Claim if self.oracle.is_unclaimed(&aim.url) => return None,
            Kind::Claim => aim.claim(),
            Kind::Answer => return self.answers_for_another(&aim),
            Kind::Unsubscribe => aim.unsubscribe(),
            Kind::Superseded => aim.superseded(),
            Kind::Command => aim.command(),
            Kind::Subscribe => aim.subscribe(),
            Kind::ForgedSource => aim.forged_source(),
            Kind::Tell => aim.tell(random),
            _ => aim.steal(),
        };
        Some(self.liars[liar].message(kind, &from, &to, &body))
    }

    /// Answers what somebody else was asked.
    fn answers_for_another(&self, aim: &Aim) -> Option<String> {
        let mut heard = self.overheard.iter().rev();
        let asked: Value =
            serde_json::from_str(heard.find(|frame| frame.contains("\"subscribe\""))?).ok()?;
        let epoch = aim.at.epoch + 1;
        let body = json!({"code": 200, "epoch": epoch, "position": [epoch, 3],
            "value": {"url": aim.url, "data": {"n": -1}}});
        let answer = json!({"id": asked["id"], "type": "response", "from": asked["to"],
            "to": asked["from"], "body": body});
        Some(answer.to_string())
    }
}

impl Aim {
    fn commit(&self) -> Forged {
        let at = Position::new(self.at.epoch + self.some % 2, self.at.version + 1);
        let body = commit(at, &self.own);
        ("update", self.url.clone(), self.changes(), body)
    }

    fn head(&self) -> Forged {
        let position = [self.at.epoch, self.at.version + self.some % 3];
        let body = json!({"epoch": self.at.epoch + 1, "position": position, "reporter": self.own,
            "live": true});
        ("update", self.url.clone(), self.changes(), body)
    }

    fn claim(&self) -> Forged {
        let claim = json!({"url": self.url, "reporter": self.own, "base": Value::Null, "take": true,
            "access": {"public": true, "anonymous": true}});
        let resources = [self.url.clone(), self.subscription()];
        let body = json!({"resources": resources, "source": self.own, "claim": claim});
        ("subscribe", self.own.clone(), manager(), body)
    }

    fn unsubscribe(&self) -> Forged {
        let body = json!({"source": self.hyperty});
        ("unsubscribe", self.own.clone(), self.subscription(), body)
    }

    /// Tells a runtime that its object was taken, in the node's name or in one's own.
    fn superseded(&self) -> Forged {
        let body = json!({"method": "superseded", "params": [self.url, self.at.epoch + 1]});
        let from = if self.even() {
            self.own.clone()
        } else {
            manager()
        };
        ("execute", from, format!("{}/sm", self.runtime), body)
    }

    /// What only an owner may command.
    fn command(&self) -> Forged {
        if self.some.is_multiple_of(5) {
            let from = if self.even() {
                self.subscription()
            } else {
                self.own.clone()
            };
            return ("delete", from, self.changes(), json!({}));
        }
        let access = json!({"public": true, "anonymous": true});
        let body = match self.some % 3 {
            0 => json!({"method": "kick", "params": [self.url, self.hyperty, 403, "gone"]}),
            1 => json!({"method": "allow", "params": [self.url, self.own]}),
            _ => json!({"method": "access", "params": [self.url, access]}),
        };
        ("execute", self.own.clone(), manager(), body)
    }

    fn subscribe(&self) -> Forged {
        let hold = self.some.is_multiple_of(3);
        let body = json!({"source": self.own, "hold": hold, "identity": self.identity});
        if self.even() {
            ("read", self.own.clone(), self.url.clone(), body)
        } else {
            ("subscribe", self.own.clone(), self.subscription(), body)
        }
    }

    fn forged_source(&self) -> Forged {
        let from = if self.even() {
            &self.hyperty
        } else {
            &self.own
        };
        let body = json!({"source": self.hyperty});
        ("subscribe", from.clone(), self.subscription(), body)
    }

    fn tell(&self, random: &mut Random) -> Forged {
        let kind = random.one_of(&["event", "execute", "delete", "nonsense", "update"]);
        let session = "mn:/session".to_owned();
        let to = [
            self.runtime.clone(),
            self.url.clone(),
            self.subscription(),
            manager(),
            session,
        ];
        let to = to[random.index(to.len())].clone();
        (kind, self.own.clone(), to, json!({"value": 1}))
    }

    /// The runtime URL of another, without its key.
    fn steal(&self) -> Forged {
        let token = if self.even() { "" } else { "/token" };
        let from = format!("{}{token}", self.runtime);
        ("re-open", from, "mn:/session".to_owned(), json!({}))
    }

    fn changes(&self) -> String {
        format!("{}/changes", self.url)
    }

    fn subscription(&self) -> String {
        format!("{}/subscription", self.url)
    }

    const fn even(&self) -> bool {
        self.some.is_multiple_of(2)
    }
}

/// The node's subscription manager.
pub(crate) fn manager() -> String {
    format!("domain://msg-node.{DOMAIN}/sm")
}
