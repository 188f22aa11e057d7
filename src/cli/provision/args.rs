//! Flags of provisioning.

use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::config::{manifest_path, source};
use clap::Args;
use std::path::{Path, PathBuf};

/// Where the manifest is.
#[derive(Debug, Args, Clone)]
pub struct ManifestAt {
    /// The access manifest [default: `manifest` of the configuration, or policies/access.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_MANIFEST")]
    manifest: Option<PathBuf>,
}

impl ManifestAt {
    /// The file of the flag or its variable, else of the configuration, else of the usual place.
    pub fn path(&self, config: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(named) = &self.manifest {
            return Ok(named.clone());
        }
        let file = source::read(config, &source::process_environment).map_err(Failure::usage)?;
        Ok(manifest_path(&file.table).unwrap_or_else(|| PathBuf::from("policies/access.toml")))
    }
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

impl Places {
    pub fn manifest(&self) -> Result<PathBuf, Failure> {
        self.at.path(self.config.as_deref())
    }
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
    after_help = "The administrator is the master user of the cluster, or a superuser. It creates the provisioner of the \
                        manifest, gives it what it needs and never becomes a member of it; the provisioner then does what \
                        `dbproxy apply` does; last the administrator creates the extensions that only it may create. \
                        Run again it does what is left. The provisioner needs rds-db:connect for itself: \
                        `dbproxy iam-policy --provisioner`."
)]
pub struct Bootstrap {
    /// A cluster of the manifest [default: the only one]
    pub cluster: Option<String>,
    /// The administrator. Its password is in PGPASSWORD, or it logs in as the configuration says
    #[arg(long = "as", value_name = "DB_USER")]
    pub administrator: String,
    #[command(flatten)]
    pub places: Places,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show the statements of each step
    #[arg(long)]
    pub sql: bool,
    /// Also take steps that take something away (those with a `!`)
    #[arg(long)]
    pub allow_destructive: bool,
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
    /// Make sure that ROLE opens this database; else the roles that do are named. A grant is always of the whole role: what
    /// else it opens is told
    #[arg(long, value_name = "DB")]
    pub database: Option<String>,
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
    /// Configuration file, which may say where the manifest is [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml,
    /// /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
