//! What only shows when a cluster is looked at as a whole.

mod access;

use super::problems::{Mistakes, join};
use super::types::{Cluster, DatabaseEntry, ObjectName, Rights, Role, Template};
use crate::domain::name::DbRole;
use crate::domain::written::is_near;
use crate::provision::name::{Database, RoleName, SchemaName};
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

/// So many declared names are compared with one that is not: the work stays small whatever the file says.
const COMPARED_MAX: usize = 200;

pub(super) struct Judge<'c> {
    pub cluster: &'c Cluster,
    /// `clusters.orders`
    key: &'c str,
    pub mistakes: &'c Mistakes,
}

pub(super) fn cluster(cluster: &Cluster, key: &str, now: SystemTime, mistakes: &Mistakes) {
    let judge = Judge {
        cluster,
        key,
        mistakes,
    };
    judge.one_name_for_one();
    judge.former_names();
    for (name, database) in &cluster.databases {
        judge.owner(name, database);
    }
    for (name, role) in &cluster.roles {
        judge.role(name, role);
    }
    judge.access(now);
}

impl Judge<'_> {
    /// The full key of something in this cluster.
    pub fn key(&self, path: &[&str]) -> String {
        path.iter()
            .fold(self.key.to_owned(), |key, name| join(&key, name))
    }

    /// `roles` and `users` alike.
    fn declared(&self) -> impl Iterator<Item = (&'static str, RoleName)> {
        let roles = self
            .cluster
            .roles
            .keys()
            .map(|name| ("roles", RoleName::from(name)));
        roles.chain(
            self.cluster
                .users
                .keys()
                .map(|name| ("users", RoleName::from(name))),
        )
    }

    fn one_name_for_one(&self) {
        let cluster = self.cluster;
        for user in cluster.users.keys() {
            if cluster.roles.keys().any(|role| role.as_str() == user.as_str()) {
                let what = "a db role has this name too, and PostgreSQL has one name for one: rename either";
                self.mistakes
                    .add(&self.key(&["users", user.as_str()]), None, what);
            }
        }
        for (table, name) in self.declared() {
            let name = name.as_str();
            let what = if name == cluster.provisioner.as_str() {
                "is the provisioner, which must not change itself: leave it out"
            } else if cluster.break_glass.iter().any(|user| user.as_str() == name) {
                "is a break-glass user, which must stay as it is: leave it out"
            } else {
                continue;
            };
            self.mistakes.add(&self.key(&[table, name]), None, what);
        }
        if cluster.break_glass.contains(&cluster.provisioner) {
            let what = "is the provisioner, which logs in by IAM: a break-glass user logs in by password";
            let item = cluster.provisioner.as_str();
            self.mistakes.add(
                &self.key(&["break_glass"]),
                Some(item),
                format_args!("`{item}` {what}"),
            );
        }
    }

    fn former_names(&self) {
        let cluster = self.cluster;
        let roles = cluster
            .roles
            .iter()
            .map(|(name, role)| ("roles", name.as_str(), &role.was));
        let users = cluster
            .users
            .iter()
            .map(|(name, user)| ("users", name.as_str(), &user.was));
        let mut seen: BTreeMap<&RoleName, String> = BTreeMap::new();
        for (table, name, was) in roles.chain(users) {
            let Some(was) = was else {
                continue;
            };
            let key = self.key(&[table, name, "was"]);
            if self.declared().any(|(_, declared)| declared == *was) {
                let what = "is declared too, so it is no former name: remove `was`";
                self.mistakes.add(&key, None, format_args!("`{was}` {what}"));
            }
            let special = cluster.break_glass.iter().chain([&cluster.provisioner]);
            if special.into_iter().any(|user| user.as_str() == was.as_str()) {
                self.mistakes.add(
                    &key,
                    None,
                    format_args!("`{was}` must stay as it is: remove `was`"),
                );
            }
            if let Some(other) = seen.insert(was, key.clone()) {
                self.mistakes.add(
                    &key,
                    None,
                    format_args!("`{was}` can become but one, see {other}"),
                );
            }
        }
    }

    fn owner(&self, name: &Database, database: &DatabaseEntry) {
        let key = self.key(&["databases", name.as_str(), "owner"]);
        let owner = &database.owner;
        let Some(role) = self.cluster.roles.get(owner) else {
            let table = self.key(&["roles", owner.as_str()]);
            let proposal = format_args!("add [{table}] with template = \"owner\", or name another");
            return self.unknown(&key, None, "role", owner.as_str(), self.role_names(), proposal);
        };
        match &role.rights {
            Rights::Template {
                template: Template::Owner,
                databases,
                ..
            } if databases
                .as_ref()
                .is_none_or(|databases| databases.contains(name)) => {}
            Rights::Template {
                template: Template::Owner,
                ..
            } => {
                let list = self.key(&["roles", owner.as_str(), "databases"]);
                self.mistakes.add(
                    &key,
                    None,
                    format_args!("`{owner}` does not own `{name}`: add it to {list}"),
                );
            }
            _ => {
                let what = "to own databases, a role needs template = \"owner\"";
                self.mistakes
                    .add(&key, None, format_args!("`{owner}` is not an owner: {what}"));
            }
        }
    }

    fn role(&self, name: &DbRole, role: &Role) {
        let key = self.key(&["roles", name.as_str()]);
        match &role.rights {
            Rights::Template {
                template,
                databases,
                schemas,
            } => {
                for database in databases.iter().flatten() {
                    self.known_database(&join(&key, "databases"), Some(database.as_str()), database);
                }
                let all = self.cluster.databases.iter();
                let reach = |name: &Database| databases.as_ref().is_none_or(|list| list.contains(name));
                let databases: BTreeMap<_, _> = all.filter(|(name, _)| reach(name)).collect();
                for schema in schemas.iter().flatten() {
                    self.schema_somewhere(&join(&key, "schemas"), &databases, schema);
                }
                if *template == Template::Owner {
                    self.owns(name, &databases, schemas.as_ref());
                }
            }
            Rights::Explicit(all) => {
                for (number, one) in all.iter().enumerate() {
                    let key = format!("{}[{number}]", join(&key, "privileges"));
                    self.known_database(&join(&key, "database"), None, &one.database);
                    let (ObjectName::Schema(schema)
                    | ObjectName::All(_, schema)
                    | ObjectName::One(_, schema, _)) = &one.on
                    else {
                        continue;
                    };
                    if let Some(entry) = self.cluster.databases.get(&one.database) {
                        let databases = BTreeMap::from([(&one.database, entry)]);
                        self.schema_somewhere(&join(&key, "on"), &databases, schema);
                    }
                }
            }
        }
    }

    /// A database has one owner, who owns all of its schemas.
    fn owns(
        &self,
        name: &DbRole,
        databases: &BTreeMap<&Database, &DatabaseEntry>,
        schemas: Option<&std::collections::BTreeSet<SchemaName>>,
    ) {
        let key = self.key(&["roles", name.as_str()]);
        for (database, entry) in databases {
            if entry.owner != *name {
                let what = "is owned by another: list in `databases` what this one owns";
                let key = join(&key, "databases");
                let owner = &entry.owner;
                self.mistakes.add(
                    &key,
                    Some(database.as_str()),
                    format_args!("`{database}` {what} (`{owner}`)"),
                );
            }
            for schema in &entry.schemas {
                if schemas.is_some_and(|schemas| !schemas.contains(schema)) {
                    let what = format_args!(
                        "an owner owns all schemas: add `{schema}` of `{database}`, or leave this out"
                    );
                    self.mistakes.add(&join(&key, "schemas"), None, what);
                }
            }
        }
    }

    fn known_database(&self, key: &str, item: Option<&str>, name: &Database) {
        if !self.cluster.databases.contains_key(name) {
            let table = self.key(&["databases", name.as_str()]);
            let names = self.cluster.databases.keys().map(Database::as_str);
            self.unknown(
                key,
                item,
                "database",
                name.as_str(),
                names,
                format_args!("declare it as [{table}]"),
            );
        }
    }

    fn schema_somewhere(
        &self,
        key: &str,
        databases: &BTreeMap<&Database, &DatabaseEntry>,
        name: &SchemaName,
    ) {
        if !databases.values().any(|database| database.schemas.contains(name)) {
            let names = databases.values().flat_map(|database| &database.schemas);
            let proposal = "add it to the `schemas` of the database";
            let names = names.map(SchemaName::as_str);
            self.unknown(key, Some(name.as_str()), "schema", name.as_str(), names, proposal);
        }
    }

    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.cluster.roles.keys().map(DbRole::as_str)
    }

    /// A name that nothing declares; what was probably meant, or else the proposal.
    pub fn unknown<'n>(
        &self,
        key: &str,
        item: Option<&str>,
        kind: &str,
        name: &str,
        mut names: impl Iterator<Item = &'n str>,
        proposal: impl fmt::Display,
    ) {
        let near = names
            .by_ref()
            .take(COMPARED_MAX)
            .find(|known| is_near(known, name));
        match near {
            Some(near) => {
                let what = format_args!("there is no {kind} `{name}`; did you mean `{near}`?");
                self.mistakes.add(key, item, what);
            }
            None => self
                .mistakes
                .add(key, item, format_args!("there is no {kind} `{name}`: {proposal}")),
        }
    }
}
