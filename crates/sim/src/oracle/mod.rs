//! What always holds (ARCHITECTURE.md, invariants 1–9), checked at every step from outside: from
//! what applications wrote and were told, and from the frames that passed.

mod access;
mod answers;
mod books;
mod children;
mod collections;
mod handover;
mod hearing;
mod kept;
mod outliving;
mod presence;
mod readers;
mod resting;
mod taking;

use std::collections::BTreeSet;
use std::fmt;

use byline_core::address::Address;
use byline_core::error::{Reason, Refusal};
use byline_core::identity::Identity;
use byline_core::message::body::{Claim, Claimed, Code, Command, Commanded};
use byline_core::message::{Header, Type, decode};
use byline_core::node::ConnectionId;
use byline_core::runtime::{Seat, Snapshot};
use byline_core::stream::CommitHeader;

use crate::totals::{Count, Totals};
use crate::world::Peer;
use access::Granted;
use answers::{Answered, Answers, What};
pub(crate) use books::Author;
use books::Books;
use children::Children;
pub(crate) use children::{Asked, Where, place_of, value};
pub(crate) use collections::Copy;
use kept::Kept;
use outliving::Outliving;
pub(crate) use outliving::number_in;
use presence::Presences;
pub(crate) use readers::{Reader, SUM};
use resting::Pasts;
use taking::Takings;

/// What was broken: an invariant of ARCHITECTURE.md by its number, or the world itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// 1: a copy is some position of the original, and never goes back.
    Copy,
    /// 2: after faults stop, every Observer reaches the Reporter's version.
    Reach,
    /// 3: no write but the holder's is ever applied.
    Holder,
    /// 4: who may not read gets nothing.
    Access,
    /// 5: a commit is visible whole or not at all.
    Whole,
    /// 6: every request is answered exactly once, and nothing grows without a limit.
    Answer,
    /// 7: what was said to be stored survives a power cut.
    Stored,
    /// 8: no commit that was seen is silently replaced.
    Seen,
    /// 9: a child is its author's alone; what is removed stays removed, and what is safe is kept.
    Child,
    /// The world does not come to rest.
    Rest,
    /// A machine panicked.
    Panic,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copy => "invariant 1 (a copy is some position of the original)",
            Self::Reach => "invariant 2 (every Observer reaches the Reporter)",
            Self::Holder => "invariant 3 (only the holder writes)",
            Self::Access => "invariant 4 (who may not read gets nothing)",
            Self::Whole => "invariant 5 (a commit is visible whole)",
            Self::Answer => "invariant 6 (answered exactly once, nothing without a limit)",
            Self::Stored => "invariant 7 (what was said to be stored survives)",
            Self::Seen => "invariant 8 (no seen commit is silently replaced)",
            Self::Child => "invariant 9 (a child is its author's, and what was said of it holds)",
            Self::Rest => "the world comes to rest",
            Self::Panic => "no machine panics",
        })
    }
}

/// Which rule was broken, and how.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// What was seen.
    pub what: String,
}

/// All that is known of what should be.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) books: Books,
    pub(crate) answers: Answers,
    pub(crate) children: Children,
    granted: Granted,
    presences: Presences,
    kept: Kept,
    pasts: Pasts,
    takings: Takings,
    outliving: Outliving,
    /// The node has a disk.
    pub(crate) has_disk: bool,
    broken: Option<Broken>,
    /// The record of the node is gone, at least once.
    forgot: bool,
    /// The numbers of all writes that an Observer has shown.
    shown: BTreeSet<u64>,
}

