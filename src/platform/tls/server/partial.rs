//! Issuers whose lists each speak of a part of their certificates, as AWS Private CA makes them.
//!
//! [`rustls::server::WebPkiClientVerifier`] asks the first list that may speak of a certificate, and has one rule for all
//! issuers about certificates that no list speaks of. Here such a certificate is not "unknown": the list that
//! would tell is missing. And one that does not say which list it belongs to is looked for in all of them.

use super::client_ca::builder;
use super::revocation::{self, Crl};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the issuer stands in a version 3 certificate (RFC 5280, section 4.1): version, serial number,
/// signature, issuer.
const CERTIFICATE_ISSUER: usize = 3;

/// Who must all accept a certificate, by its issuer.
type Judges = BTreeMap<Vec<u8>, Vec<Arc<dyn ClientCertVerifier>>>;

#[derive(Debug)]
pub(super) struct Partial {
    /// Judges whole chains; what no list speaks of passes.
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    /// Judge the client's own certificate besides.
    pub(super) issuers: Judges,
}

/// Has only issuers with a list that does not speak of all their certificates.
pub(super) fn judges(roots: &Arc<RootCertStore>, crls: &[Crl]) -> Result<Judges, VerifierBuilderError> {
    let mut issuers = Judges::new();
    for partial in crls.iter().filter(|crl| crl.scope.is_some()) {
        if issuers.contains_key(&partial.issuer) {
            continue;
        }
        let own = || crls.iter().filter(|crl| crl.issuer == partial.issuer);
        let mut judges = vec![builder(roots, own()).only_check_end_entity_revocation().build()?];
        for crl in own() {
            judges.push(
                builder(roots, [crl])
                    .only_check_end_entity_revocation()
                    .allow_unknown_revocation_status()
                    .build()?,
            );
        }
        issuers.insert(partial.issuer.clone(), judges);
    }
    Ok(issuers)
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
        for judge in self.issuers.get(issuer.data).into_iter().flatten() {
            judge.verify_client_cert(end_entity, intermediates, now)?;
        }
        Ok(verified)
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
