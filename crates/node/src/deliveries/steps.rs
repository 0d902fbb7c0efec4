//! What happens on a walk: each step is done at the node and told to the model.

use byline_core::node::ConnectionId;
use serde_json::{Value, json};

use super::model::{Access, At, Claim, Object, Which, Who};
use super::{OBJECTS, Walk};

const SM: &str = "domain://msg-node.localhost/sm";

fn url(which: Which) -> String {
    format!("ctxt://localhost/o/{which:04}")
}

impl Walk {
    pub(super) async fn steps_once(&mut self) {
        if self.stall.is_some_and(|stall| stall.until <= self.step) {
            self.ends_stall().await;
        }
        if self.stall.is_none() && self.step >= self.stall_at {
            self.stalls().await;
        }
        match self.up_to(199) {
            0..80 => self.commits(),
            80..108 => self.subscribes(),
            108..140 => self.answers(),
            140..156 => self.claims().await,
            156..162 => self.kicks("kick"),
            162..167 => self.kicks("allow"),
            167..172 => self.says_access(),
            172..178 => self.unsubscribes(),
            178..182 => self.heads(),
            182..185 => self.cuts().await,
            185..191 => self.comes_back().await,
            191 => self.anew().await,
            192 => self.closes().await,
            193 if self.up_to(2) == 0 => self.deletes(),
            _ => {
                let ms = [10, 3_000, 31_000, 45_000][self.up_to(3)];
                self.passes(ms).await;
            }
        }
    }

    pub(super) fn one_of<T: Clone>(&mut self, many: &[T]) -> Option<T> {
        let last = many.len().checked_sub(1)?;
        let index = self.up_to(last);
        Some(many[index].clone())
    }

    fn an_object(&mut self) -> Which {
        let index = self.up_to(OBJECTS - 1);
        self.objects[index]
    }

    /// Somebody who is connected.
    pub(super) fn somebody(&mut self) -> Option<(Who, ConnectionId)> {
        let sessions = self.model.sessions.iter();
        let connected = sessions.filter_map(|(who, session)| Some((*who, session.connection?)));
        let connected: Vec<_> = connected.collect();
        self.one_of(&connected)
    }

    /// Mostly who holds the object; now and then anybody.
    fn a_writer(&mut self, which: Which) -> Option<(Who, ConnectionId)> {
        let holder = self.model.objects[&which].holder;
        let connected = holder.and_then(|who| Some((who, self.model.connection(who)?)));
        match connected {
            Some(holder) if self.up_to(9) > 0 => Some(holder),
            _ => self.somebody(),
        }
    }

    /// Mostly somebody who may claim the object.
    fn an_owner(&mut self, which: Which) -> Option<(Who, ConnectionId)> {
        let somebody = self.somebody();
        let record = self.model.objects[&which].record.as_ref();
        let Some(owner) = record.map(|record| record.owner.clone()) else {
            return somebody;
        };
        let owners = self.model.sessions.iter().filter_map(|(who, session)| {
            let is_owner = self.model.people[*who].identity.as_ref() == Some(&owner);
            Some((*who, session.connection?)).filter(|_| is_owner)
        });
        let owners: Vec<_> = owners.collect();
        let owner = self.one_of(&owners);
        owner.filter(|_| self.up_to(5) > 0).or(somebody)
    }

    /// The position that follows, and what it must be based on.
    pub(super) fn next(object: &Object) -> Option<(At, Option<At>)> {
        let record = object.record.as_ref()?;
        let at = (record.epoch, record.position.1 + 1);
        Some((
            at,
            (record.epoch > record.position.0).then_some(record.position),
        ))
    }

    fn commits(&mut self) {
        let which = self.an_object();
        let Some((who, at)) = self.a_writer(which) else {
            return;
        };
        let next = Self::next(&self.model.objects[&which]);
        let ((mut epoch, mut version), mut base) = next.unwrap_or(((7, 1), None));
        match self.up_to(19) {
            0 => version += 1,
            1 => version -= 1,
            2 => epoch -= 1,
            3 => epoch += 1,
            4 => base = None,
            _ => {}
        }
        self.commit(who, at, which, (epoch, version), base, json!(version));
    }

