//! The readers of tokens and of issuers' keys, without what fetches those keys.

#[path = "../../src/access/identity/oidc/claims.rs"]
mod claims;
#[path = "../../src/access/identity/oidc/error.rs"]
mod error;
#[path = "../../src/access/identity/oidc/jwks.rs"]
mod jwks;
#[path = "../../src/access/identity/oidc/terms.rs"]
mod terms;
#[path = "../../src/access/identity/oidc/token.rs"]
mod token;

pub use terms::{Proof, Settings};
pub use token::looks_like_jwt;

use jsonwebtoken::Algorithm;
use std::time::SystemTime;

/// Stands for the errors of fetching, as far as the readers name them.
mod fetch {
    #[derive(Debug, thiserror::Error)]
    #[error("the keys are not available")]
    pub struct KeysError;

    #[derive(Debug)]
    pub enum FetchError {
        Json(serde_json::Error),
        TooManyKeys(usize),
    }
}

/// What is believed of a token as soon as its signature is verified.
pub fn read(token: &str, settings: &Settings, now: SystemTime) -> Option<(Algorithm, Proof)> {
    let token = token::Token::parse(token).ok()?;
    let _ = (token.claims.issuer(), token.claims.id());
    if !token.claims.is_for(settings) {
        return None;
    }
    Some((token.algorithm, token.claims.proof(settings, now).ok()?))
}

/// Whether a set of keys has one for each of these.
pub fn has_keys(json: &[u8], kid: Option<&str>, algorithms: &[Algorithm]) -> Vec<bool> {
    let Ok(keys) = jwks::KeySet::parse(json) else {
        return Vec::new();
    };
    let has = |algorithm: &Algorithm| keys.find(kid, *algorithm).is_ok();
    algorithms.iter().map(has).collect()
}
