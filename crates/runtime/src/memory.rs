//! A node inside this process: the same machine as the real one, without sockets. For tests and
//! examples of applications.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use byline_core::node::{ConnectionId, Input, Node, Output};
use tokio::sync::{Notify, mpsc};

use crate::builder::StartError;
use crate::clock::Clock;
use crate::key::random;

/// Frames that may wait on their way in and out of one connection. This node parks no route: a runtime
/// that reads slower than that is disconnected, connects again and recovers.
const QUEUE_FRAMES: usize = 1024;

/// A Message Node inside this process. Clones are the same node; it ends with the last of them and
/// the runtimes that speak with it.
#[derive(Clone, Debug)]
pub struct MemoryNode(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    clock: Clock,
    state: Mutex<State>,
    /// The node's next time-out may be another, or the node is gone.
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    node: Node,
    connections: BTreeMap<ConnectionId, mpsc::Sender<String>>,
    connected: u64,
}

impl MemoryNode {
    /// Starts a node that serves `domain`. Like a real one it takes claims a second later.
    ///
    /// # Errors
    /// [`StartError`] outside of a tokio runtime, or without random bytes.
    pub fn start(domain: &str) -> Result<Self, StartError> {
        let tokio = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoTokio)?;
        let clock = Clock::start();
        let node = Node::new(domain, random()?, clock.now());
        let state = State {
            node,
            connections: BTreeMap::new(),
            connected: 0,
        };
        let wake = Arc::new(Notify::new());
        let inside = Arc::new(Inside {
            clock,
            state: Mutex::new(state),
            wake: Arc::clone(&wake),
        });
        tokio.spawn(keep_time(Arc::downgrade(&inside), wake));
        Ok(Self(inside))
    }

    /// A new connection: where its frames go in and come out.
    pub(crate) fn connect(&self) -> (mpsc::Sender<String>, mpsc::Receiver<String>) {
        let (to_node, mut from_runtime) = mpsc::channel::<String>(QUEUE_FRAMES);
        let (to_runtime, from_node) = mpsc::channel(QUEUE_FRAMES);
        let connection = {
            let mut state = self.0.lock();
            state.connected += 1;
            let connection = ConnectionId(state.connected);
            state.connections.insert(connection, to_runtime);
            connection
        };
        self.0.handle(Input::Connected(connection));
        let node = self.clone();
        tokio::spawn(async move {
            while let Some(frame) = from_runtime.recv().await {
                node.0.handle(Input::Received(connection, frame.into()));
            }
            node.0.lock().connections.remove(&connection);
            node.0.handle(Input::Lost(connection));
        });
        (to_node, from_node)
    }
}

/// Hands in the node's time-outs for as long as there is a node.
async fn keep_time(inside: Weak<Inside>, wake: Arc<Notify>) {
    loop {
        let at = match inside.upgrade() {
            Some(inside) => inside
                .lock()
                .node
                .poll_timeout()
                .map(|at| inside.clock.instant(at)),
            None => return,
        };
        match at {
            None => wake.notified().await,
            Some(at) => {
                let woken = tokio::time::timeout_at(at.into(), wake.notified()).await;
                if let (Err(_), Some(inside)) = (woken, inside.upgrade()) {
                    inside.handle(Input::Timeout);
                }
            }
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl Inside {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, input: Input) {
        let mut state = self.lock();
        state.node.handle(input, self.clock.now());
        while let Some(output) = state.node.poll_output() {
            match output {
                Output::Send(connection, frame) => state.send(connection, frame),
                Output::Publish(_, to, frame) => {
                    for connection in to.iter() {
                        state.send(*connection, frame.to_string());
                    }
                }
                // What is in a channel is as good as received.
                Output::Withdraw(..) => {}
                // It ends with its process, and keeps nothing.
                Output::Store(_) => {}
                Output::Close(connection, _, _) => {
                    state.connections.remove(&connection);
                }
            }
        }
        drop(state);
        self.wake.notify_one();
    }
}

impl State {
    fn send(&mut self, connection: ConnectionId, frame: String) {
        let sent = self
            .connections
            .get(&connection)
            .map(|to| to.try_send(frame));
        if let Some(Err(_)) = sent {
            // Full, or gone: dropping the channel ends the connection on the other side.
            self.connections.remove(&connection);
        }
    }
}
