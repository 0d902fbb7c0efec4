//! A room, from the side of its host or of a guest: an object that the host reports, with the messages of
//! everybody as its children.

use std::collections::BTreeMap;
use std::time::SystemTime;

use byline::{
    Address, ChildId, ChildReporter, Children, Create, Observer, Reporter, State, Syncher, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ChatArgs;
use super::saying::Name;
use super::told::{Message, Person, people_of, short_id};

/// Most people that the host lists.
const PEOPLE_MAX: usize = 1000;

/// A message, as its author writes it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Text {
    text: String,
    name: String,
}

/// What is said in a room and kept nowhere.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hint {
    /// Somebody is here, and is called so.
    Here(String),
    /// The host does not know who is here.
    Who(bool),
    /// Somebody is typing.
    Typing(bool),
}

/// One's own side of a room.
pub(crate) enum Side {
    Host(Reporter, BTreeMap<String, Person>),
    Guest(Observer),
}

/// A room.
pub(crate) struct Room {
    pub(crate) hyperty: Address,
    pub(crate) side: Side,
    pub(crate) messages: Children<Text>,
    name: Name,
}

impl Room {
    /// Opens the room as its host, or joins it.
    pub(crate) fn enter(syncher: &Syncher, url: &Address, args: &ChatArgs) -> anyhow::Result<Self> {
        let side = if args.host {
            Side::Host(syncher.create(create(url, args))?, BTreeMap::new())
        } else {
            Side::Guest(syncher.subscribe(url.as_str())?)
        };
        Ok(Self {
            hyperty: syncher.hyperty().clone(),
            messages: match &side {
                Side::Host(reporter, _) => reporter.children("messages"),
                Side::Guest(observer) => observer.children("messages"),
            },
            side,
            name: args.name.clone(),
        })
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        match &self.side {
            Side::Host(reporter, _) => reporter.state(),
            Side::Guest(observer) => observer.state(),
        }
    }

    /// The host's own side.
    pub(crate) fn host(&self) -> Result<&Reporter, String> {
        match &self.side {
            Side::Host(reporter, _) => Ok(reporter),
            Side::Guest(_) => Err("only the host does this".to_owned()),
        }
    }

    /// The room has come, or come back: a guest says who it is, and the host, who may have missed that, asks.
    pub(crate) fn introduce(&mut self) -> Result<(), String> {
        if let Side::Host(..) = self.side {
            self.came(&self.hyperty.to_string(), Some(self.name.to_string()))?;
            return self.hint(&Hint::Who(true));
        }
        self.hint(&Hint::Here(self.name.to_string()))
    }

    pub(crate) fn hint(&self, hint: &Hint) -> Result<(), String> {
        let hint = serde_json::to_value(hint).map_err(|error| error.to_string())?;
        let said = self.messages.send_event(hint);
        said.map_err(|error| error.to_string())
    }

    /// Whether `hyperty` is the host's.
    pub(crate) fn is_host(&self, hyperty: &Address) -> bool {
        match &self.side {
            Side::Host(..) => *hyperty == self.hyperty,
            Side::Guest(observer) => {
                let metadata = observer.metadata();
                let reporter = metadata.and_then(|metadata| metadata.reporter);
                reporter.as_deref() == Some(hyperty.as_str())
            }
        }
    }

    /// The host learns that somebody is here, or what they are called, and writes it down for everybody.
    pub(crate) fn came(&mut self, hyperty: &str, name: Option<String>) -> Result<(), String> {
        let Side::Host(_, people) = &mut self.side else {
            return Ok(());
        };
        if people.len() < PEOPLE_MAX || people.contains_key(hyperty) {
            let person = people.entry(hyperty.to_owned()).or_insert_with(|| Person {
                name: None,
                since: now().rfc3339(),
            });
            person.name = name.or(person.name.take());
        }
        self.write_people()
    }

    fn write_people(&self) -> Result<(), String> {
        let Side::Host(reporter, people) = &self.side else {
            return Ok(());
        };
        let written = reporter.update(|data| data["people"] = json!(people));
        written.map(drop).map_err(|error| error.to_string())
    }

    /// Who is here.
    pub(crate) fn people(&self) -> BTreeMap<String, Person> {
        match &self.side {
            Side::Host(_, people) => people.clone(),
            Side::Guest(observer) => {
                let data = observer.data();
                data.map(|data| people_of(&data)).unwrap_or_default()
            }
        }
    }

    pub(crate) fn say(&self, text: &str) -> Result<ChildReporter<Text>, String> {
        let text = Text {
            text: text.to_owned(),
            name: self.name.to_string(),
        };
        self.messages.add(text).map_err(|error| error.to_string())
    }

    /// The last `count` messages, oldest first.
    pub(crate) fn history(&self, count: usize) -> Vec<Message> {
        let all = self.messages.list();
        let last = all.iter().skip(all.len().saturating_sub(count));
        last.map(|(id, child)| Message::new(id, child)).collect()
    }

    /// The hyperty or identity that `who` means: either as it is, or somebody who is here, by name.
    pub(crate) fn find(&self, who: &str) -> Result<String, String> {
        if who.contains("://") {
            return Ok(who.to_owned());
        }
        let people = self.people();
        let named = |(_, person): &(&String, &Person)| person.name.as_deref() == Some(who);
        let found: Vec<&str> = people
            .iter()
            .filter(named)
            .map(|(one, _)| one.as_str())
            .collect();
        match found[..] {
            [one] => Ok(one.to_owned()),
            [] => Err(format!("nobody here is called `{who}`: /who lists them")),
            _ => Err(format!(
                "several are called `{who}`: write one of {}",
                found.join(", ")
            )),
        }
    }

    /// The message that `id` means, whole or as people are shown it.
    pub(crate) fn message(&self, id: &str) -> Result<ChildId, String> {
        let all = self.messages.list().into_iter().map(|(one, _)| one);
        let meant = |one: &ChildId| {
            let whole = one.to_string();
            whole == id || short_id(&whole) == id
        };
        let found: Vec<ChildId> = all.filter(meant).collect();
        match &found[..] {
            [one] => Ok(one.clone()),
            [] => Err(format!(
                "there is no message `{id}`: /history shows their IDs"
            )),
            _ => Err(format!("several messages are `{id}`: write the whole ID")),
        }
    }
}

fn create(url: &Address, args: &ChatArgs) -> Create {
    let data: Value = json!({ "people": {} });
    // Whoever hosts a room again begins it anew: what was said was with the host alone.
    let mut create = Create::new("Communication", data)
        .at(url.as_str())
        .children("messages")
        .discard();
    if args.public {
        create = create.public();
    }
    if args.approve {
        create = create.approve();
    }
    create
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::from_unix_ms(since.map_or(0, |since| since.as_millis() as u64))
}
