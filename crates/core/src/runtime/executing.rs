//! What the readers of an object ask its application to do (protocol.md §6). Asked once: what was sent
//! and not answered before a cut may have been done, and is not said again.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::questions::{Asker, Question, Wish};
use super::requests::Purpose;
use super::{CallError, Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::identity::Identity;
use crate::limits::{
    COMMANDS_MAX, DATA_BYTES_MAX, METHOD_BYTES_MAX, QUESTION_BYTES_MAX, REQUEST_MS, UNANSWERED_MS,
    UNDER_WAY_MAX,
};
use crate::message::{Header, Type, decode};
use crate::object::{encoded_len, normalise, parse};
use crate::stream::WriteError;
use crate::time::Time;

/// A reader asks for something to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Executing {
    /// What [`Runtime::answer_execute`] and [`Runtime::hold`] know it by.
    pub number: u64,
    /// The hyperty that asks.
    pub hyperty: Address,
    /// Who that is, as the node states it; nobody for an anonymous session.
    pub identity: Option<Identity>,
    /// What is to be done.
    pub method: String,
    /// With what.
    pub params: Value,
}

/// Something that this runtime asked for, and has no answer to.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    seat: Seat,
    method: String,
    params: Value,
    asked: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    method: &'a str,
    params: &'a Value,
}

#[derive(Deserialize)]
struct Received<'a> {
    method: String,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    identity: Option<Identity>,
}

#[derive(Serialize)]
struct Done<'a> {
    code: u16,
    value: &'a Value,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

impl Runtime {
    /// Asks the application of an object that a hyperty observes to do something. The answer comes as
    /// [`Output::Answered`] with the number returned, 408 when none does within 15 s.
    ///
    /// # Errors
    /// [`CallError`]; nothing was sent then.
    pub fn execute(
        &mut self,
        seat: &Seat,
        method: &str,
        params: Value,
        now: Time,
    ) -> Result<u64, CallError> {
        if self.observer(seat).is_none() {
            return Err(CallError::NotObserved(seat.object.clone()));
        }
        if self.wanted.len() >= COMMANDS_MAX {
            return Err(CallError::Commands);
        }
        within("a method", METHOD_BYTES_MAX, Some(method.len()))?;
        let params = normalise(params).map_err(WriteError::from)?;
        let bytes = encoded_len(&params, QUESTION_BYTES_MAX);
        within("params", QUESTION_BYTES_MAX, bytes)?;
        self.calls += 1;
        let wanted = Wanted {
            seat: seat.clone(),
            method: method.to_owned(),
            params,
            asked: false,
        };
        self.wanted.insert(self.calls, wanted);
        let call = self.calls;
        self.timers
            .insert((now.plus_ms(REQUEST_MS), Timer::Execute(call)));
        self.begin(now);
        Ok(call)
    }

    /// Sends what was asked for and not sent, while few requests are under way.
    pub(super) fn send_wanted(&mut self, now: Time) {
        let due = self.wanted.iter().filter(|(_, one)| !one.asked);
        for call in due.map(|(call, _)| *call).collect::<Vec<_>>() {
            if self.requests.under_way() >= UNDER_WAY_MAX {
                return;
            }
            let url = self.wanted.get(&call).map(|one| &one.seat.object);
            if !url.is_some_and(|url| self.is_reached(url)) {
                continue;
            }
            let Some(one) = self.wanted.get_mut(&call) else {
                continue;
            };
            one.asked = true;
            let Wanted {
                seat,
                method,
                params,
                ..
            } = one.clone();
            let body = Asked {
                method: &method,
                params: &params,
            };
            let (from, to) = (seat.hyperty.as_str(), seat.object.as_str());
            self.request(Type::Execute, from, to, &body, Purpose::Execute(call), now);
        }
    }

