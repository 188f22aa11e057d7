//! Which roles can be dropped, and what holds the others.

use crate::provision::inspected::InspectedRole;
use crate::provision::name::{Database, RoleName};
use crate::provision::plan::draft::Draft;
use crate::provision::plan::inside::DATABASE_OWNER;
use crate::provision::plan::scene::Scene;
use crate::provision::plan::text::{shown, some};
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
    let abroad = owns_abroad(scene, name);
    if !abroad.is_empty() {
        return Some(format!(
            "it owns something in {}, which is not in the manifest: whoever administers it may reassign that",
            some(abroad)
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

/// Databases of others: whoever is to own schemas and functions there must be let create them first.
fn owns_abroad<'s>(scene: &'s Scene<'_>, name: &RoleName) -> BTreeSet<&'s Database> {
    let known = scene.found.creditors.get(name).into_iter().flatten();
    let own = known.filter_map(|(place, owner)| place.as_ref().filter(|_| owner == name));
    let abroad = own.filter(|place| {
        let of = scene.found.databases.get(*place).map(|found| &found.owner);
        !scene.wanted.databases.contains_key(*place) && of.is_none_or(|of| of != name && !scene.acts_for(of))
    });
    abroad.collect()
}

/// Who gave it privileges by a grant option, as far as that was looked into.
fn given_on<'s>(scene: &'s Scene<'_>, name: &RoleName) -> BTreeSet<&'s RoleName> {
    let contents = scene
        .found
        .databases
        .values()
        .flat_map(|database| &database.contents);
    let given = contents.flat_map(|contents| &contents.given_on);
    let to_it = given.filter(|(giver, to)| {
        matches!(to, Grantee::Role(role) if role == name) && !scene.leaving.contains(giver)
    });
    to_it.map(|(giver, _)| giver).collect()
}

/// Owners of what it has privileges on, before this plan and after it: `DROP OWNED` needs to act for them.
pub fn gave(scene: &Scene<'_>, name: &RoleName) -> BTreeSet<RoleName> {
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
