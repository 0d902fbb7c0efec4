//! Children and events as the node passes them on: a commit to the Reporter, what that takes to every
//! reader, and all else to nobody.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use byline_core::limits::{
    CHILD_BODY_BYTES_MAX, CREATED_OFF_MS, EVENT_BODY_BYTES_MAX, GRACE_MS, KEPT_PER_ASKER_BYTES_MAX,
    MODERATED_MAX, UNANSWERED_MS,
};
use serde_json::{Value, json};
use world::chat::{CHAT, chat};
use world::kitchen::{KITCHEN, code};
use world::{World, of, sm};

// On its way.

#[test]
fn what_the_reporter_takes_every_reader_has_before_its_author_is_answered() {
    let mut chat = chat();
    let (author, reader) = (chat.author.clone(), chat.reader.clone());
    let answer = chat.commits(&author, "create", chat.creation(&author, 1));
    assert_eq!(answer, Value::Null, "the Reporter has not answered");
    assert_eq!(chat.world.counts(&reader, "create"), 0);
    let asked = chat.asked().pop().unwrap();
    assert_eq!(asked["body"]["identity"], json!(author.identity()));
    chat.takes(&asked);
    let expected = json!({"id": null, "type": "create", "from": author.hyperty, "to": CHAT,
        "body": asked["body"]});
    assert_eq!(chat.world.frames(&reader).pop().unwrap(), expected);
    let last_two = chat
        .world
        .frames(&author)
        .split_off(chat.world.frames(&author).len() - 2);
    assert_eq!(last_two[0], expected, "its author has it as everybody");
    assert_eq!(
        last_two[1]["body"],
        json!({"code": 200, "position": [1, 1]})
    );
    // The Reporter, who has it, is not sent it again: it observes nothing.
    assert_eq!(chat.world.counts(&chat.reporter, "create"), 1);
    chat.world.assert_all_answered();
}

#[test]
fn what_the_reporter_refuses_nobody_but_its_author_hears_of() {
    let mut chat = chat();
    let (author, reader) = (chat.author.clone(), chat.reader.clone());
    let before = chat.world.frames(&reader).len();
    chat.commits(&author, "create", chat.creation(&author, 1));
    let asked = chat.asked().pop().unwrap();
    let gap =
        json!({"code": 409, "desc": "a gap", "reason": "gap", "position": [1, 0], "retry": "now"});
    chat.answers(&asked, &gap);
    assert_eq!(chat.world.frames(&author).pop().unwrap()["body"], gap);
    assert_eq!(chat.world.frames(&reader).len(), before);
}

#[test]
fn the_reporters_own_commits_go_to_its_readers_at_once() {
    let mut chat = chat();
    let (reporter, author, reader) = (
        chat.reporter.clone(),
        chat.author.clone(),
        chat.reader.clone(),
    );
    let writes = [
        ("create", chat.creation(&reporter, 1)),
        (
            "update",
            json!({"epoch": 1, "seq": 2, "resource": format!("{}#1", reporter.hyperty), "attribute": "n", "value": 2}),
        ),
        (
            "delete",
            json!({"epoch": 1, "seq": 3, "of": {format!("{}#1", author.hyperty): [1, 1]}}),
        ),
        ("update", json!({"epoch": 1, "seq": 4, "closed": true})),
        ("update", json!({"epoch": 2, "seq": 1, "base": [1, 4]})),
    ];
    for (kind, body) in writes {
        let position = json!([body["epoch"], body["seq"]]);
        let answer = chat.commits(&reporter, kind, body.clone());
        assert_eq!(answer["body"], json!({"code": 200, "position": position}));
        let heard = chat.world.frames(&reader).pop().unwrap();
        assert_eq!(
            (&heard["type"], &heard["body"]["seq"]),
            (&json!(kind), &body["seq"])
        );
        assert_eq!(heard["body"]["identity"], json!(reporter.identity()));
    }
    assert_eq!(chat.asked(), Vec::<Value>::new());
}

#[test]
fn what_a_message_says_of_its_identity_is_not_believed() {
    let mut chat = chat();
    let (author, reporter) = (chat.author.clone(), chat.reporter.clone());
    let mut body = chat.creation(&author, 1);
    body["identity"] = json!(reporter.identity());
    chat.commits(&author, "create", body);
    let asked = chat.asked().pop().unwrap();
    assert_eq!(asked["body"]["identity"], json!(author.identity()));
    let mut body = chat.creation(&reporter, 1);
    body["identity"] = json!(author.identity());
    chat.commits(&reporter, "create", body);
    let heard = chat
        .world
        .frames(&author)
        .into_iter()
        .rfind(|frame| frame["type"] == "create");
    assert_eq!(
        heard.unwrap()["body"]["identity"],
        json!(reporter.identity())
    );
}

// When somebody goes.

