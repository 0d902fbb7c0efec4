//! Every state that each object was in, at its position: what its Reporters wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use byline_core::address::Address;
use byline_core::runtime::Seat;
use byline_core::stream::{Position, ReporterStream};
use serde_json::Value;

use super::{Oracle, Rule};
use crate::world::Peer;

/// One state, and the one before.
#[derive(Debug)]
struct Entry {
    data: Arc<Value>,
    /// `None` where the application started afresh.
    before: Option<Position>,
}

#[derive(Debug, Default)]
struct Book {
    written: BTreeMap<Position, Entry>,
    holder: Option<Peer>,
    /// Where the node stands.
    published: Option<Position>,
    /// How many processes have reported it.
    authors: usize,
}

/// The book of each object.
#[derive(Debug, Default)]
pub(crate) struct Books {
    books: BTreeMap<String, Book>,
}

/// What one process writes on one object, and has no position for yet.
#[derive(Debug)]
pub(crate) struct Author {
    pub(crate) seat: Seat,
    known: Option<Position>,
    initial: Arc<Value>,
    pending: Vec<Arc<Value>>,
}

impl Author {
    pub(crate) fn new(seat: Seat, initial: Arc<Value>) -> Self {
        Self {
            seat,
            known: None,
            initial,
            pending: vec![],
        }
    }

    /// One that comes back at `known` with what it had no position for.
    pub(super) const fn again(
        seat: Seat,
        known: Option<Position>,
        initial: Arc<Value>,
        pending: Vec<Arc<Value>>,
    ) -> Self {
        Self {
            seat,
            known,
            initial,
            pending,
        }
    }

    pub(crate) fn wrote(&mut self, data: Arc<Value>) {
        self.pending.push(data);
    }
}

impl Books {
    pub(crate) fn new_author(&mut self, object: &Address) {
        self.book(object.as_str()).authors += 1;
    }

    /// Whether one process alone has reported the object: it remembers all it wrote.
    pub(super) fn has_one_author(&self, object: &Address) -> bool {
        self.books
            .get(object.as_str())
            .is_some_and(|book| book.authors == 1)
    }

    pub(super) fn data_at(&self, object: &Address, at: Position) -> Option<&Arc<Value>> {
        let book = self.books.get(object.as_str())?;
        book.written.get(&at).map(|entry| &entry.data)
    }

    /// Where the object stood when it was last written by anybody.
    pub(crate) fn last(&self, object: &str) -> Option<Position> {
        let book = self.books.get(object)?;
        book.written.last_key_value().map(|(at, _)| *at)
    }

    /// Whether `later` came out of `earlier`, or of a fresh start after it.
    pub(super) fn descends(&self, object: &Address, earlier: Position, later: Position) -> bool {
        let Some(book) = self.books.get(object.as_str()) else {
            return false;
        };
        let mut at = later;
        while at > earlier {
            match book.written.get(&at).map(|entry| entry.before) {
                Some(Some(before)) => at = before,
                Some(None) => return at.epoch > earlier.epoch,
                None => return false,
            }
        }
        at == earlier
    }

    pub(super) fn holder(&self, object: &str) -> Option<Peer> {
        self.books.get(object)?.holder
    }

    pub(super) fn forget_holders(&mut self) {
        for book in self.books.values_mut() {
            book.holder = None;
            book.published = None;
        }
    }

    /// The node has the object at `position`, whoever holds it.
    pub(super) fn stands(&mut self, object: &str, position: Position) {
        self.book(object).published = Some(position);
    }

    pub(super) fn claimed(&mut self, object: &Address, peer: Peer, position: Position) {
        let book = self.book(object.as_str());
        book.holder = Some(peer);
        // Who guesses its epoch may write before it is told of it.
        let ahead = book.published.filter(|at| at.epoch == position.epoch);
        book.published = ahead.max(Some(position));
    }

    /// The node passes the commit at `position`; says what it should have followed, if it does not.
    pub(super) fn publishes(&mut self, object: &str, position: Position) -> Result<(), String> {
        let book = self.book(object);
        let before = book.published.replace(position);
        if matches!(book.holder, Some(Peer::Liar(_))) {
            // Whatever it says, versions go up by one.
            let follows = before.is_none_or(|before| position.version == before.version + 1);
            return if follows {
                Ok(())
            } else {
                Err(format!("the node is at {before:?}"))
            };
        }
        match book.written.get(&position) {
            Some(entry) if entry.before == before => Ok(()),
            Some(entry) => Err(format!(
                "it follows {:?}, the node is at {before:?}",
                entry.before
            )),
            None => Err("nobody wrote it".to_owned()),
        }
    }

    pub(super) fn deleted(&mut self, object: &Address) {
        let book = self.book(object.as_str());
        (book.holder, book.published) = (None, None);
    }

    fn book(&mut self, object: &str) -> &mut Book {
        if !self.books.contains_key(object) {
            self.books.insert(object.to_owned(), Book::default());
        }
        self.books.entry(object.to_owned()).or_default()
    }
}

impl Oracle {
    /// Notes the positions that what was written has by now.
    pub(crate) fn numbers(&mut self, author: &mut Author, stream: &ReporterStream) {
        let Some(position) = stream.position() else {
            return;
        };
        if Some(position) == author.known {
            // It has caught up with what it knew, and given back what had no position.
            let kept = stream.unsent().min(author.pending.len());
            if kept < author.pending.len() {
                author.pending.drain(..author.pending.len() - kept);
                self.adopts(author, position);
            }
            return;
        }
        let object = author.seat.object.clone();
        if self.books.data_at(&object, position).is_some() {
            // It has caught up with what another wrote, and given back what it had beside.
            author.pending.clear();
            author.known = Some(position);
            return self.adopts(author, position);
        }
        let start = author.known.unwrap_or_else(|| {
            let start = Position::new(position.epoch, 0);
            let initial = Arc::clone(&author.initial);
            self.enters(&object, start, initial, None);
            start
        });
        let count = author.pending.len() as u64;
        self.expects(
            position.version == start.version + count,
            Rule::Copy,
            || format!("{object}: {count} commits lead from {start} to {position}"),
        );
        let mut before = start;
        for (version, data) in (start.version + 1..).zip(author.pending.drain(..)) {
            let at = Position::new(position.epoch, version);
            self.enters(&object, at, data, Some(before));
            before = at;
        }
        author.known = Some(position);
    }

    /// A Reporter goes on from what is at `position`.
    fn adopts(&mut self, author: &Author, position: Position) {
        let there = self.books.data_at(&author.seat.object, position).cloned();
        for data in there.into_iter().chain(author.pending.iter().cloned()) {
            self.is_now(&author.seat, data);
        }
    }

    fn enters(
        &mut self,
        object: &Address,
        at: Position,
        data: Arc<Value>,
        before: Option<Position>,
    ) {
        let entry = Entry { data, before };
        let book = self.books.book(object.as_str());
        let known = book.written.insert(at, entry);
        self.expects(known.is_none(), Rule::Seen, || {
            format!("{object}: {at} was written twice")
        });
    }
}
