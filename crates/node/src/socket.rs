//! The two halves of a connection's socket, with TLS between them and the frames or without. Whoever writes
//! and whoever reads share one TLS session, on one thread; nothing here waits.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read as _, Write};
use std::rc::Rc;

use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

type Session = Rc<RefCell<ServerConnection>>;

/// Bytes decrypted in one step: as many as a TLS record has.
const RECORD_BYTES: usize = 16 << 10;

/// The half that frames leave by. Dropping it tells the peer that nothing more will come.
#[derive(Debug)]
pub(crate) struct Sending {
    socket: OwnedWriteHalf,
    tls: Option<Session>,
}

/// The half that bytes come in by.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) socket: OwnedReadHalf,
    tls: Option<Session>,
}

/// Divides a socket; the handshake of its TLS session, if it has one, is over.
pub(crate) fn halves(stream: TcpStream, tls: Option<ServerConnection>) -> (Sending, Receiving) {
    let tls = tls.map(|tls| Rc::new(RefCell::new(tls)));
    let (read, write) = stream.into_split();
    let sending = Sending {
        socket: write,
        tls: tls.clone(),
    };
    (sending, Receiving { socket: read, tls })
}

impl Sending {
    /// Takes as much as there is room for; what is encrypted may wait for [`Sending::flush`].
    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (&self.tls, slices) {
            (None, [one]) => self.socket.try_write(one),
            (None, slices) => self.socket.try_write_vectored(slices),
            (Some(tls), slices) => {
                self.flush()?;
                tls.borrow_mut().writer().write_vectored(slices)
            }
        }
    }

    /// Takes as much as there is room for now; nothing when it encrypts, or cannot.
    pub(crate) fn write_at_once(&self, bytes: &[u8]) -> usize {
        match &self.tls {
            None => self.socket.try_write(bytes).unwrap_or_default(),
            Some(_) => 0,
        }
    }

    /// Writes what is encrypted and waits; fails as a socket does that takes no more.
    pub(crate) fn flush(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            let mut tls = tls.borrow_mut();
            while tls.wants_write() {
                tls.write_tls(&mut Wire(&self.socket))?;
            }
        }
        Ok(())
    }

    /// Nothing more will come: says so in TLS, too, where the socket takes it at once.
    pub(crate) fn finish(self) {
        if let Some(tls) = &self.tls {
            tls.borrow_mut().send_close_notify();
            // The close frame has said it already.
            let _ = self.flush();
        }
    }
}

impl Receiving {
    /// Gives `take` what `bytes`, just read from the socket, are or decrypt to. Whether there is something
    /// to be written now that is no frame.
    ///
    /// # Errors
    /// When the TLS session is over, or broken.
    pub(crate) fn open(&self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let Some(tls) = &self.tls else {
            take(bytes);
            return Ok(false);
        };
        let mut plain = [0; RECORD_BYTES];
        loop {
            // Let go of before `take`, which may come back here to write.
            let count = decrypt(&mut tls.borrow_mut(), &mut bytes, &mut plain)?;
            if count == 0 {
                return Ok(tls.borrow().wants_write());
            }
            take(&plain[..count]);
        }
    }
}

/// Fills `plain` with what comes next; nothing when all of `bytes` is taken.
fn decrypt(tls: &mut ServerConnection, bytes: &mut &[u8], plain: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(plain) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if bytes.is_empty() => return Ok(0),
            Err(_) => {
                tls.read_tls(bytes)?;
                tls.process_new_packets().map_err(io::Error::other)?;
            }
        }
    }
}

/// A socket that is written to without waiting.
struct Wire<'a>(&'a OwnedWriteHalf);

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
    use tokio::net::TcpListener;

    use super::*;
    use crate::outgoing::Outgoing;

    /// The node's side of a TLS session whose handshake is over.
    fn session() -> ServerConnection {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = vec![];
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        server
    }

    #[tokio::test]
    async fn a_connection_waits_for_its_socket_while_what_is_encrypted_is_not_written() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        accepted.writable().await.unwrap();
        let (sending, _receiving) = halves(accepted, Some(session()));
        let mut outgoing = Outgoing::default();
        // The peer reads nothing: some time its socket is full.
        loop {
            outgoing.push(vec![0; 30_000].into(), None);
            if outgoing.write(&sending).unwrap().blocked {
                break;
            }
        }
        assert_eq!(outgoing.bytes(), 0, "the session has taken the last frame");
    }
}
