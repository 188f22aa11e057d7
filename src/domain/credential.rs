//! What is presented to the server: db user, secret, expiry.

use super::secret::Secret;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
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
    /// What shows another dbproxy who logs in: like a token, only inside verified TLS and only when a cleartext
    /// password is asked for.
    Proof(Prover),
}

/// Why there is no proof.
pub type ProofFault = Box<dyn Error + Send + Sync>;
type Make = dyn Fn() -> Result<Secret, ProofFault> + Send + Sync;

/// Makes a proof at the moment in which it is asked for: it is soon too old, and accepted once.
#[derive(Clone)]
pub struct Prover {
    make: Arc<Make>,
    /// Which credentials it proves, by an id that is no secret; none where there are none to renew.
    pub of: Option<Arc<str>>,
}

impl Prover {
    pub fn new(
        of: Option<&str>,
        make: impl Fn() -> Result<Secret, ProofFault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(make),
            of: of.map(Arc::from),
        }
    }

    /// Another one each time.
    pub fn prove(&self) -> Result<Secret, ProofFault> {
        (self.make)()
    }
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prover")
    }
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
