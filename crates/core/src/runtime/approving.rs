//! Readers whom `access` leaves open: the application decides (protocol.md §6).

use super::questions::{Asker, Question, Topic, Wish};
use super::{Output, Runtime, Seat};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{HELD_MS, QUESTION_BYTES_MAX};
use crate::manager::closed_to_you;
use crate::message::Header;
use crate::stream::Digest;
use crate::syncher::Due;
use crate::time::Time;

/// Somebody asks to read an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// What [`Runtime::decide`] and [`Runtime::hold`] know it by.
    pub number: u64,
    /// The hyperty that asks.
    pub hyperty: Address,
    /// Who that is, as the node states it; nobody for an anonymous session.
    pub identity: Option<Identity>,
    /// It is to have the object once, and not to follow it.
    pub read: bool,
}

impl Runtime {
    /// The application is asked about a reader, which is told so.
    pub(super) fn ask_to_read(
        &mut self,
        seat: Seat,
        header: &Header<'_>,
        reader: (Address, Option<Identity>),
        mut due: Due,
        now: Time,
    ) -> Result<(), Refusal> {
        let (hyperty, identity) = reader;
        let read = due.whole;
        if header.body.len() > QUESTION_BYTES_MAX {
            // What it has is too much to be kept while it waits: it gets the whole.
            due.have = Digest::default();
        }
        let question = Question {
            seat: seat.clone(),
            hyperty: hyperty.clone(),
            identity: identity.clone(),
            asker: Asker::of(header),
            wish: Wish::Read(Box::new(due)),
            until: now.plus_ms(HELD_MS),
        };
        let new = self.put_question(question)?;
        let waits = Refusal::follows("its Reporter is asked");
        self.respond(header.id, &header.to, &header.from, &waits);
        if let Some(number) = new {
            let asking = Asking {
                number,
                hyperty,
                identity,
                read,
            };
            self.outbox.push_back(Output::Asked(seat, asking));
        }
        Ok(())
    }

    /// The application's answer to [`Output::Asked`]: yes, or why not, with a 4xx. A subscriber that is
    /// let in is so until it is put out. Says whether the question was still open.
    pub fn decide(&mut self, number: u64, answer: Result<(), Refusal>) -> bool {
        let asked = self.questions.get(number);
        if !asked.is_some_and(|one| matches!(one.wish, Wish::Read(_))) {
            return false;
        }
        let Some(question) = self.take_question(number) else {
            return false;
        };
        let follows = matches!(&question.wish, Wish::Read(due) if !due.whole);
        if follows && answer.is_ok() {
            let (hyperty, identity) = (&question.hyperty, question.identity.as_ref());
            let url = &question.seat.object;
            self.manager.approve(url, hyperty, identity);
            let url = url.clone();
            self.claim_changes(&url);
        }
        self.judged(question, answer);
        true
    }

    /// Who may read `url` was said anew: that may answer what the application was asked.
    pub(super) fn judge_again(&mut self, url: &Address) {
        for number in self.questions.on(&Topic::Read(url.clone())) {
            let Some(one) = self.questions.get(number) else {
                continue;
            };
            let identity = one.identity.as_ref();
            let decided = self
                .manager
                .decides(url, &one.hyperty, identity, &self.identity);
            let answer = match decided {
                Some(true) => Ok(()),
                Some(false) => Err(closed_to_you(url.as_str())),
                None => continue,
            };
            if let Some(question) = self.close_question(number) {
                self.judged(question, answer);
            }
        }
    }

    fn judged(&mut self, question: Question, answer: Result<(), Refusal>) {
        let Wish::Read(due) = question.wish.clone() else {
            return;
        };
        let let_in = answer.and_then(|()| self.let_in(&question.seat.object, *due));
        if let Err(refusal) = let_in {
            self.answer_question(&question, &refusal);
        }
    }
}
