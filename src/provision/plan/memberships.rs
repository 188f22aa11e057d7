//! Which roles the managed roles are members of, and with which options.
//!
//! Until PostgreSQL 15 there is one membership for a pair, which whoever may create roles may change. Since PostgreSQL 16
//! there is one for each grantor, only who acts for the grantor may change it, and what a member may do is what all of
//! them together allow.

use super::draft::{Draft, Phase, Place};
use super::obstacle::Obstacle;
use super::reach::is_of_weight;
use super::scene::Scene;
use super::text::{shown, some};
use crate::provision::inspected::InspectedMembership;
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::MembershipOptions;
use std::collections::BTreeSet;

/// What is done for one member.
#[derive(Default)]
struct Changes {
    revoked: Vec<String>,
    left: Vec<RoleName>,
    /// What was given for a time.
    over: Vec<String>,
    ended: Vec<RoleName>,
    granted: Vec<String>,
    joined: Vec<RoleName>,
}

pub fn plan(scene: &Scene<'_>, draft: &mut Draft) {
    for (member, wanted) in &scene.wanted.roles {
        if scene.is_provisioner(member) {
            continue;
        }
        let rows = scene
            .found
            .roles
            .get(member)
            .map(|role| role.member_of.as_slice())
            .unwrap_or_default();
        let mut changes = Changes::default();
        let roles: BTreeSet<&RoleName> = rows.iter().map(|row| &row.role).collect();
        for role in roles {
            // Memberships in a role that is dropped go with it.
            if !wanted.member_of.contains_key(role) && !scene.leaving.contains(role) {
                revoke(scene, member, role, rows, &mut changes, draft);
            }
        }
        for (role, options) in &wanted.member_of {
            let rows: Vec<_> = rows.iter().filter(|row| row.role == *role).collect();
            match scene.server.has_membership_options() {
                true => settle(scene, member, role, *options, &rows, &mut changes, draft),
                false => settle_before_16(member, role, *options, &rows, &mut changes),
            }
        }
        write(scene, member, changes, draft);
    }
    for member in &scene.staying {
        leave_all(scene, member, draft);
    }
    note_others(scene, draft);
}

/// What is left of a role that cannot be dropped is a member of nothing.
fn leave_all(scene: &Scene<'_>, member: &RoleName, draft: &mut Draft) {
    let rows = scene
        .found
        .roles
        .get(member)
        .map(|role| role.member_of.as_slice());
    let rows = rows.unwrap_or_default();
    let mut changes = Changes::default();
    let roles: BTreeSet<&RoleName> = rows.iter().map(|row| &row.role).collect();
    for role in roles.difference(&scene.leaving.iter().collect()) {
        revoke(scene, member, role, rows, &mut changes, draft);
    }
    write(scene, member, changes, draft);
}

fn write(scene: &Scene<'_>, member: &RoleName, changes: Changes, draft: &mut Draft) {
    for role in &changes.joined {
        match scene.will_exist(role) {
            true => draft.administer(scene, role),
            false => draft.obstacle(Obstacle::NoSuchRole {
                role: role.to_string(),
                needed_by: shown(member),
            }),
        }
    }
    let cluster = Place::cluster();
    let title = format!(
        "take from {} its membership in {}",
        shown(member),
        some(&changes.left)
    );
    draft.step(
        Phase::Revoke,
        StepKind::Destructive,
        &cluster,
        title,
        changes.revoked,
    );
    let title = format!(
        "take from {} its membership in {}, whose time is over",
        shown(member),
        some(&changes.ended)
    );
    draft.step(Phase::Revoke, StepKind::Ordinary, &cluster, title, changes.over);
    let title = format!("make {} a member of {}", shown(member), some(&changes.joined));
    draft.step(Phase::Grant, StepKind::Ordinary, &cluster, title, changes.granted);
}

fn revoke(
    scene: &Scene<'_>,
    member: &RoleName,
    role: &RoleName,
    rows: &[InspectedMembership],
    changes: &mut Changes,
    draft: &mut Draft,
) {
    let mut taken = Vec::new();
    for row in rows.iter().filter(|row| row.role == *role) {
        let statement = statement("", member, row, scene);
        let given_on = given_on(scene, member, role);
        if !may_change(scene, row) {
            draft.note(format!(
                "{} is a member of {} by a grant of {}, who alone can take it back: {statement}",
                shown(member),
                shown(role),
                shown(&row.grantor)
            ));
        } else if !given_on.is_empty() {
            draft.note(format!(
                "{} stays a member of {}: it has given that on to {}; take that away first",
                shown(member),
                shown(role),
                some(given_on)
            ));
        } else {
            taken.push(statement);
        }
    }
    if taken.is_empty() {
        return;
    }
    let ended = scene.wanted.ended.get(member);
    let (statements, roles) = match ended.is_some_and(|ended| ended.contains(role)) {
        true => (&mut changes.over, &mut changes.ended),
        false => (&mut changes.revoked, &mut changes.left),
    };
    statements.extend(taken);
    roles.push(role.clone());
}

