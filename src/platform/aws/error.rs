//! Failures of AWS calls, sorted by what mends them.

use crate::error::Chain;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// What kind of failure it was; each kind has its own remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsFault {
    /// No source of the chain had credentials.
    NoCredentials,
    /// An IAM Identity Center (SSO) login is missing or has expired.
    SsoExpired,
    /// The credentials were temporary and have expired.
    Expired,
    /// AWS does not know the key, or it is inactive.
    UnknownKey,
    /// The signature does not match: wrong secret, or a clock that is off.
    BadSignature,
    /// The caller may not do this.
    Denied,
    Throttled,
    /// No answer, or none in time.
    Unreachable,
    /// The thing asked for does not exist.
    NotFound,
    Other,
}

/// A failed AWS call. Shared by everybody who waited for the same call, hence `Clone`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action}: {message}")]
pub struct AwsError {
    pub fault: AwsFault,
    /// A bare verb phrase: "assume role arn:…".
    pub action: String,
    /// The causes in AWS's words.
    pub message: String,
}

impl AwsError {
    /// From a failed API call.
    pub fn of_call<E>(action: impl Into<String>, error: &E) -> Self
    where
        E: Error + ProvideErrorMetadata,
    {
        let message = match (error.code(), error.message()) {
            // Only the first line: what follows may quote the signed request.
            (Some(code), Some(message)) => {
                format!("{code}: {}", message.lines().next().unwrap_or_default())
            }
            (Some(code), None) => code.to_owned(),
            _ => Chain(error).to_string(),
        };
        Self {
            fault: fault_of_code(error.code(), &message),
            action: action.into(),
            message,
        }
    }

    /// From a failed look for credentials.
    pub fn of_credentials(error: &CredentialsError) -> Self {
        let message = Chain(error).to_string();
        let fault = match error {
            CredentialsError::CredentialsNotLoaded(_) => AwsFault::NoCredentials,
            CredentialsError::ProviderTimedOut(_) => AwsFault::Unreachable,
            _ => fault_of_code(None, &message),
        };
        Self {
            fault,
            action: "find AWS credentials".to_owned(),
            message,
        }
    }

    pub fn stopped(action: impl Into<String>) -> Self {
        Self {
            fault: AwsFault::Other,
            action: action.into(),
            message: "dbproxy is shutting down".to_owned(),
        }
    }

    /// What an operator does about it.
    pub fn remedy(&self) -> &'static str {
        match self.fault {
            AwsFault::NoCredentials => {
                "Give dbproxy AWS credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID with \
                 AWS_SECRET_ACCESS_KEY, `aws sso login`, or a task, pod or instance role."
            }
            AwsFault::SsoExpired => "Run `aws sso login` for the profile dbproxy uses, then connect again.",
            AwsFault::Expired => {
                "The AWS credentials of dbproxy have expired: renew them (for example `aws sso login`)."
            }
            AwsFault::UnknownKey => {
                "AWS does not accept dbproxy's access key: it is inactive, deleted, or of another partition."
            }
            AwsFault::BadSignature => {
                "Check AWS_SECRET_ACCESS_KEY and this machine's clock; AWS refuses requests whose \
                 time is more than five minutes off."
            }
            AwsFault::Denied => {
                "Allow the action in IAM: see the message for the principal and the resource."
            }
            AwsFault::Throttled => "AWS throttles these calls; try again in a moment.",
            AwsFault::Unreachable => {
                "The AWS API does not answer or answers that it is unavailable: try again; if it lasts, check DNS, \
                 egress rules and VPC endpoints."
            }
            AwsFault::NotFound => "Check the name and the account in dbproxy's configuration.",
            AwsFault::Other => "See dbproxy's log for the whole answer of AWS.",
        }
    }
}

/// Codes as in the "Common Errors" page of the AWS API references.
fn fault_of_code(code: Option<&str>, message: &str) -> AwsFault {
    match code {
        Some("ExpiredToken" | "ExpiredTokenException" | "RequestExpired") => AwsFault::Expired,
        Some("InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId") => {
            AwsFault::UnknownKey
        }
        Some("SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestTimeTooSkewed") => {
            AwsFault::BadSignature
        }
        Some("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation") => AwsFault::Denied,
        Some("Throttling" | "ThrottlingException" | "TooManyRequestsException" | "SlowDown") => {
            AwsFault::Throttled
        }
        Some("ResourceNotFoundException" | "NoSuchEntity" | "NoSuchEntityException") => AwsFault::NotFound,
        Some("ServiceUnavailable" | "InternalFailure" | "InternalError") => AwsFault::Unreachable,
        Some(_) => AwsFault::Other,
        None => fault_of_text(message),
    }
}

/// Failures that never reached an API carry no code; the SDK's own words are all there is.
fn fault_of_text(message: &str) -> AwsFault {
    let text = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["sso"]) && has(&["expired", "token", "login", "cache"]) {
        AwsFault::SsoExpired
    } else if has(&["expired"]) {
        AwsFault::Expired
    } else if has(&[
        "timeout",
        "timed out",
        "dispatch failure",
        "connect",
        "dns",
        "io error",
    ]) {
        AwsFault::Unreachable
    } else if has(&[
        "no credentials",
        "credentials provider was not enabled",
        "not loaded",
    ]) {
        AwsFault::NoCredentials
    } else {
        AwsFault::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts_are_sorted_by_remedy() {
        assert_eq!(fault_of_code(Some("ExpiredToken"), ""), AwsFault::Expired);
        assert_eq!(fault_of_code(Some("AccessDenied"), ""), AwsFault::Denied);
        for (text, fault) in [
            (
                "the SSO token has expired and cannot be refreshed",
                AwsFault::SsoExpired,
            ),
            (
                "dispatch failure: io error: connection refused",
                AwsFault::Unreachable,
            ),
            ("no credentials in the credential chain", AwsFault::NoCredentials),
        ] {
            assert_eq!(fault_of_code(None, text), fault, "{text}");
        }
    }
}
