//! Faults: what networks, machines and clocks do to those who speak over them.

use std::sync::Arc;

use byline_core::node::Input;

use crate::link::Badness;
use crate::node_driver::is_head;
use crate::plan::Plan;
use crate::random::Random;
use crate::storing::{Outage, Part};
use crate::totals::Count;
use crate::world::{Event, World};

/// The longest a node takes to find out that a socket is dead: it pings every 25 s.
const NODE_NOTICES_MS: u64 = 50_000;

/// How long after an echo that misled anybody a new connection sets things right.
const ECHO_MS: u64 = 10_000;

/// One fault.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection ends. The last frames of each way are lost, and each side notices in its time;
    /// a runtime that never does finds out by silence.
    Cut {
        who: usize,
        lost_up: usize,
        lost_down: usize,
        node_ms: u64,
        place_ms: Option<u64>,
        offline_ms: u64,
    },
    Delay {
        who: usize,
        ms: u64,
    },
    /// What the node sends arrives much later, if it waits at all.
    SlowReader {
        who: usize,
        ms: u64,
    },
    SlowWriter {
        who: usize,
        ms: u64,
    },
    BadLink {
        who: usize,
        ms: u64,
        badness: Badness,
    },
    /// What a place heard of streams some time ago, on whatever connection, it hears again.
    Echo {
        who: usize,
    },
    /// The node loses all connections; it may have forgotten everything that it has on no disk.
    Node {
        forgets: bool,
        down_ms: u64,
        lost: usize,
    },
    /// A process ends without a word and another begins, with the same key, and with what its disk holds.
    Process {
        who: usize,
        node_ms: u64,
        discard: bool,
        take: bool,
    },
    /// The power of a part fails at one of the next batches that it stores.
    Power {
        part: Part,
        batches: u64,
        outage: Outage,
    },
    FullDisk {
        part: Part,
        ms: u64,
    },
    NodeJumps {
        ms: u64,
    },
    PlaceJumps {
        who: usize,
        ms: u64,
    },
}

/// A fault for a world as `plan` has it.
pub(crate) fn drawn(random: &mut Random, plan: &Plan) -> Fault {
    let who = random.index(plan.places.len());
    let part = if random.chance(40) {
        Part::Node
    } else {
        Part::Place(who)
    };
    let jump = [50, 2_000, 17_000, 45_000, 600_000, 10_000_000];
    match random.between(0, 99) {
        0..32 => cut(random, who),
        32..44 => Fault::Delay {
            who,
            ms: random.one_of(&[0, 3, 40, 250, 900]),
        },
        44..53 => Fault::SlowReader {
            who,
            ms: random.between(500, 20_000),
        },
        53..60 => Fault::SlowWriter {
            who,
            ms: random.between(200, 10_000),
        },
        60..73 => Fault::BadLink {
            who,
            ms: random.between(1_000, 30_000),
            badness: Badness {
                duplicate: random.one_of(&[0, 10, 40]),
                late: random.one_of(&[0, 0, 20]),
                swap: random.one_of(&[0, 10, 40]),
                vanish: random.one_of(&[0, 5, 20]),
            },
        },
        73..76 => Fault::Echo { who },
        76..82 => Fault::Node {
            forgets: random.chance(50),
            down_ms: random.one_of(&[0, 10, 1_500, 8_000]),
            lost: random.index(4),
        },
        82..87 => Fault::Process {
            who,
            node_ms: random.one_of(&[0, 100, 20_000, NODE_NOTICES_MS]),
            discard: random.chance(70),
            take: random.chance(85),
        },
        87..92 => Fault::Power {
            part,
            batches: random.between(1, 9),
            outage: outage(random),
        },
        92..94 => Fault::FullDisk {
            part,
            ms: random.one_of(&[300, 4_000, 40_000]),
        },
        94..97 => Fault::NodeJumps {
            ms: random.one_of(&jump),
        },
        _ => Fault::PlaceJumps {
            who,
            ms: random.one_of(&jump),
        },
    }
}

