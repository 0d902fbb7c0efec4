//! What the session carries of children (protocol.md §9): commits of others, decided on where this
//! runtime reports and taken where it observes; pages, and events.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::requests::Purpose;
use super::{Output, Runtime, Seat};
use crate::address::Address;
use crate::children::{
    ChildCommit, ChildrenChanged, ChildrenWanted, Collection, NotTaken, Reported,
};
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::UNDER_WAY_MAX;
use crate::message::body::{ChildCommitted, Subscribe};
use crate::message::{Header, Type};
use crate::object::parse;
use crate::stream::Position;
use crate::syncher::{Next, Recovery, State};
use crate::time::Time;

/// What somebody said to all who have an object (protocol.md §6): told once, kept nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The hyperty that said it.
    pub from: Address,
    /// Who that is, as the node states it.
    pub identity: Option<Identity>,
    /// What it said.
    pub value: Value,
}

/// Who sent something, as the node states it.
#[derive(Deserialize)]
struct Sender {
    identity: Option<Identity>,
}

#[derive(Deserialize)]
struct EventBody<'a> {
    identity: Option<Identity>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

impl Runtime {
    /// The children of this name of an object that a hyperty reports or observes; none while it is not
    /// known that the object has such.
    #[must_use]
    pub fn children(&self, seat: &Seat, name: &str) -> Option<&Collection> {
        let syncher = self.synchers.get(&seat.hyperty)?;
        match syncher.reporters.get(&seat.object) {
            Some(reporter) => Some(&reporter.children.get(name)?.collection),
            None => syncher.observers.get(&seat.object)?.children.get(name),
        }
    }

    /// A commit to the children of `url`: asked of this runtime when it has an id, else told.
    pub(super) fn child(
        &mut self,
        url: &str,
        name: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        if header.id != "null" {
            return self.child_asked(url, name, header, now);
        }
        self.child_comes(url, name, header, now);
        Ok(())
    }