impl Oracle {
    /// Notes the first rule that is broken.
    pub(crate) fn breaks(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(Broken { rule, what: what() });
        }
    }

    pub(crate) fn expects(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.breaks(rule, what);
        }
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn into_broken(self) -> Option<Broken> {
        self.broken
    }

    pub(crate) fn node_forgot(&mut self) {
        self.forgot = true;
        self.granted.forget();
        self.kept.forget();
        self.books.forget_holders();
        self.children_are_forgotten();
        self.answers = Answers::default();
    }

    pub(crate) const fn node_has_forgotten(&self) -> bool {
        self.forgot
    }

    /// A frame reached the node.
    pub(crate) fn node_hears(&mut self, from: ConnectionId, frame: &str, totals: &mut Totals) {
        self.answers.asked(from, frame);
        let child = Header::peek(frame)
            .ok()
            .filter(|header| header.kind != Type::Response && place_of(&header.to).is_some());
        let Some(child) = child else {
            return self.copies_come(frame, totals);
        };
        self.child_is_asked(&child);
        self.children.is_removing(&child);
        if self.children.is_sent_again(&child) {
            totals.one(Count::ChildrenSentAgain);
        }
    }

    /// The node sends one frame to one connection.
    pub(crate) fn node_sends(
        &mut self,
        to: ConnectionId,
        peer: Peer,
        identity: Option<&Identity>,
        frame: &str,
        totals: &mut Totals,
    ) {
        let Ok(header) = Header::peek(frame) else {
            return self.breaks(Rule::Answer, || {
                format!("the node says what is no message: {frame}")
            });
        };
        if header.kind == Type::Execute && header.from.ends_with("/sm") {
            match header.decode::<Command>() {
                Ok(Command::Superseded(..)) => totals.one(Count::Superseded),
                Ok(Command::Revoked(..)) => totals.one(Count::Revoked),
                Ok(Command::Presence(object, presence)) => {
                    totals.one(Count::PresenceTold);
                    self.presence(&object, presence);
                }
                _ => {}
            }
        }
        if header.kind != Type::Response {
            return self.gives(&header);
        }
        let code = header.decode::<Code>().map_or(500, |body| body.code);
        count_answer(&header, code, totals);
        match self.answers.answered(to, &header, code) {
            Ok(answered) => self.does((peer, identity), answered, &header, code, totals),
            Err(what) => self.breaks(Rule::Answer, || what),
        }
        // Content has a position; a plain 200 says nothing of the object.
        if code == 200 && header.body.contains("\"children\"") {
            self.removed_are_not_told(&header);
        }
        if place_of(&header.from).is_some() {
            self.outliving_is_answered(&header, code, totals);
        }
        let child = place_of(&header.from).filter(|_| code == 200);
        if let Some(place) = &child {
            self.children.are_removed(place, &header);
            self.child_is_answered(place, &header);
        }
        if code == 200 && child.is_none() && header.body.contains("\"position\"") {
            // Who reports has what the node took, whether or not its identity may read.
            let regains =
                header.to.ends_with("/reporter") && self.granted.owns(&header.from, identity);
            if !regains {
                self.reads(&header.from, &header.to, identity, frame);
            }
            self.gives(&header);
        }
    }

    /// The node sends something of an object to all who read it.
    pub(crate) fn node_publishes(&mut self, header: &Header<'_>) {
        self.gives(header);
        self.child_is_said(header);
    }

    /// The node took a commit, and passes it on to whoever reads.
    pub(crate) fn node_took_commit(
        &mut self,
        sender: Option<Peer>,
        frame: &str,
        totals: &mut Totals,
    ) {
        let Ok(header) = Header::peek(frame) else {
            return;
        };
        if self.node_took_child(sender, &header) {
            if header.body.contains(r#""attribute":"","#) {
                totals.one(Count::SaidWhole);
            }
            return totals.one(Count::ChildrenPublished);
        }
        totals.one(Count::Published);
        let Ok(commit) = CommitHeader::peek(header.body) else {
            return;
        };
        let holder = self.books.holder(&header.from);
        if self.granted.is_free(&header.from) && holder.is_none() {
            // Its claim is granted, and not said before it is stored.
            return self.books.stands(&header.from, commit.position);
        }
        self.expects(sender.is_some() && sender == holder, Rule::Holder, || {
            format!("{sender:?} wrote where {holder:?} holds: {frame}")
        });
        let follows = self.books.publishes(&header.from, commit.position);
        if let Err(why) = follows {
            self.breaks(Rule::Copy, || {
                format!("the node takes out of order, {why}: {frame}")
            });
        }
    }

    /// Something of an object goes to all who have it, `peer` of `identity` among them.
    pub(crate) fn hears(
        &mut self,
        (peer, identity): (Peer, Option<&Identity>),
        of_whom: &str,
        frame: &str,
    ) {
        if !self.heard_by_holder(peer, of_whom, frame) {
            self.reads(of_whom, "", identity, frame);
        }
    }

    /// A commit or a head, or content, goes to somebody of `identity`.
    pub(crate) fn reads(&mut self, from: &str, to: &str, identity: Option<&Identity>, frame: &str) {
        let may = self.granted.may_read(from, to, identity);
        self.expects(may, Rule::Access, || {
            format!("{identity:?} may not read, and gets {frame}")
        });
    }

    pub(crate) fn may_read(&self, seat: &Seat, identity: &Identity) -> bool {
        let (object, hyperty) = (seat.object.as_str(), seat.hyperty.as_str());
        self.granted.may_read(object, hyperty, Some(identity))
    }

    pub(crate) fn is_deleted(&self, object: &Address) -> bool {
        self.granted.is_deleted(object.as_str())
    }

    /// The node did what it was asked, or refused.
    fn does(
        &mut self,
        (peer, identity): (Peer, Option<&Identity>),
        answered: Answered,
        header: &Header<'_>,
        code: u16,
        totals: &mut Totals,
    ) {
        if answered.waited && code == 200 {
            totals.one(Count::WaitedServed);
        }
        match answered.what {
            What::Claim(claim) if code == 200 => {
                let url = claim.url.as_str();
                // What is on no record is the first one's to claim: liars keep away from that.
                let first = matches!(peer, Peer::Place(..)) && !self.granted.is_known(url);
                let may = first || self.granted.is_free(url) || self.granted.owns(url, identity);
                self.expects(may, Rule::Holder, || format!("{peer:?} claimed {url}"));
                self.claimed((peer, identity), &claim, header.body, totals);
            }
            What::Claim(_) if code == 409 => {
                let refusal = header.decode::<Refusal>().ok();
                totals.one(match refusal.and_then(|refusal| refusal.reason) {
                    Some(Reason::Held) => Count::ClaimHeld,
                    Some(Reason::Alone) => Count::ClaimAlone,
                    _ => Count::ClaimDiverged,
                });
            }
            What::Command(command) if code == 200 => {
                totals.one(match *command {
                    Command::Kick(..) => Count::Kicked,
                    Command::Allow(..) => Count::Allowed,
                    Command::Delegate(..) => Count::HandOversSaid,
                    _ => Count::AccessSaid,
                });
                if let Command::Delegate(object, _, to, keep) = &*command {
                    self.is_handed_over((peer, identity), object, to.as_ref(), *keep, totals);
                }
                let access = header.decode::<Commanded>().map(|body| body.access);
                let right = self.granted.commanded(&command, access.unwrap_or_default());
                if let Err(what) = right {
                    self.breaks(Rule::Access, || what);
                }
                let holder = matches!(peer, Peer::Place(..));
                self.expects(holder, Rule::Holder, || {
                    format!("{peer:?} commands {command:?}")
                });
            }
            What::Delete(object) if code == 200 => {
                totals.one(Count::Deleted);
                self.granted.deleted(object.as_str());
                self.books.deleted(&object);
                let holder = matches!(peer, Peer::Place(..));
                self.expects(holder, Rule::Holder, || {
                    format!("{peer:?} deletes {object}")
                });
            }
            _ => {}
        }
    }

    fn claimed(
        &mut self,
        (peer, identity): (Peer, Option<&Identity>),
        claim: &Claim,
        body: &str,
        totals: &mut Totals,
    ) {
        totals.one(Count::Claims);
        let based = matches!(claim.base, Some(Some(_)));
        if based {
            totals.one(Count::ReClaims);
        }
        if based && claim.snapshot {
            totals.one(Count::ReClaimSnapshot);
        }
        if claim.base == Some(None) {
            totals.one(Count::Discards);
        }
        let before = self.books.holder(claim.url.as_str());
        if claim.take && before.is_some_and(|before| before != peer) {
            totals.one(Count::Takes);
        }
        if matches!(peer, Peer::Liar(_)) {
            // It lets in whom it likes.
        } else {
            let former = self.passes(&claim.url, identity, totals);
            if (self.granted).claimed(&claim.url, &claim.access, !based, former.as_ref()) {
                totals.one(Count::OtherAccess);
            }
        }
        let claimed = decode::<Claimed>(body).ok();
        let position = claimed.as_ref().map(|claimed| claimed.position);
        self.books
            .claimed(&claim.url, peer, position.unwrap_or_default());
        if let Some(claimed) = claimed {
            self.gives_epoch(&claim.url, peer, &claimed, !based || claim.snapshot);
            self.children_claimed(claim, &claimed, peer);
        }
    }
}

