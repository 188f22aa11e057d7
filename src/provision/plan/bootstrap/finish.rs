//! What is left when the provisioner has done what it can.

use super::super::draft::Draft;
use super::super::inside::{self, Site};
use super::super::obstacle::Obstacle;
use super::super::scene::Scene;
use super::super::text::shown;
use crate::provision::inspected::Inspected;
use crate::provision::name::SchemaName;
use crate::provision::sql::identifier;
use crate::provision::step::{Plan, Step, StepKind};
use crate::provision::wanted::{Grantee, Need, Privilege, Wanted};

/// What is wanted, without the extensions that only an administrator can create.
pub fn without_untrusted(wanted: &Wanted, inspected: &Inspected) -> Wanted {
    let mut wanted = wanted.clone();
    let trusted = &inspected.server.available_extensions;
    for database in wanted.databases.values_mut() {
        database
            .extensions
            .retain(|name, _| trusted.get(name) != Some(&false));
    }
    wanted
}

/// The steps of the administrator, who has `inspected`: also before there are any databases.
pub fn finish(wanted: &Wanted, inspected: &Inspected) -> Result<Plan, Vec<Obstacle>> {
    let scene = Scene::new(wanted, inspected, &mut Draft::default());
    let (mut plan, mut obstacles) = (Plan::default(), Vec::new());
    let new = inside::of_new_database(&scene);
    for (name, wanted) in &wanted.databases {
        let found = scene.found.databases.get(name);
        let contents = found.map_or(Some(&new), |found| found.contents.as_ref());
        let Some(contents) = contents else {
            // Whoever may not come in need not, where there is nothing for it to do.
            if wanted.extensions.keys().any(|name| is_untrusted(&scene, name)) {
                obstacles.push(Obstacle::unseen(name, &scene.server.provisioner));
            }
            continue;
        };
        let site = Site {
            name,
            wanted,
            contents,
            is_new: found.is_none(),
        };
        extensions(&scene, &site, &mut plan, &mut obstacles);
        public(&scene, &site, &mut plan);
    }
    match obstacles.is_empty() {
        true => Ok(plan),
        false => Err(obstacles),
    }
}

fn is_untrusted(scene: &Scene<'_>, extension: &str) -> bool {
    scene.server.available_extensions.get(extension) == Some(&false)
}

fn extensions(scene: &Scene<'_>, site: &Site<'_>, plan: &mut Plan, obstacles: &mut Vec<Obstacle>) {
    for (name, need) in &site.wanted.extensions {
        if site.contents.extensions.contains(name) || !is_untrusted(scene, name) {
            continue;
        }
        if !scene.creates_untrusted_extensions() {
            match need {
                Need::WhereAvailable => plan.notes.push(format!(
                    "extension {} in database {} is left out: {} may not create it",
                    shown(name),
                    shown(site.name),
                    shown(&scene.server.provisioner)
                )),
                Need::Required => obstacles.push(Obstacle::ExtensionNotTrusted {
                    database: site.name.to_string(),
                    extension: name.clone(),
                }),
            }
            continue;
        }
        plan.steps.push(step(
            site,
            format!("create extension {}", shown(name)),
            format!("CREATE EXTENSION {}", identifier(name)),
        ));
    }
}

/// Until PostgreSQL 14 PUBLIC may create in the schema `public`, and only its owner can take that away.
fn public(scene: &Scene<'_>, site: &Site<'_>, plan: &mut Plan) {
    let Ok(name) = SchemaName::new("public") else {
        return;
    };
    let Some(found) = site.contents.schemas.get(&name) else {
        return;
    };
    let held = found.grants.get(&Grantee::Public);
    let creates = held.is_some_and(|held| held.contains(&Privilege::Create));
    let owns = scene.server.provisioner_is_superuser || scene.has(&found.owner, true);
    if creates && owns {
        plan.steps.push(step(
            site,
            "let nobody create in the schema \"public\" by being there".to_owned(),
            "REVOKE CREATE ON SCHEMA \"public\" FROM PUBLIC".to_owned(),
        ));
    }
}

fn step(site: &Site<'_>, title: String, statement: String) -> Step {
    Step {
        title,
        database: Some(site.name.clone()),
        as_role: None,
        statements: vec![statement],
        kind: StepKind::Ordinary,
    }
}
