//! A chat whose node keeps it (protocol.md §9): it goes on while its creator is away, and is complete for all when
//! that returns, whatever dies meanwhile.

use std::collections::BTreeMap;

use byline_core::limits::GRACE_MS;
use byline_core::runtime::Seat;
use byline_core::storage::Table;
use serde_json::json;

use crate::world::children::text;
use crate::world::disk::Cut;
use crate::world::{InFlight, Who, World, count};

/// One who has created a chat that the node keeps, and two who observe it.
struct Chat {
    world: World,
    owner: Who,
    reporter: Seat,
    guests: [Seat; 2],
}

impl Chat {
    fn new(mut world: World, keep: usize) -> Self {
        let owner = world.runtime();
        let reporter = world.creates_as(owner, "room", count(0), |create| {
            create.cache = Some(true);
            create.children = BTreeMap::from([("chat".to_owned(), keep)]);
        });
        world.passes(60_000);
        let guests = [(); 2].map(|()| {
            let guest = world.runtime();
            world.subscribes(guest, "room")
        });
        world.passes(60_000);
        Self {
            world,
            owner,
            reporter,
            guests,
        }
    }

    /// Writes, and it is safe.
    #[track_caller]
    fn says(&mut self, guest: usize, words: &str) {
        let seat = self.guests[guest].clone();
        let (_, call) = self.world.writes_child(&seat, text(words));
        self.world.passes(5_000);
        assert_eq!(self.world.done(&seat, call), Some(Ok(())), "{words}");
    }

    /// Everybody is there, and has just these.
    #[track_caller]
    fn assert_all_have(&mut self, expected: &[&str]) {
        self.world.heals(self.owner);
        self.world.passes(2 * GRACE_MS);
        self.world
            .assert_same_children(&self.reporter, &self.guests);
        let mut texts = self.world.texts(&self.reporter);
        texts.sort();
        assert_eq!(texts, expected);
        self.world.assert_all_answered();
    }
}

#[test]
fn a_chat_goes_on_while_its_creator_is_away_and_is_complete_when_it_returns() {
    for world in [World::new(), World::with_disk()] {
        let mut chat = Chat::new(world, 100);
        chat.says(0, "a");
        chat.world.cut(chat.owner, InFlight::Lost);
        chat.says(1, "b");
        chat.world.passes(2 * GRACE_MS);
        chat.says(0, "c");
        let late = chat.world.runtime();
        let late = chat.world.subscribes(late, "room");
        chat.world.passes(1_000);
        assert_eq!(chat.world.texts(&late), ["a", "b", "c"]);
        let (_, call) = chat.world.writes_child(&late, text("d"));
        chat.world.passes(1_000);
        assert_eq!(chat.world.done(&late, call), Some(Ok(())));
        chat.assert_all_have(&["a", "b", "c", "d"]);
        let reporter = chat.reporter.clone();
        let (_, call) = chat.world.writes_child(&reporter, text("e"));
        chat.world.passes(1_000);
        assert_eq!(chat.world.done(&reporter, call), Some(Ok(())));
        chat.assert_all_have(&["a", "b", "c", "d", "e"]);
    }
}

#[test]
fn a_restarted_node_with_a_store_takes_what_is_written_though_nobody_reports() {
    let mut chat = Chat::new(World::with_disk(), 100);
    chat.says(0, "a");
    chat.world.cut(chat.owner, InFlight::Lost);
    chat.says(1, "b");
    for words in ["c", "d"] {
        chat.world.node_restarts();
        chat.world.passes(60_000);
        chat.says(0, words);
    }
    assert_eq!(chat.world.node.gauges().kept_children, 4);
    assert_eq!(chat.world.disk().count(Table::Children), 4);
    chat.assert_all_have(&["a", "b", "c", "d"]);
}

