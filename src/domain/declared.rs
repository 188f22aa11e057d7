//! What the access manifest says of a target's db users, beside their names: who may be them, which roles they have and
//! until when.

use super::caller::{Principal, role_as_callers_have_it};
use super::name::{DbRole, DbUser};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// Empty where no manifest speaks of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared(BTreeMap<DbUser, User>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct User {
    /// ARNs as callers have them, each with its end, if it has one.
    principals: BTreeMap<String, Option<SystemTime>>,
    /// Each with its end, if it has one.
    roles: BTreeMap<DbRole, Option<SystemTime>>,
}

impl Declared {
    /// `arn` as IAM writes it: with the path of a role, and the hash of one of IAM Identity Center. Of two ends for one
    /// caller the later counts.
    pub fn may_be(&mut self, user: &DbUser, arn: &str, until: Option<SystemTime>) {
        let own = role_as_callers_have_it(arn).unwrap_or_else(|| arn.to_owned());
        let principals = &mut self.0.entry(user.clone()).or_default().principals;
        let known = principals.entry(own).or_insert(until);
        *known = known.zip(until).map(|(known, until)| known.max(until));
    }

    pub fn has_role(&mut self, user: &DbUser, role: &DbRole, until: Option<SystemTime>) {
        let roles = &mut self.0.entry(user.clone()).or_default().roles;
        roles.insert(role.clone(), until);
    }

    /// Whether the manifest names this caller for the db user. `at`: at that moment; absent: as if that never ended.
    pub fn names(&self, principal: &Principal, user: &DbUser, at: Option<SystemTime>) -> bool {
        let until = self.named(principal, user);
        until.is_some_and(|until| !is_over(until, at))
    }

    /// `Some`: it is named, or was until then.
    fn named(&self, principal: &Principal, user: &DbUser) -> Option<Option<SystemTime>> {
        let (Principal::IamRole { arn, .. } | Principal::IamUser { arn }) = principal else {
            return None;
        };
        self.0.get(user)?.principals.get(arn).copied()
    }

    /// When the caller ceased to be named for the db user.
    pub fn named_until(&self, principal: &Principal, user: &DbUser, now: SystemTime) -> Option<SystemTime> {
        let until = self.named(principal, user).flatten();
        until.filter(|until| *until <= now)
    }

    /// Whether the user has a role that is not over. `at`: at that moment; absent: as if none ever were.
    pub fn has_ended(&self, user: &DbUser, role: &DbRole, at: Option<SystemTime>) -> bool {
        let roles = self.0.get(user).map(|user| &user.roles);
        let until = roles.and_then(|roles| roles.get(role).copied()).flatten();
        is_over(until, at)
    }

    /// Whether the user had roles, and all of them are over.
    pub fn is_over(&self, user: &DbUser, at: Option<SystemTime>) -> bool {
        let roles = self.0.get(user).map(|user| &user.roles);
        roles.is_some_and(|roles| !roles.is_empty() && roles.values().all(|until| is_over(*until, at)))
    }

    /// Roles that the user has no longer, with their ends.
    pub fn ended(&self, user: &DbUser, now: SystemTime) -> Vec<(DbRole, SystemTime)> {
        let roles = self.0.get(user).into_iter().flat_map(|user| &user.roles);
        let ends = roles.filter_map(|(role, until)| Some((role.clone(), (*until)?)));
        ends.filter(|(_, until)| *until <= now).collect()
    }

    /// When roles of the user end that have not yet, and when the caller is not named for it any more; the earliest first.
    pub fn ends(&self, principal: &Principal, user: &DbUser, now: SystemTime) -> BTreeSet<SystemTime> {
        let named = self.named(principal, user).flatten();
        let roles = self.0.get(user).into_iter().flat_map(|user| user.roles.values());
        let ends = roles.copied().flatten().chain(named);
        ends.filter(|until| *until > now).collect()
    }
}

