//! Claims (protocol.md §5, §8): who may write an object, from which position on, under which epoch.

use super::commands::denied;
use super::grants::Grants;
use super::object::{Object, Record};
use super::session::SessionId;
use super::{Node, Timer};
use crate::address::Address;
use crate::error::{Reason, Refusal, Retry};
use crate::identity::{Identity, decode_bytes, looks_minted};
use crate::limits::{FIRST_SECOND_MS, OBJECTS_PER_SESSION_MAX, QUIET_UNSAID_MS};
use crate::message::body::{Access, Claim, Claimed, Command};
use crate::stream::Position;
use crate::time::Time;

/// How far a claimant's epoch may be ahead of this node's clock: another node's clock may be.
const EPOCH_AHEAD_MS: u64 = 24 * 3_600_000;

impl Node {
    /// Decides a claim whose fields were judged, and makes `session` the holder.
    pub(super) fn claim(
        &mut self,
        session: SessionId,
        claim: &Claim,
        now: Time,
    ) -> Result<Claimed, Refusal> {
        let url = &claim.url;
        let object = self.not_deleted(url.as_str())?;
        let record = object.and_then(|object| object.record.as_ref());
        let claimant = self.claimant(session, claim, record)?;
        let holder = object.and_then(|object| object.holder);
        if record.is_none() && now.ms_since(self.started) < FIRST_SECOND_MS {
            let desc = "this node has just started and takes claims a second later";
            return Err(Refusal::away(Retry::Seconds(1), desc));
        }
        if record.is_some_and(|record| !record.owners.contains(&claimant)) {
            return Err(Refusal::forbidden(format!(
                "`{url}` belongs to another identity"
            )));
        }
        let handed = record.is_some_and(|record| record.is_handed_to(&claimant, &claim.reporter));
        if holder.is_some_and(|holder| holder != session) && !claim.take && !handed {
            let desc = format!(
                "held: another session of yours writes `{url}`; end it, or take the object"
            );
            return Err(Refusal::conflict(desc).because(Reason::Held));
        }
        if let Some(claimed) = self.claimed_already(session, claim) {
            return Ok(claimed);
        }
        let record = self
            .objects
            .get(url)
            .and_then(|object| object.record.as_ref());
        let clock = now.unix_ms();
        let base = match base(claim, record, clock) {
            Ok(base) => base,
            Err(refusal) if refusal.reason == Some(Reason::Diverged) => {
                if handed {
                    self.is_behind(url, now);
                }
                return Err(self.has_diverged(session, url, holder, refusal, now));
            }
            Err(refusal) => return Err(refusal),
        };
        let known = record.map_or(clock, |record| record.epoch);
        let epoch = 1 + known.max(base.map_or(0, |base| base.epoch));
        let mut next = next_record(claim, &claimant, record, base, epoch);
        next.cache = self.keeps(claim);
        self.hold(session, url, next, holder, now)
    }

    /// What a claimant hears whose copy is not what the object is.
    fn has_diverged(
        &mut self,
        session: SessionId,
        url: &Address,
        holder: Option<SessionId>,
        refusal: Refusal,
        now: Time,
    ) -> Refusal {
        let other = holder.filter(|holder| *holder != session);
        if holder == Some(session) {
            self.release(session, url, now);
        }
        let present = other.and_then(|id| self.sessions.get(&id)?.connection);
        let kept = self.objects.get(url).is_some_and(Object::is_kept);
        if present.is_some() || kept {
            refusal
        } else {
            // Without a Reporter there is nobody to learn from.
            refusal.because(Reason::Alone)
        }
    }

    /// The claim that `session` holds, said again before anything was written under it.
    fn claimed_already(&mut self, session: SessionId, claim: &Claim) -> Option<Claimed> {
        let cache = self.keeps(claim);
        let object = self.objects.get_mut(&claim.url)?;
        let record = object.record.as_mut()?;
        let same = object.holder == Some(session)
            && !record.has_commit_of_its_epoch()
            && claim.base == Some(Some(record.position));
        if !same {
            return None;
        }
        record.children.clone_from(&claim.children);
        record.keep.clone_from(&claim.keep);
        record.cache = cache;
        let claimed = claimed(record);
        self.outbox
            .follows(object, |unstored| unstored.claim = true);
        Some(claimed)
    }

