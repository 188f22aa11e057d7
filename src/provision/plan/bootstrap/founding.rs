//! The provisioner: made by an administrator who is not to become one of its members.
//!
//! Since PostgreSQL 16 whoever creates a role is a member of it and cannot leave, and members of a role that logs in by
//! IAM log in by IAM too, whatever the options of the membership say. An administrator with a password would be shut out.
//! So another role creates the provisioner and is dropped before the provisioner becomes a member of `rds_iam`.

mod hand_over;
mod maintenance;

use super::super::draft::Draft;
use super::super::obstacle::Obstacle;
use super::super::scene::Scene;
use super::super::text::shown;
use crate::domain::name::NameError;
use crate::provision::doors::MAINTENANCE;
use crate::provision::inspected::{Inspected, InspectedRole};
use crate::provision::name::{Database, RDS_IAM, RoleName};
use crate::provision::sql::identifier;
use crate::provision::step::{Plan, Step, StepKind};
use crate::provision::wanted::Wanted;
use std::collections::BTreeSet;

/// Creates the provisioner in the place of an administrator, and does not stay.
pub(super) const STAND_IN: &str = "dbproxy_bootstrap";
/// What the provisioner grants to others: monitoring accounts have it.
const PG_MONITOR: &str = "pg_monitor";

/// The steps of the administrator, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    pub plan: Plan,
    /// Databases that come to be the provisioner's.
    pub handed_over: BTreeSet<Database>,
}

/// `inspected` is what the administrator found.
pub fn founding(
    wanted: &Wanted,
    inspected: &Inspected,
    provisioner: &RoleName,
) -> Result<Founding, Vec<Obstacle>> {
    // Of the draft, only the scene's view is needed: its steps are the provisioner's.
    let scene = Scene::new(wanted, inspected, &mut Draft::default());
    let Ok(names) = Names::new() else {
        return Err(Vec::new());
    };
    let mut work = Work {
        scene: &scene,
        provisioner,
        names,
        steps: Vec::new(),
        notes: Vec::new(),
        obstacles: Vec::new(),
        handed_over: BTreeSet::new(),
    };
    match scene.found.roles.get(provisioner) {
        None => work.create(),
        Some(found) => work.mend(found),
    }
    work.judge_stand_in();
    work.note_members();
    work.empower();
    work.close_maintenance();
    match work.obstacles.is_empty() {
        true => Ok(Founding {
            plan: Plan {
                steps: work.steps,
                notes: work.notes,
            },
            handed_over: work.handed_over,
        }),
        false => Err(work.obstacles),
    }
}

struct Names {
    stand_in: RoleName,
    rds_iam: RoleName,
    pg_monitor: RoleName,
    maintenance: Database,
}

impl Names {
    fn new() -> Result<Self, NameError> {
        Ok(Self {
            stand_in: RoleName::new(STAND_IN)?,
            rds_iam: RoleName::new(RDS_IAM)?,
            pg_monitor: RoleName::new(PG_MONITOR)?,
            maintenance: Database::new(MAINTENANCE)?,
        })
    }
}

struct Work<'a> {
    scene: &'a Scene<'a>,
    provisioner: &'a RoleName,
    names: Names,
    steps: Vec<Step>,
    notes: Vec<String>,
    obstacles: Vec<Obstacle>,
    handed_over: BTreeSet<Database>,
}

