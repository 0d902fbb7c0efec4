//! A TCP proxy that cuts each of its connections after a random number of bytes, wherever in a frame
//! that is: some it closes, some it resets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::random::Random;

/// Bytes towards the client before the cut: from the middle of the upgrade to a second of commits.
const BYTES: (u64, u64) = (50, 12_000);
/// The first connection outlives its upgrade: who cannot reach a node at all gives up.
const UPGRADE_BYTES: u64 = 1000;

pub(crate) struct Proxy {
    pub(crate) url: String,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy in front of the node at `address`. It ends with the test's process.
    pub(crate) fn start(address: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let cuts = Arc::new(AtomicU64::new(0));
        let (counted, address) = (Arc::clone(&cuts), address.to_owned());
        thread::spawn(move || {
            let mut random = Random::new(seed);
            let mut least = UPGRADE_BYTES;
            for client in listener.incoming() {
                let (Ok(client), Ok(node)) = (client, TcpStream::connect(&address)) else {
                    return;
                };
                let bytes = random.between(BYTES.0, BYTES.1).max(least);
                least = 0;
                let reset = random.next().is_multiple_of(2);
                forward(client, node, bytes, reset, Arc::clone(&counted));
            }
        });
        Self { url, cuts }
    }

    /// How many connections it has cut.
    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

fn forward(client: TcpStream, node: TcpStream, bytes: u64, reset: bool, cuts: Arc<AtomicU64>) {
    let (client, node) = (Arc::new(client), Arc::new(node));
    let (upwards, downwards) = ((Arc::clone(&client), Arc::clone(&node)), (node, client));
    thread::spawn(move || {
        copy(&upwards.0, &upwards.1, u64::MAX);
        hang_up(&upwards.0, &upwards.1, Shutdown::Both);
    });
    thread::spawn(move || {
        let (node, client) = downwards;
        if !copy(&node, &client, bytes) {
            return hang_up(&node, &client, Shutdown::Both);
        }
        cuts.fetch_add(1, Ordering::Relaxed);
        if reset {
            // With no time to linger, the last close sends a reset; ending the reading half wakes
            // the other thread and says nothing to anybody.
            for side in [&client, &node] {
                let _ = rustix::net::sockopt::set_socket_linger(side, Some(Duration::ZERO));
            }
            hang_up(&node, &client, Shutdown::Read);
        } else {
            hang_up(&node, &client, Shutdown::Both);
        }
    });
}

/// Copies at most so many bytes; says whether there were so many.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut bytes: u64) -> bool {
    let mut buffer = [0; 4096];
    while bytes > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(bytes).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..most]) {
            Ok(read @ 1..) if to.write_all(&buffer[..read]).is_ok() => bytes -= read as u64,
            _ => return false,
        }
    }
    true
}

fn hang_up(one: &TcpStream, other: &TcpStream, how: Shutdown) {
    for side in [one, other] {
        // It may be gone already.
        let _ = side.shutdown(how);
    }
}
