//! Who observes each object, as the node told its holder (protocol.md §6).

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::Address;
use byline_core::message::body::Presence;

use super::{Oracle, Rule};

/// Those who are there by what was told of one object.
#[derive(Debug, Default)]
struct Told {
    observers: BTreeSet<Address>,
    /// Everybody was named.
    complete: bool,
    count: u64,
}

/// What was told of all objects.
#[derive(Debug, Default)]
pub(crate) struct Presences {
    told: BTreeMap<Address, Told>,
}

impl Oracle {
    /// The holder of `object` is told who came and who went.
    pub(super) fn presence(&mut self, object: &Address, presence: Presence) {
        let told = self.presences.told.entry(object.clone()).or_default();
        if presence.reset {
            told.observers.clear();
            told.complete = true;
        }
        told.complete &= !presence.partial;
        told.count = presence.count;
        for hyperty in &presence.left {
            told.observers.remove(hyperty);
        }
        let joined = presence.joined.into_iter().map(|(hyperty, _)| hyperty);
        told.observers.extend(joined);
        let sums = !told.complete || told.observers.len() as u64 == told.count;
        let what = format!("{object}: {told:?}");
        self.expects(sums, Rule::Reach, || {
            format!("who is said to observe is not as many as are said to: {what}")
        });
    }

    /// In the end the holder knows who observes.
    pub(crate) fn presence_is(&mut self, object: &Address, observers: &BTreeSet<Address>) {
        let told = self.presences.told.get(object);
        let right = told.map_or(observers.is_empty(), |told| {
            told.count == observers.len() as u64 && (!told.complete || told.observers == *observers)
        });
        let what = format!("{told:?}");
        self.expects(right, Rule::Reach, || {
            format!("{object} is observed by {observers:?}, and its holder was told {what}")
        });
    }
}
