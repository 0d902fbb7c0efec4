//! Files that this runtime fetches (protocol.md §9): chunk by chunk, through cuts, and given out only when
//! the whole is what its author has described.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::authoring::{children_of, desk};
use super::files::{Content, FileKey};
use super::requests::Purpose;
use super::{Backoff, ChildError, Output, Runtime, Seat, Timer};
use crate::children::{ChildId, Chunk, ChunkWanted, FileDescription};
use crate::error::Refusal;
use crate::limits::{
    CHUNKS_UNDER_WAY_MAX, FETCH_SILENCES_MAX, FETCH_WINDOW, FETCHES_MAX, FETCHING_BYTES_MAX,
    UNDER_WAY_MAX,
};
use crate::message::{Type, decode};
use crate::syncher::{Observer, State};
use crate::time::Time;

/// A file that is fetched.
#[derive(Debug)]
pub(super) struct Fetch {
    seat: Seat,
    file: FileKey,
    description: FileDescription,
    /// For nobody, but to be kept.
    keep: bool,
    /// As long as the whole, once it has begun.
    content: Option<Vec<u8>>,
    /// The chunks that are neither here nor under way.
    missing: BTreeSet<u64>,
    under_way: BTreeSet<u64>,
    received: u64,
    backoff: Backoff,
    /// How often in a row nobody has answered.
    silences: usize,
    /// Nothing is asked for before then.
    until: Option<Time>,
}

impl Fetch {
    fn new(seat: Seat, file: FileKey, description: FileDescription, keep: bool) -> Self {
        Self {
            missing: (0..description.chunks()).collect(),
            seat,
            file,
            description,
            keep,
            content: None,
            under_way: BTreeSet::new(),
            received: 0,
            backoff: Backoff::default(),
            silences: 0,
            until: None,
        }
    }

    /// What was asked for is asked for again.
    pub(super) fn cut(&mut self) {
        self.missing.append(&mut self.under_way);
        self.until = None;
    }

    /// It begins anew another time, and has no place meanwhile.
    fn let_go(&mut self) {
        self.missing = (0..self.description.chunks()).collect();
        self.under_way.clear();
        self.received = 0;
        self.content = None;
    }

    fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, Vec::len)
    }

    /// A chunk has come.
    fn takes(&mut self, chunk: u64, bytes: &[u8]) -> Result<(), String> {
        let place = self.description.range(chunk);
        let place = place.and_then(|range| self.content.as_mut()?.get_mut(range));
        let Some(place) = place else { return Ok(()) };
        if place.len() != bytes.len() {
            return Err(format!(
                "chunk {chunk} came with {} bytes, where {} were described",
                bytes.len(),
                place.len()
            ));
        }
        place.copy_from_slice(bytes);
        self.received += bytes.len() as u64;
        self.silences = 0;
        self.backoff.reset();
        Ok(())
    }

    fn broken(&self, why: &str) -> Refusal {
        Refusal::broken(format!(
            "the file `{}` of `{}` is not what its author describes: {why}",
            self.description.name, self.file.id
        ))
    }
}

impl Runtime {
    /// Fetches the file that a child of an object describes, which this hyperty reports or observes. Tells
    /// how far it is by [`Output::Fetching`], and its end by [`Output::Fetched`], with the number
    /// returned. It goes on through cuts, and waits for who has the file to come, until
    /// [`Runtime::give_up_fetch`].
    ///
    /// # Errors
    /// [`ChildError`]; nothing was asked then.
    pub fn fetch(
        &mut self,
        seat: &Seat,
        name: &str,
        id: &ChildId,
        now: Time,
    ) -> Result<u64, ChildError> {
        let file = FileKey {
            object: seat.object.clone(),
            name: name.to_owned(),
            id: id.clone(),
        };
        let desk = desk(&mut self.synchers, seat, name, now)?;
        let child = desk.here().get(id);
        let value = child.map(|child| Arc::clone(&child.value));
        // One's own may not have come back yet.
        let value = value.or_else(|| self.own_child(seat, name, id));
        let value = value.ok_or_else(|| ChildError::NoChild(id.clone()))?;
        let description = FileDescription::read(&value)?;
        let here = self.file(&file);
        let here = here.filter(|content| content.description.sha256 == description.sha256);
        let here = here.map(|content| Arc::clone(&content.bytes));
        if here.is_none() && self.files.fetches.len() >= FETCHES_MAX {
            return Err(ChildError::Fetches);
        }
        self.calls += 1;
        let call = self.calls;
        match here {
            Some(bytes) => self.outbox.push_back(Output::Fetched(call, Ok(bytes))),
            None => {
                let fetch = Fetch::new(seat.clone(), file, description, false);
                self.files.fetches.insert(call, fetch);
                self.send_fetches(now);
            }
        }
        Ok(call)
    }

