//! What an application writes to children (protocol.md §9), as the Reporter of their object or as one
//! of many authors. `authoring.rs` sends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::authoring::{children_of, desk};
use super::{Runtime, Seat};
use crate::address::Address;
use crate::children::{Authoring, ChildId, FileError, Reported, Write, is_name};
use crate::error::Refusal;
use crate::limits::{
    CHILD_BYTES_MAX, CHILDREN_NAMES_MAX, EVENT_BODY_BYTES_MAX, FETCHES_MAX, FILES_SENT_BYTES_MAX,
    KEEP_MAX, UNSAFE_BYTES_MAX, UNSAFE_COMMITS_MAX,
};
use crate::message::{Type, encode};
use crate::object::{ApplyError, Change, JsonError, Misfit, apply, diff, encoded_len, normalise};
use crate::syncher::Reporter;
use crate::time::Time;

/// Why a call about children did nothing. It is the caller's to mend.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// This hyperty neither reports nor observes the object, or no longer.
    #[error("`{0}` is neither reported nor observed by this hyperty")]
    NotHere(Address),
    /// Nothing of the object has come yet: it is not known which children it has.
    #[error("nothing of `{0}` has come yet: wait until it is live")]
    NotYet(Address),
    /// It is over with the object.
    #[error("it is over with the object: {0}")]
    Closed(Refusal),
    /// There is no session, and this is not kept until there is.
    #[error("the object is away: what is said now is heard by nobody")]
    Away,
    /// The object has no children of this name.
    #[error("the object has no children `{0}`: its Reporter names them when it creates it")]
    UnknownName(String),
    /// A name, or how many are kept of it, cannot be.
    #[error(
        "`{0}` cannot be a name of children: write 1 to 64 of A-Z a-z 0-9 _ -, for at most {CHILDREN_NAMES_MAX} names, and keep 1 to {KEEP_MAX} of each"
    )]
    Name(String),
    /// There is no such child, or no longer.
    #[error("there is no child `{0}`")]
    NoChild(ChildId),
    /// The child is another's.
    #[error("`{0}` is another's: only its author changes it")]
    NotYours(ChildId),
    /// Only the object's Reporter does this.
    #[error("only the object's Reporter does this")]
    NotReporter,
    /// A value is no I-JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// What the application's type holds cannot be the child, or the child cannot be that type.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// A change does not fit the child.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A commit of no change.
    #[error("a commit to a child must change something")]
    NoChange,
    /// A child must be an object.
    #[error("a child must be a JSON object")]
    NotAnObject,
    /// More than a limit.
    #[error("{what} would have more than {limit} bytes as JSON: at most that many are allowed")]
    TooLarge {
        /// What would be too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It cannot be a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The files that this runtime has sent are too many.
    #[error(
        "the files sent by this runtime would have more than {FILES_SENT_BYTES_MAX} bytes: remove one"
    )]
    Files,
    /// More files are fetched than may be.
    #[error("{FETCHES_MAX} files are being fetched: wait for one")]
    Fetches,
    /// More waits to be safe than may.
    #[error(
        "{UNSAFE_COMMITS_MAX} commits or {UNSAFE_BYTES_MAX} bytes are not safe yet: wait for one"
    )]
    Full,
}

#[derive(Serialize)]
struct EventBody {
    value: Value,
}

impl Reporter {
    /// Begins with these collections, nobody's children in them yet.
    pub(super) fn begin_children(
        &mut self,
        hyperty: &Address,
        names: &BTreeMap<String, usize>,
        now: Time,
    ) -> Result<(), ChildError> {
        for (at, (name, keep)) in names.iter().enumerate() {
            if at >= CHILDREN_NAMES_MAX || !is_name(name) || !(1..=KEEP_MAX).contains(keep) {
                return Err(ChildError::Name(name.clone()));
            }
            let authoring = Authoring::new(hyperty.clone(), None, now);
            self.authoring.insert(name.clone(), authoring);
            let reported = Reported::new(hyperty.clone(), *keep);
            self.children.insert(name.clone(), reported);
        }
        Ok(())
    }
}

