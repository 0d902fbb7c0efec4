//! What rested goes on: by itself when its hyperty is there again, and asked for by what it is
//! (protocol.md §8).

use super::losing::lost_before;
use super::resting::Role;
use super::{CallError, Create, Runtime, Seat};
use crate::address::Address;
use crate::identity::Identity;
use crate::manager::Claim;
use crate::object::Metadata;
use crate::syncher::{ChildrenRows, Observer, Recovery, Reporter, State};
use crate::time::Time;

/// What rested when the runtime started.
#[derive(Debug)]
pub(super) enum Asleep {
    Reporter(Box<(Claim, Reporter)>),
    Observer(Box<Observer>),
}

impl Asleep {
    /// Its children are there again.
    ///
    /// # Errors
    /// What of the rows cannot be.
    pub(super) fn restore_children(
        &mut self,
        hyperty: &Address,
        rows: ChildrenRows,
    ) -> Result<(), String> {
        match self {
            Self::Reporter(one) => one.1.restore_children(hyperty, rows),
            Self::Observer(observer) => observer.restore_children(hyperty, rows),
        }
    }
}

/// One that went on by itself, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Whose it is.
    pub seat: Seat,
    /// What the hyperty is to the object.
    pub role: Role,
    /// How it is doing.
    pub state: State,
}

/// What is looked for among what rests: all that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// The hyperty that reports or observes it.
    pub hyperty: Option<Address>,
    /// What it is called.
    pub name: Option<String>,
    /// The schema that its data follows.
    pub schema: Option<String>,
    /// The hyperty that writes it.
    pub reporter: Option<Address>,
    /// Who writes it: of what this runtime reports, whom it is of.
    pub user: Option<Identity>,
    /// The object itself.
    pub url: Option<Address>,
}

impl Criteria {
    fn holds(&self, seat: &Seat, user: Option<&Identity>, metadata: Option<&Metadata>) -> bool {
        let is = |wanted: Option<&str>, field: fn(&Metadata) -> &Option<String>| {
            wanted.is_none_or(|wanted| {
                metadata.is_some_and(|said| field(said).as_deref() == Some(wanted))
            })
        };
        let named =
            |wanted: &Option<Address>, is: &Address| wanted.as_ref().is_none_or(|one| one == is);
        named(&self.hyperty, &seat.hyperty)
            && named(&self.url, &seat.object)
            && self.user.as_ref().is_none_or(|wanted| user == Some(wanted))
            && is(self.name.as_deref(), |said| &said.name)
            && is(self.schema.as_deref(), |said| &said.schema)
            && is(self.reporter.as_ref().map(Address::as_str), |said| {
                &said.reporter
            })
    }
}

impl Runtime {
    /// `hyperty` is there again: what it created and subscribed to with a store goes on, and is what it was when the
    /// runtime ended. To be called when its Syncher starts; says what there is, the first time.
    pub fn wake(&mut self, hyperty: &Address, now: Time) -> Vec<Resumed> {
        let claims = &self.manager.claims;
        // What another hyperty reports by now is not reported twice.
        let reported = |(seat, role): &(Seat, Role)| {
            *role == Role::Reporter && claims.contains_key(&seat.object)
        };
        let asleep = self.resting.asleep.keys();
        let its = asleep.filter(|one| one.0.hyperty == *hyperty && !reported(one));
        let mut resumed = Vec::new();
        for (seat, role) in its.cloned().collect::<Vec<_>>() {
            let Some(asleep) = self.resting.asleep.remove(&(seat.clone(), role)) else {
                continue;
            };
            self.resting.resumed.insert((seat.clone(), role));
            let state = match asleep {
                Asleep::Reporter(one) => self.reports_again(&seat, *one, now),
                Asleep::Observer(observer) => {
                    let state = observer.state.clone();
                    let syncher = self.synchers.entry(seat.hyperty.clone()).or_default();
                    syncher.observers.insert(seat.object.clone(), *observer);
                    self.children_wake(&seat);
                    state
                }
            };
            resumed.push(Resumed { seat, role, state });
        }
        if !resumed.is_empty() {
            self.begin(now);
        }
        resumed
    }

    fn reports_again(
        &mut self,
        seat: &Seat,
        (claim, mut reporter): (Claim, Reporter),
        now: Time,
    ) -> State {
        if claim.lost {
            return self.rests_lost(seat, reporter);
        }
        reporter.wake_children(&seat.hyperty, now);
        let (local, deleting) = (claim.local, reporter.deleting);
        self.manager.claims.insert(seat.object.clone(), claim);
        let syncher = self.synchers.entry(seat.hyperty.clone()).or_default();
        syncher.reporters.insert(seat.object.clone(), reporter);
        self.children_wake(seat);
        if local {
            self.begin_local(&seat.object, now);
        }
        if deleting {
            self.delete_again(seat, now);
        }
        self.written(&seat.object, now);
        State::Claiming
    }

