//! What the commands print: one JSON object a line with `--json`, lines for people otherwise.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use byline::{Access, Change, Edit, Hash, ObserverCounters, Origin, Position, Reason, State};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use crate::people;

/// An event, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    /// A node listens.
    #[serde(rename_all = "camelCase")]
    Ready {
        url: &'a str,
        /// What `/metrics` is shown for, when nobody has said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator_token: Option<&'a str>,
    },
    /// The object is this Reporter's.
    Created { url: &'a str },
    /// A commit was made.
    Reported {
        epoch: u64,
        version: u64,
        hash: Hash,
    },
    /// Every version up to this one is stored.
    Stored { version: u64 },
    /// Another device of this user's writes the object: it is followed. The reason says whether it had it when this
    /// began, or took it.
    Elsewhere { url: &'a str, reason: Reason },
    /// A commit that was written here and is no part of the object.
    Rejected {
        changes: &'a [Change],
        #[serde(skip_serializing_if = "Map::is_empty")]
        metadata: &'a Map<String, Value>,
    },
    /// The whole object.
    Snapshot {
        url: &'a str,
        epoch: u64,
        version: u64,
        hash: Hash,
        #[serde(skip_serializing_if = "Option::is_none")]
        origin: Option<&'static str>,
        data: &'a Value,
    },
    /// The object has changed.
    Change {
        epoch: u64,
        version: u64,
        hash: Hash,
        origin: &'static str,
        paths: Vec<String>,
        data: &'a Value,
        /// What a person is shown.
        #[serde(skip)]
        edits: &'a [Edit],
    },
    /// How the object is doing.
    State {
        state: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        desc: Option<&'a str>,
    },
    /// What a copy met and got over, at the end.
    #[serde(rename_all = "camelCase")]
    Counters {
        duplicates: u64,
        gaps: u64,
        refused: u64,
        divergences: u64,
        rewinds: u64,
        catch_ups: u64,
        snapshots: u64,
    },
    /// A child, as it is now.
    Child {
        id: String,
        created: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        identity: Option<&'a str>,
        value: &'a Value,
    },
    /// A child is gone.
    Removed { id: String, moderated: bool },
    /// A child was added, and is safe.
    Added { id: &'a str },
    /// Who may read.
    Access { url: &'a str, access: &'a Access },
    /// The object is another's now.
    Delegated { url: &'a str, to: &'a str },
    /// It is over.
    Closed { code: u16, desc: &'a str },
}

/// Prints events the way the user has asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    json: bool,
}

impl Printer {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn print(self, event: &Event<'_>) -> io::Result<()> {
        if self.json {
            return line(&serde_json::to_string(event)?);
        }
        match event {
            Event::Ready {
                url,
                operator_token,
            } => {
                line(&format!("listening on {url}"))?;
                let Some(token) = operator_token else {
                    return Ok(());
                };
                note(&format!("/metrics is for Authorization: Bearer {token}"))
            }
            Event::Elsewhere { url, reason } => note(&match reason {
                Reason::Superseded => {
                    format!("another device took {url}: it is followed; --take takes it back")
                }
                _ => format!("another device holds {url}: it is followed; --take takes it"),
            }),
            Event::Rejected { changes, .. } => {
                let paths = changes.iter().map(|change| change.path().to_string());
                let paths: Vec<_> = paths.collect();
                note(&format!("no part of the object: {}", paths.join(", ")))
            }
            Event::Created { url } => note(&format!("reporting {url}")),
            Event::Reported { version, .. } => note(&format!("version {version}")),
            Event::Snapshot {
                url, version, data, ..
            } => {
                note(&format!("{url} at version {version}"))?;
                line(&data.to_string())
            }
            Event::Change { version, edits, .. } if io::stdout().is_terminal() => {
                line(&people::edits(*version, edits))
            }
            Event::Change { data, .. } => line(&data.to_string()),
            Event::Child { id, value, .. } => line(&format!("{id} {value}")),
            Event::Removed { id, .. } => line(&format!("{id} is gone")),
            Event::Added { id } => note(&format!("added {id}")),
            Event::Access { access, .. } => {
                people::access(access).iter().try_for_each(|one| line(one))
            }
            Event::Delegated { url, to } => note(&format!("{url} is handed over to {to}")),
            // What people are told of these is not one line each: `Outage`, and the last line of all.
            Event::State { .. }
            | Event::Counters { .. }
            | Event::Closed { .. }
            | Event::Stored { .. } => Ok(()),
        }
    }

    pub(crate) fn reported(self, position: Position, hash: Hash) -> io::Result<()> {
        let Position { epoch, version } = position;
        self.print(&Event::Reported {
            epoch,
            version,
            hash,
        })
    }

    pub(crate) fn counters(self, counters: ObserverCounters) -> io::Result<()> {
        let ObserverCounters {
            duplicates,
            gaps,
            refused,
            divergences,
            rewinds,
            catch_ups,
            snapshots,
        } = counters;
        self.print(&Event::Counters {
            duplicates,
            gaps,
            refused,
            divergences,
            rewinds,
            catch_ups,
            snapshots,
        })
    }

    /// Whether events are for programs, which want every one of them.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints how the object is doing; that it is over is the caller's to say.
    pub(crate) fn state(self, state: &State) -> io::Result<()> {
        match state {
            State::Closed(refusal) => self.print(&Event::Closed {
                code: refusal.code,
                desc: &refusal.desc,
            }),
            State::Waiting(why) => self.print(&Event::State {
                state: state.to_string(),
                desc: Some(why),
            }),
            _ => self.print(&Event::State {
                state: state.to_string(),
                desc: None,
            }),
        }
    }
}

/// The word for where a step came from (protocol.md, §7).
pub(crate) const fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Snapshot => "snapshot",
        Origin::CatchUp => "catch-up",
        Origin::Live => "live",
        Origin::Rewound => "rewound",
    }
}

/// Data goes to standard output, so that it can be piped.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Talk goes to standard error.
pub(crate) fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}

/// Resolves when whoever read standard output has left. Without it a program with nothing to say would
/// learn that only when it has.
pub(crate) async fn left() {
    // Not made non-blocking, since others print there. What cannot be left, as a file, is no error.
    let output = io::stdout().as_fd().try_clone_to_owned();
    if let Ok(output) = output.and_then(Sender::from_owned_fd_unchecked)
        && output.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
