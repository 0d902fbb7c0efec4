//! Which nodes a runtime trusts that it reaches by `wss://`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why a file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the authorities in {path}: {why}")]
pub struct CaFileError {
    path: PathBuf,
    why: String,
}

/// Trusts whom browsers trust, and the authorities in the file `ca`.
pub(crate) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, CaFileError> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    if let Some(path) = ca {
        let failed = |why: &dyn ToString| CaFileError {
            path: path.to_owned(),
            why: why.to_string(),
        };
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        let known = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate = certificate.map_err(|_| failed(&"it is no PEM"))?;
            roots.add(certificate).map_err(|error| failed(&error))?;
        }
        if roots.len() == known {
            return Err(failed(&"it holds no certificate in PEM"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("the provider has a suite for each version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
