//! Whose certificates clients may present, and which of them are revoked.

use super::revocation::{self, Crl};
use crate::platform::tls::{TlsError, provider, roots};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes of authorities' names that a handshake tells the client. They stand in a list of at most
/// 65,535 bytes; a client that gets none of them presents the certificate it was given.
const HINT_BYTES_MAX: usize = 16_384;
/// Where the issuer stands in a version 3 certificate (RFC 5280, section 4.1): version, serial number,
/// signature, issuer.
const CERTIFICATE_ISSUER: usize = 3;

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
        // Where several lists speak of one certificate, the first decides: that must be the newest.
        crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));

        let chain = builder(&roots, &crls)
            .allow_unknown_revocation_status()
            .build()
            .map_err(TlsError::ClientCa)?;
        let issuers = partial_issuers(&crls);
        if issuers.is_empty() {
            return Ok(chain);
        }
        crls.retain(|crl| issuers.contains(&crl.issuer));
        let listed = builder(&roots, &crls)
            .only_check_end_entity_revocation()
            .build()
            .map_err(TlsError::ClientCa)?;
        Ok(Arc::new(Partial {
            chain,
            listed,
            issuers,
        }))
    }
}

fn builder(roots: &Arc<RootCertStore>, crls: &[Crl]) -> ClientCertVerifierBuilder {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .allow_unauthenticated()
        .with_crls(crls.iter().map(|crl| crl.der.clone()))
        .enforce_revocation_expiration();
    let hints: usize = roots.subjects().iter().map(|name| name.as_ref().len()).sum();
    match hints > HINT_BYTES_MAX {
        true => builder.clear_root_hint_subjects(),
        false => builder,
    }
}

fn partial_issuers(crls: &[Crl]) -> BTreeSet<Vec<u8>> {
    let partial = crls.iter().filter(|crl| crl.is_partial);
    partial.map(|crl| crl.issuer.clone()).collect()
}

/// Where an issuer has lists that each speak of a part of its certificates (as AWS Private CA makes them),
/// a certificate that none of them speaks of is not "unknown": the list that would tell is missing.
/// [`WebPkiClientVerifier`] has one rule for all issuers, so there are two of them.
#[derive(Debug)]
struct Partial {
    /// Judges whole chains; what has no list passes.
    chain: Arc<dyn ClientCertVerifier>,
    /// Judges the client's own certificate; what has no list is refused.
    listed: Arc<dyn ClientCertVerifier>,
    /// For whose certificates `listed` is asked too.
    issuers: BTreeSet<Vec<u8>>,
}

impl ClientCertVerifier for Partial {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let elements = revocation::signed_elements(end_entity).ok_or(CertificateError::BadEncoding)?;
        let issuer = elements
            .get(CERTIFICATE_ISSUER)
            .ok_or(CertificateError::BadEncoding)?;
        match self.issuers.contains(issuer.data) {
            true => self.listed.verify_client_cert(end_entity, intermediates, now),
            false => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
