//! What the catalogs say of roles that no step of a plan would mend, or that is more than its steps.

use super::Facts;
use super::finding::{Finding, Mend};
use super::kind::Kind;
use super::logins::Logins;
use super::steps::apply;
use crate::provision::inspected::{Inspected, InspectedMembership, InspectedRole, MARK};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::plan::reach::is_of_weight;
use crate::provision::sql::identifier;
use std::collections::BTreeSet;

/// Logins of RDS itself.
const RDS_SERVICES: [&str; 3] = ["rdsadmin", "rdstopmgr", "rdsrepladmin"];

pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let logins = Logins::new(facts);
    let statements = facts.plan.steps.iter().flat_map(|step| &step.statements);
    let statements: BTreeSet<&str> = statements.map(String::as_str).collect();
    let mut findings = Vec::new();
    for (name, role) in &facts.inspected.roles {
        if RDS_SERVICES.contains(&name.as_str()) || facts.cluster.unmanaged.contains(name) {
            continue;
        }
        match facts.wanted.roles.get(name) {
            Some(_) => {
                findings.extend(powers(facts, name, role));
                findings.extend(stuck_memberships(facts, &statements, name, role));
            }
            // A step says so.
            None if is_former_name(facts, name) => {}
            None if role.marked => findings.push(left(facts, name)),
            None => findings.extend(foreign_members(facts, name, role)),
        }
        findings.extend(logins.judge(name, role));
    }
    findings
}

/// What ends a membership, whoever granted it: since PostgreSQL 16 there is one for each grantor.
pub fn revoke(inspected: &Inspected, member: &RoleName, role: &RoleName) -> String {
    let rows = inspected
        .roles
        .get(member)
        .map(|found| found.member_of.as_slice());
    let rows = rows.unwrap_or_default().iter().filter(|row| row.role == *role);
    let all: BTreeSet<String> = rows.map(|row| revoke_row(inspected, member, row)).collect();
    let all: Vec<String> = all.into_iter().map(|statement| format!("{statement};")).collect();
    all.join(" ")
}

fn revoke_row(inspected: &Inspected, member: &RoleName, row: &InspectedMembership) -> String {
    let statement = format!("REVOKE {} FROM {}", identifier(&row.role), identifier(member));
    match inspected.server.has_membership_options() {
        true => format!("{statement} GRANTED BY {}", identifier(&row.grantor)),
        false => statement,
    }
}

pub fn is_former_name(facts: &Facts<'_>, name: &RoleName) -> bool {
    let mut roles = facts.wanted.roles.values();
    roles.any(|role| role.was.as_ref() == Some(name))
}

pub fn told(facts: &Facts<'_>, kind: Kind, subject: String, what: String, mend: Mend) -> Finding {
    Finding {
        kind,
        cluster: Some(facts.name.clone()),
        database: None,
        subject,
        what,
        mend,
    }
}

fn left(facts: &Facts<'_>, name: &RoleName) -> Finding {
    let what = format!("has the comment `{MARK}` and is not in the manifest (any more)");
    let subject = format!("role {:?}", name.as_str());
    told(facts, Kind::RoleLeftManifest, subject, what, apply(facts))
}

fn powers<'a>(
    facts: &'a Facts<'_>,
    name: &'a RoleName,
    role: &InspectedRole,
) -> impl Iterator<Item = Finding> {
    let powers = [
        (role.superuser, "SUPERUSER"),
        (role.replication, "REPLICATION"),
        (role.bypass_rls, "BYPASSRLS"),
    ];
    powers.into_iter().filter(|(has, _)| *has).map(move |(_, power)| {
        let what = format!("has {power}, which no role of a manifest has");
        let mend = Mend::Sql(format!("ALTER ROLE {} NO{power};", identifier(name)));
        let subject = format!("role {:?}", name.as_str());
        told(facts, Kind::ExcessPower, subject, what, mend)
    })
}

/// Memberships that others granted: their plan has a note, and no step.
fn stuck_memberships(
    facts: &Facts<'_>,
    statements: &BTreeSet<&str>,
    name: &RoleName,
    role: &InspectedRole,
) -> Vec<Finding> {
    let Some(wanted) = facts.wanted.roles.get(name) else {
        return Vec::new();
    };
    let is_leaving = |of: &RoleName| {
        let marked = facts.inspected.roles.get(of).is_some_and(|of| of.marked);
        marked && !facts.wanted.roles.contains_key(of)
    };
    let extra = role
        .member_of
        .iter()
        .filter(|row| !wanted.member_of.contains_key(&row.role));
    let stuck = extra.filter(|row| {
        let revoke = revoke_row(facts.inspected, name, row);
        !is_leaving(&row.role) && !statements.contains(revoke.as_str())
    });
    let findings = stuck.map(|row| {
        let (of, grantor) = (row.role.as_str(), row.grantor.as_str());
        let what =
            format!("is a member of {of:?} by a grant of {grantor:?}, which the manifest does not give it");
        let kind = match of == RDS_IAM {
            true => Kind::PasswordUserReachesRdsIam,
            false => Kind::ExtraMembership,
        };
        let mend = Mend::Sql(format!("{};", revoke_row(facts.inspected, name, row)));
        told(facts, kind, format!("role {:?}", name.as_str()), what, mend)
    });
    findings.collect()
}

/// Whom others made members of managed roles, or of the provisioner, who can be all of these.
fn foreign_members(facts: &Facts<'_>, name: &RoleName, role: &InspectedRole) -> Vec<Finding> {
    let provisioner = &facts.inspected.server.provisioner;
    if name == provisioner || role.superuser || facts.wanted.break_glass.contains(name) {
        return Vec::new();
    }
    let is_ours = |of: &RoleName| of == provisioner || facts.wanted.roles.contains_key(of);
    let rows = role
        .member_of
        .iter()
        .filter(|row| is_ours(&row.role) && is_of_weight(facts.inspected, name, row));
    let roles: BTreeSet<&RoleName> = rows.map(|row| &row.role).collect();
    let findings = roles.into_iter().map(|of| {
        let which = match of == provisioner {
            true => "the provisioner",
            false => "which is",
        };
        let mut rows = role.member_of.iter().filter(|row| row.role == *of);
        let what = match rows.any(|row| row.options.inherit || row.options.set) {
            true => format!("is not managed, and a member of {:?}, {which}", of.as_str()),
            false => format!(
                "is not managed, and may make itself and others members of {:?}, {which} (ADMIN OPTION)",
                of.as_str()
            ),
        };
        let mend = Mend::Sql(revoke(facts.inspected, name, of));
        let subject = format!("role {:?}", name.as_str());
        told(facts, Kind::ForeignMember, subject, what, mend)
    });
    findings.collect()
}
