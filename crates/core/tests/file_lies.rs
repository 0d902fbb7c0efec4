//! Files of those who lie, and those who ask for too much: what becomes of what is not as described.

use std::collections::BTreeSet;

use byline_core::children::{ChildId, FileDescription};
use byline_core::identity::encode_bytes;
use byline_core::limits::{
    FETCH_SILENCES_MAX, FETCH_WINDOW, FILE_BYTES_MAX, FILE_CHUNK_BYTES, REQUEST_MS,
    UNANSWERED_PER_ASKER_MAX,
};
use byline_core::runtime::Seat;
use serde_json::{Value, json};

use crate::world::chat::CHAT;
use crate::world::files::{assert_fetched, content, failed, fetches, room, sends};
use crate::world::kitchen::{KITCHEN, code};
use crate::world::{Client, World};

/// A room in which one author says whatever it likes.
struct Lies {
    world: World,
    reader: Seat,
    other: Seat,
    liar: Client,
    answered: usize,
    numbers: u64,
}

fn lies() -> Lies {
    let (mut world, _, observers) = room(false, 2);
    let liar = world.client(77);
    let answer = world.subscribes_raw(&liar, KITCHEN);
    assert_eq!(code(&answer), 200, "{answer}");
    let [reader, other] = observers.try_into().unwrap();
    Lies {
        world,
        reader,
        other,
        liar,
        answered: 0,
        numbers: 0,
    }
}

impl Lies {
    /// The liar describes a file.
    fn describes(&mut self, content: &[u8]) -> ChildId {
        let described = FileDescription::of("lies.txt", "text/plain", content).unwrap();
        self.numbers += 1;
        let n = self.numbers;
        let id = format!("{}#{n}", self.liar.hyperty);
        let body = json!({"epoch": 1, "seq": n, "resource": id, "value": described,
            "created": self.world.now.rfc3339()});
        let liar = self.liar.clone();
        let answer = self.world.asks(&liar, "create", &liar.hyperty, CHAT, body);
        assert_eq!(code(&answer), 200, "{answer}");
        id.parse().unwrap()
    }

    /// The requests for chunks that the liar has not answered.
    fn asked(&mut self) -> Vec<Value> {
        let mut frames = self.world.frames(&self.liar);
        frames.retain(|frame| frame["type"] == "read");
        let new = frames.split_off(self.answered);
        self.answered += new.len();
        new
    }

    fn says(&mut self, asked: &Value, body: &Value) {
        let answer = json!({"id": asked["id"], "type": "response", "from": asked["to"],
            "to": asked["from"], "body": body});
        self.world.says(&self.liar.clone(), &answer.to_string());
    }

    /// A fetch of what the liar describes, whose every chunk it answers by `chunk`.
    fn fetch_answered(&mut self, content: &[u8], chunk: impl Fn(usize) -> Value) -> (u16, String) {
        let id = self.describes(content);
        let reader = self.reader.clone();
        let call = fetches(&mut self.world, &reader, &id);
        self.world.settles();
        loop {
            let asked = self.asked();
            if asked.is_empty() {
                break;
            }
            assert!(asked.len() <= FETCH_WINDOW, "few at once");
            for one in asked {
                let index = one["body"]["chunk"].as_u64().unwrap();
                self.says(&one, &chunk(usize::try_from(index).unwrap()));
            }
        }
        failed(&self.world, &reader, call)
    }
}

fn chunk(bytes: &[u8]) -> Value {
    json!({"code": 200, "value": encode_bytes(bytes)})
}

#[test]
fn chunks_that_do_not_add_up_to_what_was_described_are_given_to_nobody() {
    let mut lies = lies();
    let content = content(8, 2 * FILE_CHUNK_BYTES);
    let (first, second) = content.split_at(FILE_CHUNK_BYTES);
    let right = |index| if index == 0 { first } else { second };
    let wrong_way = |index| if index == 0 { second } else { first };
    let author = lies.liar.hyperty.clone();

    for (what, answer) in [
        ("wrong bytes", chunk(&vec![0; FILE_CHUNK_BYTES])),
        ("short", chunk(&first[1..])),
        ("long", chunk(&content[..FILE_CHUNK_BYTES + 1])),
        ("empty", chunk(&[])),
        ("no base64", json!({"code": 200, "value": "%%%"})),
        ("no value", json!({"code": 200})),
        ("no text", json!({"code": 200, "value": [1, 2]})),
    ] {
        let (code, desc) = lies.fetch_answered(&content, |_| answer.clone());
        assert_eq!(code, 502, "{what}: {desc}");
        assert!(
            desc.contains(&author) && desc.contains("lies.txt"),
            "{desc}"
        );
    }
    let (code, desc) = lies.fetch_answered(&content, |index| chunk(wrong_way(index)));
    assert_eq!(code, 502, "wrong index: {desc}");
    assert!(desc.contains("SHA-256"), "{desc}");
    let (code, desc) = lies.fetch_answered(&content, |_| json!({"code": 404, "desc": "lost"}));
    assert_eq!((code, &*desc), (404, "lost"));

    // It can be honest, too; and nobody else was disturbed.
    let id = lies.describes(&content);
    let reader = lies.reader.clone();
    let call = fetches(&mut lies.world, &reader, &id);
    lies.world.settles();
    for asked in lies.asked() {
        let index = asked["body"]["chunk"].as_u64().unwrap();
        lies.says(&asked, &chunk(right(index)));
    }
    assert_fetched(&lies.world, &reader, call, &content);
    for seat in [&lies.reader, &lies.other] {
        assert_eq!(lies.world.states(seat).last().unwrap().to_string(), "live");
    }
    lies.world.assert_all_answered();
}

