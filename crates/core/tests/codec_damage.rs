//! Bodies and frames of any content, and damaged ones: read as they are, or refused.

use byline_core::error::Refusal;
use byline_core::message::body::{
    ClaimRequest, Claimed, Command, Content, Open, Opened, Subscribe,
};
use byline_core::message::{Header, Type, decode, encode};
use byline_core::object::{DataObject, Metadata};
use byline_core::stream::Head;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::documents::{HASH, HYPERTY, OBJECT, cases, damage, document, map_of, text, value};

/// Texts of all bodies, to be damaged.
fn bodies() -> [String; 9] {
    let access = json!({"public": true, "authorise": ["a"], "deny": []});
    let claim = json!({"url": OBJECT, "reporter": HYPERTY, "access": access, "base": [7, 2]});
    let head =
        json!({"epoch": 8, "position": [7, 2], "reporter": HYPERTY, "live": false, "hash": HASH});
    [
        json!({"publicKey": "k", "nonce": "n", "signature": "s"}),
        json!({"code": 200, "runtimeToken": "t", "claims": {OBJECT: [7, 2]}, "heads": {OBJECT: head}}),
        json!({"resources": [OBJECT], "source": HYPERTY, "claim": claim}),
        json!({"code": 200, "epoch": 8, "position": [7, 2], "access": access, "cache": true, "durable": true}),
        json!({"source": HYPERTY, "have": {"data": [7, 2]}, "hold": true}),
        json!({"code": 200, "epoch": 8, "position": [7, 2], "value": {"url": OBJECT, "data": {"a": [1]}}, "hash": HASH}),
        json!({"code": 503, "desc": "away", "retry": 5}),
        json!({"method": "superseded", "params": [OBJECT, 8]}),
        head,
    ]
    .map(|body| body.to_string())
}

/// Reads `text` as every body there is: each reads or refuses, in one line, with the field.
fn try_all(text: &str) -> Result<(), TestCaseError> {
    let refusals = [
        decode::<Open>(text).err(),
        decode::<Opened>(text).err(),
        decode::<ClaimRequest>(text).err(),
        decode::<Claimed>(text).err(),
        decode::<Subscribe>(text).err(),
        decode::<Content<'_>>(text).err(),
        decode::<Refusal>(text).err(),
        decode::<Command>(text).err(),
        decode::<Head>(text).err(),
    ];
    for refusal in refusals.into_iter().flatten() {
        prop_assert_eq!(refusal.code, 400);
        prop_assert!(refusal.desc.starts_with("field `body"), "{}", refusal);
        prop_assert!(!refusal.desc.contains('\n'), "{}", refusal);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn metadata_keeps_every_field_it_came_with(more in document(), status in prop::option::of(text()), data in document()) {
        let mut fields = map_of(more);
        fields.retain(|_, value| !value.is_null());
        fields.insert("url".into(), json!(OBJECT));
        fields.extend(status.map(|status| ("status".into(), json!(status))));
        let metadata = Metadata::from_fields(fields.clone()).unwrap();
        prop_assert_eq!(serde_json::to_value(&metadata).unwrap(), Value::Object(fields.clone()));
        fields.insert("data".into(), data.clone());
        let object = DataObject::parse(&Value::Object(fields.clone()).to_string()).unwrap();
        prop_assert_eq!((&object.metadata, &object.data), (&metadata, &data));
        prop_assert_eq!(serde_json::to_value(&object).unwrap(), Value::Object(fields));
    }

    #[test]
    fn merging_metadata_is_all_or_nothing(more in document(), patch in document(), odd in value()) {
        let mut fields = map_of(more);
        fields.insert("url".into(), json!(OBJECT));
        let before = Metadata::from_fields(fields).unwrap();
        let mut patch = map_of(patch);
        patch.insert("status".into(), odd.clone());
        let mut after = before.clone();
        if after.merge(patch.clone()).is_ok() {
            prop_assert!(odd.is_string() || odd.is_null());
            for (key, value) in patch {
                let written = serde_json::to_value(&after).unwrap();
                prop_assert_eq!(written.get(&key), Some(&value).filter(|value| !value.is_null()));
            }
        } else {
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn damaged_bodies_are_read_or_refused(which in any::<Index>(), damage in prop::collection::vec(damage(), 0..4)) {
        let bodies = bodies();
        let mut bytes = bodies[which.index(bodies.len())].clone().into_bytes();
        damage.iter().for_each(|damage| damage.to(&mut bytes));
        if let Ok(text) = std::str::from_utf8(&bytes) {
            try_all(text)?;
        }
    }

    #[test]
    fn a_damaged_frame_is_read_as_it_is_or_refused(which in any::<Index>(), damage in prop::collection::vec(damage(), 1..4)) {
        let bodies = bodies();
        let body: Value = serde_json::from_str(&bodies[which.index(bodies.len())]).unwrap();
        let mut bytes = encode("17", Type::Subscribe, HYPERTY, OBJECT, &body).into_bytes();
        damage.iter().for_each(|damage| damage.to(&mut bytes));
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        match Header::peek(text) {
            Ok(header) => {
                try_all(header.body)?;
                // Read by another reader it says the same. That one builds numbers and text, so it
                // refuses more.
                match serde_json::from_str::<Value>(text) {
                    Ok(whole) => {
                        prop_assert_eq!(header.id, whole.get("id").unwrap_or(&Value::Null).to_string());
                        prop_assert_eq!(Some(&*header.from), whole["from"].as_str());
                        prop_assert_eq!(Some(&*header.to), whole["to"].as_str());
                        let body: Value = serde_json::from_str(header.body).unwrap();
                        prop_assert_eq!(body, whole.get("body").cloned().unwrap_or(json!({})));
                    }
                    Err(error) => {
                        let why = error.to_string();
                        let known = ["number out of range", "surrogate", "unexpected end of hex"];
                        prop_assert!(known.iter().any(|known| why.contains(known)), "{}", why);
                    }
                }
            }
            Err(malformed) => {
                prop_assert_eq!(malformed.refusal.code, 400);
                prop_assert!(!malformed.refusal.desc.contains('\n'));
                // As it came: a number that no reader could hold is one, too.
                prop_assert!(serde_json::from_str::<&RawValue>(&malformed.id).is_ok(), "{}", malformed.id);
            }
        }
    }
}

#[test]
fn nesting_is_limited_wherever_it_stands_in_a_message() {
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    for field in [
        format!(r#""body":{{"v":{deep}}}"#),
        format!(r#""x":{deep}"#),
    ] {
        let text = format!(r#"{{"id":1,"type":"event","from":"a","to":"b",{field}}}"#);
        let malformed = Header::peek(&text).unwrap_err();
        assert!(malformed.refusal.desc.contains("deep"), "{malformed:?}");
        assert_eq!(
            (&*malformed.id, malformed.from.as_deref()),
            ("1", Some("a"))
        );
    }
}
