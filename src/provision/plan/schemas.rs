//! Schemas of one database: made, handed to their owners, and who may use them.

use super::databases::handed_over;
use super::difference::{Difference, Thing, inside};
use super::draft::{Draft, Phase, Power};
use super::inside::{PUBLIC_SCHEMA, Site};
use super::objects::Corner;
use super::scene::Scene;
use super::text::shown;
use super::{defaults, objects};
use crate::provision::inspected::InspectedSchema;
use crate::provision::name::{RoleName, SchemaName};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Privilege, WantedSchema};
use std::collections::BTreeMap;

pub fn plan(scene: &Scene<'_>, site: &Site<'_>, draft: &mut Draft) {
    for (name, wanted) in &site.wanted.schemas {
        match site.contents.schemas.get(name) {
            None => {
                create(scene, site, name, wanted, draft);
                settle(scene, site, name, wanted, &empty(&wanted.owner), draft);
            }
            Some(found) => settle(scene, site, name, wanted, found, draft),
        }
    }
    for (name, found) in &site.contents.schemas {
        if !site.wanted.schemas.contains_key(name) {
            leave(scene, site, name, found, draft);
        }
    }
}

fn empty(owner: &RoleName) -> InspectedSchema {
    InspectedSchema {
        owner: owner.clone(),
        grants: BTreeMap::new(),
        objects: BTreeMap::new(),
        defaults: BTreeMap::new(),
    }
}

fn create(scene: &Scene<'_>, site: &Site<'_>, name: &SchemaName, wanted: &WantedSchema, draft: &mut Draft) {
    let owned = format!("database {}", shown(site.name));
    let mut statement = format!("CREATE SCHEMA {}", identifier(name));
    let as_role = if wanted.owner == site.wanted.owner {
        draft.act_as(scene, &wanted.owner, &owned)
    } else {
        // Only the provisioner can be both: one that may create here, and one that may become the owner.
        draft.borrow(scene, &site.wanted.owner, Power::Inherit, &owned);
        draft.borrow(scene, &wanted.owner, Power::Set, &owned);
        statement.push_str(&format!(" AUTHORIZATION {}", identifier(&wanted.owner)));
        None
    };
    let title = format!("create {}", inside("schema", name, site.name));
    draft.step(
        Phase::Inside,
        StepKind::Ordinary,
        &site.place(as_role),
        title,
        vec![statement],
    );
}

fn settle(
    scene: &Scene<'_>,
    site: &Site<'_>,
    name: &SchemaName,
    wanted: &WantedSchema,
    found: &InspectedSchema,
    draft: &mut Draft,
) {
    let is_public = name.as_str() == PUBLIC_SCHEMA;
    let (old, mut grants) = (site.owner_of(found), wanted.grants.clone());
    let owner = if is_public {
        old.clone()
    } else {
        wanted.owner.clone()
    };
    if owner != old {
        hand_over(scene, site, name, &old, &owner, draft);
    }
    if owner != wanted.owner {
        let both = [Privilege::Usage, Privilege::Create];
        grants
            .entry(Grantee::Role(wanted.owner.clone()))
            .or_default()
            .extend(both);
    }
    let before = handed_over(&found.grants, &old, &owner);
    let change = Difference::new(scene, &grants, &before, &owner);
    // That everybody may use the schema public is how PostgreSQL comes, and harmless without CREATE.
    let change = if is_public {
        change.only_from_public(&[Privilege::Create])
    } else {
        change
    };
    access(scene, site, name, &owner, &before, change, draft);
    let corner = Corner {
        site,
        name,
        wanted,
        found,
        owner: &wanted.owner,
        listed: true,
    };
    objects::plan(scene, &corner, draft);
    defaults::plan(scene, &corner, draft);
}

fn hand_over(
    scene: &Scene<'_>,
    site: &Site<'_>,
    name: &SchemaName,
    old: &RoleName,
    new: &RoleName,
    draft: &mut Draft,
) {
    let owned = inside("schema", name, site.name);
    draft.borrow(scene, old, Power::Inherit, &owned);
    draft.borrow(scene, new, Power::Set, &owned);
    draft.borrow(scene, &site.wanted.owner, Power::Inherit, &owned);
    let own = scene.is_provisioner(old);
    let kind = if own {
        StepKind::Ordinary
    } else {
        StepKind::Destructive
    };
    let from = if own {
        String::new()
    } else {
        format!(", taken from {}", shown(old))
    };
    let title = format!("give {owned} to {}{from}", shown(new));
    let statement = format!("ALTER SCHEMA {} OWNER TO {}", identifier(name), identifier(new));
    draft.step(Phase::Inside, kind, &site.place(None), title, vec![statement]);
}

fn access(
    scene: &Scene<'_>,
    site: &Site<'_>,
    name: &SchemaName,
    owner: &RoleName,
    before: &Grants,
    change: Difference,
    draft: &mut Draft,
) {
    if change.is_empty() {
        return;
    }
    let on = format!("SCHEMA {}", identifier(name));
    let shown_schema = inside("schema", name, site.name);
    if !scene.is_provisioner(owner) && !scene.may_act_as(owner) {
        let statements = [change.taken_sql(&on), change.given_sql(&on)].concat();
        return draft.note(format!(
            "{shown_schema} belongs to {}, who alone can change it: {}",
            shown(owner),
            statements.join("; ")
        ));
    }
    let as_role = draft.act_as(scene, owner, &shown_schema);
    let thing = Thing {
        phase: Phase::Inside,
        place: &site.place(as_role),
        on,
        shown: shown_schema,
        is_new: site.is_new,
    };
    thing.write(scene, before, Vec::new(), change, draft);
}

/// A schema that is not, or no longer, in the manifest: managed roles have nothing there. Nobody creates in `public` though.
fn leave(scene: &Scene<'_>, site: &Site<'_>, name: &SchemaName, found: &InspectedSchema, draft: &mut Draft) {
    let owner = site.owner_of(found);
    let change = Difference::new(scene, &Grants::new(), &found.grants, &owner);
    let is_public = name.as_str() == PUBLIC_SCHEMA;
    let change = match is_public {
        true => change.only_from_public(&[Privilege::Create]),
        false => change.without_public(),
    };
    let ours = scene.is_provisioner(&owner) || scene.is_managed(&owner) || owner == site.wanted.owner;
    if ours || is_public {
        access(scene, site, name, &owner, &found.grants, change, draft);
    } else if !change.is_empty() {
        let on = format!("SCHEMA {}", identifier(name));
        draft.note(format!(
            "{} is not in the manifest; its owner {} can take managed roles' access to it: {}",
            inside("schema", name, site.name),
            shown(&owner),
            change.taken_sql(&on).join("; ")
        ));
    }
    if ours {
        let nothing = WantedSchema {
            owner: owner.clone(),
            grants: Grants::new(),
            on_all: BTreeMap::new(),
            on_one: BTreeMap::new(),
        };
        let corner = Corner {
            site,
            name,
            wanted: &nothing,
            found,
            owner: &owner,
            listed: false,
        };
        objects::plan(scene, &corner, draft);
        defaults::plan(scene, &corner, draft);
    }
}
