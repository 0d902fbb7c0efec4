//! The node as a server: listening, accepting, keeping time, stopping.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use byline_core::limits::{CONNECTIONS_MAX, CONTENT_BYTES_MAX, UNFINISHED_BYTES_MAX};
use byline_store::{Folder, Store, StoreError, Whose};
use socket2::SockRef;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{info, warn};

use crate::accepting::accept;
use crate::files::{FileError, Files, Reload};
use crate::hub::Hub;
use crate::keeping::{Keeping, Outcome};
use crate::operator::OperatorToken;
use crate::tls::Certificate;
use crate::tokens::People;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// After the word to stop, connections have this long to take what waits and to hang up.
const STOP: Duration = Duration::from_secs(9);
/// Sockets beyond the connections: those that still speak HTTP. With as many, nobody is accepted before
/// one has gone; each has [`crate::http::HEAD`] to say what it wants.
const SPARE_SOCKETS: usize = 1_000;

/// What a node is told at its start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The folder where what the node promises is kept, made when there is none; without, it is forgotten when
    /// the node stops.
    pub data: Option<PathBuf>,
    /// Bytes that are kept of what objects hold, children included, of all together (protocol.md §7).
    pub content_bytes_max: usize,
    /// Where to listen; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The domain whose addresses the node serves.
    pub domain: String,
    /// How often every connection is pinged. One that stays silent for two pings is lost
    /// (protocol.md, appendix B: 25 s).
    pub ping_every: Duration,
    /// Connections at once; a further one is refused with 503.
    pub connections_max: usize,
    /// Bytes of messages that have come in part, of all connections together; over it, the connection
    /// whose message began first is closed.
    pub unfinished_bytes_max: usize,
    /// Whose tokens show who somebody is (protocol.md §3); without, everybody is their key.
    pub people: Option<People>,
    /// Speak TLS, with this certificate.
    pub certificate: Option<Certificate>,
    /// What `/metrics` is shown for; without, it is shown to everybody on this machine, or to nobody when
    /// others reach the node.
    pub operator_token: Option<OperatorToken>,
}

impl Config {
    /// A node for `domain` at `listen`, the rest as protocol.md has it.
    #[must_use]
    pub fn new(listen: SocketAddr, domain: impl Into<String>) -> Self {
        Self {
            data: None,
            content_bytes_max: CONTENT_BYTES_MAX,
            listen,
            domain: domain.into(),
            ping_every: Duration::from_secs(25),
            connections_max: CONNECTIONS_MAX,
            unfinished_bytes_max: UNFINISHED_BYTES_MAX,
            people: None,
            certificate: None,
            operator_token: None,
        }
    }
}

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address can be reached from elsewhere, and nobody would be asked who they are
    /// (protocol.md §3).
    #[error(
        "cannot listen on {0}: others reach it, and nobody would be asked who they are; name the keys of your identity provider's tokens with --jwt-keys FILE, or listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// A file that it needs cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another program listens there.
    #[error("cannot listen on {0}: another program does; stop it or choose another port")]
    InUse(SocketAddr),
    /// The operating system refuses for another reason.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A node that listens and does not serve yet: whoever connects waits.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    files: Files,
    store: Option<Folder>,
    reload: Reload,
    reloads: mpsc::UnboundedReceiver<Files>,
}

