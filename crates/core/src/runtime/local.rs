//! Objects that stay inside this runtime (protocol.md §5). Messages about one go round here and do as
//! they would by way of a node, of which the little that such an object needs is in this file.

use super::{Output, Runtime, Seat};
use crate::address::{Address, Resource, Target};
use crate::error::Refusal;
use crate::identity::Identity;
use crate::manager::Progress;
use crate::message::body::{ChildCommitted, OK};
use crate::message::{Header, Type, encode};
use crate::stream::Position;
use crate::syncher::{Observer, Recovery, State, Syncher};
use crate::time::Time;

impl Runtime {
    /// Whether `url` is an object of this runtime alone.
    pub(super) fn is_local(&self, url: &str) -> bool {
        let claim = self.manager.claims.get(url);
        claim.is_some_and(|claim| claim.local)
    }

    pub(super) fn is_about_local(&self, address: &str) -> bool {
        matches!(Target::of(address), Target::Object(url, _) if self.is_local(url))
    }

    /// Whether messages about `url` get anywhere now.
    pub(super) fn is_reached(&self, url: &Address) -> bool {
        self.session.is_live() || self.is_local(url.as_str())
    }

    /// Puts a message on its way, when nothing is to be stored before: to the node, or round where it is about an object of this runtime alone.
    pub(super) fn send(&mut self, from: &str, to: &str, text: String) {
        let Some(text) = self.unsaid.take(from, to, text) else {
            return;
        };
        if self.is_about_local(to) || self.is_about_local(from) {
            self.round.push_back(text);
        } else {
            self.outbox.push_back(Output::Send(text));
        }
    }

    /// Who says something about `url`: this runtime itself where nobody else can, else whom the node states.
    pub(super) fn stated(&self, url: &str, identity: Option<Identity>) -> Option<Identity> {
        if self.is_local(url) {
            Some(self.identity.clone())
        } else {
            identity
        }
    }

    /// The node has nothing to say of an object of this runtime alone. Says whether it did, and answers.
    pub(super) fn is_none_of_the_nodes(&mut self, header: &Header<'_>) -> bool {
        let about = self.is_about_local(&header.to) || self.is_about_local(&header.from);
        if about && header.is_request() && header.id != "null" {
            let refusal = Refusal::unknown(format!("nothing is at `{}`", header.to));
            let (from, to) = (&header.to, &header.from);
            let text = encode(header.id, Type::Response, from, to, &refusal);
            self.outbox.push_back(Output::Send(text));
        }
        about
    }

    /// An object of this runtime alone is there at once: nobody needs to agree.
    pub(super) fn begin_local(&mut self, url: &Address, now: Time) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        claim.progress = Progress::Held;
        if let Some(reporter) = self.reporter_mut(url) {
            let epoch = now.unix_ms().max(1);
            reporter.stream.claimed(epoch, Position::new(epoch, 0));
        }
        self.reporter_state(url, State::Live);
        for seat in self.seats_of(url) {
            self.ask_here(&seat);
        }
    }

    /// The history no longer holds what the copies lack: they take a snapshot.
    pub(super) fn begin_local_again(&mut self, url: &Address, now: Time) {
        if let Some(reporter) = self.reporter_mut(url)
            && let Some(position) = reporter.stream.position()
        {
            reporter.stream.resume(position);
        }
        for seat in self.seats_of(url) {
            self.ask_here(&seat);
        }
        self.send_due(now);
    }

    fn ask_here(&mut self, seat: &Seat) {
        if let Some(observer) = self.observer_mut(seat)
            && !matches!(observer.state, State::Closed(_))
        {
            observer.ask_anew();
            observer.recovery = Recovery::Due;
        }
    }

    /// A message has come round: what a node would do about it is done here.
    pub(super) fn comes_round(&mut self, text: &str, now: Time) {
        let Ok(header) = Header::peek(text) else {
            return;
        };
        let round = match (Target::of(&header.to), header.kind) {
            (Target::Object(url, Resource::Children(name)), kind) if kind != Type::Response => {
                self.goes_to_children(url, name, &header, now)
            }
            (Target::Object(url, Resource::Itself), Type::Execute) => {
                self.check_reader(url, &header.from).map(|()| false)
            }
            _ => Ok(false),
        };
        match round {
            Ok(true) => {}
            Ok(false) => self.dispatch(&header, now),
            Err(refusal) => self.respond(header.id, &header.to, &header.from, &refusal),
        }
        if header.kind == Type::Delete && header.to.ends_with("/changes") {
            self.respond(header.id, &header.to, &header.from, &OK);
        }
    }

    /// Who neither reports nor observes an object has nothing to say there.
    fn check_reader(&self, url: &str, hyperty: &str) -> Result<(), Refusal> {
        let reports = |syncher: &Syncher| syncher.reporters.contains_key(url);
        let serves = |syncher: &Syncher| {
            let observer = syncher.observers.get(url);
            observer.is_some_and(Observer::is_served)
        };
        match self.synchers.get(hyperty) {
            Some(syncher) if reports(syncher) || serves(syncher) => Ok(()),
            _ => Err(Refusal::forbidden(format!(
                "only who observes or reports `{url}` may say this: subscribe first"
            ))),
        }
    }

    /// A commit to children goes to the Reporter first, and what that takes to everybody. Says whether that
    /// was all.
    fn goes_to_children(
        &mut self,
        url: &str,
        name: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Result<bool, Refusal> {
        self.check_reader(url, &header.from)?;
        if header.kind == Type::Event {
            return Ok(false);
        }
        let claim = self.manager.claims.get(url);
        let reports = claim.is_some_and(|claim| *header.from == *claim.reporter.as_str());
        if !reports {
            self.child_asked(url, name, header, now)?;
        }
        let position = self.child_comes(url, name, header, now);
        if let (true, Some(position)) = (reports, position) {
            let body = ChildCommitted {
                code: 200,
                position,
            };
            self.respond(header.id, &header.to, &header.from, &body);
        }
        Ok(true)
    }
}
