//! Which certificate of a client's was refused: the error of a failed handshake does not say.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::cell::RefCell;
use std::sync::Arc;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

/// Longest text of a name or a number that is kept; authorities of strangers write what they like.
const TEXT_CHARACTERS_MAX: usize = 256;

tokio::task_local! {
    /// One verifier serves all handshakes; each judges within the poll of its own task.
    static REFUSED: RefCell<Option<RefusedCertificate>>;
}

/// What a refused certificate says of itself. Nothing of it is proven.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// `None`: it cannot be read.
    pub subject: Option<String>,
    /// Hexadecimal.
    pub serial: Option<String>,
}

impl RefusedCertificate {
    fn of(der: &[u8]) -> Self {
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        match parser.parse(der) {
            Ok((_, certificate)) => Self {
                subject: Some(shown(&certificate.subject().to_string())),
                serial: Some(shown(&certificate.raw_serial_as_string())),
            },
            Err(_) => Self::default(),
        }
    }
}

/// Runs a handshake, and says which certificate it has refused, if any.
pub(super) async fn watched<T>(handshake: impl Future<Output = T>) -> (T, Option<RefusedCertificate>) {
    let watched = async {
        let outcome = handshake.await;
        (outcome, REFUSED.with(RefCell::take))
    };
    REFUSED.scope(RefCell::new(None), watched).await
}

/// Judges as the one inside does.
#[derive(Debug)]
pub(super) struct Remembering(pub(super) Arc<dyn ClientCertVerifier>);

/// Keeps the certificate of a verdict that is no; nobody may be watching.
fn noted<T>(certificate: &CertificateDer<'_>, verdict: Result<T, Error>) -> Result<T, Error> {
    verdict.inspect_err(|_| {
        let _ = REFUSED.try_with(|refused| refused.replace(Some(RefusedCertificate::of(certificate))));
    })
}

impl ClientCertVerifier for Remembering {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        noted(
            end_entity,
            self.0.verify_client_cert(end_entity, intermediates, now),
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        noted(cert, self.0.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        noted(cert, self.0.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Bounded, and nothing in it that hides or moves text.
fn shown(text: &str) -> String {
    text.chars()
        .take(TEXT_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}