fn count_answer(header: &Header<'_>, code: u16, totals: &mut Totals) {
    match code {
        207 => totals.one(Count::Many),
        410 => totals.one(Count::Gone),
        102 => totals.one(Count::Waited),
        403 => totals.one(Count::Denied),
        408 => totals.one(Count::TimedOut),
        409 if header.body.contains("\"gap\"") => totals.one(Count::ChildGaps),
        409 if header.from.ends_with("/changes") => totals.one(Count::CommitRefused),
        429 => totals.one(Count::TooMany),
        503 => totals.one(Count::Away),
        200 if header.body.contains("\"fresh\":true") => totals.one(Count::FreshSessions),
        200 if header.from == "mn:/session" && header.body.contains("runtimeToken") => {
            totals.one(Count::ReOpened);
        }
        _ => {}
    }
}

impl Oracle {
    /// Another process begins to report an object, whose owner is `identity`.
    pub(crate) fn new_author(&mut self, object: &Address, identity: &Identity) {
        self.books.new_author(object);
        self.children_begin(object);
        self.granted.owned_by(object, identity);
    }

    /// Who holds an object, as the node said.
    pub(crate) fn holder(&self, object: &str) -> Option<Peer> {
        self.books.holder(object)
    }

    /// Whether the node has no record of a claim.
    pub(crate) fn is_unclaimed(&self, object: &str) -> bool {
        !self.granted.is_known(object)
    }

    /// An application read an object once.
    pub(crate) fn was_read(&mut self, object: &Address, snapshot: &Snapshot) {
        let written = self.books.data_at(object, snapshot.position);
        if written.is_none_or(|written| **written != *snapshot.data) {
            self.breaks(Rule::Copy, || {
                format!(
                    "{object} was read as {} at {}",
                    snapshot.data, snapshot.position
                )
            });
        }
    }
}
