//! A plan while it is written.

use super::obstacle::Obstacle;
use super::scene::Scene;
use crate::provision::name::{Database, RoleName};
use crate::provision::step::{Plan, Step, StepKind};
use std::collections::{BTreeMap, BTreeSet};

/// The order of the steps; within a phase they stay as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Rename,
    Create,
    Adopt,
    Alter,
    /// Before grants: two roles can change their places, but not be members of one another in between.
    Revoke,
    Grant,
    Settings,
    /// Once nobody is to get anything by these memberships any more.
    Borrow,
    CreateDatabase,
    Database,
    DatabaseSettings,
    Inside,
    Drop,
    /// What came to its new owner with a drop.
    Inherited,
    GiveBack,
    DropRole,
}

/// What the provisioner has to be able to do with a role of others for the time of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// `SET ROLE`.
    Set,
    /// Also to have its privileges, for what checks those of the current user (`REASSIGN OWNED`, `ALTER … OWNER TO`).
    Inherit,
}

#[derive(Debug, Default)]
pub struct Draft {
    steps: BTreeMap<Phase, Vec<Step>>,
    notes: BTreeSet<String>,
    obstacles: Vec<Obstacle>,
    pub borrowed: BTreeMap<RoleName, Power>,
}

/// Where steps run.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub database: Option<Database>,
    pub as_role: Option<RoleName>,
}

impl Place {
    pub fn cluster() -> Self {
        Self::default()
    }
}

impl Draft {
    /// Adds a step, if there is anything to do in it.
    pub fn step(
        &mut self,
        phase: Phase,
        kind: StepKind,
        place: &Place,
        title: String,
        statements: Vec<String>,
    ) {
        if statements.is_empty() {
            return;
        }
        self.steps.entry(phase).or_default().push(Step {
            title,
            database: place.database.clone(),
            as_role: place.as_role.clone(),
            statements,
            kind,
        });
    }

    pub fn note(&mut self, note: String) {
        self.notes.insert(note);
    }

    pub fn obstacle(&mut self, obstacle: Obstacle) {
        if !self.obstacles.contains(&obstacle) {
            self.obstacles.push(obstacle);
        }
    }

    /// Who a step runs as that `role` has to run, because of what it owns: `None` if that is the provisioner anyway.
    pub fn act_as(&mut self, scene: &Scene<'_>, role: &RoleName, owned: &str) -> Option<RoleName> {
        if *role == scene.server.provisioner {
            return None;
        }
        self.borrow(scene, role, Power::Set, owned);
        Some(role.clone())
    }

    /// Has `role` lent to the provisioner.
    pub fn borrow(&mut self, scene: &Scene<'_>, role: &RoleName, power: Power, owned: &str) {
        if *role == scene.server.provisioner || scene.server.provisioner_is_superuser {
            return;
        }
        if !scene.may_act_as(role) {
            let (provisioner, role) = (scene.server.provisioner.to_string(), role.to_string());
            let owned = owned.to_owned();
            // To make the provisioner a member of it would make a superuser of the provisioner.
            self.obstacle(match scene.is_superuser(&role) {
                true => Obstacle::OfSuperuser {
                    provisioner,
                    role,
                    owned,
                },
                false => Obstacle::CannotActAs {
                    provisioner,
                    role,
                    owned,
                },
            });
        }
        let held = self.borrowed.entry(role.clone()).or_insert(power);
        *held = power.max(*held);
    }

    /// That the provisioner may change or grant this role.
    pub fn administer(&mut self, scene: &Scene<'_>, role: &RoleName) {
        if !scene.administers(role) {
            self.obstacle(Obstacle::NotAdministrator {
                provisioner: scene.server.provisioner.to_string(),
                role: role.to_string(),
            });
        }
    }

    pub fn finish(mut self, scene: &Scene<'_>) -> (Plan, Vec<Obstacle>) {
        self.judge_powers(scene);
        let plan = Plan {
            steps: self.steps.into_values().flatten().collect(),
            notes: self.notes.into_iter().collect(),
        };
        (plan, self.obstacles)
    }

    fn judge_powers(&mut self, scene: &Scene<'_>) {
        let provisioner = || scene.server.provisioner.to_string();
        let of_roles = Phase::Rename..=Phase::Borrow;
        if self.steps.range(of_roles).next().is_some() && !scene.creates_roles() {
            self.obstacle(Obstacle::MayNotCreateRoles {
                provisioner: provisioner(),
            });
        }
        if self.steps.contains_key(&Phase::CreateDatabase) && !scene.creates_databases() {
            self.obstacle(Obstacle::MayNotCreateDatabases {
                provisioner: provisioner(),
            });
        }
    }
}
