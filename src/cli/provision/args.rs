//! Flags of provisioning.

use crate::cli::args::Format;
use clap::Args;
use std::path::PathBuf;

/// Where the manifest is.
#[derive(Debug, Args, Clone)]
pub struct ManifestAt {
    /// The access manifest
    #[arg(
        long,
        value_name = "FILE",
        env = "DBPROXY_MANIFEST",
        default_value = "policies/access.toml"
    )]
    pub manifest: PathBuf,
}

/// Where the cluster is.
#[derive(Debug, Args, Clone)]
pub struct Places {
    #[command(flatten)]
    pub at: ManifestAt,
    /// Configuration file, whose target of the cluster's name says how to get there [default: ./dbproxy.toml,
    /// ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Whether the other plane is a command's affair.
#[derive(Debug, Args, Clone)]
pub struct WithIam {
    /// IAM too: policies and roles of the account that the AWS credentials belong to, as all clusters of the manifest
    /// imply them. Principals of other accounts are left out
    #[arg(long)]
    pub iam: bool,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// A cluster of the manifest [default: the only one]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub iam: WithIam,
    /// Show the statements of each step; for IAM, commands that would do the same
    #[arg(long)]
    pub sql: bool,
    /// Also write the plan to this file, for `dbproxy apply --plan-in`
    #[arg(long, value_name = "FILE")]
    pub plan_out: Option<PathBuf>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// A cluster of the manifest [default: that of the plan, or the only one]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub iam: WithIam,
    /// Also take steps that take something away (those with a `!`)
    #[arg(long)]
    pub allow_destructive: bool,
    /// Run exactly the plan of this file; refused when manifest, cluster or account have moved since it was
    /// made. With IAM when it was made with --iam
    #[arg(long, value_name = "FILE")]
    pub plan_in: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The manifest is changed, and of the cluster only what concerns USER. When nothing could be \
                        done in the database the manifest is as it was."
)]
pub struct Grant {
    /// A database user; a new one is added to the manifest
    pub user: String,
    /// A database role of the manifest
    pub role: String,
    /// A cluster of the manifest [default: the only one]
    #[arg(long, value_name = "CLUSTER")]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    /// An IAM role or user that may be USER, too
    #[arg(long, value_name = "ARN")]
    pub principal: Option<String>,
    /// The grant ends then: after a time such as 8h, or at a moment such as 2026-12-01T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The manifest is changed, and of the cluster only what concerns USER, unless USER owns something \
                        there. Afterwards all sessions of USER in the database are ended. When nothing could be done in \
                        the database the manifest is as it was."
)]
pub struct Revoke {
    /// A database user of the manifest
    pub user: String,
    /// The role to take away [default: all, and the user is dropped]
    pub role: Option<String>,
    /// A cluster of the manifest [default: the only one]
    #[arg(long, value_name = "CLUSTER")]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub how: How,
}

/// How far a change goes.
#[derive(Debug, Args, Clone)]
pub struct How {
    #[command(flatten)]
    pub iam: WithIam,
    /// Also take steps that take something away (those with a `!`)
    #[arg(long)]
    pub allow_destructive: bool,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Grants {
    /// Only this cluster of the manifest
    #[arg(long, value_name = "CLUSTER")]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub at: ManifestAt,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
