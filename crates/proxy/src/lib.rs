//! A TCP proxy in front of a node that does to connections what networks do, and more. It cuts each
//! after a random number of bytes, wherever in a frame that is: some it closes, some it resets. And
//! where it is told to, it sends commits twice, loses them, and brings them late, as no network does
//! but a faulty path might.

mod frames;
mod random;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

pub use random::Random;

/// The first connection outlives its upgrade: who cannot reach a node at all gives up.
const UPGRADE_BYTES: u64 = 1000;

/// What becomes of connections.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Bytes towards the client before the cut.
    pub down: Range<u64>,
    /// Bytes towards the node before the cut.
    pub up: Range<u64>,
    /// Of so many commits towards the client one is sent twice, one is lost, and one comes after the
    /// next. At least 3.
    pub commits: Option<u64>,
}

/// What a proxy has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections cut.
    pub cuts: AtomicU64,
    /// Commits sent twice.
    pub twice: AtomicU64,
    /// Commits lost.
    pub lost: AtomicU64,
    /// Commits that came after the one they precede.
    pub late: AtomicU64,
}

/// A proxy. It ends with its process.
#[derive(Clone, Debug)]
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Counts,
    calm: AtomicBool,
    gate: Mutex<Gate>,
}

/// Who comes through.
#[derive(Debug, Default)]
struct Gate {
    shut: bool,
    through: Vec<Weak<Ends>>,
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// A proxy in front of the node at `address`, on a port of its own.
    ///
    /// # Errors
    /// What the operating system says against listening.
    pub fn start(address: &str, seed: u64, faults: Faults) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("ws://{}/ws", listener.local_addr()?);
        let shared = Arc::new(Shared::default());
        let (proxy, address) = (Arc::clone(&shared), address.to_owned());
        thread::spawn(move || {
            let mut random = Random::new(seed);
            let mut least = UPGRADE_BYTES;
            for client in listener.incoming().map_while(Result::ok) {
                let down = random.between(faults.down.start, faults.down.end);
                let connection = Connection {
                    down: down.max(std::mem::take(&mut least)),
                    up: random.between(faults.up.start, faults.up.end),
                    reset: random.next().is_multiple_of(2),
                    commits: faults.commits,
                    random: Random::new(random.next()),
                    shared: Arc::clone(&proxy),
                };
                // A node that is not there now is perhaps there for the next client.
                if let Ok(node) = TcpStream::connect(&address) {
                    connection.forward(client, node);
                }
            }
        });
        Ok(Self { url, shared })
    }

    /// Where clients find it, as a node's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// From here on it only forwards.
    pub fn calm(&self) {
        self.shared.calm.store(true, Ordering::Relaxed);
    }

    /// Cuts whoever is connected, and lets nobody through until [`Proxy::open`].
    pub fn shut(&self) {
        let mut gate = self.shared.gate();
        gate.shut = true;
        for ends in gate.through.drain(..).filter_map(|ends| ends.upgrade()) {
            ends.shut(Shutdown::Both);
        }
    }

    /// Lets everybody through again.
    pub fn open(&self) {
        self.shared.gate().shut = false;
    }
}

/// What is to become of one connection.
struct Connection {
    down: u64,
    up: u64,
    reset: bool,
    commits: Option<u64>,
    random: Random,
    shared: Arc<Shared>,
}

impl Connection {
    fn forward(self, client: TcpStream, node: TcpStream) {
        // Two small frames one after the other must not wait for each other.
        for side in [&client, &node] {
            let _ = side.set_nodelay(true);
        }
        let Self {
            down,
            up,
            reset,
            commits,
            random,
            shared,
        } = self;
        let connection = Arc::new(Ends {
            client,
            node,
            reset,
            ended: AtomicBool::new(false),
        });
        {
            let mut gate = shared.gate();
            if gate.shut {
                return;
            }
            gate.through.retain(|ends| ends.strong_count() > 0);
            gate.through.push(Arc::downgrade(&connection));
        }
        let (ends, counted) = (Arc::clone(&connection), Arc::clone(&shared));
        thread::spawn(move || {
            let mut way = Way::new(&ends.node, up, &counted);
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = (&ends.client).read(&mut buffer)
                && way.send(&buffer[..read])
            {}
            ends.end(&way);
        });
        thread::spawn(move || {
            let mut way = Way::new(&connection.client, down, &shared);
            // How it ends is the same: nothing more comes, or nothing more is taken.
            let _ = frames::forward(&connection.node, &mut way, commits, random);
            connection.end(&way);
        });
    }
}

/// A connection's two ends. Whichever way ends first ends both.
#[derive(Debug)]
struct Ends {
    client: TcpStream,
    node: TcpStream,
    reset: bool,
    ended: AtomicBool,
}

impl Ends {
    fn end(&self, way: &Way<'_>) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut how = Shutdown::Both;
        if way.cut {
            way.shared.counts.cuts.fetch_add(1, Ordering::Relaxed);
            if self.reset {
                // With no time to linger, the last close sends a reset; ending the reading half wakes
                // the other thread and says nothing to anybody.
                how = Shutdown::Read;
                for side in [&self.client, &self.node] {
                    let _ = rustix::net::sockopt::set_socket_linger(side, Some(Duration::ZERO));
                }
            }
        }
        self.shut(how);
    }

    fn shut(&self, how: Shutdown) {
        for side in [&self.client, &self.node] {
            // It may be gone already.
            let _ = side.shutdown(how);
        }
    }
}

/// One way of a connection, with the bytes that it takes before the cut.
struct Way<'a> {
    to: &'a TcpStream,
    left: u64,
    shared: &'a Shared,
    cut: bool,
}

impl<'a> Way<'a> {
    const fn new(to: &'a TcpStream, left: u64, shared: &'a Shared) -> Self {
        Self {
            to,
            left,
            shared,
            cut: false,
        }
    }

    fn is_calm(&self) -> bool {
        self.shared.calm.load(Ordering::Relaxed)
    }

    /// Sends as much as there may be; says whether that was all.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let sent = if self.is_calm() {
            bytes
        } else {
            &bytes[..bytes.len().min(most)]
        };
        self.left = self.left.saturating_sub(sent.len() as u64);
        self.cut = sent.len() < bytes.len();
        self.to.write_all(sent).is_ok() && !self.cut
    }
}
