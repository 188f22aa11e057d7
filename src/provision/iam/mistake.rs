//! Why a manifest has no IAM policies.

use crate::domain::name::{DbUser, TargetName};
use crate::provision::manifest::arn::PrincipalArn;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error(
        "cluster `{cluster}` has no `{what}`, and no target of the configuration says it: ARNs of db users need it"
    )]
    Missing { cluster: TargetName, what: &'static str },
    #[error("cluster `{cluster}`: the target's account `{account}` is not the 12 digits of an AWS account")]
    Account { cluster: TargetName, account: String },
    #[error(
        "db user `{user}` of `{cluster}`: IAM reads *, ? and $ as more than themselves, so no policy names it exactly: \
         rename it, or set rds_iam = false"
    )]
    Wild { cluster: TargetName, user: DbUser },
    #[error(
        "db user `{user}` of `{cluster}`: an IAM policy cannot hold control characters, nor any beyond U+00FF: rename \
         it, or set rds_iam = false"
    )]
    Unwritable { cluster: TargetName, user: DbUser },
    #[error(
        "`{principal}` is of another account than cluster `{cluster}`, and IAM lets only principals of the database's \
         own account connect: name the role that it assumes there, or add a [[clusters.{cluster}.cross_account]] that \
         trusts it"
    )]
    Foreign {
        cluster: TargetName,
        principal: PrincipalArn,
    },
    #[error(
        "`{principal}` is of the partition {}, and cluster `{cluster}` of {partition}",
        principal.partition()
    )]
    Partition {
        cluster: TargetName,
        principal: PrincipalArn,
        partition: &'static str,
    },
    #[error(
        "the role `{role}` is declared by several clusters with other trusts, external ids or session lengths: make \
         them alike, or rename one"
    )]
    TwoRoles { role: PrincipalArn },
    #[error("the role `{role}` would trust more principals than its trust policy can hold: make two of it")]
    Trusts { role: PrincipalArn },
    #[error("what `{holder}` needs has an ARN that no policy can hold: shorten the resource ids")]
    TooLong { holder: String },
    #[error(
        "`{holder}` would need {count} managed policies, and IAM attaches at most {}: let several roles share the db users",
        super::bundle::ATTACHED_MAX
    )]
    TooMany { holder: String, count: usize },
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}"),
            many => {
                write!(f, "{} mistakes:", many.len())?;
                many.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}
