//! What the session carries for the objects that this runtime reports: claims, commits, and answers
//! to readers (protocol.md §4–§8).

use super::requests::Purpose;
use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::children::{ChildrenWanted, Observed};
use crate::error::{Reason, Refusal, Retry};
use crate::identity::Identity;
use crate::limits::QUIET_MS;
use crate::manager::{Admission, Kept, Progress, Right, closed_to_you};
use crate::message::body::{Claimed, Subscribe};
use crate::message::{Header, Type, decode, encode};
use crate::stream::Digest;
use crate::syncher::{Due, Outgoing, Reporter, State};
use crate::time::Time;

impl Runtime {
    pub(super) fn send_claim(&mut self, url: &Address, now: Time) {
        let position = self.position(url);
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        if claim.behind {
            return self.send_catch_up(url, now);
        }
        let (body, from) = (claim.body(url, position), claim.reporter.clone());
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.stream.claiming();
            if !reporter.stream.is_stored() {
                // The claim says where the object stands: that is to be stored first.
                return;
            }
        }
        let to = Address::subscription_manager(&self.domain);
        let purpose = Purpose::Claim(url.clone());
        let id = self.request(
            Type::Subscribe,
            from.as_str(),
            to.as_str(),
            &body,
            purpose,
            now,
        );
        if let Some(claim) = self.manager.claims.get_mut(url) {
            claim.progress = Progress::Asked(id);
        }
    }

    /// Sends the claim of `url`, if it waits for nothing but to be stored.
    pub(super) fn send_claim_if_due(&mut self, url: &Address, now: Time) {
        let claim = self.manager.claims.get(url);
        let due = claim.is_some_and(|claim| claim.progress == Progress::Due);
        if due && self.session.is_live() {
            self.send_claim(url, now);
        }
    }

    /// Puts what `url` has to send next into the outbox; says whether that was anything.
    pub(super) fn send_objects(&mut self, url: &Address, now: Time) -> bool {
        if !self.is_reached(url) {
            return false;
        }
        let outgoing = match self.reporter_mut(url).map(Reporter::outgoing) {
            None => return false,
            Some(Ok(outgoing)) => outgoing,
            Some(Err(_)) if self.is_local(url.as_str()) => {
                self.begin_local_again(url, now);
                return true;
            }
            Some(Err(_)) => {
                // The history no longer reaches back to what the node has.
                self.reclaim(url, true);
                self.send_due(now);
                return true;
            }
        };
        if outgoing.is_empty() {
            let waits = self
                .reporter_mut(url)
                .is_some_and(|one| !one.stream.is_stored());
            return !waits && (self.send_head_if_due(url) || self.send_delete(url, now));
        }
        let changes = url.resource("changes");
        for one in outgoing {
            match one {
                Outgoing::Commit(frame) => self.send(url.as_str(), &changes, frame),
                Outgoing::Content(due, body) => {
                    if let Ok(body) = serde_json::value::RawValue::from_string(body) {
                        self.respond(&due.id, &due.asked, &due.asker, &body);
                    }
                }
            }
        }
        true
    }

    /// An object may have been quiet for long enough: its readers hear where it stands, and with which
    /// hash (§4).
    pub(super) fn quiet(&mut self, url: &Address, now: Time) {
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let due = reporter.written.plus_ms(QUIET_MS);
        reporter.quiet_armed = due > now;
        if reporter.quiet_armed {
            self.timers.insert((due, Timer::Quiet(url.clone())));
        } else {
            // In its turn: behind what is to be stored, or sent, before it.
            reporter.head_due = true;
            self.dirty.insert(url.clone());
        }
    }

    /// Sends where an object stands, when its readers are to hear it; says whether it did.
    fn send_head_if_due(&mut self, url: &Address) -> bool {
        let Some(reporter) = self.reporter_mut(url) else {
            return false;
        };
        let due = std::mem::take(&mut reporter.head_due) && reporter.state == State::Live;
        let Some(head) = due.then(|| reporter.head()).flatten() else {
            return false;
        };
        let changes = url.resource("changes");
        let text = encode("null", Type::Update, url.as_str(), &changes, &head);
        self.send(url.as_str(), &changes, text);
        true
    }

    /// The claim was answered 200.
    pub(super) fn claimed(&mut self, url: &Address, body: &str, now: Time) {
        let claimed: Claimed = match decode(body) {
            Ok(claimed) => claimed,
            Err(refusal) => return self.claim_refused(url, refusal, now),
        };
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        claim.progress = Progress::Held;
        claim.take = false;
        claim.won = true;
        claim.kept = if claimed.durable {
            Kept::Unknown
        } else {
            Kept::Nothing
        };
        claim.backoff.reset();
        let snapshot = std::mem::take(&mut claim.snapshot);
        self.on_record(url, claimed.access.clone());
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let node = match reporter.stream.position() {
            Some(position) if snapshot => position,
            _ => claimed.position,
        };
        reporter.stream.claimed(claimed.epoch, node);
        self.children_claimed(url, &claimed);
        self.reporter_changes(url);
        self.reporter_state(url, State::Live);
        self.send_commands(url, now);
        self.send_children(now);
        self.dirty.insert(url.clone());
        self.end_flushes();
    }

    pub(super) fn claim_refused(&mut self, url: &Address, refusal: Refusal, now: Time) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        // Whether an unanswered claim was done is not known: it takes nothing a second time (§8).
        claim.take &= refusal.code != 408;
        claim.behind = refusal.reason == Some(Reason::Diverged);
        // Asked for since the claim went out, which did not say it.
        let takes = claim.take && refusal.reason == Some(Reason::Held);
        if claim.behind || takes || matches!(refusal.code, 408 | 429 | 500..) {
            let wait_ms = claim.backoff.next_ms(refusal.retry, &mut self.entropy);
            let at = now.plus_ms(wait_ms);
            claim.progress = Progress::Later(at);
            self.timers.insert((at, Timer::Claim(url.clone())));
        } else if refusal.reason == Some(Reason::Held) || claim.won && refusal.code == 403 {
            // Another session has it, or another identity, to whom it was handed over.
            self.loses(url, refusal, now);
        } else {
            self.lose(url, refusal);
        }
    }

    /// Asks what the object is, of the session that writes it (§8).
    fn send_catch_up(&mut self, url: &Address, now: Time) {
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        let body = Subscribe {
            source: Some(claim.reporter.clone()),
            have: self.position(url).map(Digest::from),
            ..Subscribe::default()
        };
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.adopting = None;
        }
        self.read_to_catch_up(url, &body, now);
    }

    fn read_to_catch_up(&mut self, url: &Address, body: &Subscribe, now: Time) {
        let Some(from) = &body.source else { return };
        let purpose = Purpose::CatchUp(url.clone());
        let id = self.request(Type::Read, from.as_str(), url.as_str(), body, purpose, now);
        if let Some(claim) = self.manager.claims.get_mut(url) {
            claim.progress = Progress::Asked(id);
        }
    }

    /// What the object is: this Reporter goes on from there, and hands back what it had beside it. Its
    /// children come page by page.
    pub(super) fn caught_up(&mut self, url: &Address, body: &str, now: Time) {
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        let hyperty = claim.reporter.clone();
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let (received, rejected) = match &mut reporter.adopting {
            Some(children) => (children.page(body), vec![]),
            none => match reporter.stream.catch_up(body) {
                Ok(rejected) => (none.get_or_insert_default().content(body), rejected),
                Err(refusal) => return self.lose(url, refusal),
            },
        };
        let next = reporter.adopting.as_ref().and_then(Observed::next_page);
        self.reporter_changes(url);
        if !rejected.is_empty() {
            let seat = Seat {
                hyperty: hyperty.clone(),
                object: url.clone(),
            };
            self.outbox.push_back(Output::Rejected(seat, rejected));
        }
        match (received.closed, next) {
            (Some(refusal), _) => self.lose(url, refusal),
            (None, _) if received.recover => {
                let desc = format!("the children of `{url}` did not come whole");
                self.claim_refused(url, Refusal::away(Retry::Now, desc), now);
            }
            (None, Some((name, after))) => {
                let body = Subscribe {
                    source: Some(hyperty),
                    children: ChildrenWanted::Page { name, after },
                    ..Subscribe::default()
                };
                self.read_to_catch_up(url, &body, now);
            }
            (None, None) => self.goes_on(url, now),
        }
    }

    /// Everything has come: it is claimed as it is.
    fn goes_on(&mut self, url: &Address, now: Time) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        claim.behind = false;
        claim.progress = Progress::Due;
        let seat = Seat {
            hyperty: claim.reporter.clone(),
            object: url.clone(),
        };
        if let Some(reporter) = self.reporter_mut(url) {
            let (steps, safe) = reporter.adopt();
            self.children_changed(&seat, steps);
            self.writes_over(safe, None);
            self.children_change_first(&seat);
        }
        self.send_due(now);
    }

    pub(super) fn claim_again(&mut self, url: &Address, now: Time) {
        if let Some(claim) = self.manager.claims.get_mut(url)
            && matches!(claim.progress, Progress::Later(at) if at <= now)
        {
            claim.progress = Progress::Due;
            self.send_due(now);
        }
    }

    /// The node refused a commit: it and this runtime disagree on the claim, which is asked for anew.
    /// It skips what is not at the node, or a commit that the node never takes would go round for ever.
    pub(super) fn commit_refused(&mut self, header: &Header<'_>, now: Time) {
        let Ok(url) = Address::object(&header.to) else {
            return;
        };
        let reason = header
            .decode()
            .map_or(None, |refusal: Refusal| refusal.reason);
        // Of a session whose token has ended nothing is taken: that says nothing of the claim.
        if *header.from != *url.resource("changes") || reason == Some(Reason::NeedsAuth) {
            return;
        }
        if self
            .manager
            .claims
            .get(&url)
            .is_some_and(|claim| claim.progress == Progress::Held)
        {
            self.reclaim(&url, true);
            self.send_due(now);
        }
    }

    pub(super) fn reclaim(&mut self, url: &Address, snapshot: bool) {
        if let Some(claim) = self.manager.claims.get_mut(url) {
            claim.progress = Progress::Due;
            claim.snapshot |= snapshot;
        }
        self.reporter_state(url, State::Claiming);
    }

    /// The object is no longer this runtime's to write.
    pub(super) fn lose(&mut self, url: &Address, refusal: Refusal) {
        self.reporter_state(url, State::Closed(refusal.clone()));
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.forget_due();
        }
        self.forget_questions(self.questions.about(url));
        self.reporters_writes_end(url, &refusal);
        self.fail_commands(url, &refusal);
        self.parts(url);
        let claim = self.manager.claims.remove(url);
        if let Some(claim) = claim.filter(|_| refusal.code == 410) {
            let (hyperty, object) = (claim.reporter, url.clone());
            self.reporter_forgets(&Seat { hyperty, object });
        }
        self.dirty.remove(url);
        self.end_flushes();
    }

    /// A reader that the node did not refuse asks for content.
    pub(super) fn reader(
        &mut self,
        url: &str,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        let body: Subscribe = header.decode()?;
        let reader = body.source.as_ref().map_or(&*header.from, Address::as_str);
        let identity = self.stated(url, body.identity);
        // Nobody speaks as the node but the node.
        let admitted = if reader == Address::subscription_manager(&self.domain).as_str() {
            Admission::Granted(self.manager.kept_by_node(url)?)
        } else {
            let owner = body.owner.then_some(Right::Ownership);
            let stated = body.granted.then_some(Right::Approval).or(owner);
            self.manager
                .admit(url, reader, identity.as_ref(), stated, &self.identity)?
        };
        self.claim_changes(&address(url)?);
        let due = Due {
            asker: header.from.to_string(),
            id: header.id.to_owned(),
            asked: header.to.to_string(),
            reader: reader.to_string(),
            have: body.have.unwrap_or_default(),
            children: body.children,
            whole: header.kind == Type::Read,
        };
        let (reporter, open) = match admitted {
            Admission::Granted(reporter) => (reporter, false),
            Admission::Open(reporter) => (reporter, true),
        };
        let seat = Seat {
            hyperty: reporter,
            object: address(url)?,
        };
        if open {
            let reader = (address(reader)?, identity);
            return self.ask_to_read(seat, header, reader, due, now);
        }
        self.let_in(&seat.object, due)
    }

    /// The seat that reports `url`, when it hears who says something there: a reader, which the node has seen
    /// to, and this side of the border again.
    pub(super) fn heard_by(
        &mut self,
        url: &str,
        header: &Header<'_>,
        identity: Option<&Identity>,
    ) -> Result<Seat, Refusal> {
        let (reporter, may) = self
            .manager
            .hears(url, &header.from, identity, &self.identity)?;
        if !may {
            return Err(closed_to_you(url));
        }
        Ok(Seat {
            hyperty: reporter,
            object: address(url)?,
        })
    }

    /// A reader that may read is answered next, in its place among the commits.
    pub(super) fn let_in(&mut self, url: &Address, due: Due) -> Result<(), Refusal> {
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.admit(due)?;
            self.dirty.insert(url.clone());
        }
        Ok(())
    }
}

pub(super) fn address(text: &str) -> Result<Address, Refusal> {
    Address::parse(text).map_err(|error| Refusal::malformed(error.to_string()))
}