/// How a part whose power fails comes back.
pub(crate) fn outage(random: &mut Random) -> Outage {
    Outage {
        down_ms: random.one_of(&[0, 10, 1_500, 8_000]),
        back_ms: random.one_of(&[0, 0, 0, 900, 60_000, 7_200_000]),
    }
}

fn cut(random: &mut Random, who: usize) -> Fault {
    let half_open = random.chance(25);
    let notices = [0, 0, 0, 5, 400, 12_000];
    Fault::Cut {
        who,
        lost_up: random.index(6),
        lost_down: random.index(6),
        node_ms: if half_open {
            random.between(NODE_NOTICES_MS / 2, NODE_NOTICES_MS)
        } else {
            random.one_of(&notices)
        },
        place_ms: (!half_open).then(|| random.one_of(&notices)),
        offline_ms: random.one_of(&[0, 0, 0, 700, 5_000, 33_000]),
    }
}

impl World {
    pub(crate) fn strikes(&mut self, fault: &Fault) {
        match *fault {
            Fault::Cut {
                who,
                lost_up,
                lost_down,
                node_ms,
                place_ms,
                offline_ms,
            } => {
                let Some(connection) = self.places[who].link else {
                    return;
                };
                let count = match place_ms {
                    None => Count::HalfOpen,
                    Some(ms) if ms == node_ms => Count::Cut,
                    Some(_) => Count::CutOneSide,
                };
                self.totals.one(count);
                self.places[who].offline_until = self.now + offline_ms;
                self.cut(connection, [lost_up, lost_down], node_ms, place_ms);
            }
            Fault::Delay { .. }
            | Fault::SlowReader { .. }
            | Fault::SlowWriter { .. }
            | Fault::BadLink { .. }
            | Fault::Echo { .. } => self.strikes_link(fault),
            Fault::Node {
                forgets,
                down_ms,
                lost,
            } => self.node_stops(forgets, down_ms, lost),
            Fault::Process {
                who,
                node_ms,
                discard,
                take,
            } => self.process_ends(who, node_ms, discard, take, 0),
            Fault::Power {
                part,
                batches,
                outage,
            } => self.will_fail(part, batches, outage),
            Fault::FullDisk { part, ms } => self.fills(part, ms),
            Fault::NodeJumps { ms } => {
                self.totals.one(Count::Jumped);
                self.node_clock.jump(ms.cast_signed());
            }
            Fault::PlaceJumps { who, ms } => {
                self.totals.one(Count::Jumped);
                self.places[who].clock.jump(ms.cast_signed());
            }
        }
    }

    /// What becomes of a link that goes on.
    fn strikes_link(&mut self, fault: &Fault) {
        match *fault {
            Fault::Delay { who, ms } => {
                self.totals.one(Count::Delayed);
                self.places[who].delay_ms = ms;
                if let Some(link) = self.link_of(who) {
                    (link.up.delay_ms, link.down.delay_ms) = (ms, ms);
                }
            }
            Fault::SlowReader { who, ms } => {
                let until = self.now + ms;
                if let Some(link) = self.link_of(who) {
                    link.down.blocked_until = until;
                    self.totals.one(Count::SlowReader);
                }
            }
            Fault::SlowWriter { who, ms } => {
                let until = self.now + ms;
                if let Some(link) = self.link_of(who) {
                    link.up.blocked_until = until;
                    self.totals.one(Count::SlowWriter);
                }
            }
            Fault::Echo { who } => {
                let (now, heard) = (self.now, self.places[who].heard.clone());
                if let Some(link) = self.link_of(who) {
                    for (frame, of) in &heard {
                        link.misled |= is_head(frame);
                        link.down.push(Arc::clone(frame), Some(*of), now, 0);
                    }
                    let connection = link.connection;
                    self.totals.one(Count::Echoed);
                    self.schedule(now + ECHO_MS, Event::LinkIsGood(connection));
                }
            }
            Fault::BadLink { who, ms, badness } => {
                let until = self.now + ms;
                if let Some(link) = self.link_of(who) {
                    link.bad = Some(badness);
                    let connection = link.connection;
                    self.schedule(until, Event::LinkIsGood(connection));
                    self.totals.one(Count::BadLink);
                }
            }
            _ => {}
        }
    }

