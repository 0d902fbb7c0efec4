//! Children in a world: what is written, and what everybody has of it in the end.

use std::collections::BTreeMap;

use byline_core::children::{Child, ChildChangeKind, ChildId, ChildrenChanged, Collection};
use byline_core::object::{Change, Path, apply};
use byline_core::runtime::{ChildError, Seat};
use byline_core::stream::Origin;
use serde_json::{Value, json};

use super::{Who, World, count};

/// A collection built from nothing but its steps.
#[derive(Default)]
pub struct ChildrenMirror {
    children: BTreeMap<ChildId, Child>,
    closed: bool,
    number: u64,
    pub origins: Vec<Origin>,
}

impl ChildrenMirror {
    /// Of a collection that is there before its first step.
    pub(super) fn of(collection: &Collection) -> Self {
        let child = |(id, child): (&ChildId, &Child)| (id.clone(), child.clone());
        Self {
            children: collection.iter().map(child).collect(),
            closed: collection.is_closed(),
            number: collection.steps(),
            origins: vec![],
        }
    }

    pub(super) fn takes(&mut self, changed: ChildrenChanged) {
        assert_eq!(changed.number, self.number + 1, "steps are counted");
        self.number = changed.number;
        self.closed = changed.closed;
        self.origins.push(changed.origin);
        for change in changed.changes {
            match change.kind {
                ChildChangeKind::Added(child) => {
                    let old = self.children.insert(change.id, child);
                    assert!(old.is_none(), "what is added was not there");
                }
                ChildChangeKind::Updated { edits, child } => {
                    let mine = self.children.get_mut(&change.id).expect("it was there");
                    let mut value = Value::clone(&mine.value);
                    let changes: Vec<Change> =
                        edits.iter().map(|edit| edit.change.clone()).collect();
                    let before = apply(&mut value, &changes).unwrap().into_before();
                    let told: Vec<_> = edits.into_iter().map(|edit| edit.before).collect();
                    assert_eq!(before, told, "before is what was there");
                    assert_eq!(value, *child.value, "the edits lead to the child");
                    *mine = child;
                }
                ChildChangeKind::Removed { .. } => {
                    let old = self.children.remove(&change.id);
                    assert!(old.is_some(), "what is removed was there");
                }
            }
        }
    }

    pub(super) fn checks(&self, collection: &Collection) {
        assert_eq!(self.number, collection.steps(), "every step is told");
        assert_eq!(self.closed, collection.is_closed());
        let there: BTreeMap<_, _> = values(collection).into_iter().collect();
        let mine = self.children.iter();
        let mine: BTreeMap<_, _> = mine.map(|(id, child)| (id.clone(), of(child))).collect();
        assert_eq!(mine, there, "steps give the collection");
    }
}

fn of(child: &Child) -> (Value, String) {
    (Value::clone(&child.value), child.created.clone())
}

/// What becomes of a child commit on its way to a runtime.
#[derive(Clone, Copy, Debug)]
pub enum Mistreated {
    Lost,
    Repeated,
    /// It comes after the one that follows it.
    Late,
}

/// The children of a collection, oldest first.
pub fn values(collection: &Collection) -> Vec<(ChildId, (Value, String))> {
    let children = collection.iter();
    children
        .map(|(id, child)| (id.clone(), of(child)))
        .collect()
}

pub fn text(text: &str) -> Value {
    json!({ "text": text })
}

impl World {
    /// Creates a public object with one collection, `chat`, of which `keep` children are kept.
    pub fn creates_room(&mut self, who: Who, id: &str, keep: usize) -> Seat {
        self.creates_as(who, id, count(0), |create| {
            create.children = BTreeMap::from([("chat".to_owned(), keep)]);
        })
    }

    /// One who reports a room, and so many who observe it, all live.
    pub fn with_room(observers: usize) -> (Self, Seat, Vec<Seat>) {
        let mut world = Self::new();
        let owner = world.runtime();
        let reporter = world.creates_room(owner, "room", 100);
        world.settles();
        let observers = (0..observers).map(|_| {
            let guest = world.runtime();
            world.subscribes(guest, "room")
        });
        let observers: Vec<_> = observers.collect();
        world.settles();
        for observer in &observers {
            assert_eq!(world.state(observer), "live");
        }
        (world, reporter, observers)
    }

