//! Powers that a role has by itself: they are not inherited, but whoever may become it has them.

use super::some;
use crate::provision::inspected::InspectedRole;
use crate::provision::isolation::expected::closure;
use crate::provision::isolation::facts::Facts;
use crate::provision::isolation::verdict::{Finding, Kind};
use crate::provision::name::RoleName;
use crate::provision::plan::reach::{Way, reach};
use crate::provision::sql::identifier;
use crate::provision::wanted::Wanted;
use std::collections::{BTreeMap, BTreeSet};

type Has = fn(&InspectedRole) -> bool;

/// Of superusers only that is told.
const ATTRIBUTES: [(&str, Has, &str); 3] = [
    ("SUPERUSER", |role| role.superuser, "no privilege holds it back"),
    (
        "BYPASSRLS",
        |role| role.bypass_rls && !role.superuser,
        "row-level security does not hold for it",
    ),
    (
        "REPLICATION",
        |role| role.replication && !role.superuser,
        "it can read every change of every database, and copy the cluster",
    ),
];

pub(super) fn find(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    for (attribute, has, means) in ATTRIBUTES {
        for (role, users) in holders(facts, has) {
            findings.push(Finding {
                kind: Kind::Attribute,
                database: None,
                what: format!("{}{attribute}: {means}", by(&role, &users)),
                mends: format!("ALTER ROLE {} NO{attribute};", identifier(&role)),
                users,
            });
        }
    }
    for (role, users) in holders(facts, |role| role.create_role && !role.superuser) {
        let reached = makeable(facts, wanted, &role, &users);
        let what = match reached.is_empty() {
            true => "it can make itself a member of no other managed role yet".to_owned(),
            false => format!("it can make itself a member of {}", some(&reached)),
        };
        findings.push(Finding {
            kind: Kind::CreateRole,
            database: None,
            what: format!("{}CREATEROLE: {what}", by(&role, &users)),
            mends: format!("ALTER ROLE {} NOCREATEROLE;", identifier(&role)),
            users,
        });
    }
}

/// Roles with the attribute, and the users that are or become them.
fn holders(facts: &Facts, has: Has) -> BTreeMap<RoleName, Vec<RoleName>> {
    let mut found: BTreeMap<RoleName, Vec<RoleName>> = BTreeMap::new();
    for user in &facts.users {
        for face in facts.faces(user) {
            if facts.cluster.roles.get(&face).is_some_and(has) {
                found.entry(face).or_default().push(user.clone());
            }
        }
    }
    found
}

fn by(role: &RoleName, users: &[RoleName]) -> String {
    match users {
        [user] if user == role => "has ".to_owned(),
        _ => format!("may be {:?}, which has ", role.as_str()),
    }
}

/// Managed roles that whoever has CREATEROLE can get into. Before PostgreSQL 16 all; since then those it administers
/// (PostgreSQL manual, "Role Attributes").
fn makeable(facts: &Facts, wanted: &Wanted, role: &RoleName, users: &[RoleName]) -> BTreeSet<RoleName> {
    let own: BTreeSet<RoleName> = users.iter().flat_map(|user| closure(wanted, user)).collect();
    let administered: BTreeSet<RoleName> = reach(&facts.cluster, role, Way::Inherit)
        .iter()
        .filter_map(|face| facts.cluster.roles.get(face))
        .flat_map(|found| &found.member_of)
        .filter(|membership| membership.options.admin)
        .map(|membership| membership.role.clone())
        .collect();
    let any = !facts.cluster.server.has_membership_options();
    let managed = wanted.roles.keys();
    managed
        .filter(|name| facts.cluster.roles.contains_key(*name) && !own.contains(*name))
        .filter(|name| any || administered.contains(*name))
        .cloned()
        .collect()
}
