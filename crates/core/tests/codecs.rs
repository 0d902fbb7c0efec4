//! Every body is read as it was written and written as it was read; what is missing or of another
//! kind is refused by name, and what is unknown does no harm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod documents;

use byline_core::error::{Refusal, Retry};
use byline_core::message::body::{
    Access, Challenge, Claim, ClaimRequest, Claimed, Code, Command, Commanded, Content, Many, OK,
    Open, Opened, Subscribe, SubscribeMany,
};
use byline_core::message::{Header, Type, decode, encode};
use byline_core::object::{DataObject, Metadata};
use byline_core::stream::{Digest, Head, Position};
use documents::{cases, document, map_of, text, value};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const OBJECT: &str = "ctxt://localhost/kitchen";
const HYPERTY: &str = "hyperty://localhost/h";
const HASH: &str = "RBNvo1WzZ4oRRq0W9-hkng";

/// The text of `wire` is read as a `T`, and written again it says the same.
fn read<T: Serialize + DeserializeOwned>(wire: &Value) -> T {
    let body = decode::<T>(&wire.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&body).unwrap(), *wire);
    body
}

/// Both ways; then with an unknown field; then without, and with the wrong kind of, each field.
fn both_ways<T: Serialize + DeserializeOwned>(full: &Value, required: &[&str]) {
    read::<T>(full);
    let mut stranger = full.clone();
    stranger["x-unknown"] = json!({"nested": [1]});
    let known = decode::<T>(&stranger.to_string()).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(serde_json::to_value(known).unwrap(), *full);
    for field in full.as_object().unwrap().keys() {
        let mut without = full.clone();
        without.as_object_mut().unwrap().remove(field);
        match decode::<T>(&without.to_string()) {
            Ok(_) => assert!(!required.contains(&&**field), "`{field}` may be missing"),
            Err(refusal) => {
                assert!(required.contains(&&**field), "{refusal}");
                let missing = format!("missing field `{field}`");
                assert!(refusal.desc.contains(&missing), "{refusal}");
            }
        }
        let mut wrong = full.clone();
        wrong[field] = json!([[[]]]);
        let refusal = decode::<T>(&wrong.to_string()).err();
        let refusal = refusal.unwrap_or_else(|| panic!("`{field}` may be anything"));
        let named = format!("field `body.{field}");
        assert!(
            refusal.code == 400 && refusal.desc.starts_with(&named),
            "{refusal}"
        );
        let twice = format!("{{\"{field}\":{},{}", full[field], &full.to_string()[1..]);
        let refusal = decode::<T>(&twice).err();
        let refusal = refusal.unwrap_or_else(|| panic!("`{field}` may stand twice"));
        assert!(refusal.desc.contains("duplicate field"), "{refusal}");
    }
}

#[test]
fn open_and_its_answers_are_read_and_written() {
    both_ways::<Open>(
        &json!({"publicKey": "k", "nonce": "n", "signature": "s"}),
        &[],
    );
    read::<Open>(&json!({}));
    both_ways::<Challenge>(
        &json!({"code": 401, "challenge": "c", "desc": "sign it"}),
        &["code", "challenge", "desc"],
    );
    let head = json!({"epoch": 8, "position": [7, 2], "reporter": HYPERTY, "live": false});
    both_ways::<Opened>(
        &json!({"code": 200, "runtimeToken": "t", "claims": {OBJECT: [7, 2]},
            "heads": {OBJECT: head}, "fresh": true}),
        &["code", "runtimeToken"],
    );
    read::<Opened>(&json!({"code": 200, "runtimeToken": "t"}));
}

#[test]
fn a_claim_and_its_answer_are_read_and_written() {
    let access = json!({"public": true, "anonymous": false, "authorise": ["a"], "deny": ["d"]});
    both_ways::<Access>(&access, &[]);
    read::<Access>(&json!({"public": false, "anonymous": false}));
    assert_eq!(
        decode::<Access>("{}"),
        Ok(Access::default()),
        "closed unless said otherwise"
    );
    let claim = json!({"url": OBJECT, "nonce": "n", "schema": "s", "name": "k",
        "reporter": HYPERTY, "access": access, "base": [7, 2], "snapshot": true, "take": true});
    both_ways::<Claim>(&claim, &["url", "reporter"]);
    let request = json!({"resources": [OBJECT], "source": HYPERTY, "claim": claim});
    both_ways::<ClaimRequest>(&request, &["resources", "source"]);
    both_ways::<Claimed>(
        &json!({"code": 200, "epoch": 8, "position": [7, 2], "access": access, "cache": false}),
        &["code", "epoch", "position", "access", "cache"],
    );
}

