//! The narrowed plan does what concerns the user, and nothing else.

use super::narrow;
use crate::provision::inspected::Inspected;
use crate::provision::plan::fixture::{VERSIONS, marked, orders, role, script, settled};
use crate::provision::plan::plan;
use crate::provision::wanted::Wanted;

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
