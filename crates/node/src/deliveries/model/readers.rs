//! Who reads, who is let in, and who is put out (protocol.md §6).

use std::collections::BTreeSet;

use byline_core::limits::{HELD_MS, UNANSWERED_MS};

use super::{Access, Asked, Delivery, Hyperty, Model, Person, Record, Which, Who};

impl Model {
    fn decides(&self, record: &Record, hyperty: Hyperty) -> Option<bool> {
        let identity = self.identity(hyperty.0);
        let address = self.hyperty(hyperty);
        let named = |list: &BTreeSet<String>| {
            list.contains(address) || identity.is_some_and(|one| list.contains(one))
        };
        let access = &record.access;
        let owner = identity == Some(&record.owner);
        if owner && hyperty == (record.reporter, 0) {
            return Some(true);
        }
        if named(&access.deny) {
            return Some(false);
        }
        let open = access.anonymous || access.public && identity.is_some();
        let let_in = record.grants.get(&hyperty) == Some(&true);
        (open || named(&access.authorise) || owner || let_in).then_some(true)
    }

    fn may_read(&self, which: Which, hyperty: Hyperty) -> Option<Option<bool>> {
        let record = self.objects[&which].record.as_ref()?;
        Some(self.decides(record, hyperty))
    }

    pub(in crate::deliveries) fn subscribes(
        &mut self,
        id: u64,
        by: Hyperty,
        which: Which,
        hold: bool,
    ) {
        let refused = self.objects[&which].over
            || match self.may_read(which, by) {
                Some(decided) => decided == Some(false),
                None => !hold,
            };
        let waits = hold || self.objects[&which].holder.is_some();
        let asked = Asked {
            by,
            object: which,
            hold,
            of: self.asks_of(which),
        };
        if !refused && (waits || asked.of.is_some()) {
            self.asked.insert(id, asked);
        }
    }

    pub(super) fn asks_of(&self, which: Which) -> Option<(Who, u64)> {
        let holder = self.objects[&which].holder?;
        self.connection(holder)
            .map(|_| (holder, self.now + UNANSWERED_MS))
    }

    pub(super) fn forwards_waiting(&mut self, which: Which) {
        let of = self.asks_of(which);
        let waiting = self.asked.values_mut();
        let waiting = waiting.filter(|one| one.object == which && one.of.is_none());
        waiting.for_each(|one| one.of = of);
    }

    /// `who` answers what `id` asked, whoever was asked.
    pub(in crate::deliveries) fn answers(&mut self, who: Who, id: u64, code: u16) {
        let Some(asked) = self.asked.get_mut(&id) else {
            return;
        };
        match &mut asked.of {
            Some((of, until)) if *of == who && code < 200 => *until = self.now + HELD_MS,
            Some((of, _)) if *of == who => {
                let Asked { by, object, .. } = asked.clone();
                self.asked.remove(&id);
                if code == 200 {
                    self.starts(by, object);
                }
            }
            _ => self.meets("an answer of somebody else"),
        }
    }

    fn starts(&mut self, by: Hyperty, which: Which) {
        let decided = self.may_read(which, by).expect("who answers holds");
        if decided == Some(false) {
            return;
        }
        let known = self.identity(by.0).is_some();
        let object = self.objects.get_mut(&which).unwrap();
        if let Some(record) = object.record.as_mut().filter(|_| known) {
            *record.grants.entry(by).or_default() |= decided.is_none();
        }
        object.routes.entry(by.0).or_default().insert(by.1);
    }

    pub(in crate::deliveries) fn unsubscribes(&mut self, by: Hyperty, which: Which) {
        self.asked
            .retain(|_, one| one.object != which || one.by != by);
        self.ends_route(by, which);
    }

    fn ends_route(&mut self, by: Hyperty, which: Which) {
        let object = self.objects.get_mut(&which).unwrap();
        if let Some(record) = &mut object.record {
            record.grants.remove(&by);
        }
        if let Some(hyperties) = object.routes.get_mut(&by.0) {
            hyperties.remove(&by.1);
            if hyperties.is_empty() {
                object.routes.remove(&by.0);
                object.parked.remove(&by.0);
            }
        }
    }

