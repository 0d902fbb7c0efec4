//! Starting a runtime.

use std::path::PathBuf;
use std::sync::Arc;

use byline_core::address::Address;
use byline_core::identity::{Identity, Key, Token};
use byline_core::runtime::{self, RestoreError};
use byline_store::StoreError;
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::uri::Authority;

use crate::clock::Clock;
use crate::driver;
use crate::key::{self, KeyFileError};
use crate::link::Link;
use crate::memory::MemoryNode;
use crate::shared::{Alive, Shared};
use crate::storing;
use crate::syncher::Syncher;
use crate::tls::{self, CaFileError};
use crate::token::Source;
use crate::{CallError, Connection, Refusal};

/// Where a node is when nothing else is said.
const NODE: &str = "ws://127.0.0.1:4680/ws";

/// Why a runtime did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no tokio runtime to run in.
    #[error("start this from inside a tokio runtime")]
    NoTokio,
    /// The node's address is none.
    #[error("`{0}` is no address of a node: write ws://host:port/ws, or wss://host/ws")]
    NodeUrl(String),
    /// Its authorities cannot be used.
    #[error(transparent)]
    Ca(#[from] CaFileError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What rests in the store is none of this runtime's.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The store has another key than the key file.
    #[error(
        "the key in {key_file} is not the one that rests in {store}: start with one of them alone"
    )]
    OtherKey {
        /// Where the one is.
        key_file: PathBuf,
        /// Where the other rests.
        store: PathBuf,
    },
    /// The operating system gives no thread.
    #[error("the operating system gives no thread to store with: {0}")]
    Thread(#[source] std::io::Error),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node cannot be reached: {0}")]
pub struct Unreachable(String);

/// How a runtime is to be started. Made by [`Runtime::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    link: Link,
    ca_file: Option<PathBuf>,
    token: Option<Token>,
    source: Option<Source>,
    domain: String,
    key_file: Option<PathBuf>,
    store: Option<PathBuf>,
}

impl Builder {
    /// Speaks with the node at `url`, by default `ws://127.0.0.1:4680/ws`.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.link = websocket(url);
        self
    }

    /// Trusts, besides those that browsers trust, the certificate authorities in this PEM file: for nodes
    /// at `wss://` whose certificate an authority of one's own has made.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Shows this token, a JWT, to a node that asks who somebody is (protocol.md §3). When it ends,
    /// nothing goes on before [`Runtime::authenticate`] brings another.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::from(token.into()));
        self
    }

    /// Calls `source` whenever a token is needed: when the node asks for one, and shortly before the one
    /// it has ends, so that nothing is interrupted. An error is told as
    /// [`Connection::NeedsAuth`], and `source` is called again later.
    pub fn token_from<A, E>(mut self, source: impl Fn() -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<String, E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.source = Some(Source::new(source));
        self
    }

    /// Speaks with a node inside this process.
    pub fn memory(mut self, node: &MemoryNode) -> Self {
        self.link = Link::Memory(node.clone());
        self
    }

    /// The domain that the node serves, by default `localhost`: the runtime proves itself to that
    /// domain and to no other.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    /// Keeps the runtime's key, and with it its identity, in this file: made when there is none, for
    /// its owner's eyes only. Without it the identity ends with the process.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// Stores in this folder, made when there is none, what is created and subscribed to with
    /// [`Create::store`](crate::Create::store) and [`Subscribe::store`](crate::Subscribe::store), and the runtime's key and address: it is the
    /// same runtime when it starts again, and what rests goes on when its Syncher starts ([`Runtime::syncher`]). One
    /// process at a time has it. With a key file too, that file's key is stored the first time, and must be it later.
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// Starts the runtime. It connects in the background, and again after every cut, for as long as
    /// there is a handle of it.
    ///
    /// # Errors
    /// [`StartError`]. That the node cannot be reached is none: see [`State`](crate::State).
    pub fn start(mut self) -> Result<Runtime, StartError> {
        let tokio = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoTokio)?;
        if let Link::WebSocket { url, tls } = &mut self.link {
            match scheme_of_node(url).as_deref() {
                Some("ws") => {}
                Some("wss") => *tls = Some(tls::config(self.ca_file.as_deref())?),
                _ => return Err(StartError::NodeUrl(url.clone())),
            }
        }
        let key = match &self.key_file {
            Some(path) => key::load_or_make(path)?,
            None => Key::from_bytes(&key::random()?),
        };
        let clock = Clock::start();
        let (identity, seed) = (key.public().identity(), key::random()?);
        let (machine, folder) = match &self.store {
            None => (runtime::Runtime::new(self.domain, key, seed), None),
            Some(path) => {
                let opened = storing::open(path, self.domain, key, seed, clock.now())?;
                (opened.0, Some(opened.1))
            }
        };
        if let (Some(key_file), Some(store)) = (self.key_file, self.store)
            && *machine.identity() != identity
        {
            return Err(StartError::OtherKey { key_file, store });
        }
        let shared = Arc::new(Shared::new(machine, clock));
        let writer = folder.map(|folder| storing::start(folder, &shared));
        let writer = writer.transpose().map_err(StartError::Thread)?;
        if let Some(token) = self.token {
            let now = shared.clock.now();
            shared.lock().machine.authenticate(token, now);
        }
        let driver = driver::drive(Arc::clone(&shared), self.link, self.source, writer);
        tokio.spawn(driver);
        Ok(Runtime {
            alive: Arc::new(Alive(shared)),
        })
    }
}

