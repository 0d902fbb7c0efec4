//! Children and events as the node passes them on: a commit to the Reporter, what that takes to every
//! reader, and all else to nobody.

use byline_core::limits::UNANSWERED_MS;
use serde_json::{Value, json};

use crate::world::chat::{CHAT, Chat, chat};
use crate::world::kitchen::{KITCHEN, code};
use crate::world::{World, of};

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
fn what_the_reporter_takes_of_an_author_whose_token_ended_its_readers_get() {
    let mut world = World::of_people();
    let (hour, second) = (3_600_000, 1_000);
    let reporter = world.client_as(1, "ana", hour);
    let (author, reader) = (
        world.client_as(2, "ben", second),
        world.client_as(3, "cleo", hour),
    );
    let claimed = world.claims(&reporter, KITCHEN, json!({"children": ["chat"]}));
    let epoch = claimed["body"]["epoch"].as_u64().unwrap();
    let mut chat = Chat {
        world,
        reporter,
        author,
        reader,
        epoch,
    };
    let (author, reader) = (chat.author.clone(), chat.reader.clone());
    chat.lets_in(&author);
    chat.lets_in(&reader);
    chat.commits(&author, "create", chat.creation(&author, 1));
    chat.world.passes(second);
    let frames = chat.world.frames(&author);
    assert!(frames.iter().any(|frame| code(frame) == 401), "{frames:?}");
    let asked = chat.asked().pop().unwrap();
    chat.takes(&asked);
    assert_eq!(chat.world.counts(&reader, "create"), 1);
    assert_eq!(chat.world.frames(&author), frames, "nothing more");
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
    chat.world.deletes(&chat.reporter.clone(), KITCHEN);
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
    let object = chat.world.published[KITCHEN];
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
