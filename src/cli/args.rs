//! Flags as typed. Every flag of `serve` can also be set as `DBPROXY_<FLAG>`.

#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "these are help texts: what is in brackets is typed so"
)]

use super::iam_policy::args::IamPolicy;
use super::policy::args::Policy;
use super::provision::args::{Apply, Bootstrap, Drift, Grant, Grants, Plan, Revoke};
use super::verify::args::Verify;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// IAM database access broker and connection proxy for PostgreSQL on RDS and Aurora.
///
/// Without a subcommand dbproxy serves: it accepts PostgreSQL connections, logs in at the database
/// with an IAM token, over verified TLS, and relays.
#[derive(Debug, Parser)]
#[command(
    name = "dbproxy",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done; 1 usage or configuration; 2 policy denied; 3 target unreachable; \
                  4 login failed; 5 not what the manifest says; 130 SIGINT; 143 SIGTERM (0 with --exit-zero-on-sigterm)."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Serve,
}

/// What every command that reads the configuration takes.
#[derive(Debug, Args, Clone)]
pub struct Common {
    /// Configuration file [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// AWS region of an endpoint whose name does not say it, or whose STS vouches to a broker
    #[arg(long, env = "DBPROXY_REGION")]
    pub region: Option<String>,
    /// Authorities to trust for an endpoint given as TARGET, instead of the shipped RDS roots (or for a
    /// broker, instead of this machine's own)
    #[arg(long, value_name = "FILE", env = "DBPROXY_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Flags of serving.
#[derive(Debug, Args, Clone)]
pub struct Serve {
    #[command(flatten)]
    pub common: Common,
    /// Where to accept clients: 5432 (on 127.0.0.1), host:port, unix:/dir; repeatable. Further
    /// targets get the next ports
    #[arg(long, value_name = "ADDRESS", env = "DBPROXY_LISTEN", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// Loopback address for health, metrics and shutdown, or `off`
    #[arg(long, value_name = "ADDRESS", env = "DBPROXY_ADMIN")]
    pub admin: Option<String>,
    /// Database users allowed on an endpoint given as TARGET [default: those of [defaults], else any];
    /// repeatable
    #[arg(long, value_name = "USER", env = "DBPROXY_DB_USER", value_delimiter = ',')]
    pub db_user: Vec<String>,
    /// Another dbproxy in front of the databases, as host[:port]: clients of this one log in there as whoever
    /// the AWS credentials of this machine are
    #[arg(long, value_name = "BROKER", env = "DBPROXY_VIA")]
    pub via: Option<String>,
    /// The name of the broker of --via [default: its host]
    #[arg(long, value_name = "NAME", env = "DBPROXY_AUDIENCE")]
    pub audience: Option<String>,
    /// Client connections at a time
    #[arg(long, value_name = "N", env = "DBPROXY_MAX_CLIENTS")]
    pub max_clients: Option<i64>,
    /// How long sessions may take to finish after SIGTERM, such as 30s
    #[arg(long, value_name = "DURATION", env = "DBPROXY_DRAIN_TIMEOUT")]
    pub drain_timeout: Option<String>,
    /// Certificate chain for TLS towards clients
    #[arg(long, value_name = "FILE", env = "DBPROXY_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for TLS towards clients
    #[arg(long, value_name = "FILE", env = "DBPROXY_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Refuse clients that do not use TLS
    #[arg(long, env = "DBPROXY_TLS_REQUIRED")]
    pub tls_required: bool,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", env = "DBPROXY_LOG_FORMAT", value_parser = ["text", "json"])]
    pub log_format: Option<String>,
    /// From which severity on lines are logged
    #[arg(long, value_name = "LEVEL", env = "DBPROXY_LOG_LEVEL", value_parser = ["error", "warn", "info", "debug"])]
    pub log_level: Option<String>,
    /// Exit with 0 instead of 143 after SIGTERM
    #[arg(long, env = "DBPROXY_EXIT_ZERO_ON_SIGTERM")]
    pub exit_zero_on_sigterm: bool,
    /// A target of the configuration, or an RDS endpoint host[:port] [default: all targets of the configuration]
    #[arg(value_name = "TARGET", env = "DBPROXY_TARGETS", value_delimiter = ',')]
    pub targets: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print an auth token for a database user
    Token(Token),
    /// Print a proof of who you are, as the password for another dbproxy
    Login(Login),
    /// Walk the chain to a database link by link; say which one breaks and what mends it
    Doctor(Doctor),
    /// List the databases and the database users you may be on each
    Ls(Ls),
    /// Run a client on a private listener that ends with it
    Connect(Connect),
    /// Judge, ask and test the policies
    #[command(subcommand)]
    Policy(Policy),
    /// Make the provisioner of a new cluster, and then the cluster what the access manifest says
    Bootstrap(Bootstrap),
    /// Show what would be done so that a cluster is what the access manifest says
    Plan(Plan),
    /// Make a cluster what the access manifest says
    Apply(Apply),
    /// Show where the access manifest, the database and IAM have moved apart, and what mends it
    Drift(Drift),
    /// Give a database user a role, in the access manifest and in the database
    Grant(Grant),
    /// Take a role from a database user, or drop the user, and end its sessions
    Revoke(Revoke),
    /// List who has which roles by the access manifest
    Grants(Grants),
    /// Print the IAM policies that the access manifest implies
    IamPolicy(IamPolicy),
    /// Look whether a cluster keeps its tenants apart
    #[command(subcommand)]
    Verify(Verify),
    /// Wait until a running dbproxy is ready
    Wait(Wait),
    /// Ask a running dbproxy whether it is alive, or ready
    Healthcheck(Healthcheck),
    /// List the live sessions of a running dbproxy, or end some of them
    Sessions(Sessions),
    /// Ask a running dbproxy to read policies, certificates and credentials again
    ///
    /// Everything else is read at start only: targets, listeners, `authenticators`, `[groups]`, `[oidc]`, `[aws_iam]`.
    Reload(AdminAddress),
    /// Search audit files: who was on what, when, and how it ended
    Audit(Audit),
    /// Ask a running dbproxy to drain and end
    Shutdown(AdminAddress),
    /// Print a completion script for a shell
    Completion { shell: Shell },
    /// Print the version
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub common: Common,
    /// A target of the configuration, or an RDS endpoint host[:port]
    pub target: String,
    /// The database user that the token is for
    #[arg(long, value_name = "USER")]
    pub db_user: String,
    /// `json` adds the expiry
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A proof of an AWS identity is good for 60 seconds and one connection:\n\n  \
    export PGPASSWORD=$(dbproxy login --audience orders-broker)\n  \
    psql 'host=broker.example sslmode=verify-full user=app_ro'"
)]
#[command(group = ArgGroup::new("whom").required(true).multiple(true)
    .args(["audience", "broker", "token_file", "token_command"]))]
