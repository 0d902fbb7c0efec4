//! What the node refuses of children and events, and whom.

use byline_core::limits::{
    CHILD_BODY_BYTES_MAX, CHILD_BYTES_MAX, CREATED_OFF_MS, EVENT_BODY_BYTES_MAX, GRACE_MS,
    KEPT_PER_ASKER_BYTES_MAX, KEPT_PER_OBJECT_BYTES_MAX, MODERATED_MAX, UNANSWERED_MS,
};
use serde_json::{Value, json};

use crate::world::chat::{CHAT, chat};
use crate::world::kitchen::{KITCHEN, code};
use crate::world::{self, World, of, sm};

#[test]
fn who_neither_reads_nor_reports_writes_nothing_and_learns_no_name() {
    let mut chat = chat();
    let (stranger, author) = (chat.world.client(7), chat.author.clone());
    let mut told = std::collections::BTreeSet::new();
    for to in [
        CHAT.to_owned(),
        format!("{KITCHEN}/children/nothing"),
        format!("{KITCHEN}/children/"),
    ] {
        for kind in ["create", "update", "delete", "event"] {
            for body in [chat.creation(&stranger, 1), json!({}), json!({"epoch": -1})] {
                let answer = chat
                    .world
                    .asks(&stranger, kind, &stranger.hyperty, &to, body);
                assert_eq!(code(&answer), 403, "{answer}");
                told.insert(of(&answer, "desc"));
            }
        }
    }
    assert_eq!(told.len(), 1, "one sentence: {told:?}");
    // Nor does a hyperty beside the one that reads, nor one that has ceased to.
    let beside = format!("{}2", author.hyperty);
    let answer = chat.world.asks(&author, "create", &beside, CHAT, json!({}));
    assert_eq!(code(&answer), 403);
    let to = format!("{KITCHEN}/subscription");
    chat.world
        .asks(&author, "unsubscribe", &author.hyperty, &to, json!({}));
    let answer = chat.commits(&author, "create", chat.creation(&author, 1));
    assert_eq!(code(&answer), 403);
    assert_eq!(chat.asked(), Vec::<Value>::new());
}

#[test]
fn a_name_that_the_claim_does_not_say_is_unknown_to_those_who_may_speak() {
    let mut chat = chat();
    for who in [chat.author.clone(), chat.reporter.clone()] {
        for name in ["nothing", "", "chat2", "CHAT"] {
            let to = format!("{KITCHEN}/children/{name}");
            for kind in ["create", "event"] {
                let answer = chat.world.asks(&who, kind, &who.hyperty, &to, json!({}));
                assert_eq!(code(&answer), 404, "{name}: {answer}");
            }
        }
    }
    // The names are those of the last claim.
    let base = json!([chat.epoch, 0]);
    chat.world.claims(
        &chat.reporter.clone(),
        KITCHEN,
        json!({"base": base, "children": ["polls"]}),
    );
    let author = chat.author.clone();
    let answer = chat.commits(&author, "create", chat.creation(&author, 1));
    assert_eq!(code(&answer), 404, "{answer}");
    let to = format!("{KITCHEN}/children/polls");
    let answer = chat.world.asks(
        &author,
        "create",
        &author.hyperty,
        &to,
        chat.creation(&author, 1),
    );
    assert_eq!(answer, Value::Null, "forwarded");
}

#[test]
fn a_child_is_its_authors_alone() {
    let mut chat = chat();
    let (author, reader, reporter) = (
        chat.author.clone(),
        chat.reader.clone(),
        chat.reporter.clone(),
    );
    let of_author = &author.hyperty;
    let ids = [
        format!("{of_author}#1"),
        format!("{}#", reader.hyperty),
        format!("{}#01", reader.hyperty),
        format!("{}#x", reader.hyperty),
        format!("{}#-1", reader.hyperty),
        format!("{}#1#2", reader.hyperty),
        format!("{}/x#1", reader.hyperty),
        format!("{}#12345678901234567", reader.hyperty),
        String::new(),
    ];
    for id in ids {
        let mut created = chat.creation(&reader, 1);
        created["resource"] = json!(id);
        let updated = json!({"epoch": 1, "seq": 1, "resource": id, "attribute": "n", "value": 1});
        let deleted = json!({"epoch": 1, "seq": 1, "resource": id});
        for (kind, body) in [
            ("create", created),
            ("update", updated),
            ("delete", deleted),
        ] {
            let answer = chat.commits(&reader, kind, body);
            assert_eq!(code(&answer), 403, "{id}: {answer}");
        }
    }
    // Nor its Reporter's, but by what only a Reporter may say.
    let updated = json!({"epoch": 1, "seq": 1, "resource": format!("{of_author}#1"), "attribute": "n", "value": 1});
    assert_eq!(code(&chat.commits(&reporter, "update", updated)), 403);
    let moderated = json!({"epoch": 1, "seq": 1, "of": {format!("{of_author}#1"): [1, 1]}});
    assert_eq!(code(&chat.commits(&reader, "delete", moderated)), 403);
    for closed in [true, false] {
        let closed = json!({"epoch": 1, "seq": 1, "closed": closed});
        assert_eq!(code(&chat.commits(&reader, "update", closed)), 403);
    }
    assert_eq!(chat.asked(), Vec::<Value>::new());
}

