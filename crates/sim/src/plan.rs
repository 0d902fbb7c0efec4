//! The scenario of a seed: who there is, and a list of steps, each at its time. A step that makes no
//! sense when its time comes does nothing, so that any part of a plan is a plan.

use crate::authoring::{self, Act};
use crate::fault::{self, Fault};
use crate::liar::Lie;
use crate::random::Random;
use crate::scene;

/// Steps of a plan, faults included.
const STEPS: u64 = 170;
/// Of a hundred steps, those that are faults.
const FAULTS_PERCENT: u64 = 36;

/// Of a hundred steps, those that begin a scene.
const SCENES_PERCENT: u64 = 1;

/// More commits than a history keeps.
const BEYOND_HISTORY: u64 = 1_100;

/// The object that may be deleted.
const BRIEF: &str = "brief";

/// The object that is handed over.
const BATON: &str = "baton";

/// One runtime's machine.
#[derive(Clone, Debug)]
pub(crate) struct PlacePlan {
    /// Places with the same number have the same key.
    pub(crate) identity: u8,
    pub(crate) ahead_ms: i64,
    pub(crate) drift_ppm: i64,
    pub(crate) delay_ms: u64,
    /// It has a store.
    pub(crate) disk: bool,
}

/// Who may read an object.
#[derive(Clone, Debug)]
pub(crate) enum Openness {
    Public,
    /// These identities, and the owner.
    Private(Vec<u8>),
    /// Everybody but these identities.
    Without(Vec<u8>),
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct ObjectPlan {
    /// `None` has its id minted.
    pub(crate) id: Option<&'static str>,
    /// The places of its owner; the first creates it.
    pub(crate) devices: Vec<usize>,
    pub(crate) openness: Openness,
    /// Where it is reported or observed with a store, it rests there.
    pub(crate) store: bool,
    /// The devices that let the node keep what it holds.
    pub(crate) caching: Vec<usize>,
    /// Its collections, and how many children each of them keeps.
    pub(crate) children: Vec<(&'static str, usize)>,
}

impl ObjectPlan {
    /// Whether its owner may delete it.
    pub(crate) fn may_be_deleted(&self) -> bool {
        self.id == Some(BRIEF)
    }
}

/// What an application does, or what is done to it.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Write {
        object: usize,
        count: u64,
        bytes: usize,
    },
    Subscribe {
        who: usize,
        object: usize,
        second: bool,
    },
    Unsubscribe {
        who: usize,
        object: usize,
        second: bool,
    },
    Read {
        who: usize,
        object: usize,
        times: usize,
    },
    Deliver {
        who: usize,
    },
    /// Its Reporter writes, and asks when all it wrote is stored.
    Flush {
        object: usize,
    },
    /// Somebody does something to the children of an object, so many times.
    Author {
        who: usize,
        object: usize,
        act: Act,
        count: u64,
    },
    /// A device reports the object, unless it does.
    Report {
        object: usize,
        device: usize,
        discard: bool,
        take: bool,
        /// Denies an identity more than before.
        deny: Option<u8>,
    },
    Command {
        object: usize,
        command: Command,
    },
    /// A Reporter hands an object over, and stays an owner or does not.
    HandOver {
        object: usize,
        heir: usize,
        keep: bool,
    },
    Fault(Fault),
    Lie(Lie),
}

/// What an owner commands about an object.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Puts out the identity of a place, or its first hyperty.
    Kick {
        reader: usize,
        by_hyperty: bool,
    },
    Allow {
        reader: usize,
        by_hyperty: bool,
    },
    Access(Openness),
    Delete,
}

/// An action and its time.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) at_ms: u64,
    pub(crate) action: Action,
}