#[test]
fn a_commit_is_forwarded_to_nobody_while_the_reporter_is_away() {
    let mut chat = chat();
    let author = chat.author.clone();
    chat.world.drops(&chat.reporter.clone());
    let answer = chat.commits(&author, "create", chat.creation(&author, 1));
    assert_eq!(code(&answer), 503, "{answer}");
    let (back, _) = chat.world.reopens(&chat.reporter.clone());
    assert_eq!(chat.world.counts(&back, "create"), 0, "it does not wait");
    // One that was on its way is answered when the Reporter is lost.
    chat.reporter = back.clone();
    chat.commits(&author, "create", chat.creation(&author, 1));
    chat.world.drops(&back);
    let answer = chat
        .world
        .frames(&author)
        .into_iter()
        .rfind(|frame| frame["type"] == "response");
    let answer = answer.unwrap();
    assert_eq!((code(&answer), of(&answer, "retry")), (503, "now".into()));
    chat.world.assert_all_answered();
}

#[test]
fn what_the_reporter_takes_of_an_author_who_is_gone_its_readers_get() {
    let mut chat = chat();
    let (author, reader) = (chat.author.clone(), chat.reader.clone());
    let frame = json!({"id": "first", "type": "create", "from": author.hyperty, "to": CHAT,
        "body": chat.creation(&author, 1)});
    chat.world.says(&author, &frame.to_string());
    chat.world.drops(&author);
    let (back, _) = chat.world.reopens(&author);
    // Its answer would be taken for this one's.
    chat.world.says(&back, &frame.to_string());
    let again = chat.world.answer(&back, &json!("first"));
    assert_eq!(code(&again), 400, "{again}");
    let asked = chat.asked().pop().unwrap();
    chat.takes(&asked);
    assert_eq!(chat.world.counts(&reader, "create"), 1);
    assert_eq!(chat.world.counts(&back, "create"), 1, "as a reader");
    assert_eq!(
        chat.world.answer(&back, &json!("first")),
        again,
        "nothing more"
    );
    // Said again, it is forwarded again, and the Reporter says the same again.
    chat.world.says(&back, &frame.to_string());
    let asked = chat.asked().pop().unwrap();
    chat.takes(&asked);
    assert_eq!(code(&chat.world.answer(&back, &json!("first"))), 200);
    assert_eq!(chat.world.counts(&reader, "create"), 2);
    chat.world.assert_all_answered();
}

#[test]
fn a_kick_does_not_take_back_what_the_reporter_took() {
    let mut chat = chat();
    let (author, reader) = (chat.author.clone(), chat.reader.clone());
    chat.commits(&author, "create", chat.creation(&author, 1));
    chat.kicks(&author.hyperty);
    let asked = chat.asked().pop().unwrap();
    chat.takes(&asked);
    assert_eq!(chat.world.counts(&reader, "create"), 1);
    assert_eq!(chat.world.counts(&author, "create"), 0, "it reads no more");
    let answer = chat.world.frames(&author).pop().unwrap();
    assert_eq!(answer["body"], json!({"code": 200, "position": [1, 1]}));
    let answer = chat.commits(&author, "create", chat.creation(&author, 2));
    assert_eq!(code(&answer), 403);
    chat.world.assert_all_answered();
}

#[test]
fn a_deletion_and_a_silent_reporter_answer_what_was_written() {
    let mut chat = chat();
    let author = chat.author.clone();
    chat.commits(&author, "create", chat.creation(&author, 1));
    chat.world.passes(UNANSWERED_MS);
    assert_eq!(code(&chat.world.frames(&author).pop().unwrap()), 408);
    chat.commits(&author, "create", chat.creation(&author, 1));
    let (from, to) = (
        format!("{KITCHEN}/subscription"),
        format!("{KITCHEN}/changes"),
    );
    chat.world
        .asks(&chat.reporter.clone(), "delete", &from, &to, json!({}));
    let answer = chat
        .world
        .frames(&author)
        .into_iter()
        .rfind(|frame| frame["type"] == "response");
    assert_eq!(code(&answer.unwrap()), 410);
    let answer = chat.commits(&author, "create", chat.creation(&author, 1));
    assert_eq!(code(&answer), 410);
    chat.world.assert_all_answered();
}

#[test]
fn a_reader_that_was_parked_is_told_that_it_may_have_missed_children() {
    let mut chat = chat();
    let (author, reader) = (chat.author.clone(), chat.reader.clone());
    chat.commits(&author, "event", json!({"value": 1}));
    let object = chat.world.published[&author.hyperty];
    chat.world.node_says(byline_core::node::Input::Parked(
        reader.connection,
        [object].into(),
    ));
    let before = chat.world.frames(&reader).len();
    chat.commits(
        &chat.reporter.clone(),
        "create",
        chat.creation(&chat.reporter, 1),
    );
    assert_eq!(chat.world.frames(&reader).len(), before);
    chat.world
        .node_says(byline_core::node::Input::Drained(reader.connection));
    let head = chat.world.frames(&reader).pop().unwrap();
    assert_eq!(head["body"]["missed"], true, "{head}");
    // Other heads do not say so.
    chat.world.drops(&chat.reporter.clone());
    let head = chat.world.frames(&reader).pop().unwrap();
    assert_eq!(
        (&head["body"]["live"], &head["body"]["missed"]),
        (&json!(false), &Value::Null)
    );
}

// Refusals.

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