    /// Nobody waits for a file any more.
    pub fn give_up_fetch(&mut self, call: u64) {
        self.files.fetches.remove(&call);
    }

    /// Fetches a file for those who will ask when its author is gone. Of too many the oldest are not.
    pub(super) fn fetch_to_keep(
        &mut self,
        seat: &Seat,
        file: FileKey,
        description: FileDescription,
    ) {
        if self.file(&file).is_some() {
            return;
        }
        if self.files.fetches.len() >= FETCHES_MAX {
            let oldest = self.files.fetches.iter().find(|(_, one)| one.keep);
            let Some(oldest) = oldest.map(|(call, _)| *call) else {
                return;
            };
            self.files.fetches.remove(&oldest);
        }
        self.calls += 1;
        let fetch = Fetch::new(seat.clone(), file, description, true);
        self.files.fetches.insert(self.calls, fetch);
    }

    /// Asks for chunks that are missing: of the oldest files first, of each a few at once.
    pub(super) fn send_fetches(&mut self, now: Time) {
        for call in self.files.fetches.keys().copied().collect::<Vec<_>>() {
            while let Some((seat, file, chunk)) = self.next_missing(call, now) {
                let body = ChunkWanted {
                    resource: file.id,
                    chunk,
                };
                let (from, to) = (seat.hyperty.as_str(), children_of(&seat, &file.name));
                let purpose = Purpose::Chunk(call, chunk);
                self.request(Type::Read, from, &to, &body, purpose, now);
            }
            self.end_if_whole(call);
        }
    }

    /// The next chunk of a file to be asked for now, which is under way from here on.
    fn next_missing(&mut self, call: u64, now: Time) -> Option<(Seat, FileKey, u64)> {
        let fetches = &self.files.fetches;
        let fetch = fetches.get(&call)?;
        let under_way: usize = fetches.values().map(|one| one.under_way.len()).sum();
        let bytes: usize = fetches.values().map(Fetch::bytes).sum();
        let size = usize::try_from(fetch.description.size).ok()?;
        let may = self.may_fetch(&fetch.seat)
            && self.requests.under_way() < UNDER_WAY_MAX
            && under_way < CHUNKS_UNDER_WAY_MAX
            && fetch.under_way.len() < FETCH_WINDOW
            && fetch.until.is_none_or(|until| until <= now)
            && (fetch.content.is_some() || bytes + size <= FETCHING_BYTES_MAX);
        let fetch = self.files.fetches.get_mut(&call).filter(|_| may)?;
        fetch.until = None;
        fetch.content.get_or_insert_with(|| vec![0; size]);
        let chunk = fetch.missing.pop_first()?;
        fetch.under_way.insert(chunk);
        Some((fetch.seat.clone(), fetch.file.clone(), chunk))
    }

    /// Whether `seat` has a route, or reports the object, as far as is known. Who has the file may be there
    /// when the object's Reporter is not.
    fn may_fetch(&self, seat: &Seat) -> bool {
        let syncher = self.synchers.get(&seat.hyperty);
        self.session.is_live()
            && syncher.is_some_and(|syncher| match syncher.reporters.get(&seat.object) {
                Some(reporter) => reporter.state == State::Live,
                None => {
                    let observer = syncher.observers.get(&seat.object);
                    observer.is_some_and(Observer::is_served)
                }
            })
    }

    /// An answer to [`Purpose::Chunk`].
    pub(super) fn chunk_answered(&mut self, call: u64, chunk: u64, body: &str) {
        let fetch = self.files.fetches.get_mut(&call);
        let Some(fetch) = fetch.filter(|fetch| fetch.under_way.contains(&chunk)) else {
            return;
        };
        fetch.under_way.remove(&chunk);
        let bytes = decode::<Chunk>(body).and_then(|answer| answer.bytes());
        let taken = match &bytes {
            Ok(bytes) => fetch.takes(chunk, bytes),
            Err(refusal) => Err(refusal.desc.to_string()),
        };
        if let Err(why) = taken {
            let refusal = fetch.broken(&why);
            return self.end_fetch(call, Err(refusal));
        }
        let told = Output::Fetching(call, fetch.received);
        if !fetch.keep {
            self.outbox.push_back(told);
        }
        self.end_if_whole(call);
    }