    pub(super) fn commit(
        &mut self,
        who: Who,
        at: ConnectionId,
        which: Which,
        (epoch, version): At,
        base: Option<At>,
        value: Value,
    ) {
        self.notes(format!(
            "{who} commits ({epoch}, {version}) of {which} on {base:?}"
        ));
        let body = json!({"epoch": epoch, "version": version, "base": base, "attribute": "n",
            "value": value});
        let url = url(which);
        self.sockets
            .says(at, "update", &url, &format!("{url}/changes"), &body);
        self.model.commits(who, which, (epoch, version), base);
    }

    fn heads(&mut self) {
        let which = self.an_object();
        let Some((who, at)) = self.a_writer(which) else {
            return;
        };
        let record = self.model.objects[&which].record.as_ref();
        let (epoch, mut position) = record.map_or((7, (7, 1)), |one| (one.epoch, one.position));
        position.1 += u64::from(self.up_to(3) == 0);
        self.notes(format!("{who} says that {which} is at {position:?}"));
        let reporter = &self.model.people[who].hyperties[0];
        let body =
            json!({"epoch": epoch, "position": position, "reporter": reporter, "live": true});
        let url = url(which);
        self.sockets
            .says(at, "update", &url, &format!("{url}/changes"), &body);
        self.model.heads(who, which, position);
    }

    fn subscribes(&mut self) {
        let (which, number, hold) = (self.an_object(), self.up_to(1), self.up_to(1) == 0);
        let Some((who, at)) = self.somebody() else {
            return;
        };
        let asked = self.model.asked.values().filter(|asked| asked.by.0 == who);
        if asked.count() > 40 {
            return;
        }
        let hyperty = self.model.people[who].hyperties[number].clone();
        let (to, body) = (
            format!("{}/subscription", url(which)),
            json!({"hold": hold}),
        );
        let id = self.sockets.says(at, "subscribe", &hyperty, &to, &body);
        self.notes(format!("{who} asks for {which} by {id}"));
        self.model.subscribes(id, (who, number), which, hold);
    }

    fn answers(&mut self) {
        let asked = self.model.asked.iter();
        let asked = asked.filter_map(|(id, asked)| Some((*id, asked.of?.0, asked.clone())));
        let asked: Vec<_> = asked.collect();
        let Some((id, mut who, asked)) = self.one_of(&asked) else {
            return;
        };
        if self.up_to(9) == 0 {
            who = self.up_to(super::PEOPLE.len() - 1);
        }
        let code = [200, 200, 200, 200, 403, 102][self.up_to(5)];
        let Some(at) = self.model.connection(who) else {
            return;
        };
        self.notes(format!("{who} answers {id} with {code}"));
        let hyperty = self.model.people[asked.by.0].hyperties[asked.by.1].clone();
        let from = format!("{}/subscription", url(asked.object));
        self.sockets
            .says_as(at, id, "response", &from, &hyperty, &json!({"code": code}));
        self.model.answers(who, id, code);
    }

    fn unsubscribes(&mut self) {
        let (which, number) = (self.an_object(), self.up_to(1));
        let Some((who, at)) = self.somebody() else {
            return;
        };
        self.notes(format!("{who} no longer wants {which}"));
        let hyperty = self.model.people[who].hyperties[number].clone();
        let to = format!("{}/subscription", url(which));
        self.sockets
            .says(at, "unsubscribe", &hyperty, &to, &json!({}));
        self.model.unsubscribes((who, number), which);
    }

