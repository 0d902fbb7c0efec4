//! What liars say about children: as others, about others' children, as the Reporter that they are not,
//! and, now and then, what a guest may say.

use byline_core::children::ChildId;
use byline_core::limits::CHILD_BYTES_MAX;
use serde_json::{Value, json};

use crate::oracle::{Rule, value};
use crate::random::Random;
use crate::totals::Count;
use crate::world::{DOMAIN, World};

/// Whose child is aimed at, and by whom.
struct Aim {
    /// `<object>/children/<name>`.
    to: String,
    own: String,
    author: String,
    /// The child, and where its author's stream stood after it was made.
    child: String,
    origin: Value,
    now: String,
}

/// A commit: type, `from`, body, and whether the node itself refuses it.
type Forged = (&'static str, String, Value, bool);

impl World {
    pub(crate) fn forges_child(&mut self, liar: usize, object: usize, random: &mut Random) {
        let Some(aim) = self.aims_at_child(liar, object, random) else {
            return;
        };
        let (kind, from, body, at_once) = match random.between(0, 10) {
            0 => aim.as_another(),
            1..6 => aim.about_anothers(random),
            6 => aim.out_of_order(random),
            7 => return self.answers_an_author(liar),
            _ => aim.as_a_guest(&self.liars[liar].child_position(&aim.to)),
        };
        let frame = self.liars[liar].message(kind, &from, &aim.to, &body);
        self.totals.one(Count::ChildForged);
        self.says(liar, frame);
        let refused = self.liars[liar].last_heard()["body"]["code"].as_u64();
        let refused = refused.is_some_and(|code| code >= 400);
        if refused {
            self.totals.one(Count::ChildForgeryRefused);
        }
        let heard = self.liars[liar].connection.is_none() || refused;
        let heard = heard || self.node.held_bytes() > 0;
        self.oracle.expects(!at_once || heard, Rule::Holder, || {
            format!("{from} is not refused at {}: {kind} {body}", aim.to)
        });
    }

    fn aims_at_child(&self, liar: usize, object: usize, random: &mut Random) -> Option<Aim> {
        let names = &self.plan.objects[object].children;
        let name = names.get(random.index(names.len().max(1)))?.0;
        let url = self.url_of(object)?;
        let victim = &self.places[random.index(self.places.len())].runtime;
        let author = format!("hyperty://{DOMAIN}/{}/first", victim.url().id());
        let mut aim = Aim {
            to: url.resource(&format!("children/{name}")),
            own: self.liars[liar].hyperty.clone(),
            child: format!("{author}#1"),
            author,
            origin: json!([1, 1]),
            now: self.node_time().rfc3339(),
        };
        let there = self.reporters_of(object).into_iter().find_map(|who| {
            let place = &self.places[who];
            let seat = &place.reporters.get(&object)?.author.seat;
            place.runtime.children(seat, name)
        });
        let mut others = there.into_iter().flat_map(|there| there.iter());
        let other = |(id, _): &(&ChildId, _)| *id.author().as_str() != *aim.own;
        if let Some((id, child)) = others.rfind(other) {
            aim.child = id.to_string();
            aim.author = id.author().as_str().to_owned();
            aim.origin = json!(child.origin);
        }
        Some(aim)
    }

    /// A liar observes what has children, where it may: then it may write there as a guest.
    pub(crate) fn observes_as_a_guest(&mut self, liar: usize) {
        let with_children = |object: &usize| !self.plan.objects[*object].children.is_empty();
        let objects: Vec<usize> = (0..self.plan.objects.len()).filter(with_children).collect();
        for object in objects {
            let Some(url) = self.url_of(object) else {
                continue;
            };
            let own = self.liars[liar].hyperty.clone();
            let to = url.resource("subscription");
            let frame = self.liars[liar].message("subscribe", &own, &to, &json!({"source": own}));
            self.says(liar, frame);
        }
    }

    /// Answers, as if it were the Reporter, a commit that another was asked to take.
    fn answers_an_author(&mut self, liar: usize) {
        let mut heard = self.overheard.iter().rev();
        let asked = heard.find(|frame| frame.contains("\"seq\"") && !frame.contains("\"id\":null"));
        let asked = asked.and_then(|frame| serde_json::from_str::<Value>(frame).ok());
        let Some(asked) = asked else {
            return;
        };
        let position = [&asked["body"]["epoch"], &asked["body"]["seq"]];
        let answer = json!({"id": asked["id"], "type": "response", "from": asked["to"],
            "to": asked["from"], "body": {"code": 200, "position": position}});
        self.totals.one(Count::ChildForged);
        self.says(liar, answer.to_string());
    }
}

impl Aim {
    fn made(&self, id: &str, at: [u64; 2]) -> Value {
        json!({"resource": id, "epoch": at[0], "seq": at[1], "created": self.now, "value": value(0)})
    }

    fn as_another(&self) -> Forged {
        let id = format!("{}#900", self.author);
        let body = self.made(&id, [1_900_000_000_000, 1]);
        ("create", self.author.clone(), body, true)
    }

    /// Makes, changes, deletes or closes what is another's.
    fn about_anothers(&self, random: &mut Random) -> Forged {
        let set =
            json!({"resource": self.child, "epoch": 1, "seq": 1, "attribute": "n", "value": 0});
        let of = json!({self.child.clone(): self.origin});
        let (kind, body) = match random.between(0, 5) {
            0 => ("create", self.made(&format!("{}#901", self.author), [1, 1])),
            1 => ("update", set),
            2 => (
                "delete",
                json!({"resource": self.child, "epoch": 1, "seq": 1}),
            ),
            3 => ("delete", json!({"of": of, "epoch": 1, "seq": 1})),
            4 => ("update", json!({"closed": true, "epoch": 1, "seq": 1})),
            _ => {
                let mut body = self.made(&format!("{}#1", self.own), [1, 1]);
                body["value"]["text"] = "x".repeat(CHILD_BYTES_MAX + (8 << 10)).into();
                ("create", body)
            }
        };
        (kind, self.own.clone(), body, true)
    }

    /// What does not follow on its own stream.
    fn out_of_order(&self, random: &mut Random) -> Forged {
        let at = random.one_of(&[[1, 9], [9_007_199_254_740_991, 1], [0, 0]]);
        let mut body = self.made(&format!("{}#77", self.own), at);
        body["base"] = json!([at[0] / 2, 5]);
        ("create", self.own.clone(), body, false)
    }

    /// A child of its own, where the stream stands.
    fn as_a_guest(&self, stands: &Value) -> Forged {
        let epoch = stands[0].as_u64().unwrap_or_default();
        let number = 100 + epoch;
        let mut body = self.made(&format!("{}#{number}", self.own), [epoch + 1, 1]);
        if epoch > 0 {
            body["base"] = stands.clone();
        }
        ("create", self.own.clone(), body, false)
    }
}
