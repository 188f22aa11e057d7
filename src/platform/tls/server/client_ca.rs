//! Whose certificates clients may present, and which of them are revoked.

use super::partial::{self, Partial};
use super::revocation::{self, Crl};
use crate::platform::tls::{TlsError, provider, roots};
use rustls::RootCertStore;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes of authorities' names that a handshake tells the client. They stand in a list of at most
/// 65,535 bytes; a client that gets none of them presents the certificate it was given.
const HINT_BYTES_MAX: usize = 16_384;

/// The authorities of clients, and their lists of revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCa {
    /// PEM. Each certificate in it is trusted to sign clients' certificates, and authorities that do.
    pub ca_file: PathBuf,
    /// PEM, each with one list or more, or DER with one. A list says nothing any more once it has
    /// expired: then no certificate of its issuer is accepted.
    pub crl_files: Vec<PathBuf>,
}

impl ClientCa {
    /// A client may present nothing. What it presents must lead to one of the authorities, be for client
    /// authentication, be valid now, and not be revoked.
    pub(super) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::new(roots::from_file(&self.ca_file)?);
        let mut crls = Vec::new();
        for path in &self.crl_files {
            let read = revocation::read(path)?;
            // By itself first, so that an error names the file.
            builder(&roots, &read)
                .build()
                .map_err(|source| TlsError::Revocations {
                    path: path.clone(),
                    source,
                })?;
            crls.extend(read);
        }
        let crls = newest(crls);
        let chain = builder(&roots, &crls)
            .allow_unknown_revocation_status()
            .build()
            .map_err(TlsError::ClientCa)?;
        let issuers = partial::judges(&roots, &crls).map_err(TlsError::ClientCa)?;
        match issuers.is_empty() {
            true => Ok(chain),
            false => Ok(Arc::new(Partial { chain, issuers })),
        }
    }
}

/// Of lists that speak of the same certificates only the newest, and those first that are newer: webpki asks
/// the first that speaks of a certificate, and no other.
fn newest(mut crls: Vec<Crl>) -> Vec<Crl> {
    crls.sort_by_key(|crl| Reverse(crl.this_update));
    let mut seen = BTreeSet::new();
    crls.retain(|crl| seen.insert((crl.issuer.clone(), crl.scope.clone())));
    crls
}

/// Expired lists are refused, and what no list speaks of, unless the caller changes that.
pub(super) fn builder<'a>(
    roots: &Arc<RootCertStore>,
    crls: impl IntoIterator<Item = &'a Crl>,
) -> ClientCertVerifierBuilder {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .allow_unauthenticated()
        .with_crls(crls.into_iter().map(|crl| crl.der.clone()))
        .enforce_revocation_expiration();
    let hints: usize = roots.subjects().iter().map(|name| name.as_ref().len()).sum();
    match hints > HINT_BYTES_MAX {
        true => builder.clear_root_hint_subjects(),
        false => builder,
    }
}
