//! Whatever happens between a Reporter, its authors and the node: in the end everybody has the same
//! children, and what an author was told is so.

use byline_core::children::ChildId;
use byline_core::runtime::Seat;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::documents::cases;
use crate::world::children::{Mistreated, text};
use crate::world::{InFlight, World};

#[derive(Clone, Debug)]
enum Step {
    Create(Index),
    Update(Index, Index),
    Delete(Index, Index),
    Moderate(Index),
    Close(bool),
    Mistreat(Index, Mistreated),
    Cut(Index, InFlight),
    Heal(Index),
    /// So many frames move on each link.
    Move(u8),
    Pass(u64),
    Join,
    NodeRestarts,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let mistreated = prop_oneof![
        Just(Mistreated::Lost),
        Just(Mistreated::Repeated),
        Just(Mistreated::Late),
    ];
    let in_flight = prop_oneof![Just(InFlight::Lost), Just(InFlight::Delivered)];
    prop_oneof![
        10 => index().prop_map(Step::Create),
        5 => (index(), index()).prop_map(|(who, child)| Step::Update(who, child)),
        3 => (index(), index()).prop_map(|(who, child)| Step::Delete(who, child)),
        2 => index().prop_map(Step::Moderate),
        1 => prop::bool::weighted(0.3).prop_map(Step::Close),
        3 => (index(), mistreated).prop_map(|(who, how)| Step::Mistreat(who, how)),
        2 => (index(), in_flight).prop_map(|(who, how)| Step::Cut(who, how)),
        3 => index().prop_map(Step::Heal),
        10 => (1..4_u8).prop_map(Step::Move),
        3 => prop_oneof![4 => 1..300_u64, 1 => 1_000..40_000_u64].prop_map(Step::Pass),
        1 => Just(Step::Join),
        1 => prop::bool::weighted(0.1).prop_map(|restarts| {
            if restarts { Step::NodeRestarts } else { Step::Move(1) }
        }),
    ]
}

struct Run {
    world: World,
    reporter: Seat,
    observers: Vec<Seat>,
    written: Vec<(Seat, ChildId, u64)>,
    calls: Vec<(Seat, u64)>,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        let owner = world.runtime();
        // Few enough that the oldest leave.
        let reporter = world.creates_room(owner, "room", 8);
        world.settles();
        let mut run = Self {
            world,
            reporter,
            observers: vec![],
            written: vec![],
            calls: vec![],
        };
        for _ in 0..3 {
            run.joins();
        }
        run.world.settles();
        run
    }

    fn joins(&mut self) {
        if self.observers.len() < 6 {
            let guest = self.world.runtime();
            self.observers.push(self.world.subscribes(guest, "room"));
        }
    }

    /// One of all, the Reporter among them.
    fn seat(&self, who: Index) -> Seat {
        let all = std::iter::once(&self.reporter).chain(&self.observers);
        all.clone().nth(who.index(all.count())).unwrap().clone()
    }

    fn own(&self, seat: &Seat, child: Index) -> Option<ChildId> {
        let runtime = &self.world.place(self.world.who(seat)).runtime;
        let written = self.written.iter();
        let mut own: Vec<_> = written
            .filter(|(by, id, _)| by == seat && runtime.own_child(seat, "chat", id).is_some())
            .collect();
        own.dedup();
        (!own.is_empty()).then(|| own[child.index(own.len())].1.clone())
    }

    fn does(&mut self, step: Step) {
        match step {
            Step::Create(who) => {
                let (seat, n) = (self.seat(who), self.written.len());
                let value = text(&format!("{n}"));
                if let Ok((id, call)) = self.world.tries_to_write_child(&seat, value) {
                    self.calls.push((seat.clone(), call));
                    self.written.push((seat, id, call));
                }
            }
            Step::Update(who, child) => {
                let seat = self.seat(who);
                if let Some(id) = self.own(&seat, child) {
                    let value = json!(self.calls.len());
                    let call = self.world.updates_child(&seat, &id, "n", value);
                    self.calls.push((seat, call));
                }
            }
            Step::Delete(who, child) => {
                let seat = self.seat(who);
                if let Some(id) = self.own(&seat, child) {
                    let call = self.world.deletes_child(&seat, &id);
                    self.calls.push((seat, call));
                }
            }
            Step::Moderate(child) => {
                let chat = self.world.chat(&self.reporter);
                let others = chat.iter().map(|(id, _)| id.clone());
                let others: Vec<_> = others
                    .filter(|id| *id.author() != self.reporter.hyperty)
                    .collect();
                if !others.is_empty() {
                    let id = &others[child.index(others.len())];
                    let call = self.world.deletes_child(&self.reporter, id);
                    self.calls.push((self.reporter.clone(), call));
                }
            }
            Step::Close(closed) => {
                let call = self.world.closes_children(&self.reporter, closed);
                self.calls.push((self.reporter.clone(), call));
            }
            Step::Mistreat(who, how) => {
                let who = who.index(self.observers.len() + 1);
                self.world.mistreats_child(who, how);
            }
            Step::Cut(who, in_flight) => {
                let who = who.index(self.observers.len() + 1);
                self.world.cut(who, in_flight);
            }
            Step::Heal(who) => self.world.heals(who.index(self.observers.len() + 1)),
            Step::Move(times) => (0..times).for_each(|_| self.world.moves_once()),
            Step::Pass(ms) => self.world.passes(ms),
            Step::Join => self.joins(),
            Step::NodeRestarts => self.world.node_restarts(),
        }
    }

    fn ends(mut self) {
        for who in 0..=self.observers.len() {
            self.world.heals(who);
        }
        self.world.passes(300_000);
        let call = self.world.closes_children(&self.reporter, false);
        self.calls.push((self.reporter.clone(), call));
        self.world.passes(60_000);
        self.world
            .assert_same_children(&self.reporter, &self.observers);
        for (seat, call) in &self.calls {
            let done = self.world.done(seat, *call);
            assert!(done.is_some(), "{call} of {seat:?} is not answered");
        }
        for (seat, id, call) in &self.written {
            let there = self.world.chat(&self.reporter).get(id).is_some();
            let safe = self.world.done(seat, *call) == Some(Ok(()));
            assert!(!there || safe, "{id} is there, and was not said to be safe");
        }
        self.world.assert_all_answered();
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn in_the_end_everybody_has_the_same_children(
        steps in prop::collection::vec(step(), 0..120)
    ) {
        let mut run = Run::new();
        for step in steps {
            run.does(step);
        }
        run.ends();
    }
}
