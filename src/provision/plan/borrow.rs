//! Roles that are lent to the provisioner for the time of a run, and given back.
//!
//! Objects can only be given privileges by their owner, and the provisioner is not to own, or be, more than it must
//! between runs. Since PostgreSQL 16 it gets SET alone where that is enough, so that it does not have what the role has
//! while it works on something else.

use super::draft::{Draft, Phase, Place, Power};
use super::scene::Scene;
use super::text::some;
use crate::provision::name::RoleName;
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use std::collections::BTreeSet;

pub fn plan(scene: &Scene<'_>, draft: &mut Draft) {
    let mut lent = Vec::new();
    let mut back: BTreeSet<RoleName> = scene.left_over.keys().cloned().collect();
    for (role, power) in draft.borrowed.clone() {
        let inherit = power == Power::Inherit;
        if scene.has(&role, inherit) {
            continue;
        }
        let left = scene.left_over.get(&role);
        let options = scene.server.has_membership_options();
        let enough = left.is_some_and(|left| !options || (left.set && (left.inherit || !inherit)));
        if !enough {
            lent.push((role.clone(), inherit));
        }
        back.insert(role);
    }
    let title = format!(
        "let the provisioner act as {}",
        some(lent.iter().map(|(role, _)| role))
    );
    let statements = lent
        .iter()
        .map(|(role, inherit)| lend(scene, role, *inherit))
        .collect();
    draft.step(
        Phase::Borrow,
        StepKind::Ordinary,
        &Place::cluster(),
        title,
        statements,
    );
    // With a role that is dropped its memberships go too.
    back.retain(|role| !scene.leaving.contains(role));
    let title = format!("the provisioner no longer acts as {}", some(&back));
    let statements = back.iter().map(|role| give_back(scene, role)).collect();
    draft.step(
        Phase::GiveBack,
        StepKind::Ordinary,
        &Place::cluster(),
        title,
        statements,
    );
}

fn lend(scene: &Scene<'_>, role: &RoleName, inherit: bool) -> String {
    let statement = format!(
        "GRANT {} TO {}",
        identifier(role),
        identifier(&scene.server.provisioner)
    );
    match (scene.server.has_membership_options(), inherit) {
        (false, _) => statement,
        (true, false) => format!("{statement} WITH INHERIT FALSE, SET TRUE"),
        (true, true) => format!("{statement} WITH INHERIT TRUE, SET TRUE"),
    }
}

fn give_back(scene: &Scene<'_>, role: &RoleName) -> String {
    let provisioner = identifier(&scene.server.provisioner);
    let statement = format!("REVOKE {} FROM {provisioner}", identifier(role));
    match scene.server.has_membership_options() {
        true => format!("{statement} GRANTED BY {provisioner}"),
        false => statement,
    }
}
