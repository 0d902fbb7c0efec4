//! Claims and what is written under them (protocol.md §4, §5, §8).

use std::collections::BTreeMap;

use byline_core::limits::QUIET_UNSAID_MS;

use super::{At, Claim, Delivery, Model, Record, Which, Who};

impl Model {
    /// Whether the claim was taken.
    pub(in crate::deliveries) fn claims(&mut self, who: Who, which: Which, claim: &Claim) -> bool {
        let Some(identity) = self.identity(who).cloned() else {
            return false;
        };
        let object = self.objects.get_mut(&which).unwrap();
        if object.over {
            return false;
        }
        let holder = object.holder;
        let Some(record) = &object.record else {
            let record = self.first(who, identity, claim);
            self.holds(who, which, record);
            return true;
        };
        if record.owner != identity || holder.is_some_and(|one| one != who) && !claim.take {
            return false;
        }
        let untouched = record.position.0 != record.epoch || record.position.1 == 0;
        if holder == Some(who) && untouched && claim.base == Some(Some(record.position)) {
            self.publish_head(which);
            self.forwards_waiting(which);
            return true;
        }
        let mine = record.reporter == who && record.position == (record.epoch, 0);
        let continues = |base: At| {
            let epoch = base.0 == record.position.0 || base.0 == record.epoch;
            base >= record.position && (epoch || base == record.base)
        };
        let base = match claim.base {
            Some(Some(base)) if continues(base) => Some(base),
            Some(None) => None,
            None if mine => None,
            _ => {
                self.meets("diverged");
                if holder == Some(who) {
                    self.releases(who, which);
                }
                return false;
            }
        };
        let mut next = record.clone();
        next.epoch = 1 + record.epoch.max(base.map_or(0, |base| base.0));
        next.base = base.unwrap_or((next.epoch, 0));
        next.reporter = who;
        if base.is_none() || claim.snapshot {
            next.position = next.base;
        }
        if base.is_none() {
            next.access = claim.access.clone();
            next.access.deny.extend(record.access.deny.iter().cloned());
        }
        if holder.is_some_and(|one| one != who) {
            self.meets("taken");
            self.asked
                .retain(|_, one| one.object != which || one.of.is_none());
        }
        self.holds(who, which, next);
        true
    }

    /// Without a record any base is taken, and the clock counts.
    fn first(&self, reporter: Who, owner: String, claim: &Claim) -> Record {
        let base = claim.base.flatten();
        let epoch = 1 + base.map_or(0, |base| base.0).max(self.now);
        let at = base.unwrap_or((epoch, 0));
        Record {
            owner,
            epoch,
            position: at,
            base: at,
            access: claim.access.clone(),
            reporter,
            grants: BTreeMap::new(),
        }
    }

    fn holds(&mut self, who: Who, which: Which, record: Record) {
        let object = self.objects.get_mut(&which).unwrap();
        let access = record.access.clone();
        let before = object.record.replace(record);
        object.holder = Some(who);
        object.away = false;
        object.quiet_due = Some(self.now + QUIET_UNSAID_MS);
        // Claimed as it was, it leaves those alone who were let in.
        if before.is_none_or(|before| before.access != access) {
            self.enforces(which, "revoked by a claim");
        }
        self.publish_head(which);
        self.forwards_waiting(which);
    }

    /// Who diverged no longer holds.
    fn releases(&mut self, who: Who, which: Which) {
        self.asked.retain(|_, one| {
            one.object != which || one.of.is_none_or(|(of, _)| of != who) && one.hold
        });
        let object = self.objects.get_mut(&which).unwrap();
        object.holder = None;
        object.away = true;
        self.publish_head(which);
    }

    pub(in crate::deliveries) fn commits(
        &mut self,
        who: Who,
        which: Which,
        at: At,
        base: Option<At>,
    ) {
        let now = self.now;
        let object = self.objects.get_mut(&which).unwrap();
        let Some(record) = object
            .record
            .as_mut()
            .filter(|_| object.holder == Some(who))
        else {
            return self.meets("a commit of no holder");
        };
        let next = at.1 == record.position.1 + 1;
        let claimed = at.0 == record.epoch || at <= record.base;
        let follows =
            at.0 == record.position.0 || at.0 > record.position.0 && base == Some(record.position);
        if next && claimed && follows {
            record.position = at;
            object.quiet_due = Some(now + QUIET_UNSAID_MS);
            self.publish(Delivery::Commit(which, at));
        } else {
            self.meets("a commit that does not follow");
        }
    }

    /// The Reporter's own head.
    pub(in crate::deliveries) fn heads(&mut self, who: Who, which: Which, at: At) {
        let object = self.objects.get_mut(&which).unwrap();
        let held = object.holder == Some(who);
        let record = object
            .record
            .as_ref()
            .filter(|record| held && record.position == at);
        // What it says of itself is true in every walk.
        if let Some((epoch, _)) = record.map(|one| (one.epoch, ())).filter(|_| held) {
            object.quiet_said = Some(at);
            self.publish(Delivery::Head(which, epoch, at, true));
        }
    }

    pub(in crate::deliveries) fn deletes(&mut self, who: Who, which: Which) {
        let object = self.objects.get_mut(&which).unwrap();
        if object.holder != Some(who) {
            return;
        }
        object.over = true;
        object.record = None;
        object.holder = None;
        object.parked.clear();
        self.asked.retain(|_, one| one.object != which);
        self.publish(Delivery::Over(which));
        self.objects.get_mut(&which).unwrap().routes.clear();
        self.meets("deleted");
    }
}
