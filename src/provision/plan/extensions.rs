//! Extensions: created, never dropped.

use super::difference::inside;
use super::draft::{Draft, Phase, Power};
use super::inside::Site;
use super::obstacle::Obstacle;
use super::scene::Scene;
use super::text::shown;
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::Need;

pub fn plan(scene: &Scene<'_>, site: &Site<'_>, draft: &mut Draft) {
    for (name, need) in &site.wanted.extensions {
        if site.contents.extensions.contains(name) {
            continue;
        }
        match scene.server.available_extensions.get(name) {
            None => missing(site, name, *need, draft),
            Some(true) => create(scene, site, name, true, draft),
            Some(false) if scene.creates_untrusted_extensions() => create(scene, site, name, false, draft),
            Some(false) => not_trusted(site, name, *need, draft),
        }
    }
}

/// Trusted ones belong to the owner of the database, who may then drop and update them.
fn create(scene: &Scene<'_>, site: &Site<'_>, name: &str, trusted: bool, draft: &mut Draft) {
    let owned = format!("database {}", shown(site.name));
    let as_role = match trusted {
        true => draft.act_as(scene, &site.wanted.owner, &owned),
        false => {
            draft.borrow(scene, &site.wanted.owner, Power::Inherit, &owned);
            None
        }
    };
    let title = format!("create {}", inside("extension", name, site.name));
    let statement = format!("CREATE EXTENSION {}", identifier(name));
    draft.step(
        Phase::Inside,
        StepKind::Ordinary,
        &site.place(as_role),
        title,
        vec![statement],
    );
}

fn missing(site: &Site<'_>, name: &str, need: Need, draft: &mut Draft) {
    match need {
        Need::Required => draft.obstacle(Obstacle::ExtensionMissing {
            database: site.name.to_string(),
            extension: name.to_owned(),
        }),
        Need::WhereAvailable => draft.note(format!(
            "{} is left out: the server does not have it",
            inside("extension", name, site.name)
        )),
    }
}

fn not_trusted(site: &Site<'_>, name: &str, need: Need, draft: &mut Draft) {
    match need {
        Need::Required => draft.obstacle(Obstacle::ExtensionNotTrusted {
            database: site.name.to_string(),
            extension: name.to_owned(),
        }),
        Need::WhereAvailable => draft.note(format!(
            "{} is left out: it is not a trusted one; an administrator may run there: CREATE EXTENSION {}",
            inside("extension", name, site.name),
            identifier(name)
        )),
    }
}