    fn node_stops(&mut self, forgets: bool, down_ms: u64, lost: usize) {
        if !forgets {
            self.totals.one(Count::NodeKept);
        } else if self.node_disk.is_some() {
            let back_ms = 0;
            return self.node_loses_power(Outage { down_ms, back_ms });
        } else {
            self.totals.one(Count::NodeForgot);
            self.node_starts();
        }
        self.ends_all_links(down_ms, lost);
    }

    /// What the node's ends of all connections had is gone with its process.
    pub(crate) fn closes_all_at_node(&mut self) {
        for link in self.links.values_mut() {
            link.at_node = false;
            link.up.cut(usize::MAX);
        }
        self.liars_lose_their_sessions();
    }

    /// The node is away, and all connections with it end.
    pub(crate) fn ends_all_links(&mut self, down_ms: u64, lost: usize) {
        self.node_down_until = self.now + down_ms;
        let connections: Vec<_> = self.links.keys().copied().collect();
        for connection in connections {
            let notices_ms = self.random.one_of(&[0, 0, 3, 200, 20_000]);
            self.cut(connection, [usize::MAX, lost], 0, Some(notices_ms));
        }
    }

    /// A process ends, and another begins with what its disk holds and a clock that is set back.
    pub(crate) fn process_ends(
        &mut self,
        who: usize,
        node_ms: u64,
        discard: bool,
        take: bool,
        back_ms: u64,
    ) {
        if !self.may_end(who) {
            return;
        }
        if self.places[who].disk.is_some() {
            self.cuts_power(Part::Place(who));
        } else {
            self.totals.one(Count::NewProcess);
        }
        if let Some(connection) = self.places[who].link.take() {
            let lost = self.random.index(5);
            self.cut(connection, [lost, usize::MAX], node_ms, None);
            if let Some(link) = self.links.get_mut(&connection) {
                link.at_place = false;
            }
        }
        self.counts_readers(who);
        self.sets_back(Part::Place(who), back_ms);
        let Some(runtime) = self.new_runtime(who) else {
            return;
        };
        let followed = self.places[who].starts_again(runtime);
        self.resumes(who);
        for object in followed.reported {
            self.reports(who, object, discard, take, None);
        }
        for (object, second) in followed.observed {
            self.subscribes(who, object, second);
        }
        self.place_puts_out(who);
    }

    /// A connection ends: `lost` frames of each way vanish, the rest arrives, then each side notices.
    pub(crate) fn cut(
        &mut self,
        connection: byline_core::node::ConnectionId,
        lost: [usize; 2],
        node_ms: u64,
        place_ms: Option<u64>,
    ) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let gone = link.up.cut(lost[0]) + link.down.cut(lost[1]);
        self.totals.add(Count::FramesLost, gone as u64);
        let node_at = link.up.empty_at(now).max(now + node_ms);
        let place_at = place_ms.map(|ms| link.down.empty_at(now).max(now + ms));
        self.schedule(node_at, Event::NodeLost(connection));
        if let Some(at) = place_at {
            self.schedule(at, Event::PlaceLost(connection, None));
        }
    }

    pub(crate) fn node_loses(&mut self, connection: byline_core::node::ConnectionId) {
        if let Some(link) = self.links.get_mut(&connection)
            && std::mem::replace(&mut link.at_node, false)
        {
            link.up.cut(usize::MAX);
            self.oracle.answers.lost(connection);
            self.node_takes(Input::Lost(connection));
        }
        self.forget_link(connection);
    }
}