    /// The identity of a session that may claim at all, when it shows what a minted id needs.
    /// An owner on record needs nothing: a person has a key on each device.
    fn claimant(
        &self,
        session: SessionId,
        claim: &Claim,
        record: Option<&Record>,
    ) -> Result<Identity, Refusal> {
        let Some(holder) = self.sessions.get(&session) else {
            return Err(Refusal::unproven("open a session first"));
        };
        let Some((identity, key)) = holder.identity.clone().zip(holder.key) else {
            return Err(Refusal::forbidden(
                "an anonymous session claims nothing: open with a key",
            ));
        };
        let full =
            holder.held.len() >= OBJECTS_PER_SESSION_MAX && !holder.held.contains(&claim.url);
        if full {
            let desc = format!("a session holds at most {OBJECTS_PER_SESSION_MAX} objects");
            return Err(Refusal::too_many(desc));
        }
        let id = claim.url.id();
        match claim.nonce.as_deref().map(decode_bytes::<16>) {
            Some(Some(nonce)) if key.mint(&nonce) == id => Ok(identity),
            Some(_) => Err(Refusal::forbidden(
                "field `body.claim.nonce`: the object's id is not minted from it and your key",
            )),
            None if record.is_some_and(|record| record.owners.contains(&identity)) => Ok(identity),
            None if looks_minted(id) => Err(Refusal::forbidden(
                "field `body.claim.nonce` must be there: the object's id has the form of a minted one",
            )),
            None => Ok(identity),
        }
    }

    /// A claimant that has diverged no longer writes: what it held is free (§8).
    fn release(&mut self, session: SessionId, url: &Address, now: Time) {
        self.unanswered_by(session, Some(url));
        if let Some(holder) = self.sessions.get_mut(&session) {
            holder.held.remove(url);
        }
        if let Some(object) = self.objects.get_mut(url) {
            object.holder = None;
            object.away_since.get_or_insert(now);
        }
        self.expires_later(url, now);
        self.publish_head(url);
        self.refuse_waiting(url);
    }

    fn hold(
        &mut self,
        session: SessionId,
        url: &Address,
        mut record: Record,
        before: Option<SessionId>,
        now: Time,
    ) -> Result<Claimed, Refusal> {
        self.adopt(session, record.reporter.as_str())?;
        let claimed = claimed(&record);
        if self.object_at(url).is_none() {
            let desc = "this node keeps no more objects";
            return Err(Refusal::away(Retry::Seconds(30), desc));
        }
        // Whoever hears of it, the loser too, hears of what is on record.
        if let Some(object) = self.objects.get_mut(url) {
            self.outbox.follows(object, |unstored| {
                unstored.claim = true;
                unstored.position = true;
            });
        }
        if let Some(loser) = before.filter(|before| *before != session) {
            self.superseded(loser, url, record.epoch);
        }
        let Some(object) = self.objects.get_mut(url) else {
            return Ok(claimed);
        };
        let mut access_changes = true;
        if let Some(old) = object.record.take() {
            access_changes = old.access != record.access || old.owners != record.owners;
            record.grants = old.grants;
            if old.identity.is_some() {
                self.named.remove(&old.reporter);
            }
        }
        if let Some(identity) = &record.identity {
            self.named.add(&record.reporter, identity);
        }
        object.record = Some(record);
        object.holder = Some(session);
        object.access_by_another = false;
        object.withheld = None;
        object.away_since = None;
        object.expected = false;
        object.last_commit = now;
        let expires = object.expires.take();
        if !std::mem::replace(&mut object.quiet_armed, true) {
            self.timers
                .insert((now.plus_ms(QUIET_UNSAID_MS), Timer::Quiet(url.clone())));
        }
        if let Some(at) = expires {
            self.timers.remove(&(at, Timer::Expired(url.clone())));
        }
        if let Some(holder) = self.sessions.get_mut(&session) {
            holder.held.insert(url.clone());
        }
        if access_changes {
            self.enforce(url, &denied(url), now);
        }
        Ok(claimed)
    }