#[test]
fn a_commit_without_its_shape_is_refused_by_the_name_of_the_field() {
    let mut chat = chat();
    let author = chat.author.clone();
    let good = chat.creation(&author, 1);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let id = &good["resource"];
    let many: serde_json::Map<String, Value> = (0..=MODERATED_MAX)
        .map(|n| (format!("x#{n}"), json!([1, 1])))
        .collect();
    let cases = [
        ("create", with("epoch", json!(-1)), 400, "body.epoch"),
        (
            "create",
            with("epoch", json!(1_u64 << 60)),
            400,
            "body.epoch",
        ),
        ("create", with("seq", json!(0)), 400, "body.seq"),
        ("create", with("seq", Value::Null), 400, "body.seq"),
        ("create", with("base", json!([1])), 400, "body.base"),
        (
            "create",
            with("resource", Value::Null),
            400,
            "body.resource",
        ),
        ("create", with("value", json!([])), 400, "body.value"),
        ("create", with("value", Value::Null), 400, "body.value"),
        (
            "create",
            with("created", json!("yesterday")),
            400,
            "body.created",
        ),
        ("create", with("created", Value::Null), 400, "body.created"),
        (
            "update",
            json!({"epoch": 1, "seq": 1, "resource": id}),
            400,
            "attribute",
        ),
        (
            "update",
            json!({"epoch": 1, "seq": 1, "resource": id, "changes": []}),
            400,
            "body.changes",
        ),
        (
            "update",
            json!({"epoch": 1, "seq": 1, "resource": id, "attribute": 7, "value": 1}),
            400,
            "attribute",
        ),
        (
            "update",
            json!({"epoch": 1, "seq": 1, "attribute": "n", "value": 1}),
            400,
            "body.resource",
        ),
        (
            "update",
            json!({"epoch": 1, "seq": 1, "resource": id, "closed": true}),
            400,
            "body.closed",
        ),
        (
            "update",
            json!({"epoch": 1, "seq": 1, "closed": 1}),
            400,
            "body.closed",
        ),
        (
            "delete",
            json!({"epoch": 1, "seq": 1}),
            400,
            "body.resource",
        ),
        (
            "delete",
            json!({"epoch": 1, "seq": 1, "of": {}}),
            400,
            "body.of",
        ),
        (
            "delete",
            json!({"epoch": 1, "seq": 1, "of": {"x#1": 7}}),
            400,
            "body.of",
        ),
        (
            "delete",
            json!({"epoch": 1, "seq": 1, "resource": id, "of": {"x#1": [1, 1]}}),
            400,
            "body.of",
        ),
        (
            "delete",
            json!({"epoch": 1, "seq": 1, "of": many}),
            413,
            "body.of",
        ),
    ];
    for (kind, body, expected, field) in cases {
        let answer = chat.commits(&author, kind, body);
        assert_eq!(code(&answer), expected, "{kind} {field}: {answer}");
        assert!(of(&answer, "desc").contains(field), "{field}: {answer}");
    }
    let doubled = format!(
        r#"{{"id":"x","type":"delete","from":"{0}","to":"{CHAT}","body":{{"epoch":1,"seq":1,"resource":"{0}#1","resource":"x#1"}}}}"#,
        author.hyperty
    );
    chat.world.says(&author, &doubled);
    assert_eq!(code(&chat.world.answer(&author, &json!("x"))), 400);
    assert_eq!(chat.asked(), Vec::<Value>::new());
    let request = json!({"type": "create", "from": author.hyperty, "to": CHAT, "body": good});
    chat.world.says(&author, &request.to_string());
    let answer = chat.world.frames(&author).pop().unwrap();
    assert_eq!((code(&answer), &answer["id"]), (400, &Value::Null));
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

// Events.

#[test]
fn an_event_reaches_every_reader_and_the_reporter_and_is_not_answered() {
    let mut chat = chat();
    let (author, reader, reporter) = (
        chat.author.clone(),
        chat.reader.clone(),
        chat.reporter.clone(),
    );
    let body = json!({"value": {"typing": true}, "identity": "user-guid://x"});
    assert_eq!(chat.commits(&author, "event", body.clone()), Value::Null);
    for who in [&author, &reader, &reporter] {
        let heard = chat.world.frames(who).pop().unwrap();
        assert_eq!(heard["type"], "event");
        assert_eq!(
            heard["body"],
            json!({"value": {"typing": true}, "identity": author.identity()})
        );
        assert_eq!(chat.world.counts(who, "event"), 1);
    }
    assert_eq!(chat.commits(&reporter, "event", body), Value::Null);
    assert_eq!(chat.world.counts(&reader, "event"), 2);
    assert_eq!(
        chat.world.counts(&reporter, "event"),
        1,
        "its own is not sent back"
    );
    // A holder that observes gets it once; one that is away not at all.
    chat.observes_itself();
    chat.commits(&author, "event", json!({}));
    assert_eq!(chat.world.counts(&reporter, "event"), 2);
    chat.world.drops(&reporter);
    assert_eq!(chat.commits(&author, "event", json!({})), Value::Null);
    assert_eq!(chat.world.counts(&reader, "event"), 4);
    chat.world.assert_all_answered();
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
