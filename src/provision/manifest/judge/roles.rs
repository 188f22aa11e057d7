//! Databases, their owners, and what roles reach.

use super::Judge;
use crate::domain::name::DbRole;
use crate::provision::manifest::problems::join;
use crate::provision::manifest::types::{DatabaseEntry, ObjectName, Rights, Role, Template};
use crate::provision::name::{Database, SchemaName};
use std::collections::{BTreeMap, BTreeSet};

impl Judge<'_> {
    pub fn owner(&self, name: &Database, database: &DatabaseEntry) {
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

    pub fn role(&self, name: &DbRole, role: &Role) {
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
        schemas: Option<&BTreeSet<SchemaName>>,
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
}
