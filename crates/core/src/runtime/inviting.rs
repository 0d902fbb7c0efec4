//! Invitations (protocol.md §5): whoever is invited is let in first, and then told. Both sides of it.

use serde::{Deserialize, Serialize};

use super::questions::{Asker, Question, Wish};
use super::requests::Purpose;
use super::{CallError, Output, Runtime, Seat};
use crate::address::{Address, Resource, Target};
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{QUESTION_BYTES_MAX, UNANSWERED_MS};
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