    /// Tells a session that another has taken `url` from it, and its askers to ask again.
    fn superseded(&mut self, loser: SessionId, url: &Address, epoch: u64) {
        self.unanswered_by(loser, Some(url));
        let Some(session) = self.sessions.get_mut(&loser) else {
            return;
        };
        session.held.remove(url);
        self.command_runtime(loser, &Command::Superseded(url.clone(), epoch));
    }

    /// What follows the 200: readers hear of it, and who waited is served.
    pub(super) fn after_claim(&mut self, url: &Address, now: Time) {
        self.begin_content(url, now);
        self.publish_head(url);
        self.tell_presence_anew(url, now);
        self.forward_waiting(url, now);
    }
}

/// What is on record once `claimant` holds the object, but for what is kept of it and who was let in.
fn next_record(
    claim: &Claim,
    claimant: &Identity,
    record: Option<&Record>,
    base: Option<Position>,
    epoch: u64,
) -> Record {
    let start = Position::new(epoch, 0);
    let position = record.map(|record| record.position);
    let skips = claim.snapshot || position.is_none();
    let mut next = Record {
        owners: [claimant.clone()].into(),
        former: vec![],
        identity: Some(claimant.clone()),
        handover: None,
        epoch,
        position: match (base, position) {
            (None, _) => start,
            (Some(base), _) if skips => base,
            (Some(base), position) => position.unwrap_or(base),
        },
        base: base.unwrap_or(start),
        access: access(claim, record, base.is_none()),
        reporter: claim.reporter.clone(),
        children: claim.children.clone(),
        keep: claim.keep.clone(),
        grants: Grants::default(),
        cache: false,
    };
    if let Some(record) = record {
        record.passes_to(claimant, &claim.reporter, &mut next);
    }
    next
}

/// Who may read: as the record has it, unless the object starts afresh. Then the claim says, but whom
/// the record denies stays denied.
fn access(claim: &Claim, record: Option<&Record>, afresh: bool) -> Access {
    let Some(record) = record else {
        return claim.access.clone();
    };
    if !afresh {
        return record.access.clone();
    }
    let mut access = claim.access.clone();
    let denied = record.access.deny.iter();
    let known = |one: &&String| claim.access.deny.contains(one);
    access
        .deny
        .extend(denied.filter(|one| !known(one)).cloned());
    access
}

/// The position that `claim` continues from; `None` when it starts afresh (§8).
fn base(claim: &Claim, record: Option<&Record>, clock: u64) -> Result<Option<Position>, Refusal> {
    let base = match (claim.base, record) {
        (Some(Some(base)), _) => base,
        (Some(None), _) | (None, None) => return Ok(None),
        // Its own first claim, whose answer was lost: nothing was written since.
        (None, Some(record)) if record.is_untouched_by(&claim.reporter) => return Ok(None),
        (None, Some(record)) => return Err(diverged(None, record.position)),
    };
    if base.epoch > clock.saturating_add(EPOCH_AHEAD_MS) {
        return Err(Refusal::malformed(format!(
            "field `body.claim.base`: epoch {} is from the future",
            base.epoch
        )));
    }
    match record {
        None => Ok(Some(base)),
        Some(record) => {
            // Nobody but the last claimant has commits of its claim's epoch, or stands at its base:
            // what it wrote and could not send yet continues the last commit that is here.
            let epoch = base.epoch == record.position.epoch || base.epoch == record.epoch;
            if base >= record.position && (epoch || base == record.base) {
                Ok(Some(base))
            } else {
                Err(diverged(Some(base), record.position))
            }
        }
    }
}

fn claimed(record: &Record) -> Claimed {
    Claimed {
        children: None,
        code: 200,
        epoch: record.epoch,
        position: record.position,
        access: record.access.clone(),
        cache: record.cache,
        durable: false,
    }
}

fn diverged(base: Option<Position>, position: Position) -> Refusal {
    let yours = base.map_or_else(|| "no copy".to_owned(), |base| base.to_string());
    Refusal::conflict(format!(
        "diverged: the last commit here is {position}, yours is {yours}; catch up, or discard"
    ))
    .because(Reason::Diverged)
}
