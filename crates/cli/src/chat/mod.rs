//! `byline chat`: a room where many write, each in their own name.

mod face;
mod files;
mod guests;
mod hearing;
mod room;
mod saying;
mod screen;
mod timeline;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use byline::{
    Address, ChildChange, ChildChangeKind, ChildrenStep, Connection, Event, PresenceChange,
    Refusal, Request, Runtime, State,
};
use clap::Args;
use futures_util::stream::{self, BoxStream, SelectAll, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::SessionArgs;
use crate::output::left;
use crate::owners::stays_private;
use crate::session::{interrupted, start_with, token_wanted};
use face::Face;
use guests::Guests;
use room::{Hint, Room, Side, now};
use saying::Name;
use told::{Message, Person, Sent, Told, short};

/// How long what was said last may take to be safe when somebody leaves.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Of more who ask to come in, the first is refused.
const ASKING_MAX: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// The room's address, as in comm://localhost/tea
    url: String,
    /// Open the room, and be its host for as long as this runs. It begins empty, but where --store has it from
    /// before. Unless said otherwise it is for this user's devices and for those whom the host invites
    #[arg(long)]
    host: bool,
    /// Let in everybody whom the node knows
    #[arg(long, requires = "host")]
    public: bool,
    /// Ask the host about everybody else who comes: /accept WHO or /reject WHO
    #[arg(long, requires = "host", conflicts_with = "public")]
    approve: bool,
    /// What the others call you, one word [default: $USER]
    #[arg(
        long,
        env = "USER",
        hide_env = true,
        default_value = "somebody",
        hide_default_value = true
    )]
    name: Name,
    /// Store the room in this folder, made when there is none. Run again, its host goes on with all that was said,
    /// also while it was away, and anybody with what they wrote and was not sent. Who may come in stays as it was, and
    /// `byline access` changes that; whether the host is asked is as said now. One command at a time uses the folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
}

pub(crate) async fn run(args: ChatArgs) -> anyhow::Result<()> {
    let url = Address::object(&args.url)?;
    let runtime = start_with(&args.session, &url, args.store.as_deref()).await?;
    let syncher = runtime.syncher("chat")?;
    let room = Room::enter(&syncher, &url, &args);
    let face = Face::open(args.session.json, &url)?;
    let owner = syncher.owner(url.as_str())?;
    let mut chat = Chat::new(&runtime, room.with_context(|| url.to_string())?, face, url);
    if args.public && args.store.is_some() {
        chat.await_end(async move {
            let why = stays_private(&owner).await?;
            let command = "--public".to_owned();
            Some(Told::Error { command, why })
        });
    }
    let done = tokio::select! {
        done = chat.talk() => done,
        interrupted = interrupted() => interrupted.map_err(Into::into),
        why = token_wanted(&runtime, &args.session) => Err(why),
        () = left() => Ok(()),
    };
    drop(chat);
    runtime.close().await;
    done
}

/// Something that happens in the room, or to what was asked there.
enum Happening {
    State(State),
    Connection(Connection),
    Copy,
    Messages(ChildrenStep),
    Files(ChildrenStep),
    Presence(PresenceChange),
    Said(Event),
    Asked(Request),
    /// What was said or asked has come to its end, and what there is to tell of it.
    Done(Option<Told>),
}

/// One's stay in a room.
struct Chat {
    url: Address,
    identity: String,
    room: Room,
    face: Face,
    happenings: SelectAll<BoxStream<'static, Happening>>,
    /// Those who ask to come in, and were not decided on.
    asking: Vec<Request>,
    /// Who is here, and whether nobody may write, as was told last.
    people: BTreeMap<String, Person>,
    closed: bool,
    /// The room has come.
    here: bool,
    /// What was said or asked and is not at its end.
    under_way: usize,
    /// Until when that is waited for, once nothing more is to be said.
    leaving: Option<Instant>,
}

