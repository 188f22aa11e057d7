//! TLS of both legs: verified towards the server, optional and reloadable towards the client; and between
//! replicas.

pub mod client;
pub mod peer;
pub mod roots;
pub mod server;
pub mod stream;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::VerifierBuilderError;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// ALPN of PostgreSQL (PostgreSQL manual, "SSL Session Encryption").
pub const ALPN: &[u8] = b"postgresql";

/// Why TLS material could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{path}` holds no {what}")]
    Empty { path: PathBuf, what: &'static str },
    #[error("`{path}` is not valid PEM")]
    Pem {
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("`{path}` holds a list of revoked certificates that cannot be used")]
    Revocations {
        path: PathBuf,
        source: VerifierBuilderError,
    },
    #[error("the authorities of clients cannot be used")]
    ClientCa(#[source] VerifierBuilderError),
    #[error("the TLS settings do not fit together")]
    Rejected(#[from] rustls::Error),
}

/// For addresses of the public internet: the machine's own roots, and those of a file. Never for databases.
pub fn public_roots(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut store = match ca_file {
        Some(path) => roots::from_file(path)?,
        None => RootCertStore::empty(),
    };
    // What of them cannot be read is left out: mostly there are more than a hundred others.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth())
}

/// Named explicitly: another crate of the tree may change the process default, and the post-quantum
/// groups would make every ClientHello to RDS 1.2 kB larger.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
    ];
    Arc::new(provider)
}
