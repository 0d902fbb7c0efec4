//! Requests that this runtime has sent and that are not answered: each ends once, by its answer, by
//! the session's end, or by its deadline (protocol.md §2).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::limits::REQUEST_MS;
use crate::message::{Header, Type, encode};
use crate::stream::Position;
use crate::time::Time;

/// Why a request was sent, and so what its answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `open` or `re-open`.
    Open,
    /// Is the node there?
    Alive,
    /// Has the node everything that was sent before?
    Delivered(u64),
    /// A claim of this object.
    Claim(Address),
    /// What this object is, before it is claimed again.
    CatchUp(Address),
    /// What an object is that another session has taken from this hyperty.
    Settle(Seat),
    /// A hyperty's `subscribe` to an object.
    Subscribe(Seat),
    /// A `subscribe` of this hyperty to many objects; each is a request of its own too.
    Batch(Address),
    /// A `read`, by the number its caller knows it by.
    Read(u64),
    /// A command, by the number its caller knows it by.
    Command(u64),
    /// An owner's command about another's object, by the number its caller knows it by.
    Own(u64),
    /// An invitation, by the number its caller knows it by.
    Invite(u64),
    /// Something to be done by another application, by the number its caller knows it by.
    Execute(u64),
    /// A page of children of an object that a hyperty observes.
    Page(Seat),
    /// Children of this object that its Reporter lacks.
    Regain(Address),
    /// A commit of a hyperty to the children of this name, by its place in the hyperty's stream.
    Child(Seat, String, Position),
    /// A chunk of a file, by the number its caller knows that by.
    Chunk(u64, u64),
    /// An `unsubscribe`: whatever the answer is, it is over.
    Unsubscribe(Seat),
}

#[derive(Debug)]
struct Outstanding {
    /// The address asked, which the answer must be from.
    asked: String,
    purpose: Purpose,
    deadline: Time,
    /// It was answered 1xx: somebody will answer when there is somebody.
    held: bool,
}

/// The requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    sent: u64,
    outstanding: BTreeMap<u64, Outstanding>,
    /// How many of them are held.
    held: usize,
}

impl Requests {
    /// Notes a request and gives it its id.
    pub(super) fn add(&mut self, asked: &str, purpose: Purpose, deadline: Time) -> u64 {
        self.sent += 1;
        let outstanding = Outstanding {
            asked: asked.to_owned(),
            purpose,
            deadline,
            held: false,
        };
        self.outstanding.insert(self.sent, outstanding);
        self.sent
    }

    /// What the final answer `id` from `from` answers, and the deadline that it has kept.
    pub(super) fn answered(&mut self, id: u64, from: &str) -> Option<(Purpose, Time)> {
        self.expects(id, from)
            .then(|| self.remove(id))?
            .map(|one| (one.purpose, one.deadline))
    }

    /// What a 1xx is about: its request may now be held until `deadline`.
    pub(super) fn held(&mut self, id: u64, from: &str, deadline: Time) -> Option<Purpose> {
        let one = self
            .outstanding
            .get_mut(&id)
            .filter(|one| one.asked == from)?;
        one.deadline = deadline;
        self.held += usize::from(!std::mem::replace(&mut one.held, true));
        Some(one.purpose.clone())
    }

    /// What request `id` was for, when its deadline has passed; the new deadline when it was put off.
    pub(super) fn expired(&mut self, id: u64, now: Time) -> Result<Purpose, Option<Time>> {
        match self.outstanding.get(&id).map(|one| one.deadline) {
            None => Err(None),
            Some(deadline) if deadline > now => Err(Some(deadline)),
            Some(_) => self.remove(id).map(|one| one.purpose).ok_or(None),
        }
    }

    /// How many are under way, not counting those that are held.
    pub(super) fn under_way(&self) -> usize {
        self.outstanding.len() - self.held
    }

    fn remove(&mut self, id: u64) -> Option<Outstanding> {
        let one = self.outstanding.remove(&id)?;
        self.held -= usize::from(one.held);
        Some(one)
    }

    fn expects(&self, id: u64, from: &str) -> bool {
        self.outstanding
            .get(&id)
            .is_some_and(|one| one.asked == from)
    }
}

