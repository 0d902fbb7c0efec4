//! Children (protocol.md §9): the JSON objects of many authors, in the collections of one object.

mod header;

pub(crate) use header::is_child_of;
pub use header::{ChildHeader, ChildWrite};
