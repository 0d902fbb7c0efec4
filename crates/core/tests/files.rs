//! Files in a room: who has their content, how it comes, and what becomes of what is not as described.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use byline_core::children::{ChildId, FileDescription, FileError};
use byline_core::error::Refusal;
use byline_core::identity::encode_bytes;
use byline_core::limits::{
    FETCH_SILENCES_MAX, FETCH_WINDOW, FILE_BYTES_MAX, FILE_CHUNK_BYTES, FILES_SENT_BYTES_MAX,
    GRACE_MS, REQUEST_MS, UNANSWERED_PER_ASKER_MAX,
};
use byline_core::runtime::{ChildError, Seat};
use serde_json::{Value, json};
use world::children::text;
use world::kitchen::{KITCHEN, code};
use world::room::kicks;
use world::{Client, InFlight, World, count};

const CHAT: &str = "ctxt://localhost/kitchen/children/chat";

/// A content that is another for each `seed`, and has no two chunks alike.
fn content(seed: u8, bytes: usize) -> Arc<[u8]> {
    let mut state = u32::from(seed) + 1;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(byte).collect()
}

/// A Reporter who keeps files or does not, and so many who observe.
fn room(keeps: bool, observers: usize) -> (World, Seat, Vec<Seat>) {
    let mut world = World::new();
    let owner = world.runtime();
    let reporter = world.creates_as(owner, "kitchen", count(0), |create| {
        create.children = BTreeMap::from([("chat".to_owned(), 100)]);
        create.files = BTreeSet::from_iter(keeps.then(|| "chat".to_owned()));
    });
    world.settles();
    let observers = (0..observers).map(|_| {
        let guest = world.runtime();
        world.subscribes(guest, "kitchen")
    });
    let observers: Vec<_> = observers.collect();
    world.settles();
    (world, reporter, observers)
}

fn tries_to_send(
    world: &mut World,
    seat: &Seat,
    content: &Arc<[u8]>,
) -> Result<(ChildId, u64), ChildError> {
    let (who, now, content) = (world.who(seat), world.now, Arc::clone(content));
    let machine = world.machine(who);
    machine.send_file(seat, "chat", "cat.png", "image/png", content, now)
}

fn sends(world: &mut World, seat: &Seat, content: &Arc<[u8]>) -> ChildId {
    let (id, call) = tries_to_send(world, seat, content).unwrap();
    world.settles();
    assert_eq!(world.done(seat, call), Some(Ok(())));
    id
}

fn tries_to_fetch(world: &mut World, seat: &Seat, id: &ChildId) -> Result<u64, ChildError> {
    let (who, now) = (world.who(seat), world.now);
    world.machine(who).fetch(seat, "chat", id, now)
}

fn fetches(world: &mut World, seat: &Seat, id: &ChildId) -> u64 {
    tries_to_fetch(world, seat, id).unwrap()
}

/// How a fetch has ended, once it has.
fn fetched(world: &World, seat: &Seat, call: u64) -> Option<Result<Arc<[u8]>, Refusal>> {
    let place = world.place(world.who(seat));
    place.fetched.get(&call).cloned()
}

#[track_caller]
fn assert_fetched(world: &World, seat: &Seat, call: u64, content: &Arc<[u8]>) {
    match fetched(world, seat, call) {
        Some(Ok(bytes)) => assert!(bytes == *content, "{} bytes, others", bytes.len()),
        other => panic!("{:?}", other.map(|end| end.map(|bytes| bytes.len()))),
    }
}

/// The code and the reason of a fetch that has failed.
#[track_caller]
fn failed(world: &World, seat: &Seat, call: u64) -> (u16, String) {
    let refusal = fetched(world, seat, call)
        .expect("it has ended")
        .unwrap_err();
    (refusal.code, refusal.desc.into_owned())
}

/// The chunks that a runtime was asked for.
fn asked_of(world: &World, seat: &Seat) -> usize {
    let received = &world.place(world.who(seat)).received;
    let asked = received
        .iter()
        .filter(|frame| frame.contains("\"type\":\"read\"") && frame.contains("\"chunk\":"));
    asked.count()
}

#[test]
fn a_file_comes_whole_from_its_author_and_tells_how_far_it_is() {
    let (mut world, reporter, observers) = room(false, 3);
    let content = content(1, 3 * FILE_CHUNK_BYTES + 7);
    let id = sends(&mut world, &observers[0], &content);
    let described = &world.chat(&observers[1]).get(&id).unwrap().value;
    let described = FileDescription::read(described).unwrap();
    assert_eq!(
        (&*described.name, &*described.mimetype),
        ("cat.png", "image/png")
    );
    assert_eq!(described.size, content.len() as u64);
    for seat in [&observers[1], &observers[2], &reporter] {
        let call = fetches(&mut world, seat, &id);
        world.settles();
        assert_fetched(&world, seat, call, &content);
        let place = world.place(world.who(seat));
        assert_eq!(place.fetching[&call], content.len() as u64);
    }
    assert_eq!(asked_of(&world, &observers[0]), 12, "each chunk once");
    assert_eq!(asked_of(&world, &reporter), 0);
    // Who has it asks nobody.
    let call = fetches(&mut world, &observers[0], &id);
    world.settles();
    assert_fetched(&world, &observers[0], call, &content);
    world.assert_all_answered();
}

#[test]
fn an_empty_file_is_one_too() {
    let (mut world, _, observers) = room(false, 2);
    let content = content(1, 0);
    let id = sends(&mut world, &observers[0], &content);
    let call = fetches(&mut world, &observers[1], &id);
    world.settles();
    assert_fetched(&world, &observers[1], call, &content);
}

