//! What the session carries for the objects that this runtime reports: claims, commits, and answers
//! to readers (protocol.md §4–§8).

use super::requests::Purpose;
use super::{Output, Runtime, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::manager::Progress;
use crate::message::body::{Claimed, Execute, Subscribe};
use crate::message::{Header, Type, decode};
use crate::syncher::{Due, Outgoing, Reporter, State};
use crate::time::Time;

impl Runtime {
    pub(super) fn send_claim(&mut self, url: &Address, now: Time) {
        let position = self.position(url);
        let Some(claim) = self.manager.claims.get(url) else {
            return;
        };
        let (body, from) = (claim.body(url, position), claim.reporter.clone());
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.stream.claiming();
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

    /// Puts what `url` has to send next into the outbox; says whether that was anything.
    pub(super) fn send_objects(&mut self, url: &Address, now: Time) -> bool {
        if !self.session.is_live() {
            return false;
        }
        let outgoing = match self.reporter_mut(url).map(Reporter::outgoing) {
            None => return false,
            Some(Ok(outgoing)) => outgoing,
            Some(Err(_)) => {
                // The history no longer reaches back to what the node has.
                self.reclaim(url, true);
                self.send_due(now);
                return true;
            }
        };
        let any = !outgoing.is_empty();
        for one in outgoing {
            match one {
                Outgoing::Commit(frame) => self.outbox.push_back(Output::Send(frame)),
                Outgoing::Content(due, body) => {
                    if let Ok(body) = serde_json::value::RawValue::from_string(body) {
                        self.respond(&due.id, &due.asked, &due.asker, &body);
                    }
                }
            }
        }
        any
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
        claim.access = claimed.access;
        claim.backoff.reset();
        let snapshot = std::mem::take(&mut claim.snapshot);
        let Some(reporter) = self.reporter_mut(url) else {
            return;
        };
        let node = match reporter.stream.position() {
            Some(position) if snapshot => position,
            _ => claimed.position,
        };
        reporter.stream.claimed(claimed.epoch, node);
        self.reporter_state(url, State::Live);
        self.dirty.insert(url.clone());
    }

    pub(super) fn claim_refused(&mut self, url: &Address, refusal: Refusal, now: Time) {
        let Some(claim) = self.manager.claims.get_mut(url) else {
            return;
        };
        // Whether an unanswered claim was done is not known: it takes nothing a second time (§8).
        claim.take &= refusal.code != 408;
        if matches!(refusal.code, 408 | 429 | 500..) {
            let wait_ms = claim.backoff.next_ms(refusal.retry, &mut self.entropy);
            let at = now.plus_ms(wait_ms);
            claim.progress = Progress::Later(at);
            self.timers.insert((at, Timer::Claim(url.clone())));
        } else {
            self.lose(url, refusal);
        }
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
        if *header.from != *url.resource("changes") {
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
        self.reporter_state(url, State::Closed(refusal));
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.forget_due();
        }
        self.manager.claims.remove(url);
        self.dirty.remove(url);
    }

    /// A reader that the node let in asks for content.
    pub(super) fn reader(&mut self, url: &str, header: &Header<'_>) -> Result<(), Refusal> {
        let body: Subscribe = header.decode()?;
        let hyperty = body.source.as_ref().map_or(&*header.from, Address::as_str);
        let identity = body.identity.as_ref();
        let hyperty = self.manager.admit(url, hyperty, identity, &self.identity)?;
        let due = Due {
            asker: header.from.to_string(),
            id: header.id.to_owned(),
            asked: header.to.to_string(),
            have: body.have.and_then(|digest| digest.data),
        };
        let url = Address::parse(url).map_err(|error| Refusal::malformed(error.to_string()))?;
        let syncher = self.synchers.get_mut(&hyperty);
        if let Some(reporter) = syncher.and_then(|syncher| syncher.reporters.get_mut(&url)) {
            reporter.admit(due)?;
            self.dirty.insert(url);
        }
        Ok(())
    }

    /// A command: that another session has taken an object is the only one there is.
    pub(super) fn execute(&mut self, header: &Header<'_>) -> Result<(), Refusal> {
        let node = Address::subscription_manager(&self.domain);
        let command: Execute<(Address, u64)> = header.decode()?;
        if *header.from != *node.as_str() || command.method != "superseded" {
            return Err(Refusal::not_built("no such command"));
        }
        let (url, epoch) = command.params;
        // With a claim of its own in flight, the answer to that will say who has the object.
        if self
            .manager
            .claims
            .get(&url)
            .is_some_and(|claim| claim.progress == Progress::Held)
        {
            let desc = format!("superseded: another session took `{url}` (epoch {epoch})");
            self.lose(&url, Refusal::conflict(desc));
        }
        Ok(())
    }
}
