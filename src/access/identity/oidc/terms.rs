//! What a token must be, and what it then has proven.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// An issuer whose tokens are accepted, and how its tokens must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What `iss` must be, byte for byte.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// Where the keys are; otherwise the issuer's discovery document says it.
    pub jwks_uri: Option<String>,
    /// The claim that lists the caller's groups.
    pub groups_claim: String,
    /// How long a token may be valid, from `iat` to `exp`.
    pub max_lifetime: Duration,
    /// The token must be for nobody else.
    pub single_audience: bool,
    /// A token is accepted once: by this process, until it expires.
    pub once: bool,
}

/// What a token has proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub issuer: String,
    /// For whom the token is meant: with the issuer it says which settings it was accepted by.
    pub audience: String,
    pub subject: String,
    /// Only if the issuer does not say that it is unverified.
    pub email: Option<String>,
    pub groups: Vec<String>,
    pub expires: SystemTime,
    /// `amr` names a second factor (RFC 8176, "mfa").
    pub mfa: bool,
    /// The texts under `https://sts.amazonaws.com/`, as AWS says them about its principals. Any issuer
    /// may write such claims: they are AWS's word only if the issuer is.
    pub claims: BTreeMap<String, String>,
}
