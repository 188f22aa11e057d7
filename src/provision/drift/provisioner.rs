//! The provisioner itself, which no plan of its own can change.

use super::Facts;
use super::finding::{Finding, Mend};
use super::kind::Kind;
use super::roles::{revoke, told};
use crate::provision::inspected::{InspectedMembership, InspectedRole};
use crate::provision::name::RDS_IAM;
use crate::provision::plan::reach::{RDS_SUPERUSER, Way, reach};
use crate::provision::sql::identifier;

pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let name = &facts.inspected.server.provisioner;
    let Some(found) = facts.inspected.roles.get(name) else {
        return Vec::new();
    };
    let finding = |what: String, mend: Mend| {
        let subject = format!("db user {:?}", name.as_str());
        told(facts, Kind::ProvisionerChanged, subject, what, mend)
    };
    let mut findings = Vec::new();
    if found.superuser {
        let mend = Mend::Sql(format!("ALTER ROLE {} NOSUPERUSER;", identifier(name)));
        findings.push(finding("is a superuser".to_owned(), mend));
        return findings;
    }
    let lacks = lacks(facts, found);
    if !lacks.is_empty() {
        let mend = Mend::Command(format!("dbproxy bootstrap {} --as MASTER_USER", facts.name));
        findings.push(finding(format!("lacks {}", lacks.join(", ")), mend));
    }
    for row in found.member_of.iter().filter(|row| is_too_much(facts, row)) {
        let what = format!(
            "is a member of {:?}, which {:?} gave it",
            row.role.as_str(),
            row.grantor.as_str()
        );
        findings.push(finding(what, Mend::Sql(revoke(facts.inspected, name, &row.role))));
    }
    findings
}

/// Of what `bootstrap` gives it.
fn lacks(facts: &Facts<'_>, found: &InspectedRole) -> Vec<&'static str> {
    let name = &facts.inspected.server.provisioner;
    let administers = |row: &InspectedMembership| row.role.as_str() == RDS_IAM && row.options.admin;
    let reached = reach(facts.inspected, name, Way::Any);
    let is_rds = reached.iter().any(|role| role.as_str() == RDS_SUPERUSER);
    let gives_iam = is_rds || found.member_of.iter().any(administers);
    let all = [
        (found.create_role, "CREATEROLE"),
        (found.create_db, "CREATEDB"),
        (gives_iam, "ADMIN OPTION for rds_iam"),
    ];
    all.into_iter()
        .filter(|(has, _)| !has)
        .map(|(_, what)| what)
        .collect()
}

/// What it lends itself, and what PostgreSQL gives whoever creates a role, is looked at elsewhere.
fn is_too_much(facts: &Facts<'_>, row: &InspectedMembership) -> bool {
    let of_manifest = facts.wanted.roles.contains_key(&row.role);
    let uses = row.options.inherit || row.options.set || !facts.inspected.server.has_membership_options();
    of_manifest && uses && row.grantor != facts.inspected.server.provisioner
}
