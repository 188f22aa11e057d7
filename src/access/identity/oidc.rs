//! The `oidc` authenticator: a JWT that a client presents as its password.
//!
//! A token says by itself who has issued it. That is believed only as far as to choose among the issuers
//! of the configuration; all else is believed after the signature has been verified with a key of that
//! issuer. Which kind of signature a key is good for is decided by the key, never by the token alone.

mod claims;
mod error;
mod fetch;
mod judge;
mod jwks;
mod keys;
mod replay;
mod terms;
mod token;

pub use error::OidcError;
pub use fetch::{FetchError, KeysError};
pub use judge::SettingsError;
pub use terms::{Proof, Settings};
pub use token::looks_like_jwt;

use crate::platform::clock::Clock;
use crate::platform::http::Http;
use crate::platform::task::Background;
use fetch::Source;
use keys::Keys;
use replay::Seen;
use std::sync::Arc;
use token::Token;

/// Verifies tokens of the issuers it was given.
#[derive(Debug)]
pub struct Oidc {
    issuers: Vec<Issuer>,
    clock: Clock,
}

#[derive(Debug)]
struct Issuer {
    settings: Settings,
    keys: Arc<Keys>,
    seen: Seen,
}

impl Oidc {
    /// An issuer may appear more than once, for several audiences. Nothing is fetched yet.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "each part is shared by all issuers; the caller has no further use for it"
    )]
    pub fn new(settings: Vec<Settings>, http: Http, clock: Clock, background: Background) -> Self {
        let issuer = |settings: Settings| Issuer {
            keys: Arc::new(Keys::new(
                Source::new(&settings.issuer, settings.jwks_uri.as_deref(), http.clone()),
                clock.clone(),
                background.clone(),
            )),
            seen: Seen::default(),
            settings,
        };
        Self {
            issuers: settings.into_iter().map(issuer).collect(),
            clock: clock.clone(),
        }
    }

    /// Who presents this token. Asks the issuer for its keys if they are not known or too old.
    pub async fn verify(&self, token: &str) -> Result<Proof, OidcError> {
        let token = Token::parse(token)?;
        let Issuer { settings, keys, seen } = self.issuer_of(&token)?;
        let key = keys.find(token.kid.as_deref(), token.algorithm).await?;
        token.verify_signature(&key)?;
        // Read now: the keys may have taken a while.
        let now = self.clock.now();
        let proof = token.claims.proof(settings, now)?;
        if settings.once {
            // Last, so that only a token that is accepted is remembered.
            seen.admit(token.claims.id()?, proof.expires, now)?;
        }
        Ok(proof)
    }

    /// By claims that nobody has verified yet: they only choose whose keys and rules apply.
    fn issuer_of(&self, token: &Token<'_>) -> Result<&Issuer, OidcError> {
        let name = token.claims.issuer()?;
        let mut of_this_name = self
            .issuers
            .iter()
            .filter(|issuer| issuer.settings.issuer == name)
            .peekable();
        if of_this_name.peek().is_none() {
            return Err(OidcError::UnknownIssuer);
        }
        of_this_name
            .find(|issuer| token.claims.is_for(&issuer.settings))
            .ok_or(OidcError::Audience)
    }
}

#[cfg(test)]
mod tests;
