//! One author's side of one collection (protocol.md §9): what it wrote and is not known to be safe,
//! in order, until the Reporter has it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::answering::Yours;
use super::own::Own;
use super::resting_writes::UnstoredWrites;
use super::write::{Answer, Unsafe, Write};
use super::{Act, ChildCommit, ChildId, Collection};
use crate::address::Address;
use crate::entropy::Entropy;
use crate::error::Retry;
use crate::limits::{UNSAFE_BYTES_MAX, UNSAFE_COMMITS_MAX, UNSAFE_WINDOW};
use crate::runtime::Backoff;
use crate::stream::Position;
use crate::time::Time;

/// So far apart at most are streams that begin above the same place.
const APART: u64 = 1 << 16;

/// One author's stream in one collection.
#[derive(Debug)]
pub(crate) struct Authoring {
    pub(super) author: Address,
    /// The epoch of what is sent next.
    pub(super) epoch: u64,
    /// Up to here everything is safe.
    pub(super) safe: Position,
    /// The highest number used.
    pub(super) number: u64,
    pub(super) queue: VecDeque<Unsafe>,
    pub(super) bytes: usize,
    pub(super) own: BTreeMap<ChildId, Own>,
    /// Where it rests: what of it is to be stored.
    pub(super) unstored: Option<UnstoredWrites>,
    /// Something was not taken: nothing is sent until all that is under way is answered.
    draining: Option<Drain>,
    /// Nothing is sent before.
    pub(crate) until: Option<Time>,
    backoff: Backoff,
}

/// How it goes on when nothing is under way any more.
#[derive(Clone, Copy, Debug, Default)]
struct Drain {
    /// From where the Reporter has it.
    gap: Option<Position>,
    /// With other numbers: one was refused.
    refused: bool,
    /// At once: the reason is mended.
    mended: bool,
    /// As the other side said, when it did.
    retry: Option<Retry>,
}

