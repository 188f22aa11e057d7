//! Towards the client: certificate, key, and whose certificates clients may present, from files that are
//! reloaded without dropping sessions.

mod client_ca;
mod partial;
mod refused;
mod revocation;

pub use client_ca::ClientCa;
pub use refused::RefusedCertificate;

use super::{ALPN, TlsError, provider};
use crate::error::Chain;
use arc_swap::ArcSwap;
use refused::Remembering;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where the certificate chain and its key are, and who may prove itself by a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Clients are asked for a certificate, and may do without.
    pub client_ca: Option<ClientCa>,
}

/// The identity dbproxy shows to clients, and whom it believes.
#[derive(Debug)]
pub struct ServerIdentity {
    config: Config,
    current: ArcSwap<Current>,
}

/// What a handshake goes by: one reading of the files.
#[derive(Debug)]
pub struct Current {
    pub config: Arc<ServerConfig>,
    /// The certificate that `config` shows. Sessions keep it for channel binding, without the rest.
    pub leaf: Arc<CertificateDer<'static>>,
}

/// A handshake that failed.
#[derive(Debug)]
pub struct FailedHandshake {
    pub why: String,
    /// `None`: not because of a certificate.
    pub refused: Option<RefusedCertificate>,
}

impl Current {
    /// The server's side of a handshake.
    pub async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, FailedHandshake> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let (outcome, refused) = refused::watched(handshake).await;
        outcome.map_err(|error| FailedHandshake {
            why: Chain(&error).to_string(),
            refused,
        })
    }
}

impl ServerIdentity {
    pub fn load(config: Config) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(read(&config)?);
        Ok(Self { config, current })
    }

    /// Reads all files again; if any of them does not load, all the present ones stay in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.config)?));
        Ok(())
    }

    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }
}

fn read(config: &Config) -> Result<Current, TlsError> {
    let chain = CertificateDer::pem_file_iter(&config.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| pem_error(&config.cert_file, source))?;
    let Some(leaf) = chain.first().cloned().map(Arc::new) else {
        return Err(TlsError::Empty {
            path: config.cert_file.clone(),
            what: "certificate",
        });
    };
    let key = PrivateKeyDer::from_pem_file(&config.key_file)
        .map_err(|source| pem_error(&config.key_file, source))?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match &config.client_ca {
        Some(client_ca) => builder.with_client_cert_verifier(Arc::new(Remembering(client_ca.verifier()?))),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    if config.client_ca.is_some() {
        // A resumed session brings its certificate along unjudged: expired or revoked meanwhile, who knows.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    Ok(Current {
        config: Arc::new(server),
        leaf,
    })
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

#[cfg(test)]
mod tests;
