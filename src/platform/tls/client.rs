//! Towards the server: TLS 1.2 or newer, chain and name verified, no way to switch that off.

use super::{ALPN, TlsError, add_own_roots, provider, roots};
use crate::domain::target::TrustRoots;
use rustls::client::Resumption;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::sync::Arc;

/// Builds the configuration for one set of roots.
pub fn config(trust: &TrustRoots) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match trust {
        TrustRoots::Shipped(kind) => roots::shipped(*kind)?,
        TrustRoots::Public => own_roots()?,
        TrustRoots::File(path) => roots::from_file(path)?,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    // PostgreSQL issues no session tickets; keeping a store for them costs memory for nothing.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Without any, every server would be a stranger: better said at start.
fn own_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    add_own_roots(&mut store);
    match store.is_empty() {
        true => Err(TlsError::NoPublicRoots),
        false => Ok(store),
    }
}

/// Why a handshake with the server failed, as far as the client of dbproxy may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFault {
    /// No root that is trusted signed the chain.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    Expired,
    /// Another fault of the certificate.
    BadCertificate,
    /// No certificate was judged: alert, broken bytes, closed connection.
    Other,
}

impl HandshakeFault {
    /// Reads the fault out of what the TLS stream returned.
    pub fn of(error: &std::io::Error) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(fault)) => match fault {
                // A chain that ends in a root of the right name but another key is unknown all the same.
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                    Self::UnknownIssuer
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::WrongName
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                _ => Self::BadCertificate,
            },
            _ => Self::Other,
        }
    }
}