impl Runtime {
    /// Makes a child of `value`. It has its id at once; it is safe, or refused for good, when
    /// [`Output::Done`](super::Output::Done) says so of the call returned, and is in the collection when it has come back.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn create_child(
        &mut self,
        seat: &Seat,
        name: &str,
        value: Value,
        now: Time,
    ) -> Result<(ChildId, u64), ChildError> {
        let value = Arc::new(child(normalise(value)?)?);
        let bytes = measured("a child", &value, CHILD_BYTES_MAX)?;
        let id = desk(&mut self.synchers, seat, name, now)?
            .authoring
            .next_id();
        let write = Write::Create(id.clone(), Arc::clone(&value));
        let call = self.write_child(seat, name, write, bytes, Some(value), now)?;
        Ok((id, call))
    }

    /// Changes a child of one's own, as one commit: whole or not at all.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn update_child(
        &mut self,
        seat: &Seat,
        name: &str,
        id: &ChildId,
        changes: Vec<Change>,
        now: Time,
    ) -> Result<u64, ChildError> {
        let changes: Vec<Change> = changes
            .into_iter()
            .map(Change::normalise)
            .collect::<Result<_, JsonError>>()?;
        let bytes = measured("a commit", &changes, CHILD_BYTES_MAX)?;
        let mut value = self.own(seat, name, id, now)?;
        if changes.is_empty() {
            return Err(ChildError::NoChange);
        }
        let _undo = apply(Arc::make_mut(&mut value), &changes)?;
        measured("a child", &value, CHILD_BYTES_MAX)?;
        let write = Write::Update(id.clone(), changes);
        self.write_child(seat, name, write, bytes, Some(value), now)
    }

    /// Makes `next` the value of a child of one's own; no commit when it is that already.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn replace_child(
        &mut self,
        seat: &Seat,
        name: &str,
        id: &ChildId,
        next: Value,
        now: Time,
    ) -> Result<Option<u64>, ChildError> {
        let next = child(normalise(next)?)?;
        let changes = diff(&*self.own(seat, name, id, now)?, &next);
        if changes.is_empty() {
            return Ok(None);
        }
        self.update_child(seat, name, id, changes, now).map(Some)
    }

    /// Deletes a child of one's own, or, as the object's Reporter, anybody's: that is final.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn delete_child(
        &mut self,
        seat: &Seat,
        name: &str,
        id: &ChildId,
        now: Time,
    ) -> Result<u64, ChildError> {
        if *id.author() == seat.hyperty {
            self.own(seat, name, id, now)?;
            return self.write_child(seat, name, Write::Delete(id.clone()), 0, None, now);
        }
        let desk = desk(&mut self.synchers, seat, name, now)?;
        if !desk.reports() {
            return Err(ChildError::NotYours(id.clone()));
        }
        if desk.here().get(id).is_none() {
            return Err(ChildError::NoChild(id.clone()));
        }
        let write = Write::Moderate(vec![id.clone()]);
        self.write_child(seat, name, write, 0, None, now)
    }

    /// Closes a collection, as the object's Reporter, or opens it again: nobody else writes to it while
    /// it is closed. The children stay.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn close_children(
        &mut self,
        seat: &Seat,
        name: &str,
        closed: bool,
        now: Time,
    ) -> Result<u64, ChildError> {
        if !desk(&mut self.synchers, seat, name, now)?.reports() {
            return Err(ChildError::NotReporter);
        }
        self.write_child(seat, name, Write::Close(closed), 0, None, now)
    }

    /// A child of one's own as it is, what is not safe included.
    #[must_use]
    pub fn own_child(&self, seat: &Seat, name: &str, id: &ChildId) -> Option<Arc<Value>> {
        if *id.author() != seat.hyperty {
            return None;
        }
        let syncher = self.synchers.get(&seat.hyperty)?;
        let here = self.children(seat, name)?;
        let authoring = match syncher.reporters.get(&seat.object) {
            Some(reporter) => &reporter.authoring,
            None => &syncher.observers.get(&seat.object)?.authoring,
        };
        match authoring.get(name) {
            Some(authoring) => authoring.child(id, here),
            None => here.get(id).map(|child| Arc::clone(&child.value)),
        }
    }

    /// Says something to all who have the object now, at the children of this name. It is kept nowhere,
    /// and nobody answers.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was sent then.
    pub fn send_event(
        &mut self,
        seat: &Seat,
        name: &str,
        value: Value,
        now: Time,
    ) -> Result<(), ChildError> {
        let body = EventBody {
            value: normalise(value)?,
        };
        measured("an event", &body, EVENT_BODY_BYTES_MAX)?;
        desk(&mut self.synchers, seat, name, now)?;
        if !self.may_write(seat) {
            return Err(ChildError::Away);
        }
        let (from, to) = (seat.hyperty.as_str(), children_of(seat, name));
        let text = encode("null", Type::Event, from, &to, &body);
        self.send(from, &to, text);
        Ok(())
    }

    /// A child of `seat`'s own, as it is.
    fn own(
        &mut self,
        seat: &Seat,
        name: &str,
        id: &ChildId,
        now: Time,
    ) -> Result<Arc<Value>, ChildError> {
        let desk = desk(&mut self.synchers, seat, name, now)?;
        if *id.author() != seat.hyperty {
            return Err(ChildError::NotYours(id.clone()));
        }
        let child = desk.authoring.child(id, desk.here());
        child.ok_or_else(|| ChildError::NoChild(id.clone()))
    }

    fn write_child(
        &mut self,
        seat: &Seat,
        name: &str,
        write: Write,
        bytes: usize,
        value: Option<Arc<Value>>,
        now: Time,
    ) -> Result<u64, ChildError> {
        let mut desk = desk(&mut self.synchers, seat, name, now)?;
        if !desk.authoring.has_room(bytes) {
            return Err(ChildError::Full);
        }
        self.calls += 1;
        desk.push(self.calls, write, bytes, value);
        self.writing.insert((seat.clone(), name.to_owned()));
        self.children_change(seat);
        self.send_children(now);
        Ok(self.calls)
    }
}

fn child(value: Value) -> Result<Value, ChildError> {
    if value.is_object() {
        Ok(value)
    } else {
        Err(ChildError::NotAnObject)
    }
}

fn measured(what: &'static str, value: &impl Serialize, limit: usize) -> Result<usize, ChildError> {
    encoded_len(value, limit).ok_or(ChildError::TooLarge { what, limit })
}
