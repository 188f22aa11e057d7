//! Why a token proves nothing.

use super::fetch::KeysError;
use std::sync::Arc;

/// For the log: a client learns only that its password was not accepted. No variant holds anything of the
/// token. Clone, because everybody who waited for the same keys receives their failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OidcError {
    #[error("the token is not a JWT, or too long")]
    Malformed,
    #[error("the token is signed in a way that is not accepted, or that its key is not for")]
    Algorithm,
    #[error("the token is of an issuer that is not configured")]
    UnknownIssuer,
    #[error("the issuer has no key, or more than one, that may have signed the token")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet, or the clocks differ")]
    NotYet,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the token's claim `{0}` is missing or not acceptable")]
    Claim(&'static str),
    #[error("the token was presented before")]
    Replayed,
    #[error("too many tokens of the issuer are remembered: none can be accepted until some expire")]
    Crowded,
    #[error("the issuer's keys are not available")]
    KeysUnavailable(#[source] Arc<KeysError>),
}
