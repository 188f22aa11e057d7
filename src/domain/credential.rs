//! What is presented to the server: db user, secret, expiry.

use super::secret::Secret;
use std::time::SystemTime;

/// The answer to the server's authentication request.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An RDS IAM auth token: goes out in clear, so only inside verified TLS and only when the
    /// server asks for a cleartext password.
    AuthToken(AuthToken),
    /// A stored password: any method the server asks for (SCRAM, md5, cleartext inside TLS).
    Password(Secret),
    /// None of ours: the server's own exchange is relayed to the client.
    Passthrough,
}

/// A minted token with the time after which the server would refuse it.
#[derive(Debug, Clone)]
pub struct AuthToken {
    pub secret: Secret,
    /// The earlier of 15 minutes after signing and the expiry of the signing credentials.
    pub expires_at: SystemTime,
    pub signed_at: SystemTime,
    /// The access key that signed it: not secret, and what CloudTrail calls the signer by.
    pub key_id: String,
}

/// Whether a credential was minted for this login or came from a cache; only a cached one is
/// worth a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    Cached,
}
