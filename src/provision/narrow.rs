//! What concerns one db user, so that a grant need not wait until all else is in order.
//!
//! Steps are not picked out of a whole plan, where one may need another: what is wanted and what was found are narrowed,
//! and the plan is made of that. It is whole in itself, and a part of what the whole plan does.

use super::inspected::Inspected;
use super::name::RoleName;
use super::wanted::{Wanted, WantedRole};
use std::collections::{BTreeMap, BTreeSet};

/// The user alone: all other roles count as those of others, and databases have nothing to be changed. `None`: the user
/// is to be dropped and owns something or has privileges of its own, so that databases and their owners matter too.
pub fn narrow(wanted: &Wanted, inspected: &Inspected, user: &RoleName) -> Option<(Wanted, Inspected)> {
    let own = wanted.roles.get(user);
    let leaves_something = inspected
        .dependencies
        .get(user)
        .is_some_and(|places| !places.is_empty());
    if own.is_none() && leaves_something {
        return None;
    }
    let mut ours = BTreeSet::from([user]);
    if !inspected.roles.contains_key(user) {
        // To be renamed.
        ours.extend(own.and_then(|own| own.was.as_ref()));
    }
    let mut found = inspected.clone();
    for (name, role) in &mut found.roles {
        role.marked &= ours.contains(name);
    }
    for database in found.databases.values_mut() {
        database.grants.clear();
        database.contents = None;
    }
    let wanted = Wanted {
        roles: own.map(|own| (user.clone(), own.clone())).into_iter().collect(),
        databases: BTreeMap::new(),
        break_glass: wanted.break_glass.clone(),
        ended: wanted.ended.clone(),
    };
    Some((wanted, found))
}

/// Roles that were granted for a time and are over, as far as the user has them still.
pub fn still_has(inspected: &Inspected, user: &RoleName, ended: &BTreeSet<RoleName>) -> bool {
    let found = inspected.roles.get(user);
    found.is_some_and(|found| found.member_of.iter().any(|row| ended.contains(&row.role)))
}

/// What a grant that has ended leaves to be taken back: the memberships in these roles, and the setting that made what
/// the user creates theirs. All else about the user counts as being as it should, whatever the manifest says.
pub fn ended(inspected: &Inspected, user: &RoleName, ended: &BTreeSet<RoleName>) -> (Wanted, Inspected) {
    let mut narrowed = inspected.clone();
    for (name, role) in &mut narrowed.roles {
        role.marked &= name == user;
    }
    for database in narrowed.databases.values_mut() {
        database.grants.clear();
        database.contents = None;
    }
    let mut wanted = Wanted::default();
    if let Some(found) = narrowed.roles.get_mut(user).filter(|found| found.marked) {
        found.inherit = true;
        found.create_role = false;
        found.create_db = false;
        found.member_of.retain(|row| ended.contains(&row.role));
        let came_along = |value: &str| ended.iter().any(|role| role.as_str() == value);
        found.settings.retain(|name, value| {
            name.database.is_some() && name.name.eq_ignore_ascii_case("role") && came_along(value)
        });
        let own = WantedRole {
            login: found.login,
            connection_limit: found.connection_limit,
            ..WantedRole::default()
        };
        wanted.roles.insert(user.clone(), own);
    }
    (wanted, narrowed)
}

#[cfg(test)]
mod tests;
