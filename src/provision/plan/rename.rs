//! Roles that get another name, and the catalogs as they will read then.

use super::draft::{Draft, Phase, Place};
use super::text::shown;
use crate::provision::inspected::{Inspected, InspectedDatabase, InspectedSchema};
use crate::provision::name::RoleName;
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Kind, Wanted};
use std::collections::BTreeMap;

/// Plans the renames; returns what is found when they are done, and the new names.
pub fn plan(wanted: &Wanted, inspected: &Inspected, draft: &mut Draft) -> (Inspected, Vec<RoleName>) {
    let mut found = inspected.clone();
    let mut names = Vec::new();
    for (name, role) in &wanted.roles {
        let Some(was) = &role.was else { continue };
        if !found.roles.contains_key(was) || was == name {
            if !found.roles.contains_key(name) {
                draft.note(format!(
                    "there is no role {} to be renamed to {}, which is made anew",
                    shown(was),
                    shown(name)
                ));
            }
            continue;
        }
        if found.roles.contains_key(name) || wanted.roles.contains_key(was) {
            draft.note(format!(
                "{} is not renamed to {}: both names are in use",
                shown(was),
                shown(name)
            ));
            continue;
        }
        if wanted.break_glass.contains(was) || *was == found.server.provisioner {
            draft.note(format!("{} is not renamed: it is how to get in", shown(was)));
            continue;
        }
        let title = format!("rename {} to {}", shown(was), shown(name));
        let statement = format!("ALTER ROLE {} RENAME TO {}", identifier(was), identifier(name));
        draft.step(
            Phase::Rename,
            StepKind::Ordinary,
            &Place::cluster(),
            title,
            vec![statement],
        );
        renamed(&mut found, was, name);
        names.push(name.clone());
    }
    (found, names)
}

fn renamed(found: &mut Inspected, was: &RoleName, name: &RoleName) {
    let change = |role: &mut RoleName| {
        if role == was {
            role.clone_from(name);
        }
    };
    if let Some(role) = found.roles.remove(was) {
        found.roles.insert(name.clone(), role);
    }
    for membership in found.roles.values_mut().flat_map(|role| &mut role.member_of) {
        change(&mut membership.role);
        change(&mut membership.grantor);
    }
    for database in found.databases.values_mut() {
        in_database(database, &change, was, name);
    }
    if let Some(places) = found.dependencies.remove(was) {
        found.dependencies.insert(name.clone(), places);
    }
    if let Some(owners) = found.creditors.remove(was) {
        found.creditors.insert(name.clone(), owners);
    }
    for owners in found.creditors.values_mut() {
        let known = std::mem::take(owners).into_iter();
        *owners = known
            .map(|(place, mut owner)| {
                change(&mut owner);
                (place, owner)
            })
            .collect();
    }
}

fn in_database(
    database: &mut InspectedDatabase,
    change: &impl Fn(&mut RoleName),
    was: &RoleName,
    name: &RoleName,
) {
    change(&mut database.owner);
    in_grants(&mut database.grants, was, name);
    if let Some(contents) = &mut database.contents {
        let known = std::mem::take(&mut contents.given_on).into_iter();
        contents.given_on = known
            .map(|(mut giver, mut to)| {
                change(&mut giver);
                if let Grantee::Role(role) = &mut to {
                    change(role);
                }
                (giver, to)
            })
            .collect();
    }
    if let Some(contents) = &mut database.contents {
        in_defaults(&mut contents.defaults, change, was, name);
    }
    let schemas = database
        .contents
        .iter_mut()
        .flat_map(|contents| contents.schemas.values_mut());
    for schema in schemas {
        in_schema(schema, change, was, name);
    }
}

fn in_schema(schema: &mut InspectedSchema, change: &impl Fn(&mut RoleName), was: &RoleName, name: &RoleName) {
    change(&mut schema.owner);
    in_grants(&mut schema.grants, was, name);
    for object in schema.objects.values_mut() {
        change(&mut object.owner);
        in_grants(&mut object.grants, was, name);
    }
    in_defaults(&mut schema.defaults, change, was, name);
}

fn in_defaults(
    defaults: &mut BTreeMap<(RoleName, Kind), Grants>,
    change: &impl Fn(&mut RoleName),
    was: &RoleName,
    name: &RoleName,
) {
    let known = std::mem::take(defaults).into_iter();
    *defaults = known
        .map(|((mut role, kind), mut grants)| {
            change(&mut role);
            in_grants(&mut grants, was, name);
            ((role, kind), grants)
        })
        .collect();
}

fn in_grants(grants: &mut Grants, was: &RoleName, name: &RoleName) {
    if let Some(privileges) = grants.remove(&Grantee::Role(was.clone())) {
        grants.insert(Grantee::Role(name.clone()), privileges);
    }
}
