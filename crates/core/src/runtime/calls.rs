//! What an application asks of the runtime: create, write, subscribe, unsubscribe, read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{CallError, Output, Role, Runtime, Seat, Timer};
use crate::address::Address;
use crate::error::Refusal;
use crate::identity::encode_bytes;
use crate::limits::QUIET_MS;
use crate::manager::Claim;
use crate::message::body::Access;
use crate::object::{Change, Hash, Metadata};
use crate::stream::{ObserverStream, Position, ReporterStream, WriteError};
use crate::syncher::{Observer, Reporter, State};
use crate::time::Time;

/// What is to be created (protocol.md §5).
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// The schema, carried and not yet checked.
    pub schema: String,
    /// The initial data: version 0.
    pub data: Value,
    /// A name for people.
    pub name: Option<String>,
    /// A readable address, first come, first served; `None` has one minted from the runtime's key.
    pub url: Option<Address>,
    /// Who may read.
    pub access: Access,
    /// Whether the node may keep what the object holds, and answer readers from there; `None`: when `access` is
    /// public.
    pub cache: Option<bool>,
    /// Start afresh at an address of one's own, whatever was there.
    pub discard: bool,
    /// Take the address from another session of the same identity.
    pub take: bool,
    /// Whom `access` does not name is the application's to decide on: see
    /// [`Output::Asked`](super::Output::Asked).
    pub approve: bool,
    /// It stays inside this runtime: only its hyperties observe it, and it needs no node.
    pub local: bool,
    /// The names of its collections of children, and how many of each are kept.
    pub children: BTreeMap<String, usize>,
    /// It rests, and goes on when the runtime starts again: [`Runtime::wake`]. What is written is sent when it is
    /// stored.
    pub store: bool,
    /// Those of them whose files this runtime keeps, for when their authors are gone.
    pub files: BTreeSet<String>,
}

/// An object as it was at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the object says of itself.
    pub metadata: Metadata,
    /// Its data.
    pub data: Arc<Value>,
    /// Where its stream stood.
    pub position: Position,
    /// The hash of `data`, computed here.
    pub hash: Hash,
}

impl Runtime {
    /// The hyperty `name` of this runtime.
    ///
    /// # Errors
    /// [`CallError::Address`] when `name` cannot stand in an address.
    pub fn hyperty(&mut self, name: &str) -> Result<Address, CallError> {
        let id = format!("{}/{name}", self.url().id());
        Ok(Address::parse(&format!("hyperty://{}/{id}", self.domain))?)
    }

    /// Creates an object that `hyperty` reports. It may be written at once; the claim is sent as soon
    /// as there is a session.
    ///
    /// # Errors
    /// [`CallError`]; nothing was created then.
    pub fn create(
        &mut self,
        hyperty: &Address,
        create: Create,
        now: Time,
    ) -> Result<Seat, CallError> {
        let (url, nonce) = self.place_for(&create)?;
        if create.store {
            self.check_store()?;
        }
        self.wake(hyperty, now);
        let seat = Seat {
            hyperty: hyperty.clone(),
            object: url.clone(),
        };
        if self.goes_on_already(&seat, &create) {
            return Ok(seat);
        }
        if self.manager.claims.contains_key(&url) {
            return Err(CallError::Reported(url));
        }
        self.resting.resumed.remove(&(seat.clone(), Role::Reporter));
        let metadata = self.metadata_of(&seat, &create, now);
        let stream = ReporterStream::new(metadata, hyperty.clone(), create.data.clone())?;
        let mut reporter = Reporter::new(&url, stream);
        reporter.begin_children(hyperty, &create.children, now)?;
        if let Some(lost) = self.take_up(&seat, &create) {
            reporter = lost;
        } else if create.store {
            reporter.rest();
        }
        let claim = Claim {
            name: create.name,
            nonce,
            cache: create.cache.unwrap_or(create.access.public),
            discard: create.discard,
            take: create.take,
            approve: create.approve,
            local: create.local,
            children: create.children,
            ..Claim::new(hyperty.clone(), create.schema, create.access)
        };
        self.manager.claims.insert(url.clone(), claim);
        self.files.keep_all(&url, create.files);
        // What an earlier Reporter of this seat was told is no business of this one.
        self.outbox.retain(|output| {
            !matches!(output, Output::Reporter(of, _) | Output::Rejected(of, _)
                | Output::Children(of, ..) | Output::Event(of, ..) | Output::Presence(of) if *of == seat)
        });
        let syncher = self.synchers.entry(hyperty.clone()).or_default();
        syncher.reporters.insert(url.clone(), reporter);
        self.claim_changes(&url);
        self.reporter_changes(&url);
        self.children_change(&seat);
        if create.local {
            self.begin_local(&url, now);
        }
        self.begin(now);
        Ok(seat)
    }

