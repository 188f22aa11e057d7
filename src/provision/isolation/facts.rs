//! What was found in a cluster about who can reach what.

use super::verdict::Level;
use crate::provision::inspected::Inspected;
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::plan::reach::{Way, reach};
use crate::provision::wanted::Privilege;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Roles and memberships.
    pub cluster: Inspected,
    /// Db users that are managed: of the manifest, or once were.
    pub users: BTreeSet<RoleName>,
    /// All that allow connections, templates too.
    pub databases: BTreeMap<Database, DatabaseFacts>,
}

impl Facts {
    /// All that a user can be: itself, and what it may `SET ROLE` to. What these inherit, the server's functions know.
    pub fn faces(&self, user: &RoleName) -> BTreeSet<RoleName> {
        reach(&self.cluster, user, Way::Set)
    }

    /// A superuser is asked for nothing, so nothing else need be said of it.
    pub fn is_superuser(&self, user: &RoleName) -> bool {
        self.cluster.roles.get(user).is_some_and(|role| role.superuser)
    }

    /// Users that may enter the database and are one of `roles` there.
    pub fn users_among(&self, database: &DatabaseFacts, roles: &BTreeSet<RoleName>) -> Vec<RoleName> {
        let may = |user: &&RoleName| {
            database.may_connect(user) && !self.is_superuser(user) && !self.faces(user).is_disjoint(roles)
        };
        self.users.iter().filter(may).cloned().collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    pub owner: RoleName,
    pub public: BTreeSet<Privilege>,
    /// Of users, and of all that these can be.
    pub by_role: BTreeMap<RoleName, OnDatabase>,
    /// By name, with the owner.
    pub subscriptions: BTreeMap<String, RoleName>,
    /// `None`: the provisioner was not let in.
    pub inside: Option<Inside>,
}

impl DatabaseFacts {
    /// The server asks this of whoever logs in, whatever else it can be.
    pub fn may_connect(&self, user: &RoleName) -> bool {
        self.by_role.get(user).is_some_and(|rights| rights.connect)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnDatabase {
    pub connect: bool,
    pub create: bool,
    pub own: bool,
}

/// What is inside a database. Sets of roles hold users and what these can be, nobody else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// Of tables, those to come included; objects of extensions are left out.
    pub schemas: BTreeMap<SchemaName, BTreeMap<RoleName, Level>>,
    pub public_creates_in: BTreeSet<SchemaName>,
    pub extensions: BTreeSet<String>,
    /// Who may execute functions of the extension dblink that connect.
    pub dblink: BTreeSet<RoleName>,
    /// Foreign data wrappers by name, and who may make servers with them.
    pub wrappers: BTreeMap<String, BTreeSet<RoleName>>,
    pub servers: BTreeMap<String, ForeignServer>,
    /// Untrusted ones that do more than the server itself can do anyway.
    pub languages: BTreeMap<String, BTreeSet<RoleName>>,
    /// Functions that run as their owner, and who may execute them; those of extensions are left out.
    pub definers: BTreeMap<Definer, BTreeSet<RoleName>>,
    /// By name; whether of all tables.
    pub publications: BTreeMap<String, bool>,
    /// `lo_compat_privileges`: large objects are everybody's.
    pub large_objects_open: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignServer {
    pub wrapper: String,
    pub usage: BTreeSet<RoleName>,
    /// Whose mapping there is; PUBLIC's is everybody's.
    pub mapped: BTreeSet<RoleName>,
    pub mapped_for_all: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definer {
    pub schema: SchemaName,
    pub function: String,
    pub owner: RoleName,
}