impl Server {
    /// Reads its files and takes the address.
    ///
    /// # Errors
    /// [`BindError`], one line for people.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        let address = config.listen;
        if !address.ip().is_loopback() {
            if config.people.is_none() {
                return Err(BindError::NotLoopback(address));
            }
            if config.certificate.is_none() {
                warn!(%address, "tokens travel unencrypted: something before this node should speak TLS");
            }
        }
        let files = Files::load(&config)?;
        let store = config.data.as_ref().map(|path| {
            let domain = config.domain.clone();
            Folder::open(path, &Whose::Node { domain }, None)
        });
        let store = store.transpose()?;
        let bound = TcpListener::bind(address).and_then(|listener| {
            // The standard library lets 128 wait; more come at once when a node is back.
            SockRef::from(&listener).listen(BACKLOG)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        match bound {
            Ok((address, listener)) => {
                let (sender, reloads) = mpsc::unbounded_channel();
                Ok(Self {
                    reload: Reload {
                        config: config.clone(),
                        files: sender,
                    },
                    config,
                    listener,
                    address,
                    files,
                    store,
                    reloads,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(BindError::InUse(address))
            }
            Err(source) => Err(BindError::Refused { address, source }),
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a runtime connects to.
    #[must_use]
    pub fn url(&self) -> String {
        let tls = self.config.certificate.is_some();
        let scheme = if tls { "wss" } else { "ws" };
        format!("{scheme}://{}/ws", self.address)
    }

    /// What has the node read its files anew.
    #[must_use]
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Serves on this thread until `shutdown` is done. Then nobody new is let in, what waits is
    /// written, every connection is closed with 1012, and the call returns within 10 s.
    ///
    /// It makes its own runtime: do not call it from within one; [`Server::spawn`] may be.
    ///
    /// # Errors
    /// When the operating system gives no event queue, no thread or no random bytes, when its folder holds what
    /// no node has written, when a task of the node panicked, or when the last of what it promised could not
    /// be stored.
    pub fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        runtime.block_on(self.run(shutdown))
    }

    /// Serves on a thread of its own: for demonstrations and tests, where node and clients share a
    /// process.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn(self) -> io::Result<Running> {
        let (address, url, reload) = (self.address, self.url(), self.reload());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("byline-node".to_owned())
            .spawn(move || {
                self.serve(async {
                    // A dropped sender is the word to stop as well.
                    let _ = stopped.await;
                })
            })?;
        Ok(Running {
            address,
            url,
            reload,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Serves as [`Server::serve`] does, within a runtime that is there already: tokio's
    /// `LocalRuntime`, with its clock and its IO enabled. Whoever owns the runtime owns the clock, too.
    ///
    /// # Errors
    /// As [`Server::serve`].
    ///
    /// # Panics
    /// Elsewhere than in a runtime whose tasks stay on one thread.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let hub = Rc::new(Hub::new(&self.config, seed));
        hub.take_files(self.files);
        let outcomes = self.store.map(|store| keep(&hub, store)).transpose()?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        info!(address = %self.address, domain = %self.config.domain, "listening");
        let mut tasks = JoinSet::new();
        tasks.spawn_local(flush(Rc::clone(&hub)));
        tasks.spawn_local(keep_time(Rc::clone(&hub)));
        tasks.spawn_local(take_files(Rc::clone(&hub), self.reloads));
        if let Some(outcomes) = outcomes {
            tasks.spawn_local(take_outcomes(Rc::clone(&hub), outcomes));
        }
        tasks.spawn_local(ping(Rc::clone(&hub), self.config.ping_every));
        let sockets = self.config.connections_max.saturating_add(SPARE_SOCKETS);
        let sockets = Arc::new(Semaphore::new(sockets.min(Semaphore::MAX_PERMITS)));
        let accepting = tasks.spawn_local(accept(Rc::clone(&hub), listener, sockets));
        tokio::select! {
            () = shutdown => info!("stopping"),
            // Each runs for ever: without one of them the node would only look alive.
            Some(Err(ended)) = tasks.join_next() => return Err(io::Error::other(ended)),
        }
        accepting.abort();
        hub.stop();
        let emptied = timeout(STOP, async {
            while !hub.is_empty() {
                hub.empty.notified().await;
            }
        });
        if emptied.await.is_err() {
            warn!("some connections did not hang up in time");
        }
        hub.close_store().map_err(io::Error::other)
    }
}

/// A node that serves on a thread of its own; dropping it stops it, too, and waits for it.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    url: String,
    reload: Reload,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a runtime connects to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What has the node read its files anew.
    #[must_use]
    pub const fn reload(&self) -> &Reload {
        &self.reload
    }

    /// Stops it as [`Server::serve`] does; blocks until it is done.
    ///
    /// # Errors
    /// What [`Server::serve`] returned, or that it panicked.
    pub fn stop(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), |thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the node panicked")))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            warn!(%error, "the node had stopped");
        }
    }
}

/// Hands the node what `store` holds, and from now on the store what the node promises.
fn keep(hub: &Hub, store: impl Store + 'static) -> io::Result<mpsc::UnboundedReceiver<Outcome>> {
    let mut unread = None;
    let rows = store.rows().map_err(io::Error::other)?;
    let rows = rows.map_while(|row| row.map_err(|error| unread = Some(error)).ok());
    let restored = hub.restore(rows);
    if let Some(error) = unread {
        return Err(io::Error::other(error));
    }
    restored.map_err(io::Error::other)?;
    let (keeping, outcomes) = Keeping::start(store)?;
    hub.keep(keeping);
    Ok(outcomes)
}

async fn take_outcomes(hub: Rc<Hub>, mut outcomes: mpsc::UnboundedReceiver<Outcome>) {
    while let Some(outcome) = outcomes.recv().await {
        hub.written(outcome);
    }
}

async fn take_files(hub: Rc<Hub>, mut reloads: mpsc::UnboundedReceiver<Files>) {
    while let Some(files) = reloads.recv().await {
        hub.take_files(files);
        info!("keys and certificate are those that the files hold now");
    }
}

/// Writes what became ready to be written, after everything that was ready to be read: frames that
/// follow each other leave in one write, and none waits for another that may come.
async fn flush(hub: Rc<Hub>) {
    loop {
        hub.dirty.notified().await;
        while hub.flush() {
            tokio::task::yield_now().await;
        }
    }
}

async fn keep_time(hub: Rc<Hub>) {
    loop {
        match hub.wake_at() {
            None => hub.sooner.notified().await,
            Some(time) => tokio::select! {
                () = hub.sooner.notified() => {}
                () = sleep_until(hub.clock.instant(time)) => hub.timeout(),
            },
        }
    }
}

async fn ping(hub: Rc<Hub>, every: Duration) {
    loop {
        sleep(every).await;
        hub.ping();
    }
}