    async fn claims(&mut self) {
        let which = self.an_object();
        let Some((who, at)) = self.an_owner(which) else {
            return;
        };
        let record = self.model.objects[&which].record.as_ref();
        let (position, epoch) = record.map_or(((7, 3), 7), |one| (one.position, one.epoch));
        let base = match self.up_to(9) {
            0..5 => Some(Some(position)),
            5 | 6 => Some(None),
            7 => Some(Some((epoch, position.1 + 2))),
            8 => Some(Some((position.0, position.1.saturating_sub(1)))),
            _ => None,
        };
        let (take, snapshot) = (self.up_to(1) == 0, self.up_to(4) == 0);
        let access = self.an_access();
        let claim = Claim {
            base,
            take,
            snapshot,
            access,
        };
        self.notes(format!("{who} claims {which}: {claim:?}"));
        let mut body = json!({"url": url(which), "reporter": self.model.people[who].hyperties[0],
            "access": encoded(&claim.access), "take": take, "snapshot": snapshot});
        if let Some(base) = base {
            body["base"] = json!(base);
        }
        let hyperty = self.model.people[who].hyperties[0].clone();
        let resources = [url(which), format!("{}/subscription", url(which))];
        let body = json!({"resources": resources, "source": hyperty, "claim": body});
        let id = self.sockets.says(at, "subscribe", &hyperty, SM, &body);
        let taken = self.model.claims(who, which, &claim);
        if self.stall.is_none_or(|stall| stall.at != at) {
            let answer = self.sockets.answer(at, id).await;
            assert_eq!(answer["body"]["code"] == 200, taken, "{answer}");
        }
    }

    fn an_access(&mut self) -> Access {
        let mut access = Access {
            public: self.up_to(2) > 0,
            anonymous: self.up_to(3) == 0,
            ..Access::default()
        };
        if self.up_to(1) == 0 {
            access.authorise.insert(self.a_reader());
        }
        if self.up_to(5) == 0 {
            access.deny.insert(self.a_reader());
        }
        access
    }

    /// A hyperty or an identity.
    fn a_reader(&mut self) -> String {
        let (who, number) = (self.up_to(super::PEOPLE.len() - 1), self.up_to(1));
        let person = &self.model.people[who];
        let hyperty = person.hyperties[number].clone();
        match person.identity.clone() {
            Some(identity) if self.up_to(1) == 0 => identity,
            _ => hyperty,
        }
    }

    fn kicks(&mut self, method: &str) {
        let (which, reader) = (self.an_object(), self.a_reader());
        let Some((who, at)) = self.a_writer(which) else {
            return;
        };
        self.notes(format!("{who} says {method} {reader} of {which}"));
        self.commands(
            who,
            at,
            &json!({"method": method, "params": [url(which), reader]}),
        );
        match method {
            "kick" => self.model.kicks(who, which, &reader),
            _ => self.model.allows(who, which, &reader),
        }
    }

    fn says_access(&mut self) {
        let (which, access) = (self.an_object(), self.an_access());
        let Some((who, at)) = self.a_writer(which) else {
            return;
        };
        self.notes(format!("{who} says who may read {which}: {access:?}"));
        let body = json!({"method": "access", "params": [url(which), encoded(&access)]});
        self.commands(who, at, &body);
        self.model.opens_to(who, which, access);
    }

    fn commands(&mut self, who: Who, at: ConnectionId, body: &Value) {
        let hyperty = self.model.people[who].hyperties[0].clone();
        self.sockets.says(at, "execute", &hyperty, SM, body);
    }

    fn deletes(&mut self) {
        let which = self.an_object();
        let Some((who, at)) = self.a_writer(which) else {
            return;
        };
        self.notes(format!("{who} deletes {which}"));
        let url = url(which);
        let from = format!("{url}/subscription");
        self.sockets
            .says(at, "delete", &from, &format!("{url}/changes"), &json!({}));
        self.model.deletes(who, which);
        if self.model.objects[&which].over {
            let next = self.model.objects.len();
            self.model.objects.insert(next, Object::default());
            self.objects.retain(|one| *one != which);
            self.objects.push(next);
        }
    }
}

fn encoded(access: &Access) -> Value {
    json!({"public": access.public, "anonymous": access.anonymous,
        "authorise": access.authorise, "deny": access.deny})
}