    /// The address of what is to be created, and what its id was minted with.
    fn place_for(&mut self, create: &Create) -> Result<(Address, Option<String>), CallError> {
        if let Some(url) = &create.url {
            return Ok((self.of_domain(url.clone())?, None));
        }
        let nonce = self.entropy.nonce();
        let id = self.key.public().mint(&nonce);
        let url = Address::join(scheme_of(&create.schema), &self.domain, &id);
        Ok((url, Some(encode_bytes(&nonce))))
    }

    fn metadata_of(&self, seat: &Seat, create: &Create, now: Time) -> Metadata {
        Metadata {
            url: seat.object.as_str().to_owned(),
            schema: Some(create.schema.clone()),
            name: create.name.clone(),
            reporter: Some(seat.hyperty.as_str().to_owned()),
            runtime: Some(self.url().as_str().to_owned()),
            created: Some(now.rfc3339()),
            last_modified: Some(now.rfc3339()),
            status: Some("live".to_owned()),
            ..Metadata::default()
        }
    }

    /// Writes on an object as [`ReporterStream::write`] does.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn write(
        &mut self,
        seat: &Seat,
        changes: Vec<Change>,
        now: Time,
    ) -> Result<bool, WriteError> {
        self.writing(seat, now, |stream| stream.write(changes, now))
    }

    /// Makes `next` an object's state as [`ReporterStream::replace`] does.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn replace(&mut self, seat: &Seat, next: Value, now: Time) -> Result<bool, WriteError> {
        self.writing(seat, now, |stream| stream.replace(next, now))
    }

    /// Changes what an object says of itself as [`ReporterStream::describe`] does.
    ///
    /// # Errors
    /// [`WriteError`]; nothing has changed then.
    pub fn describe(
        &mut self,
        seat: &Seat,
        patch: Map<String, Value>,
        now: Time,
    ) -> Result<bool, WriteError> {
        let changed = self.writing(seat, now, |stream| stream.describe(patch, now))?;
        let name = self.reporter(seat).map(|one| one.metadata().name.clone());
        if let (Some(name), Some(claim)) = (name, self.manager.claims.get_mut(&seat.object)) {
            claim.name = name;
            self.claim_changes(&seat.object);
        }
        Ok(changed)
    }

    fn writing(
        &mut self,
        seat: &Seat,
        now: Time,
        write: impl FnOnce(&mut ReporterStream) -> Result<bool, WriteError>,
    ) -> Result<bool, WriteError> {
        let syncher = self.synchers.get_mut(&seat.hyperty);
        let Some(reporter) = syncher.and_then(|syncher| syncher.reporters.get_mut(&seat.object))
        else {
            return Err(WriteError::Closed("its object was let go".to_owned()));
        };
        if let State::Closed(refusal) = &reporter.state {
            return Err(WriteError::Closed(refusal.to_string()));
        }
        if reporter.deleting {
            return Err(WriteError::Closed("its object is being deleted".to_owned()));
        }
        let changed = write(&mut reporter.stream)?;
        let live = reporter.state == State::Live;
        if changed {
            self.written(&seat.object, now);
            self.reporter_changes(&seat.object);
            if live {
                self.dirty.insert(seat.object.clone());
            }
        }
        Ok(changed)
    }

    /// An object, or a child of it, was written: it is not quiet for a while.
    pub(super) fn written(&mut self, url: &Address, now: Time) {
        if let Some(reporter) = self.reporter_mut(url) {
            reporter.written = now;
            if !std::mem::replace(&mut reporter.quiet_armed, true) {
                let at = now.plus_ms(QUIET_MS);
                self.timers.insert((at, Timer::Quiet(url.clone())));
            }
        }
    }

    /// The stream of an object that a hyperty reports.
    #[must_use]
    pub fn reporter(&self, seat: &Seat) -> Option<&ReporterStream> {
        Some(
            &self
                .synchers
                .get(&seat.hyperty)?
                .reporters
                .get(&seat.object)?
                .stream,
        )
    }

    /// The stream of an object that a hyperty observes.
    #[must_use]
    pub fn observer(&self, seat: &Seat) -> Option<&ObserverStream> {
        Some(
            &self
                .synchers
                .get(&seat.hyperty)?
                .observers
                .get(&seat.object)?
                .stream,
        )
    }

    /// Makes `hyperty` an Observer of `url`: a snapshot comes, then every commit.
    ///
    /// # Errors
    /// [`CallError`]; nothing was sent then.
    pub fn subscribe(
        &mut self,
        hyperty: &Address,
        url: Address,
        now: Time,
    ) -> Result<Seat, CallError> {
        let url = self.of_domain(url)?;
        self.wake(hyperty, now);
        let seat = Seat {
            hyperty: hyperty.clone(),
            object: url.clone(),
        };
        if self.resting.resumed.remove(&(seat.clone(), Role::Observer)) {
            return Ok(seat);
        }
        let syncher = self.synchers.entry(hyperty.clone()).or_default();
        if syncher.observers.contains_key(&url) {
            return Err(CallError::Observed(url));
        }
        syncher.observers.insert(url, Observer::new());
        self.let_go.remove(&seat);
        self.begin(now);
        Ok(seat)
    }

    /// Ends an Observer: its copy stays where it is, and rests no longer.
    pub fn unsubscribe(&mut self, seat: &Seat, now: Time) {
        self.observer_forgets(seat);
        let syncher = self.synchers.get_mut(&seat.hyperty);
        let mut removed = syncher.and_then(|syncher| syncher.observers.remove(&seat.object));
        // Nor are its last steps the next Observer's, when there is one before they are told.
        self.outbox.retain(|output| {
            !matches!(output, Output::Observer(of, _) | Output::Changed(of, _)
                | Output::Children(of, ..) | Output::Event(of, ..) if of == seat)
        });
        if let Some(observer) = &mut removed {
            let refusal = Refusal::conflict("its Observer was let go");
            self.abandon(observer.authoring.values_mut(), &refusal);
            self.fetches_end(seat, &refusal);
        }
        let known = self.session.ended().is_none() && !self.is_local(seat.object.as_str());
        if self.is_local(seat.object.as_str()) {
            self.presence_changed(&seat.object);
        }
        if removed.is_some() && known {
            self.let_go.insert(seat.clone());
            if self.session.is_live() {
                self.send_unsubscribe(seat, now);
            }
        }
    }

    /// Sends what was just asked for, or fails it when there will be no session any more.
    pub(super) fn begin(&mut self, now: Time) {
        match self.session.ended().cloned() {
            Some(refusal) => self.close_objects(&refusal),
            None => self.send_due(now),
        }
    }

    pub(super) fn of_domain(&self, url: Address) -> Result<Address, CallError> {
        let url = Address::object(url.as_str())?;
        if url.domain() == self.domain {
            Ok(url)
        } else {
            Err(CallError::OtherDomain {
                url,
                domain: self.domain.clone(),
            })
        }
    }
}

/// The scheme of a minted address: the one that protocol.md §1 gives to the object's schema.
fn scheme_of(schema: &str) -> &'static str {
    match schema.rsplit('/').next().unwrap_or_default() {
        "Communication" => "comm",
        "Connection" => "connection",
        "Context" => "ctxt",
        _ => "resource",
    }
}
