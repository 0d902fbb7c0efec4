//! What the node says of a message's sender, in place of whatever the message said itself
//! (protocol.md §3, §6). All else is as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::ADDRESS_BYTES_MAX;
use crate::message::{Header, decode};

type Fields = BTreeMap<String, Box<RawValue>>;

/// The message of `header`, from `identity`.
pub(super) fn stamp(header: &Header<'_>, identity: Option<&Identity>) -> Result<String, Refusal> {
    text(message(header, body(header, identity)?)?)
}

/// The same of a `subscribe` or `read`, whether the Reporter has said yes to it before, and whether it is of an owner
/// beside whose claim it is.
pub(super) fn stamp_reader(
    header: &Header<'_>,
    identity: Option<&Identity>,
    granted: bool,
    owner: bool,
) -> Result<String, Refusal> {
    let mut body = body(header, identity)?;
    for (name, stated) in [("granted", granted), ("owner", owner)] {
        body.remove(name);
        if stated {
            body.insert(name.to_owned(), RawValue::TRUE.to_owned());
        }
    }
    text(message(header, body)?)
}

/// The same for readers, who answer nothing: without its id.
pub(super) fn stamp_for_readers(
    header: &Header<'_>,
    identity: Option<&Identity>,
) -> Result<Arc<str>, Refusal> {
    let mut message = message(header, body(header, identity)?)?;
    message.insert("id".to_owned(), RawValue::NULL.to_owned());
    text(message).map(Arc::from)
}

/// The answer of `header`, which says what an object holds and not yet whose that is: its Reporter is `identity`, and
/// `owners` own the object beside it, or did. Nothing of it is read again.
pub(super) fn stamp_content(
    header: &Header<'_>,
    identity: Option<&Identity>,
    owners: &BTreeSet<Identity>,
) -> String {
    let Some(identity) = identity else {
        return header.text.to_owned();
    };
    let quoted = |one: &Identity| serde_json::Value::from(one.as_str()).to_string();
    let mut stamp = format!(r#""identity":{},"#, quoted(identity));
    if !owners.is_empty() {
        let owners: Vec<String> = owners.iter().map(quoted).collect();
        stamp.push_str(&format!(r#""owners":[{}],"#, owners.join(",")));
    }
    // The body is an object with a code at least, and a part of the text.
    let body = header.body.as_ptr().addr() - header.text.as_ptr().addr();
    let open = header.body.find('{').unwrap_or_default();
    let (before, after) = header.text.split_at(body + open + 1);
    [before, &stamp, after].concat()
}

fn body(header: &Header<'_>, identity: Option<&Identity>) -> Result<Fields, Refusal> {
    let mut body: Fields = decode(header.body)?;
    body.remove("identity");
    if let Some(stamp) = identity.and_then(|identity| to_raw_value(identity).ok()) {
        body.insert("identity".to_owned(), stamp);
    }
    Ok(body)
}

fn message(header: &Header<'_>, body: Fields) -> Result<Fields, Refusal> {
    if header.from.len().max(header.to.len()) > 2 * ADDRESS_BYTES_MAX {
        return Err(Refusal::malformed(
            "fields `from` and `to` must be addresses",
        ));
    }
    let mut message: Fields = serde_json::from_str(header.text).map_err(unreadable)?;
    message.insert("body".to_owned(), to_raw_value(&body).map_err(unreadable)?);
    Ok(message)
}

fn text(message: Fields) -> Result<String, Refusal> {
    serde_json::to_string(&message).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Refusal {
    Refusal::malformed(format!("the message: {error}"))
}
