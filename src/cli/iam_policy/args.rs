//! Flags of `dbproxy iam-policy` as typed.

use crate::cli::provision::args::ManifestAt;
use crate::provision::manifest::arn::{AccountId, ArnError, PrincipalArn};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// Documents keyed by principal
    #[default]
    Json,
    /// A template of one account, as JSON
    Cloudformation,
    /// HCL for one account
    Terraform,
    /// Commands of the AWS CLI for one account; they make what is not there yet
    Cli,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Policies are printed here, for your infrastructure as code, or for another account. \
    `dbproxy plan --iam` and `dbproxy apply --iam` make an account so.\n\n\
    Exact ARNs only, merged for each principal over all clusters. What fits is an inline policy dbproxy-connect-1; \
    what does not is managed policies dbproxy-connect-role-NAME-<n>. Other inline policies of a principal \
    count towards the same limit."
)]
pub struct IamPolicy {
    /// Only this cluster of the manifest [default: all]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub at: ManifestAt,
    /// Configuration file, read where the manifest leaves out account_id, region or resource_ids, and where no flag says
    /// which manifest [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Only the documents of this role or user
    #[arg(long, value_name = "ARN", value_parser = principal, conflicts_with = "provisioner")]
    pub principal: Option<PrincipalArn>,
    /// Only the documents of principals of this account [default: all for json, else the databases' own]
    #[arg(long, value_name = "ID", value_parser = account)]
    pub account: Option<AccountId>,
    /// Instead, what the provisioner itself needs: to log in and to find the clusters
    #[arg(long)]
    pub provisioner: bool,
    /// The provisioner also writes these policies (`apply --iam`), so it may change exactly these roles, users and
    /// policies, and take what is dbproxy's own from others. Whoever may write a role's policy may give that role
    /// anything: without --boundary this is as much as an administrator of the account may. Policies inside principals
    /// that leave the manifest are taken out with what was printed before: apply first, then print anew
    #[arg(long, requires = "provisioner")]
    pub writes_iam: bool,
    /// The provisioner writes only to principals that have this permissions boundary, or one of them (repeatable), and
    /// makes no roles: whoever sets boundaries makes those of cross_account
    #[arg(long, value_name = "ARN", requires = "writes_iam", value_parser = boundary)]
    pub boundary: Vec<String>,
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    pub format: Format,
}

fn principal(text: &str) -> Result<PrincipalArn, ArnError> {
    PrincipalArn::new(text)
}

fn boundary(text: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let is_policy = match *parts.as_slice() {
        ["arn", _, "iam", "", _, policy] => {
            policy.starts_with("policy/") && !policy.contains(['*', '?', '$'])
        }
        _ => false,
    };
    match is_policy {
        true => Ok(text.to_owned()),
        false => Err("is not the ARN of a policy, such as `arn:aws:iam::111122223333:policy/boundary`"),
    }
}

fn account(text: &str) -> Result<AccountId, &'static str> {
    AccountId::new(text).ok_or("an account has 12 digits")
}
