//! Parts that come back from their disks: the node with all it has said, a runtime with what rests of it.

use byline_core::node::Node;
use byline_core::runtime::{Input, Resumed, Role, Runtime};
use byline_core::time::Time;

use crate::application::NAMES;
use crate::disk::Disk;
use crate::oracle::{Copy, Reader, Rule};
use crate::place::{Place, Reporter};
use crate::storing::{Outage, Part};
use crate::totals::Count;
use crate::world::{DOMAIN, World, new_node};

/// The longest a runtime's end takes to be noticed at the node.
const NOTICES_MS: u64 = 20_000;

impl World {
    /// The node's power fails, and it starts with what its disk holds.
    pub(crate) fn node_loses_power(&mut self, outage: Outage) {
        self.cuts_power(Part::Node);
        self.sets_back(Part::Node, outage.back_ms);
        self.node_starts();
        self.ends_all_links(outage.down_ms, usize::MAX);
    }

    /// The clock of a part shows an earlier time when it starts again.
    pub(crate) fn sets_back(&mut self, part: Part, ms: u64) {
        if ms == 0 {
            return;
        }
        self.totals.one(Count::SetBack);
        match part {
            Part::Node => self.node_clock.jump(-ms.cast_signed()),
            Part::Place(who) => self.places[who].clock.jump(-ms.cast_signed()),
        }
    }

    /// A node without its memory starts, and takes what its disk holds, if it has one.
    pub(crate) fn node_starts(&mut self) {
        let time = self.node_time();
        self.node_lives += 1;
        self.node = new_node(&self.plan, &mut self.random, time);
        if let Some(disk) = &self.node_disk {
            restore(&mut self.node, disk, time, &mut self.oracle);
            let evicts = self.plan.content_bytes.is_some();
            self.oracle.node_returns(disk, evicts);
        } else {
            self.oracle.node_forgot();
        }
        self.closes_all_at_node();
    }

    /// The first life of every part that has a disk.
    pub(crate) fn begins_to_keep(&mut self) {
        let time = self.node_time();
        if let Some(disk) = &self.node_disk {
            restore(&mut self.node, disk, time, &mut self.oracle);
            self.oracle.has_disk = true;
        }
        for who in 0..self.places.len() {
            if self.places[who].disk.is_some()
                && let Some(runtime) = self.new_runtime(who)
            {
                self.places[who].runtime = runtime;
            }
        }
    }

    /// The power of a runtime fails while it writes.
    pub(crate) fn place_loses_power(&mut self, who: usize, outage: Outage) {
        let (node_ms, back_ms) = (self.random.between(0, NOTICES_MS), outage.back_ms);
        let take = self.random.chance(50);
        self.process_ends(who, node_ms, true, take, back_ms);
    }

    /// The machine of a place as it starts, with what its disk holds.
    pub(crate) fn new_runtime(&mut self, who: usize) -> Option<Runtime> {
        let (seed, time) = (self.random.seed(), self.place_time(who));
        let Place { key, disk, .. } = &mut self.places[who];
        let Some(disk) = disk else {
            return Some(Runtime::new(DOMAIN, key.clone(), seed));
        };
        match Runtime::restored(DOMAIN, key.clone(), seed, disk.rows()) {
            Ok(mut runtime) => {
                // Its key is stored before anybody hears of it.
                if let Some(batch) = runtime.poll_batch(time) {
                    disk.begins(batch);
                    disk.ends();
                    runtime.handle(Input::Stored, time);
                }
                Some(runtime)
            }
            Err(error) => {
                self.oracle.breaks(Rule::Stored, || {
                    format!("{who} cannot come back from its disk: {error}")
                });
                None
            }
        }
    }

    /// Whether what a place reports could go on after the end of its process. An address that is minted cannot
    /// be had by another.
    pub(crate) fn may_end(&self, who: usize) -> bool {
        let place = &self.places[who];
        let minted = |object: &usize| self.plan.objects[*object].id.is_none();
        let mut minted = place.reporters.iter().filter(|(object, _)| minted(object));
        minted.all(|(_, reporter)| {
            let seat = &reporter.author.seat;
            let rests = |disk: &Disk| disk.holds_reporter(&seat.object, &seat.hyperty);
            place.disk.as_ref().is_some_and(rests)
        })
    }