#[test]
fn more_than_a_chunk_never_reaches_who_asked_nor_does_a_word_in_between() {
    let mut lies = lies();
    let huge = json!({"code": 200, "value": "A".repeat(300 << 10)});
    let (code, desc) = lies.fetch_answered(&content(9, 10), |_| huge.clone());
    assert_eq!(code, 502, "{desc}");

    let id = lies.describes(&content(9, 10));
    let reader = lies.reader.clone();
    let call = fetches(&mut lies.world, &reader, &id);
    lies.world.settles();
    let received = lies.world.place(1).received.len();
    let asked = lies.asked().remove(0);
    for _ in 0..100 {
        lies.says(
            &asked,
            &json!({"code": 183, "value": "A".repeat(300 << 10)}),
        );
    }
    assert_eq!(lies.world.place(1).received.len(), received);
    lies.says(&asked, &chunk(&content(9, 10)));
    assert_fetched(&lies.world, &reader, call, &content(9, 10));
}

#[test]
fn an_author_that_never_answers_is_given_up() {
    let mut lies = lies();
    let id = lies.describes(&content(10, FILE_BYTES_MAX));
    let reader = lies.reader.clone();
    let call = fetches(&mut lies.world, &reader, &id);
    lies.world.passes(10 * REQUEST_MS);
    assert_eq!(failed(&lies.world, &reader, call).0, 408);
    assert_eq!(lies.asked().len(), FETCH_SILENCES_MAX);
}

#[test]
fn a_stranger_asks_for_no_chunk_and_learns_nothing() {
    let mut lies = lies();
    let (_, stranger) = (lies.describes(&content(11, 10)), lies.world.client(78));
    let mut told = BTreeSet::new();
    for to in [CHAT.to_owned(), format!("{KITCHEN}/children/nothing")] {
        for body in [
            json!({"resource": format!("{}#1", lies.liar.hyperty), "chunk": 0}),
            json!({"resource": format!("{}#9", lies.liar.hyperty), "chunk": 0}),
            json!({}),
        ] {
            let from = stranger.hyperty.clone();
            let answer = lies.world.asks(&stranger, "read", &from, &to, body);
            assert_eq!(code(&answer), 403, "{answer}");
            told.insert(answer["body"]["desc"].to_string());
        }
    }
    assert_eq!(told.len(), 1, "one sentence: {told:?}");
    assert_eq!(lies.asked(), Vec::<Value>::new());
}

#[test]
fn of_ten_thousand_chunks_asked_for_by_one_session_few_reach_who_has_them() {
    let mut lies = lies();
    let greedy = lies.world.client(79);
    assert_eq!(code(&lies.world.subscribes_raw(&greedy, KITCHEN)), 200);
    let id = lies.describes(&content(13, 10));
    for n in 0..10_000 {
        let frame = json!({"id": n, "type": "read", "from": greedy.hyperty, "to": CHAT,
            "body": {"resource": id, "chunk": 0}});
        lies.world.says(&greedy, &frame.to_string());
    }
    assert_eq!(lies.asked().len(), UNANSWERED_PER_ASKER_MAX);
    let frames = lies.world.frames(&greedy);
    let refused = frames.iter().filter(|frame| code(frame) == 429).count();
    assert_eq!(refused, 10_000 - UNANSWERED_PER_ASKER_MAX);
    // Others are asked for theirs meanwhile.
    let (author, seat) = (lies.other.clone(), lies.reader.clone());
    let content = content(14, FILE_CHUNK_BYTES);
    let id = sends(&mut lies.world, &author, &content);
    let call = fetches(&mut lies.world, &seat, &id);
    lies.world.settles();
    assert_fetched(&lies.world, &seat, call, &content);
}
