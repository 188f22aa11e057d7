//! Privileges on objects to come: default privileges of the owner in a schema, and none that hold in all of them.
//!
//! In a schema they can only add to what PostgreSQL gives by itself, so PUBLIC's EXECUTE on functions is out of their reach
//! and never planned (PostgreSQL manual, "ALTER DEFAULT PRIVILEGES").

use super::difference::{Difference, inside};
use super::draft::{Draft, Phase};
use super::inside::Site;
use super::objects::Corner;
use super::scene::Scene;
use super::text::{all_of, grantee, privileges, shown, some};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Kind};

pub fn plan(scene: &Scene<'_>, corner: &Corner<'_>, draft: &mut Draft) {
    let place = inside("schema", corner.name, corner.site.name);
    let in_schema = format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {}", identifier(corner.name));
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let change = difference(scene, corner, kind);
        change.judge(scene, &place, draft);
        let objects = all_of(kind);
        given.extend(change.given.iter().map(|(to, what)| {
            format!(
                "{in_schema} GRANT {} ON {objects} TO {}",
                privileges(what),
                grantee(to)
            )
        }));
        taken.extend(change.taken.iter().map(|(from, what)| {
            format!(
                "{in_schema} REVOKE {} ON {objects} FROM {}",
                privileges(what),
                grantee(from)
            )
        }));
    }
    if !given.is_empty() || !taken.is_empty() {
        let as_role = draft.act_as(scene, corner.owner, &place);
        let at = corner.site.place(as_role);
        let title = format!(
            "privileges on what {} will create in {place}",
            shown(corner.owner)
        );
        draft.step(Phase::Inside, StepKind::Ordinary, &at, title.clone(), given);
        draft.step(
            Phase::Inside,
            StepKind::Destructive,
            &at,
            format!("fewer {title}"),
            taken,
        );
    }
    note_others(scene, corner, &place, draft);
}

/// What owners give in whatever schema comes on top of what is wanted in each, so there is to be nothing of it.
pub fn plan_everywhere(scene: &Scene<'_>, site: &Site<'_>, draft: &mut Draft) {
    for owner in site.wanted.owners() {
        let mut taken = Vec::new();
        for kind in Kind::ALL {
            let Some(found) = site.contents.defaults.get(&(owner.clone(), kind)) else {
                continue;
            };
            let change = Difference::new(scene, &Grants::new(), found, owner);
            let change = match kind {
                Kind::Function => change.without_public(),
                Kind::Table | Kind::Sequence => change,
            };
            let on = all_of(kind);
            taken.extend(change.taken.iter().map(|(from, what)| {
                let (what, from) = (privileges(what), grantee(from));
                format!("ALTER DEFAULT PRIVILEGES REVOKE {what} ON {on} FROM {from}")
            }));
        }
        if !taken.is_empty() {
            let owned = format!("database {}", shown(site.name));
            let as_role = draft.act_as(scene, owner, &owned);
            let title = format!(
                "fewer privileges on what {} will create anywhere in {owned}",
                shown(owner)
            );
            let at = site.place(as_role);
            draft.step(Phase::Inside, StepKind::Destructive, &at, title, taken);
        }
    }
}

fn difference(scene: &Scene<'_>, corner: &Corner<'_>, kind: Kind) -> Difference {
    let none = Grants::new();
    let wanted = corner.wanted.on_all.get(&kind).unwrap_or(&none);
    let found = corner
        .found
        .defaults
        .get(&(corner.owner.clone(), kind))
        .unwrap_or(&none);
    let change = Difference::new(scene, wanted, found, corner.owner);
    match kind == Kind::Function || !corner.listed {
        true => change.without_public(),
        false => change,
    }
}

/// What others give managed roles of what they will create is theirs to take back.
fn note_others(scene: &Scene<'_>, corner: &Corner<'_>, place: &str, draft: &mut Draft) {
    for ((creator, kind), grants) in &corner.found.defaults {
        if creator == corner.owner || scene.leaving.contains(creator) {
            continue;
        }
        let managed = grants.keys().filter_map(|to| match to {
            Grantee::Role(role) if role != creator && scene.is_wanted(role) => Some(role),
            _ => None,
        });
        let managed: Vec<_> = managed.collect();
        if !managed.is_empty() {
            draft.note(format!(
                "{} that {} will create in {place} come with privileges for {}, by its own default privileges",
                all_of(*kind).to_lowercase(),
                shown(creator),
                some(managed)
            ));
        }
    }
}