/// Whom the member made members itself: PostgreSQL 16 keeps the one as long as there is the other.
fn given_on<'s>(scene: &'s Scene<'_>, grantor: &RoleName, role: &RoleName) -> Vec<&'s RoleName> {
    if !scene.server.has_membership_options() {
        return Vec::new();
    }
    let made = |row: &InspectedMembership| row.grantor == *grantor && row.role == *role;
    let members = scene
        .found
        .roles
        .iter()
        .filter(|(_, found)| found.member_of.iter().any(made));
    members.map(|(name, _)| name).collect()
}

fn may_change(scene: &Scene<'_>, row: &InspectedMembership) -> bool {
    match scene.server.has_membership_options() {
        true => scene.acts_for(&row.grantor),
        false => scene.administers(&row.role),
    }
}

/// `option`: empty for the whole membership, or `ADMIN OPTION FOR `.
fn statement(option: &str, member: &RoleName, row: &InspectedMembership, scene: &Scene<'_>) -> String {
    let statement = format!(
        "REVOKE {option}{} FROM {}",
        identifier(&row.role),
        identifier(member)
    );
    match scene.server.has_membership_options() {
        true => format!("{statement} GRANTED BY {}", identifier(&row.grantor)),
        false => statement,
    }
}

fn settle_before_16(
    member: &RoleName,
    role: &RoleName,
    wanted: MembershipOptions,
    rows: &[&InspectedMembership],
    changes: &mut Changes,
) {
    let (admin, exists) = (rows.iter().any(|row| row.options.admin), !rows.is_empty());
    let (role_sql, member_sql) = (identifier(role), identifier(member));
    if !exists || (wanted.admin && !admin) {
        let option = if wanted.admin { " WITH ADMIN OPTION" } else { "" };
        changes
            .granted
            .push(format!("GRANT {role_sql} TO {member_sql}{option}"));
        changes.joined.push(role.clone());
    } else if admin && !wanted.admin {
        changes
            .revoked
            .push(format!("REVOKE ADMIN OPTION FOR {role_sql} FROM {member_sql}"));
        changes.left.push(role.clone());
    }
}

/// What is too much is taken from each grant, then the provisioner's own gives what is missing.
fn settle(
    scene: &Scene<'_>,
    member: &RoleName,
    role: &RoleName,
    wanted: MembershipOptions,
    rows: &[&InspectedMembership],
    changes: &mut Changes,
    draft: &mut Draft,
) {
    let before = changes.revoked.len();
    for row in rows {
        for (option, too_much) in beyond(role, row.options, wanted) {
            if !too_much {
                continue;
            }
            let statement = statement(&format!("{option} OPTION FOR "), member, row, scene);
            match may_change(scene, row) {
                true => changes.revoked.push(statement),
                false => draft.note(format!(
                    "{} is a member of {} with {option} by a grant of {}, who alone can take it back: {statement}",
                    shown(member),
                    shown(role),
                    shown(&row.grantor)
                )),
            }
        }
    }
    if changes.revoked.len() > before {
        changes.left.push(role.clone());
    }
    let has = |option: fn(&MembershipOptions) -> bool| {
        !option(&wanted) || rows.iter().any(|row| option(&row.options))
    };
    let enough = !rows.is_empty() && has(|o| o.admin) && has(|o| o.inherit) && has(|o| o.set);
    if !enough {
        changes.granted.push(format!(
            "GRANT {} TO {} WITH ADMIN {}, INHERIT {}, SET {}",
            identifier(role),
            identifier(member),
            on(wanted.admin),
            on(wanted.inherit),
            on(wanted.set)
        ));
        changes.joined.push(role.clone());
    }
}

/// `rds_iam` has no privileges to inherit and owns nothing: with it only ADMIN is too much.
fn beyond(role: &RoleName, found: MembershipOptions, wanted: MembershipOptions) -> [(&'static str, bool); 3] {
    let matters = role.as_str() != RDS_IAM;
    [
        ("ADMIN", found.admin && !wanted.admin),
        ("INHERIT", matters && found.inherit && !wanted.inherit),
        ("SET", matters && found.set && !wanted.set),
    ]
}

fn on(option: bool) -> &'static str {
    if option { "TRUE" } else { "FALSE" }
}

/// Roles of others that are members of managed ones: theirs, so they are left alone, but worth knowing.
fn note_others(scene: &Scene<'_>, draft: &mut Draft) {
    for (name, role) in &scene.found.roles {
        let is_known = scene.is_provisioner(name) || scene.wanted.break_glass.contains(name);
        if scene.is_managed(name) || is_known || role.superuser {
            continue;
        }
        let may_act = |row: &&InspectedMembership| {
            let is_ours = scene.is_wanted(&row.role) || scene.is_provisioner(&row.role);
            is_ours && is_of_weight(&scene.found, name, row)
        };
        let roles: BTreeSet<_> = role
            .member_of
            .iter()
            .filter(may_act)
            .map(|row| &row.role)
            .collect();
        if !roles.is_empty() {
            draft.note(format!(
                "{}, which is not managed, is a member of {}",
                shown(name),
                some(roles)
            ));
        }
    }
}
