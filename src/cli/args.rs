//! Flags as typed. Every flag of `serve` can also be set as `DBPROXY_<FLAG>`.

use super::policy::args::Policy;
use clap::{Args, Parser, Subcommand, ValueEnum};
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
                  4 login failed; 130 SIGINT; 143 SIGTERM (0 with --exit-zero-on-sigterm)."
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
    /// AWS region of an endpoint whose name does not say it
    #[arg(long, env = "DBPROXY_REGION")]
    pub region: Option<String>,
    /// Authorities to trust for an endpoint given as TARGET, instead of the shipped RDS roots
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
    /// Walk the chain to a database link by link; say which one breaks and what mends it
    Doctor(Doctor),
    /// List the databases and the database users you may be on each
    Ls(Ls),
    /// Run a client on a private listener that ends with it
    Connect(Connect),
    /// Judge, ask and test the policies
    #[command(subcommand)]
    Policy(Policy),
    /// Wait until a running dbproxy is ready
    Wait(Wait),
    /// Ask a running dbproxy whether it is alive, or ready
    Healthcheck(Healthcheck),
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
