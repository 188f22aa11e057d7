//! Privileges on the objects of a schema that belong to its owner.

use super::difference::{Difference, grant, inside, revoke};
use super::draft::{Draft, Phase};
use super::inside::Site;
use super::obstacle::Obstacle;
use super::scene::Scene;
use super::text::{all_of, object, one_of, shown, some};
use crate::provision::inspected::{InspectedObject, InspectedSchema};
use crate::provision::name::{RoleName, SchemaName};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Kind, Privilege, WantedSchema};
use std::collections::{BTreeMap, BTreeSet};

/// Most names in one statement, so that a step can be read and its locks are taken in portions.
const NAMES_MAX: usize = 100;

/// One schema of one database.
pub struct Corner<'a> {
    pub site: &'a Site<'a>,
    pub name: &'a SchemaName,
    pub wanted: &'a WantedSchema,
    pub found: &'a InspectedSchema,
    /// Whose objects are managed.
    pub owner: &'a RoleName,
    /// In the manifest; if not, managed roles have nothing here, and PUBLIC is left alone.
    pub listed: bool,
}

/// The same privileges of the same grantee on many objects.
type Lists<'a> = BTreeMap<(Kind, BTreeSet<Privilege>, Grantee), Vec<&'a str>>;

#[derive(Default)]
struct Changes<'a> {
    given: Lists<'a>,
    taken: Lists<'a>,
}

pub fn plan(scene: &Scene<'_>, corner: &Corner<'_>, draft: &mut Draft) {
    let (mut own, mut inherited, mut foreign) = (Changes::default(), Changes::default(), BTreeMap::new());
    for ((kind, name), found) in &corner.found.objects {
        let heir = is_heir(scene, corner, found);
        let owner = if heir { corner.owner } else { &found.owner };
        let change = difference(scene, corner, *kind, name, found, owner);
        change.judge(scene, &inside("schema", corner.name, corner.site.name), draft);
        if change.is_empty() {
            continue;
        }
        match (heir, owner == corner.owner) {
            (true, _) => inherited.add(*kind, name, change),
            (false, true) => own.add(*kind, name, change),
            (false, false) => foreign
                .entry(&found.owner)
                .or_insert_with(Vec::new)
                .push(name.as_str()),
        }
    }
    for (owner, names) in foreign {
        let place = inside("schema", corner.name, corner.site.name);
        draft.note(format!(
            "privileges differ on {} in {place}, which belong to {} and not to {}",
            some(names),
            shown(owner),
            shown(corner.owner)
        ));
    }
    note_missing(corner, draft);
    write(scene, corner, &own, Phase::Inside, StepKind::Ordinary, draft);
    write(
        scene,
        corner,
        &inherited,
        Phase::Inherited,
        StepKind::Destructive,
        draft,
    );
}

/// Its owner is dropped, and the owner of the database gets it.
fn is_heir(scene: &Scene<'_>, corner: &Corner<'_>, found: &InspectedObject) -> bool {
    scene.leaving.contains(&found.owner) && *corner.owner == corner.site.wanted.owner
}

fn difference(
    scene: &Scene<'_>,
    corner: &Corner<'_>,
    kind: Kind,
    name: &str,
    found: &InspectedObject,
    owner: &RoleName,
) -> Difference {
    let change = Difference::new(scene, &wanted(corner.wanted, kind, name), &found.grants, owner);
    // Every function that is made can be executed by PUBLIC, and nothing in a schema's default privileges can change
    // that: to take it from those that are there would be no end. USAGE on the schema is what keeps others out.
    match kind == Kind::Function || !corner.listed {
        true => change.without_public(),
        false => change,
    }
}

fn wanted(schema: &WantedSchema, kind: Kind, name: &str) -> Grants {
    let mut grants = schema.on_all.get(&kind).cloned().unwrap_or_default();
    for (grantee, privileges) in schema.on_one.get(&(kind, name.to_owned())).into_iter().flatten() {
        grants.entry(grantee.clone()).or_default().extend(privileges);
    }
    grants
}

fn note_missing(corner: &Corner<'_>, draft: &mut Draft) {
    let place = inside("schema", corner.name, corner.site.name);
    for (kind, name) in corner.wanted.on_one.keys() {
        if object(corner.name, *kind, name).is_none() {
            draft.obstacle(Obstacle::Signature {
                what: place.clone(),
                name: name.clone(),
            });
        } else if !corner.found.objects.contains_key(&(*kind, name.clone())) {
            let kind = kind.as_str().to_lowercase();
            draft.note(format!(
                "there is no {kind} {} in {place} yet: its privileges are given by a run that finds it",
                shown(name)
            ));
        }
    }
}