pub struct Login {
    /// The name of the broker, for which the proof is made
    #[arg(long, value_name = "NAME", conflicts_with = "broker")]
    pub audience: Option<String>,
    /// A target of the configuration with a `broker` credential, which says what to show; any other name is the
    /// broker's own, as with --audience
    #[arg(long, value_name = "NAME")]
    pub broker: Option<String>,
    /// AWS region whose STS vouches for the proof [default: that of AWS_REGION or the profile]
    #[arg(long, env = "DBPROXY_REGION")]
    pub region: Option<String>,
    /// Print the token (a JWT) in the first line of this file, instead of a proof of the AWS identity
    #[arg(long, value_name = "FILE", conflicts_with = "token_command")]
    pub token_file: Option<PathBuf>,
    /// Print the token that this command prints; it and its arguments come last
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub token_command: Vec<String>,
    /// Configuration file [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// `json` adds the expiry and what kind of principal is proven
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub common: Common,
    /// A target of the configuration, or an RDS endpoint host[:port]
    pub target: String,
    /// The database user to log in as [default: the target's]
    #[arg(long, value_name = "USER")]
    pub db_user: Option<String>,
    /// The database to log in to [default: the target's]
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct Ls {
    #[command(flatten)]
    pub common: Common,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct Connect {
    #[command(flatten)]
    pub common: Common,
    /// A target of the configuration, or an RDS endpoint host[:port]
    pub target: String,
    /// Given to the client as PGUSER [default: default_db_user of the target, else the first it lists]
    #[arg(long, value_name = "USER")]
    pub db_user: Option<String>,
    /// Given to the client as PGDATABASE [default: default_database of the target, else the first it lists]
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// The client and its arguments [default: psql]
    #[arg(last = true, value_name = "CLIENT")]
    pub client: Vec<String>,
}

#[derive(Debug, Args)]
pub struct AdminAddress {
    /// The admin address of the running dbproxy [default: `admin` of its configuration file]
    #[arg(long, value_name = "ADDRESS", env = "DBPROXY_ADMIN")]
    pub admin: Option<String>,
    /// Configuration file [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub at: AdminAddress,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub max: String,
}

#[derive(Debug, Args)]
pub struct Healthcheck {
    #[command(flatten)]
    pub at: AdminAddress,
    /// Ask for readiness instead of liveness
    #[arg(long)]
    pub ready: bool,
}

#[derive(Debug, Args)]
pub struct Sessions {
    #[command(flatten)]
    pub at: AdminAddress,
    /// Only sessions of this caller; `*` stands for any characters
    #[arg(long, value_name = "GLOB")]
    pub caller: Option<String>,
    /// Only sessions on this target
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// End these sessions, each as soon as no query runs and no transaction is open, at the latest after
    /// `session_grace`; their clients read SQLSTATE 57P01
    #[arg(long, value_name = "ID", num_args = 1.., conflicts_with_all = ["caller", "target"])]
    pub terminate: Vec<String>,
    /// End them at once, also inside a transaction
    #[arg(long, requires = "terminate")]
    pub now: bool,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
#[command(
    after_help = "WHEN is a time such as 2026-11-25T10:00:00Z, a date (its first moment, UTC), or a time before \
                        now: -30m, -2h, -7d."
)]
pub struct Audit {
    /// Audit files; those that rotation has put aside are read with them [default: `audit.file` of the configuration]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Configuration file [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Only lines of this caller; `*` stands for any characters
    #[arg(long, value_name = "GLOB")]
    pub caller: Option<String>,
    /// Only lines about this target
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Only lines about this database user
    #[arg(long, value_name = "USER")]
    pub db_user: Option<String>,
    /// Only lines about this database
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// Only ends and refusals for this reason, such as `policy_denied`
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Only lines about this session
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Only lines of this moment and later
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Only lines before this moment
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Show more columns, among them the key and the source identity that CloudTrail knows
    #[arg(long)]
    pub wide: bool,
    /// `json` prints the lines that match as they are
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