fn is_over(until: Option<SystemTime>, at: Option<SystemTime>) -> bool {
    until.zip(at).is_some_and(|(until, at)| until <= at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn role(name: &str) -> Principal {
        Principal::IamRole {
            arn: format!("arn:aws:iam::111122223333:role/{name}"),
            permission_set: None,
        }
    }

    #[test]
    fn roles_end_one_by_one() {
        let (user, reader) = (DbUser::new("u").unwrap(), DbRole::new("reader").unwrap());
        let owner = DbRole::new("owner").unwrap();
        let nobody = Principal::Local { uid: None };
        let mut declared = Declared::default();
        assert!(!declared.is_over(&user, Some(at(100))));
        declared.has_role(&user, &owner, Some(at(10)));
        declared.has_role(&user, &reader, Some(at(20)));
        assert!(!declared.has_ended(&user, &owner, Some(at(9))));
        assert!(declared.has_ended(&user, &owner, Some(at(10))));
        assert!(!declared.is_over(&user, Some(at(10))));
        assert!(declared.is_over(&user, Some(at(20))));
        assert!(!declared.is_over(&user, None));
        assert_eq!(declared.ended(&user, at(10)), [(owner, at(10))]);
        assert_eq!(declared.ends(&nobody, &user, at(9)), [at(10), at(20)].into());
        assert_eq!(declared.ends(&nobody, &user, at(10)), [at(20)].into());
        declared.has_role(&user, &reader, None);
        assert!(!declared.is_over(&user, Some(at(100))));
    }

    #[test]
    fn callers_are_known_by_the_names_they_have_here() {
        let (user, other) = (DbUser::new("u").unwrap(), DbUser::new("v").unwrap());
        let mut declared = Declared::default();
        declared.may_be(&user, "arn:aws:iam::111122223333:role/team/app", None);
        let sso = "aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef";
        declared.may_be(&user, &format!("arn:aws:iam::111122223333:role/{sso}"), None);
        declared.may_be(&user, "arn:aws:iam::111122223333:user/eng/jane", None);
        let jane = |path: &str| Principal::IamUser {
            arn: format!("arn:aws:iam::111122223333:user/{path}"),
        };
        assert!(declared.names(&role("app"), &user, None));
        assert!(declared.names(&role("AWSReservedSSO_Admin"), &user, None));
        assert!(declared.names(&jane("eng/jane"), &user, None));
        assert!(!declared.names(&jane("jane"), &user, None));
        assert!(!declared.names(&role("app"), &other, None));
        assert!(!declared.names(&Principal::Local { uid: None }, &user, None));
    }

    #[test]
    fn callers_are_named_until_the_end() {
        let (user, app) = (DbUser::new("u").unwrap(), role("app"));
        let mut declared = Declared::default();
        declared.may_be(&user, "arn:aws:iam::111122223333:role/app", Some(at(10)));
        assert!(declared.names(&app, &user, Some(at(9))));
        assert!(!declared.names(&app, &user, Some(at(10))));
        assert!(declared.names(&app, &user, None));
        assert_eq!(declared.ends(&app, &user, at(9)), [at(10)].into());
        assert_eq!(declared.ends(&role("other"), &user, at(9)), [].into());
        assert_eq!(declared.named_until(&app, &user, at(9)), None);
        assert_eq!(declared.named_until(&app, &user, at(10)), Some(at(10)));
        // By two entries that are one caller: by the one that lasts longer.
        declared.may_be(&user, "arn:aws:iam::111122223333:role/team/app", Some(at(20)));
        assert!(declared.names(&app, &user, Some(at(10))));
        declared.may_be(&user, "arn:aws:iam::111122223333:role/team/app", None);
        declared.may_be(&user, "arn:aws:iam::111122223333:role/app", Some(at(5)));
        assert!(declared.names(&app, &user, Some(at(100))));
    }
}
