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

#[derive(Debug, Args)]
pub struct Plan {
    /// A cluster of the manifest [default: the only one]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    /// Show the statements of each step
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
    /// Also take steps that take something away (those with a `!`)
    #[arg(long)]
    pub allow_destructive: bool,
    /// Run exactly the plan of this file; refused when manifest or cluster have moved since it was made
    #[arg(long, value_name = "FILE")]
    pub plan_in: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no drift; 1 something could not be looked at (the rest is reported); 5 drift.\n\n\
    Nothing is changed. Kinds of findings and what mends each: docs/drift.md."
)]
pub struct Drift {
    /// A cluster of the manifest [default: all]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub places: Places,
    /// What `aws iam get-account-authorization-details` printed, of one account or several; repeatable.
    /// Without it IAM is not looked at
    #[arg(long, value_name = "FILE")]
    pub iam_details: Vec<PathBuf>,
    /// Audit files of dbproxy, with their rotated predecessors: which users are unused; repeatable
    #[arg(long, value_name = "FILE")]
    pub audit: Vec<PathBuf>,
    /// How long nobody was an unused user; judged only where the audit files reach back that far
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub unused_days: u64,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
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
