//! What rests of what an author wrote and does not know to be safe (docs/decisions/0010-one-batch-at-a-time.md). It is kept at a
//! place, as the collections are (`rest.rs`).
//!
//! | table | key | value |
//! |---|---|---|
//! | child_writes | place, name | an [`AuthorRow`] as JSON |
//! | child_writes | place, name, number | a [`WriteRow`] as JSON; in the order in which they are sent |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::write::{Unsafe, Write};
use super::{Act, Authoring, ChildCommit, Collection, is_name};
use crate::address::Address;
use crate::limits::UNSAFE_COMMITS_MAX;
use crate::message::Type;
use crate::storage::{Batch, Table, key};
use crate::stream::Position;
use crate::time::Time;

/// What of a queue its rows do not say yet.
#[derive(Debug, Default)]
pub(super) struct UnstoredWrites {
    /// The number of the first write's row: of those after it, one more each.
    first: u64,
    rows: BTreeSet<u64>,
    author: bool,
}

/// How far an author is.
#[derive(Debug, Serialize, Deserialize)]
struct AuthorRow {
    epoch: u64,
    safe: Position,
    number: u64,
}

/// A write as a commit: as it was sent, or without its place.
#[derive(Serialize, Deserialize)]
struct WriteRow {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sent: bool,
    body: Box<RawValue>,
}

impl UnstoredWrites {
    /// The first write has left the queue.
    pub(super) fn leaves(&mut self) {
        self.rows.insert(self.first);
        self.first += 1;
        self.author = true;
    }

    /// Those at these places in the queue are others, or no longer there.
    pub(super) fn change(&mut self, places: Range<usize>) {
        let first = self.first;
        self.rows.extend(places.map(|at| first + at as u64));
        self.author = true;
    }
}

impl Authoring {
    /// It rests from now on: all of it is to be stored.
    pub(crate) fn rests(&mut self) {
        let mut unstored = UnstoredWrites::default();
        unstored.change(0..self.queue.len());
        self.unstored = Some(unstored);
    }

    /// It rests no longer: its rows stay as they are.
    pub(crate) fn forget(&mut self) {
        self.unstored = None;
    }

    /// Whether it rests.
    pub(crate) const fn is_resting(&self) -> bool {
        self.unstored.is_some()
    }

    /// Whether it rests, and its rows do not say all of it.
    pub(crate) fn is_to_be_stored(&self) -> bool {
        self.unstored.as_ref().is_some_and(|one| one.author)
    }

    /// What is at these places in the queue is another, or has left them; or how far the author is.
    pub(super) fn changes(&mut self, places: Range<usize>) {
        if let Some(unstored) = &mut self.unstored {
            unstored.change(places);
        }
    }

    /// The calls of which nobody will hear in this life any more; what they wrote stays.
    pub(crate) fn part(&mut self) -> Vec<u64> {
        self.queue
            .iter_mut()
            .filter_map(|one| one.call.take())
            .collect()
    }

    /// What `author` wrote, as it rested: the epoch of what is sent next, up to where everything is safe, the highest
    /// number used, and what waits.
    fn restored(
        author: Address,
        (epoch, safe, number): (u64, Position, u64),
        queue: VecDeque<Unsafe>,
        unstored: UnstoredWrites,
        here: &Collection,
    ) -> Self {
        let mut authoring = Self::new(author, None, Time::default());
        (authoring.epoch, authoring.safe, authoring.number) = (epoch, safe, number);
        (authoring.queue, authoring.unstored) = (queue, Some(unstored));
        authoring.owns_as_rested(here);
        authoring.bytes = authoring.queue.iter().map(|one| one.bytes).sum();
        authoring.settle(here);
        authoring
    }

    /// Puts into `batch` what its rows at `place` do not say yet; from now on they do. Costs as much as that.
    pub(crate) fn write_rows(&mut self, place: &[u8], name: &str, batch: &mut Batch) {
        let Some(unstored) = self.unstored.as_mut().filter(|one| one.author) else {
            return;
        };
        unstored.author = false;
        let place = key(&[place, name.as_bytes()]);
        for number in std::mem::take(&mut unstored.rows) {
            let at = number.checked_sub(unstored.first);
            let at = at.and_then(|at| usize::try_from(at).ok());
            let key = key(&[&place, &number.to_be_bytes()]);
            match at.and_then(|at| self.queue.get(at)) {
                Some(one) => batch.put(Table::ChildWrites, key, json(&one.row(&self.author))),
                None => batch.remove(Table::ChildWrites, key),
            }
        }
        let row = AuthorRow {
            epoch: self.epoch,
            safe: self.safe,
            number: self.number,
        };
        batch.put(Table::ChildWrites, place, json(&row));
    }
}

impl Unsafe {
    fn row(&self, author: &Address) -> WriteRow {
        let unsent = || ChildCommit {
            from: author.clone(),
            identity: None,
            position: Position::new(0, 1),
            base: None,
            act: self.write.unplaced(),
        };
        let commit = self.sent.clone().unwrap_or_else(unsent);
        WriteRow {
            kind: commit.kind().as_str().to_owned(),
            sent: self.sent.is_some(),
            body: commit.encode(),
        }
    }
}