/// What is wrong with a commit, beside what is there: the field that its author is told.
const MISSHAPEN: [(&str, &str, &str); 20] = [
    ("create", r#"{"epoch": -1}"#, "body.epoch"),
    ("create", r#"{"epoch": 9007199254740992}"#, "body.epoch"),
    ("create", r#"{"seq": 0}"#, "body.seq"),
    ("create", r#"{"seq": null}"#, "body.seq"),
    ("create", r#"{"base": [1]}"#, "body.base"),
    ("create", r#"{"resource": null}"#, "body.resource"),
    ("create", r#"{"value": []}"#, "body.value"),
    ("create", r#"{"value": null}"#, "body.value"),
    ("create", r#"{"created": "yesterday"}"#, "body.created"),
    ("create", r#"{"created": null}"#, "body.created"),
    ("update", r#"{"value": 1}"#, "attribute"),
    ("update", r#"{"attribute": 7, "value": 1}"#, "attribute"),
    ("update", r#"{"changes": []}"#, "body.changes"),
    (
        "update",
        r#"{"resource": null, "attribute": "n"}"#,
        "body.resource",
    ),
    ("update", r#"{"closed": true}"#, "body.closed"),
    (
        "update",
        r#"{"resource": null, "closed": 1}"#,
        "body.closed",
    ),
    ("delete", r#"{"resource": null}"#, "body.resource"),
    ("delete", r#"{"resource": null, "of": {}}"#, "body.of"),
    (
        "delete",
        r#"{"resource": null, "of": {"x#1": 7}}"#,
        "body.of",
    ),
    ("delete", r#"{"of": {"x#1": [1, 1]}}"#, "body.of"),
];

#[test]
fn a_commit_without_its_shape_is_refused_by_the_name_of_the_field() {
    let mut chat = chat();
    let author = chat.author.clone();
    let good = chat.creation(&author, 1);
    let short = json!({"epoch": 1, "seq": 1, "resource": good["resource"]});
    for (kind, wrong, field) in MISSHAPEN {
        let mut body = if kind == "create" { &good } else { &short }.clone();
        let wrong: Value = serde_json::from_str(wrong).unwrap();
        for (field, value) in wrong.as_object().unwrap() {
            body[field] = value.clone();
        }
        let answer = chat.commits(&author, kind, body);
        assert_eq!(code(&answer), 400, "{kind} {wrong}: {answer}");
        assert!(of(&answer, "desc").contains(field), "{field}: {answer}");
    }
    let doubled = format!(
        r#"{{"id":"x","type":"delete","from":"{0}","to":"{CHAT}","body":{{"epoch":1,"seq":1,"resource":"{0}#1","resource":"x#1"}}}}"#,
        author.hyperty
    );
    chat.world.says(&author, &doubled);
    assert_eq!(code(&chat.world.answer(&author, &json!("x"))), 400);
    let request = json!({"type": "create", "from": author.hyperty, "to": CHAT, "body": good});
    chat.world.says(&author, &request.to_string());
    let answer = chat.world.frames(&author).pop().unwrap();
    assert_eq!((code(&answer), &answer["id"]), (400, &Value::Null));
    let many = (0..=MODERATED_MAX).map(|n| (format!("x#{n}"), json!([1, 1])));
    let many: serde_json::Map<String, Value> = many.collect();
    let answer = chat.commits(&author, "delete", json!({"epoch": 1, "seq": 1, "of": many}));
    assert_eq!(code(&answer), 413, "{answer}");
    assert_eq!(chat.asked(), Vec::<Value>::new());
}

#[test]
fn a_child_made_at_another_time_is_refused_with_what_the_time_is() {
    let mut chat = chat();
    let author = chat.author.clone();
    let now = chat.world.now;
    let off = CREATED_OFF_MS + 1;
    let past = byline_core::time::Time::from_unix_ms(now.unix_ms() - off);
    for created in [past, now.plus_ms(off)] {
        let mut body = chat.creation(&author, 1);
        body["created"] = json!(created.rfc3339());
        let answer = chat.commits(&author, "create", body);
        assert_eq!((code(&answer), of(&answer, "time")), (400, now.rfc3339()));
    }
    let mut body = chat.creation(&author, 1);
    body["created"] = json!(now.plus_ms(CREATED_OFF_MS).rfc3339());
    assert_eq!(
        chat.commits(&author, "create", body),
        Value::Null,
        "forwarded"
    );
}

#[test]
fn what_is_too_large_is_refused_by_its_limit() {
    let mut chat = chat();
    let author = chat.author.clone();
    let mut body = chat.creation(&author, 1);
    body["value"]["text"] = json!("x".repeat(CHILD_BODY_BYTES_MAX));
    assert_eq!(code(&chat.commits(&author, "create", body)), 413);
    let event = json!({"value": "x".repeat(EVENT_BODY_BYTES_MAX)});
    assert_eq!(code(&chat.commits(&author, "event", event)), 413);
    // Of what its Reporter has not answered, the node keeps no more than this.
    let text = "x".repeat(CHILD_BODY_BYTES_MAX / 2);
    let fit = KEPT_PER_ASKER_BYTES_MAX / text.len() - 1;
    for round in 0..2 {
        for n in 1..=fit {
            let mut body = chat.creation(&author, n as u64);
            body["value"]["text"] = json!(text);
            assert_eq!(chat.commits(&author, "create", body), Value::Null, "{n}");
        }
        let mut body = chat.creation(&author, 1);
        body["value"]["text"] = json!(text.repeat(2)[..CHILD_BODY_BYTES_MAX - 1_000]);
        let answer = chat.commits(&author, "create", body);
        assert_eq!(code(&answer), 429, "{round}: {answer}");
        for asked in chat.asked().split_off(round * fit) {
            chat.takes(&asked);
        }
    }
    chat.world.assert_all_answered();
}

#[test]
fn what_many_write_and_the_reporter_does_not_answer_is_bounded_for_each_object() {
    let mut chat = chat();
    let text = "x".repeat(CHILD_BYTES_MAX - 1_000);
    let each = KEPT_PER_ASKER_BYTES_MAX / CHILD_BODY_BYTES_MAX;
    let fit = KEPT_PER_OBJECT_BYTES_MAX / CHILD_BYTES_MAX;
    let mut refused = vec![];
    for author in 0..=fit / each {
        let author = chat.world.client(10 + u8::try_from(author).unwrap());
        chat.lets_in(&author);
        for n in 1..=each {
            let mut body = chat.creation(&author, n as u64);
            body["value"]["text"] = json!(text);
            let answer = chat.commits(&author, "create", body);
            if answer != Value::Null {
                refused.push(code(&answer));
            }
        }
    }
    assert!(
        !refused.is_empty() && refused.iter().all(|code| *code == 429),
        "{refused:?}"
    );
    // Another object's authors do not notice.
    let cellar = "ctxt://localhost/cellar";
    let (reporter, reader) = (chat.reporter.clone(), chat.reader.clone());
    chat.world
        .claims(&reporter, cellar, json!({"children": ["chat"]}));
    chat.world.subscribes_raw(&reader, cellar);
    let asked = chat.world.frames(&reporter).pop().unwrap();
    world::kitchen::answers(&mut chat.world, &reporter, &asked, (chat.epoch, 0));
    let (to, body) = (format!("{cellar}/children/chat"), chat.creation(&reader, 1));
    let answer = chat
        .world
        .asks(&reader, "create", &reader.hyperty, &to, body);
    assert_eq!(answer, Value::Null, "forwarded");
    chat.world.passes(UNANSWERED_MS);
    assert_eq!(
        chat.commits(&reader, "create", chat.creation(&reader, 1)),
        Value::Null
    );
}

#[test]
fn names_that_no_address_can_have_are_not_claimed() {
    let mut world = World::new();
    let reporter = world.client(1);
    let many: Vec<String> = (0..17).map(|n| format!("n{n}")).collect();
    let long = "x".repeat(65);
    let cases = [
        (json!(many), 413),
        (json!([long]), 400),
        (json!([""]), 400),
        (json!(["a/b"]), 400),
        (json!(["ä"]), 400),
        (json!(["changes"]), 400),
        (json!(["subscription"]), 400),
        (json!(["registration"]), 400),
        (json!(["a", "b", "a"]), 400),
        (json!("a"), 400),
        (json!(many[..16]), 200),
        (json!(["A-z_0"]), 200),
    ];
    for (names, expected) in cases {
        let claimed = world.claims(&reporter, KITCHEN, json!({"base": null, "children": names}));
        assert_eq!(code(&claimed), expected, "{names}: {claimed}");
    }
}

#[test]
fn who_is_put_out_while_away_writes_nothing_when_it_returns_under_no_address() {
    let mut chat = chat();
    let author = chat.author.clone();
    for absent_ms in [1_000, GRACE_MS + 1] {
        chat.world.drops(&author);
        chat.world.passes(absent_ms);
        chat.kicks(&author.hyperty);
        let (back, _) = chat.world.reopens(&author);
        for hyperty in [back.hyperty.clone(), format!("{}-new", back.hyperty)] {
            let back = world::Client {
                hyperty,
                ..back.clone()
            };
            for kind in ["create", "event"] {
                let answer = chat.commits(&back, kind, chat.creation(&back, 1));
                assert_eq!(code(&answer), 403, "{answer}");
            }
            assert_eq!(code(&chat.world.subscribes_raw(&back, KITCHEN)), 403);
        }
        let body = json!({"method": "allow", "params": [KITCHEN, author.identity()]});
        let (reporter, sm) = (chat.reporter.clone(), sm());
        chat.world
            .asks(&reporter, "execute", &reporter.hyperty, &sm, body);
        chat.author = back;
        chat.lets_in(&chat.author.clone());
    }
}