#[test]
fn a_claim_without_base_and_one_whose_base_is_null_are_different() {
    let claim = |base: &str| {
        let text = format!(r#"{{"url":"{OBJECT}","reporter":"{HYPERTY}"{base}}}"#);
        decode::<Claim>(&text).unwrap().base
    };
    assert_eq!(claim(""), None);
    assert_eq!(claim(r#","base":null"#), Some(None));
    assert_eq!(claim(r#","base":[7,2]"#), Some(Some(Position::new(7, 2))));
    read::<Claim>(&json!({"url": OBJECT, "reporter": HYPERTY, "base": null,
        "access": {"public": false, "anonymous": false}}));
}

#[test]
fn subscribe_its_answer_and_heads_are_read_and_written() {
    both_ways::<Subscribe>(
        &json!({"source": HYPERTY, "have": {"data": [7, 2]}, "hold": true, "identity": "user-guid://k"}),
        &[],
    );
    read::<Subscribe>(&json!({}));
    both_ways::<Digest>(&json!({"data": [7, 2]}), &[]);
    both_ways::<Head>(
        &json!({"epoch": 8, "position": [7, 2], "reporter": HYPERTY, "live": true,
            "since": "2026-11-21T10:00:00Z", "hash": HASH}),
        &["epoch", "position", "reporter", "live"],
    );
    let body = format!(
        r#"{{"code":200,"epoch":8,"position":[7,2],"value":{{"x": 1}},"commits":[{{}}],"hash":"{HASH}","kept":[7,1]}}"#
    );
    let content: Content<'_> = decode(&body).unwrap();
    assert_eq!((content.epoch, content.position), (8, Position::new(7, 2)));
    assert_eq!(content.value.unwrap().get(), r#"{"x": 1}"#);
    assert_eq!(content.commits.unwrap()[0].get(), "{}");
    assert_eq!(content.hash.unwrap().to_string(), HASH);
    assert_eq!(content.kept, Some(Position::new(7, 1)));
}

#[test]
fn a_subscribe_to_many_and_its_answer_are_read_and_written() {
    let objects = json!({OBJECT: {"data": [7, 2]}, "ctxt://localhost/hall": null});
    both_ways::<SubscribeMany>(
        &json!({"source": HYPERTY, "objects": objects, "hold": true}),
        &["objects"],
    );
    let refusal = json!({"code": 102, "desc": "it follows", "retry": "never"});
    both_ways::<Many>(
        &json!({"code": 207, "objects": {OBJECT: refusal}}),
        &["code", "objects"],
    );
}

#[test]
fn every_command_is_read_and_written() {
    let access = json!({"public": true, "anonymous": false});
    for (method, params) in [
        ("kick", json!([OBJECT, HYPERTY, 403, "no shouting"])),
        ("allow", json!([OBJECT, HYPERTY])),
        ("access", json!([OBJECT, access])),
        ("superseded", json!([OBJECT, 8])),
        ("revoked", json!([OBJECT, HYPERTY, 503, "ask again"])),
    ] {
        let wire = json!({"method": method, "params": params});
        read::<Command>(&wire);
        let mut stranger = wire.clone();
        stranger["x-unknown"] = json!([1]);
        let known = decode::<Command>(&stranger.to_string()).unwrap();
        assert_eq!(serde_json::to_value(known).unwrap(), wire);
        for broken in [
            json!({"method": method}),
            json!({"params": params}),
            json!({"method": method, "params": []}),
            json!({"method": method, "params": [1, 2, 3, 4]}),
            json!({"method": "dance", "params": params}),
        ] {
            let refusal = decode::<Command>(&broken.to_string()).unwrap_err();
            assert_eq!(refusal.code, 400, "{broken}");
        }
    }
    let short = format!(r#"{{"method":"kick","params":["{OBJECT}","{HYPERTY}"]}}"#);
    assert!(
        matches!(decode(&short), Ok(Command::Kick(_, _, 403, _))),
        "code and desc may be left out"
    );
    both_ways::<Commanded>(&json!({"code": 200, "access": access}), &["code", "access"]);
}

#[test]
fn a_plain_answer_has_a_code() {
    assert_eq!(serde_json::to_string(&OK).unwrap(), r#"{"code":200}"#);
    assert_eq!(decode::<Code>(r#"{"code":200,"x":[]}"#).unwrap().code, 200);
    for code in [
        "{}",
        r#"{"code":"200"}"#,
        r#"{"code":-1}"#,
        r#"{"code":65536}"#,
    ] {
        assert!(decode::<Code>(code).is_err(), "{code}");
    }
}

#[test]
fn a_refusal_says_never_now_or_seconds() {
    for (retry, wire) in [
        (Retry::Never, json!("never")),
        (Retry::Now, json!("now")),
        (Retry::Seconds(0), json!(0)),
        (Retry::Seconds(u32::MAX), json!(u32::MAX)),
    ] {
        let refusal: Refusal = read(&json!({"code": 503, "desc": "away", "retry": wire}));
        assert_eq!(refusal.retry, retry);
    }
    both_ways::<Refusal>(
        &json!({"code": 404, "desc": "nobody", "retry": "never"}),
        &["code"],
    );
    let bare: Refusal = decode(r#"{"code":404}"#).unwrap();
    assert_eq!((&*bare.desc, bare.retry), ("", Retry::Never));
    for reason in ["held", "diverged", "alone", "superseded"] {
        let refusal: Refusal =
            read(&json!({"code": 409, "desc": "no", "retry": "never", "reason": reason}));
        assert!(refusal.reason.is_some());
    }
    let later: Refusal = decode(r#"{"code":409,"reason":"of a later version"}"#).unwrap();
    assert_eq!(later.reason, None);
    let unknown: Refusal = decode(r#"{"code":404,"retry":"some day"}"#).unwrap();
    assert_eq!(unknown.retry, Retry::Never);
}

#[test]
fn a_position_is_two_counts_that_a_double_holds() {
    let largest = (1_u64 << 53) - 1;
    let wire = json!([largest, largest]);
    assert_eq!(read::<Position>(&wire), Position::new(largest, largest));
    for text in [
        "[7]",
        "[7,2,1]",
        "[-1,0]",
        "[7.5,0]",
        r#"["7",0]"#,
        "[9007199254740992,0]",
        "[0,9007199254740992]",
        "null",
    ] {
        assert!(decode::<Position>(text).is_err(), "{text}");
    }
    let epoch = |epoch: u64| {
        let body = json!({"epoch": epoch, "position": [7, 2], "reporter": HYPERTY, "live": true});
        decode::<Head>(&body.to_string()).is_ok()
    };
    assert!(epoch(largest) && !epoch(largest + 1));
}

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
        json!({"code": 200, "epoch": 8, "position": [7, 2], "access": access, "cache": false}),
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
                prop_assert!(serde_json::from_str::<Value>(&malformed.id).is_ok());
            }
        }
    }
}

/// What happens to bytes on a bad day.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Damage {
    fn to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let end = |at: usize, length: usize| (at + length).min(bytes.len());
        match self {
            Self::Byte(at, with) => {
                let at = at.index(bytes.len());
                bytes[at] = *with;
            }
            Self::Insert(at, text) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, text.bytes());
            }
            Self::Remove(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..end(at, *length));
            }
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let again = bytes[at..end(at, *length)].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    const TEXTS: [&str; 12] = [
        "\"",
        "\\",
        "{",
        "}",
        "[[",
        "null",
        ",",
        "-",
        "1e999",
        "\\ud800",
        "\"id\":1,",
        "\u{0}",
    ];
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, with)| Damage::Byte(at, with)),
        3 => (at(), prop::sample::select(&TEXTS[..])).prop_map(|(at, text)| Damage::Insert(at, text)),
        2 => (at(), 1..12_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (at(), 1..40_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        1 => at().prop_map(Damage::Cut),
    ]
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