#[test]
fn a_node_that_has_forgotten_everything_reads_the_children_page_by_page() {
    let mut chat = Chat::new(World::new(), 1_000);
    let guest = chat.guests[0].clone();
    for n in 0..450 {
        chat.world.writes_child(&guest, text(&format!("{n:03}")));
    }
    chat.world.passes(60_000);
    chat.world.node_restarts();
    chat.world.passes(60_000);
    assert_eq!(chat.world.node.gauges().kept_children, 450);
    chat.says(1, "more");
    assert_eq!(chat.world.node.gauges().kept_children, 451);
    let reporter = chat.reporter.clone();
    chat.world.assert_same_children(&reporter, &chat.guests);
}

#[test]
fn a_child_is_in_the_end_as_its_author_wrote_it_though_the_node_lost_a_change_before() {
    let mut chat = Chat::new(World::new(), 100);
    let guest = chat.guests[0].clone();
    let (child, _) = chat.world.writes_child(&guest, text("a"));
    chat.world.passes(5_000);
    chat.world.cut(chat.owner, InFlight::Lost);
    let call = chat
        .world
        .updates_child(&guest, &child, "lost", true.into());
    chat.world.passes(5_000);
    assert_eq!(chat.world.done(&guest, call), Some(Ok(())));
    let who = chat.world.who(&guest);
    chat.world.cut(who, InFlight::Lost);
    let call = chat.world.updates_child(&guest, &child, "text", "b".into());
    chat.world.node_restarts();
    chat.world.heals(chat.owner);
    chat.world.passes(60_000);
    assert_eq!(
        chat.world.chat(&chat.reporter).get(&child).unwrap().value["text"],
        "a"
    );
    chat.world.heals(who);
    chat.world.passes(60_000);
    assert_eq!(chat.world.done(&guest, call), Some(Ok(())));
    let written = json!({"text": "b", "lost": true});
    assert_eq!(
        *chat.world.chat(&chat.reporter).get(&child).unwrap().value,
        written
    );
    chat.assert_all_have(&["b"]);
}

#[test]
fn the_oldest_leave_when_their_reporter_is_back() {
    let mut chat = Chat::new(World::new(), 16);
    chat.world.cut(chat.owner, InFlight::Lost);
    for n in 0..40 {
        chat.says(n % 2, &format!("{n:02}"));
    }
    assert_eq!(chat.world.node.gauges().kept_children, 40);
    let newest: Vec<String> = (24..40).map(|n| format!("{n:02}")).collect();
    let newest: Vec<&str> = newest.iter().map(String::as_str).collect();
    chat.assert_all_have(&newest);
    assert_eq!(chat.world.node.gauges().kept_children, 16);
}

/// Children are written, changed and deleted, by their creator and while that is away; the power fails at some batch.
fn story(cut: Option<Cut>) -> usize {
    let mut world = World::with_disk();
    world.disk().cut = cut;
    let mut chat = Chat::new(world, 100);
    let (reporter, guest) = (chat.reporter.clone(), chat.guests[0].clone());
    let (first, _) = chat.world.writes_child(&reporter, text("a"));
    let (second, _) = chat.world.writes_child(&guest, text("b"));
    for words in ["c", "d"] {
        chat.world.writes_child(&guest, text(words));
        chat.world.moves_once();
    }
    chat.world.passes(60_000);
    chat.world
        .updates_child(&guest, &second, "text", "B".into());
    chat.world.deletes_child(&reporter, &first);
    chat.world.passes(60_000);
    chat.world.cut(chat.owner, InFlight::Delivered);
    chat.world.passes(60_000);
    chat.says(0, "e");
    chat.says(1, "f");
    chat.world.deletes_child(&guest, &second);
    chat.world.passes(60_000);
    chat.assert_all_have(&["c", "d", "e", "f"]);
    chat.world.disk().batches
}

#[test]
fn whenever_the_power_fails_nothing_that_was_said_to_be_safe_is_gone_or_another() {
    let batches = story(None);
    assert!(batches >= 10, "{batches}");
    for at in 1..=batches {
        story(Some(Cut::Before(at)));
        story(Some(Cut::After(at)));
    }
}
