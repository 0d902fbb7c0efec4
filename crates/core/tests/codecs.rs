//! Every body is read as it was written and written as it was read; what is missing or of another
//! kind is refused by name, and what is unknown does no harm.

use byline_core::error::{Refusal, Retry};
use byline_core::message::body::{
    Access, Challenge, Claim, ClaimRequest, Claimed, Code, Command, Commanded, Content, Many, OK,
    Open, Opened, Subscribe, SubscribeMany,
};
use byline_core::message::decode;
use byline_core::stream::{Digest, Head, Position};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::documents::{HASH, HYPERTY, OBJECT};

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
        "reporter": HYPERTY, "children": ["chat"], "access": access, "base": [7, 2], "snapshot": true, "take": true});
    both_ways::<Claim>(&claim, &["url", "reporter"]);
    let request = json!({"resources": [OBJECT], "source": HYPERTY, "claim": claim});
    both_ways::<ClaimRequest>(&request, &["resources", "source"]);
    both_ways::<Claimed>(
        &json!({"code": 200, "epoch": 8, "position": [7, 2], "access": access, "cache": true, "durable": true}),
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
        (
            "delegate",
            json!([OBJECT, HYPERTY, "user-guid://ann", true]),
        ),
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
    for reason in ["held", "diverged", "alone", "superseded", "gap"] {
        let refusal: Refusal =
            read(&json!({"code": 409, "desc": "no", "retry": "never", "reason": reason}));
        assert!(refusal.reason.is_some());
    }
    read::<Refusal>(
        &json!({"code": 409, "desc": "no", "retry": "now", "reason": "gap",
        "position": [7, 2]}),
    );
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
