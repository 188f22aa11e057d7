//! The client's two messages (RFC 5802, section 7), read without copies. Stricter than PostgreSQL where
//! the standard is: names of fields are not used twice, a nonce is printable.

use super::{MESSAGE_BYTES_MAX, ScramError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest user name that is skipped: three bytes for each of a name of 63 that is all escapes, and more.
const USER_BYTES_MAX: usize = 1_024;
/// Longest nonce of a client; drivers send 18 to 48 characters.
const NONCE_BYTES_MAX: usize = 512;
/// A proof is a SHA-256 in base64.
const PROOF_CHARS: usize = 44;

/// What the client says of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag<'a> {
    /// `n`: it has none.
    Unsupported,
    /// `y`: it has it, and thinks that the server has not.
    NotOffered,
    /// `p`: of this type.
    Used(&'a str),
}

/// `gs2-header n=user,r=nonce`.
#[derive(Debug)]
pub(super) struct ClientFirst<'a> {
    pub flag: Flag<'a>,
    /// Flag and authorization identity, both with their commas.
    pub header: &'a str,
    /// What follows the header: the part that is signed.
    pub bare: &'a str,
    pub nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ScramError> {
        let text = text(bytes)?;
        let malformed = ScramError::Malformed("no GS2 header");
        let (flag, rest) = text.split_once(',').ok_or(malformed)?;
        let (identity, bare) = rest.split_once(',').ok_or(malformed)?;
        let flag = match (flag, flag.strip_prefix("p=")) {
            ("n", _) => Flag::Unsupported,
            ("y", _) => Flag::NotOffered,
            (_, Some(name)) => Flag::Used(name),
            _ => return Err(malformed),
        };
        if !identity.is_empty() {
            return Err(ScramError::AuthorizationIdentity);
        }
        let mut fields = bare.split(',');
        let user = field(&mut fields, "n=", ScramError::Malformed("no user name"))?;
        if user.len() > USER_BYTES_MAX {
            return Err(ScramError::Malformed("the user name is too long"));
        }
        let nonce = field(&mut fields, "r=", ScramError::Malformed("no nonce"))?;
        let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !printable {
            return Err(ScramError::Malformed(
                "the nonce is empty, too long or not printable",
            ));
        }
        fields.try_for_each(optional)?;
        let header = text.strip_suffix(bare).ok_or(malformed)?;
        Ok(Self {
            flag,
            header,
            bare,
            nonce,
        })
    }
}

/// `c=binding,r=nonce,p=proof`.
pub(super) struct ClientFinal<'a> {
    /// Base64 of the header and of the channel's data; compared as it is.
    pub binding: &'a str,
    pub nonce: &'a str,
    /// The part that is signed.
    pub without_proof: &'a str,
    pub proof: [u8; 32],
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ScramError> {
        let text = text(bytes)?;
        // No extension may be named `p`, so the last is the only one.
        let malformed = ScramError::Malformed("no proof of 32 bytes at the end");
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(malformed)?;
        if proof.len() != PROOF_CHARS {
            return Err(malformed);
        }
        let proof = STANDARD.decode(proof).map_err(|_| malformed)?;
        let proof = proof.try_into().map_err(|_| malformed)?;
        let mut fields = without_proof.split(',');
        let binding = field(&mut fields, "c=", ScramError::Malformed("no channel binding"))?;
        let nonce = field(&mut fields, "r=", ScramError::Malformed("no nonce"))?;
        fields.try_for_each(optional)?;
        Ok(Self {
            binding,
            nonce,
            without_proof,
            proof,
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, ScramError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::TooLong(bytes.len()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(ScramError::Malformed("not UTF-8 text")),
    }
}

/// The value of the next field, which must have this name.
fn field<'a>(
    fields: &mut impl Iterator<Item = &'a str>,
    name: &str,
    otherwise: ScramError,
) -> Result<&'a str, ScramError> {
    let field = fields.next().ok_or(otherwise)?;
    match field.strip_prefix(name) {
        Some(value) => Ok(value),
        None if field.starts_with("m=") => Err(ScramError::Extension),
        None => Err(otherwise),
    }
}

/// An extension that may be ignored, unless it has the name of something that may not.
fn optional(field: &str) -> Result<(), ScramError> {
    match (field.as_bytes(), field.split_once('=')) {
        ([b'm', b'=', ..], _) => Err(ScramError::Extension),
        (
            [
                b'a' | b'c' | b'e' | b'i' | b'n' | b'p' | b'r' | b's' | b'v',
                b'=',
                ..,
            ],
            _,
        ) => Err(ScramError::Malformed("a field stands where it must not")),
        ([name, b'=', ..], Some((_, value))) if name.is_ascii_alphabetic() && !value.is_empty() => Ok(()),
        _ => Err(ScramError::Malformed("an extension is not `name=value`")),
    }
}