    /// The hyperties of a place are there again, and what rests of them goes on.
    pub(crate) fn resumes(&mut self, who: usize) {
        for name in NAMES {
            let time = self.place_time(who);
            let runtime = &mut self.places[who].runtime;
            let Ok(hyperty) = runtime.hyperty(name) else {
                continue;
            };
            for one in runtime.wake(&hyperty, time) {
                let (seat, role) = (one.seat.clone(), one.role);
                let found = self
                    .urls
                    .iter()
                    .position(|url| url.as_ref().is_some_and(|url| *url == one.seat.object));
                let object = found.unwrap_or(self.urls.len());
                match one.role {
                    Role::Reporter => self.reporter_resumes(who, object, one),
                    Role::Observer => self.reader_resumes(who, object, name, one),
                }
                self.writes_return(who, &seat, role);
            }
        }
    }

    fn reporter_resumes(&mut self, who: usize, object: usize, one: Resumed) {
        self.totals.one(Count::ReportersResumed);
        let Resumed { seat, state, .. } = one;
        let place = &mut self.places[who];
        let author = place
            .runtime
            .reporter(&seat)
            .and_then(|stream| self.oracle.reporter_returns(&seat, stream));
        let Some(author) = author else {
            return;
        };
        let names = &self.plan.objects[object].children;
        let copies = copies(&place.runtime, &seat, names);
        // What the node took for it may not have come yet.
        if !self.oracle.node_takes(&seat.object) {
            let mut before = place.copies_before.remove(&object).unwrap_or_default();
            for (name, keep) in names {
                let collection = (seat.object.clone(), (*name).to_owned());
                if let Some(there) = place.runtime.children(&seat, name) {
                    self.oracle.children.return_with(&collection, there);
                }
                if let (Some(before), Some(copy)) = (before.remove(*name), copies.get(*name)) {
                    self.oracle.lets_go(&collection, &before, copy, *keep);
                    self.oracle.safe_children(&collection, &copy.after(&before));
                }
            }
        }
        if copies.values().all(Copy::is_empty) {
            self.oracle.children_begin(&seat.object);
        }
        let reporter = Reporter {
            author,
            state,
            copies,
        };
        place.reporters.insert(object, reporter);
        place.repeated += usize::from(self.plan.objects[object].may_be_deleted());
        if self.random.chance(50) {
            self.reports_what_rests(who, object, &seat);
        }
    }

    fn reader_resumes(&mut self, who: usize, object: usize, name: &str, one: Resumed) {
        self.totals.one(Count::CopiesResumed);
        let Resumed { seat, state, .. } = one;
        let lied_to = object == self.plan.objects.len();
        let place = &mut self.places[who];
        let mut reader = Reader::new(object, name == "second", lied_to);
        reader.state = state;
        if let Some(copy) = place.runtime.observer(&seat) {
            self.oracle.copy_returns(&seat, &mut reader, copy);
        }
        let named = self.plan.objects.get(object);
        let children = named.map_or(&[][..], |named| &named.children);
        reader.copies = copies(&place.runtime, &seat, children);
        place.readers.insert(seat, reader);
    }
}

/// What the collections of a seat are when it comes back.
fn copies(
    runtime: &Runtime,
    seat: &byline_core::runtime::Seat,
    children: &[(&'static str, usize)],
) -> std::collections::BTreeMap<String, Copy> {
    let there = |(name, _): &(&'static str, usize)| {
        let there = runtime.children(seat, name)?;
        Some(((*name).to_owned(), Copy::of(there)))
    };
    children.iter().filter_map(there).collect()
}

fn restore(node: &mut Node, disk: &Disk, time: Time, oracle: &mut crate::oracle::Oracle) {
    if let Err(error) = node.restore(disk.rows(), time) {
        oracle.breaks(Rule::Stored, || {
            format!("the node cannot come back from its disk: {error}")
        });
    }
}
