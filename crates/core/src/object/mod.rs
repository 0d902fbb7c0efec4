//! What a data object holds, how a change of it is written, applied and found: no IO, no clock, no
//! addresses.
//!
//! Everything here works on [`serde_json::Value`] documents that are I-JSON: text from outside
//! comes in through [`parse`], a value from the application through [`normalise`]. After that,
//! equal documents are equal `Value`s and have equal hashes. Rule book: `docs/protocol.md` §4.
//!
//! ```
//! use byline_core::object::{apply, diff, parse, Hash};
//!
//! let before = parse(r#"{"room":{"temperature":21.5},"log":["on"]}"#)?;
//! let after = parse(r#"{"room":{"temperature":22.0},"log":["on","off"]}"#)?;
//! let mut mirror = before.clone();
//! let applied = apply(&mut mirror, &diff(&before, &after))?;
//! assert!(applied.changed());
//! assert_eq!(Hash::of(&mirror), Hash::of(&after));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod change;
mod diff;
mod hash;
mod json;
mod metadata;
mod misfit;
mod path;
mod reader;
mod shape;

pub use apply::{Applied, ApplyError, ApplyRule, apply, is_noop};
pub use change::Change;
pub use diff::diff;
pub use hash::{Hash, HashError};
pub(crate) use json::brackets;
pub use json::{JsonError, JsonRule, encoded_len, nesting, normalise, parse};
pub use metadata::{DataObject, Metadata, MetadataError};
pub use misfit::Misfit;
pub use path::{Path, PathError};
pub use shape::{ChangeError, ChangeFields, ChangeShape};
