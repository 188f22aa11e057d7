//! Lists of revoked certificates as they stand in files, and what must be known of each beforehand.

use crate::platform::tls::TlsError;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};

/// Largest file: lists with more than a million certificates.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Where these stand in a list of version 2 (RFC 5280, section 5.1): version, signature, issuer, this update.
const ISSUER: usize = 2;
const THIS_UPDATE: usize = 3;
/// `issuingDistributionPoint` (RFC 5280, section 5.2.5), 2.5.29.28, without tag and length.
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
/// The tag of the extensions; the other elements have universal ones.
const EXTENSIONS: Tag = Tag(0);
/// Most elements of what is signed (a certificate that has all the optional ones has ten), and most extensions.
const ELEMENTS_MAX: usize = 32;

/// A list; whether it is one, and who signed it, rustls judges.
#[derive(Debug)]
pub(super) struct Crl {
    pub(super) der: CertificateRevocationListDer<'static>,
    /// The issuer's name without tag and length.
    pub(super) issuer: Vec<u8>,
    /// Seconds since 1970.
    pub(super) this_update: i64,
    /// Of which of its issuer's certificates it speaks, if not of all.
    pub(super) scope: Option<Vec<u8>>,
}

/// The lists of a file, at least one.
pub(super) fn read(path: &Path) -> Result<Vec<Crl>, TlsError> {
    let bytes = read_bounded(path)?;
    let lists = match bytes.as_slice() {
        // A sequence whose length takes more than one byte, which no text begins with.
        [0x30, 0x80..=0xff, ..] => vec![CertificateRevocationListDer::from(bytes)],
        text => CertificateRevocationListDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|source| TlsError::Pem {
                path: path.to_owned(),
                source,
            })?,
    };
    let crls: Option<Vec<_>> = lists.into_iter().map(looked_at).collect();
    crls.filter(|crls| !crls.is_empty())
        .ok_or_else(|| TlsError::Empty {
            path: path.to_owned(),
            what: "list of revoked certificates",
        })
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(FILE_BYTES_MAX.saturating_add(1))
                .read_to_end(&mut bytes)
        })
        .map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        return Ok(bytes);
    }
    Err(TlsError::TooLarge {
        path: path.to_owned(),
        limit: FILE_BYTES_MAX,
    })
}

fn looked_at(der: CertificateRevocationListDer<'static>) -> Option<Crl> {
    let elements = signed_elements(&der)?;
    let issuer = elements.get(ISSUER)?.data.to_vec();
    let this_update = seconds(elements.get(THIS_UPDATE)?)?;
    let extensions = elements
        .iter()
        .find(|element| element.class() == Class::ContextSpecific && element.tag() == EXTENSIONS);
    let scope = match extensions {
        Some(extensions) => scope_among(extensions)?,
        None => None,
    };
    Some(Crl {
        issuer,
        this_update,
        scope,
        der,
    })
}

/// `Extensions ::= SEQUENCE OF SEQUENCE { OID, critical, value }`: what follows the identifier that is looked
/// for. The outer option is for bytes that are none.
fn scope_among(extensions: &Any<'_>) -> Option<Option<Vec<u8>>> {
    let (_, list) = Any::from_der(extensions.data).ok()?;
    for extension in elements(list.data)? {
        let (value, identifier) = Any::from_der(extension.data).ok()?;
        if identifier.data == ISSUING_DISTRIBUTION_POINT {
            return Some(Some(value.to_vec()));
        }
    }
    Some(None)
}

fn seconds(time: &Any<'_>) -> Option<i64> {
    let time = match time.tag() {
        Tag::UtcTime => time.clone().utctime().ok()?.utc_adjusted_datetime(),
        _ => time.clone().generalizedtime().ok()?.utc_datetime(),
    };
    Some(time.ok()?.unix_timestamp())
}

/// What is signed, of a certificate or a list, taken apart once.
pub(super) fn signed_elements(der: &[u8]) -> Option<Vec<Any<'_>>> {
    let (_, outer) = Any::from_der(der).ok()?;
    let (_signature, signed) = Any::from_der(outer.data).ok()?;
    elements(signed.data)
}

fn elements(mut rest: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut elements = Vec::new();
    while !rest.is_empty() && elements.len() < ELEMENTS_MAX {
        let (after, element) = Any::from_der(rest).ok()?;
        elements.push(element);
        rest = after;
    }
    rest.is_empty().then_some(elements)
}
