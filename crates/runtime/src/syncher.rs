//! The Syncher: one hyperty's handle on data objects.

use std::sync::Arc;

use byline_core::State;
use byline_core::address::Address;
use byline_core::limits::KEEP_DEFAULT;
use byline_core::message::body::Access;
use byline_core::runtime::{self, CallError, Snapshot};
use byline_core::stream::WriteError;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::Refusal;
use crate::observer::Observer;
use crate::reported::Reported;
use crate::reporter::Reporter;
use crate::resuming::Subscribe;
use crate::shared::{Alive, Watched};
use crate::typed::{self, Data};

/// What is to be created: a schema, the data, and who may read it (nobody, unless said).
#[derive(Clone, Debug)]
#[must_use = "nothing is created until a Syncher does it"]
pub struct Create<T = Value> {
    create: runtime::Create,
    data: T,
    at: Option<String>,
}

impl<T> Create<T> {
    /// An object that follows `schema` and begins with `data`, its version 0: a JSON object, or what
    /// serde writes as one. Its Reporter writes data of the same type.
    pub fn new(schema: impl Into<String>, data: T) -> Self {
        let create = runtime::Create {
            schema: schema.into(),
            ..runtime::Create::default()
        };
        Self {
            create,
            data,
            at: None,
        }
    }

    /// A name for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.create.name = Some(name.into());
        self
    }

    /// Gives the object children of this name, and keeps the newest 10,000 of them: 1 to 64 of `A-Z a-z 0-9
    /// _ -`; at most 16 names.
    pub fn children(self, name: impl Into<String>) -> Self {
        self.children_kept(name, KEEP_DEFAULT)
    }

    /// As [`Create::children`], and keeps the newest `keep` of them, at most 100,000: the oldest leave.
    pub fn children_kept(mut self, name: impl Into<String>, keep: usize) -> Self {
        self.create.children.insert(name.into(), keep);
        self
    }

    /// As [`Create::children`], for files: this runtime fetches each that others send, and serves it when
    /// its author is gone. Of more than 64 MiB in all of its objects the oldest contents leave.
    pub fn files(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.create.files.insert(name.clone());
        self.children(name)
    }

    /// A readable address, first come, first served; without it one is minted from the runtime's key.
    pub fn at(mut self, url: impl Into<String>) -> Self {
        self.at = Some(url.into());
        self
    }

    /// Lets every identity observe.
    pub const fn public(mut self) -> Self {
        self.create.access.public = true;
        self
    }

    /// Says exactly who may observe.
    pub fn access(mut self, access: Access) -> Self {
        self.create.access = access;
        self
    }

    /// Keeps the object inside this runtime: its hyperties observe it as they would any other, nobody else
    /// hears of it, and it needs no node. It ends with the session.
    pub const fn local(mut self) -> Self {
        self.create.local = true;
        self
    }

    /// Stores the object and its children: they are what they were when the runtime starts again, and go on when its Syncher
    /// does. What is written is sent when it is stored; [`Reporter::flushed`] waits for that. Creating it again at the same address gives the
    /// object as it rests, with those who may observe it; whom else this application decides on ([`Create::approve`]) is as is said then.
    pub const fn store(mut self) -> Self {
        self.create.store = true;
        self
    }

    /// Whether the node may keep what the object holds: it serves readers, and takes what is written to children, while
    /// this runtime is away (protocol.md §7, §9). Without this it may keep what everybody may read, and nothing else.
    pub const fn cache(mut self, cache: bool) -> Self {
        self.create.cache = Some(cache);
        self
    }

    pub(crate) const fn stores(&self) -> bool {
        self.create.store
    }

    /// Leaves to the application whom the access does not name: see [`Reporter::requests`]. Without it
    /// they are refused.
    pub const fn approve(mut self) -> Self {
        self.create.approve = true;
        self
    }

    /// Starts afresh at an address of one's own: what was there is over, and whoever observes gets
    /// this as a snapshot.
    pub const fn discard(mut self) -> Self {
        self.create.discard = true;
        self
    }

    /// Takes the address from another session of the same identity: its Reporter is closed.
    pub const fn take(mut self) -> Self {
        self.create.take = true;
        self
    }
}

