//! Children (protocol.md §9): the JSON objects of many authors, in the collections of one object.
//!
//! Each author numbers its own commits; the object's Reporter takes them, in one order that all
//! readers see. [`Collection`] is the copy, at the Reporter as at a reader; what else a Reporter needs
//! stands in `reported.rs`, what a reader needs in `observed.rs`, what an author needs in
//! `authoring.rs`.

mod answering;
#[cfg(test)]
mod authored;
mod authoring;
#[cfg(test)]
mod bounds;
mod child;
mod collection;
mod commit;
mod file;
mod header;
mod id;
mod leaving;
mod log;
mod net;
mod observed;
mod own;
mod paging;
#[cfg(test)]
mod properties;
mod regaining;
mod reported;
mod rest;
mod resting_writes;
#[cfg(test)]
mod restored;
mod taking;
mod write;

use serde_json::Value;

use crate::error::Refusal;
use crate::limits::{CHILD_BYTES_MAX, CHILDREN_NAME_BYTES_MAX};
use crate::object::encoded_len;

pub(crate) use answering::{ChildrenAnswer, answer, digest, page};
pub use answering::{ChildrenWanted, Yours};
pub(crate) use authoring::Authoring;
pub use child::{Child, ChildChange, ChildChangeKind, ChildrenChanged};
pub use collection::Collection;
pub use commit::{Act, ChildCommit};
pub(crate) use file::{Chunk, ChunkWanted};
pub use file::{FileDescription, FileError};
pub(crate) use header::is_child_of;
pub use header::{ChildHeader, ChildWrite};
pub use id::{ChildId, ChildIdError};
pub(crate) use observed::{Observed, Received};
pub(crate) use regaining::Regaining;
pub(crate) use reported::{NotTaken, Ready, Reported};
pub(crate) use rest::{Restored, remove_rows};
pub(crate) use resting_writes::RestoredWrites;
pub(crate) use write::{Answer, Unsafe, Write};

/// Names that an address would read as another resource.
pub(crate) const RESERVED_NAMES: [&str; 3] = ["changes", "subscription", "registration"];

/// Whether `name` can be a collection's: 1 to 64 of `A-Z a-z 0-9 _ -`, and not one of an object's other
/// resources.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=CHILDREN_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !RESERVED_NAMES.contains(&name)
}

/// The length of a child as JSON, when it may be as long.
fn encoded_child(value: &Value) -> Option<usize> {
    encoded_len(value, CHILD_BYTES_MAX)
}

fn too_large() -> Refusal {
    Refusal::too_large(format!(
        "a child would have more than {CHILD_BYTES_MAX} bytes as JSON"
    ))
}
