//! A node whose time stands still until a test moves it on.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use byline_node::{Config, FileError, Reload, Server};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::advance;

/// How far time moves, and who waits for it.
type Move = (Duration, Sender<()>);

/// A node and its clock.
pub(crate) struct Node {
    pub(super) address: SocketAddr,
    pub(super) clock: Box<dyn Fn(Duration)>,
    pub(super) reload: Option<Reload>,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) thread: Option<JoinHandle<std::io::Result<()>>>,
}

/// A node for `localhost` on a free port and a thread of its own, whose first second is over.
pub(crate) fn node() -> Node {
    node_with(config())
}

pub(crate) fn config() -> Config {
    Config::new("127.0.0.1:0".parse().unwrap(), "localhost")
}

pub(crate) fn node_with(config: Config) -> Node {
    let server = Server::bind(config).unwrap();
    let (address, reload) = (server.local_addr(), server.reload());
    let (moves, moved) = mpsc::unbounded_channel::<Move>();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || serve(server, moved, stopped));
    let clock = move |by| {
        let (done, moved) = channel();
        moves.send((by, done)).unwrap();
        moved.recv().unwrap();
    };
    let node = Node {
        address,
        clock: Box::new(clock),
        reload: Some(reload),
        stop: Some(stop),
        thread: Some(thread),
    };
    // It has answered, so it has started.
    node.answers();
    node.passes(Duration::from_secs(1));
    node
}

fn serve(
    server: Server,
    mut moves: mpsc::UnboundedReceiver<Move>,
    stopped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())?;
    let (held, hold) = channel::<()>();
    runtime.block_on(async move {
        // A paused clock does not move by itself while a blocking task runs.
        spawn_blocking(move || hold.recv());
        spawn_local(async move {
            while let Some((by, done)) = moves.recv().await {
                advance(by).await;
                let _ = done.send(());
            }
        });
        let served = server.run(async {
            let _ = stopped.await;
        });
        let served = served.await;
        drop(held);
        served
    })
}

impl Node {
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Asks it for something, in the clear: whatever it says, it has done what it was told before.
    fn answers(&self) {
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        super::http(self.address, request);
    }

    /// It reads its files anew, and has done so.
    pub(crate) fn reloads(&self) -> Result<(), FileError> {
        self.reload.as_ref().unwrap().reload()?;
        self.answers();
        Ok(())
    }

    /// Time moves on.
    pub(crate) fn passes(&self, by: Duration) {
        (self.clock)(by);
    }

    /// The word to stop.
    pub(crate) fn stops(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped, and says how.
    pub(crate) fn stopped(mut self) -> std::io::Result<()> {
        self.stops();
        self.thread.take().unwrap().join().unwrap()
    }
}
