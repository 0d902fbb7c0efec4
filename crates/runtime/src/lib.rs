//! Byline: live JSON objects, each with exactly one author.
//!
//! A **Reporter** creates a data object and simply writes on it. Every authorised **Observer**, in
//! another process or on another machine, holds a copy that follows within milliseconds and is always
//! some position of the original: nothing is skipped, nothing applied twice, and after a cut the copy
//! catches up by itself.
//!
//! ```
//! use byline::{Create, MemoryNode, Runtime};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A node inside this process, for tests; `.node("ws://127.0.0.1:4680/ws")` speaks with a real one.
//! let node = MemoryNode::start("localhost")?;
//! let kitchen = Runtime::builder().memory(&node).start()?;
//! let hall = Runtime::builder().memory(&node).start()?;
//!
//! let sensor = kitchen.syncher("sensor")?.create(
//!     Create::new("Context", json!({"temperature": 21.0})).at("ctxt://localhost/kitchen").public(),
//! )?;
//! let display = hall.syncher("display")?.subscribe("ctxt://localhost/kitchen")?;
//! let mut changes = display.changes();
//! assert!(changes.next().await.is_some(), "first the object as it is");
//!
//! sensor.update(|data| data["temperature"] = json!(21.5))?;
//! let changed = changes.next().await.unwrap();
//! assert_eq!(changed.edits[0].change.path().to_string(), "temperature");
//! assert_eq!(display.data().unwrap()["temperature"], json!(21.5));
//! # Ok(())
//! # }
//! ```
//!
//! Here the data is any JSON; with a type of your own it is that type: [`Create::new`] takes what serde
//! writes and [`Observer::typed`] gives what serde reads. A copy that is no such type is a [`Misfit`],
//! which says where.
//!
//! ```
//! # use byline::{Create, MemoryNode, Runtime};
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Room {
//!     temperature: f64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = MemoryNode::start("localhost")?;
//! # let runtime = Runtime::builder().memory(&node).start()?;
//! let create = Create::new("Context", Room { temperature: 21.0 });
//! let reporter = runtime.syncher("sensor")?.create(create)?;
//! reporter.update(|room| room.temperature = 21.5)?;
//!
//! let observer = runtime.syncher("display")?.subscribe(reporter.url().as_str())?;
//! let mut rooms = observer.typed::<Room>().copies();
//! assert_eq!(rooms.next().await.unwrap()?.temperature, 21.5);
//! # Ok(())
//! # }
//! ```
//!
//! Writing is synchronous and never waits for the network: what cannot be sent yet is sent when it
//! can. [`Reporter::ready`] is there for who writes faster than the network reads, and
//! [`Runtime::delivered`] for who must know that the node has it all.

mod builder;
mod child_reporter;
mod children;
mod clock;
mod commands;
mod driver;
mod executions;
mod files;
mod followers;
mod inbox;
pub mod key;
mod link;
mod memory;
mod notifications;
mod observer;
mod opening;
mod owner;
mod presence;
mod queue;
mod reported;
mod reporter;
mod requests;
mod resuming;
mod shared;
mod storing;
mod syncher;
mod tls;
mod token;
mod typed;

pub use builder::{Builder, Runtime, StartError, Unreachable};
pub use byline_core::address::{Address, AddressError};
pub use byline_core::children::{
    Child, ChildChange, ChildChangeKind, ChildId, ChildIdError, ChildrenChanged, FileDescription,
    FileError,
};
pub use byline_core::error::{Reason, Refusal, Retry};
pub use byline_core::identity::Identity;
pub use byline_core::message::body::{Access, Observers, Observing};
pub use byline_core::object::{
    ApplyError, Change, Hash, JsonError, JsonRule, Metadata, MetadataError, Misfit, Path,
    PathError, parse,
};
pub use byline_core::runtime::{
    CallError, ChildError, Connection, Criteria, Event, FlushError, RestoreError, Snapshot,
};
pub use byline_core::storage::UnreadableRow;
pub use byline_core::stream::{
    Changed, Edit, ObserverCounters, Origin, Position, WriteError, Written,
};
pub use byline_core::time::Time;
pub use byline_core::{Audience, State};
pub use byline_store::StoreError;
pub use child_reporter::ChildReporter;
pub use children::{Children, ChildrenChanges, ChildrenStep, Events};
pub use commands::CommandError;
pub use executions::{Execution, Executions};
pub use files::Fetch;
pub use key::KeyFileError;
pub use memory::MemoryNode;
pub use notifications::{Invitation, Notification, Notifications};
pub use observer::{Changes, Copies, Observer};
pub use opening::{OpenError, Opened};
pub use owner::Owner;
pub use presence::{Presence, PresenceChange};
pub use reporter::Reporter;
pub use requests::{Request, Requests};
pub use resuming::{Resumed, Subscribe};
pub use syncher::{Create, ReadError, Syncher};
pub use tls::CaFileError;
pub use typed::Data;

/// The README's example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
