//! TLS (protocol.md §3): certificates, and the handshake. Frames are encrypted where they are written:
//! `socket.rs`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::files::{FileError, read};

/// The first byte of a TLS handshake. No HTTP request begins so.
const HANDSHAKE: u8 = 0x16;

/// Where a node's certificate is.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate and those that lead to its issuer's, in PEM.
    pub chain: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What the files of `certificate` make of a server: TLS 1.2 and 1.3, and HTTP/1.1 in it.
pub(crate) fn load(certificate: &Certificate) -> Result<Arc<ServerConfig>, FileError> {
    let Certificate { chain, key } = certificate;
    let no_certificate = || FileError::content(chain, "it holds no certificate in PEM");
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| no_certificate())?;
    if certificates.is_empty() {
        return Err(no_certificate());
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| FileError::content(key, "it holds no private key in PEM"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config
                .with_no_client_auth()
                .with_single_cert(certificates, private)
        })
        .map_err(|error| FileError::content(chain, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What a peer begins with.
pub(crate) enum Greeting {
    Tls(Box<TlsStream<TcpStream>>),
    /// Something that is no TLS.
    Plain(TcpStream),
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Greeting")
    }
}

/// Shakes hands on `stream`, when that is what its peer wants.
pub(crate) async fn greet(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Greeting> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        return Ok(Greeting::Plain(stream));
    }
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    Ok(Greeting::Tls(Box::new(stream)))
}
