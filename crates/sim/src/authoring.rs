//! What authors do to the children of an object: whoever observes it writes, and its Reporter decides.

use byline_core::State;
use byline_core::children::{ChildId, ChildrenChanged};
use byline_core::object::{Change, Path};
use byline_core::runtime::{ChildError, Seat};
use serde_json::json;

use crate::oracle::{Asked, Rule, Where, value};
use crate::plan::Action;
use crate::random::Random;
use crate::totals::Count;
use crate::world::{Peer, World};

/// What is done to children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Create,
    Update,
    Delete,
    /// The Reporter deletes another's.
    Moderate,
    Close(bool),
    Event,
}

/// What somebody does to the children of an object.
pub(crate) fn drawn(random: &mut Random, places: usize) -> Action {
    let act = match random.between(0, 99) {
        0..45 => Act::Create,
        45..75 => Act::Update,
        75..84 => Act::Delete,
        84..90 => Act::Moderate,
        90..92 => Act::Close(true),
        92..96 => Act::Close(false),
        _ => Act::Event,
    };
    Action::Author {
        who: random.index(places),
        // The first three objects have children.
        object: random.index(3),
        act,
        count: match act {
            Act::Create | Act::Update => random.one_of(&[1, 1, 3, 8]),
            Act::Delete => 2,
            _ => 1,
        },
    }
}

impl World {
    pub(crate) fn authors(&mut self, who: usize, object: usize, act: Act, count: u64) {
        let names = self.plan.objects[object].children.len();
        if names == 0 {
            return;
        }
        let decides = matches!(act, Act::Moderate | Act::Close(_));
        let who = match self.reporters_of(object).first() {
            Some(reporter) if decides => *reporter,
            None if decides => return,
            // The next one that can.
            _ => (0..self.places.len())
                .map(|after| (who + after) % self.places.len())
                .find(|who| !self.seats_at(*who, object, false).is_empty())
                .unwrap_or(who),
        };
        let seats = self.seats_at(who, object, decides);
        if seats.is_empty() {
            return;
        }
        let seat = seats[self.random.index(seats.len())].clone();
        let name = self.plan.objects[object].children[self.random.index(names)].0;
        for _ in 0..count {
            self.acts(who, object, &seat, name, act);
        }
        self.place_puts_out(who);
    }

    /// As whom a place can write children of an object: as its Reporter, and as its readers.
    fn seats_at(&self, who: usize, object: usize, reports: bool) -> Vec<Seat> {
        let place = &self.places[who];
        let reporter = place.reporters.get(&object);
        let reporter = reporter.filter(|one| !matches!(one.state, State::Closed(_)));
        let readers = place.readers.iter();
        let readers = readers.filter(|(_, reader)| reader.object == object && !reports);
        reporter
            .map(|reporter| reporter.author.seat.clone())
            .into_iter()
            .chain(readers.map(|(seat, _)| seat.clone()))
            .collect()
    }

    fn acts(&mut self, who: usize, object: usize, seat: &Seat, name: &str, act: Act) {
        let place = (seat.object.clone(), name.to_owned());
        let done = match act {
            Act::Create => self.creates_child(who, seat, &place),
            Act::Update => self.updates_child(who, seat, &place),
            Act::Delete => self.deletes_child(who, seat, &place, false),
            Act::Moderate => self.deletes_child(who, seat, &place, true),
            Act::Close(closed) => self.closes_children(who, seat, name, closed),
            Act::Event => self.says_event(who, seat, name),
        };
        match done {
            Ok(Some((call, asked))) => {
                self.totals.one(match act {
                    Act::Create => Count::ChildrenCreated,
                    Act::Update => Count::ChildrenUpdated,
                    Act::Delete => Count::ChildrenDeleted,
                    Act::Moderate => Count::Moderated,
                    Act::Close(_) => Count::ChildrenClosed,
                    Act::Event => return,
                });
                self.places[who].asks_of_children(call, asked);
                if let Some(reader) = self.places[who].readers.get_mut(seat) {
                    reader.writes = true;
                }
            }
            Ok(None) => {}
            Err(error) => {
                let closed = matches!(
                    error,
                    ChildError::NotYet(_)
                        | ChildError::Closed(_)
                        | ChildError::UnknownName(_)
                        | ChildError::Away
                        | ChildError::Full
                );
                self.totals.one(Count::ChildWriteRefused);
                self.oracle.expects(closed, Rule::Answer, || {
                    format!("object {object}, {seat:?}: {error}")
                });
            }
        }
    }

    fn creates_child(&mut self, who: usize, seat: &Seat, place: &Where) -> Done {
        self.written += 1;
        let (n, time) = (self.written, self.place_time(who));
        let at = &mut self.places[who];
        let (id, call) = at.runtime.create_child(seat, &place.1, value(n), time)?;
        let children = &mut self.oracle.children;
        children.wrote(n, seat, &place.1, &id, &at.identity);
        at.own_children
            .entry((seat.clone(), place.1.clone()))
            .or_default()
            .insert(id);
        Ok(Some((call, Asked::Value(n))))
    }