impl<'a> Changes<'a> {
    fn add(&mut self, kind: Kind, name: &'a str, change: Difference) {
        for (lists, grants) in [(&mut self.given, change.given), (&mut self.taken, change.taken)] {
            for (grantee, privileges) in grants {
                lists.entry((kind, privileges, grantee)).or_default().push(name);
            }
        }
    }
}

fn write(
    scene: &Scene<'_>,
    corner: &Corner<'_>,
    changes: &Changes<'_>,
    phase: Phase,
    kind: StepKind,
    draft: &mut Draft,
) {
    if changes.given.is_empty() && changes.taken.is_empty() {
        return;
    }
    let place = inside("schema", corner.name, corner.site.name);
    let as_role = draft.act_as(scene, corner.owner, &place);
    let at = corner.site.place(as_role);
    let mut statements = |lists: &Lists<'_>, write: Statement, fits: Fits| -> Vec<String> {
        let lines = lists
            .iter()
            .flat_map(|(what, names)| lines(corner, what, names, write, fits));
        let (lines, odd): (Vec<_>, Vec<_>) = lines.partition(Result::is_ok);
        for name in odd.into_iter().filter_map(Result::err) {
            draft.note(format!(
                "{} in {place} is left alone: its arguments are not understood",
                shown(name)
            ));
        }
        lines.into_iter().filter_map(Result::ok).collect()
    };
    let given = statements(&changes.given, grant, |wanted, what| what.is_subset(wanted));
    let taken = statements(&changes.taken, revoke, |wanted, what| what.is_disjoint(wanted));
    let title = format!("privileges on objects of {place}");
    draft.step(phase, kind, &at, title, given);
    let losers = changes
        .taken
        .keys()
        .map(|(_, _, from)| from)
        .collect::<BTreeSet<_>>();
    let losers = losers.into_iter().map(|from| match from {
        Grantee::Public => "PUBLIC",
        Grantee::Role(role) => role.as_str(),
    });
    let title = format!("take privileges on objects of {place} from {}", some(losers));
    draft.step(phase, StepKind::Destructive, &at, title, taken);
}

type Statement = fn(&BTreeSet<Privilege>, &str, &Grantee) -> String;
/// Whether it would be right to do this to an object of which that is wanted.
type Fits = fn(&BTreeSet<Privilege>, &BTreeSet<Privilege>) -> bool;

/// One statement for the whole schema where that is true of every object in it, else lists of names.
fn lines<'a>(
    corner: &Corner<'_>,
    what: &(Kind, BTreeSet<Privilege>, Grantee),
    names: &[&'a str],
    write: Statement,
    fits: Fits,
) -> Vec<Result<String, &'a str>> {
    let (kind, privileges, grantee) = what;
    if names.len() > 1 && is_for_all(corner, what, fits) {
        let on = format!("ALL {} IN SCHEMA {}", all_of(*kind), identifier(corner.name));
        return vec![Ok(write(privileges, &on, grantee))];
    }
    let named = names
        .iter()
        .map(|name| object(corner.name, *kind, name).ok_or(*name));
    let (names, odd): (Vec<_>, Vec<_>) = named.partition(Result::is_ok);
    let names: Vec<String> = names.into_iter().filter_map(Result::ok).collect();
    let list = |names: &[String]| {
        let on = format!("{} {}", one_of(*kind), names.join(", "));
        Ok(write(privileges, &on, grantee))
    };
    let odd = odd.into_iter().filter_map(Result::err).map(Err);
    names.chunks(NAMES_MAX).map(list).chain(odd).collect()
}

fn is_for_all(corner: &Corner<'_>, what: &(Kind, BTreeSet<Privilege>, Grantee), fits: Fits) -> bool {
    let (kind, privileges, grantee) = what;
    let none = BTreeSet::new();
    let mut objects = corner.found.objects.iter().filter(|((of, _), _)| of == kind);
    !corner.site.has_extensions()
        && objects.all(|((_, name), found)| {
            let wanted = wanted(corner.wanted, *kind, name);
            found.owner == *corner.owner && fits(wanted.get(grantee).unwrap_or(&none), privileges)
        })
}
