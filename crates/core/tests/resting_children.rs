//! Children that rest, where their object is reported and where it is observed, and what is written to them: there
//! again after a power cut, wherever that falls.

use std::collections::BTreeMap;

use byline_core::State;
use byline_core::children::ChildId;
use byline_core::identity::Key;
use byline_core::object::{Change, Path};
use byline_core::runtime::{RestoreError, Runtime, Seat};
use byline_core::storage::{Row, Table, UnreadableRow};
use byline_core::stream::Origin;

use crate::world::children::{text, values};
use crate::world::disk::Cut;
use crate::world::kitchen::dropped;
use crate::world::{DOMAIN, InFlight, Who, World, count};

/// A Reporter with a store; a reader with one, and a reader without.
struct Room {
    world: World,
    owner: Who,
    guest: Who,
    reporter: Seat,
    resting: Seat,
    other: Seat,
}

fn room() -> Room {
    let mut world = World::new();
    let (owner, guest, third) = (
        world.runtime_with_disk(),
        world.runtime_with_disk(),
        world.runtime(),
    );
    let reporter = world.creates_as(owner, "room", count(0), |create| {
        create.children = [("chat".to_owned(), 100)].into();
        create.store = true;
    });
    world.settles();
    let resting = world.subscribes(guest, "room");
    world.machine(guest).keep(&resting).unwrap();
    let other = world.subscribes(third, "room");
    world.settles();
    Room {
        world,
        owner,
        guest,
        reporter,
        resting,
        other,
    }
}

impl Room {
    /// The guest writes on in a child of its own: done twice it would be another.
    fn appends(&mut self, id: &ChildId, text: &str) {
        let path = Path::root().child("text");
        let text = text.to_owned();
        let changes = vec![Change::Append { path, text }];
        let now = self.world.now;
        let guest = self.world.machine(self.guest);
        guest
            .update_child(&self.resting, "chat", id, changes, now)
            .unwrap();
    }

    /// Goes on until what the guest wrote to children is on its way.
    fn sends_children(&mut self) {
        for _ in 0..100 {
            let link = self.world.place(self.guest).link.as_ref();
            match link {
                None => self.world.ticks(),
                Some(link) if link.up.iter().any(|frame| frame.contains("/children/chat")) => {
                    return;
                }
                Some(_) => self.world.moves_once(),
            }
        }
        panic!("nothing is sent");
    }

    #[track_caller]
    fn assert_same(&mut self) {
        self.world.settles();
        assert_eq!(self.world.state(&self.reporter), "live");
        let readers = [self.resting.clone(), self.other.clone()];
        self.world.assert_same_children(&self.reporter, &readers);
    }
}

#[test]
fn a_reporter_has_its_children_again_and_goes_on() {
    let mut room = room();
    let mine = room.world.writes_child(&room.reporter, text("mine")).0;
    room.world.passes(1);
    for n in 0..3 {
        room.world.writes_child(&room.other, text(&format!("{n}")));
    }
    room.world.settles();
    room.world.closes_children(&room.reporter, true);
    room.world.settles();
    let before = values(room.world.chat(&room.reporter));
    room.world.power_cut(room.owner);
    assert_eq!(values(room.world.chat(&room.reporter)), before, "at once");
    assert!(room.world.chat(&room.reporter).is_closed());
    room.world.passes(60_000);
    room.world.closes_children(&room.reporter, false);
    room.world
        .updates_child(&room.reporter, &mine, "text", "mine, still".into());
    let (second, _) = room.world.writes_child(&room.reporter, text("more"));
    assert_eq!(second.number(), 2, "a number is used once");
    room.world.passes(1);
    room.world.writes_child(&room.other, text("on it goes"));
    room.world.passes(60_000);
    room.assert_same();
    assert_eq!(
        room.world.texts(&room.other),
        ["mine, still", "0", "1", "2", "more", "on it goes"]
    );
    let origins = &room.world.place(2).children[&(room.other.clone(), "chat".to_owned())].origins;
    assert!(
        !origins[1..].contains(&Origin::Snapshot),
        "nobody began anew: {origins:?}"
    );
}

#[test]
fn a_reporter_says_that_a_child_is_safe_when_it_is_stored_and_not_before() {
    let mut room = room();
    room.world.disk_of(room.owner).waits = true;
    let (_, call) = room.world.writes_child(&room.other, text("is it safe?"));
    room.world.settles();
    assert_eq!(room.world.done(&room.other, call), None);
    assert_eq!(
        room.world.texts(&room.resting),
        [""; 0],
        "nobody has what may be lost"
    );
    assert!(room.world.writes_to_disk(room.owner));
    room.world.settles();
    assert_eq!(room.world.done(&room.other, call), Some(Ok(())));
    room.world.disk_of(room.owner).waits = false;
    room.world.power_cut(room.owner);
    room.world.passes(60_000);
    room.assert_same();
    assert_eq!(room.world.texts(&room.reporter), ["is it safe?"]);
}

