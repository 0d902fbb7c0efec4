//! Many authors write children of one object: everybody has the same ones in the end, and each author
//! knows what is safe.

use byline_core::children::ChildId;
use byline_core::identity::Identity;
use byline_core::runtime::{ChildError, Seat};
use serde_json::json;

use crate::world::children::text;
use crate::world::{self, InFlight, World};

#[test]
fn a_child_is_safe_and_everybodys_after_one_round_trip() {
    let (mut world, reporter, observers) = World::with_room(2);
    let (id, call) = world.writes_child(&observers[0], text("hello"));
    let own = world.place(1).runtime.own_child(&observers[0], "chat", &id);
    assert_eq!(*own.unwrap(), text("hello"), "its author has it at once");
    assert!(world.chat(&observers[0]).is_empty());
    world.settles();
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    for seat in [&reporter, &observers[0], &observers[1]] {
        assert_eq!(world.texts(seat), ["hello"]);
    }
    let child = world.chat(&observers[1]).get(&id).unwrap();
    assert_eq!(
        child.identity.as_ref(),
        Some(world.place(1).runtime.identity())
    );
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn a_child_is_changed_and_deleted_by_its_author_alone() {
    let (mut world, reporter, observers) = World::with_room(2);
    let (id, _) = world.writes_child(&observers[0], text("hello"));
    world.updates_child(&observers[0], &id, "text", json!("good day"));
    world.settles();
    assert_eq!(world.texts(&observers[1]), ["good day"]);
    world.assert_same_children(&reporter, &observers);
    let now = world.now;
    let other = world.machine(2);
    let stolen = other.delete_child(&observers[1], "chat", &id, now);
    assert_eq!(stolen, Err(ChildError::NotYours(id.clone())));
    let call = world.deletes_child(&observers[0], &id);
    world.settles();
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    assert!(world.chat(&reporter).is_empty());
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn who_joins_late_has_every_child_page_by_page_and_what_comes_meanwhile() {
    let (mut world, reporter, observers) = World::with_room(1);
    let keep_all = world.creates_room(0, "hall", 10_000);
    world.settles();
    let author = world.subscribes(1, "hall");
    world.settles();
    for n in 0..450 {
        let seat = if n % 2 == 0 { &author } else { &keep_all };
        world.writes_child(seat, text(&format!("{n}")));
        if n % 10 == 0 {
            world.passes(1);
        }
    }
    world.settles();
    assert_eq!(world.chat(&keep_all).len(), 450);
    let guest = world.runtime();
    let late = world.subscribes(guest, "hall");
    let mut met = false;
    for n in 0..200 {
        world.moves_once();
        if n % 5 == 0 {
            world.writes_child(&author, text(&format!("meanwhile {n}")));
        }
        let here = world.place(guest).runtime.children(&late, "chat");
        met |= here.is_some_and(|chat| !chat.is_whole() && chat.len() >= 200);
    }
    assert!(met, "it has had a page and not the last");
    world.settles();
    world.assert_same_children(&keep_all, &[author, late]);
    world.assert_same_children(&reporter, &observers);
    world.assert_all_answered();
}

#[test]
fn what_an_author_wrote_while_cut_is_safe_after() {
    let (mut world, reporter, observers) = World::with_room(2);
    let (_, first) = world.writes_child(&observers[0], text("sent"));
    world.moves_once();
    world.cut(1, InFlight::Lost);
    let (id, second) = world.writes_child(&observers[0], text("written offline"));
    let third = world.updates_child(&observers[0], &id, "text", json!("and changed"));
    assert_eq!(world.done(&observers[0], second), None);
    world.heals(1);
    world.passes(60_000);
    for call in [first, second, third] {
        assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    }
    assert_eq!(world.texts(&observers[1]), ["sent", "and changed"]);
    world.assert_same_children(&reporter, &observers);
    world.assert_all_answered();
}

#[test]
fn while_the_reporter_is_away_nobody_has_more_than_it_and_afterwards_all_do() {
    let (mut world, reporter, observers) = World::with_room(2);
    world.cut(0, InFlight::Lost);
    let (_, theirs) = world.writes_child(&observers[0], text("asked"));
    let (_, own) = world.writes_child(&reporter, text("of the Reporter"));
    world.passes(5_000);
    assert_eq!(world.done(&observers[0], theirs), None);
    assert!(world.chat(&observers[1]).is_empty());
    world.heals(0);
    world.passes(60_000);
    assert_eq!(world.done(&observers[0], theirs), Some(Ok(())));
    assert_eq!(world.done(&reporter, own), Some(Ok(())));
    assert_eq!(world.chat(&reporter).len(), 2);
    world.assert_same_children(&reporter, &observers);
    world.assert_all_answered();
}

/// Its 200 is lost, and so is its author: only the Reporter's head can tell.
#[test]
fn what_the_reporter_took_and_nobody_heard_of_is_everybodys_after_its_head() {
    let (mut world, reporter, observers) = World::with_room(2);
    world.writes_child(&observers[0], text("taken"));
    while world.chat(&reporter).is_empty() {
        world.moves_once();
    }
    world.cut(0, InFlight::Lost);
    world.cut(1, InFlight::Lost);
    world.heals(0);
    world.passes(10_000);
    assert_eq!(world.texts(&observers[1]), ["taken"]);
    world.assert_same_children(&reporter, &observers[1..]);
}

#[test]
fn the_reporter_deletes_anybodys_child_and_that_is_final() {
    let (mut world, reporter, observers) = World::with_room(2);
    let (id, _) = world.writes_child(&observers[0], text("spam"));
    world.settles();
    let call = world.deletes_child(&reporter, &id);
    let update = world.updates_child(&observers[0], &id, "text", json!("more spam"));
    let (_, next) = world.writes_child(&observers[0], text("sorry"));
    world.settles();
    assert_eq!(world.done(&reporter, call), Some(Ok(())));
    assert_eq!(world.done(&observers[0], update), Some(Err(410)));
    assert_eq!(
        world.done(&observers[0], next),
        Some(Ok(())),
        "what follows is taken"
    );
    assert_eq!(world.texts(&observers[1]), ["sorry"]);
    let own = world.place(1).runtime.own_child(&observers[0], "chat", &id);
    assert_eq!(own, None);
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn a_closed_collection_takes_nothing_of_others_until_it_is_open_again() {
    let (mut world, reporter, observers) = World::with_room(2);
    let (_, before) = world.writes_child(&observers[0], text("before"));
    world.settles();
    world.closes_children(&reporter, true);
    world.settles();
    let (_, refused) = world.writes_child(&observers[0], text("closed"));
    world.passes(1);
    let (_, own) = world.writes_child(&reporter, text("of the Reporter"));
    world.settles();
    assert_eq!(world.done(&observers[0], before), Some(Ok(())));
    assert_eq!(world.done(&observers[0], refused), Some(Err(403)));
    assert_eq!(world.done(&reporter, own), Some(Ok(())));
    let guest = world.runtime();
    let late = world.subscribes(guest, "room");
    world.settles();
    assert!(world.chat(&late).is_closed(), "who joins late is told");
    world.closes_children(&reporter, false);
    world.settles();
    world.passes(1);
    let (_, open) = world.writes_child(&late, text("open again"));
    world.settles();
    assert_eq!(world.done(&late, open), Some(Ok(())));
    assert_eq!(
        world.texts(&reporter),
        ["before", "of the Reporter", "open again"]
    );
    world.assert_same_children(
        &reporter,
        &[observers[0].clone(), observers[1].clone(), late],
    );
}

#[test]
fn the_oldest_leave_in_batches_where_there_are_more_than_are_kept() {
    let (mut world, reporter, observers) = World::with_room(2);
    for n in 0..130 {
        let seat = if n % 3 == 0 {
            &reporter
        } else {
            &observers[n % 2]
        };
        world.writes_child(seat, text(&format!("{n}")));
        world.passes(1);
        assert!(world.chat(&reporter).len() < 106, "kept 100, and left by 6");
    }
    world.settles();
    assert_eq!(world.chat(&reporter).len(), 100);
    assert_eq!(world.texts(&reporter)[0], "30");
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn a_slow_reader_whose_commits_were_dropped_recovers_when_it_wakes() {
    let (mut world, reporter, observers) = World::with_room(2);
    world.stalls(2);
    let (_, call) = world.writes_child(&observers[0], text("dropped"));
    world.settles();
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    world.overflows(2, &["room"]);
    world.drains(2);
    assert_eq!(world.texts(&observers[1]), ["dropped"]);
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn an_event_is_heard_by_all_who_have_the_object_and_kept_nowhere() {
    let (mut world, reporter, observers) = World::with_room(2);
    let now = world.now;
    let said = json!({"typing": true});
    let sender = world.machine(1);
    sender
        .send_event(&observers[0], "chat", said.clone(), now)
        .unwrap();
    let too_long = json!("x".repeat(70_000));
    let refused = sender.send_event(&observers[0], "chat", too_long, now);
    assert!(matches!(refused, Err(ChildError::TooLarge { .. })));
    world.settles();
    for (who, seat) in [(0, &reporter), (1, &observers[0]), (2, &observers[1])] {
        let [(to, name, event)] = &world.place(who).events[..] else {
            panic!("{:?}", world.place(who).events.len());
        };
        assert_eq!((to, &**name, &event.value), (seat, "chat", &said));
        assert_eq!(event.from, observers[0].hyperty);
        assert!(event.identity.is_some());
    }
    assert!(world.chat(&reporter).is_empty());
}

/// The Reporter took it and its author does not know; sent again much later its date is refused, and
/// with another it is not what everybody has.
#[test]
fn what_was_taken_long_ago_keeps_its_date_when_it_is_sent_again() {
    let (mut world, reporter, observers) = World::with_room(2);
    world.stalls(1);
    let (id, call) = world.writes_child(&observers[0], text("taken"));
    world.settles();
    world.cut(1, InFlight::Lost);
    assert_eq!(world.done(&observers[0], call), None);
    let created = world.chat(&reporter).get(&id).unwrap().created.clone();
    world.passes(90_000);
    world.heals(1);
    world.passes(60_000);
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    for seat in [&reporter, &observers[0], &observers[1]] {
        assert_eq!(world.chat(seat).get(&id).unwrap().created, created);
    }
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn a_clock_that_is_off_is_put_right_by_the_node() {
    let (mut world, reporter, observers) = World::with_room(1);
    let (now, ahead) = (world.now, world.now.plus_ms(3_600_000));
    let author = world.machine(1);
    let written = author.create_child(&observers[0], "chat", text("early"), ahead);
    let (id, call) = written.unwrap();
    world.passes(1_000);
    assert_eq!(world.done(&observers[0], call), Some(Ok(())));
    let created = world.chat(&reporter).get(&id).unwrap().created.clone();
    assert_eq!(created, now.rfc3339());
    world.assert_same_children(&reporter, &observers);
}

#[test]
fn what_is_not_safe_when_its_author_is_put_out_or_lets_go_is_refused() {
    let (mut world, reporter, observers) = World::with_room(2);
    world.cut(0, InFlight::Lost);
    world.settles();
    let (_, put_out) = world.writes_child(&observers[0], text("never"));
    let (_, let_go) = world.writes_child(&observers[1], text("nor this"));
    world.unsubscribes(&observers[1]);
    assert_eq!(world.done(&observers[1], let_go), Some(Err(409)));
    world::room::kicks(&mut world, &reporter, observers[0].hyperty.as_str());
    world.heals(0);
    world.passes(60_000);
    assert_eq!(world.done(&observers[0], put_out), Some(Err(403)));
    assert!(world.chat(&reporter).is_empty());
    let more = world.tries_to_write_child(&observers[0], text("no more"));
    assert!(matches!(more, Err(ChildError::Closed(_))), "{more:?}");
}

/// The node refuses it, for now: its session rests.
#[test]
fn what_an_author_writes_as_its_token_ends_is_safe_when_it_has_another() {
    let mut world = World::of_people();
    let (ana, ben) = (
        world.runtime_as("ana", 3_600_000),
        world.runtime_as("ben", 60_000),
    );
    let reporter = world.creates_room(ana, "room", 100);
    let observer = world.subscribes(ben, "room");
    world.settles();
    world.passes(59_999);
    let (_, call) = world.writes_child(&observer, text("in time"));
    world.passes_for_the_node(1);
    world.settles();
    assert_eq!(world.done(&observer, call), None);
    let token = world.pass("ben", 3_600_000);
    world.authenticates(ben, token);
    world.passes(60_000);
    assert_eq!(world.done(&observer, call), Some(Ok(())));
    let (id, child) = world.chat(&reporter).iter().next().unwrap();
    let ben = Some("user://example.com/ben");
    assert_eq!(child.identity.as_ref().map(Identity::as_str), ben);
    assert_eq!(world.chat(&observer).get(id), Some(child));
    world.assert_same_children(&reporter, &[observer]);
}

/// A third author is not held up by two who write as fast as they can.
#[test]
fn authors_take_turns() {
    let mut world = World::new();
    let owner = world.runtime();
    let reporter = world.creates_room(owner, "room", 10_000);
    let guest = world.runtime();
    let names = ["first", "second", "third"];
    let authors = names.map(|name| world.subscribes_as(guest, name, "room"));
    world.settles();
    for author in &authors {
        for n in 0..200 {
            world.writes_child(author, text(&format!("{n}")));
        }
    }
    let written = |world: &World, author: &Seat| {
        let children = world.chat(&reporter).iter();
        children
            .filter(|(id, _)| id.author() == &author.hyperty)
            .count()
    };
    while written(&world, &authors[0]) < 100 {
        world.moves_once();
    }
    assert!(
        written(&world, &authors[2]) > 50,
        "{}",
        written(&world, &authors[2])
    );
    world.settles();
    world.assert_same_children(&reporter, &authors);
    world.assert_all_answered();
}

#[test]
fn what_cannot_be_written_changes_nothing() {
    let (mut world, reporter, observers) = World::with_room(1);
    let seat = &observers[0];
    let wrong = [
        json!([]),
        json!({"n": u64::MAX}),
        json!({"pad": "x".repeat(300_000)}),
    ];
    for value in wrong {
        assert!(world.tries_to_write_child(seat, value).is_err());
    }
    let now = world.now;
    let stranger = ChildId::new(reporter.hyperty.clone(), 7);
    let machine = world.machine(1);
    let unknown = machine.create_child(seat, "gallery", text("x"), now);
    assert_eq!(
        unknown.unwrap_err(),
        ChildError::UnknownName("gallery".into())
    );
    let none = ChildId::new(seat.hyperty.clone(), 7);
    let missing = machine.update_child(seat, "chat", &none, vec![], now);
    assert_eq!(missing, Err(ChildError::NoChild(none)));
    let theirs = machine.update_child(seat, "chat", &stranger, vec![], now);
    assert_eq!(theirs, Err(ChildError::NotYours(stranger)));
    let closing = machine.close_children(seat, "chat", true, now);
    assert_eq!(closing, Err(ChildError::NotReporter));
    world.settles();
    assert!(world.chat(&reporter).is_empty());
}
