//! Invitations (protocol.md §5): whoever is invited is let in first, and then told. Both sides of it.

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use super::commands::{Commanding, What};
use super::questions::{Asker, Question, Wish};
use super::requests::Purpose;
use super::{CallError, Output, Runtime, Seat, Timer};
use crate::address::{Address, Resource, Target};
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::{HELD_MS, QUESTION_BYTES_MAX, UNANSWERED_MS};
use crate::message::body::OK;
use crate::message::{Header, Type};
use crate::object::Metadata;
use crate::time::Time;

/// Somebody asks a hyperty of this runtime, or the person behind it, to observe an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// What [`Runtime::answer_invitation`] and [`Runtime::hold`] know it by.
    pub number: u64,
    /// The object.
    pub object: Address,
    /// The hyperty that invites, as it says itself.
    pub from: Address,
    /// Who that is, as the node states it.
    pub identity: Option<Identity>,
    /// The object's schema.
    pub schema: Option<String>,
    /// The object's name for people.
    pub name: Option<String>,
    /// The names of the object's collections of children.
    pub children: Vec<String>,
    /// It is to be theirs: they own it from now on, and are to claim it (§8).
    pub delegate: bool,
}

#[derive(Serialize)]
struct Sent<'a> {
    source: &'a Address,
    schema: &'a str,
    value: &'a Metadata,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<&'a String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delegate: bool,
}

#[derive(Deserialize)]
struct Received {
    source: Address,
    schema: Option<String>,
    value: Option<Named>,
    #[serde(default)]
    children: Vec<String>,
    identity: Option<Identity>,
    #[serde(default)]
    delegate: bool,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

/// How an invitation is said again that a cut interrupted. The node may have started anew, and whoever is invited, and
/// may have heard of it already, be there later than this side: that nobody is there is no answer then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    /// Not before.
    at: Time,
    /// From then on whoever is not there does not come.
    until: Time,
    backoff: Backoff,
}

impl Commanding {
    /// Whether it is to be said.
    pub(super) fn is_due(&self, now: Time) -> bool {
        !self.asked && self.again.is_none_or(|again| again.at <= now)
    }

    /// The connection is gone: an invitation that was not answered is said again, for as long as it may be thought about.
    pub(super) fn is_cut(&mut self, now: Time) {
        if matches!(self.what, What::Invite(..)) {
            let until = now.plus_ms(HELD_MS);
            self.again = Some(Again {
                at: now,
                until: self.again.map_or(until, |again| again.until),
                backoff: Backoff::default(),
            });
        }
    }
}

impl Runtime {
    /// Asks somebody to observe an object: `to` is the address of a hyperty, or an identity. Its access
    /// lets the invited in from now on. The answer comes as [`Output::Done`] with the number returned: yes,
    /// or why not; it may take a day.
    ///
    /// # Errors
    /// As [`Runtime::kick`]; [`CallError::Denied`] for who was put out.
    pub fn invite(&mut self, seat: &Seat, to: &Address, now: Time) -> Result<u64, CallError> {
        self.reporting_to_others(seat)?;
        let url = &seat.object;
        let access = self.manager.claims.get(url).map(|claim| &claim.access);
        if access.is_some_and(|access| access.deny.iter().any(|one| one == to.as_str())) {
            return Err(CallError::Denied(to.clone()));
        }
        self.command_invitation(seat, to, now)
    }

    /// Tells whoever is invited, when it is let in at the node.
    pub(super) fn send_invitation(
        &mut self,
        call: u64,
        url: &Address,
        to: &Address,
        delegate: bool,
        now: Time,
    ) {
        let claim = self.manager.claims.get(url);
        let stream = claim.and_then(|claim| {
            let syncher = self.synchers.get(&claim.reporter)?;
            Some(&syncher.reporters.get(url)?.stream)
        });
        let (Some(claim), Some(stream)) = (claim, stream) else {
            return;
        };
        let body = serde_json::to_value(Sent {
            source: &claim.reporter,
            schema: &claim.schema,
            value: stream.metadata(),
            children: claim.children.keys().collect(),
            delegate,
        });
        let (from, purpose) = (url.resource("subscription"), Purpose::Invite(call));
        let body = body.unwrap_or_default();
        self.request(Type::Create, &from, to.as_str(), &body, purpose, now);
    }