/// Why a read gave nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The call cannot be.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Who was asked said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// One hyperty's handle on data objects. Clones are the same hyperty.
#[derive(Clone, Debug)]
pub struct Syncher {
    pub(crate) alive: Arc<Alive>,
    hyperty: Address,
}

impl Syncher {
    pub(crate) const fn new(alive: Arc<Alive>, hyperty: Address) -> Self {
        Self { alive, hyperty }
    }

    /// The hyperty's address.
    #[must_use]
    pub const fn hyperty(&self) -> &Address {
        &self.hyperty
    }

    /// Creates an object. It may be written at once; whether the node agrees is told by
    /// [`Reporter::claimed`].
    ///
    /// # Errors
    /// [`CallError`] when the data or the address cannot be; nothing was created then.
    pub fn create<T: Data>(&self, create: Create<T>) -> Result<Reporter<T>, CallError> {
        let Create {
            mut create,
            data,
            at,
        } = create;
        create.data = typed::write(data).map_err(WriteError::from)?;
        create.url = at.map(|at| Address::object(&at)).transpose()?;
        let shared = &self.alive.0;
        let (seat, state) = {
            let mut inner = shared.lock();
            let seat = inner
                .machine
                .create(&self.hyperty, create, shared.clock.now())?;
            let resumed = inner.reporters.get(&seat).filter(|one| !one.is_over());
            let resumed = resumed.map(|one| one.state.subscribe());
            let state = resumed.unwrap_or_else(|| {
                let state = inner.over.clone().map_or(State::Claiming, State::Closed);
                let reported = Reported::new(state);
                let receiver = reported.state.subscribe();
                inner.reporters.insert(seat.clone(), reported);
                receiver
            });
            (seat, state)
        };
        shared.wake.notify_one();
        Ok(Reporter::new(Arc::clone(&self.alive), seat, state))
    }

    /// Observes the object at `url`: a snapshot comes, then every commit, for as long as there is a
    /// clone of the Observer. An object that nobody reports yet is waited for. To read it as a type
    /// of the application, see [`Observer::typed`]; to store the copy, [`Subscribe::store`].
    ///
    /// # Errors
    /// [`CallError`] when the address cannot be, or there is no store for it; nothing was asked then.
    pub fn subscribe(&self, subscribe: impl Into<Subscribe>) -> Result<Observer, CallError> {
        let Subscribe { url, store } = subscribe.into();
        let url = Address::object(&url)?;
        let shared = &self.alive.0;
        let (seat, state) = {
            let mut inner = shared.lock();
            let seat = inner
                .machine
                .subscribe(&self.hyperty, url, shared.clock.now())?;
            if store && let Err(error) = inner.machine.keep(&seat) {
                inner.machine.unsubscribe(&seat, shared.clock.now());
                return Err(error);
            }
            let resumed = inner.observers.get(&seat).map(|one| one.state.subscribe());
            let state = resumed.unwrap_or_else(|| {
                let state = inner.over.clone().map_or(State::CatchingUp, State::Closed);
                let state = watch::Sender::new(state);
                let receiver = state.subscribe();
                inner.observers.insert(seat.clone(), Watched::new(state));
                receiver
            });
            (seat, state)
        };
        shared.wake.notify_one();
        Ok(Observer::new(Arc::clone(&self.alive), seat, state))
    }

    /// Fetches the object at `url` once.
    ///
    /// # Errors
    /// [`ReadError`]: a call that cannot be, or the refusal of who was asked; no
    /// answer within 15 s is 408.
    pub async fn read(&self, url: &str) -> Result<Snapshot, ReadError> {
        let url = Address::object(url).map_err(CallError::from)?;
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone().into());
            }
            let call = inner.machine.read(&self.hyperty, url, shared.clock.now())?;
            inner.reads.insert(call, answer);
        }
        shared.wake.notify_one();
        let ended = |_| Refusal::conflict("the session has ended");
        Ok(answered.await.map_err(ended)??)
    }
}
