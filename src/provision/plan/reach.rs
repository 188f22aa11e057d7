//! Which roles a role is a member of, and what that lets it do.

use crate::provision::inspected::{Inspected, InspectedMembership};
use crate::provision::name::RoleName;
use std::collections::{BTreeMap, BTreeSet};

/// Which memberships count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All of them: how `+role` in pg_hba.conf is read, and so who logs in by IAM.
    Any,
    /// Those that give privileges without `SET ROLE`.
    Inherit,
    /// Those along which `SET ROLE` may go.
    Set,
}

/// All roles that `start` reaches, and itself.
pub fn reach(found: &Inspected, start: &RoleName, way: Way) -> BTreeSet<RoleName> {
    let mut reached = BTreeSet::from([start.clone()]);
    let mut open = vec![start.clone()];
    while let Some(member) = open.pop() {
        let Some(role) = found.roles.get(&member) else {
            continue;
        };
        let counts = |membership: &&InspectedMembership| match (way, found.server.has_membership_options()) {
            (Way::Any, _) | (Way::Set, false) => true,
            (Way::Set, true) => membership.options.set,
            (Way::Inherit, true) => membership.options.inherit,
            (Way::Inherit, false) => role.inherit,
        };
        for membership in role.member_of.iter().filter(counts) {
            if reached.insert(membership.role.clone()) {
                open.push(membership.role.clone());
            }
        }
    }
    reached
}

/// Stands in for a superuser on RDS (RDS User Guide, "Understanding the rds_superuser role").
pub const RDS_SUPERUSER: &str = "rds_superuser";

/// Whether a membership of a role that is not managed is worth a word. Since PostgreSQL 16 creators are members that have
/// nothing but ADMIN, and that is enough to take the rest: RDS's administrators alone have it for nothing, superusers need
/// no membership.
pub fn is_of_weight(found: &Inspected, member: &RoleName, row: &InspectedMembership) -> bool {
    let uses = row.options.inherit || row.options.set || !found.server.has_membership_options();
    let is_rds_superuser = || {
        let reached = reach(found, member, Way::Set).into_iter();
        let mut reached = reached.chain(reach(found, member, Way::Inherit));
        reached.any(|role| role.as_str() == RDS_SUPERUSER)
    };
    uses || (row.options.admin && !is_rds_superuser())
}

/// Who is a member of whom.
pub type Edges = BTreeMap<RoleName, BTreeSet<RoleName>>;

/// The shortest way from one role to another, both included.
pub fn path(edges: &Edges, from: &RoleName, to: &RoleName) -> Option<Vec<RoleName>> {
    let mut came_from: BTreeMap<&RoleName, Option<&RoleName>> = BTreeMap::from([(from, None)]);
    let mut round = vec![from];
    while !round.is_empty() && !came_from.contains_key(to) {
        let mut next = Vec::new();
        for member in round {
            for role in edges.get(member).into_iter().flatten() {
                if !came_from.contains_key(role) {
                    came_from.insert(role, Some(member));
                    next.push(role);
                }
            }
        }
        round = next;
    }
    let (last, _) = came_from.get_key_value(to)?;
    let mut path = vec![(*last).clone()];
    let mut at = *last;
    while let Some(Some(before)) = came_from.get(at) {
        path.push((*before).clone());
        at = before;
    }
    path.reverse();
    Some(path)
}