/// A Hyperty Runtime: one key, one connection to a node, any number of Synchers. Clones are the same
/// runtime; its session ends with the last of them and of their Synchers, Reporters and Observers.
#[derive(Clone, Debug)]
pub struct Runtime {
    alive: Arc<Alive>,
}

impl Runtime {
    /// A runtime to be started.
    pub fn builder() -> Builder {
        Builder {
            link: websocket(NODE),
            ca_file: None,
            token: None,
            source: None,
            domain: "localhost".to_owned(),
            key_file: None,
            store: None,
        }
    }

    /// The handle on data objects of the hyperty `name`: one or more address segments, which tell
    /// this runtime's hyperties apart. With a store, what this hyperty created and subscribed to with one goes on
    /// from here: see [`Syncher::resume`].
    ///
    /// # Errors
    /// [`CallError::Address`] when `name` cannot stand in an address.
    pub fn syncher(&self, name: &str) -> Result<Syncher, CallError> {
        let shared = &self.alive.0;
        let mut inner = shared.lock();
        let hyperty = inner.machine.hyperty(name)?;
        inner.wake(&hyperty, shared.clock.now());
        drop(inner);
        shared.wake.notify_one();
        Ok(Syncher::new(Arc::clone(&self.alive), hyperty))
    }

    /// Shows another token to the node, in place of the one before: at once when it asks for one or the
    /// last one has ended, and otherwise so that nothing is interrupted. Another person's token ends
    /// nothing and is not taken while the session lasts.
    pub fn authenticate(&self, token: impl Into<String>) {
        let shared = &self.alive.0;
        let token = Token::from(token.into());
        shared
            .lock()
            .machine
            .authenticate(token, shared.clock.now());
        shared.wake.notify_one();
    }

    /// How the connection with the node is doing, now and from now on.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.alive.0.lock().connection.subscribe()
    }

    /// Who this runtime is: its key, or the person that its token names once the node has taken that.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.alive.0.lock().machine.identity().clone()
    }

    /// The runtime's own address, another in each process unless it has a store.
    #[must_use]
    pub fn url(&self) -> Address {
        self.alive.0.lock().machine.url().clone()
    }

    /// Waits for the outcome of the attempt to connect, the last one when there were several. For
    /// programs that give up when there is no node; others need not ask, the runtime goes on trying.
    ///
    /// # Errors
    /// [`Unreachable`], with what the operating system says.
    pub async fn connected(&self) -> Result<(), Unreachable> {
        let mut reached = self.alive.0.reached.subscribe();
        match reached.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(error))) => Err(Unreachable(error.clone())),
            Ok(_) => Ok(()),
            Err(_) => Err(Unreachable("the runtime has ended".to_owned())),
        }
    }

    /// Waits until everything written so far has reached the node: it has answered a `ping` sent
    /// after the last commit. Waits through cuts.
    ///
    /// # Errors
    /// A [`Refusal`] when the session has ended for good.
    pub async fn delivered(&self) -> Result<(), Refusal> {
        let shared = &self.alive.0;
        let (answer, answered) = oneshot::channel();
        {
            let mut inner = shared.lock();
            if let Some(over) = &inner.over {
                return Err(over.clone());
            }
            let call = inner.machine.deliver(shared.clock.now());
            inner.deliveries.insert(call, answer);
        }
        shared.wake.notify_one();
        let ended = || Refusal::conflict("the session has ended: not everything reached the node");
        answered.await.map_err(|_| ended())
    }

    /// Ends the session: the node frees the claims at once rather than after a grace time. Waits
    /// until that is said, at most a second.
    pub async fn close(&self) {
        let shared = &self.alive.0;
        shared.close();
        // Only that the driver ended counts, however it did.
        let _ = shared.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

fn websocket(url: impl Into<String>) -> Link {
    Link::WebSocket {
        url: url.into(),
        tls: None,
    }
}

/// The scheme of `url`, when there is all that a node's address has.
fn scheme_of_node(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    // A port that is no number, or none that fits, is there and is not read.
    let port = |authority: &Authority| {
        let after_host = authority
            .as_str()
            .rsplit_once(']')
            .map_or(authority.as_str(), |(_, rest)| rest);
        authority.port_u16().is_some() || !after_host.contains(':')
    };
    let whole = |authority: &&Authority| !authority.host().is_empty() && port(authority);
    uri.authority().filter(whole)?;
    uri.scheme_str().map(str::to_owned)
}
