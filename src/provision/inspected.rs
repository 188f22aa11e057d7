//! What the catalogs of one cluster say. Nothing here needs more than a login: all of it is readable by everybody.

use super::name::{Database, RoleName, SchemaName};
use super::wanted::{Grantee, Grants, Kind, MembershipOptions, SettingName};
use std::collections::{BTreeMap, BTreeSet};

/// One cluster as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub server: Server,
    /// All roles, those of others too: some must be known to be left alone.
    pub roles: BTreeMap<RoleName, InspectedRole>,
    /// All databases that allow connections. `contents` of those that were looked into.
    pub databases: BTreeMap<Database, InspectedDatabase>,
    /// Databases that are there and let nobody in (`ALLOW_CONNECTIONS false`), and templates.
    pub closed: BTreeSet<Database>,
    /// Where roles own something or are named in privileges, by database; `None`: shared objects, such as databases.
    pub dependencies: BTreeMap<RoleName, BTreeSet<Option<Database>>>,
    /// Owners of what roles have privileges on, in all databases, those too that were not looked into: only they can
    /// take these away. A role itself where it owns something.
    pub creditors: BTreeMap<RoleName, BTreeSet<(Option<Database>, RoleName)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`, such as 160004.
    pub version: u32,
    /// Who inspects, and will apply.
    pub provisioner: RoleName,
    pub provisioner_is_superuser: bool,
    pub provisioner_may_create_roles: bool,
    pub provisioner_may_create_databases: bool,
    /// Extensions that the server could create; whether users that may create in a database may do so ("trusted").
    pub available_extensions: BTreeMap<String, bool>,
}

impl Server {
    /// Memberships have INHERIT and SET options, and creators of roles become their administrators (PostgreSQL 16
    /// release notes).
    pub fn has_membership_options(&self) -> bool {
        self.version >= 160_000
    }

    /// PostgreSQL 17 release notes.
    pub fn has_maintain(&self) -> bool {
        self.version >= 170_000
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InspectedRole {
    pub login: bool,
    pub inherit: bool,
    pub superuser: bool,
    pub create_role: bool,
    pub create_db: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    pub connection_limit: Option<u32>,
    /// Its comment is dbproxy's mark ([`MARK`]).
    pub marked: bool,
    pub member_of: Vec<InspectedMembership>,
    pub settings: BTreeMap<SettingName, String>,
}

/// One row of `pg_auth_members`. Since PostgreSQL 16 there may be several for one pair, by different grantors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InspectedMembership {
    pub role: RoleName,
    pub options: MembershipOptions,
    pub grantor: RoleName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedDatabase {
    pub owner: RoleName,
    pub connection_limit: Option<u32>,
    pub grants: Grants,
    /// Of databases of the manifest; none also of those that the provisioner may not enter.
    pub contents: Option<Contents>,
}

/// What is inside a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub extensions: BTreeSet<String>,
    /// All but those of the system and of temporary objects.
    pub schemas: BTreeMap<SchemaName, InspectedSchema>,
    /// Default privileges in all schemas, those to come included: whose objects, of which kind, and who has what on them;
    /// for functions PUBLIC's EXECUTE, where nobody took it.
    pub defaults: BTreeMap<(RoleName, Kind), Grants>,
    /// Who gave privileges on to whom, by a grant option and not as the owner. They stand in no [`Grants`]: what an
    /// owner revokes does not touch them.
    pub given_on: BTreeSet<(RoleName, Grantee)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedSchema {
    pub owner: RoleName,
    pub grants: Grants,
    /// Functions by name and argument types, `Odd f(integer, app."Odd type"[])`: the name as it is, the types as SQL
    /// writes them. Objects of extensions are left out.
    pub objects: BTreeMap<(Kind, String), InspectedObject>,
    /// Default privileges in this schema: whose objects to come, of which kind, and what differs from none.
    pub defaults: BTreeMap<(RoleName, Kind), Grants>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedObject {
    pub owner: RoleName,
    /// Of others than the owner; for functions PUBLIC's EXECUTE, which is PostgreSQL's default, is listed like any.
    pub grants: Grants,
}

/// The comment of roles that the manifest has declared once, so that they are still known when it no longer does.
pub const MARK: &str = "managed by dbproxy";