#[test]
fn a_fetch_goes_on_after_cuts_and_asks_only_for_what_is_missing() {
    let (mut world, _, observers) = room(false, 2);
    let content = content(2, FILE_BYTES_MAX);
    let chunks = FILE_BYTES_MAX / FILE_CHUNK_BYTES;
    let id = sends(&mut world, &observers[0], &content);
    let call = fetches(&mut world, &observers[1], &id);
    let mut cuts = 0;
    while fetched(&world, &observers[1], call).is_none() {
        for _ in 0..40 {
            world.moves_once();
        }
        let cut = world.who(&observers[cuts % 2]);
        world.blinks(cut, InFlight::Lost);
        cuts += 1;
        // It is there again; what it says then is cut in its turn.
        while world.place(cut).link.is_none() {
            world.ticks();
        }
        assert!(cuts < 100, "it comes no nearer");
    }
    assert!(cuts > 2, "it was cut");
    assert_fetched(&world, &observers[1], call, &content);
    let asked = asked_of(&world, &observers[0]);
    assert!(
        (chunks..=chunks + cuts * FETCH_WINDOW).contains(&asked),
        "{asked} chunks asked for, with {cuts} cuts"
    );
}

#[test]
fn the_reporter_keeps_what_others_send_and_serves_it_when_they_are_gone() {
    let (mut world, reporter, observers) = room(true, 2);
    let content = content(3, 2 * FILE_CHUNK_BYTES);
    let id = sends(&mut world, &observers[0], &content);
    let author = world.who(&observers[0]);
    world.cut(author, InFlight::Delivered);
    let call = fetches(&mut world, &observers[1], &id);
    world.settles();
    assert_fetched(&world, &observers[1], call, &content);
    world.passes(GRACE_MS + 1);
    let call = fetches(&mut world, &observers[1], &id);
    world.settles();
    assert_fetched(&world, &observers[1], call, &content);
    // What it removes it serves no longer.
    let call = fetches(&mut world, &observers[1], &id);
    world.deletes_child(&reporter, &id);
    world.settles();
    assert!(matches!(
        fetched(&world, &observers[1], call),
        Some(
            Ok(_)
                | Err(Refusal {
                    code: 404 | 410,
                    ..
                })
        )
    ));
    let gone = tries_to_fetch(&mut world, &observers[1], &id);
    assert_eq!(gone, Err(ChildError::NoChild(id)));
}

#[test]
fn a_file_that_nobody_has_who_is_there_is_waited_for() {
    let (mut world, reporter, observers) = room(false, 2);
    let content = content(4, FILE_CHUNK_BYTES);
    let id = sends(&mut world, &observers[0], &content);
    let author = world.who(&observers[0]);
    world.cut(author, InFlight::Lost);
    let call = fetches(&mut world, &observers[1], &id);
    // The Reporter is asked, and keeps no files.
    world.settles();
    assert_eq!(failed(&world, &observers[1], call).0, 404);
    let owner = world.who(&reporter);
    world.cut(owner, InFlight::Lost);
    let call = fetches(&mut world, &observers[1], &id);
    world.passes(5_000);
    assert_eq!(fetched(&world, &observers[1], call), None);
    world.heals(author);
    world.passes(GRACE_MS / 2);
    assert_fetched(&world, &observers[1], call, &content);
}

#[test]
fn who_is_put_out_gets_nothing_more_of_a_file() {
    let (mut world, reporter, observers) = room(false, 2);
    let id = sends(&mut world, &observers[0], &content(5, FILE_BYTES_MAX));
    let call = fetches(&mut world, &observers[1], &id);
    for _ in 0..8 {
        world.moves_once();
    }
    kicks(&mut world, &reporter, observers[1].hyperty.as_str());
    world.settles();
    assert_eq!(failed(&world, &observers[1], call).0, 403);
    let again = tries_to_fetch(&mut world, &observers[1], &id);
    assert!(matches!(again, Err(ChildError::Closed(_))), "{again:?}");
}

#[test]
fn what_cannot_be_a_file_is_refused_at_the_call() {
    let (mut world, reporter, observers) = room(false, 2);
    let over = content(6, FILE_BYTES_MAX + 1);
    let refused = tries_to_send(&mut world, &observers[0], &over);
    let size = FILE_BYTES_MAX as u64 + 1;
    assert_eq!(refused, Err(ChildError::File(FileError::TooLarge(size))));
    let (id, _) = world.writes_child(&reporter, text("no file"));
    let described = FileDescription::of("a", "text/plain", b"green").unwrap();
    let mut described = serde_json::to_value(described).unwrap();
    described["chunk"] = json!(0);
    let (zero, _) = world.writes_child(&reporter, described);
    world.settles();
    let refused = tries_to_fetch(&mut world, &observers[0], &id).unwrap_err();
    assert!(matches!(refused, ChildError::File(FileError::NotAFile(_))));
    let refused = tries_to_fetch(&mut world, &observers[0], &zero);
    assert_eq!(refused, Err(ChildError::File(FileError::Chunk)));
}

#[test]
fn the_files_that_one_sends_are_bounded_and_a_removed_one_makes_room() {
    let (mut world, _, observers) = room(false, 1);
    let content = content(7, FILE_BYTES_MAX);
    let most = FILES_SENT_BYTES_MAX / FILE_BYTES_MAX;
    let ids: Vec<_> = (0..most)
        .map(|_| sends(&mut world, &observers[0], &content))
        .collect();
    let refused = tries_to_send(&mut world, &observers[0], &content);
    assert_eq!(refused, Err(ChildError::Files));
    world.deletes_child(&observers[0], &ids[0]);
    world.settles();
    sends(&mut world, &observers[0], &content);
}

// Those who lie, and those who ask for too much.

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
