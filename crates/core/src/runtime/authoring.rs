//! Sends what this runtime's hyperties write to children, in turn, and again until it is safe
//! (protocol.md §9).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::requests::Purpose;
use super::{ChildError, Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::children::{
    Answer, Authoring, ChildCommit, ChildrenChanged, Collection, NotTaken, Ready, Reported, Unsafe,
    Write,
};
use crate::error::{Reason, Refusal, Retry};
use crate::identity::Identity;
use crate::limits::UNDER_WAY_MAX;
use crate::stream::Position;
use crate::syncher::{State, Syncher};
use crate::time::Time;

/// Where an author writes: its stream, and the collection that this is of.
pub(super) struct Desk<'a> {
    pub(super) authoring: &'a mut Authoring,
    place: Place<'a>,
}

enum Place<'a> {
    /// The author is the Reporter: what it sends is taken here in the same step.
    Reports(&'a mut Reported),
    /// The author is the Reporter, and the node takes what it sends.
    Follows(&'a Reported),
    Observes(&'a Collection),
}

impl Place<'_> {
    const fn here(&self) -> &Collection {
        match self {
            Self::Reports(reported) => &reported.collection,
            Self::Follows(reported) => &reported.collection,
            Self::Observes(here) => here,
        }
    }
}

impl Desk<'_> {
    /// Whether the author is the object's Reporter.
    pub(super) const fn reports(&self) -> bool {
        !matches!(self.place, Place::Observes(_))
    }

    /// Whether what is sent is taken here.
    const fn takes(&self) -> bool {
        matches!(self.place, Place::Reports(_))
    }

    pub(super) const fn here(&self) -> &Collection {
        self.place.here()
    }

    /// Lets a write wait for its turn.
    pub(super) fn push(
        &mut self,
        call: u64,
        write: Write,
        bytes: usize,
        value: Option<Arc<Value>>,
    ) {
        let here = self.place.here();
        self.authoring.push(call, write, bytes, value, here);
    }

    /// Whether the next commit can be sent; none when there is none that may be.
    fn ready(&self, now: Time) -> Option<Ready> {
        let (write, sent) = self.authoring.due(now)?;
        Some(match &self.place {
            Place::Reports(reported) if !sent => reported.ready(write),
            // A child of its own that it deletes may not have come back yet.
            Place::Follows(reported) if !sent && !matches!(write, Write::Delete(_)) => {
                reported.ready(write)
            }
            _ => Ready::Yes,
        })
    }

    /// Ends the next write: there is nothing left to do.
    fn skip(&mut self) -> Option<Unsafe> {
        self.authoring.skip(self.place.here())
    }

    /// The next commit, dated so when it makes a child.
    fn send(&mut self, dated: Time) -> Option<ChildCommit> {
        self.authoring.send(|write| match &self.place {
            Place::Reports(reported) => reported.act(write, dated),
            Place::Follows(reported) => reported.act(write, dated),
            Place::Observes(_) => write.act(dated),
        })
    }

    /// A Reporter takes its own commit in the step in which it sends it, so that its answers to readers
    /// have their place before or after.
    fn take(
        &mut self,
        commit: &ChildCommit,
        own: &Identity,
    ) -> Result<Option<ChildrenChanged>, Refusal> {
        let Place::Reports(reported) = &mut self.place else {
            return Ok(None);
        };
        let commit = ChildCommit {
            identity: Some(own.clone()),
            ..commit.clone()
        };
        reported.take(&commit).map_err(NotTaken::into_refusal)
    }

    /// It does not: as if it had not been sent.
    fn take_back(&mut self, position: Position) -> Option<Unsafe> {
        self.authoring.take_back(position, self.place.here())
    }
}

