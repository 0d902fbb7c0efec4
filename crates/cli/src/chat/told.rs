//! What happens in a room, as it is told: one line of JSON for each to programs, the screen to people.

use std::collections::BTreeMap;

use byline::{Child, ChildId, FileDescription, State};
use serde::Serialize;
use serde_json::Value;

use super::saying::Name;

/// Something that has happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Told {
    /// The room is there, and who this is in it.
    Room {
        url: String,
        hyperty: String,
        identity: String,
        host: bool,
    },
    /// How the room is doing.
    State {
        state: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        desc: Option<String>,
    },
    /// How the way to the node is doing.
    Connection { state: &'static str },
    /// Who is here, by hyperty.
    People { people: BTreeMap<String, Person> },
    /// All messages that there are follow, oldest first: those before are to be forgotten.
    Anew {},
    /// A message; one of an id that is there already takes its place.
    Message(Message),
    /// A message of one's own, which is not safe yet.
    Sending { id: String, text: String },
    /// A message of one's own that is none, and why.
    Refused {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        text: String,
        why: String,
    },
    /// A file that its author, or the host, gives out.
    File(Sent),
    /// A message is gone, by the host's decision or its author's.
    Removed { id: String, moderated: bool },
    /// Whether nobody but the host may write.
    Messages { closed: bool },
    /// Somebody is typing.
    Typing { hyperty: String, name: String },
    /// Somebody asks to be let in.
    Asking { hyperty: String, identity: String },
    /// The last messages.
    History { messages: Vec<Message> },
    /// A command was done.
    Done { command: String },
    /// A command cannot be, or was not done, and why.
    Error { command: String, why: String },
    /// What there is to be said.
    Help { commands: &'static [&'static str] },
}

/// Somebody who is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    /// None before this somebody has said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) since: String,
}

/// A message that everybody has, or gets.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// What its author says its name is; who that is, `identity` tells.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
}

/// A file that everybody may get.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
}

impl Sent {
    /// What a child says of a file; nothing when it says something else.
    pub(crate) fn new(id: &ChildId, child: &Child) -> Option<Self> {
        let described = FileDescription::read(&child.value).ok()?;
        Some(Self {
            id: id.to_string(),
            name: described.name,
            size: described.size,
            created: child.created.clone(),
            identity: child.identity.as_ref().map(ToString::to_string),
        })
    }
}

impl Message {
    pub(crate) fn new(id: &ChildId, child: &Child) -> Self {
        let field = |name: &str| child.value[name].as_str().unwrap_or_default();
        Self {
            id: id.to_string(),
            name: Name::shown(field("name")).to_string(),
            text: field("text").to_owned(),
            created: child.created.clone(),
            identity: child.identity.as_ref().map(ToString::to_string),
        }
    }
}

impl Told {
    pub(crate) fn state(state: &State) -> Self {
        let desc = match state {
            State::Waiting(why) => Some(why.clone()),
            State::Closed(refusal) => Some(refusal.to_string()),
            _ => None,
        };
        Self::State {
            state: state.to_string(),
            desc,
        }
    }
}

/// The people that the data of a room names.
pub(crate) fn people_of(data: &Value) -> BTreeMap<String, Person> {
    let named = data["people"].as_object().into_iter().flatten();
    let person = |one: &Value| Person {
        name: one["name"]
            .as_str()
            .map(|name| Name::shown(name).to_string()),
        since: one["since"].as_str().unwrap_or_default().to_owned(),
    };
    named
        .map(|(hyperty, one)| (hyperty.clone(), person(one)))
        .collect()
}

/// The beginning of what a hyperty or the author of a message is called where it is not known better.
pub(crate) fn short(hyperty: &str) -> &str {
    let id = hyperty.splitn(4, '/').nth(3).unwrap_or(hyperty);
    id.char_indices().nth(4).map_or(id, |(end, _)| &id[..end])
}

/// A message's id as people read and write it.
pub(crate) fn short_id(id: &str) -> String {
    let (author, number) = id.rsplit_once('#').unwrap_or((id, ""));
    format!("{}#{number}", short(author))
}