impl Runtime {
    pub(super) fn response(&mut self, header: &Header<'_>, now: Time) {
        let own = header.id.parse::<u64>().ok();
        let Some(id) = own.or_else(|| self.batched_id(header.id, &header.to)) else {
            return self.commit_refused(header, now);
        };
        // An answer that cannot be read is one: its request must not wait for another.
        let code = header
            .decode::<crate::message::body::Code>()
            .map_or(500, |body| body.code);
        if (100..200).contains(&code) {
            self.put_off(id, header, now);
            return self.send_crowded(now);
        }
        let Some((purpose, deadline)) = self.requests.answered(id, &header.from) else {
            return;
        };
        self.timers.remove(&(deadline, Timer::Request(id)));
        let refusal = || {
            header
                .decode::<Refusal>()
                .unwrap_or_else(|_| Refusal::timed_out("no reason was given"))
        };
        match purpose {
            Purpose::Open => self.opened(code, header, now),
            Purpose::Alive => {}
            Purpose::Unsubscribe(seat) => {
                self.let_go.remove(&seat);
            }
            Purpose::Delivered(call) => {
                if self.deliveries.remove(&call).is_some() {
                    self.outbox.push_back(Output::Delivered(call));
                }
            }
            Purpose::Command(call) if code == 200 => self.commanded(call, header.body, now),
            Purpose::Own(call) if code == 200 => self.owning_answered(call, header.body),
            Purpose::Own(call) => self.end_owning(call, Err(refusal())),
            Purpose::Invite(call) if code == 200 => self.invitation_answered(call, Ok(()), now),
            Purpose::Invite(call) => self.invitation_answered(call, Err(refusal()), now),
            Purpose::Command(call) => self.command_refused(call, refusal()),
            Purpose::Execute(call) if code == 200 => self.executed(call, header.body),
            Purpose::Execute(call) => self.end_wanted(call, Err(refusal())),
            Purpose::Chunk(call, chunk) if code == 200 => {
                self.chunk_answered(call, chunk, header.body);
            }
            Purpose::Chunk(call, chunk) => self.chunk_refused(call, chunk, refusal(), now),
            Purpose::Claim(url) if code == 200 => self.claimed(&url, header.body, now),
            Purpose::CatchUp(url) if code == 200 => self.caught_up(&url, header.body, now),
            // Who writes it may have gone: then the claim is asked for again.
            Purpose::Claim(url) | Purpose::CatchUp(url) => {
                self.claim_refused(&url, refusal(), now);
            }
            Purpose::Settle(seat) if code == 200 => self.settled(&seat, id, header.body, now),
            Purpose::Settle(seat) => self.settling_refused(&seat, id, &refusal(), now),
            Purpose::Batch(hyperty) if code == 207 => {
                self.batch_answered(&hyperty, header.body, now);
            }
            Purpose::Batch(hyperty) => self.batch_refused(&hyperty, &refusal(), now),
            Purpose::Subscribe(seat) if code == 200 => self.content(&seat, id, header.body, now),
            Purpose::Subscribe(seat) => self.subscribe_refused(&seat, id, refusal(), now),
            Purpose::Page(seat) if code == 200 => self.page(&seat, id, header.body, now),
            Purpose::Page(seat) => self.page_refused(&seat, id, &refusal(), now),
            Purpose::Regain(url) if code == 200 => self.regained(&url, id, Ok(header.body), now),
            Purpose::Regain(url) => self.regained(&url, id, Err(&refusal()), now),
            Purpose::Child(seat, name, at) if code == 200 => {
                self.child_answered(&seat, &name, at, None, now);
            }
            Purpose::Child(seat, name, at) => {
                self.child_answered(&seat, &name, at, Some(&refusal()), now);
            }
            Purpose::Read(call) if code == 200 => self.read_answered(call, header.body),
            Purpose::Read(call) => self.read_failed(call, refusal()),
        }
        self.send_crowded(now);
    }

    pub(super) fn request_over(&mut self, id: u64, now: Time) {
        let purpose = match self.requests.expired(id, now) {
            Ok(purpose) => purpose,
            Err(later) => {
                self.timers
                    .extend(later.map(|later| (later, Timer::Request(id))));
                return;
            }
        };
        let refusal = Refusal::timed_out(format!("no answer within {} s", REQUEST_MS / 1000));
        match purpose {
            // The node itself does not answer: the connection is dead.
            Purpose::Open
            | Purpose::Alive
            | Purpose::Delivered(_)
            | Purpose::Command(_)
            | Purpose::Own(_)
            | Purpose::Unsubscribe(_) => {
                self.outbox.push_back(Output::Disconnect);
            }
            Purpose::Claim(url) | Purpose::CatchUp(url) => self.claim_refused(&url, refusal, now),
            Purpose::Settle(seat) => self.settling_refused(&seat, id, &refusal, now),
            // Its objects have deadlines of their own.
            Purpose::Batch(_) => {}
            Purpose::Subscribe(seat) => self.subscribe_refused(&seat, id, refusal, now),
            Purpose::Page(seat) => self.page_refused(&seat, id, &refusal, now),
            Purpose::Regain(url) => self.regained(&url, id, Err(&refusal), now),
            Purpose::Child(seat, name, at) => {
                self.child_answered(&seat, &name, at, Some(&refusal), now);
            }
            Purpose::Read(call) => self.read_failed(call, refusal),
            Purpose::Chunk(call, chunk) => self.chunk_refused(call, chunk, refusal, now),
            Purpose::Execute(call) => self.end_wanted(call, Err(refusal)),
            Purpose::Invite(call) => self.invitation_answered(call, Err(refusal), now),
        }
        self.send_crowded(now);
    }

    /// The session is gone: what was asked beyond this runtime will not be answered.
    pub(super) fn forget_requests(&mut self) {
        let outstanding = &self.requests.outstanding;
        let beyond = outstanding
            .iter()
            .filter(|(_, one)| !self.is_about_local(&one.asked));
        for id in beyond.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(one) = self.requests.remove(id) {
                self.timers.remove(&(one.deadline, Timer::Request(id)));
            }
        }
    }

    /// Sends a request and watches over its answer.
    pub(super) fn request(
        &mut self,
        kind: Type,
        from: &str,
        to: &str,
        body: &impl Serialize,
        purpose: Purpose,
        now: Time,
    ) -> u64 {
        let deadline = now.plus_ms(REQUEST_MS);
        let id = self.requests.add(to, purpose, deadline);
        self.timers.insert((deadline, Timer::Request(id)));
        self.send(from, to, encode(&id.to_string(), kind, from, to, body));
        id
    }

    pub(super) fn respond(&mut self, id: &str, from: &str, to: &str, body: &impl Serialize) {
        self.send(from, to, encode(id, Type::Response, from, to, body));
    }
}
