//! One name for one role, whoever declares it.

use super::Judge;
use crate::provision::name::RoleName;
use std::collections::BTreeMap;

impl Judge<'_> {
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

    pub fn one_name_for_one(&self) {
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
            } else if cluster.unmanaged.iter().any(|role| role.as_str() == name) {
                "is in `unmanaged` too: it is declared or left alone, not both"
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

    pub fn former_names(&self) {
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
}
