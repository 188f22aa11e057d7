//! The steps of a plan as findings, and what stands in its way.

mod sentence;

use super::Facts;
use super::finding::{Finding, Mend};
use super::kind::Kind;
use super::logins::Ways;
use super::statement::{Deed, read};
use crate::provision::name::{Database, RoleName};
use crate::provision::plan::Obstacle;
use crate::provision::sql::identifier;
use crate::provision::step::{Step, StepKind};
use std::collections::BTreeSet;

pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let deeds = deeds(facts);
    let scene = Scene::new(facts, &deeds);
    let steps = deeds.iter().filter_map(|(step, deed)| scene.finding(step, deed));
    let ways = Ways::new(facts.inspected);
    let blocked = facts
        .obstacles
        .iter()
        .filter_map(|one| obstacle(facts, &ways, one));
    steps.chain(blocked).collect()
}

/// A statement that nobody knows would be a step that nobody hears of, so it counts as something unknown of its step.
fn deeds<'a>(facts: &Facts<'a>) -> Vec<(&'a Step, Option<Deed>)> {
    let steps = facts.plan.steps.iter();
    let statements = steps.flat_map(|step| step.statements.iter().map(move |statement| (step, statement)));
    statements
        .map(|(step, statement)| (step, read(statement)))
        .collect()
}

/// What the plan as a whole says about each of its statements.
struct Scene<'a> {
    facts: &'a Facts<'a>,
    mend: Mend,
    /// What is made anew: that it has nothing yet goes without saying.
    new_roles: BTreeSet<&'a str>,
    new_databases: BTreeSet<&'a str>,
    /// By database: `SCHEMA "s"`.
    new_schemas: BTreeSet<(Option<&'a str>, String)>,
    /// Roles that the provisioner lends itself for the run.
    lent: BTreeSet<&'a str>,
}

impl<'a> Scene<'a> {
    fn new(facts: &'a Facts<'a>, deeds: &'a [(&Step, Option<Deed>)]) -> Self {
        let mut scene = Self {
            facts,
            mend: apply(facts),
            new_roles: BTreeSet::new(),
            new_databases: BTreeSet::new(),
            new_schemas: BTreeSet::new(),
            lent: BTreeSet::new(),
        };
        let known = deeds
            .iter()
            .filter_map(|(step, deed)| Some((step, deed.as_ref()?)));
        for (step, deed) in known {
            match deed {
                Deed::Schema { name } => {
                    let at = step.database.as_ref().map(Database::as_str);
                    scene
                        .new_schemas
                        .insert((at, format!("SCHEMA {}", identifier(name))))
                }
                Deed::Create { role } => scene.new_roles.insert(role),
                Deed::CreateDatabase { name } => scene.new_databases.insert(name),
                Deed::Join { role, member } if scene.is_provisioner(member) => scene.lent.insert(role),
                _ => false,
            };
        }
        scene
    }

    fn is_provisioner(&self, role: &str) -> bool {
        self.facts.inspected.server.provisioner.as_str() == role
    }

    fn is_wanted(&self, role: &str) -> bool {
        RoleName::new(role).is_ok_and(|role| self.facts.wanted.roles.contains_key(&role))
    }

    fn wants_database(&self, name: &str) -> bool {
        self.facts
            .wanted
            .databases
            .keys()
            .any(|known| known.as_str() == name)
    }

    /// `db user "app"`
    fn role(&self, name: &str) -> String {
        let mut roles = self.facts.wanted.roles.iter();
        let login = roles
            .find(|(known, _)| known.as_str() == name)
            .map(|(_, role)| role.login);
        match login {
            Some(true) => format!("db user {name:?}"),
            Some(false) => format!("db role {name:?}"),
            None => format!("role {name:?}"),
        }
    }

