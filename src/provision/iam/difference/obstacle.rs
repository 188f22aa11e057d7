//! What has to be mended before an account can become what is wanted.

use crate::provision::manifest::arn::{AccountId, PrincipalArn};
use std::collections::BTreeSet;
use std::fmt;

/// Why an account cannot be made what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IamObstacle {
    #[error(
        "there is no `{principal}`{}: create it, or take it out of the manifest",
        elsewhere(path)
    )]
    Absent {
        principal: PrincipalArn,
        /// One of the same name and another path.
        path: Option<String>,
    },
    #[error("the role `{role}` cannot be made, because there is `{taken}`: rename one of them")]
    Taken { role: PrincipalArn, taken: String },
    #[error(
        "account {account}, whose AWS credentials these are, has no cluster of the manifest: give those of {clusters}; \
         `dbproxy iam-policy --account {account}` prints what the manifest implies in this one"
    )]
    Elsewhere { account: AccountId, clusters: String },
    #[error(
        "policy \"{policy}\" of `{principal}` speaks of {}, which this manifest does not know: a cluster's former resource ids \
         belong into its `past_resource_ids`; if another manifest names the principal, only one of them can",
        few(of)
    )]
    Shared {
        principal: PrincipalArn,
        policy: String,
        of: BTreeSet<String>,
    },
    #[error(
        "`{role}` was made by others, who gave it {}: a role for other accounts must have nothing beyond, so take that away or name \
         another role",
        held.join(", ")
    )]
    NotOwn { role: PrincipalArn, held: Vec<String> },
}

impl IamObstacle {
    /// Whom alone it concerns.
    pub(super) fn holder(&self) -> Option<&PrincipalArn> {
        match self {
            Self::Absent { principal, .. } | Self::Shared { principal, .. } => Some(principal),
            Self::Taken { role, .. } | Self::NotOwn { role, .. } => Some(role),
            Self::Elsewhere { .. } => None,
        }
    }
}

/// Those that are told of many.
pub(super) const TOLD_MAX: usize = 3;

fn few(of: &BTreeSet<String>) -> String {
    let told: Vec<String> = of.iter().take(TOLD_MAX).map(|one| format!("`{one}`")).collect();
    match of.len().saturating_sub(TOLD_MAX) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

fn elsewhere(path: &Option<String>) -> String {
    match path {
        Some(arn) => format!(", but `{arn}`, which must be written so"),
        None => String::new(),
    }
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamObstacles(pub Vec<IamObstacle>);

impl fmt::Display for IamObstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "in IAM {one}"),
            many => {
                write!(f, "{} things are in the way in IAM:", many.len())?;
                many.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
        }
    }
}

impl std::error::Error for IamObstacles {}
