//! Flags of `dbproxy policy …` as typed.

use crate::access::policy::Action;
use crate::access::policy::entities::parse_principal;
use crate::cli::args::Format;
use crate::domain::caller::{Principal, ProofKind};
use clap::{Args, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Policy {
    /// Validate a set of policies; print every mistake, and what is odd
    ///
    /// Exit codes: 0 the set can be in force; 1 it cannot.
    Check(Check),
    /// Decide about one caller and one db user, and say why
    ///
    /// Exit codes: 0 permitted; 1 the question could not be put; 2 denied.
    Explain(Box<Explain>),
    /// Print who may be whom: the callers of the cases by the db users of all targets
    ///
    /// Asked about the default database of each target. `·`: denied; `!`: a policy cannot be evaluated, so
    /// nobody is let in. A target that lists no db users is asked about those of its db roles, and as
    /// `*` about one that no policy names.
    Matrix(Matrix),
    /// Ask the cases of a file; print those that are decided otherwise
    ///
    /// Exit codes: 0 all are decided as expected; 1 some are not, or the file has mistakes.
    Test(Test),
    /// Print the schema that policies are validated against
    Schema(Schema),
}

/// What every one takes that reads the configuration.
#[derive(Debug, Args)]
pub struct Common {
    /// Configuration file [default: ./dbproxy.toml, ~/.config/dbproxy/config.toml, /etc/dbproxy/config.toml]
    #[arg(long, value_name = "FILE", env = "DBPROXY_CONFIG")]
    pub config: Option<PathBuf>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Judge this directory instead of `policy.dir` of the configuration; without --config alone, so that no
    /// name is looked for among the targets
    pub dir: Option<PathBuf>,
    /// Warnings are mistakes, too
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// Who asks, as policies write it: 'IamRole::"arn:aws:iam::111122223333:role/app"'
    #[arg(long, value_parser = parse_principal)]
    pub principal: Principal,
    /// A target of the configuration
    #[arg(long)]
    pub target: String,
    /// The user that the client names
    #[arg(long, value_name = "USER")]
    pub db_user: String,
    /// [default: the target's, else one named like the user]
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// The role that the session is to have from its first moment (`-c role=NAME` in `options`) [default: none]
    #[arg(long, value_name = "NAME")]
    pub role: Option<String>,
    /// connect or replicate
    #[arg(long, default_value = "connect", value_parser = action)]
    pub action: Action,
    /// A group that the proof names, such as oidc:data; repeatable. Those of the configuration are known
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// The e-mail address that the proof names
    #[arg(long)]
    pub email: Option<String>,
    /// The proof says that a second factor was used
    #[arg(long)]
    pub mfa: bool,
    /// local, aws-iam, aws-jwt, oidc, mtls or scram [default: by the type of the principal]
    #[arg(long, value_name = "KIND", value_parser = proof)]
    pub proof: Option<ProofKind>,
    /// The address of the client [default: none, as on a unix socket]
    #[arg(long, value_name = "IP")]
    pub source: Option<IpAddr>,
    /// The client does not use TLS
    #[arg(long)]
    pub no_tls: bool,
    /// What the client says it is (application_name)
    #[arg(long, value_name = "NAME", default_value = "")]
    pub application: String,
    /// The address that the client came to [default: the target's first]
    #[arg(long, value_name = "ADDRESS")]
    pub listener: Option<String>,
    /// When [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<jiff::Timestamp>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Matrix {
    /// The file that names the callers [default: tests.toml beside the policies]
    #[arg(long, value_name = "FILE")]
    pub cases: Option<PathBuf>,
    /// When; a Wednesday unless told otherwise, so that the answer is the same tomorrow
    #[arg(long, value_name = "RFC3339", default_value = super::asked::NOW)]
    pub now: jiff::Timestamp,
    /// The address that the clients come from
    #[arg(long, value_name = "IP", default_value = "10.0.0.1")]
    pub source: IpAddr,
    /// The clients do not use TLS
    #[arg(long)]
    pub no_tls: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Test {
    /// The file of the cases [default: tests.toml beside the policies]
    #[arg(long, value_name = "FILE")]
    pub cases: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Schema {
    /// `json` is Cedar's own JSON form
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

pub fn action(text: &str) -> Result<Action, String> {
    let all = [Action::Connect, Action::Replicate];
    let found = all.into_iter().find(|action| action.as_str() == text);
    found.ok_or_else(|| {
        let known = all.map(Action::as_str).join(", ");
        format!("`{text}` is not an action: {known}")
    })
}

pub fn proof(text: &str) -> Result<ProofKind, String> {
    let found = ProofKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| {
        let known = ProofKind::ALL.map(ProofKind::as_str).join(", ");
        format!("`{text}` is not a kind of proof: {known}")
    })
}
