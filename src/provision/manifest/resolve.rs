//! What a cluster's part of the manifest means in its catalogs.

use super::types::{Cluster, DatabaseEntry, DbUserEntry, Explicit, ObjectName, Rights, Role, Template};
use crate::domain::name::DbRole;
use crate::provision::name::{Database, RDS_IAM, RoleName, SchemaName};
use crate::provision::wanted::{
    Grantee, Grants, Kind, MembershipOptions, Privilege, SettingName, Wanted, WantedDatabase, WantedRole,
    WantedSchema,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// Members of it see all statistics (PostgreSQL manual, "Predefined Roles").
const PG_MONITOR: &str = "pg_monitor";
/// Every database has it, declared or not.
const PUBLIC_SCHEMA: &str = "public";

/// Has its role's rights without asking, and may also become it.
const MEMBER: MembershipOptions = MembershipOptions {
    admin: false,
    inherit: true,
    set: true,
};
/// `rds_iam` is about the login alone: nothing to inherit, nobody to become.
const LOGIN_BY_IAM: MembershipOptions = MembershipOptions {
    admin: false,
    inherit: false,
    set: false,
};

impl Cluster {
    /// All that is to be in the catalogs at that time.
    pub fn wanted(&self, now: SystemTime) -> Wanted {
        let roles = self
            .roles
            .iter()
            .map(|(name, role)| (RoleName::from(name), db_role(role)));
        let users = self
            .users
            .iter()
            .map(|(name, user)| (RoleName::from(name), self.db_user(user, now)));
        let databases = self
            .databases
            .iter()
            .map(|(name, entry)| (name.clone(), self.database(name, entry)));
        Wanted {
            roles: roles.chain(users).collect(),
            databases: databases.collect(),
            break_glass: self.break_glass.iter().map(RoleName::from).collect(),
            ended: self.ended(now),
        }
    }

    fn ended(&self, now: SystemTime) -> BTreeMap<RoleName, BTreeSet<RoleName>> {
        let users = self.users.iter().map(|(name, user)| {
            let ended = user.roles.iter().filter(|grant| grant.has_ended(now));
            let ended: BTreeSet<_> = ended.map(|grant| RoleName::from(&grant.role)).collect();
            (RoleName::from(name), ended)
        });
        users.filter(|(_, ended)| !ended.is_empty()).collect()
    }

    fn db_user(&self, user: &DbUserEntry, now: SystemTime) -> WantedRole {
        let grants = user.roles.iter().filter(|grant| !grant.has_ended(now));
        let roles: BTreeSet<&DbRole> = grants.map(|grant| &grant.role).collect();
        let mut member_of: BTreeMap<_, _> =
            roles.iter().map(|role| (RoleName::from(*role), MEMBER)).collect();
        if user.rds_iam {
            member_of.extend(RoleName::new(RDS_IAM).ok().map(|role| (role, LOGIN_BY_IAM)));
        }
        let own = user
            .settings
            .iter()
            .map(|(name, value)| (setting(None, name), value.clone()));
        let mut settings: BTreeMap<_, _> = own.collect();
        // What an owner's member creates belongs to the owner, whose default privileges then apply.
        for (name, database) in &self.databases {
            if roles.contains(&database.owner) {
                settings.insert(setting(Some(name), "role"), database.owner.as_str().to_owned());
            }
        }
        WantedRole {
            login: true,
            connection_limit: user.connection_limit,
            member_of,
            settings,
            was: user.was.clone(),
        }
    }

    fn database(&self, name: &Database, entry: &DatabaseEntry) -> WantedDatabase {
        let owner = RoleName::from(&entry.owner);
        let schema = |name: &SchemaName| (name.clone(), empty_schema(name, &owner));
        let schemas = entry.schemas.iter().map(schema).collect();
        let mut wanted = WantedDatabase {
            owner,
            connection_limit: entry.connection_limit,
            extensions: entry.extensions.clone(),
            grants: Grants::new(),
            schemas,
        };
        for (role_name, role) in &self.roles {
            let grantee = Grantee::Role(RoleName::from(role_name));
            match &role.rights {
                Rights::Template {
                    template,
                    databases,
                    schemas,
                } if databases.as_ref().is_none_or(|list| list.contains(name)) => {
                    expand(&mut wanted, *template, schemas.as_ref(), &grantee);
                }
                Rights::Template { .. } => {}
                Rights::Explicit(all) => {
                    for one in all.iter().filter(|one| one.database == *name) {
                        explicit(&mut wanted, one, &grantee);
                    }
                }
            }
        }
        wanted
    }
}

fn db_role(role: &Role) -> WantedRole {
    let monitors = matches!(
        role.rights,
        Rights::Template {
            template: Template::Monitor,
            ..
        }
    );
    let monitor = RoleName::new(PG_MONITOR).ok().filter(|_| monitors);
    WantedRole {
        member_of: monitor.into_iter().map(|role| (role, MEMBER)).collect(),
        was: role.was.clone(),
        ..WantedRole::default()
    }
}

fn setting(database: Option<&Database>, name: &str) -> SettingName {
    SettingName {
        database: database.cloned(),
        name: name.to_owned(),
    }
}

/// PUBLIC may look into the schema `public`, where extensions stand, and create nothing there.
fn empty_schema(name: &SchemaName, owner: &RoleName) -> WantedSchema {
    let mut grants = Grants::new();
    if name.as_str() == PUBLIC_SCHEMA {
        add(&mut grants, &Grantee::Public, &[Privilege::Usage]);
    }
    WantedSchema {
        owner: owner.clone(),
        grants,
        on_all: BTreeMap::new(),
        on_one: BTreeMap::new(),
    }
}

fn add(grants: &mut Grants, to: &Grantee, privileges: &[Privilege]) {
    grants.entry(to.clone()).or_default().extend(privileges);
}

/// An owner has everything by owning, and is not named in privileges.
fn expand(
    database: &mut WantedDatabase,
    template: Template,
    schemas: Option<&BTreeSet<SchemaName>>,
    to: &Grantee,
) {
    use Privilege::{Connect, Delete, Insert, Select, Temporary, Update, Usage};
    let (on_database, on_tables, on_sequences): (&[_], &[_], &[_]) = match template {
        Template::Owner => return,
        Template::Monitor => return add(&mut database.grants, to, &[Connect]),
        Template::ReadWrite => (
            &[Connect, Temporary],
            &[Select, Insert, Update, Delete],
            &[Usage, Select],
        ),
        Template::ReadOnly => (&[Connect], &[Select], &[Select]),
    };
    let reached = |name: &SchemaName| schemas.is_none_or(|list| list.contains(name));
    let mut any = false;
    for (_, schema) in database.schemas.iter_mut().filter(|(name, _)| reached(name)) {
        any = true;
        add(&mut schema.grants, to, &[Usage]);
        add(schema.on_all.entry(Kind::Table).or_default(), to, on_tables);
        add(schema.on_all.entry(Kind::Sequence).or_default(), to, on_sequences);
    }
    // A database where the role reaches no schema is none of its business.
    if any || schemas.is_none() {
        add(&mut database.grants, to, on_database);
    }
}

fn explicit(database: &mut WantedDatabase, one: &Explicit, to: &Grantee) {
    let grants = match &one.on {
        ObjectName::Database => Some(&mut database.grants),
        ObjectName::Schema(name) => database.schemas.get_mut(name).map(|schema| &mut schema.grants),
        ObjectName::All(kind, name) => {
            let schema = database.schemas.get_mut(name);
            schema.map(|schema| schema.on_all.entry(*kind).or_default())
        }
        ObjectName::One(kind, name, object) => {
            let schema = database.schemas.get_mut(name);
            schema.map(|schema| schema.on_one.entry((*kind, object.clone())).or_default())
        }
    };
    if let Some(grants) = grants {
        grants.entry(to.clone()).or_default().extend(&one.grant);
    }
}