/// Everything that a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) seed: u64,
    pub(crate) node_drift_ppm: i64,
    /// The node has a store.
    pub(crate) node_disk: bool,
    /// How many bytes of content the node keeps, where that is not as many as there are.
    pub(crate) content_bytes: Option<usize>,
    pub(crate) places: Vec<PlacePlan>,
    pub(crate) objects: Vec<ObjectPlan>,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let places = places(&mut random);
        let objects = objects(&mut random, &places);
        let mut plan = Self {
            seed,
            node_drift_ppm: drift(&mut random),
            node_disk: random.chance(60),
            content_bytes: random.one_of(&[None, None, None, Some(0), Some(6_000)]),
            places,
            objects,
            steps: vec![],
        };
        plan.begin(&mut random);
        let mut at_ms = 3_000;
        for _ in 0..STEPS {
            at_ms += pause(&mut random);
            if random.chance(SCENES_PERCENT) {
                plan.steps.extend(scene::drawn(&mut random, &plan, at_ms));
            }
            let action = plan.action(&mut random);
            plan.steps.push(Step { at_ms, action });
        }
        plan.steps.sort_by_key(|step| step.at_ms);
        plan
    }

    /// The same plan with other steps.
    #[must_use]
    pub(crate) fn with(&self, steps: Vec<Step>) -> Self {
        Self {
            steps,
            ..self.clone()
        }
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |step: &Step| format!("{:>9} ms  {:?}", step.at_ms, step.action);
        self.steps.iter().map(line).collect()
    }

    /// Every object is created and most are followed, some before they are there.
    fn begin(&mut self, random: &mut Random) {
        for (object, plan) in self.objects.iter().enumerate() {
            let action = Action::Report {
                object,
                device: plan.devices[0],
                discard: false,
                take: false,
                deny: None,
            };
            let at_ms = random.between(0, 3_000);
            self.steps.push(Step { at_ms, action });
        }
        // The one after the last is the liar's.
        for object in 0..=self.objects.len() {
            for who in 0..self.places.len() {
                if random.chance(75) {
                    let second = random.chance(20);
                    let at_ms = random.between(0, 4_000);
                    let action = Action::Subscribe {
                        who,
                        object,
                        second,
                    };
                    self.steps.push(Step { at_ms, action });
                }
            }
        }
    }

    fn action(&self, random: &mut Random) -> Action {
        if random.chance(FAULTS_PERCENT) {
            return if random.chance(30) {
                Action::Lie(Lie::drawn(random, self.objects.len()))
            } else {
                Action::Fault(fault::drawn(random, self))
            };
        }
        let object = random.index(self.objects.len());
        let any = random.index(self.objects.len() + 1);
        let who = random.index(self.places.len());
        match random.between(0, 103) {
            0..48 => Action::Write {
                object,
                count: random.between(1, 9),
                bytes: random.one_of(&[0, 0, 0, 0, 30, 400]),
            },
            48..72 => authoring::drawn(random, self.places.len()),
            72..74 if random.chance(2) => Action::Write {
                object,
                count: BEYOND_HISTORY,
                bytes: 0,
            },
            72..74 => Action::Write {
                object,
                count: random.between(20, 45),
                bytes: 900,
            },
            74..80 => Action::Subscribe {
                who,
                object: any,
                second: random.chance(40),
            },
            80..84 => Action::Unsubscribe {
                who,
                object: any,
                second: random.chance(40),
            },
            84..88 => Action::Read {
                who,
                object: any,
                times: random.one_of(&[1, 1, 1, 9]),
            },
            88..90 => Action::Flush { object },
            90..92 => Action::Deliver { who },
            92..96 => self.command(random, object),
            96..100 => self.report(random, object),
            _ => self.hand_over(random),
        }
    }

    fn hand_over(&self, random: &mut Random) -> Action {
        Action::HandOver {
            object: self.baton(),
            heir: random.index(self.places.len()),
            keep: random.chance(50),
        }
    }

    /// The object that is handed over.
    pub(crate) fn baton(&self) -> usize {
        let baton = |object: &ObjectPlan| object.id == Some(BATON);
        self.objects.iter().position(baton).unwrap_or_default()
    }

    fn command(&self, random: &mut Random, object: usize) -> Action {
        let reader = random.index(self.places.len());
        let by_hyperty = random.chance(50);
        let brief = self.objects[object].may_be_deleted();
        let command = match random.between(0, 6) {
            0..2 => Command::Kick { reader, by_hyperty },
            2..4 => Command::Allow { reader, by_hyperty },
            _ if brief => Command::Delete,
            // A Reporter goes on letting in who was an owner when it first did.
            _ if object == self.baton() => Command::Access(Openness::Public),
            4 => Command::Access(self.objects[object].openness.clone()),
            5 => Command::Access(Openness::Without(others(random, &self.places))),
            _ => Command::Access(Openness::Private(others(random, &self.places))),
        };
        Action::Command { object, command }
    }

    fn report(&self, random: &mut Random, object: usize) -> Action {
        let device = random.one_of(&self.objects[object].devices);
        let discard = random.chance(70);
        let closes = discard && random.chance(20);
        let identity = self.places[random.index(self.places.len())].identity;
        Action::Report {
            object,
            device,
            discard,
            take: random.chance(80),
            deny: closes.then_some(identity),
        }
    }
}

