//! The outside of a token: its three parts, its header, its signature.

use super::claims::Claims;
use super::error::OidcError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 65_536;

/// A token whose signature nobody has verified yet.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Claims,
    /// Header and claims as they were signed.
    signed: &'a str,
    signature: &'a str,
}

/// What of the header matters. Where it says that keys are to be found (`jku`, `jwk`, `x5u`, `x5c`) is
/// not read: anybody can write that.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// Whether a password is a JWT by its looks. No more: what it says is for [`super::Oidc::verify`].
pub fn looks_like_jwt(text: &[u8]) -> bool {
    let is_base64url = |part: &[u8]| {
        part.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut parts = text.split(|byte| *byte == b'.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        // The signature may be empty: such a token is to be refused as what it is.
        (Some(header), Some(claims), Some(signature), None) => {
            header.starts_with(b"eyJ")
                && !claims.is_empty()
                && [header, claims, signature].into_iter().all(is_base64url)
        }
        _ => false,
    }
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, OidcError> {
        if text.len() > TOKEN_BYTES_MAX || !looks_like_jwt(text.as_bytes()) {
            return Err(OidcError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(OidcError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(OidcError::Malformed)?;
        let header: Header = decode(header)?;
        let algorithm = algorithm(&header.alg).ok_or(OidcError::Algorithm)?;
        if header.crit.is_some() {
            // It names what a reader must understand; nothing of that kind is understood here.
            return Err(OidcError::Claim("crit"));
        }
        if !header.typ.is_none_or(|typ| is_accepted_type(&typ)) {
            return Err(OidcError::Claim("typ"));
        }
        Ok(Self {
            algorithm,
            kid: header.kid,
            claims: Claims::new(decode(claims)?),
            signed,
            signature,
        })
    }

    /// The key is one that the algorithm fits; the library checks their families once more.
    pub(super) fn verify_signature(&self, key: &DecodingKey) -> Result<(), OidcError> {
        match crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(OidcError::Signature),
        }
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, OidcError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| OidcError::Malformed)?;
    // The source would quote the token.
    serde_json::from_slice(&json).map_err(|_| OidcError::Malformed)
}

/// The ways of signing that are accepted: only those with a public key.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// An issuer signs other things with the same keys, such as notices of a logout.
fn is_accepted_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_is_told_from_another_password() {
        for text in ["eyJh.eyJi.c-_9", "eyJh.e30."] {
            assert!(looks_like_jwt(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "eyJh",
            "eyJh.b",
            "eyJh..c",
            "eyJh.b.c.d",
            "eyKh.b.c",
            "eyJh.b=.c",
            "eyJh.b.c ",
            "secret",
            "..",
        ] {
            assert!(!looks_like_jwt(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn only_signatures_with_public_keys_are_known() {
        for name in [
            "none", "None", "HS256", "HS384", "HS512", "rs256", "ES512", "ES256K", "",
        ] {
            assert_eq!(algorithm(name), None, "{name}");
        }
    }
}
