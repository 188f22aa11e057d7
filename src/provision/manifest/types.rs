//! What a manifest says, as plain values.

use super::arn::{AccountId, PrincipalArn};
use super::problems::Problem;
use crate::domain::endpoint::Region;
use crate::domain::name::{DbRole, DbUser, TargetName};
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::wanted::{Kind, Need, Privilege};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// The whole manifest, without mistakes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    pub clusters: BTreeMap<TargetName, Cluster>,
    /// What is no mistake and worth knowing.
    pub notes: Vec<Problem>,
}

/// A cluster or instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Absent: that of the configuration's target of the same name, as the two that follow.
    pub account: Option<AccountId>,
    pub region: Option<Region>,
    /// Several during a blue/green deployment.
    pub resource_ids: BTreeSet<String>,
    /// Its former ones: nobody is given them any more, and whoever has them by a policy of dbproxy's loses them.
    pub past_resource_ids: BTreeSet<String>,
    /// Plans and applies; itself by IAM, and never managed by what it applies.
    pub provisioner: DbUser,
    /// Can always log in by password.
    pub break_glass: BTreeSet<DbUser>,
    /// dbproxy's own: may connect as every db user.
    pub broker_principals: BTreeSet<PrincipalArn>,
    /// Who may connect as the provisioner. Drift speaks of others who may; policies for them are not made.
    pub provisioner_principals: BTreeSet<PrincipalArn>,
    /// Roles of others that are known: drift does not speak of them.
    pub unmanaged: BTreeSet<RoleName>,
    /// IAM principals of others that are known, such as administrators: neither of them.
    pub unmanaged_principals: BTreeSet<PrincipalArn>,
    pub databases: BTreeMap<Database, DatabaseEntry>,
    pub roles: BTreeMap<DbRole, Role>,
    pub users: BTreeMap<DbUser, DbUserEntry>,
    pub cross_account: Vec<CrossAccount>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseEntry {
    pub owner: DbRole,
    pub connection_limit: Option<u32>,
    pub extensions: BTreeMap<String, Need>,
    pub schemas: BTreeSet<SchemaName>,
}

/// A db role: what its members may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub rights: Rights,
    /// Its former name.
    pub was: Option<RoleName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    Template {
        template: Template,
        /// `None`: all of the cluster.
        databases: Option<BTreeSet<Database>>,
        /// `None`: all of these databases.
        schemas: Option<BTreeSet<SchemaName>>,
    },
    Explicit(Vec<Explicit>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Owns databases, their schemas and what is in them.
    Owner,
    ReadWrite,
    ReadOnly,
    /// Sees statistics, through `pg_monitor`.
    Monitor,
}

impl Template {
    pub const ALL: [Self; 4] = [Self::Owner, Self::ReadWrite, Self::ReadOnly, Self::Monitor];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Monitor => "monitor",
        }
    }
}

/// Privileges on one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explicit {
    pub database: Database,
    pub on: ObjectName,
    pub grant: BTreeSet<Privilege>,
}

/// What privileges are on, within a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectName {
    Database,
    Schema(SchemaName),
    /// Those to come included.
    All(Kind, SchemaName),
    /// A function's name ends in its argument types: `f(integer, text)`.
    One(Kind, SchemaName, String),
}

/// A db user: somebody logs in as it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbUserEntry {
    pub roles: Vec<Grant>,
    pub connection_limit: Option<u32>,
    /// Names in lower case: PostgreSQL does not tell them apart either.
    pub settings: BTreeMap<String, String>,
    /// Logs in by IAM alone.
    pub rds_iam: bool,
    /// Who may be the user by IAM, each with its end, if it has one.
    pub principals: BTreeMap<PrincipalArn, Option<SystemTime>>,
    /// Its former name.
    pub was: Option<RoleName>,
}

impl DbUserEntry {
    /// Who may be the user at a moment.
    pub fn principals_at(&self, now: SystemTime) -> impl Iterator<Item = &PrincipalArn> {
        let lasting = self.principals.iter();
        let lasting = lasting.filter(move |(_, until)| until.is_none_or(|until| until > now));
        lasting.map(|(principal, _)| principal)
    }
}

/// One role that a user has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub role: DbRole,
    /// From then on it is not wanted any more.
    pub until: Option<SystemTime>,
}

impl Grant {
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// An IAM role of the database's account that principals of other accounts may assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossAccount {
    /// Of the IAM role.
    pub name: String,
    pub trusts: BTreeSet<PrincipalArn>,
    pub external_id: String,
    pub users: BTreeSet<DbUser>,
    pub max_session: Duration,
}