/// Two devices of one owner, and others.
fn places(random: &mut Random) -> Vec<PlacePlan> {
    let count = random.between(3, 6);
    let place = |number: u64| PlacePlan {
        identity: u8::try_from(number.max(1)).unwrap_or(u8::MAX),
        ahead_ms: 0,
        drift_ppm: 0,
        delay_ms: 0,
        disk: false,
    };
    let mut places: Vec<PlacePlan> = (0..count).map(place).collect();
    for place in &mut places {
        place.ahead_ms = random.one_of(&[0, 0, 1, 700, 40_000, 3_600_000]);
        place.drift_ppm = drift(random);
        place.delay_ms = random.one_of(&[0, 1, 5, 20, 80]);
        place.disk = random.chance(55);
    }
    places
}

fn objects(random: &mut Random, places: &[PlacePlan]) -> Vec<ObjectPlan> {
    let last = places.len() - 1;
    let private = Openness::Private(others(random, places));
    let without = Openness::Without(others(random, places));
    let object = |id, devices: &[usize], openness| ObjectPlan {
        id,
        devices: devices.to_vec(),
        openness,
        store: true,
        caching: devices.to_vec(),
        children: vec![],
    };
    let mut objects = vec![
        object(Some("shared"), &[0, 1], Openness::Public),
        object(Some("private"), &[1, 0], private),
        object(None, &[last], Openness::Public),
    ];
    let keep = random.one_of(&[3, 6, 20, 1_000]);
    for object in &mut objects {
        object.store = random.chance(75);
        // Of the first three the node is to keep children, of one device's or of both, or none.
        object.caching.retain(|_| random.chance(75));
    }
    objects[0].children = vec![("chat", keep), ("marks", 1_000)];
    objects[1].children = vec![("chat", 1_000)];
    objects[2].children = vec![("chat", random.one_of(&[4, 1_000]))];
    if random.chance(60) {
        objects.push(object(Some("cellar"), &[last], without));
    }
    if random.chance(30) {
        objects.push(object(Some("attic"), &[2], Openness::Public));
    }
    if random.chance(40) {
        objects.push(object(Some(BRIEF), &[last], Openness::Public));
    }
    // Whoever does not own it claims it in vain.
    let anybody: Vec<usize> = (0..places.len()).collect();
    objects.push(object(Some(BATON), &anybody, Openness::Public));
    objects
}

/// Some identities, but not that of the two devices.
fn others(random: &mut Random, places: &[PlacePlan]) -> Vec<u8> {
    let others = places.iter().map(|place| place.identity);
    let mut some: Vec<u8> = others.filter(|one| *one > 1).collect();
    some.retain(|_| random.chance(60));
    some
}

fn drift(random: &mut Random) -> i64 {
    random.one_of(&[-200, -20, 0, 0, 20, 200])
}

/// Mostly much happens at once; now and then everything that waits has its time.
fn pause(random: &mut Random) -> u64 {
    match random.between(0, 99) {
        0..55 => random.between(0, 30),
        55..80 => random.between(30, 600),
        80..94 => random.between(600, 6_000),
        94..99 => random.between(6_000, 25_000),
        _ => random.between(25_000, 70_000),
    }
}
