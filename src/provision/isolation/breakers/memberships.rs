//! Memberships that the manifest does not know.

use crate::provision::inspected::InspectedMembership;
use crate::provision::isolation::expected::closure;
use crate::provision::isolation::facts::Facts;
use crate::provision::isolation::verdict::{Finding, Kind};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::plan::reach::{Edges, path};
use crate::provision::sql::identifier;
use crate::provision::wanted::Wanted;
use std::collections::{BTreeMap, BTreeSet};

/// Predefined roles, and those of RDS, whose members leave their database (PostgreSQL manual, "Predefined Roles").
const POWERFUL: [(&str, &str); 12] = [
    (
        "pg_read_all_data",
        "reads all tables of every database it can enter",
    ),
    (
        "pg_write_all_data",
        "writes all tables of every database it can enter",
    ),
    (
        "pg_read_server_files",
        "reads the server's files, those of all databases",
    ),
    ("pg_write_server_files", "writes the server's files"),
    ("pg_execute_server_program", "runs programs as the server"),
    ("pg_maintain", "locks and rewrites all tables"),
    ("pg_signal_backend", "ends sessions and queries of others"),
    ("pg_create_subscription", "lets the server connect elsewhere"),
    (
        "pg_use_reserved_connections",
        "takes connections that are kept for others",
    ),
    ("rds_superuser", "is what RDS has in the place of a superuser"),
    ("rds_replication", "can read every change of every database"),
    ("rds_password", "changes passwords of others"),
];

pub(super) fn find(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    let edges = edges(facts);
    let mut members: BTreeMap<RoleName, Vec<RoleName>> = BTreeMap::new();
    let mut administrators: BTreeMap<RoleName, Vec<RoleName>> = BTreeMap::new();
    for user in facts.users.iter().filter(|user| !facts.is_superuser(user)) {
        let known = with_what_monitors_are(closure(wanted, user));
        let reached = reached(&edges, user);
        let begins = begins(&edges, &reached, &known);
        for role in reached.difference(&known).filter(|role| {
            begins.contains(*role) || wanted.roles.contains_key(*role) || is_powerful(role).is_some()
        }) {
            members.entry(role.clone()).or_default().push(user.clone());
        }
        for role in administered(facts, &reached).intersection(&known) {
            administrators.entry(role.clone()).or_default().push(user.clone());
        }
    }
    for (role, users) in members {
        findings.push(of_member(facts, wanted, &edges, &role, users));
    }
    for (role, users) in administrators {
        findings.push(Finding {
            kind: Kind::AdminOption,
            database: None,
            what: format!("may give role {:?} to others", role.as_str()),
            mends: format!(
                "`dbproxy apply`, or REVOKE ADMIN OPTION FOR {} FROM …;",
                identifier(&role)
            ),
            users,
        });
    }
}

/// `pg_monitor` is a member of these from the start, and nothing else (PostgreSQL manual, "Predefined Roles").
const OF_MONITORS: [&str; 3] = ["pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"];

fn with_what_monitors_are(mut known: BTreeSet<RoleName>) -> BTreeSet<RoleName> {
    if known.iter().any(|role| role.as_str() == "pg_monitor") {
        known.extend(
            OF_MONITORS
                .into_iter()
                .filter_map(|role| RoleName::new(role).ok()),
        );
    }
    known
}

/// Those that give something. Membership in `rds_iam` is about the login, and counts however it came about.
fn edges(facts: &Facts) -> Edges {
    let gives = |membership: &&InspectedMembership| {
        let options = membership.options;
        options.inherit || options.set || options.admin || membership.role.as_str() == RDS_IAM
    };
    let roles = facts.cluster.roles.iter();
    roles
        .map(|(name, role)| {
            let of = role.member_of.iter().filter(gives);
            (
                name.clone(),
                of.map(|membership| membership.role.clone()).collect(),
            )
        })
        .collect()
}

fn reached(edges: &Edges, user: &RoleName) -> BTreeSet<RoleName> {
    let mut reached = BTreeSet::from([user.clone()]);
    let mut open = vec![user.clone()];
    while let Some(member) = open.pop() {
        for role in edges.get(&member).into_iter().flatten() {
            if reached.insert(role.clone()) {
                open.push(role.clone());
            }
        }
    }
    reached
}

/// Where the way leaves what the manifest knows: what lies behind a role of others is theirs to tell.
fn begins(edges: &Edges, reached: &BTreeSet<RoleName>, known: &BTreeSet<RoleName>) -> BTreeSet<RoleName> {
    let from_known = reached.intersection(known).filter_map(|role| edges.get(role));
    from_known.flatten().cloned().collect()
}

fn is_powerful(role: &RoleName) -> Option<&'static str> {
    let known = POWERFUL.iter().find(|(name, _)| *name == role.as_str());
    known.map(|(_, means)| *means)
}

fn administered(facts: &Facts, roles: &BTreeSet<RoleName>) -> BTreeSet<RoleName> {
    let found = roles.iter().filter_map(|name| facts.cluster.roles.get(name));
    let memberships = found.flat_map(|role| &role.member_of);
    memberships
        .filter(|membership| membership.options.admin)
        .map(|membership| membership.role.clone())
        .collect()
}

fn of_member(
    facts: &Facts,
    wanted: &Wanted,
    edges: &Edges,
    role: &RoleName,
    users: Vec<RoleName>,
) -> Finding {
    let way = users
        .first()
        .and_then(|user| path(edges, user, role))
        .unwrap_or_default();
    let last: Vec<&RoleName> = way.iter().rev().take(2).collect();
    let (member, how) = match last.as_slice() {
        [_, member] => (Some(*member), how(facts, member, role)),
        _ => (None, String::new()),
    };
    let steps: Vec<String> = way.iter().map(|one| format!("{:?}", one.as_str())).collect();
    let steps = steps.join(" → ");
    let (kind, what) = match is_powerful(role) {
        Some(means) => (Kind::PowerfulRole, format!("which {means}")),
        None if wanted.roles.contains_key(role) => {
            (Kind::Membership, "which the manifest gives to others".to_owned())
        }
        None => (Kind::Membership, "of which the manifest says nothing".to_owned()),
    };
    let member = member.map_or_else(|| "…".to_owned(), identifier);
    Finding {
        kind,
        database: None,
        what: format!("member of {:?} ({steps}{how}), {what}", role.as_str()),
        mends: format!("REVOKE {} FROM {member};", identifier(role)),
        users,
    }
}

/// What the last membership allows.
fn how(facts: &Facts, member: &RoleName, role: &RoleName) -> String {
    let found = facts.cluster.roles.get(member);
    let memberships = found.into_iter().flat_map(|found| &found.member_of);
    let of_it: Vec<_> = memberships
        .filter(|membership| membership.role == *role)
        .collect();
    let any = |has: fn(&InspectedMembership) -> bool| of_it.iter().any(|membership| has(membership));
    let mut words = Vec::new();
    if any(|membership| membership.options.inherit) {
        words.push("inherits");
    }
    if any(|membership| membership.options.set) {
        words.push("SET ROLE");
    }
    if any(|membership| membership.options.admin) {
        words.push("ADMIN");
    }
    match words.is_empty() {
        true => String::new(),
        false => format!(": {}", words.join(", ")),
    }
}
