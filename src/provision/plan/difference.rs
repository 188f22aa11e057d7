//! Who lacks privileges on something and who has too many, and the statements that mend it.

use super::draft::{Draft, Phase, Place};
use super::obstacle::Obstacle;
use super::reach::{Way, reach};
use super::scene::Scene;
use super::text::{all, grantee, privileges, shown};
use crate::provision::name::RoleName;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Grants, Privilege};
use std::collections::BTreeSet;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Difference {
    pub given: Grants,
    pub taken: Grants,
}

impl Difference {
    /// Between what is wanted on a thing and what was found. Owners have everything, grantees that are not managed keep
    /// what they have.
    pub fn new(scene: &Scene<'_>, wanted: &Grants, found: &Grants, owner: &RoleName) -> Self {
        let owner = Grantee::Role(owner.clone());
        let known = |privilege: &Privilege| *privilege != Privilege::Maintain || scene.server.has_maintain();
        let none = BTreeSet::new();
        let given = wanted
            .iter()
            .filter(|(grantee, _)| **grantee != owner)
            .map(|(grantee, wanted)| {
                let found = found.get(grantee).unwrap_or(&none);
                let missing = wanted.difference(found).copied().filter(known);
                (grantee.clone(), missing.collect::<BTreeSet<_>>())
            });
        let ours = |grantee: &Grantee| match grantee {
            Grantee::Public => true,
            Grantee::Role(role) => scene.is_wanted(role) && *grantee != owner,
        };
        let taken = found
            .iter()
            .filter(|(grantee, _)| ours(grantee))
            .map(|(grantee, found)| {
                let wanted = wanted.get(grantee).unwrap_or(&none);
                (
                    grantee.clone(),
                    found.difference(wanted).copied().collect::<BTreeSet<_>>(),
                )
            });
        Self {
            given: given.filter(|(_, privileges)| !privileges.is_empty()).collect(),
            taken: taken.filter(|(_, privileges)| !privileges.is_empty()).collect(),
        }
    }

    /// Takes only these from PUBLIC.
    pub fn only_from_public(mut self, privileges: &[Privilege]) -> Self {
        if let Some(taken) = self.taken.get_mut(&Grantee::Public) {
            taken.retain(|privilege| privileges.contains(privilege));
        }
        self.taken.retain(|_, privileges| !privileges.is_empty());
        self
    }

    /// Leaves PUBLIC as it is.
    pub fn without_public(mut self) -> Self {
        self.taken.remove(&Grantee::Public);
        self.given.remove(&Grantee::Public);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.given.is_empty() && self.taken.is_empty()
    }

    pub fn given_sql(&self, on: &str) -> Vec<String> {
        self.given.iter().map(|(to, what)| grant(what, on, to)).collect()
    }

    pub fn taken_sql(&self, on: &str) -> Vec<String> {
        self.taken
            .iter()
            .map(|(from, what)| revoke(what, on, from))
            .collect()
    }

    /// Refuses grantees that will not exist.
    pub fn judge(&self, scene: &Scene<'_>, what: &str, draft: &mut Draft) {
        for to in self.given.keys() {
            let Grantee::Role(role) = to else { continue };
            if !scene.will_exist(role) {
                draft.obstacle(Obstacle::NoSuchRole {
                    role: role.to_string(),
                    needed_by: what.to_owned(),
                });
            }
        }
    }
}

pub fn grant(what: &BTreeSet<Privilege>, on: &str, to: &Grantee) -> String {
    format!("GRANT {} ON {on} TO {}", privileges(what), grantee(to))
}

pub fn revoke(what: &BTreeSet<Privilege>, on: &str, from: &Grantee) -> String {
    format!("REVOKE {} ON {on} FROM {}", privileges(what), grantee(from))
}

/// A database or a schema, whose privileges are one step or two.
pub struct Thing<'a> {
    pub phase: Phase,
    pub place: &'a Place,
    /// `DATABASE "app"`
    pub on: String,
    /// `database "app"`
    pub shown: String,
    /// Nobody can have come to rely on what it allows.
    pub is_new: bool,
}

impl Thing<'_> {
    /// What everybody may do by default was given to nobody: taking it away is [`StepKind::Ordinary`] as long as nobody who
    /// is not managed lives by it. Whoever does is named, and the step is a destructive one.
    pub fn write(
        &self,
        scene: &Scene<'_>,
        found: &Grants,
        first: Vec<String>,
        mut change: Difference,
        draft: &mut Draft,
    ) {
        change.judge(scene, &self.shown, draft);
        let mut ordinary = first;
        ordinary.extend(change.given_sql(&self.on));
        let public = change.taken.get(&Grantee::Public).cloned().unwrap_or_default();
        let losers = if self.is_new {
            Vec::new()
        } else {
            losers(scene, found, &public)
        };
        let mut whom: Vec<String> = losers.iter().map(ToString::to_string).collect();
        if losers.is_empty() && change.taken.remove(&Grantee::Public).is_some() {
            ordinary.push(revoke(&public, &self.on, &Grantee::Public));
        }
        whom.extend(change.taken.keys().filter_map(|from| match from {
            Grantee::Public => None,
            Grantee::Role(role) => Some(role.to_string()),
        }));
        let title = format!("access to {}", self.shown);
        draft.step(self.phase, StepKind::Ordinary, self.place, title, ordinary);
        let everybody = if losers.is_empty() {
            ""
        } else {
            ", which everybody has,"
        };
        let title = format!("take access to {}{everybody} from {}", self.shown, all(whom));
        draft.step(
            self.phase,
            StepKind::Destructive,
            self.place,
            title,
            change.taken_sql(&self.on),
        );
    }
}

/// Who may do something only because everybody may.
fn losers<'s>(scene: &'s Scene<'_>, found: &Grants, public: &BTreeSet<Privilege>) -> Vec<&'s RoleName> {
    if public.is_empty() {
        return Vec::new();
    }
    let lives_by = |role: &&RoleName| {
        let roles = reach(&scene.found, role, Way::Inherit);
        let own = roles
            .into_iter()
            .filter_map(|role| found.get(&Grantee::Role(role)));
        let own: BTreeSet<_> = own.flatten().copied().collect();
        !public.is_subset(&own)
    };
    scene.bystanders().filter(lives_by).collect()
}

/// `"x" in database "d"`, for titles.
pub fn inside(what: &str, name: impl std::fmt::Display, database: impl std::fmt::Display) -> String {
    format!("{what} {} in database {}", shown(name), shown(database))
}