    /// How many are invited and have not answered.
    pub(super) fn inviting(&self) -> usize {
        let asked = |one: &&Commanding| one.asked && matches!(one.what, What::Invite(_, true, _));
        self.commands.values().filter(asked).count()
    }

    /// Somebody who was invited has answered, cannot, or is not there.
    pub(super) fn invitation_answered(
        &mut self,
        call: u64,
        result: Result<(), Refusal>,
        now: Time,
    ) {
        let absent = result
            .as_ref()
            .err()
            .filter(|one| matches!(one.code, 404 | 503));
        let retry = absent.map(|refusal| refusal.retry);
        if !retry.is_some_and(|retry| self.invites_again(call, retry, now)) {
            self.invitation_ends(call, result, now);
        }
        self.invites_next(now);
    }

    /// Whoever is invited is not there: it is invited again, when a cut came between. Says whether it is.
    fn invites_again(&mut self, call: u64, retry: Retry, now: Time) -> bool {
        let one = self.commands.get_mut(&call);
        let Some((one, mut again)) = one.and_then(|one| one.again.map(|again| (one, again))) else {
            return false;
        };
        if again.until <= now {
            return false;
        }
        again.at = now.plus_ms(again.backoff.next_ms(retry, &mut self.entropy));
        (one.asked, one.again) = (false, Some(again));
        self.timers
            .insert((again.at, Timer::Invite(one.url.clone())));
        true
    }

    fn invitation_ends(&mut self, call: u64, result: Result<(), Refusal>, now: Time) {
        if let Some(one) = self.commands.remove(&call) {
            if matches!(one.what, What::Invite(_, _, Some(_))) && result.is_err() {
                self.not_handed_over(&one.url, now);
            }
            self.outbox.push_back(Output::Done(call, result));
        }
    }

    /// There may be room for another invitation.
    fn invites_next(&mut self, now: Time) {
        let waits =
            |one: &&Commanding| one.is_due(now) && matches!(one.what, What::Invite(_, true, _));
        let next = self.commands.values().find(waits);
        if let Some(url) = next.map(|one| one.url.clone()) {
            self.send_commands(&url, now);
        }
    }

    /// Somebody invites: the application is asked. That it has been, [`Runtime::hold`] tells.
    pub(super) fn invited(&mut self, header: &Header<'_>, now: Time) -> Result<(), Refusal> {
        let Target::Object(url, Resource::Subscription) = Target::of(&header.from) else {
            return Err(Refusal::unknown(
                "a hyperty is invited from an object's /subscription, and nothing else is made here",
            ));
        };
        if header.body.len() > QUESTION_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "an invitation has at most {QUESTION_BYTES_MAX} bytes"
            )));
        }
        let body: Received = header.decode()?;
        let address = |text| super::reporting::address(text);
        let seat = Seat {
            hyperty: self.hyperty_at(&header.to)?,
            object: address(url)?,
        };
        let number = self.put_question(Question {
            seat: seat.clone(),
            hyperty: body.source.clone(),
            identity: body.identity.clone(),
            asker: Asker::of(header),
            wish: Wish::Come(body.delegate),
            until: now.plus_ms(UNANSWERED_MS),
        })?;
        if let Some(number) = number {
            let invitation = Invitation {
                number,
                object: seat.object,
                from: body.source,
                identity: body.identity,
                schema: body.schema,
                name: body.value.and_then(|value| value.name),
                children: body.children,
                delegate: body.delegate,
            };
            self.outbox
                .push_back(Output::Invited(seat.hyperty, invitation));
        }
        Ok(())
    }

    /// The hyperty that `to` names; this runtime itself, where it names it or its person.
    fn hyperty_at(&self, to: &str) -> Result<Address, Refusal> {
        let own = self.url();
        if to == self.identity.as_str() || to == own.resource("sm") {
            return Ok(own.clone());
        }
        super::reporting::address(to)
    }

    /// The application's answer to [`Output::Invited`]: it is coming, or why not, with a 4xx. Says whether
    /// the question was still open.
    pub fn answer_invitation(&mut self, number: u64, answer: Result<(), Refusal>) -> bool {
        let asked = self.questions.get(number);
        if !asked.is_some_and(|one| matches!(one.wish, Wish::Come(_))) {
            return false;
        }
        let Some(question) = self.take_question(number) else {
            return false;
        };
        match answer {
            Ok(()) => self.answer_question(&question, &OK),
            Err(refusal) => self.answer_question(&question, &refusal),
        }
        true
    }
}
