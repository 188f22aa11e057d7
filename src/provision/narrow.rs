//! What concerns one db user, so that a grant need not wait until all else is in order.
//!
//! Steps are not picked out of a whole plan, where one may need another: what is wanted and what was found are narrowed,
//! and the plan is made of that. It is whole in itself, and a part of what the whole plan does.

use super::inspected::Inspected;
use super::name::RoleName;
use super::wanted::Wanted;
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
    };
    Some((wanted, found))
}

#[cfg(test)]
mod tests;
