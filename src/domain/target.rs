//! A database of the catalog: its three names, who may be asked for, how to log in.

use super::declared::Declared;
use super::endpoint::{EndpointName, Region, RootsKind};
use super::name::{DatabaseName, DbRole, DbUser, TargetName};
use super::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Host and port, neither chosen by a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One named database server that dbproxy may connect to.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: TargetName,
    pub endpoint: EndpointName,
    /// Where the TCP connection goes: the endpoint itself, or a tunnel in front of it.
    pub dial: HostPort,
    /// The name the server's certificate must carry.
    pub tls_name: String,
    /// The host and port that tokens are signed for; the endpoint's own, whatever is dialled.
    pub token: HostPort,
    pub region: Region,
    /// `cluster-…`, `db-…` or `prx-…`; needed for a session policy and for exact hints.
    pub resource_id: Option<String>,
    /// The account that owns the database; needed for the same.
    pub account_id: Option<String>,
    pub trust: TrustRoots,
    pub users: Users,
    /// Db roles of the database by name, and the db users that are members: what policies may speak of.
    pub db_roles: BTreeMap<DbRole, Vec<DbUser>>,
    /// The cluster of the access manifest that it leads to; others may lead there, too.
    pub cluster: Option<TargetName>,
    /// What the access manifest says of the db users.
    pub declared: Declared,
    /// Databases a client may name; empty means any.
    pub databases: Vec<DatabaseName>,
    /// The database of a client that names none.
    pub default_database: Option<DatabaseName>,
    /// Whom commands and hints propose; always one that `users` lists.
    pub default_db_user: Option<DbUser>,
    /// How to log in, unless a db user says otherwise.
    pub credential: CredentialKind,
    pub user_credentials: BTreeMap<DbUser, CredentialKind>,
    pub propagation: Propagation,
}

impl Target {
    /// Whom a person most likely wants to be, if the target says so.
    pub fn proposed_user(&self) -> Option<&DbUser> {
        let first = match &self.users {
            Users::Listed(users) => users.first(),
            Users::Any => None,
        };
        self.default_db_user.as_ref().or(first)
    }

    /// The database a person most likely wants, if the target says so.
    pub fn proposed_database(&self) -> Option<&DatabaseName> {
        self.default_database.as_ref().or(self.databases.first())
    }

    pub fn credential_for(&self, user: &DbUser) -> &CredentialKind {
        self.user_credentials.get(user).unwrap_or(&self.credential)
    }

    /// The db roles that a db user is a member of: at a moment, or as if no grant ever ended.
    pub fn roles_of<'a>(
        &'a self,
        user: &'a DbUser,
        at: Option<SystemTime>,
    ) -> impl Iterator<Item = &'a DbRole> {
        let roles = self.db_roles.iter();
        roles
            .filter(|(_, members)| members.contains(user))
            .map(|(role, _)| role)
            .filter(move |role| !self.declared.has_ended(user, role, at))
    }

    pub fn allows_database(&self, database: &DatabaseName) -> bool {
        self.databases.is_empty() || self.databases.contains(database)
    }
}

/// How the database learns who the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// Behind the client's own name in `application_name`.
    pub application_name: bool,
    /// In the setting `dbproxy.caller`.
    pub setting: bool,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            application_name: true,
            setting: false,
        }
    }
}

/// Which db users a target lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// `db_users = ["*"]`
    Any,
    Listed(Vec<DbUser>),
}

impl Users {
    pub fn lists(&self, user: &DbUser) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(users) => users.contains(user),
        }
    }
}

/// Whose signature on the server's certificate counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrustRoots {
    Shipped(RootsKind),
    /// The machine's own: for brokers, whose certificates are of public or company authorities.
    Public,
    File(PathBuf),
}

/// Where the secret for a login comes from.
#[derive(Debug, Clone)]
pub enum CredentialKind {
    /// An IAM auth token, signed with the default AWS credentials or those of a role.
    Iam { assume_role: Option<Box<RoleSettings>> },
    /// The first line of a file, read at every login.
    PasswordFile(PathBuf),
    /// The value of an environment variable, read at start.
    Password { variable: String, secret: Secret },
    /// A secret of AWS Secrets Manager, by name or ARN.
    SecretsManager { secret_id: String },
    /// The server's own authentication exchange is relayed to the client.
    Passthrough,
    /// The server is another dbproxy, which wants to know who logs in.
    Broker(Box<BrokerSettings>),
}

/// How dbproxy proves itself to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// The name of the broker, for which proofs are made.
    pub audience: String,
    pub proof: ProofSource,
}

/// What a broker is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofSource {
    /// A proof of the AWS identity that the default credentials have, for the STS of a region; by default that
    /// of the environment.
    AwsIam { region: Option<Region> },
    /// The token in a file, read at every login.
    TokenFile(PathBuf),
}

impl CredentialKind {
    /// Whether AWS is asked for it.
    pub fn uses_aws(&self) -> bool {
        match self {
            Self::Iam { .. } | Self::SecretsManager { .. } => true,
            Self::Broker(broker) => matches!(broker.proof, ProofSource::AwsIam { .. }),
            Self::PasswordFile(_) | Self::Password { .. } | Self::Passthrough => false,
        }
    }

    pub fn broker(&self) -> Option<&BrokerSettings> {
        match self {
            Self::Broker(broker) => Some(broker),
            _ => None,
        }
    }

    /// For logs, audit and `ls`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Iam { assume_role: None } => "iam",
            Self::Iam { .. } => "iam+assume_role",
            Self::PasswordFile(_) => "password_file",
            Self::Password { .. } => "password_env",
            Self::SecretsManager { .. } => "secret",
            Self::Passthrough => "passthrough",
            Self::Broker(broker) => match broker.proof {
                ProofSource::AwsIam { .. } => "broker+aws_iam",
                ProofSource::TokenFile(_) => "broker+token_file",
            },
        }
    }
}

/// An AssumeRole as configured. The texts may hold `{caller}`, `{db_user}` and `{target}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSettings {
    pub role_arn: String,
    /// The account that `role_arn` names.
    pub account_id: Option<String>,
    pub external_id: Option<String>,
    pub session_name: String,
    pub source_identity: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub duration: Duration,
    /// Shrink the session to the one db user asked for.
    pub session_policy: bool,
}
