//! What is inside one database: extensions, schemas, their objects.

use super::draft::{Draft, Place};
use super::scene::Scene;
use super::text::shown;
use super::{defaults, extensions, schemas};
use crate::provision::inspected::{Contents, InspectedSchema};
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::wanted::{Grantee, Privilege, WantedDatabase};
use std::collections::{BTreeMap, BTreeSet};

pub const PUBLIC_SCHEMA: &str = "public";
/// Has the owner of the database as its only member (PostgreSQL manual, "Predefined Roles").
pub const DATABASE_OWNER: &str = "pg_database_owner";
/// Its functions are in pg_catalog.
const PLPGSQL: &str = "plpgsql";

/// A database of the manifest as it is when its insides are come to.
pub struct Site<'a> {
    pub name: &'a Database,
    pub wanted: &'a WantedDatabase,
    pub contents: &'a Contents,
    pub is_new: bool,
}

impl Site<'_> {
    /// Where steps of `role` run.
    pub fn place(&self, as_role: Option<RoleName>) -> Place {
        Place {
            database: Some(self.name.clone()),
            as_role,
        }
    }

    /// Objects of extensions are not listed, and belong to somebody else: `ON ALL TABLES` would be for them too, and fail.
    pub fn has_extensions(&self) -> bool {
        let found = self
            .contents
            .extensions
            .iter()
            .chain(self.wanted.extensions.keys());
        found.into_iter().any(|extension| extension != PLPGSQL)
    }

    pub fn owner_of(&self, schema: &InspectedSchema) -> RoleName {
        match schema.owner.as_str() {
            DATABASE_OWNER => self.wanted.owner.clone(),
            _ => schema.owner.clone(),
        }
    }
}

pub fn plan(scene: &Scene<'_>, site: &Site<'_>, draft: &mut Draft) {
    extensions::plan(scene, site, draft);
    schemas::plan(scene, site, draft);
    defaults::plan_everywhere(scene, site, draft);
    note_given_on(scene, site, draft);
}

/// What managed roles and PUBLIC have by a grant option of others is theirs to take back.
fn note_given_on(scene: &Scene<'_>, site: &Site<'_>, draft: &mut Draft) {
    for (giver, to) in &site.contents.given_on {
        let to = match to {
            Grantee::Public => "PUBLIC".to_owned(),
            Grantee::Role(role) if scene.is_managed(role) => shown(role),
            Grantee::Role(_) => continue,
        };
        draft.note(format!(
            "{} gave privileges in database {} on to {to}, and alone can take them back",
            shown(giver),
            shown(site.name)
        ));
    }
}

/// What template1 has unless somebody changed it; if so, the next plan sees it.
///
/// Until PostgreSQL 14 `public` belongs to a superuser, on RDS to whom AWS chose. The provisioner stands for it here: what
/// it may not change is then a warning of PostgreSQL's, because as one of PUBLIC it has privileges, and the next plan has a note.
pub fn of_new_database(scene: &Scene<'_>) -> Contents {
    let since_15 = scene.server.version >= 150_000;
    let database_owner = RoleName::new(DATABASE_OWNER).ok().filter(|_| since_15);
    let mut everybody = BTreeSet::from([Privilege::Usage]);
    if !since_15 {
        everybody.insert(Privilege::Create);
    }
    let public = InspectedSchema {
        owner: database_owner.unwrap_or_else(|| scene.server.provisioner.clone()),
        grants: BTreeMap::from([(Grantee::Public, everybody)]),
        objects: BTreeMap::new(),
        defaults: BTreeMap::new(),
    };
    Contents {
        extensions: BTreeSet::from([PLPGSQL.to_owned()]),
        schemas: SchemaName::new(PUBLIC_SCHEMA)
            .into_iter()
            .map(|name| (name, public.clone()))
            .collect(),
        defaults: BTreeMap::new(),
        given_on: BTreeSet::new(),
    }
}