    /// What is queued for who may no longer read is taken back.
    fn withdraws(&mut self, who: Who, which: Which) {
        let connection = self.connection(who);
        let reads = self.objects[&which].routes.contains_key(&who);
        if let Some(queue) = connection.and_then(|at| self.expected.get_mut(&at))
            && !reads
        {
            queue.retain(|one| one.of() != which || matches!(one, Delivery::Over(_)));
        }
    }

    fn owned(&mut self, who: Who, which: Which) -> Option<&mut Access> {
        let identity = self.people[who].identity.as_ref();
        let record = self.objects.get_mut(&which)?.record.as_mut()?;
        (identity == Some(&record.owner)).then_some(&mut record.access)
    }

    /// The identity behind a hyperty that is there or was let in.
    fn behind(&self, which: Which, reader: &str) -> Option<String> {
        let person = |one: &Person| one.hyperties.iter().any(|hyperty| hyperty == reader);
        let who = self.people.iter().position(person)?;
        let record = self.objects[&which].record.as_ref()?;
        let let_in = || record.grants.keys().any(|one| self.hyperty(*one) == reader);
        let known = self.sessions.contains_key(&who) || let_in();
        self.identity(who).filter(|_| known).cloned()
    }

    pub(in crate::deliveries) fn kicks(&mut self, who: Who, which: Which, reader: &str) {
        let denied = self
            .behind(which, reader)
            .unwrap_or_else(|| reader.to_owned());
        let is_owner = self.identity(who) == Some(&denied);
        if let Some(access) = self.owned(who, which).filter(|_| !is_owner) {
            access.deny.insert(denied);
            self.enforces(which, "kicked");
        }
    }

    pub(in crate::deliveries) fn allows(&mut self, who: Who, which: Which, reader: &str) {
        let behind = self.behind(which, reader);
        if let Some(access) = self.owned(who, which) {
            access.deny.remove(reader);
            behind.map(|identity| access.deny.remove(&identity));
            self.enforces(which, "revoked by allow");
        }
    }

    pub(in crate::deliveries) fn opens_to(&mut self, who: Who, which: Which, access: Access) {
        if let Some(on_record) = self.owned(who, which) {
            *on_record = access;
            self.enforces(which, "revoked by access");
        }
    }

    /// Who may no longer read goes, and what it asked is answered.
    pub(super) fn enforces(&mut self, which: Which, how: &'static str) {
        let record = self.objects[&which].record.clone().expect("it was claimed");
        // What was forwarded and is left open by now is asked again.
        let refused = |model: &Self, one: &Asked| match model.decides(&record, one.by) {
            Some(let_in) => !let_in,
            None => one.of.is_some(),
        };
        let asked: Vec<u64> = self.asked.keys().copied().collect();
        for id in asked {
            let one = &self.asked[&id];
            if one.object == which && refused(self, one) {
                self.asked.remove(&id);
            }
        }
        let object = &self.objects[&which];
        let reading = |(who, numbers): (&Who, &BTreeSet<usize>)| {
            let who = *who;
            numbers
                .iter()
                .map(move |number| (who, *number))
                .collect::<Vec<_>>()
        };
        for by in object.routes.iter().flat_map(reading).collect::<Vec<_>>() {
            if self.decides(&record, by) != Some(true) {
                self.ends_route(by, which);
                self.withdraws(by.0, which);
                self.meets(how);
            }
        }
        for by in record.grants.into_keys() {
            let record = self.objects[&which].record.as_ref();
            if record.is_some_and(|record| self.decides(record, by) == Some(false)) {
                self.objects
                    .get_mut(&which)
                    .unwrap()
                    .record
                    .as_mut()
                    .unwrap()
                    .grants
                    .remove(&by);
            }
        }
    }
}
