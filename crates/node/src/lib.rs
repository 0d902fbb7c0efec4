//! The Message Node as a server: WebSockets in front of the routing machine in `byline-core`.
//!
//! [`byline_core::node::Node`] decides everything and knows no sockets; this crate has the sockets
//! and decides nothing. One thread runs the whole node, so there is no lock, and one frame is
//! encoded once for all who read it.
//!
//! | | |
//! |---|---|
//! | `GET /ws` | the WebSocket of `docs/protocol.md` |
//! | `GET /healthz` | 200 `ok` |
//! | `GET /readyz` | 200 `ready`, or 503 and why what it promises cannot be stored |
//! | `GET /metrics` | counters and gauges, in OpenMetrics text; for the operator |
//!
//! # Example
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! use byline_node::{Config, Server};
//!
//! let node = Server::bind(Config::new("127.0.0.1:0".parse()?, "localhost"))?.spawn()?;
//! assert!(node.url().starts_with("ws://127.0.0.1:"));
//!
//! let mut http = TcpStream::connect(node.local_addr())?;
//! http.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! http.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"));
//!
//! node.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program that is a node and nothing else calls [`Server::serve`] with a future that ends when
//! its operator wants it to.

mod accepting;
mod clock;
mod connection;
#[cfg(test)]
mod deliveries;
mod files;
mod frame;
mod http;
mod hub;
mod keeping;
mod metrics;
mod operator;
mod origin;
mod outgoing;
mod reader;
mod server;
mod socket;
mod state;
mod tls;
mod tokens;

pub use files::{FileError, Reload};
pub use operator::OperatorToken;
pub use server::{BindError, Config, Running, Server};
pub use tls::Certificate;
pub use tokens::People;
