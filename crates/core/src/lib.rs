//! What a Byline data object is and how it stays in sync.
//!
//! A data object is a live JSON object with exactly one author, its **Reporter**; every authorised
//! **Observer** holds a copy that is always some position of the original. This crate holds all of
//! that logic and nothing else: no sockets, no clock, no randomness, no threads. Its two machines,
//! the [`runtime::Runtime`] on the side of applications and the [`node::Node`] between them, have the
//! same three verbs: `handle(input, now)`, `poll_output()`, `poll_timeout()`. A driver hands in what
//! happened and performs what comes out; the same machines run under tokio and in simulations.
//!
//! The rules come from `docs/protocol.md`; section numbers in these pages are its own.
//!
//! # A whole world in one function
//! ```
//! use byline_core::identity::Key;
//! use byline_core::node::{self, ConnectionId, Node};
//! use byline_core::runtime::{self, Create, Runtime};
//! use byline_core::message::body::Access;
//! use byline_core::time::Time;
//! use serde_json::json;
//!
//! let (socket, start) = (ConnectionId(1), Time::from_unix_ms(1_000_000));
//! let mut node = Node::new("localhost", [1; 32], start);
//! let mut runtime = Runtime::new("localhost", Key::from_bytes(&[2; 32]), [3; 32]);
//! // A node that has just started takes claims a second later.
//! let now = start.plus_ms(1_000);
//!
//! let hyperty = runtime.hyperty("kitchen")?;
//! let seat = runtime.create(&hyperty, Create {
//!     schema: "Context".into(), data: json!({"temperature": 21}),
//!     url: Some("ctxt://localhost/kitchen".parse()?), access: Access { public: true, ..Access::default() },
//!     ..Create::default()
//! }, now)?;
//!
//! // The driver's loop: what one side puts out, the other takes in.
//! loop {
//!     if let Some(output) = runtime.poll_output(now) {
//!         match output {
//!             runtime::Output::Connect => {
//!                 node.handle(node::Input::Connected(socket), now);
//!                 runtime.handle(runtime::Input::Connected, now);
//!             }
//!             runtime::Output::Send(frame) => {
//!                 node.handle(node::Input::Received(socket, frame.into()), now);
//!             }
//!             _ => {}
//!         }
//!     } else if let Some(node::Output::Send(_, frame)) = node.poll_output() {
//!         runtime.handle(runtime::Input::Received(&frame), now);
//!     } else {
//!         break;
//!     }
//! }
//! assert!(runtime.reporter(&seat).unwrap().position().is_some(), "the claim was answered");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
pub mod children;
pub mod entropy;
pub mod error;
pub mod identity;
pub mod limits;
mod manager;
pub mod message;
pub mod node;
pub mod object;
pub mod runtime;
pub mod storage;
pub mod stream;
mod syncher;
pub mod time;

pub use syncher::{Audience, State};
