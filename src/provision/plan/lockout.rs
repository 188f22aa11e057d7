//! Who must still be able to log in when the plan has run, judged before anything runs.
//!
//! A role that reaches `rds_iam` over memberships of any kind can log in by IAM alone, because that is how PostgreSQL
//! reads `+role` in pg_hba.conf. Since PostgreSQL 16 whoever creates a role is a member of it.

use super::draft::Draft;
use super::obstacle::Obstacle;
use super::reach::{Edges, path};
use super::scene::Scene;
use crate::provision::name::{RDS_IAM, RoleName};

pub fn judge(scene: &Scene<'_>, draft: &mut Draft) {
    let Ok(rds_iam) = RoleName::new(RDS_IAM) else {
        return;
    };
    let edges = edges(scene);
    for role in &scene.wanted.break_glass {
        break_glass(scene, role, &edges, &rds_iam, draft);
    }
    if !scene.server.provisioner_is_superuser && !scene.is_by_iam() {
        provisioner(scene, &edges, &rds_iam, draft);
    }
}

/// Memberships that are, or will be. Those that the plan takes away count: it may be stopped before it does.
fn edges(scene: &Scene<'_>) -> Edges {
    let mut edges = Edges::new();
    for (member, role) in &scene.found.roles {
        let leaves = scene.leaving.contains(member);
        let roles = role.member_of.iter().map(|row| row.role.clone());
        // But who is dropped is no longer by IAM before it is lent.
        let roles = roles.filter(|role| !leaves || role.as_str() != RDS_IAM);
        edges.entry(member.clone()).or_default().extend(roles);
    }
    for (member, role) in &scene.wanted.roles {
        edges
            .entry(member.clone())
            .or_default()
            .extend(role.member_of.keys().cloned());
    }
    let creates = scene.server.has_membership_options() && !scene.server.provisioner_is_superuser;
    if creates {
        let created = scene
            .wanted
            .roles
            .keys()
            .filter(|role| !scene.found.roles.contains_key(*role));
        edges
            .entry(scene.server.provisioner.clone())
            .or_default()
            .extend(created.cloned());
    }
    edges
}

fn break_glass(scene: &Scene<'_>, role: &RoleName, edges: &Edges, rds_iam: &RoleName, draft: &mut Draft) {
    let login = match (scene.wanted.roles.get(role), scene.found.roles.get(role)) {
        (Some(wanted), _) => wanted.login,
        (None, found) => found.is_some_and(|found| found.login),
    };
    if !login {
        draft.obstacle(Obstacle::BreakGlassCannotLogIn {
            role: role.to_string(),
        });
    }
    if let Some(path) = path(edges, role, rds_iam) {
        let path: Vec<&str> = path.iter().map(RoleName::as_str).collect();
        draft.obstacle(Obstacle::BreakGlassByIam {
            role: role.to_string(),
            path: path.join(" -> "),
        });
    }
}

fn provisioner(scene: &Scene<'_>, edges: &Edges, rds_iam: &RoleName, draft: &mut Draft) {
    let name = || scene.server.provisioner.to_string();
    if scene.server.has_membership_options() {
        let by_iam = scene
            .wanted
            .roles
            .iter()
            .find(|(_, role)| role.member_of.contains_key(rds_iam));
        if let Some((user, _)) = by_iam {
            let user = user.to_string();
            return draft.obstacle(Obstacle::ProvisionerByPassword {
                provisioner: name(),
                user,
            });
        }
    }
    let through: Vec<RoleName> = draft.borrowed.keys().cloned().collect();
    for role in through {
        if path(edges, &role, rds_iam).is_some() {
            let role = role.to_string();
            draft.obstacle(Obstacle::OwnerByIam {
                provisioner: name(),
                role,
            });
        }
    }
}