/// The desk of `seat` at the children of this name. A hyperty that reports an object writes as that,
/// also when it observes it.
pub(super) fn desk<'a>(
    synchers: &'a mut BTreeMap<Address, Syncher>,
    seat: &Seat,
    name: &str,
    now: Time,
) -> Result<Desk<'a>, ChildError> {
    let not_here = || ChildError::NotHere(seat.object.clone());
    let unknown = || ChildError::UnknownName(name.to_owned());
    let syncher = synchers.get_mut(&seat.hyperty).ok_or_else(not_here)?;
    if let Some(reporter) = syncher.reporters.get_mut(&seat.object) {
        if let State::Closed(refusal) = &reporter.state {
            return Err(ChildError::Closed(refusal.clone()));
        }
        if reporter.deleting {
            let gone = Refusal::gone("the object is being deleted");
            return Err(ChildError::Closed(gone));
        }
        let follows = reporter.follows();
        let reported = reporter.children.get_mut(name).ok_or_else(unknown)?;
        return Ok(Desk {
            authoring: reporter.authoring.get_mut(name).ok_or_else(unknown)?,
            place: if follows {
                Place::Follows(reported)
            } else {
                Place::Reports(reported)
            },
        });
    }
    let observer = syncher
        .observers
        .get_mut(&seat.object)
        .ok_or_else(not_here)?;
    if let State::Closed(refusal) = &observer.state {
        return Err(ChildError::Closed(refusal.clone()));
    }
    if observer.stream.position().is_none() {
        return Err(ChildError::NotYet(seat.object.clone()));
    }
    let here = observer.children.get(name).ok_or_else(unknown)?;
    let yours = observer.children.yours.get(name).copied();
    let rests = observer.stream.rests();
    let begin = || {
        let mut authoring = Authoring::new(seat.hyperty.clone(), yours, now);
        if rests {
            authoring.rests();
        }
        authoring
    };
    Ok(Desk {
        authoring: observer
            .authoring
            .entry(name.to_owned())
            .or_insert_with(begin),
        place: Place::Observes(here),
    })
}

/// Where commits and events go that are about the children of this name.
pub(super) fn children_of(seat: &Seat, name: &str) -> String {
    seat.object.resource(&format!("children/{name}"))
}

impl Runtime {
    /// Sends what is due about children: pages that are missing, commits, one of each author in turn, and
    /// what is missing of files.
    pub(super) fn send_children(&mut self, now: Time) {
        self.send_pages(now);
        self.send_regains(now);
        let mut idle = 0;
        while self.requests.under_way() < UNDER_WAY_MAX
            && idle < self.writing.len()
            && let Some((seat, name)) = self.next_writing()
        {
            let sent = self.may_write(&seat) && self.send_child(&seat, &name, now);
            idle = if sent { 0 } else { idle + 1 };
            self.wrote = Some((seat, name));
        }
        self.send_fetches(now);
    }

