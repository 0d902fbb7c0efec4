//! Requests on their way: forwarded to whoever answers, waiting for whoever is away, answered once.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::session::{Session, SessionId, Waiting};
use super::wanted::Wanted;
use super::{Node, Output, Timer};
use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::limits::{HELD_MS, UNANSWERED_MS, UNANSWERED_PER_ASKER_MAX, UNANSWERED_PER_OBJECT_MAX};
use crate::message::Header;
use crate::time::Time;

/// What a request is known by: who asks, and the id as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ask {
    pub(super) from: String,
    pub(super) id: String,
}

/// A request that was let in.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) asker: SessionId,
    pub(super) to: String,
    pub(super) object: Option<Address>,
    pub(super) wanted: Wanted,
    /// The whole message, with the asker's identity as this node states it; empty once forwarded.
    pub(super) text: String,
    /// Whether the asker was told that it waits.
    pub(super) told: bool,
}

/// A request that was forwarded and has no final answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) asked_of: SessionId,
    /// When the node gives it up: its asker has done so before.
    deadline: Time,
}

/// What the node reads of an answer.
#[derive(Deserialize)]
struct Answer {
    code: u16,
    /// Whether it says whose the object is, which is the node's to say.
    #[serde(default, deserialize_with = "is_there")]
    identity: bool,
    #[serde(default, deserialize_with = "is_there")]
    owners: bool,
}

fn is_there<'de, D: Deserializer<'de>>(field: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(field).map(|_| true)
}

impl Request {
    /// The request of `header`, whose stamped message is `text`.
    pub(super) fn new(
        asker: SessionId,
        header: &Header<'_>,
        object: Option<Address>,
        wanted: Wanted,
        text: String,
    ) -> Result<Self, Refusal> {
        check_id(header)?;
        Ok(Self {
            ask: Ask {
                from: header.from.as_ref().into(),
                id: header.id.into(),
            },
            asker,
            to: header.to.as_ref().into(),
            object,
            wanted,
            text,
            told: false,
        })
    }
}

/// Whether a request can be answered.
pub(super) fn check_id(header: &Header<'_>) -> Result<(), Refusal> {
    if header.id == "null" {
        return Err(Refusal::malformed(
            "field `id` must be there: a request is answered by it",
        ));
    }
    Ok(())
}

impl Node {
    /// Forwards `request`, or lets it wait for who is away and will come back.
    pub(super) fn ask(&mut self, request: Request, now: Time) -> Result<(), Refusal> {
        if let Wanted::Route { hyperty, .. } = &request.wanted {
            self.adopt(request.asker, hyperty.as_str())?;
        }
        let Some(asker) = self.sessions.get(&request.asker) else {
            return Ok(());
        };
        // Those that wait are bounded by their bytes.
        if asker.asked.len() - asker.waiting.requests >= UNANSWERED_PER_ASKER_MAX {
            return Err(Refusal::too_many(format!(
                "{UNANSWERED_PER_ASKER_MAX} of your requests are unanswered: wait for one"
            )));
        }
        if let Some(url) = &request.object
            && self.objects.get(url).is_some_and(|object| {
                object.asked + object.waiting.len() >= UNANSWERED_PER_OBJECT_MAX
            })
        {
            return Err(Refusal::too_many(format!(
                "{UNANSWERED_PER_OBJECT_MAX} requests for `{url}` are unanswered: try again later"
            )));
        }
        // Of somebody gone, too: the answer to the one would be taken for the other's.
        if asker.asked.contains_key(&request.ask) || self.pending.contains_key(&request.ask) {
            return Err(Refusal::malformed(
                "field `id`: a request with it is not answered yet",
            ));
        }
        if self.answer_from_content(&request, now)? {
            return Ok(());
        }
        self.check_kept(&request)?;
        if let Some(asker) = self.sessions.get_mut(&request.asker) {
            asker
                .asked
                .insert(request.ask.clone(), request.object.clone());
        }
        self.forward(request, now);
        Ok(())
    }

