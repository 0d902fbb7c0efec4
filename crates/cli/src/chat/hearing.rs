//! What is heard in a room, and what becomes of it.

use byline::Request;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::face::Heard;
use super::files;
use super::room::{Hint, meant};
use super::saying::{COMMANDS, Saying};
use super::told::{Told, short};
use super::{Chat, Happening, LAST_WORDS};

impl Chat {
    pub(super) fn hear(&mut self, heard: Heard) -> anyhow::Result<()> {
        match heard {
            Heard::Line(line) => match line.parse() {
                Ok(saying) => self.obey(saying, line),
                Err(why) => self.tell(&Told::Error { command: line, why }),
            },
            Heard::Typing => {
                // Nobody hears it where it cannot be said, and that is no loss.
                let _ = self.room.hint(&Hint::Typing(true));
                Ok(())
            }
            Heard::End => {
                self.leaving = Some(Instant::now() + LAST_WORDS);
                Ok(())
            }
        }
    }

    fn obey(&mut self, saying: Saying, line: String) -> anyhow::Result<()> {
        let done = match saying {
            Saying::Message(text) => return self.say(text),
            Saying::Quit => return self.hear(Heard::End),
            Saying::Help => {
                let commands = &COMMANDS;
                return self.tell(&Told::Help { commands });
            }
            Saying::Who => {
                let people = self.room.people();
                return self.tell(&Told::People { people });
            }
            Saying::History(count) => {
                let messages = self.room.history(count);
                return self.tell(&Told::History { messages });
            }
            Saying::Accept(who) => self.asks(&who).map(|request| {
                request.accept();
                Some(Told::Done {
                    command: line.clone(),
                })
            }),
            Saying::Reject(who, why) => self.asks(&who).map(|request| {
                request.reject(if why.is_empty() {
                    "the host says no"
                } else {
                    &why
                });
                Some(Told::Done {
                    command: line.clone(),
                })
            }),
            other => self.command(other, &line).map(|()| None),
        };
        match done {
            Ok(told) => told.map_or(Ok(()), |told| self.tell(&told)),
            Err(why) => self.tell(&Told::Error { command: line, why }),
        }
    }

    /// Commands what is answered by others.
    fn command(&mut self, saying: Saying, line: &str) -> Result<(), String> {
        let messages = self.room.messages.clone();
        match saying {
            Saying::Delete(id) => {
                let id = meant(&messages, &id, "/history")?;
                self.await_command(line, async move { messages.remove(&id).await });
            }
            Saying::Kick(who, why) => {
                let (host, who) = (self.room.host()?.clone(), self.room.find(&who)?);
                self.await_command(line, async move { host.kick(&who, &why).await });
            }
            Saying::Invite(who) => {
                let host = self.room.host()?.clone();
                self.await_command(line, async move { host.invite(&who).await });
            }
            Saying::Send(path) => {
                let mut sent = files::send(&self.room.files, &path)?;
                self.await_command(line, async move { sent.safe().await });
            }
            Saying::Get(id, path) => {
                let files = &self.room.files;
                let id = meant(files, &id, "a `file` event")?;
                let place = files::place(files, &id, &path)?;
                let fetch = files.fetch(&id).map_err(|error| error.to_string())?;
                self.await_command(line, files::get(fetch, place));
            }
            Saying::Close => {
                self.room.host()?;
                self.await_command(line, async move { messages.close().await });
            }
            Saying::Open => {
                self.room.host()?;
                self.await_command(line, async move { messages.open().await });
            }
            _ => {}
        }
        Ok(())
    }

    fn await_command<E: ToString>(
        &mut self,
        line: &str,
        done: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let command = line.to_owned();
        self.await_end(async move {
            Some(match done.await {
                Ok(()) => Told::Done { command },
                Err(error) => Told::Error {
                    command,
                    why: error.to_string(),
                },
            })
        });
    }

    pub(super) fn await_end(&mut self, end: impl Future<Output = Option<Told>> + Send + 'static) {
        self.under_way += 1;
        let end = stream::once(async move { Happening::Done(end.await) });
        self.happenings.push(end.boxed());
    }

    fn say(&mut self, text: String) -> anyhow::Result<()> {
        match self.room.say(&text) {
            Ok(mut message) => {
                let id = message.id().to_string();
                let sending = Told::Sending {
                    id: id.clone(),
                    text: text.clone(),
                };
                self.await_end(async move {
                    let why = message.safe().await.err()?.to_string();
                    let id = Some(id);
                    Some(Told::Refused { id, text, why })
                });
                self.tell(&sending)
            }
            Err(why) => {
                let id = None;
                self.tell(&Told::Refused { id, text, why })
            }
        }
    }

    /// Takes who asks to come in.
    fn asks(&mut self, who: &str) -> Result<Request, String> {
        self.room.host()?;
        let meant = |one: &Request| {
            let identity = one.identity().map_or("", |identity| identity.as_str());
            let hyperty = one.hyperty().as_str();
            let name = identity.rsplit('/').next().unwrap_or(identity);
            [identity, hyperty, name, short(hyperty)].contains(&who)
        };
        let found = self.asking.iter().position(meant);
        let found = found.ok_or_else(|| format!("nobody who asks to come in is `{who}`"))?;
        Ok(self.asking.remove(found))
    }
}