    /// Authors take turns: one that writes faster than it is answered holds none up.
    fn next_writing(&self) -> Option<(Seat, String)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.wrote.as_ref().and_then(|wrote| {
            let range = (Excluded(wrote), Unbounded);
            self.writing.range::<(Seat, String), _>(range).next()
        });
        after.or_else(|| self.writing.first()).cloned()
    }

    /// Whether the node lets `seat` write, as far as is known.
    pub(super) fn may_write(&self, seat: &Seat) -> bool {
        let Some(syncher) = self.synchers.get(&seat.hyperty) else {
            return false;
        };
        self.is_reached(&seat.object)
            && match syncher.reporters.get(&seat.object) {
                Some(reporter) => reporter.state == State::Live,
                None => syncher
                    .observers
                    .get(&seat.object)
                    .is_some_and(crate::syncher::Observer::may_write),
            }
    }

    /// Sends the next commit of `seat` to the children of this name; says whether there was one.
    fn send_child(&mut self, seat: &Seat, name: &str, now: Time) -> bool {
        let Ok(mut desk) = desk(&mut self.synchers, seat, name, now) else {
            self.writing.remove(&(seat.clone(), name.to_owned()));
            return false;
        };
        match desk.ready(now) {
            None if desk.authoring.is_idle() => {
                self.writing.remove(&(seat.clone(), name.to_owned()));
                return false;
            }
            None | Some(Ready::Wait) => return false,
            Some(Ready::Yes) => {}
            Some(Ready::Over) => {
                let skipped = desk.skip();
                self.writes_over(skipped, None);
                self.children_change(seat);
                return true;
            }
        }
        let dated = now.unix_ms().saturating_add_signed(self.clock_ahead_ms);
        let Some(commit) = desk.send(Time::from_unix_ms(dated)) else {
            return false;
        };
        let step = match desk.take(&commit, &self.identity) {
            Ok(step) => step,
            Err(refusal) => {
                let over = desk.take_back(commit.position);
                self.writes_over(over, Some(&refusal));
                self.children_change(seat);
                return true;
            }
        };
        let takes = desk.takes();
        // Another life would write its place anew.
        self.children_change_first(seat);
        let (from, to) = (seat.hyperty.as_str(), children_of(seat, name));
        let purpose = Purpose::Child(seat.clone(), name.to_owned(), commit.position);
        self.request(commit.kind(), from, &to, &commit.encode(), purpose, now);
        if takes {
            self.written(&seat.object, now);
            self.children_changed(seat, step.map(|step| (name.to_owned(), step)));
            self.prune(seat, name);
        }
        true
    }

    /// The answer to the commit that `seat` sent at `at`: that it is safe, or a refusal.
    pub(super) fn child_answered(
        &mut self,
        seat: &Seat,
        name: &str,
        at: Position,
        refusal: Option<&Refusal>,
        now: Time,
    ) {
        let may_write = self.may_write(seat);
        let Ok(mut desk) = desk(&mut self.synchers, seat, name, now) else {
            return;
        };
        let answer = refusal.map_or(Answer::Safe, |refusal| {
            meaning(refusal, &desk, at, may_write)
        });
        let Desk { authoring, place } = &mut desk;
        let here = place.here();
        let over = authoring.answered(at, answer, here);
        let (safe, later) = authoring.drained(&mut self.entropy, now);
        authoring.settle(here);
        if let Answer::Dated(node) = answer {
            let ahead = i128::from(node.unix_ms()) - i128::from(now.unix_ms());
            self.clock_ahead_ms = i64::try_from(ahead).unwrap_or_default();
        }
        let timer = |at| (at, Timer::Writing(seat.clone(), name.to_owned()));
        self.timers.extend(later.map(timer));
        self.writes_over(over, refusal);
        self.writes_over(safe, None);
        self.prune(seat, name);
        self.children_change(seat);
    }

    /// What was written has come to an end: it is safe, or refused for good.
    pub(super) fn writes_over(
        &mut self,
        over: impl IntoIterator<Item = Unsafe>,
        refusal: Option<&Refusal>,
    ) {
        for one in over {
            let Some(call) = one.call else { continue };
            // Whoever deletes what is gone has what it wants.
            let deleted =
                |refusal: &&Refusal| refusal.code == 410 && matches!(one.write, Write::Delete(_));
            let result = match refusal {
                Some(refusal) if !deleted(&refusal) => Err(refusal.clone()),
                _ => Ok(()),
            };
            self.outbox.push_back(Output::Done(call, result));
        }
    }

    /// The Reporter is heard again: what it could not be asked is asked now.
    pub(super) fn write_again(&mut self, seat: &Seat, now: Time) {
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        for authoring in observer.authoring.values_mut() {
            authoring.until = None;
        }
        self.send_children(now);
    }

    /// It is over with an Observer: nothing that it wrote will become safe.
    pub(super) fn writes_end(&mut self, seat: &Seat, refusal: &Refusal) {
        self.fetches_end(seat, refusal);
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        let mut authoring = std::mem::take(&mut observer.authoring);
        self.abandon(authoring.values_mut(), refusal);
        if let Some(observer) = self.observer_mut(seat) {
            observer.authoring = authoring;
        }
        self.children_change(seat);
    }

    /// It is over with a Reporter: nothing that it wrote to children will become safe.
    pub(super) fn reporters_writes_end(&mut self, url: &Address, refusal: &Refusal) {
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let mut authoring = std::mem::take(&mut reporter.authoring);
        self.abandon(authoring.values_mut(), refusal);
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.authoring = authoring;
        }
        if let Some(seat) = self.seat_of_reporter(url) {
            self.children_change(&seat);
            self.fetches_end(&seat, refusal);
        }
        self.keeps_no_more(url);
    }

    pub(super) fn abandon<'a>(
        &mut self,
        authoring: impl Iterator<Item = &'a mut Authoring>,
        refusal: &Refusal,
    ) {
        for one in authoring {
            if self.session.ended().is_some() && one.is_resting() {
                // It is only this life that ends: what rests is written in another.
                let calls = one.part().into_iter();
                let told = calls.map(|call| Output::Done(call, Err(refusal.clone())));
                self.outbox.extend(told);
                continue;
            }
            let over = one.abandon();
            self.writes_over(over, Some(refusal));
        }
    }
}

/// What a refusal of the commit at `at` means for it.
fn meaning(refusal: &Refusal, desk: &Desk<'_>, at: Position, may_write: bool) -> Answer {
    let time = refusal.time.as_deref().and_then(Time::parse_rfc3339);
    match (refusal.code, refusal.position.as_deref(), time) {
        (409, Some(position), _) if refusal.reason == Some(Reason::Gap) && !desk.takes() => {
            Answer::Gap(*position)
        }
        (400, _, Some(time)) if !desk.takes() && desk.authoring.may_date(at) => Answer::Dated(time),
        (408 | 429 | 500 | 502.., ..) => Answer::Later(refusal.retry),
        // A Reporter decides on its own commits; a reader's grant is being decided on.
        (code, ..) if desk.takes() || code == 403 && !may_write => Answer::Later(Retry::Now),
        _ => Answer::Refused,
    }
}