impl Chat {
    fn new(runtime: &Runtime, room: Room, face: Face, url: Address) -> Self {
        let mut happenings = SelectAll::new();
        happenings.push(values(room.state(), Happening::State));
        happenings.push(values(runtime.connection(), Happening::Connection));
        let events = stream::unfold(room.messages.events(), async |mut events| {
            Some((Happening::Said(events.next().await?), events))
        });
        happenings.push(events.boxed());
        match &room.side {
            Side::Host(reporter, _) => {
                happenings.push(reporter.requests().map(Happening::Asked).boxed());
                happenings.push(reporter.presence().map(Happening::Presence).boxed());
            }
            Side::Guest(observer) => {
                happenings.push(observer.changes().map(|_| Happening::Copy).boxed());
            }
        }
        Self {
            url,
            identity: runtime.identity().to_string(),
            room,
            face,
            happenings,
            asking: Vec::new(),
            people: BTreeMap::new(),
            closed: false,
            here: false,
            under_way: 0,
            leaving: None,
        }
    }

    /// Hears and tells until it is over.
    async fn talk(&mut self) -> anyhow::Result<()> {
        loop {
            let (leaving, listens) = (self.leaving, self.here || self.face.is_screen());
            if leaving.is_some() && self.under_way == 0 {
                return Ok(());
            }
            let late = async {
                match leaving {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(happening) = self.happenings.next() => {
                    if let Some(refusal) = self.happens(happening)? {
                        return Err(anyhow!("{}: {refusal}", self.url));
                    }
                }
                // Lines that come before the room is there would be said to nobody.
                heard = self.face.heard(), if leaving.is_none() && listens => self.hear(heard?)?,
                () = late => bail!("{}: not all that was said is known to have arrived", self.url),
            }
        }
    }

    /// Tells what has happened; gives why the room is over, when it is.
    fn happens(&mut self, happening: Happening) -> anyhow::Result<Option<Refusal>> {
        match happening {
            Happening::State(state) => {
                self.tell(&Told::state(&state))?;
                match state {
                    State::Live => self.lives()?,
                    // Its host may be away, and what it holds is here.
                    State::Stale(_) if !self.here => self.lives()?,
                    State::Closed(refusal) => return Ok(Some(refusal)),
                    _ => {}
                }
            }
            Happening::Connection(connection) => self.tell(&Told::Connection {
                state: match connection {
                    Connection::Live => "live",
                    Connection::NeedsAuth(_) => "needs-auth",
                    Connection::Ended(_) => "ended",
                    _ => "connecting",
                },
            })?,
            Happening::Copy => self.tell_people()?,
            Happening::Messages(step) => self.messages_change(step)?,
            Happening::Files(step) => self.files_change(&step)?,
            Happening::Presence(change) => self.presence_changes(&change)?,
            Happening::Said(event) => self.said(&event)?,
            Happening::Asked(request) => {
                let (hyperty, identity) = (request.hyperty().to_string(), request.identity());
                let identity = identity.map_or_else(String::new, ToString::to_string);
                self.asking.retain(|one| one.hyperty() != request.hyperty());
                if self.asking.len() == ASKING_MAX {
                    drop(self.asking.remove(0));
                }
                self.asking.push(request);
                self.tell(&Told::Asking { hyperty, identity })?;
            }
            Happening::Done(told) => {
                self.under_way -= 1;
                told.map_or(Ok(()), |told| self.tell(&told))?;
            }
        }
        Ok(None)
    }

    /// The room has come, or come back.
    fn lives(&mut self) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.here, true) {
            let changes = self.room.messages.changes();
            self.happenings
                .push(changes.map(Happening::Messages).boxed());
            let changes = self.room.files.changes();
            self.happenings.push(changes.map(Happening::Files).boxed());
            self.tell(&Told::Room {
                url: self.url.to_string(),
                hyperty: self.room.hyperty.to_string(),
                identity: self.identity.clone(),
                host: self.room.host().is_ok(),
            })?;
        }
        if let Err(why) = self.room.introduce() {
            // It is away again: the next time it comes back this is said.
            tracing::debug!(%why, "not introduced");
        }
        self.tell_people()
    }

    fn tell_people(&mut self) -> anyhow::Result<()> {
        let people = self.room.people();
        if people != self.people {
            self.people.clone_from(&people);
            self.tell(&Told::People { people })?;
        }
        Ok(())
    }

    fn messages_change(&mut self, step: ChildrenStep) -> anyhow::Result<()> {
        match step {
            ChildrenStep::All(messages) => {
                self.tell(&Told::Anew {})?;
                for (id, child) in &messages {
                    self.tell(&Told::Message(Message::new(id, child)))?;
                }
            }
            ChildrenStep::Changed(changed) => {
                for change in &changed.changes {
                    let id = &change.id;
                    self.tell(&match &change.kind {
                        ChildChangeKind::Added(child) | ChildChangeKind::Updated { child, .. } => {
                            Told::Message(Message::new(id, child))
                        }
                        ChildChangeKind::Removed { moderated } => Told::Removed {
                            id: id.to_string(),
                            moderated: *moderated,
                        },
                    })?;
                }
            }
        }
        let closed = self.room.messages.is_closed();
        if std::mem::replace(&mut self.closed, closed) != closed {
            self.tell(&Told::Messages { closed })?;
        }
        Ok(())
    }

    /// Tells of the files that are new here. That one is gone is told to who asks for it.
    fn files_change(&mut self, step: &ChildrenStep) -> anyhow::Result<()> {
        let new: Vec<Sent> = match step {
            ChildrenStep::All(all) => all
                .iter()
                .filter_map(|(id, child)| Sent::new(id, child))
                .collect(),
            ChildrenStep::Changed(changed) => {
                let added = |change: &ChildChange| match &change.kind {
                    ChildChangeKind::Added(child) => Sent::new(&change.id, child),
                    _ => None,
                };
                changed.changes.iter().filter_map(added).collect()
            }
        };
        new.into_iter()
            .try_for_each(|sent| self.tell(&Told::File(sent)))
    }

    /// The host learns who comes and who goes.
    fn presence_changes(&mut self, change: &PresenceChange) -> anyhow::Result<()> {
        let written = match change {
            PresenceChange::Joined { hyperty, .. } => {
                let learns = |guests: &mut Guests| guests.came(hyperty.as_str(), now());
                self.room.host_learns(learns)
            }
            PresenceChange::Left { hyperty, .. } => self
                .room
                .host_learns(|guests| guests.went(hyperty.as_str())),
            _ => Ok(()),
        };
        if let Err(why) = written {
            tracing::debug!(%why, "not written down");
        }
        self.tell_people()
    }

    /// Somebody has said something that is kept nowhere. What is none of ours is passed over.
    fn said(&mut self, event: &Event) -> anyhow::Result<()> {
        let from = event.from.to_string();
        let done = match serde_json::from_value(event.value.clone()) {
            Ok(Hint::Here(name)) => {
                let name = Name::shown(&name).to_string();
                self.room.host_learns(|guests| guests.named(&from, name))
            }
            Ok(Hint::Who(_)) if self.room.is_host(&event.from) => self.room.introduce(),
            // One's own comes back, too.
            Ok(Hint::Typing(_)) if event.from != self.room.hyperty => {
                let known = self.people.get(&from).and_then(|one| one.name.clone());
                let name = known.unwrap_or_else(|| short(&from).to_owned());
                let hyperty = from;
                return self.tell(&Told::Typing { hyperty, name });
            }
            _ => Ok(()),
        };
        if let Err(why) = done {
            tracing::debug!(%why, "not answered");
        }
        self.tell_people()
    }

    fn tell(&mut self, told: &Told) -> anyhow::Result<()> {
        Ok(self.face.tell(told)?)
    }
}

/// The values of something that is watched: the one that it has, and then each that it is seen to take.
fn values<T: Clone + Send + Sync + 'static>(
    watched: watch::Receiver<T>,
    happening: fn(T) -> Happening,
) -> BoxStream<'static, Happening> {
    stream::unfold((watched, true), move |(mut watched, first)| async move {
        if !first {
            watched.changed().await.ok()?;
        }
        let value = watched.borrow_and_update().clone();
        Some((happening(value), (watched, false)))
    })
    .boxed()
}
