//! Functions that run as their owner: what they do, whoever may execute them can have done.

use crate::provision::isolation::facts::{DatabaseFacts, Definer, Facts};
use crate::provision::isolation::verdict::{Finding, Kind};
use crate::provision::name::{Database, RoleName};
use crate::provision::plan::reach::{RDS_SUPERUSER, Way, reach};
use std::collections::BTreeSet;

pub(super) fn find(facts: &Facts, findings: &mut Vec<Finding>) {
    for (name, database) in &facts.databases {
        for (definer, roles) in database.inside.iter().flat_map(|inside| &inside.definers) {
            findings.extend(judge(facts, name, database, definer, roles));
        }
    }
}

/// An owner's own functions in its own database open nothing to the tenant that it is of.
fn judge(
    facts: &Facts,
    name: &Database,
    database: &DatabaseFacts,
    definer: &Definer,
    roles: &BTreeSet<RoleName>,
) -> Option<Finding> {
    let owner = &definer.owner;
    let power = power(facts, owner);
    if *owner == database.owner && power.is_none() {
        return None;
    }
    let mut users = facts.users_among(database, roles);
    // Who can be the owner anyway gains nothing.
    users.retain(|user| !facts.faces(user).contains(owner));
    if users.is_empty() {
        return None;
    }
    let function = format!("function {}.{}", definer.schema, definer.function);
    let (kind, what) = match power {
        Some(power) => (
            Kind::PowerfulDefiner,
            format!("{function} runs as {:?}, {power}", owner.as_str()),
        ),
        None => (
            Kind::SecurityDefiner,
            format!("{function} runs as {:?}", owner.as_str()),
        ),
    };
    let mends = "Read what it does; REVOKE EXECUTE ON FUNCTION … FROM who has it, PUBLIC too; or ALTER FUNCTION … OWNER TO \
        the database's owner";
    Some(Finding {
        kind,
        database: Some(name.clone()),
        users,
        what,
        mends: mends.to_owned(),
    })
}

/// What makes an owner more than a tenant.
fn power(facts: &Facts, owner: &RoleName) -> Option<&'static str> {
    let role = facts.cluster.roles.get(owner)?;
    if role.superuser {
        return Some("a superuser");
    }
    if *owner == facts.cluster.server.provisioner {
        return Some("the provisioner");
    }
    let reached = reach(&facts.cluster, owner, Way::Any);
    if reached.iter().any(|role| role.as_str() == RDS_SUPERUSER) {
        return Some("who is one of rds_superuser");
    }
    role.create_role.then_some("who has CREATEROLE")
}