    /// A commit of somebody to children, for whoever observes the object here, and for who reports it and follows. Says where its author's
    /// stream stands.
    pub(super) fn child_comes(
        &mut self,
        url: &str,
        name: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Option<Position> {
        // One that cannot be read is missed when the next of its author comes.
        let commit = self.child_commit(url, header).ok()?;
        let url = Address::parse(url).ok()?;
        self.child_taken(&url, name, &commit, now);
        for seat in self.seats_of(&url) {
            self.observe(&seat, now, |observer| {
                observer.child_commit(name, &commit);
                (vec![], Next::Rest)
            });
        }
        Some(commit.position)
    }

    fn child_commit(&self, url: &str, header: &Header<'_>) -> Result<ChildCommit, Refusal> {
        let commit = ChildCommit::decode(header.kind, &header.from, header.body)?;
        let identity = self.stated(url, commit.identity.clone());
        Ok(ChildCommit { identity, ..commit })
    }

    /// Somebody whom the node let in writes a child of an object that this runtime reports.
    pub(super) fn child_asked(
        &mut self,
        url: &str,
        name: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        let Sender { identity } = header.decode()?;
        let identity = self.stated(url, identity);
        let seat = self.heard_by(url, header, identity.as_ref())?;
        if *header.from == *seat.hyperty.as_str() {
            return Err(Refusal::forbidden(
                "what a Reporter writes is not asked of it",
            ));
        }
        let commit = self.child_commit(url, header);
        if self
            .reporter_mut(&seat.object)
            .is_some_and(|one| one.follows())
        {
            let desc = format!("the node takes the children of `{url}`, and not their Reporter");
            return Err(Refusal::away(Retry::Now, desc));
        }
        let Some(reported) = self.reported(&seat, name) else {
            return Err(Refusal::unknown(format!(
                "`{url}` has no children `{name}`"
            )));
        };
        let commit = commit?;
        let step = reported.take(&commit).map_err(NotTaken::into_refusal)?;
        let body = ChildCommitted {
            code: 200,
            position: commit.position,
        };
        self.children_change_first(&seat);
        self.respond(header.id, &header.to, &header.from, &body);
        self.written(&seat.object, now);
        self.children_changed(&seat, step.map(|step| (name.to_owned(), step)));
        self.prune(&seat, name);
        self.send_children(now);
        Ok(())
    }

    pub(super) fn reported(&mut self, seat: &Seat, name: &str) -> Option<&mut Reported> {
        let syncher = self.synchers.get_mut(&seat.hyperty)?;
        let reporter = syncher.reporters.get_mut(&seat.object)?;
        reporter.children.get_mut(name)
    }

    /// Tells the driver of steps that collections made.
    pub(super) fn children_changed(
        &mut self,
        seat: &Seat,
        steps: impl IntoIterator<Item = (String, ChildrenChanged)>,
    ) {
        for (name, step) in steps {
            self.files_changed(seat, &name, &step);
            let told = Output::Children(seat.clone(), name, step);
            self.outbox.push_back(told);
        }
    }

    /// Somebody said something to all who have the object.
    pub(super) fn event(
        &mut self,
        url: &str,
        name: &str,
        header: &Header<'_>,
    ) -> Result<(), Refusal> {
        let body: EventBody<'_> = header.decode()?;
        let malformed = |error: &dyn std::error::Error| Refusal::malformed(error.to_string());
        let value = parse(body.value.map_or("null", RawValue::get));
        let event = Event {
            from: Address::parse(&header.from).map_err(|error| malformed(&error))?,
            identity: self.stated(url, body.identity),
            value: value.map_err(|error| malformed(&error))?,
        };
        let url = Address::parse(url).map_err(|error| malformed(&error))?;
        let mut seats = self.seats_of(&url);
        seats.retain(|seat| {
            let observer = self.observer_mut(seat);
            observer.is_some_and(|observer| observer.is_served())
        });
        if let Some(claim) = self.manager.claims.get(&url)
            && claim.reporter != event.from
            && claim.children.contains_key(name)
        {
            let hyperty = claim.reporter.clone();
            seats.push(Seat {
                hyperty,
                object: url,
            });
        }
        let told = seats
            .into_iter()
            .map(|seat| Output::Event(seat, name.to_owned(), event.clone()));
        self.outbox.extend(told);
        Ok(())
    }

    // Pages.

    /// An Observer took something: it reads on where pages are missing, and what it writes is sent when
    /// that may be.
    pub(super) fn read_on_and_write(&mut self, seat: &Seat, now: Time) {
        let Some(observer) = self.observer_mut(seat) else {
            return;
        };
        if let State::Closed(refusal) = &observer.state {
            let refusal = refusal.clone();
            return self.writes_end(seat, &refusal);
        }
        if observer.reads_on() {
            self.paging.insert(seat.clone());
        }
        self.send_children(now);
    }

    pub(super) fn send_pages(&mut self, now: Time) {
        while self.requests.under_way() < UNDER_WAY_MAX
            && let Some(seat) = self.paging.pop_first()
        {
            if !self.is_reached(&seat.object) {
                // It asks for everything anew when it is.
                continue;
            }
            let reads_on = self.observer_mut(&seat).filter(|one| one.reads_on());
            let page = reads_on.and_then(|observer| observer.children.next_page());
            let Some((name, after)) = page else {
                continue;
            };
            let body = Subscribe {
                source: Some(seat.hyperty.clone()),
                children: ChildrenWanted::Page { name, after },
                ..Subscribe::default()
            };
            let (from, to) = (seat.hyperty.as_str(), seat.object.as_str());
            let purpose = Purpose::Page(seat.clone());
            let id = self.request(Type::Read, from, to, &body, purpose, now);
            if let Some(observer) = self.observer_mut(&seat) {
                observer.children.asked = Some(id);
            }
        }
    }

    pub(super) fn page(&mut self, seat: &Seat, id: u64, body: &str, now: Time) {
        if self.awaits_page(seat, id) {
            self.observe(seat, now, |observer| (vec![], observer.page(body)));
        }
    }

    pub(super) fn page_refused(&mut self, seat: &Seat, id: u64, refusal: &Refusal, now: Time) {
        if self.awaits_page(seat, id) {
            self.observe(seat, now, |observer| {
                observer.children.asked = None;
                (vec![], Next::Retry(refusal.retry))
            });
        }
    }

    fn awaits_page(&mut self, seat: &Seat, id: u64) -> bool {
        let observer = self.observer_mut(seat);
        observer.is_some_and(|observer| {
            observer.children.asked == Some(id) && observer.recovery == Recovery::None
        })
    }
}
