//! Every collection of children, built once more from nothing but what its application was told.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::address::Address;
use byline_core::children::{Child, ChildChangeKind, ChildId, ChildrenChanged, Collection};
use byline_core::stream::Origin;

use super::children::{Where, value};
use super::{Oracle, Rule};
use crate::totals::{Count, Totals};

/// When a child was made, and which: the oldest come first.
type Age<'a> = (&'a str, &'a ChildId);

/// One collection as an application was told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    children: BTreeMap<ChildId, Child>,
    closed: bool,
    steps: u64,
    /// Those that it was told are removed for good, and in which reign they were.
    removed: BTreeMap<ChildId, u64>,
    /// The values that it was told of as they came, and the children, by reign: of a Reporter, what it took.
    took: BTreeSet<u64>,
    made: BTreeMap<ChildId, u64>,
    /// Who is told holds the object.
    pub(crate) holds: bool,
    /// The most children that there were.
    most: usize,
}

impl Copy {
    /// A collection that is there when its application begins.
    pub(crate) fn of(there: &Collection) -> Self {
        let children = there.iter();
        let children: BTreeMap<_, _> = children
            .map(|(id, child)| (id.clone(), child.clone()))
            .collect();
        let values = children.values();
        Self {
            closed: there.is_closed(),
            steps: there.steps(),
            removed: BTreeMap::new(),
            took: values
                .filter_map(|child| child.value["n"].as_u64())
                .collect(),
            made: BTreeMap::new(),
            holds: false,
            most: children.len(),
            children,
        }
    }

    /// The same, if it took what the process before did, whose it was `before`.
    pub(crate) fn after(&self, before: &Self) -> Self {
        Self {
            took: before.took.clone(),
            ..self.clone()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    fn ages(&self) -> BTreeSet<Age<'_>> {
        let children = self.children.iter();
        children.map(|(id, child)| (&*child.created, id)).collect()
    }
}

impl Oracle {
    /// A collection made a step; `keep` says how many its Reporter keeps, when that is who is told.
    pub(crate) fn children_step(
        &mut self,
        place: &Where,
        copy: &mut Copy,
        changed: &ChildrenChanged,
        keep: Option<(usize, &Address)>,
        totals: &mut Totals,
    ) {
        copy.steps += 1;
        self.expects(copy.steps == changed.number, Rule::Copy, || {
            format!(
                "{place:?}: step {} is told as {}",
                copy.steps, changed.number
            )
        });
        totals.one(match (changed.origin, keep.is_some()) {
            (Origin::Live, _) => Count::ChildSteps,
            (_, true) if self.node_takes(&place.0) => Count::ChildrenRegained,
            (_, true) => Count::ChildrenAdopted,
            (Origin::CatchUp, _) => Count::ChildrenCaughtUp,
            _ => Count::ChildrenPaged,
        });
        if changed.origin != Origin::Live && keep.is_some() {
            // What another had is taken over: with what that decided.
            copy.took.clear();
            copy.made.clear();
            copy.removed.clear();
        }
        let was_closed = std::mem::replace(&mut copy.closed, changed.closed);
        for change in &changed.changes {
            let id = &change.id;
            if changed.origin == Origin::Live
                && let Some((keep, own)) = keep
            {
                // Who does not hold the object, as it is about to take it, follows who does.
                let late = copy.holds && was_closed && copy.closed && id.author() != own;
                let may = !late
                    || self.node_takes(&place.0)
                    || matches!(change.kind, ChildChangeKind::Removed { .. });
                self.expects(may, Rule::Child, || {
                    format!("{id} is written where its Reporter takes nothing: {change:?}")
                });
                self.reporter_step(place, copy, id, &change.kind, (keep, totals));
            }
            self.change(place, copy, id, &change.kind);
            if let ChildChangeKind::Removed { moderated: true } = change.kind {
                let reign = self.removed_in(place, id, keep.is_some());
                copy.removed.insert(id.clone(), reign);
            }
        }
    }

