//! `tls-server-end-point` (RFC 5929, section 4.1): the hash of the server's certificate, by which both
//! sides see that they are the ends of the same TLS connection.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The hash of a certificate, by the hash function of its own signature; SHA-256 in place of MD5 and
/// SHA-1. `None` for signatures of which the RFC does not say what the hash is, or clients disagree
/// (Ed25519, RSASSA-PSS): then -PLUS is not to be offered.
pub fn end_point(certificate_der: &[u8]) -> Option<Vec<u8>> {
    let algorithm = hash_of(signature_algorithm(certificate_der)?)?;
    Some(digest(algorithm, certificate_der).as_ref().to_vec())
}

/// The object identifiers of signatures, without tag and length.
fn hash_of(signature: &[u8]) -> Option<&'static Algorithm> {
    match signature {
        // 1.2.840.113549.1.1: RSA, PKCS #1 version 1.5
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
            // MD5, SHA-1, SHA-256
            4 | 5 | 11 => Some(&SHA256),
            12 => Some(&SHA384),
            13 => Some(&SHA512),
            _ => None,
        },
        // 1.2.840.10045.4: ECDSA
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, rest @ ..] => match rest {
            // SHA-1, SHA-256
            [1] | [3, 2] => Some(&SHA256),
            [3, 3] => Some(&SHA384),
            [3, 4] => Some(&SHA512),
            _ => None,
        },
        _ => None,
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, signature }`
/// (RFC 5280, section 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, []) = take(SEQUENCE, certificate)? else {
        return None;
    };
    let (_to_be_signed, rest) = take(SEQUENCE, inside)?;
    let (algorithm, _signature) = take(SEQUENCE, rest)?;
    let (identifier, _parameters) = take(OBJECT_IDENTIFIER, algorithm)?;
    Some(identifier)
}

/// The content of the element at the front, which must have this tag, and what follows it.
fn take(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // The length follows in one to three bytes: no certificate is longer than those can say.
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}
