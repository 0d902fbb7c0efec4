//! How somebody gets in: a socket, TLS where the node speaks it, HTTP, and then a WebSocket.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::connection;
use crate::http::{self, Upgraded};
use crate::hub::Hub;
use crate::socket::{Receiving, Sending, halves};
use crate::tls::{self, Greeting};

/// When there are no more file descriptors, the next try is after this long.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Lets in whoever comes, while there is room among the `sockets`.
pub(crate) async fn accept(hub: Rc<Hub>, listener: TcpListener, sockets: Arc<Semaphore>) {
    let mut failing = false;
    while let Ok(room) = Arc::clone(&sockets).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                // Without it, the second of two small writes waits for the first one's answer.
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%error, "a connection may be slow");
                }
                let hub = Rc::clone(&hub);
                spawn_local(async move {
                    if let Some(upgraded) = begin(stream, &hub).await {
                        // A task of its own: this one has room for HTTP.
                        spawn_local(async move {
                            connection::run(hub, upgraded).await;
                            drop(room);
                        });
                    }
                });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !failing {
                    warn!(%error, "cannot accept connections; trying again");
                }
                failing = true;
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Serves HTTP on `stream`, in TLS where that is spoken, until it has become a WebSocket.
async fn begin(stream: TcpStream, hub: &Hub) -> Option<Upgraded<(Sending, Receiving)>> {
    let Some(config) = hub.tls() else {
        let upgraded = http::serve(stream, hub).await?;
        return Some(upgraded.map(|stream| halves(stream, None)));
    };
    match timeout(http::HEAD, tls::greet(stream, config)).await {
        Ok(Ok(Greeting::Tls(stream))) => {
            let upgraded = http::serve(stream, hub).await?;
            Some(upgraded.map(|stream| {
                let (stream, tls) = stream.into_inner();
                halves(stream, Some(tls))
            }))
        }
        Ok(Ok(Greeting::Plain(stream))) => {
            http::refuse(stream).await;
            None
        }
        Ok(Err(error)) => {
            debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}