#[test]
fn an_author_sends_what_it_wrote_when_that_is_stored_with_its_place() {
    let mut room = room();
    room.world.disk_of(room.guest).waits = true;
    room.world.writes_child(&room.resting, text("mine"));
    room.world.settles();
    assert_eq!(room.world.texts(&room.reporter), [""; 0]);
    while room.world.writes_to_disk(room.guest) {
        room.world.settles();
    }
    assert_eq!(room.world.texts(&room.reporter), ["mine"]);
}

#[test]
fn what_was_written_offline_is_shown_and_sent_in_another_life_and_once() {
    let mut room = room();
    room.world.writes_child(&room.resting, text("online"));
    room.world.passes(1);
    room.world.cut(room.guest, InFlight::Lost);
    let (first, _) = room.world.writes_child(&room.resting, text("offline"));
    let (second, _) = room.world.writes_child(&room.resting, text("and away"));
    room.world
        .updates_child(&room.resting, &first, "text", "offline, mended".into());
    room.world.deletes_child(&room.resting, &second);
    room.world.collects();
    room.world.writes_child(&room.other, text("meanwhile"));
    room.world.settles();
    room.world.power_cut(room.guest);
    assert!(matches!(
        room.world.states(&room.resting).last(),
        Some(State::Stale(_))
    ));
    let own =
        |world: &mut World, id: &ChildId| world.machine(1).own_child(&room.resting, "chat", id);
    assert_eq!(
        own(&mut room.world, &first),
        Some(text("offline, mended").into())
    );
    assert_eq!(own(&mut room.world, &second), None);
    let (third, _) = room.world.writes_child(&room.resting, text("third"));
    assert_eq!(third.number(), 4, "a number is used once");
    room.world.heals(room.guest);
    room.world.passes(60_000);
    room.assert_same();
    let texts = room.world.texts(&room.other);
    assert_eq!(texts, ["online", "meanwhile", "offline, mended", "third"]);
    assert_eq!(
        room.world.disk_of(room.guest).count(Table::ChildWrites),
        1,
        "of the author alone"
    );
}

#[test]
fn a_copy_that_is_kept_once_more_has_what_was_written_as_it_was() {
    let mut room = room();
    room.world.cut(room.guest, InFlight::Lost);
    for said in ["first", "second", "third"] {
        room.world.writes_child(&room.resting, text(said));
    }
    room.world.heals(room.guest);
    room.world.passes(60_000);
    room.world.cut(room.guest, InFlight::Lost);
    room.world.writes_child(&room.resting, text("fourth"));
    room.world.collects();
    room.world.power_cut(room.guest);
    room.world.machine(room.guest).keep(&room.resting).unwrap();
    room.world.writes_child(&room.resting, text("fifth"));
    room.world.collects();
    room.world.power_cut(room.guest);
    room.world.heals(room.guest);
    room.world.passes(60_000);
    room.assert_same();
    let said = ["first", "second", "third", "fourth", "fifth"];
    assert_eq!(room.world.texts(&room.other), said);
    let rows = room.world.disk_of(room.guest).count(Table::ChildWrites);
    assert_eq!(rows, 1, "of the author alone");
}

#[test]
fn what_was_sent_and_not_answered_is_taken_once() {
    for in_flight in [InFlight::Lost, InFlight::Delivered] {
        let mut room = room();
        let (first, _) = room.world.writes_child(&room.resting, text("first"));
        room.world.settles();
        room.world.cut(room.guest, InFlight::Lost);
        room.appends(&first, " and more");
        room.world.writes_child(&room.resting, text("second"));
        room.world.settles();
        room.world.heals(room.guest);
        room.sends_children();
        room.world.cut(room.guest, in_flight);
        room.world.settles();
        room.world.power_cut(room.guest);
        room.world.heals(room.guest);
        room.world.writes_child(&room.resting, text("third"));
        room.world.passes(60_000);
        room.assert_same();
        let texts = room.world.texts(&room.other);
        assert_eq!(texts, ["first and more", "second", "third"]);
    }
}

#[test]
fn a_copy_has_its_children_at_once_and_what_it_missed_is_one_step() {
    let mut room = room();
    for n in 0..3 {
        room.world.writes_child(&room.other, text(&format!("{n}")));
    }
    room.world.settles();
    room.world.cut(room.guest, InFlight::Lost);
    for n in 3..9 {
        room.world.writes_child(&room.other, text(&format!("{n}")));
        room.world.passes(10);
    }
    room.world.power_cut(room.guest);
    assert_eq!(room.world.texts(&room.resting), ["0", "1", "2"]);
    room.world.heals(room.guest);
    room.world.passes(60_000);
    room.assert_same();
    let chat = (room.resting.clone(), "chat".to_owned());
    let origins = &room.world.place(room.guest).children[&chat].origins;
    assert_eq!(origins[..], [Origin::CatchUp]);
    room.world.cut(room.guest, InFlight::Lost);
    room.world.power_cut(room.guest);
    assert_eq!(room.world.texts(&room.resting).len(), 9, "and once more");
}

