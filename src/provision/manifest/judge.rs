//! What only shows when a cluster is looked at as a whole.

mod access;
mod names;
mod roles;

use super::problems::{Mistakes, join};
use super::types::{Cluster, DatabaseEntry};
use crate::domain::name::DbRole;
use crate::domain::written::is_near;
use crate::provision::name::{Database, SchemaName};
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