    /// What became of one child.
    fn change(&mut self, place: &Where, copy: &mut Copy, id: &ChildId, kind: &ChildChangeKind) {
        match kind {
            ChildChangeKind::Added(child) => {
                let known = copy.children.insert(id.clone(), child.clone());
                copy.most = copy.most.max(copy.children.len());
                self.expects(known.is_none(), Rule::Copy, || {
                    format!("{place:?}: {id} is added, and was there")
                });
                self.stays_removed(place, copy, id);
                self.child(place, id, child);
            }
            ChildChangeKind::Updated { child, .. } => {
                let before = copy.children.insert(id.clone(), child.clone());
                match before {
                    None => self.breaks(Rule::Copy, || {
                        format!("{place:?}: {id} is changed, and was not there")
                    }),
                    Some(before) => self.goes_on(place, id, &before, child),
                }
                self.child(place, id, child);
            }
            ChildChangeKind::Removed { .. } => {
                let known = copy.children.remove(id).is_some();
                self.expects(known, Rule::Copy, || {
                    format!("{place:?}: {id} is removed, and was not there")
                });
            }
        }
    }

    /// A Reporter takes a commit: what it decides.
    fn reporter_step(
        &mut self,
        place: &Where,
        copy: &mut Copy,
        id: &ChildId,
        kind: &ChildChangeKind,
        (keep, totals): (usize, &mut Totals),
    ) {
        match kind {
            ChildChangeKind::Added(child) => {
                let key = (place.clone(), id.clone());
                self.children.made.insert(key, child.origin);
                let reign = self.children.reign(&place.0);
                let before = copy.made.insert(id.clone(), reign);
                self.expects(before != Some(reign), Rule::Child, || {
                    format!("{place:?}: {id} is made a second time")
                });
                self.takes(place, copy, id, child);
                if !self.is_an_authors(id) {
                    totals.one(Count::GuestChildren);
                }
            }
            ChildChangeKind::Updated { child, .. } => self.takes(place, copy, id, child),
            ChildChangeKind::Removed { moderated } => {
                let key = (place.clone(), id.clone());
                let wanted = !self.children.unwanted.contains(&key);
                // Where the node takes, others may leave before what was too many then.
                let there = if self.node_takes(&place.0) {
                    copy.most
                } else {
                    copy.children.len()
                };
                let prunes = *moderated && there > keep;
                if wanted && prunes {
                    totals.one(Count::ChildrenPruned);
                }
                let guest = !self.is_an_authors(id);
                let right = !wanted || prunes || guest || !copy.holds;
                self.expects(right, Rule::Child, || {
                    format!("{place:?}: {id} is removed, and nobody wanted that")
                });
                self.children.left.insert(key);
            }
        }
    }

    fn takes(&mut self, place: &Where, copy: &mut Copy, id: &ChildId, child: &Child) {
        if let Some(n) = child.value["n"].as_u64() {
            if copy.holds && self.is_an_authors(id) {
                self.is_followed(place, n);
            }
            // What the node took, it answers for.
            if !self.children.taken_in.contains_key(&n) {
                copy.took.insert(n);
            }
            self.children.taken.insert(n);
        }
    }

    /// Whether somebody whose writes are known made the child: a guest's are not.
    fn is_an_authors(&self, id: &ChildId) -> bool {
        !id.author().as_str().ends_with("/liar")
    }

    /// A child is as its author wrote it.
    fn child(&mut self, place: &Where, id: &ChildId, child: &Child) {
        if !self.is_an_authors(id) {
            return;
        }
        let n = child.value["n"].as_u64().unwrap_or_default();
        let written = self.children.written.get(&n);
        let right = written.is_some_and(|written| {
            written.place == *place
                && written.id == *id
                && child.identity.as_ref() == Some(&written.identity)
        });
        self.expects(right, Rule::Child, || {
            format!("{id} is {child:?}, and its author wrote no such thing")
        });
        self.expects(*child.value == value(n), Rule::Whole, || {
            format!("{id} shows half a commit: {}", child.value)
        });
    }

    /// Versions of a child go up, unless another Reporter begins without what was there.
    fn goes_on(&mut self, place: &Where, id: &ChildId, before: &Child, after: &Child) {
        let passed = (place.clone(), id.author().clone(), before.position);
        let passed = self.children.passed.get(&passed).copied();
        let back = after.position < before.position;
        let same = passed == Some(self.children.reign(&place.0));
        self.expects(!(back && same), Rule::Child, || {
            format!(
                "{place:?}: {id} went from {} to {}",
                before.position, after.position
            )
        });
    }

