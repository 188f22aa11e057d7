//! The `mtls` authenticator: the name in the certificate that a client has presented inside TLS.
//!
//! The handshake has verified the certificate ([`crate::platform::tls::server`]); here it is only read. A
//! certificate can hold many names. Which one counts is settled beforehand, and where there are several of
//! that kind none does: else whoever asks an authority for a second name chooses who it is.

mod name;

pub use name::NameFault;

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::nom::Parser;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;

/// Longest certificate that is read; TLS itself lets none through that is longer.
const CERTIFICATE_BYTES_MAX: usize = 65_536;

/// Which name of a certificate is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub name: NameKind,
}

/// A kind of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// Subject alternative name: URI, as SPIFFE has it.
    Uri,
    /// Subject alternative name: e-mail address.
    Email,
    /// Subject alternative name: DNS.
    Dns,
    /// Common name of the subject.
    Cn,
    /// The first of URI, e-mail and DNS that the certificate has, or else the common name.
    First,
}

/// What a certificate has proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// With its kind: `uri:spiffe://…`, `email:…`, `dns:…`, `cn:…`.
    pub name: String,
    /// The certificate's end.
    pub expires: SystemTime,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate cannot be read")]
    Malformed,
    #[error("the certificate has no {0}")]
    Missing(&'static str),
    #[error("the certificate has more than one {0}")]
    Ambiguous(&'static str),
    #[error("the certificate's {kind} cannot be used as a name")]
    Unfit { kind: &'static str, source: NameFault },
}

impl Settings {
    /// Whom a verified certificate names, and until when.
    pub fn prove(self, certificate_der: &[u8]) -> Result<Proof, CertificateError> {
        let certificate = parse(certificate_der)?;
        Ok(Proof {
            name: name_in(&certificate, self.name)?,
            expires: end_of(&certificate)?,
        })
    }
}

/// The name of this kind in its one form, with its kind.
pub fn name_of(certificate_der: &[u8], kind: NameKind) -> Result<String, CertificateError> {
    name_in(&parse(certificate_der)?, kind)
}

/// When the certificate ends.
pub fn not_after(certificate_der: &[u8]) -> Result<SystemTime, CertificateError> {
    end_of(&parse(certificate_der)?)
}

/// Only the extension that names stand in is looked into, see [`alternative_names`].
fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::Malformed);
    }
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    match parser.parse(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

fn end_of(certificate: &X509Certificate<'_>) -> Result<SystemTime, CertificateError> {
    let seconds = certificate.validity().not_after.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let end = match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    };
    end.ok_or(CertificateError::Malformed)
}

fn name_in(certificate: &X509Certificate<'_>, kind: NameKind) -> Result<String, CertificateError> {
    let names = alternative_names(certificate)?;
    let kind = match kind {
        NameKind::First => [NameKind::Uri, NameKind::Email, NameKind::Dns]
            .into_iter()
            .find(|kind| names.iter().any(|name| text_of(name, *kind).is_some()))
            .unwrap_or(NameKind::Cn),
        kind => kind,
    };
    let text = match kind {
        NameKind::Cn | NameKind::First => only_one(
            kind,
            certificate
                .subject()
                .iter_common_name()
                .map(|name| name.as_str().map_err(|_| NameFault::NotText)),
        )?,
        kind => only_one(kind, names.iter().filter_map(|name| text_of(name, kind)))?,
    };
    let unfit = |source| CertificateError::Unfit {
        kind: kind.label(),
        source,
    };
    text.and_then(|text| name::canonical(kind, text)).map_err(unfit)
}

fn only_one<T>(kind: NameKind, mut names: impl Iterator<Item = T>) -> Result<T, CertificateError> {
    let name = names.next().ok_or(CertificateError::Missing(kind.label()))?;
    match names.next() {
        None => Ok(name),
        Some(_) => Err(CertificateError::Ambiguous(kind.label())),
    }
}

/// None, if the certificate has no such extension. One that cannot be read to its end is not skipped: it may
/// hold the name that is asked for, or a second one.
fn alternative_names<'a>(
    certificate: &X509Certificate<'a>,
) -> Result<Vec<GeneralName<'a>>, CertificateError> {
    let mut extensions = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    match (extensions.next(), extensions.next()) {
        (None, _) => Ok(Vec::new()),
        (Some(only), None) => match SubjectAlternativeName::from_der(only.value) {
            Ok(([], names)) => Ok(names.general_names),
            _ => Err(CertificateError::Malformed),
        },
        (Some(_), Some(_)) => Err(CertificateError::Malformed),
    }
}

/// If the name is of this kind: its text, or that it is none.
fn text_of<'a>(name: &GeneralName<'a>, kind: NameKind) -> Option<Result<&'a str, NameFault>> {
    match (name, kind) {
        (GeneralName::URI(text), NameKind::Uri)
        | (GeneralName::RFC822Name(text), NameKind::Email)
        | (GeneralName::DNSName(text), NameKind::Dns) => Some(Ok(*text)),
        (GeneralName::Invalid(tag, _), kind) if kind.tag() == Some(tag.0) => Some(Err(NameFault::NotText)),
        _ => None,
    }
}

impl NameKind {
    fn label(self) -> &'static str {
        match self {
            Self::Uri => "URI",
            Self::Email => "e-mail address",
            Self::Dns => "DNS name",
            Self::Cn | Self::First => "common name",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Email => "email",
            Self::Dns => "dns",
            Self::Cn | Self::First => "cn",
        }
    }

    /// As a `GeneralName` (RFC 5280, section 4.2.1.6).
    fn tag(self) -> Option<u32> {
        match self {
            Self::Email => Some(1),
            Self::Dns => Some(2),
            Self::Uri => Some(6),
            Self::Cn | Self::First => None,
        }
    }
}

#[cfg(test)]
mod tests;
