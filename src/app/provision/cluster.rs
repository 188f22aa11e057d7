//! One cluster of the manifest: looked at, planned for, changed.

use super::ClusterDoors;
use crate::app::StartError;
use crate::config::Settings;
use crate::domain::name::DbUser;
use crate::domain::target::Target;
use crate::platform::clock::Clock;
use crate::platform::task::Background;
use crate::provision::apply::{self, Applied, ApplyError, Options, Progress};
use crate::provision::inspect::{InspectError, inspect};
use crate::provision::inspected::Inspected;
use crate::provision::manifest::Cluster;
use crate::provision::name::RoleName;
use crate::provision::narrow::{ended, narrow, still_has};
use crate::provision::plan::{self, Obstacle};
use crate::provision::sessions::{self, EndError, Ended};
use crate::provision::step::Plan;
use std::collections::BTreeSet;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the cluster could not be looked at")]
    Inspect(#[from] InspectError),
    #[error("{}", told(.0))]
    Obstacles(Vec<Obstacle>),
}

fn told(obstacles: &[Obstacle]) -> String {
    let lines: Vec<String> = obstacles.iter().map(|one| format!("\n  {one}")).collect();
    match obstacles {
        [one] => format!("this is in the way: {one}"),
        many => format!("{} things are in the way:{}", many.len(), lines.concat()),
    }
}

/// Why a user still has what has ended.
#[derive(Debug, thiserror::Error)]
pub enum TakeBackError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("\"{user}\" is not managed by dbproxy yet; `dbproxy apply` adopts it")]
    Foreign { user: RoleName },
    #[error("\"{user}\" still has what has ended; {}", notes.join("; "))]
    Left { user: RoleName, notes: Vec<String> },
    #[error(transparent)]
    Sessions(#[from] EndError),
    #[error("{0} sessions are open still")]
    Open(u64),
}

/// A plan that was made for one user.
#[derive(Debug)]
pub struct PlanForUser {
    pub plan: Plan,
    /// It is that of the whole cluster: what the user leaves behind concerns others.
    pub whole: bool,
    pub user: Presence,
}

/// The user as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Absent,
    /// With dbproxy's mark.
    Managed,
    Foreign,
}

/// The way into one cluster, and what the manifest says of it.
pub struct Provisioning {
    doors: ClusterDoors,
    cluster: Cluster,
    clock: Clock,
}

impl Provisioning {
    /// `target` is one of `settings`.
    pub async fn new(
        settings: &Settings,
        background: &Background,
        target: &Target,
        cluster: Cluster,
    ) -> Result<Self, StartError> {
        let provisioner = cluster.provisioner.clone();
        Ok(Self {
            doors: ClusterDoors::new(settings, background, target, provisioner).await?,
            cluster,
            clock: Clock::system(),
        })
    }

    /// In a dbproxy that runs already, with the doors of its own.
    pub fn by(doors: ClusterDoors, cluster: Cluster) -> Self {
        Self {
            doors,
            cluster,
            clock: Clock::system(),
        }
    }

    /// The cluster without what is in its databases.
    pub async fn look(&self) -> Result<Inspected, InspectError> {
        inspect(&self.doors, &[].into()).await
    }

    /// Takes back these roles of a user, which it had for a time, and nothing else. Whether there was anything to do.
    pub async fn take_back(
        &self,
        inspected: &Inspected,
        user: &DbUser,
        roles: &BTreeSet<RoleName>,
    ) -> Result<bool, TakeBackError> {
        let user = RoleName::from(user);
        if !still_has(inspected, &user, roles) {
            return Ok(false);
        }
        let (wanted, narrowed) = ended(inspected, &user, roles);
        let plan = plan::plan(&wanted, &narrowed).map_err(PlanError::Obstacles)?;
        self.apply(&plan, true, |_| {}).await?;
        // Somebody else may have given it, who alone can take it back.
        match still_has(&self.look().await.map_err(PlanError::Inspect)?, &user, roles) {
            true if wanted.roles.is_empty() => Err(TakeBackError::Foreign { user }),
            true => Err(TakeBackError::Left {
                user,
                notes: plan.notes,
            }),
            false => Ok(true),
        }
    }

    /// What to do so that the cluster is what the manifest says.
    pub async fn plan(&self) -> Result<Plan, PlanError> {
        let wanted = self.cluster.wanted(self.clock.now());
        let inspected = self.look_into_all().await?;
        plan::plan(&wanted, &inspected).map_err(PlanError::Obstacles)
    }

    /// The same as far as it concerns this user.
    pub async fn plan_for(&self, user: &DbUser) -> Result<PlanForUser, PlanError> {
        let wanted = self.cluster.wanted(self.clock.now());
        let user = RoleName::from(user);
        let inspected = inspect(&self.doors, &[].into()).await?;
        let presence = match inspected.roles.get(&user) {
            None => Presence::Absent,
            Some(role) if role.marked => Presence::Managed,
            Some(_) => Presence::Foreign,
        };
        let (plan, whole) = match narrow(&wanted, &inspected, &user) {
            Some((wanted, inspected)) => (plan::plan(&wanted, &inspected), false),
            None => (plan::plan(&wanted, &self.look_into_all().await?), true),
        };
        Ok(PlanForUser {
            plan: plan.map_err(PlanError::Obstacles)?,
            whole,
            user: presence,
        })
    }

    async fn look_into_all(&self) -> Result<Inspected, InspectError> {
        let databases = self.cluster.databases.keys().cloned().collect();
        inspect(&self.doors, &databases).await
    }

    pub async fn apply(
        &self,
        plan: &Plan,
        allow_destructive: bool,
        progress: impl FnMut(Progress<'_>),
    ) -> Result<Applied, ApplyError> {
        let options = Options {
            allow_destructive,
            break_glass: self.cluster.break_glass.iter().map(RoleName::from).collect(),
        };
        apply::apply(&self.doors, plan, &options, progress).await
    }

    /// Ends what the user has open in the database, through dbproxy or not.
    pub async fn end_sessions(&self, user: &DbUser) -> Result<Ended, EndError> {
        sessions::end(&self.doors, &RoleName::from(user)).await
    }
}