impl Authoring {
    /// The stream of `author`, from where the Reporter says that it stands; nothing when it knows none.
    /// It begins with the clock's milliseconds as its epoch, or above what the Reporter says when that is
    /// more: the Reporter may have lost what is with readers, and no two streams are to be taken for one.
    /// A clock that was set back shows other milliseconds, too, each time.
    pub(crate) fn new(author: Address, yours: Option<Yours>, now: Time) -> Self {
        let Yours { position, number } = yours.unwrap_or_default();
        let now_ms = now.unix_ms();
        Self {
            author,
            epoch: now_ms.max(position.epoch.saturating_add(1 + now_ms % APART)),
            safe: position,
            number,
            queue: VecDeque::new(),
            bytes: 0,
            own: BTreeMap::new(),
            unstored: None,
            draining: None,
            until: None,
            backoff: Backoff::default(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether `bytes` more can wait.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.queue.len() < UNSAFE_COMMITS_MAX
            && self.own.len() < 2 * UNSAFE_COMMITS_MAX
            && self.bytes + bytes <= UNSAFE_BYTES_MAX
    }

    /// Goes on from where the Reporter says that the stream stands; gives what is safe by that. While
    /// something is under way, the answers to that will say it. What was sent and is not there may have been taken
    /// by a Reporter that lost it since, and be with readers: its places are not used for anything else.
    pub(crate) fn stands(&mut self, yours: Option<Yours>) -> Vec<Unsafe> {
        let Yours { position, number } = yours.unwrap_or_default();
        self.has_used(number);
        if self.queue.iter().any(|one| one.asked) {
            return vec![];
        }
        self.go_on_from(position, true)
    }

    pub(crate) fn next_id(&self) -> ChildId {
        ChildId::new(self.author.clone(), self.number + 1)
    }

    /// Lets a write wait for its turn; `bytes` is its length. `value` is the author's own child after
    /// it, `here` its collection. By a copy that is not where the stream is safe it says the whole child.
    pub(crate) fn push(
        &mut self,
        call: u64,
        write: Write,
        bytes: usize,
        value: Option<Arc<Value>>,
        here: &Collection,
    ) {
        if let Write::Create(id, _) = &write {
            self.number = id.number();
        }
        let mut one = Unsafe {
            call: Some(call),
            write,
            bytes,
            sent: None,
            asked: false,
            dated: false,
            again: false,
        };
        if let Some(value) = value.as_ref().filter(|_| !self.is_in_step(here)) {
            one.says(value);
        }
        if let Some(id) = one.write.child() {
            let before = self.child(id, here);
            let own = self.own.entry(id.clone()).or_default();
            own.waits(before, value);
        }
        self.bytes += one.bytes;
        self.changes(self.queue.len()..self.queue.len() + 1);
        self.queue.push_back(one);
    }

    /// Whether a write of nobody's is there that is not safe yet.
    pub(crate) fn is_urged(&self) -> bool {
        self.queue.iter().any(Unsafe::is_urgent)
    }

    /// The children that leave by what is not safe yet.
    pub(crate) fn leaving(&self) -> BTreeSet<&ChildId> {
        self.queue
            .iter()
            .flat_map(|one| one.write.deletes())
            .collect()
    }

    /// Lets a write of nobody's go before all that was not sent yet, unless there is one that does.
    pub(crate) fn urge(&mut self, write: Write) {
        let sent = self
            .queue
            .iter()
            .take_while(|one| one.sent.is_some())
            .count();
        if !self.queue.get(sent).is_some_and(Unsafe::is_urgent) {
            let urgent = Unsafe {
                call: None,
                write,
                bytes: 0,
                sent: None,
                asked: false,
                dated: false,
                again: false,
            };
            self.queue.insert(sent, urgent);
            self.changes(sent..self.queue.len());
        }
    }

    /// The next write to be sent, and whether it was sent before; none when there is none that may be.
    pub(crate) fn due(&self, now: Time) -> Option<(&Write, bool)> {
        let waits = self.until.is_some_and(|until| until > now);
        if waits || self.draining.is_some() {
            return None;
        }
        let mut window = self.queue.iter().take(UNSAFE_WINDOW);
        let next = window.find(|one| !one.asked)?;
        Some((&next.write, next.sent.is_some()))
    }

    /// Ends the next write to be sent: there is nothing left to do.
    pub(crate) fn skip(&mut self, here: &Collection) -> Option<Unsafe> {
        let index = self.queue.iter().position(|one| !one.asked)?;
        self.remove(index, here)
    }

    /// The next commit to be sent; `act` says what its write does. It is the same each time, until it
    /// is known not to have arrived.
    pub(crate) fn send(&mut self, act: impl FnOnce(&Write) -> Act) -> Option<ChildCommit> {
        let index = self.queue.iter().position(|one| !one.asked)?;
        let ahead = index.checked_sub(1).and_then(|ahead| self.queue.get(ahead));
        let ahead = ahead.and_then(|one| one.sent.as_ref());
        let before = ahead.map_or(self.safe, |commit| commit.position);
        let epoch = self.epoch;
        let one = self.queue.get_mut(index)?;
        (one.asked, one.again) = (true, one.sent.is_some());
        let commit = one.sent.clone().unwrap_or_else(|| {
            let continues = before.epoch == epoch;
            let seq = if continues { before.version + 1 } else { 1 };
            let base = !continues && before != Position::default();
            ChildCommit {
                from: self.author.clone(),
                identity: None,
                position: Position::new(epoch, seq),
                base: base.then_some(before),
                act: act(&one.write),
            }
        });
        if one.sent.replace(commit.clone()).as_ref() != Some(&commit) {
            self.changes(index..index + 1);
        }
        Some(commit)
    }

    /// Takes back the last commit that was to be sent: the Reporter that wrote it does not take it.
    pub(crate) fn take_back(&mut self, position: Position, here: &Collection) -> Option<Unsafe> {
        let index = self.queue.iter().position(|one| one.is_at(position))?;
        self.remove(index, here)
    }

    /// Whether what was sent at `position` may be dated anew: that is done once.
    pub(crate) fn may_date(&self, position: Position) -> bool {
        let at = self.queue.iter().find(|one| one.is_at(position));
        at.is_some_and(|one| !one.dated && matches!(one.write, Write::Create(..)))
    }

    /// An answer to what was sent at `position`. Gives what it ends: all that is safe by it, or the
    /// one that is refused.
    pub(crate) fn answered(
        &mut self,
        position: Position,
        answer: Answer,
        here: &Collection,
    ) -> Vec<Unsafe> {
        let Some(index) = self.queue.iter().position(|one| one.is_at(position)) else {
            return vec![];
        };
        if let Answer::Safe = answer {
            self.backoff.reset();
            return self.safe_up_to(position);
        }
        let again = self.queue.get(index).is_some_and(|one| one.again);
        let drain = self.draining.get_or_insert_default();
        match answer {
            Answer::Gap(position) => drain.gap = Some(position),
            Answer::Refused => (drain.refused, drain.mended) = (true, true),
            // What was taken with another date may be with readers: its place is used.
            Answer::Dated(_) => (drain.refused, drain.mended) = (drain.refused || again, true),
            Answer::Later(retry) => drain.retry = Some(retry),
            Answer::Safe => {}
        }
        if let Answer::Refused = answer {
            return self.remove(index, here).into_iter().collect();
        }
        if let Some(one) = self.queue.get_mut(index) {
            one.asked = false;
            // Who says that has not minded its date: it may have to be dated again when it has waited for long.
            one.dated &= !matches!(answer, Answer::Later(_));
            if let (Answer::Dated(now), Some(sent)) = (answer, &mut one.sent) {
                one.dated = true;
                sent.date(now);
                self.changes(index..index + 1);
            }
        }
        vec![]
    }

    /// Goes on when nothing is under way any more; gives what is safe, and when to send again, when
    /// that is not at once.
    pub(crate) fn drained(
        &mut self,
        entropy: &mut Entropy,
        now: Time,
    ) -> (Vec<Unsafe>, Option<Time>) {
        let Some(drain) = self
            .draining
            .take_if(|_| self.queue.iter().all(|one| !one.asked))
        else {
            return (vec![], None);
        };
        let safe = match drain.gap {
            Some(position) => self.go_on_from(position, drain.refused),
            None => {
                if drain.refused {
                    // What is refused now may have been taken when it was sent before: its place is used.
                    self.epoch = self.epoch.saturating_add(1);
                    self.renumber();
                }
                vec![]
            }
        };
        self.until = None;
        if !drain.mended || drain.retry.is_some() {
            let retry = drain.retry.unwrap_or(Retry::Now);
            self.until = Some(now.plus_ms(self.backoff.next_ms(retry, entropy)));
        }
        (safe, self.until)
    }

    /// The connection is gone: what was under way will not be answered.
    pub(crate) fn cut(&mut self) {
        for one in &mut self.queue {
            (one.asked, one.dated) = (false, false);
        }
        self.draining = None;
        self.until = None;
    }

    /// All that is not safe: it will not be. What was sent may have been taken: its places are used.
    pub(crate) fn abandon(&mut self) -> Vec<Unsafe> {
        if self.queue.iter().any(|one| one.sent.is_some()) {
            self.epoch = self.epoch.saturating_add(1);
        }
        self.changes(0..self.queue.len());
        self.bytes = 0;
        self.own.clear();
        self.queue.drain(..).collect()
    }

    /// A commit came back, to `here`.
    pub(crate) fn saw(&mut self, commit: &ChildCommit, here: &Collection) {
        if commit.from == self.author {
            self.settle(here);
        }
    }

    /// Forgets of the author's own children what `here` has, and learns which numbers that has seen used.
    pub(crate) fn settle(&mut self, here: &Collection) {
        let yours = here.yours(self.author.as_str()).unwrap_or_default();
        self.has_used(yours.number);
        let seen = yours.position;
        self.own.retain(|_, own| own.is_news(seen));
    }

    /// Goes on from where the Reporter has the stream: when that is a place of this one, from there;
    /// else in a new epoch, with that place as its base, and what is changed is said whole. In a new one, too, where the
    /// places after it are `used` if anything was sent there.
    fn go_on_from(&mut self, position: Position, used: bool) -> Vec<Unsafe> {
        let sent = self.queue.iter().any(|one| one.is_at(position));
        let safe = if sent {
            self.safe_up_to(position)
        } else {
            vec![]
        };
        let used = used && self.queue.iter().any(|one| one.sent.is_some());
        let elsewhere = self.safe != position;
        if elsewhere {
            self.says_whole(position);
        }
        if elsewhere || used {
            self.epoch = self.epoch.max(position.epoch).saturating_add(1);
            self.safe = position;
        }
        self.renumber();
        safe
    }

    /// Nothing of what is left has arrived: it gets other places.
    fn renumber(&mut self) {
        for one in &mut self.queue {
            one.sent = None;
        }
        self.changes(0..self.queue.len());
    }

    /// The author has used the numbers up to this one.
    fn has_used(&mut self, number: u64) {
        if number > self.number {
            self.number = number;
            self.changes(0..0);
        }
    }

    fn safe_up_to(&mut self, position: Position) -> Vec<Unsafe> {
        let mut safe = Vec::new();
        while let Some(sent) = self.queue.front().and_then(|one| one.sent.as_ref())
            && sent.position <= position
        {
            self.safe = sent.position;
            let Some(one) = self.queue.pop_front() else {
                break;
            };
            if let Some(unstored) = &mut self.unstored {
                unstored.leaves();
            }
            self.bytes -= one.bytes;
            if let Some(own) = one.write.child().and_then(|id| self.own.get_mut(id)) {
                own.is_safe(&one.write, self.safe);
            }
            safe.push(one);
        }
        safe
    }

    /// Takes a write out: the author's own child is as if it had not been.
    fn remove(&mut self, index: usize, here: &Collection) -> Option<Unsafe> {
        let one = self.queue.remove(index)?;
        self.changes(index..self.queue.len() + 1);
        self.bytes -= one.bytes;
        if let Some(id) = one.write.child()
            && let Some(own) = self.own.get_mut(id)
        {
            own.is_refused();
            let about = self
                .queue
                .iter()
                .filter(|one| one.write.child() == Some(id));
            let child = here.get(id).and_then(|_| own.before());
            own.value = about.fold(child, |child, one| one.write.applied(child));
        }
        Some(one)
    }
}