/// A device takes the room, and its power fails at some batch. Says how many were begun before that and after.
fn takes_over(cut: Option<Cut>) -> [usize; 2] {
    let mut room = room();
    for n in 0..3 {
        room.world.writes_child(&room.other, text(&format!("{n}")));
    }
    room.world.settles();
    let device = room.world.device_with_disk(1);
    let before = room.world.disk_of(device).batches;
    room.world.disk_of(device).cut = cut;
    let second = room.world.creates_as(device, "room", count(0), |create| {
        create.children = [("chat".to_owned(), 100)].into();
        (create.store, create.take) = (true, true);
    });
    room.world.passes(60_000);
    let seats = [&room.reporter, &second];
    let live = seats.map(|seat| room.world.state(seat) == "live");
    assert!(live[0] != live[1], "{cut:?}: one of them has it, {live:?}");
    room.reporter = seats[usize::from(live[1])].clone();
    room.assert_same();
    assert_eq!(room.world.texts(&room.reporter), ["0", "1", "2"], "{cut:?}");
    [before, room.world.disk_of(device).batches]
}

#[test]
fn a_device_that_takes_an_object_has_its_children_before_it_is_said_to_have_it() {
    let [before, all] = takes_over(None);
    assert!(all > before + 2, "{before} {all}");
    for at in before + 1..=all {
        takes_over(Some(Cut::Before(at)));
        takes_over(Some(Cut::After(at)));
    }
}

#[test]
fn what_was_to_be_said_on_a_connection_that_is_gone_is_not_said_on_the_next() {
    let mut room = room();
    room.world.disk_of(room.owner).waits = true;
    room.world.writes_child(&room.other, text("is it safe?"));
    room.world.settles();
    room.world.blinks(room.owner, InFlight::Lost);
    room.world.passes(5_000);
    assert!(room.world.writes_to_disk(room.owner));
    room.world.settles();
    assert_eq!(room.world.texts(&room.resting), ["is it safe?"]);
    assert_eq!(dropped(&room.world), 0, "an answer that nobody waits for");
}

#[test]
fn what_an_author_hears_no_more_of_when_its_application_ends_is_sent_in_another_life() {
    let mut room = room();
    room.world.cut(room.guest, InFlight::Lost);
    let (_, call) = room.world.writes_child(&room.resting, text("in passing"));
    let now = room.world.now;
    room.world.machine(room.guest).close(now);
    room.world.collects();
    assert_eq!(
        room.world.done(&room.resting, call),
        Some(Err(409)),
        "by this life"
    );
    room.world.power_cut(room.guest);
    room.world.heals(room.guest);
    room.world.passes(60_000);
    room.assert_same();
    assert_eq!(room.world.texts(&room.other), ["in passing"]);
}

#[test]
fn what_will_not_be_safe_is_not_sent_in_another_life() {
    let mut room = room();
    let device = room.world.runtime_of(1);
    let taking = |create: &mut byline_core::runtime::Create| {
        create.children = [("chat".to_owned(), 100)].into();
        (create.take, create.discard) = (true, true);
    };
    room.world.cut(room.owner, InFlight::Lost);
    room.world.writes_child(&room.reporter, text("refused"));
    room.world.collects();
    let second = room.world.creates_as(device, "room", count(0), taking);
    room.world.passes(60_000);
    assert_eq!(room.world.state(&second), "live");
    room.world.heals(room.owner);
    room.world.passes(60_000);
    assert_eq!(room.world.state(&room.reporter), "closed");
    assert_eq!(room.world.disk_of(room.owner).count(Table::ChildWrites), 1);
    room.world.power_cut(room.owner);
    assert_eq!(
        room.world.machine(room.owner).own_child(
            &room.reporter,
            "chat",
            &ChildId::new(room.reporter.hyperty.clone(), 1)
        ),
        None
    );
}

#[test]
fn what_rests_no_longer_leaves_no_row_behind() {
    let mut room = room();
    room.world.writes_child(&room.resting, text("mine"));
    room.world.settles();
    let tables = [Table::Children, Table::Collections, Table::ChildWrites];
    let rows = |world: &mut World| tables.map(|table| world.disk_of(1).count(table));
    assert_eq!(rows(&mut room.world), [1, 2, 1]);
    room.world.unsubscribes(&room.resting);
    room.world.settles();
    assert_eq!(rows(&mut room.world), [0; 3]);
}

