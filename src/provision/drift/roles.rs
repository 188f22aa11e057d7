//! What the catalogs say of roles that no step of a plan would mend, or that is more than its steps.

use super::Facts;
use super::finding::{Finding, Mend};
use super::kind::Kind;
use super::steps::apply;
use crate::provision::inspected::{Inspected, InspectedRole, MARK};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::plan::reach::{Edges, path};
use crate::provision::sql::identifier;
use std::collections::BTreeSet;

/// Roles of RDS that stand in for a superuser (RDS User Guide, "Understanding the rds_superuser role").
const RDS_SUPERUSER: &str = "rds_superuser";
/// Logins of RDS itself.
const RDS_SERVICES: [&str; 3] = ["rdsadmin", "rdstopmgr", "rdsrepladmin"];

pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, role) in &facts.inspected.roles {
        let text = name.as_str();
        if RDS_SERVICES.contains(&text) || facts.cluster.unmanaged.contains(name) {
            continue;
        }
        match facts.wanted.roles.get(name) {
            Some(_) => {
                findings.extend(powers(facts, name, role));
                findings.extend(stuck_memberships(facts, name, role));
            }
            // A step says so.
            None if is_former_name(facts, name) => {}
            None if role.marked => findings.push(left(facts, name)),
            None => findings.extend(foreign_member(facts, name, role)),
        }
        findings.extend(login(facts, name, role));
    }
    findings
}

/// Over memberships of any kind, as pg_hba.conf reads `+rds_iam`.
pub fn path_to_rds_iam(inspected: &Inspected, role: &str) -> Option<Vec<RoleName>> {
    let (role, rds_iam) = (RoleName::new(role).ok()?, RoleName::new(RDS_IAM).ok()?);
    let edges: Edges = inspected
        .roles
        .iter()
        .map(|(member, found)| {
            let roles = found.member_of.iter().map(|row| row.role.clone());
            (member.clone(), roles.collect::<BTreeSet<_>>())
        })
        .collect();
    path(&edges, &role, &rds_iam)
}

fn is_former_name(facts: &Facts<'_>, name: &RoleName) -> bool {
    let mut roles = facts.wanted.roles.values();
    roles.any(|role| role.was.as_ref() == Some(name))
}

fn told(facts: &Facts<'_>, kind: Kind, subject: String, what: String, mend: Mend) -> Finding {
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
        told(
            facts,
            Kind::ExcessPower,
            format!("role {:?}", name.as_str()),
            what,
            mend,
        )
    })
}

/// Memberships that others granted: their plan has a note, and no step.
fn stuck_memberships(facts: &Facts<'_>, name: &RoleName, role: &InspectedRole) -> Vec<Finding> {
    let Some(wanted) = facts.wanted.roles.get(name) else {
        return Vec::new();
    };
    let statements: Vec<&String> = facts
        .plan
        .steps
        .iter()
        .flat_map(|step| &step.statements)
        .collect();
    let with_options = facts.inspected.server.has_membership_options();
    let mut findings = Vec::new();
    for row in role
        .member_of
        .iter()
        .filter(|row| !wanted.member_of.contains_key(&row.role))
    {
        let revoke = format!("REVOKE {} FROM {}", identifier(&row.role), identifier(name));
        let is_leaving = facts.inspected.roles.get(&row.role).is_some_and(|of| of.marked)
            && !facts.wanted.roles.contains_key(&row.role);
        if is_leaving || statements.iter().any(|statement| statement.starts_with(&revoke)) {
            continue;
        }
        let (of, grantor) = (row.role.as_str(), row.grantor.as_str());
        let what =
            format!("is a member of {of:?} by a grant of {grantor:?}, which the manifest does not give it");
        let by = match with_options {
            true => format!(" GRANTED BY {}", identifier(&row.grantor)),
            false => String::new(),
        };
        let mend = Mend::Sql(format!("{revoke}{by};"));
        let subject = format!("role {:?}", name.as_str());
        let kind = match of == RDS_IAM {
            true => Kind::PasswordUserReachesRdsIam,
            false => Kind::ExtraMembership,
        };
        findings.push(told(facts, kind, subject, what, mend));
    }
    findings
}

fn foreign_member(facts: &Facts<'_>, name: &RoleName, role: &InspectedRole) -> Option<Finding> {
    let is_provisioner = *name == facts.inspected.server.provisioner;
    if is_provisioner || role.superuser || facts.wanted.break_glass.contains(name) {
        return None;
    }
    // Since PostgreSQL 16 creators are members that have nothing but ADMIN.
    let uses = |row: &&crate::provision::inspected::InspectedMembership| {
        let options = row.options;
        options.inherit || options.set || !facts.inspected.server.has_membership_options()
    };
    let row = role
        .member_of
        .iter()
        .filter(uses)
        .find(|row| facts.wanted.roles.contains_key(&row.role))?;
    let what = format!(
        "is not managed, and a member of {:?}, which is",
        row.role.as_str()
    );
    let revoke = format!("REVOKE {} FROM {};", identifier(&row.role), identifier(name));
    let subject = format!("role {:?}", name.as_str());
    Some(told(facts, Kind::ForeignMember, subject, what, Mend::Sql(revoke)))
}

/// Whoever reaches `rds_iam` logs in by IAM and by nothing else.
fn login(facts: &Facts<'_>, name: &RoleName, role: &InspectedRole) -> Option<Finding> {
    if !role.login || *name == facts.inspected.server.provisioner {
        return None;
    }
    let way = path_to_rds_iam(facts.inspected, name.as_str())?;
    let is_master = role.superuser || reaches_superuser(facts.inspected, name);
    let wanted = facts.wanted.roles.get(name);
    let is_break_glass = facts.wanted.break_glass.contains(name);
    let by_password = match wanted {
        // What is a member itself, a step says.
        Some(wanted) => !wanted.member_of.keys().any(|of| of.as_str() == RDS_IAM) && way.len() > 2,
        None => is_master || is_break_glass,
    };
    let names: Vec<&str> = way.iter().map(RoleName::as_str).collect();
    let way = names.join(" -> ");
    let subject = format!("db user {:?}", name.as_str());
    let (member, of) = (names.get(names.len().saturating_sub(2)), names.last());
    let revoke = match (member, of) {
        (Some(member), Some(of)) if is_break_glass || wanted.is_some() || is_master => {
            format!("REVOKE {} FROM {};", identifier(of), identifier(member))
        }
        _ => format!("REVOKE {} FROM {};", identifier(RDS_IAM), identifier(name)),
    };
    if by_password {
        let what = format!("is meant for a password and reaches rds_iam, so that no password works: {way}");
        return Some(told(
            facts,
            Kind::PasswordUserReachesRdsIam,
            subject,
            what,
            Mend::Sql(revoke),
        ));
    }
    if wanted.is_some() || role.marked || is_former_name(facts, name) {
        return None;
    }
    let what = format!("can log in by IAM ({way}), and the manifest does not have it");
    let key = format!("clusters.{}", facts.name);
    let mend = Mend::Edit(format!(
        "declare it as [{key}.users.{name:?}], or name it in `unmanaged` of [{key}], or let an administrator run: {revoke}",
        name = name.as_str()
    ));
    Some(told(facts, Kind::UnmanagedRdsIamUser, subject, what, mend))
}

fn reaches_superuser(inspected: &Inspected, name: &RoleName) -> bool {
    let Ok(superuser) = RoleName::new(RDS_SUPERUSER) else {
        return false;
    };
    let way = crate::provision::plan::reach::Way::Any;
    crate::provision::plan::reach::reach(inspected, name, way).contains(&superuser)
}
