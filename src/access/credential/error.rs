//! Why no credential could be had.

use super::proof::TokenFault;
use crate::domain::name::DbUser;
use crate::domain::reason::CloseReason;
use crate::error::{ClientFacing, Refusal, SqlState};
use crate::platform::aws::sign::SignError;
use crate::platform::aws::{AwsError, AwsFault};
use std::path::PathBuf;
use std::sync::Arc;

/// Clone, because everybody who waited for one fill receives its failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    #[error("AWS gave no credentials")]
    Aws(#[from] AwsError),
    #[error("no auth token could be signed")]
    Sign(#[from] SignError),
    #[error("no session policy can be written for db user \"{user}\"")]
    NoSessionPolicy { user: DbUser },
    #[error("the password file `{path}` cannot be read")]
    PasswordFile {
        path: PathBuf,
        source: Arc<std::io::Error>,
    },
    #[error("the token file `{path}` cannot be used")]
    TokenFile { path: PathBuf, source: Arc<TokenFault> },
    #[error("no AWS region is known whose STS could vouch for dbproxy")]
    NoRegion,
}

impl ClientFacing for CredentialError {
    fn refusal(&self) -> Refusal {
        let refuse = |message: String| {
            Refusal::new(
                CloseReason::CredentialUnavailable,
                SqlState::INVALID_AUTHORIZATION,
                message,
            )
        };
        match self {
            Self::Aws(error) => refuse(format!("dbproxy could not {}", first_line(&error.action)))
                .detail(first_line(&error.message))
                .hint(hint_for(error)),
            Self::Sign(error) => refuse(error.to_string()),
            Self::NoSessionPolicy { .. } => refuse(self.to_string()).hint(
                "A session policy needs `resource_id` and `account_id` of the target and a db user \
                 name without `*`, `?` and `$`; or set `session_policy = false`.",
            ),
            // The path is the operator's affair, not the client's.
            Self::PasswordFile { .. } => refuse("dbproxy could not read its password file".into())
                .hint("See dbproxy's log for the file's name."),
            Self::TokenFile { source, .. } => {
                refuse("dbproxy has no token to show the broker: its token file cannot be used".into())
                    .detail(source.to_string())
                    .hint("Whoever writes the file must put a JWT there; see dbproxy's log for its name.")
            }
            Self::NoRegion => refuse(self.to_string()).hint("Set AWS_REGION, or `region` of the target."),
        }
    }
}

fn hint_for(error: &AwsError) -> String {
    if error.fault == AwsFault::Denied && error.action.starts_with("assume role") {
        return "The role's trust policy must name dbproxy's principal (and the external id, \
                session tags and source identity, where dbproxy sends them), and that principal \
                must be allowed sts:AssumeRole on the role."
            .to_owned();
    }
    error.remedy().to_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
