//! What others ask of the application (protocol.md §5, §6). Each question waits for the application's
//! answer, in bounded number and for a bounded time, and ends with the connection that it came on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Output, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{HELD_MS, QUESTIONS_MAX};
use crate::message::Header;
use crate::syncher::Due;
use crate::time::Time;

/// Whom to answer, and under which id.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) address: String,
    /// As JSON text.
    pub(super) id: String,
    /// The address asked, which the answer is from.
    pub(super) asked: String,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// To read, from where the asker stands.
    Read(Box<Due>),
    /// To have something done.
    Execute,
    /// That somebody observes, or has the object from now on.
    Come(bool),
}

/// A question that is not answered.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Whose application is asked, and about which object.
    pub(super) seat: Seat,
    /// Who asks, and as whom.
    pub(super) hyperty: Address,
    pub(super) identity: Option<Identity>,
    pub(super) asker: Asker,
    pub(super) wish: Wish,
    pub(super) until: Time,
}

/// What has one limit together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Read(Address),
    Execute(Address),
    Come,
}

/// The questions that are not answered.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<u64, Question>,
    on: BTreeMap<Topic, BTreeSet<u64>>,
}

impl Question {
    fn topic(&self) -> Topic {
        match &self.wish {
            Wish::Read(_) => Topic::Read(self.seat.object.clone()),
            Wish::Execute => Topic::Execute(self.seat.object.clone()),
            Wish::Come(_) => Topic::Come,
        }
    }

    /// Whether `other` asks the same once more.
    fn repeats(&self, other: &Self) -> bool {
        let same = (&self.seat, &self.hyperty, &self.identity);
        let wish = match (&self.wish, &other.wish) {
            (Wish::Read(due), Wish::Read(other)) => due.whole == other.whole,
            (Wish::Come(delegate), Wish::Come(other)) => delegate == other,
            _ => false,
        };
        wish && same == (&other.seat, &other.hyperty, &other.identity)
    }
}

impl Questions {
    pub(super) fn on(&self, topic: &Topic) -> Vec<u64> {
        let numbers = self.on.get(topic).into_iter().flatten();
        numbers.copied().collect()
    }

    pub(super) fn about(&self, url: &Address) -> Vec<u64> {
        let mut about = self.on(&Topic::Read(url.clone()));
        about.extend(self.on(&Topic::Execute(url.clone())));
        about
    }

    pub(super) fn get(&self, number: u64) -> Option<&Question> {
        self.open.get(&number)
    }

    fn repeated_by(&self, question: &Question) -> Option<u64> {
        let numbers = self.on.get(&question.topic()).into_iter().flatten();
        let same = |number: &&u64| {
            self.open
                .get(number)
                .is_some_and(|one| question.repeats(one))
        };
        numbers
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .find(same)
            .copied()
    }

    fn add(&mut self, number: u64, question: Question) {
        let on = self.on.entry(question.topic()).or_default();
        on.insert(number);
        self.open.insert(number, question);
    }

    fn remove(&mut self, number: u64) -> Option<Question> {
        let question = self.open.remove(&number)?;
        let topic = question.topic();
        if let Some(on) = self.on.get_mut(&topic) {
            on.remove(&number);
            if on.is_empty() {
                self.on.remove(&topic);
            }
        }
        Some(question)
    }
}

impl Asker {
    pub(super) fn of(header: &Header<'_>) -> Self {
        Self {
            address: header.from.to_string(),
            id: header.id.to_owned(),
            asked: header.to.to_string(),
        }
    }
}

impl Runtime {
    /// Keeps a question for the application. Gives back its number when it is a new one: who was cut and
    /// asks again is answered with its first question.
    pub(super) fn put_question(&mut self, question: Question) -> Result<Option<u64>, Refusal> {
        let repeated = self.questions.repeated_by(&question);
        if let Some(before) = repeated.and_then(|number| self.take_question(number)) {
            let desc = "asked again: the later request is answered";
            self.answer_question(&before, &Refusal::conflict(desc));
        } else if self.questions.on(&question.topic()).len() >= QUESTIONS_MAX {
            let desc = format!("{QUESTIONS_MAX} ask for the same and are not answered yet");
            return Err(Refusal::too_many(desc));
        }
        self.calls += u64::from(repeated.is_none());
        let number = repeated.unwrap_or(self.calls);
        self.timers
            .insert((question.until, Timer::Question(number)));
        self.questions.add(number, question);
        Ok(repeated.is_none().then_some(number))
    }

    /// Tells who asks that the application needs more time: `ms` milliseconds, at most 24 hours. Says
    /// whether the question was still open.
    pub fn hold(&mut self, number: u64, ms: u64, now: Time) -> bool {
        let Some(mut question) = self.take_question(number) else {
            return false;
        };
        question.until = now.plus_ms(ms.min(HELD_MS));
        self.answer_question(&question, &Refusal::follows("its application is asked"));
        self.timers
            .insert((question.until, Timer::Question(number)));
        self.questions.add(number, question);
        true
    }

    /// Takes a question that is answered now, or will not be.
    pub(super) fn take_question(&mut self, number: u64) -> Option<Question> {
        let question = self.questions.remove(number)?;
        self.timers
            .remove(&(question.until, Timer::Question(number)));
        Some(question)
    }

    pub(super) fn answer_question(&mut self, question: &Question, body: &impl serde::Serialize) {
        let Asker { address, id, asked } = &question.asker;
        self.respond(id, asked, address, body);
    }

    /// A question whose answer nobody needs from the application any more.
    pub(super) fn close_question(&mut self, number: u64) -> Option<Question> {
        let question = self.take_question(number)?;
        let gone = Output::Gone(question.seat.clone(), number);
        self.outbox.push_back(gone);
        Some(question)
    }

    pub(super) fn question_over(&mut self, number: u64, now: Time) {
        if self
            .questions
            .get(number)
            .is_some_and(|one| one.until <= now)
            && let Some(question) = self.close_question(number)
        {
            let desc = "its application did not answer in time";
            self.answer_question(&question, &Refusal::timed_out(desc));
        }
    }

    /// The questions that came from beyond this runtime.
    pub(super) fn questions_beyond(&self) -> Vec<u64> {
        let beyond = |question: &Question| !self.is_local(question.seat.object.as_str());
        let open = self.questions.open.iter();
        let beyond = open.filter(|(_, question)| beyond(question));
        beyond.map(|(number, _)| *number).collect()
    }

    /// Whoever asked these is answered by the node, or gone.
    pub(super) fn forget_questions(&mut self, numbers: Vec<u64>) {
        for number in numbers {
            self.close_question(number);
        }
    }
}
