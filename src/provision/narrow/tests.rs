//! The narrowed plan does what concerns the user, and nothing else.

use super::{ended, narrow, still_has};
use crate::provision::inspected::Inspected;
use crate::provision::name::RoleName;
use crate::provision::plan::fixture::{VERSIONS, marked, orders, role, script, settled};
use crate::provision::plan::plan;
use crate::provision::step::StepKind;
use crate::provision::wanted::Wanted;
use std::collections::BTreeSet;

fn narrowed(wanted: &Wanted, found: &Inspected, user: &str) -> Vec<String> {
    let (wanted, found) = narrow(wanted, found, &role(user)).expect("it can be narrowed");
    script(&plan(&wanted, &found).expect("nothing is in the way"))
}

/// A user of the manifest, and one of its roles.
fn a_user(wanted: &Wanted) -> String {
    let users = wanted.roles.iter().filter(|(_, role)| role.login);
    users.map(|(name, _)| name.to_string()).next().unwrap()
}

#[test]
fn what_is_settled_needs_nothing() {
    for version in VERSIONS {
        let wanted = orders();
        let found = settled(&wanted, version);
        for user in wanted.roles.keys() {
            assert_eq!(narrowed(&wanted, &found, user.as_str()), [""; 0], "{user}");
        }
    }
}

#[test]
fn other_users_and_databases_are_left_as_they_are() {
    for version in VERSIONS {
        let wanted = orders();
        let user = a_user(&wanted);
        let mut found = settled(&wanted, version);
        // Much else to do: a role to drop, databases to mend, and the user to make anew.
        found.roles.insert(role("gone"), marked(true));
        found.roles.remove(&role(&user));
        for database in found.databases.values_mut() {
            database.grants.clear();
        }
        let whole = script(&plan(&wanted, &found).unwrap());
        let mends = |line: &String| line.contains(" ON DATABASE ");
        assert!(whole.iter().any(mends), "{whole:?}");
        let own = narrowed(&wanted, &found, &user);
        assert!(own.iter().any(|line| line.contains("CREATE ROLE")), "{own:?}");
        for line in &own {
            assert!(line.contains(&format!("\"{user}\"")), "{line}");
            assert!(whole.contains(line), "{line} is not in the whole plan");
        }
    }
}

#[test]
fn a_user_that_leaves_something_behind_needs_the_whole_plan() {
    let mut wanted = orders();
    let user = a_user(&wanted);
    let mut found = settled(&wanted, 160_010);
    wanted.roles.remove(&role(&user));
    let own = narrowed(&wanted, &found, &user);
    assert!(own.iter().any(|line| line.contains("DROP ROLE")), "{own:?}");
    found.dependencies.insert(role(&user), [None].into());
    assert!(narrow(&wanted, &found, &role(&user)).is_none());
}

/// Whatever else is to be done about the user, or about others.
#[test]
fn what_has_ended_is_taken_back_and_nothing_else_is_done() {
    for version in VERSIONS {
        let wanted = orders();
        let found = settled(&wanted, version);
        let is_own = |of: &&RoleName| wanted.roles.get(*of).is_some_and(|role| !role.login);
        let users = wanted.roles.iter().filter(|(_, role)| role.login);
        let mut with_role =
            users.filter_map(|(name, role)| Some((name, role.member_of.keys().find(is_own)?)));
        let (user, of) = with_role.next().expect("a user that has a role");
        let over = BTreeSet::from([of.clone()]);
        assert!(still_has(&found, user, &over));
        let mut untidy = found.clone();
        untidy.roles.insert(role("gone"), marked(true));
        let entry = untidy.roles.get_mut(user).unwrap();
        entry.connection_limit = Some(77);
        entry.inherit = false;
        entry.create_role = true;
        let (narrowed, seen) = ended(&untidy, user, &over);
        let plan = plan(&narrowed, &seen).expect("nothing is in the way");
        let kinds: Vec<_> = plan.steps.iter().map(|step| step.kind).collect();
        assert!(kinds.contains(&StepKind::Destructive), "{kinds:?}");
        for line in script(&plan) {
            let takes =
                line.contains(&format!("REVOKE \"{of}\" FROM \"{user}\"")) || line.contains(" RESET ");
            let lends = line.contains("dbproxy_provisioner");
            assert!(takes || lends, "{version}: {line}");
        }
        // Nothing is left to do, and nothing of others is touched.
        let mut without = found.clone();
        without
            .roles
            .get_mut(user)
            .unwrap()
            .member_of
            .retain(|row| row.role != *of);
        without.roles.get_mut(user).unwrap().settings.clear();
        assert!(!still_has(&without, user, &over));
        let (narrowed, seen) = ended(&without, user, &over);
        assert_eq!(
            script(&super::super::plan::plan(&narrowed, &seen).unwrap()),
            [""; 0]
        );
        let mut foreign = found.clone();
        foreign.roles.get_mut(user).unwrap().marked = false;
        let (narrowed, seen) = ended(&foreign, user, &over);
        assert_eq!(
            script(&super::super::plan::plan(&narrowed, &seen).unwrap()),
            [""; 0]
        );
    }
}