#[test]
fn a_damaged_row_is_named_and_never_a_panic() {
    let mut room = room();
    room.world.writes_child(&room.other, text("one"));
    room.world.settles();
    room.world.cut(room.owner, InFlight::Lost);
    room.world.writes_child(&room.reporter, text("two"));
    room.world.collects();
    let rows = room.world.disk_of(room.owner).rows.clone();
    let tables = ["children", "collections", "child_writes"];
    let mut damaged = BTreeMap::new();
    for ((table, key), value) in &rows {
        if !tables.contains(&table.name()) {
            continue;
        }
        for byte in 0..value.len() {
            let rows = rows.iter().map(|((of, at), was)| {
                let mut value = was.clone();
                if (of, at) == (table, key) {
                    value.truncate(byte);
                }
                Row {
                    table: *of,
                    key: at.clone(),
                    value,
                }
            });
            let runtime = Runtime::restored(DOMAIN, Key::from_bytes(&[1; 32]), [1; 32], rows);
            let Err(RestoreError::Row(UnreadableRow { table, key, .. })) = runtime else {
                panic!("{byte} bytes of {table:?} are enough");
            };
            assert!(key.contains("room"), "{key}");
            damaged.insert(table, key);
        }
    }
    assert_eq!(
        damaged.into_keys().collect::<Vec<_>>(),
        ["child_writes", "children", "collections"]
    );
}

/// What everybody does, a step at a time; what was said to be safe is noted.
struct Scenario {
    room: Room,
    written: u64,
    calls: Vec<(Seat, u64, String)>,
    safe: Vec<String>,
    deleted: Vec<String>,
}

impl Scenario {
    fn writes(&mut self, seat: &Seat) {
        let one = format!("{}", self.written);
        self.written += 1;
        if let Ok((_, call)) = self.room.world.tries_to_write_child(seat, text(&one)) {
            // Another life counts its calls anew.
            self.calls
                .retain(|(whose, earlier, _)| whose != seat || *earlier < call);
            self.calls.push((seat.clone(), call, one));
        }
        self.room.world.moves_once();
        self.room.world.moves_once();
    }

    fn notes(&mut self) {
        self.room.world.settles();
        for (seat, call, text) in std::mem::take(&mut self.calls) {
            match self.room.world.done(&seat, call) {
                Some(Ok(())) => self.safe.push(text),
                _ => self.calls.push((seat, call, text)),
            }
        }
    }

    /// Says how many batches were begun.
    fn runs(mut self, cut: impl Fn(&mut Room)) -> [usize; 2] {
        cut(&mut self.room);
        let seats = [
            self.room.reporter.clone(),
            self.room.resting.clone(),
            self.room.other.clone(),
        ];
        for round in 0..3 {
            for seat in &seats {
                self.writes(seat);
            }
            self.notes();
            let whose = &seats[round];
            let chat = self.room.world.chat(&self.room.reporter);
            let own = chat.iter().find(|(id, _)| *id.author() == whose.hyperty);
            let own = own
                .map(|(id, child)| (id.clone(), child.value["text"].as_str().unwrap().to_owned()));
            if let Some((id, text)) = own {
                self.deleted.push(text);
                self.room
                    .world
                    .deletes_child(&seats[if round == 2 { 0 } else { round }], &id);
            }
            self.room.world.passes(500);
            self.notes();
        }
        let batches =
            [self.room.owner, self.room.guest].map(|who| self.room.world.disk_of(who).batches);
        self.room.world.passes(120_000);
        self.room.assert_same();
        let texts = self.room.world.texts(&self.room.other);
        for safe in &self.safe {
            assert!(
                texts.contains(safe) || self.deleted.contains(safe),
                "{safe} is gone: {texts:?}"
            );
        }
        let mut once = texts.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), texts.len(), "nothing is there twice: {texts:?}");
        batches
    }
}

#[test]
fn wherever_the_power_fails_nothing_that_was_safe_is_gone_and_nothing_is_there_twice() {
    let begins = || Scenario {
        room: room(),
        written: 0,
        calls: vec![],
        safe: vec![],
        deleted: vec![],
    };
    let batches = begins().runs(|_| {});
    let first = begins();
    let mut room = first.room;
    let begun = [room.owner, room.guest].map(|who| room.world.disk_of(who).batches);
    for (whose, (first, last)) in begun.into_iter().zip(batches).enumerate() {
        assert!(
            last > first + 5,
            "there is something to cut: {first} to {last}"
        );
        for at in first + 1..=last {
            for cut in [Cut::Before(at), Cut::After(at)] {
                begins().runs(|room| {
                    let who = [room.owner, room.guest][whose];
                    room.world.disk_of(who).cut = Some(cut);
                });
            }
        }
    }
}