    /// Sends a counted request to who answers it; lets it wait, or answers 503, when that is nobody.
    pub(super) fn forward(&mut self, mut request: Request, now: Time) {
        let answers = match (&request.object, &request.wanted) {
            (Some(url), Wanted::Chunk(author)) => self.has_file(url, author, request.asker),
            (Some(url), _) => self.objects.get(url).and_then(|object| object.holder),
            (None, _) => self
                .owner(&request.to)
                .or_else(|| self.newest_of(&request.to)),
        };
        let withheld = request
            .object
            .as_ref()
            .is_some_and(|url| self.is_withheld_from(url, request.asker));
        let connection = answers.filter(|_| !withheld);
        let connection = connection.and_then(|session| self.sessions.get(&session)?.connection);
        match (answers, connection) {
            (Some(session), Some(connection)) => {
                let text = std::mem::take(&mut request.text);
                self.outbox.push(Output::Send(connection, text));
                if let Some(object) = request
                    .object
                    .as_ref()
                    .and_then(|url| self.objects.get_mut(url))
                {
                    object.asked += 1;
                }
                if let Some(answering) = self.sessions.get_mut(&session) {
                    answering.answering.insert(request.ask.clone());
                }
                self.count_kept(&request, true);
                let deadline = now.plus_ms(UNANSWERED_MS);
                self.timers
                    .insert((deadline, Timer::Unanswered(request.ask.clone())));
                let pending = Pending {
                    request,
                    asked_of: session,
                    deadline,
                };
                self.pending.insert(pending.request.ask.clone(), pending);
            }
            (answers, None) => {
                let url = request.object.as_ref();
                let object = url.and_then(|url| self.objects.get(url));
                let expected = object.is_some_and(|object| object.expected);
                self.wait(request, answers.is_some() || expected);
            }
            (None, Some(_)) => {}
        }
    }

    /// Passes an answer on. A 200 to a `subscribe` starts the route in the same step, so that the
    /// reader gets every commit after it and none before (§6.3).
    pub(super) fn answer(&mut self, ask: &Ask, header: &Header<'_>, text: &str, now: Time) {
        let (code, states) = match header.decode::<Answer>() {
            Ok(answer) => (answer.code, answer.identity || answer.owners),
            Err(_) => (500, false),
        };
        if (100..200).contains(&code) {
            let takes_long =
                |pending: &&mut Pending| !matches!(pending.request.wanted, Wanted::Chunk(_));
            if let Some(pending) = self.pending.get_mut(ask).filter(takes_long) {
                let timer = Timer::Unanswered(ask.clone());
                self.timers.remove(&(pending.deadline, timer.clone()));
                pending.deadline = now.plus_ms(HELD_MS);
                self.timers.insert((pending.deadline, timer));
                let asker = pending.request.asker;
                let waits = |asker: &Session| asker.asked.contains_key(ask);
                if self.sessions.get(&asker).is_some_and(waits) {
                    self.pass(asker, text);
                }
            }
            return;
        }
        let Some(Pending { request, .. }) = self.take_pending(ask) else {
            return;
        };
        match (&request.object, &request.wanted) {
            (Some(_), Wanted::Route { .. } | Wanted::Content(_)) if code == 200 => {
                self.let_in(request, header, states, now);
            }
            (Some(url), Wanted::Keep) if code == 200 => self.content_came(url, header.body, now),
            (Some(url), Wanted::Page) if code == 200 => {
                self.children_came(url, header.body, true, now);
            }
            (Some(url), Wanted::FanOut(commit)) if code == 200 => {
                self.publish_child(url, commit);
                self.pass_answer(&request, text);
            }
            (Some(url), Wanted::Chunk(_)) => match self.check_chunk(url, &request, header) {
                Ok(()) => self.pass_answer(&request, text),
                Err(refusal) => self.refuse(request, &refusal),
            },
            _ => self.pass_answer(&request, text),
        }
    }

    pub(super) fn pass_answer(&mut self, request: &Request, text: impl Into<String>) {
        if self.waits_no_longer(request) {
            self.pass(request.asker, text);
        }
    }

    /// Takes `request` from those that its asker waits for. Whether it did: one that is gone does not.
    pub(super) fn waits_no_longer(&mut self, request: &Request) -> bool {
        let asker = self.sessions.get_mut(&request.asker);
        asker.is_some_and(|asker| asker.asked.remove(&request.ask).is_some())
    }

    pub(super) fn pass(&mut self, asker: SessionId, text: impl Into<String>) {
        if let Some(connection) = self.sessions.get(&asker).and_then(|asker| asker.connection) {
            self.outbox.push(Output::Send(connection, text.into()));
        }
    }

    /// Answers `request` with a refusal of this node's own.
    pub(super) fn refuse(&mut self, request: Request, refusal: &Refusal) {
        if self.waits_no_longer(&request) {
            self.count(refusal);
            self.tell(&request, refusal);
        }
    }

    pub(super) fn tell(&mut self, request: &Request, refusal: &Refusal) {
        if let Some(connection) = self.sessions.get(&request.asker).and_then(|s| s.connection) {
            self.send(
                connection,
                &request.ask.id,
                &request.to,
                &request.ask.from,
                refusal,
            );
        }
    }

    pub(super) fn take_pending(&mut self, ask: &Ask) -> Option<Pending> {
        let pending = self.pending.remove(ask)?;
        self.timers
            .remove(&(pending.deadline, Timer::Unanswered(ask.clone())));
        if let Some(answering) = self.sessions.get_mut(&pending.asked_of) {
            answering.answering.remove(ask);
        }
        if let Some(object) = pending
            .request
            .object
            .as_ref()
            .and_then(|url| self.objects.get_mut(url))
        {
            object.asked -= 1;
        }
        self.count_kept(&pending.request, false);
        Some(pending)
    }