    pub(super) fn executed(&mut self, call: u64, body: &str) {
        let value = |answer: Answer<'_>| match answer.value.map(|value| parse(value.get())) {
            None => Ok(Value::Null),
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(Refusal::malformed(format!("field `body.value`: {error}"))),
        };
        self.end_wanted(call, decode(body).and_then(value));
    }

    pub(super) fn end_wanted(&mut self, call: u64, result: Result<Value, Refusal>) {
        if self.wanted.remove(&call).is_some() {
            self.outbox.push_back(Output::Answered(call, result));
        }
    }

    /// What was never sent is given up; what was sent has a deadline of its own.
    pub(super) fn wanted_over(&mut self, call: u64) {
        if self.wanted.get(&call).is_some_and(|one| !one.asked) {
            let desc = "no session with the node in time";
            self.end_wanted(call, Err(Refusal::timed_out(desc)));
        }
    }

    /// The connection is gone, and the answers with it.
    pub(super) fn cut_wanted(&mut self) {
        let lost = |one: &Wanted| one.asked && !self.is_local(one.seat.object.as_str());
        let asked = self.wanted.iter().filter(|(_, one)| lost(one));
        for call in asked.map(|(call, _)| *call).collect::<Vec<_>>() {
            let desc = "the connection was lost before the answer: it may have been done or not";
            self.end_wanted(call, Err(Refusal::away(Retry::Never, desc)));
        }
    }

    /// There will be no session any more.
    pub(super) fn close_wanted(&mut self, refusal: &Refusal) {
        for call in self.wanted.keys().copied().collect::<Vec<_>>() {
            self.end_wanted(call, Err(refusal.clone()));
        }
    }

    /// A reader asks for something. That it has a route, the node has seen.
    pub(super) fn asked_to_do(
        &mut self,
        url: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        let body: Received<'_> = header.decode()?;
        let params = body.params.map_or("null", RawValue::get);
        if params.len() > QUESTION_BYTES_MAX || body.method.len() > METHOD_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "`params` has at most {QUESTION_BYTES_MAX} bytes, `method` {METHOD_BYTES_MAX}"
            )));
        }
        let malformed = |error| Refusal::malformed(format!("field `body.params`: {error}"));
        let params = parse(params).map_err(malformed)?;
        let hyperty = super::reporting::address(&header.from)?;
        let identity = self.stated(url, body.identity);
        let seat = self.heard_by(url, header, identity.as_ref())?;
        let number = self.put_question(Question {
            seat: seat.clone(),
            hyperty: hyperty.clone(),
            identity: identity.clone(),
            asker: Asker::of(header),
            wish: Wish::Execute,
            until: now.plus_ms(UNANSWERED_MS),
        })?;
        if let Some(number) = number {
            let executing = Executing {
                number,
                hyperty,
                identity,
                method: body.method,
                params,
            };
            self.outbox.push_back(Output::Executing(seat, executing));
        }
        Ok(())
    }

    /// The application's answer to [`Output::Executing`]: a value, or why not, with a 4xx or 5xx. Says
    /// whether the question was still open.
    ///
    /// # Errors
    /// [`WriteError`] when the value cannot be sent: who asked is told so.
    pub fn answer_execute(
        &mut self,
        number: u64,
        answer: Result<Value, Refusal>,
    ) -> Result<bool, WriteError> {
        let asked = self.questions.get(number);
        if !asked.is_some_and(|one| matches!(one.wish, Wish::Execute)) {
            return Ok(false);
        }
        let Some(question) = self.take_question(number) else {
            return Ok(false);
        };
        match answer.map(sendable) {
            Ok(Ok(value)) => {
                let done = Done {
                    code: 200,
                    value: &value,
                };
                self.answer_question(&question, &done);
            }
            Ok(Err(error)) => {
                let desc = format!("the application's answer cannot be sent: {error}");
                self.answer_question(&question, &Refusal::told(500, desc));
                return Err(error);
            }
            Err(refusal) => self.answer_question(&question, &refusal),
        }
        Ok(true)
    }
}

/// A value that fits into an answer.
fn sendable(value: Value) -> Result<Value, WriteError> {
    let value = normalise(value)?;
    within(
        "an answer",
        DATA_BYTES_MAX,
        encoded_len(&value, DATA_BYTES_MAX),
    )?;
    Ok(value)
}

fn within(what: &'static str, limit: usize, bytes: Option<usize>) -> Result<(), WriteError> {
    match bytes {
        Some(bytes) if bytes <= limit => Ok(()),
        _ => Err(WriteError::TooLarge { what, limit }),
    }
}
