//! Databases: made, handed to their owners, and who may enter them.

use super::difference::{Difference, Thing};
use super::draft::{Draft, Phase, Place, Power};
use super::inside::{self, Site};
use super::obstacle::Obstacle;
use super::scene::Scene;
use super::text::{shown, some};
use crate::provision::inspected::InspectedDatabase;
use crate::provision::name::{Database, RoleName};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Privilege, WantedDatabase};
use std::collections::{BTreeMap, BTreeSet};

pub fn plan(scene: &Scene<'_>, draft: &mut Draft) {
    for (name, wanted) in &scene.wanted.databases {
        if !owners_exist(scene, name, wanted, draft) {
            continue;
        }
        match scene.found.databases.get(name) {
            None if scene.found.closed.contains(name) => draft.obstacle(Obstacle::Closed {
                database: name.to_string(),
            }),
            None => {
                let made = create(scene, name, draft);
                settle(scene, name, wanted, &made, true, draft);
            }
            Some(found) => settle(scene, name, wanted, found, false, draft),
        }
    }
    for (name, found) in &scene.found.databases {
        if !scene.wanted.databases.contains_key(name) {
            leave(scene, name, found, draft);
        }
    }
}

fn owners_exist(scene: &Scene<'_>, name: &Database, wanted: &WantedDatabase, draft: &mut Draft) -> bool {
    let owners: BTreeSet<_> = wanted
        .schemas
        .values()
        .map(|schema| &schema.owner)
        .chain([&wanted.owner])
        .collect();
    let missing: Vec<_> = owners
        .into_iter()
        .filter(|owner| !scene.will_exist(owner))
        .collect();
    for owner in &missing {
        draft.obstacle(Obstacle::NoSuchRole {
            role: owner.to_string(),
            needed_by: format!("database {}", shown(name)),
        });
    }
    missing.is_empty()
}

/// Everything else by ALTER, as if it had been there: what breaks in between is mended by the same steps.
fn create(scene: &Scene<'_>, name: &Database, draft: &mut Draft) -> InspectedDatabase {
    let title = format!("create database {}", shown(name));
    let statement = format!("CREATE DATABASE {}", identifier(name));
    draft.step(
        Phase::CreateDatabase,
        StepKind::Alone,
        &Place::cluster(),
        title,
        vec![statement],
    );
    let everybody = BTreeSet::from([Privilege::Connect, Privilege::Temporary]);
    InspectedDatabase {
        owner: scene.server.provisioner.clone(),
        connection_limit: None,
        grants: BTreeMap::from([(Grantee::Public, everybody)]),
        contents: Some(inside::of_new_database(scene)),
    }
}

fn settle(
    scene: &Scene<'_>,
    name: &Database,
    wanted: &WantedDatabase,
    found: &InspectedDatabase,
    is_new: bool,
    draft: &mut Draft,
) {
    hand_over(scene, name, wanted, found, is_new, draft);
    let shown = format!("database {}", shown(name));
    let grants = handed_over(&found.grants, &found.owner, &wanted.owner);
    let change = Difference::new(scene, &access(scene, wanted), &grants, &wanted.owner);
    let mut first = Vec::new();
    if wanted.connection_limit != found.connection_limit {
        let limit = wanted
            .connection_limit
            .map_or("-1".to_owned(), |limit| limit.to_string());
        first.push(format!(
            "ALTER DATABASE {} CONNECTION LIMIT {limit}",
            identifier(name)
        ));
    }
    if !first.is_empty() || !change.is_empty() {
        let as_role = draft.act_as(scene, &wanted.owner, &shown);
        let place = Place {
            database: None,
            as_role,
        };
        let thing = Thing {
            phase: Phase::Database,
            place: &place,
            on: format!("DATABASE {}", identifier(name)),
            shown,
            is_new,
        };
        thing.write(scene, &grants, first, change, draft);
    }
    match &found.contents {
        None => draft.obstacle(Obstacle::unseen(name, &scene.server.provisioner)),
        Some(contents) => inside::plan(
            scene,
            &Site {
                name,
                wanted,
                contents,
                is_new,
            },
            draft,
        ),
    }
}

fn hand_over(
    scene: &Scene<'_>,
    name: &Database,
    wanted: &WantedDatabase,
    found: &InspectedDatabase,
    is_new: bool,
    draft: &mut Draft,
) {
    if found.owner == wanted.owner {
        return;
    }
    let owned = format!("database {}", shown(name));
    draft.borrow(scene, &found.owner, Power::Inherit, &owned);
    draft.borrow(scene, &wanted.owner, Power::Set, &owned);
    if !scene.creates_databases() {
        let provisioner = scene.server.provisioner.to_string();
        draft.obstacle(Obstacle::MayNotCreateDatabases { provisioner });
    }
    let own = is_new || scene.is_provisioner(&found.owner);
    let kind = if own {
        StepKind::Ordinary
    } else {
        StepKind::Destructive
    };
    let from = if own {
        String::new()
    } else {
        format!(", taken from {}", self::shown(&found.owner))
    };
    let title = format!(
        "give database {} to {}{from}",
        self::shown(name),
        self::shown(&wanted.owner)
    );
    let statement = format!(
        "ALTER DATABASE {} OWNER TO {}",
        identifier(name),
        identifier(&wanted.owner)
    );
    draft.step(Phase::Database, kind, &Place::cluster(), title, vec![statement]);
}

/// What stands in the privileges of the old owner becomes the new one's (`aclnewowner` in PostgreSQL).
pub fn handed_over(grants: &Grants, old: &RoleName, new: &RoleName) -> Grants {
    let mut grants = grants.clone();
    if old != new {
        grants.remove(&Grantee::Role(old.clone()));
    }
    grants
}

/// Whoever administers must be able to come in when PUBLIC no longer can.
fn access(scene: &Scene<'_>, wanted: &WantedDatabase) -> Grants {
    let mut grants = wanted.grants.clone();
    let provisioner = std::iter::once(&scene.server.provisioner);
    for role in provisioner.chain(&scene.wanted.break_glass) {
        if scene.found.roles.get(role).is_some_and(|role| !role.superuser) {
            grants
                .entry(Grantee::Role(role.clone()))
                .or_default()
                .insert(Privilege::Connect);
        }
    }
    grants
}

/// A database that is not, or no longer, in the manifest: managed roles have nothing there.
fn leave(scene: &Scene<'_>, name: &Database, found: &InspectedDatabase, draft: &mut Draft) {
    let change = Difference::new(scene, &Grants::new(), &found.grants, &found.owner).without_public();
    if change.is_empty() {
        return;
    }
    let on = format!("DATABASE {}", identifier(name));
    let shown = format!("database {}", shown(name));
    if !scene.is_provisioner(&found.owner) && !scene.is_managed(&found.owner) {
        return draft.note(format!(
            "{shown} is not in the manifest; its owner {} can take managed roles' access to it: {}",
            some([&found.owner]),
            change.taken_sql(&on).join("; ")
        ));
    }
    let as_role = draft.act_as(scene, &found.owner, &shown);
    let place = Place {
        database: None,
        as_role,
    };
    let thing = Thing {
        phase: Phase::Database,
        place: &place,
        on,
        shown,
        is_new: false,
    };
    thing.write(scene, &found.grants, Vec::new(), change, draft);
}
