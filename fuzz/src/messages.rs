//! The target of `byline_core::message`: the header, and every body.

use byline_core::address::{Address, Target};
use byline_core::error::Refusal;
use byline_core::limits::MESSAGE_DEPTH_MAX;
use byline_core::message::body::{
    Challenge, ClaimRequest, Claimed, Code, Command, Commanded, Content, Many, Open, Opened,
    Subscribe, SubscribeMany,
};
use byline_core::message::{Header, decode, encode};
use byline_core::object::nesting;
use byline_core::stream::Head;
use serde_json::Value;
use serde_json::value::RawValue;

/// A frame, or a body, is read or refused; what was read is written so that it is read again.
pub(crate) fn frame(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    bodies(text);
    match Header::peek(text) {
        Ok(header) => {
            assert!(nesting(bytes) <= MESSAGE_DEPTH_MAX);
            let body: &RawValue = serde_json::from_str(header.body).expect("a body is JSON");
            let again = encode(header.id, header.kind, &header.from, &header.to, &body);
            let read = Header::peek(&again).expect("what was written is read");
            assert_eq!((read.id, read.kind), (header.id, header.kind));
            assert_eq!((&read.from, &read.to), (&header.from, &header.to));
            assert_eq!(read.body, header.body);
            _ = (header.is_request(), Address::object(&header.from));
            if let Target::Object(url, _) = Target::of(&header.to) {
                _ = Address::object(url);
            }
            bodies(header.body);
        }
        Err(malformed) => {
            check(&malformed.refusal);
            let id = serde_json::from_str::<Value>(&malformed.id);
            assert!(id.is_ok_and(|id| !id.is_array() && !id.is_object()));
        }
    }
}

fn bodies(text: &str) {
    let refusals = [
        decode::<Open>(text).err(),
        decode::<Challenge>(text).err(),
        decode::<Opened>(text).err(),
        decode::<ClaimRequest>(text).err(),
        decode::<Claimed>(text).err(),
        decode::<Subscribe>(text).err(),
        decode::<Content<'_>>(text).err(),
        decode::<Code>(text).err(),
        decode::<Command>(text).err(),
        decode::<Commanded>(text).err(),
        decode::<SubscribeMany>(text).err(),
        decode::<Many>(text).err(),
        decode::<Head>(text).err(),
        decode::<Refusal>(text).err(),
    ];
    refusals.iter().flatten().for_each(check);
}

/// A refusal names its field, in one line.
fn check(refusal: &Refusal) {
    assert_eq!(refusal.code, 400);
    assert!(
        !refusal.desc.is_empty() && !refusal.desc.contains(char::is_control),
        "{refusal:?}"
    );
}
