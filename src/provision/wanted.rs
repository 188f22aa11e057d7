//! What the manifest wants of one cluster, resolved: templates are privileges, expired grants are gone.

use super::name::{Database, RoleName, SchemaName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All that is managed in one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Db roles and db users.
    pub roles: BTreeMap<RoleName, WantedRole>,
    pub databases: BTreeMap<Database, WantedDatabase>,
    /// Roles that must be able to log in after every run, whatever else happens (by password: they must not come to be
    /// members of `rds_iam`).
    pub break_glass: BTreeSet<RoleName>,
    /// Members and what they had for a time that is over: it is taken back without asking.
    pub ended: BTreeMap<RoleName, BTreeSet<RoleName>>,
}

/// A role that is to exist, without any power beyond its memberships.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedRole {
    pub login: bool,
    /// `None`: no limit of its own.
    pub connection_limit: Option<u32>,
    /// `rds_iam` and `pg_monitor` among them.
    pub member_of: BTreeMap<RoleName, MembershipOptions>,
    pub settings: BTreeMap<SettingName, String>,
    /// The name it had before: renamed, not made anew.
    pub was: Option<RoleName>,
}

/// A setting of a role, everywhere or in one database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingName {
    pub database: Option<Database>,
    pub name: String,
}

/// What a membership allows (PostgreSQL manual, "GRANT on Roles"). Before PostgreSQL 16 there is ADMIN alone: a member
/// can always SET ROLE, and inherits if its role does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MembershipOptions {
    pub admin: bool,
    pub inherit: bool,
    pub set: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedDatabase {
    pub owner: RoleName,
    pub connection_limit: Option<u32>,
    /// By name: whether a server that does not have it is a mistake.
    pub extensions: BTreeMap<String, Need>,
    /// Of the database itself. PUBLIC has only what stands here, so usually nothing.
    pub grants: Grants,
    pub schemas: BTreeMap<SchemaName, WantedSchema>,
}

impl WantedDatabase {
    /// Whose objects are managed.
    pub fn owners(&self) -> BTreeSet<&RoleName> {
        let schemas = self.schemas.values().map(|schema| &schema.owner);
        schemas.chain([&self.owner]).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    WhereAvailable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSchema {
    /// Owns the schema, and what default privileges are for. The schema `public` keeps its owner.
    pub owner: RoleName,
    pub grants: Grants,
    /// On all objects of a kind, those to come included (default privileges of the owner).
    pub on_all: BTreeMap<Kind, Grants>,
    /// On single objects; functions are named with their argument types, `f(integer, text)`.
    pub on_one: BTreeMap<(Kind, String), Grants>,
}

/// Who has which privileges on something.
pub type Grants = BTreeMap<Grantee, BTreeSet<Privilege>>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    Public,
    Role(RoleName),
}

/// Kinds of objects in a schema. `Table` is everything that `GRANT … ON TABLE` is for: views and foreign tables too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Table,
    Sequence,
    Function,
}

/// Single rights (PostgreSQL manual, "Privileges").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    References,
    Trigger,
    /// Since PostgreSQL 17; before, owners alone.
    Maintain,
    Usage,
    Execute,
    Create,
    Connect,
    Temporary,
}

impl Privilege {
    pub const ALL: [Self; 13] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::References,
        Self::Trigger,
        Self::Maintain,
        Self::Usage,
        Self::Execute,
        Self::Create,
        Self::Connect,
        Self::Temporary,
    ];

    /// As `GRANT` and `aclexplode` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::References => "REFERENCES",
            Self::Trigger => "TRIGGER",
            Self::Maintain => "MAINTAIN",
            Self::Usage => "USAGE",
            Self::Execute => "EXECUTE",
            Self::Create => "CREATE",
            Self::Connect => "CONNECT",
            Self::Temporary => "TEMPORARY",
        }
    }
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Table, Self::Sequence, Self::Function];

    /// As `GRANT … ON` writes one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::Sequence => "SEQUENCE",
            Self::Function => "FUNCTION",
        }
    }
}