impl WriteRow {
    fn read(&self, author: &Address) -> Result<Unsafe, String> {
        let (kind, body) = (Type::of(&self.kind), self.body.get());
        let commit = ChildCommit::decode(kind, author.as_str(), body);
        let commit = commit.map_err(|refusal| refusal.to_string())?;
        Ok(Unsafe {
            call: None,
            write: Write::of(&commit.act).ok_or("a write that does nothing")?,
            bytes: body.len(),
            sent: self.sent.then_some(commit),
            asked: false,
            dated: false,
            again: false,
        })
    }
}

impl Write {
    /// What it does, as far as that is known before it is sent.
    pub(super) fn unplaced(&self) -> Act {
        let nowhere = Position::default();
        match self {
            Self::Moderate(ids) => {
                Act::Moderate(ids.iter().map(|id| (id.clone(), nowhere)).collect())
            }
            Self::Forget(authors) => {
                Act::Forget(authors.iter().map(|one| (one.clone(), nowhere)).collect())
            }
            _ => self.act(Time::default()),
        }
    }

    /// The write that does so.
    fn of(act: &Act) -> Option<Self> {
        Some(match act.clone() {
            Act::Create(id, _, value) => Self::Create(id, value),
            Act::Update(id, changes) => Self::Update(id, changes),
            Act::Delete(id) => Self::Delete(id),
            Act::Moderate(of) => Self::Moderate(of.into_keys().collect()),
            Act::Close(closed) => Self::Close(closed),
            Act::Forget(authors) => Self::Forget(authors.into_keys().collect()),
            Act::Nothing => return None,
        })
    }
}

/// What an author of several collections wrote, as the rows of one place say it, while these are handed in.
#[derive(Debug, Default)]
pub(crate) struct RestoredWrites(BTreeMap<String, Rows>);

#[derive(Debug, Default)]
struct Rows {
    author: Option<AuthorRow>,
    writes: BTreeMap<u64, Unsafe>,
}

impl RestoredWrites {
    /// Takes a row of the table `child_writes`, of what `author` wrote, in any order; of its `key`, what follows the
    /// place.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn row(&mut self, key: &[u8], value: &[u8], author: &Address) -> Result<(), String> {
        let (name, number) = match key.iter().position(|byte| *byte == 0) {
            Some(end) => (&key[..end], Some(&key[end + 1..])),
            None => (key, None),
        };
        let name = str::from_utf8(name).map_err(|error| error.to_string())?;
        if !is_name(name) {
            return Err(format!("`{name}` is no name of children"));
        }
        let rows = self.0.entry(name.to_owned()).or_default();
        match number {
            None => rows.author = Some(read(value)?),
            Some(number) => {
                let number = number
                    .try_into()
                    .map_err(|_| "its key ends with no number")?;
                let write = read::<WriteRow>(value)?.read(author)?;
                rows.writes.insert(u64::from_be_bytes(number), write);
            }
        }
        Ok(())
    }

    /// What `author` wrote, by name; `here` are the collections.
    ///
    /// # Errors
    /// What does not fit together.
    pub(crate) fn authoring<'a>(
        self,
        author: &Address,
        here: impl Fn(&str) -> Option<&'a Collection>,
    ) -> Result<BTreeMap<String, Authoring>, String> {
        let mut all = BTreeMap::new();
        for (name, rows) in self.0 {
            let none = Collection::default();
            let authoring = rows.authoring(author, here(&name).unwrap_or(&none));
            let authoring =
                authoring.map_err(|why| format!("what was written to `{name}`: {why}"))?;
            all.insert(name, authoring);
        }
        Ok(all)
    }
}

impl Rows {
    fn authoring(self, author: &Address, here: &Collection) -> Result<Authoring, String> {
        let AuthorRow {
            epoch,
            safe,
            number,
        } = self.author.ok_or("nothing is known of its author")?;
        let first = self.writes.keys().next().copied().unwrap_or_default();
        let mut last = safe;
        let mut queue = VecDeque::new();
        for (at, (number, one)) in (first..).zip(self.writes) {
            if number != at || queue.len() >= 2 * UNSAFE_COMMITS_MAX {
                return Err("its writes are not all there, or too many".to_owned());
            }
            if let Some(sent) = &one.sent {
                if sent.position <= last || sent.position.epoch > epoch {
                    return Err(format!("it sent {} after {last}", sent.position));
                }
                last = sent.position;
            }
            queue.push_back(one);
        }
        let unstored = UnstoredWrites {
            first,
            ..UnstoredWrites::default()
        };
        Ok(Authoring::restored(
            author.clone(),
            (epoch, safe, number),
            queue,
            unstored,
            here,
        ))
    }
}

fn json(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).unwrap_or_default()
}

fn read<'a, T: Deserialize<'a>>(row: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(row).map_err(|error| error.to_string())
}
