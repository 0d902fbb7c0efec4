//! Files in a room: who has their content, and how it comes.

use byline_core::children::{FileDescription, FileError};
use byline_core::error::Refusal;
use byline_core::limits::{
    FETCH_WINDOW, FILE_BYTES_MAX, FILE_CHUNK_BYTES, FILES_SENT_BYTES_MAX, GRACE_MS,
};
use byline_core::runtime::{ChildError, Seat};
use serde_json::json;

use crate::world::children::text;
use crate::world::files::{
    assert_fetched, content, failed, fetched, fetches, room, sends, tries_to_fetch, tries_to_send,
};
use crate::world::room::kicks;
use crate::world::{InFlight, World};

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
