//! A room, from the side of its host or of a guest: an object that the host reports, with the messages of
//! everybody as its children.

use std::collections::BTreeMap;
use std::time::SystemTime;

use byline::{
    Address, CallError, ChildId, ChildReporter, Children, Create, Criteria, Observer, Reporter,
    State, Subscribe, Syncher, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ChatArgs;
use super::guests::Guests;
use super::saying::Name;
use super::told::{Message, Person, people_of, short_id};

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
    Host(Reporter, Guests),
    Guest(Observer),
}

/// A room.
pub(crate) struct Room {
    pub(crate) hyperty: Address,
    pub(crate) side: Side,
    pub(crate) messages: Children<Text>,
    pub(crate) files: Children,
    name: Name,
}

impl Room {
    /// Opens the room as its host, or joins it.
    pub(crate) fn enter(syncher: &Syncher, url: &Address, args: &ChatArgs) -> anyhow::Result<Self> {
        let side = if args.host {
            Side::Host(opens(syncher, url, args)?, Guests::default())
        } else {
            let mut subscribe = Subscribe::to(url.as_str());
            if args.store.is_some() {
                subscribe = subscribe.store();
            }
            Side::Guest(syncher.subscribe(subscribe)?)
        };
        Ok(Self {
            hyperty: syncher.hyperty().clone(),
            messages: match &side {
                Side::Host(reporter, _) => reporter.children("messages"),
                Side::Guest(observer) => observer.children("messages"),
            },
            files: match &side {
                Side::Host(reporter, _) => reporter.children("files"),
                Side::Guest(observer) => observer.children("files"),
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
            let (own, name) = (self.hyperty.to_string(), self.name.to_string());
            self.host_learns(|guests| {
                guests.came(&own, now());
                guests.named(&own, name);
            })?;
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

    /// What its host knows of the guests is another: it writes it down for everybody.
    pub(crate) fn host_learns(&mut self, learns: impl FnOnce(&mut Guests)) -> Result<(), String> {
        let Side::Host(reporter, guests) = &mut self.side else {
            return Ok(());
        };
        learns(guests);
        let written = reporter.update(|data| data["people"] = json!(guests.here()));
        written.map(drop).map_err(|error| error.to_string())
    }

    /// Who is here.
    pub(crate) fn people(&self) -> BTreeMap<String, Person> {
        match &self.side {
            Side::Host(_, guests) => guests.here().clone(),
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
}

/// The child that `id` means, whole or as people are shown it; `shows` is the command that shows it.
pub(crate) fn meant<T>(children: &Children<T>, id: &str, shows: &str) -> Result<ChildId, String> {
    let all = children.list().into_iter().map(|(one, _)| one);
    let meant = |one: &ChildId| {
        let whole = one.to_string();
        whole == id || short_id(&whole) == id
    };
    let found: Vec<ChildId> = all.filter(meant).collect();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(format!(
            "there is nothing of the ID `{id}`: {shows} shows them"
        )),
        _ => Err(format!("several have the ID `{id}`: write the whole")),
    }
}

/// The room as it was stored, or a new one.
fn opens(syncher: &Syncher, url: &Address, args: &ChatArgs) -> Result<Reporter, CallError> {
    let stored = syncher.resume(Criteria {
        url: Some(url.clone()),
        ..Criteria::default()
    });
    let create = create(url, args);
    // Whoever hosts a room again of which nothing is stored begins it anew.
    let begins = stored.reporters.is_empty();
    syncher.create(if begins { create.discard() } else { create })
}

fn create(url: &Address, args: &ChatArgs) -> Create {
    let data: Value = json!({ "people": {} });
    let mut create = Create::new("Communication", data)
        .at(url.as_str())
        .children("messages")
        .files("files")
        // A room goes on without its host, whoever may come in.
        .cache(true);
    if args.public {
        create = create.public();
    }
    if args.approve {
        create = create.approve();
    }
    if args.store.is_some() {
        create = create.store();
    }
    create
}

/// What the time is, in RFC 3339.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::from_unix_ms(since.map_or(0, |since| since.as_millis() as u64)).rfc3339()
}