    /// Another session had its object: it is claimed when it is created again, and not by itself.
    fn rests_lost(&mut self, seat: &Seat, mut reporter: Reporter) -> State {
        let state = State::Closed(lost_before(&seat.object));
        reporter.state = state.clone();
        reporter.settling = Recovery::Due;
        let syncher = self.synchers.entry(seat.hyperty.clone()).or_default();
        syncher.reporters.insert(seat.object.clone(), reporter);
        state
    }

    /// What of this runtime's rests and is as `criteria` say, among the hyperties that are there.
    #[must_use]
    pub fn resting(&self, criteria: &Criteria) -> Vec<Resumed> {
        let mut found = Vec::new();
        for (hyperty, syncher) in &self.synchers {
            let seat = |object: &Address| Seat {
                hyperty: hyperty.clone(),
                object: object.clone(),
            };
            for (url, one) in syncher
                .reporters
                .iter()
                .filter(|(_, one)| one.stream.rests())
            {
                let (seat, role, state) = (seat(url), Role::Reporter, one.state.clone());
                if criteria.holds(&seat, Some(&self.identity), Some(one.stream.metadata())) {
                    found.push(Resumed { seat, role, state });
                }
            }
            for (url, one) in syncher
                .observers
                .iter()
                .filter(|(_, one)| one.stream.rests())
            {
                let (seat, role, state) = (seat(url), Role::Observer, one.state.clone());
                if criteria.holds(&seat, one.stream.identity(), one.stream.metadata()) {
                    found.push(Resumed { seat, role, state });
                }
            }
        }
        found
    }

    /// Has an Observer's copy rest from now on: it is there when the runtime starts again, and goes on from where it was.
    /// One that does already goes on doing so.
    ///
    /// # Errors
    /// [`CallError::NoStore`], and [`CallError::NotObserved`].
    pub fn keep(&mut self, seat: &Seat) -> Result<(), CallError> {
        self.check_store()?;
        let not_observed = || CallError::NotObserved(seat.object.clone());
        let observer = self.observer_mut(seat).ok_or_else(not_observed)?;
        if !observer.stream.rests() {
            observer.rest();
            self.observer_rests(seat.clone());
            self.children_change(seat);
        }
        Ok(())
    }

    /// The application has no use for an Observer now. Says whether it goes on by itself, because its copy rests.
    pub fn release(&mut self, seat: &Seat) -> bool {
        let rests = self.observer(seat).is_some_and(|stream| stream.rests());
        if rests {
            self.resting.resumed.insert((seat.clone(), Role::Observer));
        }
        rests
    }

    /// Whether a copy went on by itself, and nobody has asked for it since.
    #[must_use]
    pub fn is_unasked(&self, seat: &Seat) -> bool {
        let copy = (seat.clone(), Role::Observer);
        self.resting.resumed.contains(&copy)
    }

    pub(super) fn check_store(&self) -> Result<(), CallError> {
        if self.resting.on {
            Ok(())
        } else {
            Err(CallError::NoStore)
        }
    }

    /// Whether what is to be created went on by itself, and so is there.
    pub(super) fn goes_on_already(&mut self, seat: &Seat, create: &Create) -> bool {
        let wanted = create.store && !create.discard;
        let one = (seat.clone(), Role::Reporter);
        let claim = self.manager.claims.get_mut(&seat.object);
        if let Some(claim) = claim.filter(|_| wanted && self.resting.resumed.contains(&one)) {
            claim.take |= create.take;
            // Who decides on readers is the application that runs now.
            claim.approve = create.approve;
            self.claim_changes(&seat.object);
            return self.resting.resumed.remove(&one);
        }
        false
    }

    /// The Reporter that this seat had, of an object that it lost, when it is to be claimed again as it rests: what it
    /// wrote beside the object is then told as rejected. Nothing else of the seat's rests.
    pub(super) fn take_up(&mut self, seat: &Seat, create: &Create) -> Option<Reporter> {
        let syncher = self.synchers.get_mut(&seat.hyperty)?;
        let lost = syncher.reporters.get(&seat.object)?;
        if create.store && !create.discard && lost.stream.rests() && !lost.deleting {
            let mut reporter = syncher.reporters.remove(&seat.object)?;
            reporter.state = State::Claiming;
            reporter.settling = Recovery::None;
            let safe = reporter.stands_as_here();
            self.writes_over(safe, None);
            return Some(reporter);
        }
        self.reporter_forgets(seat);
        None
    }
}