    /// Who was asked for a chunk refuses it, for now or for good.
    pub(super) fn chunk_refused(&mut self, call: u64, chunk: u64, refusal: Refusal, now: Time) {
        let fetch = self.files.fetches.get_mut(&call);
        let Some(fetch) = fetch.filter(|fetch| fetch.under_way.contains(&chunk)) else {
            return;
        };
        fetch.under_way.remove(&chunk);
        fetch.missing.insert(chunk);
        fetch.silences += usize::from(refusal.code == 408);
        let silences = fetch.silences;
        let seat = fetch.seat.clone();
        let later = match refusal.code {
            408 => silences < FETCH_SILENCES_MAX,
            429 | 503 => true,
            // A reader's grant is being decided on.
            403 => !self.may_fetch(&seat),
            _ => false,
        };
        if !later {
            return self.end_fetch(call, Err(refusal));
        }
        let Some(fetch) = self.files.fetches.get_mut(&call) else {
            return;
        };
        if fetch.keep && refusal.code != 429 {
            fetch.let_go();
        }
        if fetch.until.is_none() {
            let wait_ms = fetch.backoff.next_ms(refusal.retry, &mut self.entropy);
            let at = now.plus_ms(wait_ms);
            fetch.until = Some(at);
            self.timers.insert((at, Timer::Fetch(call)));
        }
    }

    /// A file of which nothing is missing is checked, and given out or kept.
    fn end_if_whole(&mut self, call: u64) {
        let fetch = self.files.fetches.get_mut(&call);
        let whole = |fetch: &&mut Fetch| fetch.missing.is_empty() && fetch.under_way.is_empty();
        let Some(fetch) = fetch.filter(whole) else {
            return;
        };
        let bytes: Arc<[u8]> = fetch.content.take().unwrap_or_default().into();
        if !fetch.description.describes(&bytes) {
            let refusal = fetch.broken("its SHA-256 is another");
            return self.end_fetch(call, Err(refusal));
        }
        if fetch.keep {
            let (file, description) = (fetch.file.clone(), fetch.description.clone());
            self.files.keep(file, Content { description, bytes });
            self.files.fetches.remove(&call);
        } else {
            self.end_fetch(call, Ok(bytes));
        }
    }

    fn end_fetch(&mut self, call: u64, result: Result<Arc<[u8]>, Refusal>) {
        let fetch = self.files.fetches.remove(&call);
        if fetch.is_some_and(|fetch| !fetch.keep) {
            self.outbox.push_back(Output::Fetched(call, result));
        }
    }

    fn end_fetches(&mut self, refusal: &Refusal, of: impl Fn(&Fetch) -> bool) {
        let ended = self.files.fetches.iter().filter(|(_, one)| of(one));
        for call in ended.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.end_fetch(call, Err(refusal.clone()));
        }
    }

    /// A child is gone: nobody has its file any more.
    pub(super) fn fetches_of_removed(&mut self, file: &FileKey) {
        let gone = Refusal::gone(format!("the file `{}` was removed", file.id));
        self.end_fetches(&gone, |fetch| fetch.file == *file);
    }

    /// It is over with the object at a seat.
    pub(super) fn fetches_end(&mut self, seat: &Seat, refusal: &Refusal) {
        self.end_fetches(refusal, |fetch| fetch.seat == *seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    /// What a lying author can do to one who fetches: nothing but have it fail.
    #[test]
    fn a_chunk_of_another_length_is_refused_and_one_twice_counted_once() {
        let content = vec![7; 10];
        let description = FileDescription::of("a", "text/plain", &content).unwrap();
        let hyperty = Address::parse("hyperty://d/h").unwrap();
        let object = Address::parse("ctxt://d/o").unwrap();
        let file = FileKey {
            object: object.clone(),
            name: "files".to_owned(),
            id: ChildId::new(hyperty.clone(), 1),
        };
        let mut fetch = Fetch::new(Seat { hyperty, object }, file, description, false);
        assert_eq!(fetch.takes(0, &content), Ok(()), "nothing has begun");
        assert_eq!(fetch.received, 0);
        fetch.content = Some(vec![0; 10]);
        for bytes in [&content[1..], &[7; 11][..], &[][..]] {
            assert!(fetch.takes(0, bytes).is_err());
        }
        assert_eq!(fetch.takes(0, &content), Ok(()));
        assert_eq!(fetch.received, 10);
    }
}
