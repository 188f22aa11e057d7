//! ARNs of IAM roles and users, the only principals that a manifest names.

use crate::access::identity::aws_iam::permission_set;
use std::fmt;

/// Longest path and name (IAM API Reference, "Role", "User").
const PATH_BYTES_MAX: usize = 512;
const NAME_BYTES_MAX: usize = 64;

/// What partitions are called (AWS General Reference, "ARNs").
const PARTITIONS: [&str; 8] = [
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-eusc",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
];

/// The twelve digits of an AWS account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(Box<str>);

impl AccountId {
    pub fn new(text: &str) -> Option<Self> {
        let right = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        right.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrincipalKind {
    Role,
    User,
}

/// One IAM role or user, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrincipalArn {
    text: Box<str>,
    partition: &'static str,
    account: AccountId,
    kind: PrincipalKind,
}

/// Why a text names no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    #[error("`{0}` is not an ARN such as `arn:aws:iam::111122223333:role/app`")]
    NotAnArn(String),
    #[error("`{0}` has a wildcard: name each principal in full")]
    Wildcard(String),
    #[error("`{arn}`: there is no partition `{partition}`")]
    Partition { arn: String, partition: String },
    #[error("`{0}`: an account has 12 digits")]
    Account(String),
    #[error("`{0}` is a session of a role, and gone tomorrow: name the role, `{1}`")]
    Session(String, String),
    #[error("`{0}` stands for its whole account: name a role or a user")]
    Root(String),
    #[error("`{0}` is neither an IAM role nor an IAM user")]
    Kind(String),
    #[error("`{0}`: no role or user has such a name")]
    Name(String),
}

impl PrincipalArn {
    pub fn new(text: &str) -> Result<Self, ArnError> {
        let own = || text.to_owned();
        if text.contains(['*', '?']) {
            return Err(ArnError::Wildcard(own()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = *parts.as_slice() else {
            return Err(ArnError::NotAnArn(own()));
        };
        let Some(partition) = PARTITIONS.iter().find(|known| **known == partition) else {
            let partition = partition.to_owned();
            return Err(ArnError::Partition {
                arn: own(),
                partition,
            });
        };
        let account = AccountId::new(account).ok_or_else(|| ArnError::Account(own()))?;
        let (kind, path) = match (service, resource.split_once('/')) {
            ("iam", Some(("role", path))) => (PrincipalKind::Role, path),
            ("iam", Some(("user", path))) => (PrincipalKind::User, path),
            ("iam", None) if resource == "root" => return Err(ArnError::Root(own())),
            ("sts", Some(("assumed-role", rest))) => {
                let role = rest.split('/').next().unwrap_or_default();
                let role = format!("arn:{partition}:iam::{account}:role/{role}");
                return Err(ArnError::Session(own(), role));
            }
            _ => return Err(ArnError::Kind(own())),
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let reserved = kind == PrincipalKind::Role && permission_set(name).is_err();
        if !is_path(path) || reserved {
            return Err(ArnError::Name(own()));
        }
        Ok(Self {
            text: text.into(),
            partition,
            account,
            kind,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn partition(&self) -> &'static str {
        self.partition
    }

    pub fn account(&self) -> &AccountId {
        &self.account
    }

    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// Without its path: what IAM's API takes.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for PrincipalArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `NAME` or `some/path/NAME`.
fn is_path(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let segment = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    is_name(name)
        && folders.len() <= PATH_BYTES_MAX
        && (folders.is_empty() || folders.split('/').all(segment))
        && !path.starts_with('/')
}

/// The alphabet of role and user names (IAM API Reference).
pub fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}
