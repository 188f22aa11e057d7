//! Roles that carry the mark and that the manifest no longer declares.
//!
//! First nobody can be them any more, then what they own goes to the owner of the database it is in, then they are dropped.

use super::draft::{Draft, Phase, Place, Power};
use super::inside::DATABASE_OWNER;
use super::scene::Scene;
use super::text::{shown, some};
use crate::provision::inspected::{InspectedDatabase, InspectedRole};
use crate::provision::name::{Database, RDS_IAM, RoleName};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Privilege};
use std::collections::BTreeSet;

/// Roles that carry the mark and are not declared.
#[derive(Debug, Default)]
pub struct Undeclared {
    /// Dropped.
    pub leaving: BTreeSet<RoleName>,
    /// Something of others' holds them: they stay, and nobody can be them.
    pub staying: BTreeSet<RoleName>,
}

/// Which roles are dropped; of those that should be and cannot, a note says why.
pub fn undeclared(scene: &Scene<'_>, draft: &mut Draft) -> Undeclared {
    let mut undeclared = Undeclared::default();
    for (name, role) in &scene.found.roles {
        if !role.marked || scene.is_wanted(name) || owns(scene, name) {
            continue;
        }
        let untouchable = untouchable(scene, name, role);
        let why = untouchable.clone().or_else(|| held(scene, name));
        if let Some(why) = &why {
            draft.note(format!(
                "{} is no longer declared, but not dropped: {why}",
                shown(name)
            ));
        }
        match (untouchable, why) {
            (Some(_), _) => false,
            (None, Some(_)) => undeclared.staying.insert(name.clone()),
            (None, None) => undeclared.leaving.insert(name.clone()),
        };
    }
    undeclared
}

fn owns(scene: &Scene<'_>, role: &RoleName) -> bool {
    let mut databases = scene.wanted.databases.values();
    databases.any(|database| {
        database.owner == *role || database.schemas.values().any(|schema| schema.owner == *role)
    })
}

/// Why nothing at all is done to a role.
fn untouchable(scene: &Scene<'_>, name: &RoleName, role: &InspectedRole) -> Option<String> {
    if scene.is_provisioner(name) {
        return Some("it is the provisioner".to_owned());
    }
    if scene.wanted.break_glass.contains(name) {
        return Some("it is a break-glass user".to_owned());
    }
    if scene.is_out_of_reach(role) {
        return Some("only a superuser may drop it".to_owned());
    }
    if !scene.administers(name) {
        return Some(format!(
            "{} does not have ADMIN on it",
            shown(&scene.server.provisioner)
        ));
    }
    None
}

/// What has to go first, and is not the provisioner's to take away.
fn held(scene: &Scene<'_>, name: &RoleName) -> Option<String> {
    let places = scene.found.dependencies.get(name).into_iter().flatten().flatten();
    let closed: Vec<_> = places.filter(|database| !may_enter(scene, database)).collect();
    if !closed.is_empty() {
        return Some(format!(
            "it owns something or has privileges where the provisioner cannot connect, in {}",
            some(closed)
        ));
    }
    let givers = given_on(scene, name);
    if !givers.is_empty() {
        return Some(format!(
            "{} gave privileges on to it, and alone can take them back",
            some(givers)
        ));
    }
    let foreign: Vec<_> = gave(scene, name)
        .into_iter()
        .filter(|owner| !scene.may_act_as(owner))
        .collect();
    (!foreign.is_empty()).then(|| {
        format!(
            "it has privileges on what belongs to {}, who must revoke them",
            some(foreign)
        )
    })
}

/// Who gave it privileges by a grant option, as far as that was looked into.
fn given_on<'s>(scene: &'s Scene<'_>, name: &RoleName) -> BTreeSet<&'s RoleName> {
    let contents = scene.found.databases.values().flat_map(|database| &database.contents);
    let given = contents.flat_map(|contents| &contents.given_on);
    let to_it = given.filter(|(giver, to)| {
        matches!(to, Grantee::Role(role) if role == name) && !scene.leaving.contains(giver)
    });
    to_it.map(|(giver, _)| giver).collect()
}

/// Owners of what it has privileges on, before this plan and after it: `DROP OWNED` needs to act for them.
fn gave(scene: &Scene<'_>, name: &RoleName) -> BTreeSet<RoleName> {
    let mut owners = BTreeSet::new();
    for (place, owner) in scene.found.creditors.get(name).into_iter().flatten() {
        let owner = match place.as_ref().and_then(|place| owner_of(scene, place)) {
            Some(of_database) if owner.as_str() == DATABASE_OWNER => of_database,
            _ => owner,
        };
        owners.extend((owner != name).then(|| owner.clone()));
    }
    let to = Grantee::Role(name.clone());
    for (database, found) in &scene.found.databases {
        let owner = owner_of(scene, database).unwrap_or(&found.owner);
        let mut add = |grants: &Grants, by: &RoleName| {
            if by != name && grants.contains_key(&to) {
                let by = if by.as_str() == DATABASE_OWNER { owner } else { by };
                owners.insert(by.clone());
            }
        };
        add(&found.grants, owner);
        for schema in found
            .contents
            .iter()
            .flat_map(|contents| contents.schemas.values())
        {
            add(&schema.grants, &schema.owner);
            schema
                .objects
                .values()
                .for_each(|object| add(&object.grants, &object.owner));
        }
    }
    owners
}

/// When the plan has run.
fn owner_of<'s>(scene: &'s Scene<'_>, database: &Database) -> Option<&'s RoleName> {
    let wanted = scene.wanted.databases.get(database).map(|wanted| &wanted.owner);
    wanted.or_else(|| scene.found.databases.get(database).map(|found| &found.owner))
}

/// Whether the provisioner can connect there, now or once this plan has let it.
fn may_enter(scene: &Scene<'_>, name: &Database) -> bool {
    let Some(database) = scene.found.databases.get(name) else {
        return false;
    };
    let allows = |(grantee, privileges): (&Grantee, &BTreeSet<Privilege>)| {
        let ours = match grantee {
            Grantee::Public => true,
            Grantee::Role(role) => scene.acts_for(role),
        };
        ours && privileges.contains(&Privilege::Connect)
    };
    scene.wanted.databases.contains_key(name)
        || scene.acts_for(&database.owner)
        || database.grants.iter().any(allows)
}

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