    fn finding(&self, step: &Step, deed: &Option<Deed>) -> Option<Finding> {
        let at = step.database.as_ref().map(ToString::to_string);
        let Some(deed) = deed else {
            let what = format!("is not as the manifest says: {}", step.title);
            return Some(self.told(Kind::RoleChanged, at, "the cluster".to_owned(), what));
        };
        if self.goes_without_saying(deed, at.as_deref()) {
            return None;
        }
        let (kind, subject, what) = match deed {
            Deed::Give(privileges) | Deed::Take(privileges) => {
                return Some(self.privileges(privileges, matches!(deed, Deed::Give(_)), at));
            }
            Deed::Setting { .. } | Deed::Join { .. } | Deed::Leave { .. } => self.of_role(deed)?,
            _ => self.of_thing(deed)?,
        };
        let at = match deed {
            Deed::CreateDatabase { name }
            | Deed::Owner {
                what: "database",
                name,
                ..
            }
            | Deed::Limit { database: name } => Some(name.clone()),
            Deed::Setting { database, .. } => database.clone(),
            _ => at,
        };
        Some(self.told(kind, at, subject, what))
    }

    fn goes_without_saying(&self, deed: &Deed, at: Option<&str>) -> bool {
        let is_new = |role: &String| self.new_roles.contains(role.as_str());
        let in_new = |name: Option<&str>| name.is_some_and(|name| self.new_databases.contains(name));
        match deed {
            Deed::Adopt { role } | Deed::Attributes { role, .. } => is_new(role),
            Deed::Setting { role, database, .. } => is_new(role) || in_new(database.as_deref()),
            Deed::Join { role, member } => {
                is_new(role) || is_new(member) || self.is_provisioner(member) || !self.is_wanted(member)
            }
            Deed::Leave { role, member, .. } if self.is_provisioner(member) => {
                self.lent.contains(role.as_str())
            }
            // The end of a role is a finding of its own.
            Deed::Leave { member, .. } => !self.is_wanted(member),
            Deed::End { .. } => true,
            Deed::Owner {
                what: "database",
                name,
                ..
            } => in_new(Some(name)) || !self.wants_database(name),
            Deed::Limit { database } => in_new(Some(database)),
            Deed::Give(privileges) | Deed::Take(privileges) => {
                let on_new = named_database(&privileges.on).is_some_and(|name| in_new(Some(&name)));
                on_new
                    || in_new(at)
                    || self.is_in_new_schema(&privileges.on, at)
                    || privileges.whom.as_ref().is_some_and(is_new)
            }
            _ => in_new(at),
        }
    }

    /// `SCHEMA "s"`, or `TABLES IN SCHEMA "s"`.
    fn is_in_new_schema(&self, on: &str, at: Option<&str>) -> bool {
        let mut schemas = self.new_schemas.iter();
        schemas.any(|(place, schema)| *place == at && on.ends_with(schema.as_str()))
    }

    fn told(&self, kind: Kind, database: Option<String>, subject: String, what: String) -> Finding {
        Finding {
            kind,
            cluster: Some(self.facts.name.clone()),
            database,
            subject,
            what,
            mend: self.mend.clone(),
        }
    }
}

/// `DATABASE "app"` -> `app`
fn named_database(on: &str) -> Option<String> {
    let quoted = on.strip_prefix("DATABASE \"")?.strip_suffix('"')?;
    Some(quoted.replace("\"\"", "\""))
}

/// A run takes all steps or none, so one that takes something away makes all of them wait for leave.
pub fn apply(facts: &Facts<'_>) -> Mend {
    let takes = |step: &Step| step.kind == StepKind::Destructive;
    let leave = match facts.plan.steps.iter().any(takes) {
        true => " --allow-destructive",
        false => "",
    };
    Mend::Command(format!("dbproxy apply {}{leave}", facts.name))
}

/// What locks a break-glass user out is found by [`logins`](super::logins) where it is so already.
fn obstacle(facts: &Facts<'_>, ways: &Ways, obstacle: &Obstacle) -> Option<Finding> {
    let is_so = |role: &str| RoleName::new(role).is_ok_and(|role| ways.to_rds_iam(&role).is_some());
    let kind = match obstacle {
        Obstacle::BreakGlassByIam { role, .. } if is_so(role) => return None,
        Obstacle::BreakGlassByIam { .. } => Kind::PasswordUserReachesRdsIam,
        _ => Kind::ApplyBlocked,
    };
    Some(Finding {
        kind,
        cluster: Some(facts.name.clone()),
        database: None,
        subject: "dbproxy apply".to_owned(),
        what: obstacle.to_string(),
        mend: Mend::Edit("do what the sentence says, then run dbproxy drift again".to_owned()),
    })
}