    fn updates_child(&mut self, who: usize, seat: &Seat, place: &Where) -> Done {
        let Some(id) = self.one_of_its_own(who, seat, &place.1) else {
            return Ok(None);
        };
        self.written += 1;
        let (n, time) = (self.written, self.place_time(who));
        let at = &mut self.places[who];
        let next = value(n);
        let call = if self.random.chance(30) {
            let call = at.runtime.replace_child(seat, &place.1, &id, next, time)?;
            call.unwrap_or_default()
        } else {
            let set = |key: &str| Change::Set {
                path: Path::root().child(key),
                value: next[key].clone(),
            };
            let changes = ["n", "twice", "text"].map(set).to_vec();
            at.runtime
                .update_child(seat, &place.1, &id, changes, time)?
        };
        let children = &mut self.oracle.children;
        children.wrote(n, seat, &place.1, &id, &at.identity);
        Ok(Some((call, Asked::Value(n))))
    }

    /// One's own, or as the Reporter another's.
    fn deletes_child(&mut self, who: usize, seat: &Seat, place: &Where, others: bool) -> Done {
        let found = if others {
            let there = self.places[who].runtime.children(seat, &place.1);
            let there = there.into_iter().flat_map(|there| there.iter());
            let ids = there.map(|(id, _)| id.clone());
            let ids: Vec<ChildId> = ids.filter(|id| *id.author() != seat.hyperty).collect();
            (!ids.is_empty()).then(|| ids[self.random.index(ids.len())].clone())
        } else {
            self.one_of_its_own(who, seat, &place.1)
        };
        let Some(id) = found else {
            return Ok(None);
        };
        let time = self.place_time(who);
        let runtime = &mut self.places[who].runtime;
        let call = runtime.delete_child(seat, &place.1, &id, time)?;
        self.oracle.children.is_unwanted(place.clone(), id.clone());
        Ok(Some((call, Asked::Deleted(place.clone(), id))))
    }

    fn closes_children(&mut self, who: usize, seat: &Seat, name: &str, closed: bool) -> Done {
        let time = self.place_time(who);
        let runtime = &mut self.places[who].runtime;
        let call = runtime.close_children(seat, name, closed, time)?;
        Ok(Some((call, Asked::Other)))
    }

    fn says_event(&mut self, who: usize, seat: &Seat, name: &str) -> Done {
        self.written += 1;
        let (said, time) = (json!(self.written), self.place_time(who));
        let runtime = &mut self.places[who].runtime;
        runtime.send_event(seat, name, said, time)?;
        self.totals.one(Count::EventsSaid);
        Ok(None)
    }

    /// A child of the author's that is still there, as it knows.
    fn one_of_its_own(&mut self, who: usize, seat: &Seat, name: &str) -> Option<ChildId> {
        let place = &self.places[who];
        let own = place.own_children.get(&(seat.clone(), name.to_owned()))?;
        let there = |id: &&ChildId| place.runtime.own_child(seat, name, id).is_some();
        let own: Vec<ChildId> = own.iter().filter(there).cloned().collect();
        (!own.is_empty()).then(|| own[self.random.index(own.len())].clone())
    }

    /// Everybody who observes an object, or reports it, writes a child, and closed collections are opened.
    pub(crate) fn everybody_writes(&mut self, object: usize) {
        for name in 0..self.plan.objects[object].children.len() {
            let name = self.plan.objects[object].children[name].0;
            for who in self.reporters_of(object) {
                for seat in self.seats_at(who, object, true) {
                    self.acts(who, object, &seat, name, Act::Close(false));
                    self.acts(who, object, &seat, name, Act::Moderate);
                }
                self.place_puts_out(who);
            }
            for who in 0..self.places.len() {
                for seat in self.seats_at(who, object, false) {
                    self.acts(who, object, &seat, name, Act::Create);
                    self.acts(who, object, &seat, name, Act::Update);
                }
                self.place_puts_out(who);
            }
        }
    }
}

impl World {
    /// A collection of children made a step.
    pub(crate) fn children_told(
        &mut self,
        who: usize,
        seat: &Seat,
        name: &str,
        changed: &ChildrenChanged,
    ) {
        let reports = !self.places[who].readers.contains_key(seat);
        let peer = Peer::Place(who, self.places[who].process);
        let holds = reports && self.oracle.holder(seat.object.as_str()) == Some(peer);
        let Some((object, copy)) = self.places[who].copy_of(seat, name) else {
            return;
        };
        let named = self.plan.objects.get(object).into_iter();
        let mut named = named.flat_map(|object| &object.children);
        let keep = named.find(|(one, _)| *one == name).map(|(_, keep)| *keep);
        let keep = keep.filter(|_| reports).map(|keep| (keep, &seat.hyperty));
        let place = (seat.object.clone(), name.to_owned());
        copy.holds = holds;
        let (oracle, totals) = (&mut self.oracle, &mut self.totals);
        oracle.children_step(&place, copy, changed, keep, totals);
    }

    /// All steps of a collection are told.
    pub(crate) fn mirrors_children(&mut self, who: usize, seat: &Seat, name: &str) {
        let place = &mut self.places[who];
        let there = place.runtime.children(seat, name).cloned();
        if let (Some((_, copy)), Some(there)) = (place.copy_of(seat, name), there) {
            let place = (seat.object.clone(), name.to_owned());
            self.oracle.children_mirror(&place, copy, &there);
        }
    }
}

/// The call that was made, if any, and what for.
type Done = Result<Option<(u64, Asked)>, ChildError>;
