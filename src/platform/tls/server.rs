//! Towards the client: certificate and key from files, reloaded without dropping sessions.

use super::{ALPN, TlsError, provider};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the certificate chain and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// The identity dbproxy shows to clients.
#[derive(Debug)]
pub struct ServerIdentity {
    config: Config,
    current: ArcSwap<ServerConfig>,
}

impl ServerIdentity {
    pub fn load(config: Config) -> Result<Self, TlsError> {
        let current = ArcSwap::new(read(&config)?);
        Ok(Self { config, current })
    }

    /// Reads the files again; what does not load leaves the present identity in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(read(&self.config)?);
        Ok(())
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn read(config: &Config) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_file_iter(&config.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| pem_error(&config.cert_file, source))?;
    if chain.is_empty() {
        return Err(TlsError::Empty {
            path: config.cert_file.clone(),
            what: "certificate",
        });
    }
    let key = PrivateKeyDer::from_pem_file(&config.key_file)
        .map_err(|source| pem_error(&config.key_file, source))?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(server))
}

fn pem_error(path: &Path, source: pem::Error) -> TlsError {
    match source {
        pem::Error::Io(source) => TlsError::Read {
            path: path.to_owned(),
            source,
        },
        source => TlsError::Pem {
            path: path.to_owned(),
            source,
        },
    }
}
