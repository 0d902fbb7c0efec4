//! Random walks: whatever writes, cuts, half-open sockets and forgetful restarts come together, once
//! the faults stop every Observer has what its Reporter has. A failure prints its seed and steps;
//! `BYLINE_SEED=<seed>` walks that one alone, `BYLINE_SEEDS=<count>` walks more.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use byline_core::entropy::Entropy;
use byline_core::runtime::Seat;
use byline_core::stream::Origin;
use world::{InFlight, World, count};

const SEEDS: u64 = 300;
const STEPS: usize = 60;
const OBJECTS: [&str; 2] = ["kitchen", "cellar"];

/// One walk: four runtimes. The first two report one object each; the last is another device of the
/// first one's owner, and takes its object now and then.
struct Walk {
    seed: u64,
    entropy: Entropy,
    world: World,
    /// Who claimed each object last.
    reporters: Vec<Seat>,
    /// The seats of the object that changes hands, and how often it did.
    devices: [Seat; 2],
    taken: usize,
    /// The Observers there are, with the object each follows.
    observers: Vec<(Seat, usize)>,
    reads: Vec<(usize, u64)>,
    written: u64,
    steps: Vec<String>,
}

impl Drop for Walk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}:\n  {}", self.seed, self.steps.join("\n  "));
        }
    }
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut world = World::new();
        let whos = [world.runtime(), world.runtime(), world.runtime()];
        let other = world.runtime_of(1);
        let hyperty = world.hyperty(other, "reporter");
        let reporters = (0..2).map(|i| world.creates(whos[i], OBJECTS[i], count(0)));
        let reporters: Vec<Seat> = reporters.collect();
        let object = reporters[0].object.clone();
        Self {
            seed,
            entropy: Entropy::new(bytes),
            devices: [reporters[0].clone(), Seat { hyperty, object }],
            taken: 0,
            reporters,
            world,
            observers: vec![],
            reads: vec![],
            written: 0,
            steps: vec![],
        }
    }

    fn up_to(&mut self, bound: usize) -> usize {
        usize::try_from(self.entropy.up_to(bound as u64)).unwrap()
    }

    fn notes(&mut self, step: String) {
        self.steps.push(step);
    }

    fn steps_once(&mut self) {
        match self.up_to(99) {
            0..30 => self.writes(),
            30..39 => self.subscribes(),
            39 => self.takes(),
            40..45 => self.unsubscribes(),
            45..50 => self.reads(),
            50..60 => self.cuts(),
            60..70 => self.heals(),
            70..73 => self.goes_half_open(),
            73..75 => {
                self.notes("the node restarts".to_owned());
                self.world.node_restarts();
            }
            75..85 => {
                let frames = self.up_to(9);
                self.notes(format!("{frames} frames"));
                (0..frames).for_each(|_| self.world.moves_once());
            }
            _ => {
                let choice = self.up_to(5);
                let ms = [0, 1, 150, 1_000, 9_000, 35_000][choice];
                self.notes(format!("{ms} ms"));
                self.world.passes(ms);
            }
        }
    }

    fn writes(&mut self) {
        let (object, choice) = (self.up_to(1), self.up_to(40));
        // Once in a while more than the history holds.
        let many = if choice == 0 { 1_100 } else { choice % 4 };
        self.notes(format!("{many} writes on {}", OBJECTS[object]));
        let reporter = self.reporters[object].clone();
        for _ in 0..many {
            self.written += 1;
            // A device that has lost its object says so, and only then.
            let written = self.world.tries_to_write(&reporter, "n", self.written);
            assert_eq!(written.is_err(), self.world.state(&reporter) == "closed");
        }
    }

    /// Another device of the owner starts the object afresh; the old one may not even hear of it.
    fn takes(&mut self) {
        let next = &self.devices[(self.taken + 1) % 2];
        let who = self.world.who(next);
        if self.taken > 0 && self.world.state(next) != "closed" {
            return;
        }
        self.taken += 1;
        self.notes(format!("{who} takes {}", OBJECTS[0]));
        self.written += 1;
        let data = count(self.written);
        self.reporters[0] = self.world.creates_as(who, OBJECTS[0], data, |create| {
            create.discard = true;
            create.take = true;
        });
    }

    fn subscribes(&mut self) {
        let (who, object, name) = (self.up_to(2), self.up_to(1), self.up_to(1));
        let name = ["first", "second"][name];
        let hyperty = self.world.hyperty(who, name);
        let taken = |(seat, at): &(Seat, usize)| *at == object && seat.hyperty == hyperty;
        if !self.observers.iter().any(taken) {
            self.notes(format!("{name} of {who} subscribes to {}", OBJECTS[object]));
            let seat = self.world.subscribes_as(who, name, OBJECTS[object]);
            self.observers.push((seat, object));
        }
    }

    fn unsubscribes(&mut self) {
        if !self.observers.is_empty() {
            let index = self.up_to(self.observers.len() - 1);
            let (seat, _) = self.observers.remove(index);
            self.notes(format!("{seat:?} unsubscribes"));
            self.world.unsubscribes(&seat);
        }
    }

    fn reads(&mut self) {
        let (who, object) = (self.up_to(2), self.up_to(1));
        self.notes(format!("{who} reads {}", OBJECTS[object]));
        let call = self.world.reads(who, OBJECTS[object]);
        self.reads.push((who, call));
    }

    fn cuts(&mut self) {
        let who = self.up_to(2);
        let in_flight = [InFlight::Lost, InFlight::Delivered][self.up_to(1)];
        let stays = self.up_to(1) == 0;
        self.notes(format!("{who} is cut, {in_flight:?}, for long: {stays}"));
        self.world.cut(who, in_flight);
        if !stays {
            self.world.heals(who);
        }
    }

    fn heals(&mut self) {
        let who = self.up_to(2);
        self.notes(format!("{who} heals"));
        self.world.heals(who);
    }

    fn goes_half_open(&mut self) {
        let who = self.up_to(2);
        if self.world.place(who).link.is_some() {
            self.notes(format!("{who} goes half-open"));
            self.world.goes_half_open(who);
        }
    }

    /// The faults stop, time passes, and everything is as it should be.
    fn ends(&mut self) {
        self.notes("the faults stop".to_owned());
        (0..4).for_each(|who| self.world.heals(who));
        self.world.passes(240_000);
        if self.taken > 0 {
            // After a restart that forgot, whoever claims first has it: one of them, not both.
            let live = |seat: &&Seat| self.world.state(seat) == "live";
            let live: Vec<Seat> = self.devices.iter().filter(live).cloned().collect();
            assert_eq!(live.len(), 1, "one device writes");
            self.reporters[0] = live[0].clone();
        }
        self.follows();
        for reporter in self.reporters.clone() {
            self.written += 1;
            self.world.writes(&reporter, "n", self.written);
        }
        self.world.settles();
        self.follows();
        for (who, call) in &self.reads {
            let answered = self.world.place(*who).reads.get(call).map(Vec::len);
            assert_eq!(answered, Some(1), "read {call} of {who}");
        }
        self.world.assert_all_answered();
        let gauges = self.world.node.gauges();
        assert_eq!((gauges.sessions, gauges.unanswered), (4, 0));
        let routes = |(seat, object): &(Seat, usize)| (self.world.who(seat), *object);
        let routes: std::collections::BTreeSet<_> = self.observers.iter().map(routes).collect();
        assert_eq!(gauges.routes, routes.len(), "no route without a reader");
    }

    fn follows(&self) {
        for (observer, object) in &self.observers {
            self.world
                .assert_follows(observer, &self.reporters[*object]);
            // One Reporter remembers what it wrote, so nothing that was seen may go; of two devices
            // the one that comes back to a forgetful node may have less.
            let origins = &self.world.mirror(observer).origins;
            let may_rewind = *object == 0 && self.taken > 0;
            assert!(
                may_rewind || !origins.contains(&Origin::Rewound),
                "{origins:?}"
            );
        }
        for reporter in &self.reporters {
            assert_eq!(self.world.state(reporter), "live");
        }
    }
}

#[test]
fn after_any_walk_every_observer_has_what_its_reporter_has() {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let one = number("BYLINE_SEED");
    let seeds = one.map_or(0..number("BYLINE_SEEDS").unwrap_or(SEEDS), |seed| {
        seed..seed + 1
    });
    for seed in seeds {
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.steps_once();
        }
        walk.ends();
    }
}
