//! Roles that carry the mark and that the manifest no longer declares.
//!
//! First nobody can be them any more, then what they own goes to the owner of the database it is in, then they are dropped.

mod held;

use super::draft::{Draft, Phase, Place, Power};
use super::scene::Scene;
use super::text::shown;
use crate::provision::inspected::{InspectedDatabase, InspectedRole};
use crate::provision::name::{Database, RDS_IAM, RoleName};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use held::gave;
pub use held::undeclared;

pub fn plan(scene: &Scene<'_>, draft: &mut Draft) {
    for name in &scene.staying {
        if let Some(role) = scene.found.roles.get(name) {
            // Its memberships, all of them, are the affair of `memberships`.
            let statements = no_login(name, role);
            write_shut_out(name, statements, draft);
        }
    }
    for name in &scene.leaving {
        let Some(role) = scene.found.roles.get(name) else {
            continue;
        };
        shut_out(scene, name, role, draft);
        let places = scene.found.dependencies.get(name).cloned().unwrap_or_default();
        if !places.is_empty() {
            draft.borrow(scene, name, Power::Inherit, "what it leaves behind");
            for owner in gave(scene, name) {
                draft.borrow(scene, &owner, Power::Inherit, "what it has privileges on");
            }
        }
        databases(scene, name, draft);
        // What is outside comes last: its steps run in some database, where by then nothing must be left.
        let outside = places.contains(&None).then_some(None);
        for place in places
            .iter()
            .filter(|place| place.is_some())
            .map(Option::as_ref)
            .chain(outside)
        {
            pass_on(scene, name, place, draft);
        }
        let title = format!("drop {}", shown(name));
        let statement = format!("DROP ROLE {}", identifier(name));
        draft.step(
            Phase::DropRole,
            StepKind::Destructive,
            &Place::cluster(),
            title,
            vec![statement],
        );
    }
}

/// Before `rds_iam` is gone a password must be, or whoever knows it could log in for as long as the run takes.
fn no_login(name: &RoleName, role: &InspectedRole) -> Vec<String> {
    let statement = format!("ALTER ROLE {} NOLOGIN PASSWORD NULL", identifier(name));
    role.login.then_some(statement).into_iter().collect()
}

fn shut_out(scene: &Scene<'_>, name: &RoleName, role: &InspectedRole, draft: &mut Draft) {
    let mut statements = no_login(name, role);
    for row in role.member_of.iter().filter(|row| row.role.as_str() == RDS_IAM) {
        let revoke = format!("REVOKE {} FROM {}", identifier(&row.role), identifier(name));
        match scene.server.has_membership_options() {
            true if scene.acts_for(&row.grantor) => {
                statements.push(format!("{revoke} GRANTED BY {}", identifier(&row.grantor)));
            }
            true => {}
            false => statements.push(revoke),
        }
    }
    write_shut_out(name, statements, draft);
}

fn write_shut_out(name: &RoleName, statements: Vec<String>, draft: &mut Draft) {
    let title = format!("nobody logs in as {} any more", shown(name));
    draft.step(
        Phase::Revoke,
        StepKind::Destructive,
        &Place::cluster(),
        title,
        statements,
    );
}

/// Databases by name: `REASSIGN OWNED` would give them to whoever owns the database in which it runs first. Those of the
/// manifest have got their owner before.
fn databases(scene: &Scene<'_>, name: &RoleName, draft: &mut Draft) {
    let owned = |(database, found): &(&Database, &InspectedDatabase)| {
        found.owner == *name && !scene.wanted.databases.contains_key(*database)
    };
    for (database, _) in scene.found.databases.iter().filter(owned) {
        let provisioner = &scene.server.provisioner;
        let title = format!(
            "give database {} of {} to {}",
            shown(database),
            shown(name),
            shown(provisioner)
        );
        let statement = format!(
            "ALTER DATABASE {} OWNER TO {}",
            identifier(database),
            identifier(provisioner)
        );
        draft.step(
            Phase::Drop,
            StepKind::Destructive,
            &Place::cluster(),
            title,
            vec![statement],
        );
    }
}

/// `DROP OWNED` takes away the privileges that it has, once it owns nothing.
fn pass_on(scene: &Scene<'_>, name: &RoleName, place: Option<&Database>, draft: &mut Draft) {
    let owner = place
        .and_then(|database| scene.wanted.databases.get(database))
        .map(|database| &database.owner);
    let heir = owner.unwrap_or(&scene.server.provisioner);
    let there = match place {
        Some(database) => format!("in database {}", shown(database)),
        None => "outside of databases".to_owned(),
    };
    draft.borrow(scene, heir, Power::Inherit, &there);
    let title = format!(
        "what {} owns {there} goes to {}, its privileges are revoked",
        shown(name),
        shown(heir)
    );
    let statements = vec![
        format!("REASSIGN OWNED BY {} TO {}", identifier(name), identifier(heir)),
        format!("DROP OWNED BY {}", identifier(name)),
    ];
    let at = Place {
        database: place.cloned(),
        as_role: None,
    };
    draft.step(Phase::Drop, StepKind::Destructive, &at, title, statements);
}
