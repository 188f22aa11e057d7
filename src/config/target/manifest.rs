//! What a target takes from its cluster in the access manifest: the one that it names, that of its name, or that of its
//! resource id. What it says itself narrows that, or is a mistake.

use crate::config::section::Section;
use crate::domain::declared::Declared;
use crate::domain::endpoint::{EndpointName, Region};
use crate::domain::name::{DatabaseName, DbRole, DbUser, TargetName};
use crate::domain::target::{CredentialKind, Users};
use crate::provision::manifest::{Cluster, Manifest};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::Value;

/// The manifest as targets see it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'m> {
    pub path: &'m Path,
    pub manifest: &'m Manifest,
}

/// What the manifest says of one target.
#[derive(Debug, Clone, Copy)]
pub struct Said<'m> {
    path: &'m Path,
    name: &'m TargetName,
    cluster: &'m Cluster,
}

impl<'m> Source<'m> {
    /// By its resource id too, so that no second way into a cluster is outside the manifest by being called otherwise.
    pub fn of(&self, target: &str, section: &mut Section<'_>) -> Option<Said<'m>> {
        let given = section.string("cluster");
        let wanted = given.as_deref().unwrap_or(target);
        let id = section.table().get("resource_id").and_then(Value::as_str);
        let id = id.filter(|_| given.is_none());
        let clusters = || self.manifest.clusters.iter();
        let by_id = || id.and_then(|id| clusters().find(|(_, cluster)| cluster.resource_ids.contains(id)));
        let found = clusters()
            .find(|(name, _)| name.as_str() == wanted)
            .or_else(by_id);
        if let (None, Some(given)) = (found, &given) {
            let known: Vec<&str> = self.manifest.clusters.keys().map(TargetName::as_str).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let what = format_args!(
                "`{given}` is no cluster of {}; it has {known}",
                self.path.display()
            );
            section.misfit("cluster", what);
        }
        let (name, cluster) = found?;
        Some(Said {
            path: self.path,
            name,
            cluster,
        })
    }
}

impl Said<'_> {
    pub fn cluster(&self) -> &TargetName {
        self.name
    }

    /// `clusters.orders.users of policies/access.toml`
    fn place(&self, key: &str) -> String {
        format!("clusters.{}.{key} of {}", self.name, self.path.display())
    }

    /// Gives the target what it does not say itself.
    pub fn fill(&self, section: &mut Section<'_>) {
        let text = |text: &dyn fmt::Display| Value::from(text.to_string());
        let cluster = self.cluster;
        let users = cluster.users.keys().map(|user| text(user)).collect();
        section.fill("db_users", Value::Array(users), self.place("users"));
        if !cluster.databases.is_empty() {
            let databases = cluster.databases.keys().map(|name| text(name)).collect();
            section.fill("databases", Value::Array(databases), self.place("databases"));
        }
        if let Some(account) = &cluster.account {
            section.fill("account_id", text(account), self.place("account_id"));
        }
        if let Some(region) = &cluster.region {
            section.fill("region", region.as_str().into(), self.place("region"));
        }
        let mut ids = cluster.resource_ids.iter();
        if let (Some(only), None) = (ids.next(), ids.next()) {
            section.fill("resource_id", only.as_str().into(), self.place("resource_ids"));
        }
    }

    /// What the target says itself must be so in the manifest, too.
    pub fn judge_ids(&self, section: &Section<'_>, resource_id: Option<&str>, account_id: Option<&str>) {
        let ids = &self.cluster.resource_ids;
        if let Some(id) = resource_id.filter(|id| !ids.is_empty() && !ids.contains(*id)) {
            self.contradiction(section, "resource_id", id, "resource_ids");
        }
        let account = self.cluster.account.as_ref();
        if let Some(id) = account_id.filter(|id| account.is_some_and(|account| account.as_str() != *id)) {
            self.contradiction(section, "account_id", id, "account_id");
        }
    }