    /// `hyperty` no longer wants the route it asked for: an answer on its way must not start it.
    pub(super) fn withdraw(&mut self, session: SessionId, url: &Address, hyperty: &Address) {
        let Some(asker) = self.sessions.get(&session) else {
            return;
        };
        let about = |(_, object): &(&Ask, &Option<Address>)| object.as_ref() == Some(url);
        let asks = asker.asked.iter().filter(about);
        for ask in asks.map(|(ask, _)| ask.clone()).collect::<Vec<_>>() {
            let is_it = self.request(url, &ask).is_some_and(|request| {
                matches!(&request.wanted, Wanted::Route { hyperty: one, .. } if one == hyperty)
            });
            if is_it && let Some(request) = self.take_request(url, &ask) {
                let desc = "unsubscribed before it was answered";
                self.refuse(request, &Refusal::conflict(desc));
            }
        }
    }

    /// What is asked about `url` and not answered: of its holder, or of whoever comes.
    pub(super) fn asked_about(&self, url: &Address) -> Vec<Ask> {
        let Some(object) = self.objects.get(url) else {
            return vec![];
        };
        let holder = object.holder.and_then(|holder| self.sessions.get(&holder));
        let answering = holder.into_iter().flat_map(|holder| &holder.answering);
        let about = |ask: &&Ask| {
            let pending = self.pending.get(*ask);
            pending.is_some_and(|pending| pending.request.object.as_ref() == Some(url))
        };
        let waiting = object.waiting.iter().map(|request| &request.ask);
        answering.filter(about).chain(waiting).cloned().collect()
    }

    /// An unanswered request about `url`, forwarded or waiting.
    pub(super) fn request(&self, url: &Address, ask: &Ask) -> Option<&Request> {
        let waiting = || {
            let waiting = &self.objects.get(url)?.waiting;
            waiting.iter().find(|request| request.ask == *ask)
        };
        let pending = self.pending.get(ask).map(|pending| &pending.request);
        pending.or_else(waiting)
    }

    /// Takes an unanswered request about `url` from where it is, to be answered here.
    pub(super) fn take_request(&mut self, url: &Address, ask: &Ask) -> Option<Request> {
        if let Some(pending) = self.take_pending(ask) {
            return Some(pending.request);
        }
        let waiting = &mut self.objects.get_mut(url)?.waiting;
        let index = waiting.iter().position(|request| request.ask == *ask)?;
        let request = waiting.remove(index)?;
        self.waits_no_more(&request);
        Some(request)
    }

    /// Who was asked is there and does not answer: the request is given up, so that whoever never
    /// answers cannot use up its askers' requests.
    pub(super) fn unanswered(&mut self, ask: &Ask) {
        if let Some(Pending { request, .. }) = self.take_pending(ask) {
            let desc = format!("who answers for `{}` does not answer", request.to);
            self.refuse(request, &Refusal::timed_out(desc));
        }
    }

    /// Who was asked is gone, or no longer holds the object: its askers are told to ask again (§2).
    pub(super) fn unanswered_by(&mut self, session: SessionId, object: Option<&Address>) {
        let Some(answering) = self.sessions.get(&session) else {
            return;
        };
        for ask in answering.answering.clone() {
            let concerned = object.is_none()
                || self
                    .pending
                    .get(&ask)
                    .is_some_and(|p| p.request.object.as_ref() == object);
            if concerned && let Some(Pending { request, .. }) = self.take_pending(&ask) {
                let desc = format!("who answers for `{}` went away: ask again", request.to);
                self.refuse(request, &Refusal::away(Retry::Now, desc));
            }
        }
    }

    /// The child commit `ask`, while its Reporter has not said whether it takes it.
    pub(super) fn written(&self, ask: &Ask) -> Option<&Request> {
        let request = &self.pending.get(ask)?.request;
        matches!(request.wanted, Wanted::FanOut(_)).then_some(request)
    }

    /// Who asked is gone: nobody waits for the answers. What it wrote stays with the Reporter, who may
    /// have taken it: then readers get it all the same.
    pub(super) fn forget_asked_by(&mut self, session: SessionId) {
        let Some(asker) = self.sessions.get_mut(&session) else {
            return;
        };
        asker.waiting = Waiting::default();
        for (ask, url) in std::mem::take(&mut asker.asked) {
            if self.written(&ask).is_some() {
                continue;
            }
            if self.take_pending(&ask).is_none()
                && let Some(object) = url.as_ref().and_then(|url| self.objects.get_mut(url))
            {
                object.waiting.retain(|request| request.ask != ask);
                self.forget_if_empty(url.as_ref());
            }
        }
    }
}