    /// In which reign a child was removed that a copy was just told is: a Reporter tells its own copy first, and
    /// what comes to another may be of an earlier one.
    fn removed_in(&self, place: &Where, id: &ChildId, reports: bool) -> u64 {
        let now = self.children.reign(&place.0);
        let removed = self.children.removed.get(&(place.clone(), id.clone()));
        removed.copied().filter(|_| !reports).unwrap_or(now)
    }

    /// What its Reporter removed does not come back, as long as that Reporter has the collection.
    fn stays_removed(&mut self, place: &Where, copy: &Copy, id: &ChildId) {
        let removed = copy.removed.get(id).copied();
        let same = removed == Some(self.children.reign(&place.0));
        self.expects(!same, Rule::Child, || {
            format!("{place:?}: {id} was removed by its Reporter, and is back")
        });
    }

    /// All steps are told: they give the collection.
    pub(crate) fn children_mirror(&mut self, place: &Where, copy: &Copy, there: &Collection) {
        let same = copy.closed == there.is_closed()
            && copy.steps == there.steps()
            && copy.children.len() == there.len()
            && there.iter().all(|(id, child)| {
                copy.children
                    .get(id)
                    .is_some_and(|told| told.value == child.value)
            });
        self.expects(same, Rule::Copy, || {
            format!("{place:?}: the steps give {copy:?}, the collection is {there:?}")
        });
    }

    /// A Reporter is there again with its collection, of which it keeps so many: what was there `before` may have left
    /// for newer ones, by a commit that nobody has heard of.
    pub(crate) fn lets_go(&mut self, place: &Where, before: &Copy, there: &Copy, keep: usize) {
        let there = there.ages();
        let left = &self.children.left;
        let has_left = |(_, id): &Age<'_>| left.contains(&(place.clone(), (*id).clone()));
        let (left, gone): (Vec<_>, Vec<_>) = before
            .ages()
            .difference(&there)
            .partition(|one| has_left(one));
        let outgrown = outgrown(&gone, &there, keep.saturating_sub(left.len()));
        let outgrown = outgrown.map(|id| (place.clone(), id.clone()));
        self.children.left.extend(outgrown);
    }

    /// What authors were told is safe is with the Reporter that took it, or left there.
    pub(crate) fn safe_children(&mut self, place: &Where, copy: &Copy) {
        for n in &copy.took {
            let Some(written) = self.children.written.get(n) else {
                continue;
            };
            let there = copy.children.get(&written.id);
            let there = there.and_then(|child| child.value["n"].as_u64());
            let left = (place.clone(), written.id.clone());
            let kept = there.is_some_and(|there| there >= *n) || self.children.left.contains(&left);
            if self.children.safe.contains(n) && !kept {
                let id = written.id.clone();
                return self.breaks(Rule::Child, || {
                    format!("{place:?}: {id} with {n} was safe, and its Reporter has {there:?}")
                });
            }
        }
    }
}

/// Those of `gone` that are older than all that are `there`, if there are so many that the oldest leave.
fn outgrown<'a>(
    gone: &[Age<'a>],
    there: &BTreeSet<Age<'_>>,
    keep: usize,
) -> impl Iterator<Item = &'a ChildId> {
    let oldest = there.first().filter(|_| there.len() >= keep);
    let older = gone.iter().filter(move |one| Some(one) < oldest.as_ref());
    older.map(|(_, id)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_oldest_may_have_left_and_only_for_as_many_newer_ones_as_are_kept() {
        let author = Address::join("hyperty", "localhost", "author");
        let ids: Vec<_> = (0..6).map(|n| ChildId::new(author.clone(), n)).collect();
        let dates = ["10:00", "10:01", "10:02", "10:03", "10:04", "10:05"];
        let ages: Vec<Age<'_>> = dates.into_iter().zip(&ids).collect();
        let there: BTreeSet<_> = [1, 3, 4].map(|n| ages[n]).into();
        let gone = [ages[0], ages[2], ages[5]];
        let left = |keep| outgrown(&gone, &there, keep).collect::<Vec<_>>();
        assert_eq!(left(3), [&ids[0]]);
        assert!(left(4).is_empty(), "there was room for it");
    }
}
