//! Who logs in by IAM, and so by nothing else: whoever reaches `rds_iam`.

use super::Facts;
use super::finding::{Finding, Mend};
use super::kind::Kind;
use super::roles::{is_former_name, revoke, told};
use crate::provision::inspected::{Inspected, InspectedRole};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::plan::reach::{Edges, RDS_SUPERUSER, Way, path, reach};
use std::collections::BTreeSet;

/// Ways to `rds_iam` over memberships of any kind, as pg_hba.conf reads `+rds_iam`.
pub struct Ways {
    edges: Edges,
}

impl Ways {
    pub fn new(inspected: &Inspected) -> Self {
        let edges = inspected.roles.iter().map(|(member, found)| {
            let roles = found.member_of.iter().map(|row| row.role.clone());
            (member.clone(), roles.collect::<BTreeSet<_>>())
        });
        Self {
            edges: edges.collect(),
        }
    }

    pub fn to_rds_iam(&self, role: &RoleName) -> Option<Vec<RoleName>> {
        path(&self.edges, role, &RoleName::new(RDS_IAM).ok()?)
    }
}

pub struct Logins<'a> {
    facts: &'a Facts<'a>,
    ways: Ways,
}

impl<'a> Logins<'a> {
    pub fn new(facts: &'a Facts<'a>) -> Self {
        Self {
            facts,
            ways: Ways::new(facts.inspected),
        }
    }

    pub fn judge(&self, name: &RoleName, role: &InspectedRole) -> Option<Finding> {
        let facts = self.facts;
        if !role.login || *name == facts.inspected.server.provisioner {
            return None;
        }
        let way = self.ways.to_rds_iam(name)?;
        // The first of its memberships is its own; those after it are others' affair.
        let revoke = way.get(1).map(|of| revoke(facts.inspected, name, of))?;
        let shown: Vec<&str> = way.iter().map(RoleName::as_str).collect();
        let shown = shown.join(" -> ");
        let subject = format!("db user {:?}", name.as_str());
        if self.is_for_a_password(name, role, &way) {
            let what =
                format!("is meant for a password and reaches rds_iam, so that no password works: {shown}");
            let mend = Mend::Sql(revoke);
            return Some(told(facts, Kind::PasswordUserReachesRdsIam, subject, what, mend));
        }
        if facts.wanted.roles.contains_key(name) || role.marked || is_former_name(facts, name) {
            return None;
        }
        let what = format!("can log in by IAM ({shown}), and the manifest does not have it");
        let key = format!("clusters.{}", facts.name);
        let mend = Mend::Edit(format!(
            "declare it as [{key}.users.{name:?}], or name it in `unmanaged` of [{key}], or let an administrator run: \
             {revoke}",
            name = name.as_str()
        ));
        Some(told(facts, Kind::UnmanagedRdsIamUser, subject, what, mend))
    }

    fn is_for_a_password(&self, name: &RoleName, role: &InspectedRole, way: &[RoleName]) -> bool {
        match self.facts.wanted.roles.get(name) {
            // That it is a member itself, and should not be, a step says.
            Some(wanted) => !wanted.member_of.keys().any(|of| of.as_str() == RDS_IAM) && way.len() > 2,
            None => {
                role.superuser
                    || self.facts.wanted.break_glass.contains(name)
                    || is_master(self.facts.inspected, name)
            }
        }
    }
}

fn is_master(inspected: &Inspected, name: &RoleName) -> bool {
    let reached = reach(inspected, name, Way::Any);
    reached.iter().any(|role| role.as_str() == RDS_SUPERUSER)
}
