//! Who may be whom: users, their roles, and the principals of IAM.

use super::Judge;
use crate::domain::name::DbUser;
use crate::provision::manifest::arn::{PrincipalArn, PrincipalKind};
use crate::provision::manifest::problems::join;
use crate::provision::manifest::types::{Cluster, CrossAccount, DbUserEntry};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// A role that was assumed by a role lives so long at most (IAM User Guide, "Role chaining").
const CHAINED_MAX: Duration = Duration::from_secs(3600);
/// IAM reads these in the ARN of a db user as more than themselves.
const WILD: [char; 3] = ['*', '?', '$'];

impl Judge<'_> {
    pub fn access(&self, now: SystemTime) {
        for (name, user) in &self.cluster.users {
            self.user(name, user, now);
        }
        self.connecting("broker_principals", &self.cluster.broker_principals);
        self.connecting("provisioner_principals", &self.cluster.provisioner_principals);
        let mut seen = BTreeSet::new();
        for (number, cross) in self.cluster.cross_account.iter().enumerate() {
            let key = self.key(&["cross_account"]);
            let key = format!("{key}[{number}]");
            if !cross.name.is_empty() && !seen.insert(&cross.name) {
                let what = "another entry has this name: join the two, or rename one";
                self.mistakes.add(&join(&key, "name"), None, what);
            }
            self.cross_account(&key, cross);
        }
    }

    /// Who connects itself is of the cluster's account.
    fn connecting(&self, key: &str, principals: &BTreeSet<PrincipalArn>) {
        let key = self.key(&[key]);
        for principal in principals {
            self.partition(&key, principal);
            if self.cluster.is_foreign(principal) {
                let what = "is of another account, whose principals cannot connect: name the role that dbproxy assumes here";
                self.mistakes.add(
                    &key,
                    Some(principal.as_str()),
                    format_args!("`{principal}` {what}"),
                );
            }
        }
    }

    fn user(&self, name: &DbUser, user: &DbUserEntry, now: SystemTime) {
        let key = self.key(&["users", name.as_str()]);
        let roles = join(&key, "roles");
        for grant in &user.roles {
            let role = grant.role.as_str();
            if !self.cluster.roles.contains_key(&grant.role) {
                let table = self.key(&["roles", role]);
                self.unknown(
                    &roles,
                    Some(role),
                    "role",
                    role,
                    self.role_names(),
                    format_args!("declare it as [{table}]"),
                );
            }
            if grant.has_ended(now) {
                let what = format_args!("`{role}` has ended: it is taken back, and can be removed here");
                self.mistakes.note(&roles, Some(role), what);
            }
        }
        if user.rds_iam && name.as_str().contains(WILD) {
            let what =
                "IAM reads *, ? and $ in a name as more than one user: rename it, or set rds_iam = false";
            self.mistakes.add(&key, None, what);
        }
        let principals = join(&key, "principals");
        if !user.rds_iam && !user.principals.is_empty() {
            let what = "the user logs in by password (rds_iam = false), so IAM has nothing to allow";
            self.mistakes.note(&principals, None, what);
        }
        for (principal, until) in &user.principals {
            if until.is_some_and(|until| until <= now) {
                let what = format_args!(
                    "`{principal}` has ended: `--iam` takes it back, and it can be removed here"
                );
                self.mistakes.note(&principals, Some(principal.as_str()), what);
            }
            self.partition(&principals, principal);
            if self.cluster.is_foreign(principal) && !self.cluster.is_covered(name, principal) {
                let account = principal.account();
                let table = self.key(&["cross_account"]);
                let what = format_args!(
                    "`{principal}` is of account {account}, and IAM lets only principals of the database's own account \
                     connect: add a [[{table}]] that trusts it and has `{name}` among its users"
                );
                self.mistakes.add(&principals, Some(principal.as_str()), what);
            }
        }
    }

    fn cross_account(&self, key: &str, cross: &CrossAccount) {
        let users = join(key, "users");
        for user in &cross.users {
            let name = user.as_str();
            match self.cluster.users.get(user) {
                None => {
                    let table = self.key(&["users", name]);
                    let names = self.cluster.users.keys().map(DbUser::as_str);
                    self.unknown(
                        &users,
                        Some(name),
                        "user",
                        name,
                        names,
                        format_args!("declare it as [{table}]"),
                    );
                }
                Some(entry) if !entry.rds_iam => {
                    let what = format_args!(
                        "`{name}` logs in by password (rds_iam = false): nobody can be it by IAM"
                    );
                    self.mistakes.add(&users, Some(name), what);
                }
                Some(_) => {}
            }
        }
        for principal in &cross.trusts {
            self.partition(&join(key, "trusts"), principal);
        }
        let chained = cross
            .trusts
            .iter()
            .any(|trusted| trusted.kind() == PrincipalKind::Role);
        if chained && cross.max_session > CHAINED_MAX {
            let what = "a role that a role assumes lives 1h at most, whatever is written here";
            self.mistakes.note(&join(key, "max_session"), None, what);
        }
    }

    fn partition(&self, key: &str, principal: &PrincipalArn) {
        let Some(region) = &self.cluster.region else {
            return;
        };
        let (own, other) = (region.partition(), principal.partition());
        if own != other {
            let what = format_args!("`{principal}` is of the partition {other}, and {region} of {own}");
            self.mistakes.add(key, Some(principal.as_str()), what);
        }
    }
}

impl Cluster {
    fn is_foreign(&self, principal: &PrincipalArn) -> bool {
        self.account
            .as_ref()
            .is_some_and(|own| own != principal.account())
    }

    /// A role of the database's account leads the principal to the user.
    pub fn is_covered(&self, user: &DbUser, principal: &PrincipalArn) -> bool {
        let leads = |cross: &CrossAccount| cross.users.contains(user) && cross.trusts.contains(principal);
        self.cross_account.iter().any(leads)
    }
}
