//! Why an AWS identity was not accepted. No sentence holds a part of the proof.

use crate::platform::aws::proof::ProofError;
use crate::platform::http::HttpError;
use std::fmt;

/// Why there is no answer of STS.
#[derive(Debug, thiserror::Error)]
pub enum Outage {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("its status is {0}")]
    Status(u16),
    #[error("too many proofs are being verified")]
    Busy,
    #[error("so many proofs were used that no more can be remembered")]
    Full,
    #[error("dbproxy is shutting down")]
    Stopping,
}

/// What STS calls its refusal, such as `SignatureDoesNotMatch`; shortened to what a code may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefusalCode(Option<Box<str>>);

impl RefusalCode {
    const BYTES_MAX: usize = 64;

    /// Anything that is no code becomes none.
    pub fn new(text: &str) -> Self {
        let sound = (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        Self(sound.then(|| text.into()))
    }

    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

/// Why nobody was identified by a proof.
#[derive(Debug, thiserror::Error)]
pub enum AwsIamError {
    #[error("the proof of an AWS identity is malformed")]
    Malformed(#[source] ProofError),
    #[error("proofs of this AWS region are not accepted")]
    Region,
    #[error("callers of the AWS account {0} are not accepted (`accounts` of `[aws_iam]`)")]
    Account(String),
    #[error("the proof of an AWS identity is too old")]
    Expired,
    #[error("the proof of an AWS identity is dated in the future; a clock is wrong")]
    Future,
    #[error("the proof of an AWS identity was used before")]
    Replayed,
    #[error("AWS STS refuses the proof{0}")]
    Refused(RefusalCode),
    #[error("AWS STS cannot be asked about the proof")]
    Unavailable(#[source] Outage),
    #[error("AWS STS is asked too often")]
    Throttled,
    #[error("AWS STS answers what it should not: {0}")]
    Unexpected(&'static str),
    #[error("neither an IAM role nor an IAM user: {0} are not accepted")]
    NotAPrincipal(&'static str),
}

impl From<ProofError> for AwsIamError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Region => Self::Region,
            ProofError::Expired => Self::Expired,
            ProofError::Future => Self::Future,
            other => Self::Malformed(other),
        }
    }
}