    pub fn writes_child(&mut self, seat: &Seat, value: Value) -> (ChildId, u64) {
        self.tries_to_write_child(seat, value).unwrap()
    }

    pub fn tries_to_write_child(
        &mut self,
        seat: &Seat,
        value: Value,
    ) -> Result<(ChildId, u64), ChildError> {
        let (who, now) = (self.who(seat), self.now);
        self.places[who]
            .runtime
            .create_child(seat, "chat", value, now)
    }

    pub fn updates_child(&mut self, seat: &Seat, id: &ChildId, key: &str, value: Value) -> u64 {
        let (who, now) = (self.who(seat), self.now);
        let path = Path::root().child(key);
        let changes = vec![Change::Set { path, value }];
        let runtime = &mut self.places[who].runtime;
        runtime
            .update_child(seat, "chat", id, changes, now)
            .unwrap()
    }

    pub fn deletes_child(&mut self, seat: &Seat, id: &ChildId) -> u64 {
        let (who, now) = (self.who(seat), self.now);
        let runtime = &mut self.places[who].runtime;
        runtime.delete_child(seat, "chat", id, now).unwrap()
    }

    pub fn closes_children(&mut self, seat: &Seat, closed: bool) -> u64 {
        let (who, now) = (self.who(seat), self.now);
        let runtime = &mut self.places[who].runtime;
        runtime.close_children(seat, "chat", closed, now).unwrap()
    }

    /// Mistreats the first child commit on its way to `who` that nobody has to answer; says whether
    /// there was one.
    pub fn mistreats_child(&mut self, who: Who, how: Mistreated) -> bool {
        self.collect();
        let told =
            |frame: &String| frame.contains("/children/chat\"") && frame.contains("\"id\":null");
        let Some(link) = &mut self.places[who].link else {
            return false;
        };
        let mut on_their_way = (0..link.down.len()).filter(|at| told(&link.down[*at]));
        let (first, second) = (on_their_way.next(), on_their_way.next());
        let Some(first) = first else { return false };
        match (how, second) {
            (Mistreated::Lost, _) => drop(link.down.remove(first)),
            (Mistreated::Repeated, _) => {
                let frame = link.down[first].clone();
                link.down.insert(first, frame);
            }
            (Mistreated::Late, Some(second)) => link.down.swap(first, second),
            (Mistreated::Late, None) => return false,
        }
        true
    }

    /// The seat's collection is told of from here on.
    pub(super) fn mirrors_children(&mut self, who: Who, seat: &Seat) {
        let place = &mut self.places[who];
        if let Some(there) = place.runtime.children(seat, "chat") {
            let chat = (seat.clone(), "chat".to_owned());
            place.children.insert(chat, ChildrenMirror::of(there));
        }
    }

    pub fn chat(&self, seat: &Seat) -> &Collection {
        let runtime = &self.places[self.who(seat)].runtime;
        runtime
            .children(seat, "chat")
            .expect("the collection is known")
    }

    /// The texts of the children, oldest first.
    pub fn texts(&self, seat: &Seat) -> Vec<String> {
        let children = self.chat(seat).iter();
        let text = |child: &Child| child.value["text"].as_str().unwrap_or_default().to_owned();
        children.map(|(_, child)| text(child)).collect()
    }

    /// Everybody has the same children, as the Reporter has them, and knows it.
    #[track_caller]
    pub fn assert_same_children(&self, reporter: &Seat, observers: &[Seat]) {
        let theirs = self.chat(reporter);
        for observer in observers {
            assert_eq!(self.state(observer), "live", "{observer:?}");
            let mine = self.chat(observer);
            assert!(mine.is_whole());
            assert_eq!(values(mine), values(theirs), "{observer:?}");
            let positions = mine.positions().collect::<Vec<_>>();
            assert_eq!(positions, theirs.positions().collect::<Vec<_>>());
            assert_eq!(mine.is_closed(), theirs.is_closed());
            let whole = |(_, child): (_, &Child)| child.clone();
            assert!(mine.iter().map(whole).eq(theirs.iter().map(whole)));
        }
    }

    /// How a call ended, once it has.
    pub fn done(&self, seat: &Seat, call: u64) -> Option<Result<(), u16>> {
        let done = self.places[self.who(seat)].done.get(&call)?;
        Some(done.clone().map_err(|refusal| refusal.code))
    }
}
