//! What is no breach, and worth knowing; and where nobody could look.

use super::some;
use crate::provision::isolation::facts::{DatabaseFacts, Facts};
use crate::provision::isolation::verdict::{Finding, Kind};
use crate::provision::name::{Database, RoleName};
use crate::provision::plan::reach::{Way, reach};
use crate::provision::sql::identifier;
use crate::provision::wanted::Wanted;
use std::collections::BTreeSet;

pub(super) fn find(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    for (name, database) in &facts.databases {
        unseen(facts, wanted, name, database, findings);
        replication(wanted, name, database, findings);
    }
    statistics(facts, findings);
    others(facts, wanted, findings);
    findings.push(note(
        Kind::SharedCatalogs,
        None,
        "names of all databases and roles, and comments and settings of roles, are visible to every db user"
            .to_owned(),
        "Nothing: PostgreSQL shares these catalogs. Choose names that tell no secrets",
    ));
}

fn note(kind: Kind, database: Option<&Database>, what: String, mends: &str) -> Finding {
    Finding {
        kind,
        database: database.cloned(),
        users: Vec::new(),
        what,
        mends: mends.to_owned(),
    }
}

/// A database that no managed user can enter need not be looked into, unless it is the manifest's.
fn unseen(
    facts: &Facts,
    wanted: &Wanted,
    name: &Database,
    database: &DatabaseFacts,
    findings: &mut Vec<Finding>,
) {
    let users: Vec<RoleName> = facts
        .users
        .iter()
        .filter(|user| database.may_connect(user))
        .cloned()
        .collect();
    if database.inside.is_none() && (!users.is_empty() || wanted.databases.contains_key(name)) {
        let provisioner = &facts.cluster.server.provisioner;
        findings.push(Finding {
            users,
            ..note(
                Kind::Unseen,
                Some(name),
                format!("nobody looked inside: {:?} may not connect", provisioner.as_str()),
                &format!(
                    "GRANT CONNECT ON DATABASE {} TO {};",
                    identifier(name),
                    identifier(provisioner)
                ),
            )
        });
    }
}

fn replication(wanted: &Wanted, name: &Database, database: &DatabaseFacts, findings: &mut Vec<Finding>) {
    if !wanted.databases.contains_key(name) {
        return;
    }
    for (publication, all) in database.inside.iter().flat_map(|inside| &inside.publications) {
        let of = if *all { "all tables" } else { "some tables" };
        let what = format!(
            "publication {publication:?} of {of}: whoever may replicate reads them, whatever else it may"
        );
        let mends = "DROP PUBLICATION where nobody subscribes; see to it that no tenant has REPLICATION";
        findings.push(note(Kind::Publication, Some(name), what, mends));
    }
    for (subscription, owner) in &database.subscriptions {
        let what = format!(
            "subscription {subscription:?} of {:?}: another server writes into this database",
            owner.as_str()
        );
        let mends = "DROP SUBSCRIPTION where it is not meant";
        findings.push(note(Kind::Subscription, Some(name), what, mends));
    }
}

fn statistics(facts: &Facts, findings: &mut Vec<Finding>) {
    let watches = |user: &&RoleName| {
        let roles = reach(&facts.cluster, user, Way::Any);
        let reads = roles.iter().any(|role| role.as_str() == "pg_read_all_stats");
        reads && !facts.is_superuser(user)
    };
    let users: Vec<RoleName> = facts.users.iter().filter(watches).cloned().collect();
    let insides = facts
        .databases
        .values()
        .filter_map(|database| database.inside.as_ref());
    let kept = insides
        .into_iter()
        .any(|inside| inside.extensions.contains("pg_stat_statements"));
    let texts = match kept {
        true => "texts of running statements, and those that pg_stat_statements keeps, of all databases",
        false => "texts of running statements of all databases",
    };
    if !users.is_empty() {
        findings.push(Finding {
            users,
            ..note(
                Kind::Statistics,
                None,
                format!("sees {texts}, through pg_read_all_stats (pg_monitor)"),
                "Nothing, where monitoring is what they are for. Statements that set passwords show them",
            )
        });
    }
}

/// The judgement is about managed users.
fn others(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    let provisioner = &facts.cluster.server.provisioner;
    let logins = facts.cluster.roles.iter().filter(|(_, role)| role.login);
    let others: BTreeSet<&RoleName> = logins
        .map(|(name, _)| name)
        .filter(|name| !facts.users.contains(*name))
        .filter(|name| *name != provisioner && !wanted.break_glass.contains(*name))
        .collect();
    if !others.is_empty() {
        let what = format!("roles that may log in and are not judged here: {}", some(others));
        let mends = "Declare in the manifest those that are tenants";
        findings.push(note(Kind::OtherLogins, None, what, mends));
    }
}