    pub fn judge_place(
        &self,
        section: &Section<'_>,
        given: Option<&Region>,
        endpoint: Option<&EndpointName>,
        databases: &[DatabaseName],
    ) {
        self.judge_databases(section, databases);
        let Some(wanted) = &self.cluster.region else {
            return;
        };
        let own = endpoint.and_then(|endpoint| endpoint.region.as_ref());
        if let Some(other) = given.into_iter().chain(own).find(|region| *region != wanted) {
            let what = format_args!(
                "`{other}` (by the target) is not `{wanted}`, which is {}",
                self.place("region")
            );
            section.misfit("region", what);
        }
    }

    fn contradiction(&self, section: &Section<'_>, key: &str, value: impl fmt::Display, place: &str) {
        section.misfit(key, format_args!("`{value}` is none of {}", self.place(place)));
    }

    /// The db users that the target has; the provisioner is for nobody to be. `own`: those that have a credential of
    /// their own.
    pub fn users(
        &self,
        section: &Section<'_>,
        users: Users,
        own: &BTreeMap<DbUser, CredentialKind>,
    ) -> Users {
        let Users::Listed(mut listed) = users else {
            self.contradiction(section, "db_users", "*", "users");
            return Users::Any;
        };
        for user in listed
            .iter()
            .filter(|user| !self.cluster.users.contains_key(*user))
        {
            self.contradiction(section, "db_users", user, "users");
        }
        for user in own.keys().filter(|user| **user != self.cluster.provisioner) {
            match self.cluster.users.contains_key(user) {
                true if listed.contains(user) => {}
                true => listed.push(user.clone()),
                false => self.contradiction(section, "users", user, "users"),
            }
        }
        Users::Listed(listed)
    }

    fn judge_databases(&self, section: &Section<'_>, databases: &[DatabaseName]) {
        let known = &self.cluster.databases;
        let is_known = |name: &DatabaseName| known.keys().any(|known| known.as_str() == name.as_str());
        for name in databases
            .iter()
            .filter(|name| !known.is_empty() && !is_known(name))
        {
            self.contradiction(section, "databases", name, "databases");
        }
    }

    /// Members among the target's db users; the target's own table leaves out roles and members.
    pub fn roles(
        &self,
        section: &Section<'_>,
        own: BTreeMap<DbRole, Vec<DbUser>>,
        listed: &Users,
    ) -> BTreeMap<DbRole, Vec<DbUser>> {
        let is_member = |role: &DbRole, user: &DbUser| {
            let entry = self.cluster.users.get(user);
            entry.is_some_and(|entry| entry.roles.iter().any(|grant| grant.role == *role))
        };
        for (role, members) in &own {
            if !self.cluster.roles.contains_key(role) {
                self.contradiction(section, "db_roles", role, "roles");
                continue;
            }
            for user in members.iter().filter(|user| !is_member(role, user)) {
                let place = self.place("users");
                let what = format_args!("`{user}` does not have the role `{role}` by {place}");
                section.misfit("db_roles", what);
            }
        }
        if !own.is_empty() {
            return own;
        }
        let members = |role: &DbRole| {
            let users = self.cluster.users.keys();
            let users = users.filter(|user| listed.lists(user) && is_member(role, user));
            users.cloned().collect()
        };
        let roles = self.cluster.roles.keys();
        roles.map(|role| (role.clone(), members(role))).collect()
    }

    /// Who may be the target's db users, and until when they have their roles.
    pub fn declared(&self, region: Option<&Region>, users: &Users) -> Declared {
        let mut declared = Declared::default();
        let entries = self.cluster.users.iter();
        for (user, entry) in entries.filter(|(user, _)| users.lists(user)) {
            for (principal, until) in &entry.principals {
                declared.may_be(user, principal.as_str(), *until);
            }
            for grant in &entry.roles {
                declared.has_role(user, &grant.role, grant.until);
            }
        }
        for cross in &self.cluster.cross_account {
            let account = self.cluster.account.as_ref();
            let role = account.zip(region).map(|(account, region)| {
                format!("arn:{}:iam::{account}:role/{}", region.partition(), cross.name)
            });
            for user in cross.users.iter().filter(|user| users.lists(user)) {
                for trusted in &cross.trusts {
                    declared.may_be(user, trusted.as_str(), None);
                }
                role.iter().for_each(|role| declared.may_be(user, role, None));
            }
        }
        declared
    }
}