impl Work<'_> {
    fn administrator(&self) -> &RoleName {
        &self.scene.server.provisioner
    }

    fn is_superuser(&self) -> bool {
        self.scene.server.provisioner_is_superuser
    }

    /// Whether whoever creates an IAM user is one from then on, and must not be.
    fn is_trapped(&self) -> bool {
        self.scene.server.has_membership_options() && !self.is_superuser() && !self.scene.is_by_iam()
    }

    fn step(&mut self, title: String, as_role: Option<&RoleName>, statements: Vec<String>) {
        self.step_of(StepKind::Ordinary, title, as_role, statements);
    }

    fn step_of(
        &mut self,
        kind: StepKind,
        title: String,
        as_role: Option<&RoleName>,
        statements: Vec<String>,
    ) {
        if !statements.is_empty() {
            self.steps.push(Step {
                title,
                database: None,
                as_role: as_role.cloned(),
                statements,
                kind,
            });
        }
    }

    fn create(&mut self) {
        let administrator = self.administrator().to_string();
        if !self.scene.creates_roles() {
            let provisioner = administrator.clone();
            self.obstacles.push(Obstacle::MayNotCreateRoles { provisioner });
        }
        if !self.scene.creates_databases() {
            let provisioner = administrator;
            self.obstacles
                .push(Obstacle::MayNotCreateDatabases { provisioner });
        }
        let create = format!(
            "CREATE ROLE {} LOGIN CREATEROLE CREATEDB",
            identifier(self.provisioner)
        );
        let title = format!("create the provisioner {}", shown(self.provisioner));
        if !self.is_trapped() {
            self.step(title, None, vec![create]);
            return self.hand_over(None);
        }
        let stand_in = self.names.stand_in.clone();
        self.stand_in(&stand_in);
        self.step(title, Some(&stand_in), vec![create]);
        self.hand_over(Some(&stand_in));
        self.drop_stand_in(&stand_in);
    }

    /// One of an earlier run that broke serves as well.
    fn stand_in(&mut self, stand_in: &RoleName) {
        let name = identifier(stand_in);
        let mut statements = Vec::new();
        if !self.scene.found.roles.contains_key(stand_in) {
            statements.push(format!("CREATE ROLE {name} CREATEROLE CREATEDB"));
        }
        let administrator = identifier(self.administrator());
        statements.push(format!(
            "GRANT {name} TO {administrator} WITH INHERIT FALSE, SET TRUE"
        ));
        let title = format!(
            "create {} for the moment, so that {} does not become a member of the provisioner",
            shown(stand_in),
            shown(self.administrator())
        );
        self.step(title, None, statements);
    }

    /// What an earlier run left is a role that nobody can be but the administrator. Any other of this name is somebody's.
    fn judge_stand_in(&mut self) {
        let name = &self.names.stand_in;
        let Some(found) = self.scene.found.roles.get(name) else {
            return;
        };
        let others = self.members_of(name).any(|member| member != self.administrator());
        let is_more = found.member_of.iter().any(|row| row.role != *self.provisioner);
        if found.login || found.superuser || found.replication || found.bypass_rls || others || is_more {
            let role = name.to_string();
            self.obstacles.push(Obstacle::NotOfBootstrap { role });
        }
    }

    /// Whoever is a member of the provisioner can be it, or let others be it.
    fn note_members(&mut self) {
        let members: Vec<RoleName> = self
            .members_of(self.provisioner)
            .filter(|member| *member != self.administrator() && **member != self.names.stand_in)
            .cloned()
            .collect();
        for member in members {
            self.notes.push(format!(
                "{} is a member of the provisioner, and may do what it may: REVOKE {} FROM {}",
                shown(&member),
                identifier(self.provisioner),
                identifier(&member)
            ));
        }
    }

    fn members_of<'r>(&'r self, role: &'r RoleName) -> impl Iterator<Item = &'r RoleName> {
        let has = |found: &InspectedRole| found.member_of.iter().any(|row| row.role == *role);
        let roles = self.scene.found.roles.iter();
        roles.filter(move |(_, found)| has(found)).map(|(name, _)| name)
    }

    fn drop_stand_in(&mut self, stand_in: &RoleName) {
        let title = format!("drop {} again", shown(stand_in));
        let statement = format!("DROP ROLE {}", identifier(stand_in));
        self.step(title, None, vec![statement]);
    }

    /// One that is there, perhaps of a run that broke.
    fn mend(&mut self, found: &InspectedRole) {
        let stand_in = self.names.stand_in.clone();
        let is_stand_in_there = self.scene.found.roles.contains_key(&stand_in);
        let mut lacks = Vec::new();
        for (is_there, what) in [
            (found.login, "LOGIN"),
            (found.create_role, "CREATEROLE"),
            (found.create_db, "CREATEDB"),
        ] {
            if !is_there && !found.superuser {
                lacks.push(what);
            }
        }
        if !lacks.is_empty() {
            self.must_administer(&self.provisioner.clone());
            let title = format!("let {} provision", shown(self.provisioner));
            let alter = format!("ALTER ROLE {} {}", identifier(self.provisioner), lacks.join(" "));
            self.step(title, None, vec![alter]);
        }
        // The stand-in has ADMIN on what it created.
        match is_stand_in_there {
            true => {
                self.stand_in(&stand_in);
                self.hand_over(Some(&stand_in));
                self.drop_stand_in(&stand_in);
            }
            false if self.is_superuser() || self.scene.administers(self.provisioner) => self.hand_over(None),
            false => {
                for database in self.own_databases() {
                    self.obstacles.push(Obstacle::NotGivenAway {
                        database: database.to_string(),
                        administrator: self.administrator().to_string(),
                        provisioner: self.provisioner.to_string(),
                    });
                }
            }
        }
    }

    fn must_administer(&mut self, role: &RoleName) {
        if !self.scene.administers(role) {
            self.obstacles.push(Obstacle::NotAdministrator {
                provisioner: self.administrator().to_string(),
                role: role.to_string(),
            });
        }
    }

    /// What it is to give to others. Last: by then nobody else is its member.
    fn empower(&mut self) {
        let (rds_iam, pg_monitor) = (self.names.rds_iam.clone(), self.names.pg_monitor.clone());
        if !self.scene.found.roles.contains_key(&rds_iam) {
            self.obstacles.push(Obstacle::NoRdsIam);
            return;
        }
        let by_iam = self.is_member(&rds_iam, false);
        let mut statements = Vec::new();
        if !by_iam && self.scene.found.roles.contains_key(self.provisioner) {
            if self.scene.administers(self.provisioner) {
                statements.push(format!(
                    "ALTER ROLE {} PASSWORD NULL",
                    identifier(self.provisioner)
                ));
            } else {
                self.notes.push(format!(
                    "a password that {} may have is left as it is: only an administrator of it can take it away",
                    shown(self.provisioner)
                ));
            }
        }
        if !self.is_member(&rds_iam, true) {
            self.must_administer(&rds_iam);
            statements.push(self.with_admin(&rds_iam));
        }
        if !self.is_member(&pg_monitor, true) {
            match self.scene.administers(&pg_monitor) {
                true => statements.push(self.with_admin(&pg_monitor)),
                false => self.notes.push(format!(
                    "{} cannot give pg_monitor away, which monitoring accounts need; a superuser can: {}",
                    shown(self.administrator()),
                    self.with_admin(&pg_monitor)
                )),
            }
        }
        let title = format!(
            "{} logs in by IAM, and may let others do so",
            shown(self.provisioner)
        );
        self.step(title, None, statements);
    }

    fn is_member(&self, role: &RoleName, with_admin: bool) -> bool {
        let found = self.scene.found.roles.get(self.provisioner);
        let rows = found.map(|found| found.member_of.as_slice()).unwrap_or_default();
        rows.iter()
            .any(|row| row.role == *role && (row.options.admin || !with_admin))
    }

    fn with_admin(&self, role: &RoleName) -> String {
        let grant = format!("GRANT {} TO {}", identifier(role), identifier(self.provisioner));
        match self.scene.server.has_membership_options() {
            true => format!("{grant} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"),
            false => format!("{grant} WITH ADMIN OPTION"),
        }
    }
}
