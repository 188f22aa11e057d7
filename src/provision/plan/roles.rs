//! Roles themselves: made, adopted, and held to LOGIN, INHERIT and their limit.

use super::draft::{Draft, Phase, Place};
use super::obstacle::Obstacle;
use super::scene::Scene;
use super::text::shown;
use crate::provision::inspected::{InspectedRole, MARK};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::sql::{identifier, literal};
use crate::provision::step::StepKind;
use crate::provision::wanted::WantedRole;

pub fn plan(scene: &Scene<'_>, draft: &mut Draft) {
    for (name, wanted) in &scene.wanted.roles {
        if scene.is_provisioner(name) || wanted.was.as_ref().is_some_and(|was| scene.is_provisioner(was)) {
            draft.obstacle(Obstacle::ManagesItself {
                role: name.to_string(),
            });
            continue;
        }
        match scene.found.roles.get(name) {
            None => create(name, wanted, draft),
            Some(found) if scene.is_out_of_reach(found) => note_powers(name, found, draft),
            Some(found) => {
                adopt(scene, name, wanted, found, draft);
                forget_password(scene, name, wanted, found, draft);
                alter(scene, name, wanted, found, draft);
                note_powers(name, found, draft);
            }
        }
    }
}

/// `db user "app"`, `db role "app_rw"`.
fn described(name: &RoleName, login: bool) -> String {
    match login {
        true => format!("db user {}", shown(name)),
        false => format!("db role {}", shown(name)),
    }
}

fn mark(name: &RoleName) -> String {
    format!("COMMENT ON ROLE {} IS {}", identifier(name), literal(MARK))
}

/// Powers that are not asked for need not be denied: a role is made without them, and who names one needs to hold it.
fn create(name: &RoleName, wanted: &WantedRole, draft: &mut Draft) {
    let login = if wanted.login { "LOGIN" } else { "NOLOGIN" };
    let mut statement = format!("CREATE ROLE {} {login}", identifier(name));
    if let Some(limit) = wanted.connection_limit {
        statement.push_str(&format!(" CONNECTION LIMIT {limit}"));
    }
    let title = format!("create {}", described(name, wanted.login));
    let statements = vec![statement, mark(name)];
    draft.step(
        Phase::Create,
        StepKind::Ordinary,
        &Place::cluster(),
        title,
        statements,
    );
}

/// A password that IAM takes the place of is gone for good, so that no later revocation of `rds_iam` brings it back.
fn adopt(scene: &Scene<'_>, name: &RoleName, wanted: &WantedRole, found: &InspectedRole, draft: &mut Draft) {
    if found.marked {
        return;
    }
    draft.administer(scene, name);
    let mut statements = vec![mark(name)];
    let mut title = format!("adopt {}, which exists already", described(name, wanted.login));
    let mut kind = StepKind::Ordinary;
    if is_by_iam(wanted) {
        statements.push(without_password(name));
        title.push_str("; its password is removed");
        if found.login && !was_by_iam(found) {
            kind = StepKind::Destructive;
        }
    }
    draft.step(Phase::Adopt, kind, &Place::cluster(), title, statements);
}

/// The same of a db user that comes back to IAM: while it was not by IAM it may have been given one.
fn forget_password(
    scene: &Scene<'_>,
    name: &RoleName,
    wanted: &WantedRole,
    found: &InspectedRole,
    draft: &mut Draft,
) {
    if !found.marked || !is_by_iam(wanted) || was_by_iam(found) {
        return;
    }
    draft.administer(scene, name);
    let title = format!("remove the password of {}", described(name, wanted.login));
    let kind = if found.login {
        StepKind::Destructive
    } else {
        StepKind::Ordinary
    };
    draft.step(
        Phase::Adopt,
        kind,
        &Place::cluster(),
        title,
        vec![without_password(name)],
    );
}

fn is_by_iam(wanted: &WantedRole) -> bool {
    wanted.member_of.keys().any(|role| role.as_str() == RDS_IAM)
}

fn was_by_iam(found: &InspectedRole) -> bool {
    found.member_of.iter().any(|row| row.role.as_str() == RDS_IAM)
}

fn without_password(name: &RoleName) -> String {
    format!("ALTER ROLE {} PASSWORD NULL", identifier(name))
}

fn alter(scene: &Scene<'_>, name: &RoleName, wanted: &WantedRole, found: &InspectedRole, draft: &mut Draft) {
    let mut given = Vec::new();
    if wanted.login && !found.login {
        given.push("LOGIN".to_owned());
    }
    if !found.inherit {
        given.push("INHERIT".to_owned());
    }
    if wanted.connection_limit != found.connection_limit {
        let limit = wanted
            .connection_limit
            .map_or("-1".to_owned(), |limit| limit.to_string());
        given.push(format!("CONNECTION LIMIT {limit}"));
    }
    let mut taken = Vec::new();
    if !wanted.login && found.login {
        taken.push("NOLOGIN".to_owned());
    }
    if found.create_role {
        taken.push("NOCREATEROLE".to_owned());
    }
    // Since PostgreSQL 16 only who has CREATEDB may take it away.
    if found.create_db && (scene.creates_databases() || !scene.server.has_membership_options()) {
        taken.push("NOCREATEDB".to_owned());
    } else if found.create_db {
        note_power(name, "CREATEDB", "who has CREATEDB", draft);
    }
    for (kind, attributes) in [(StepKind::Ordinary, given), (StepKind::Destructive, taken)] {
        if attributes.is_empty() {
            continue;
        }
        draft.administer(scene, name);
        let attributes = attributes.join(" ");
        let title = format!("change {}: {attributes}", described(name, wanted.login));
        let statement = format!("ALTER ROLE {} {attributes}", identifier(name));
        draft.step(Phase::Alter, kind, &Place::cluster(), title, vec![statement]);
    }
}

fn note_powers(name: &RoleName, found: &InspectedRole, draft: &mut Draft) {
    let powers = [
        (found.superuser, "SUPERUSER"),
        (found.replication, "REPLICATION"),
        (found.bypass_rls, "BYPASSRLS"),
    ];
    for (_, power) in powers.iter().filter(|(has, _)| *has) {
        note_power(name, power, "a superuser", draft);
    }
}

fn note_power(name: &RoleName, power: &str, who: &str, draft: &mut Draft) {
    draft.note(format!(
        "{} has {power}, which only {who} may take away: ALTER ROLE {} NO{power}",
        shown(name),
        identifier(name)
    ));
}
