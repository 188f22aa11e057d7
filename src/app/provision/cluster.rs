//! One cluster of the manifest: looked at, planned for, changed.

use super::ClusterDoors;
use crate::app::StartError;
use crate::config::Settings;
use crate::domain::name::DbUser;
use crate::domain::target::Target;
use crate::platform::clock::Clock;
use crate::platform::task::Background;
use crate::provision::apply::{self, Applied, ApplyError, Options, Progress, apply_if};
use crate::provision::inspect::{InspectError, inspect};
use crate::provision::inspected::Inspected;
use crate::provision::isolation::login::{Logins, attempt};
use crate::provision::isolation::verdict::Verdict;
use crate::provision::isolation::{catalogs, judge};
use crate::provision::manifest::Cluster;
use crate::provision::name::RoleName;
use crate::provision::narrow::{ended, narrow, still_has};
use crate::provision::plan::{self, Obstacle};
use crate::provision::sessions::{self, EndError, Ended};
use crate::provision::step::Plan;
use crate::provision::wanted::Wanted;
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

/// What is wanted and what was found.
#[derive(Debug)]
pub struct Compared {
    pub wanted: Wanted,
    pub inspected: Inspected,
    pub plan: Plan,
    pub obstacles: Vec<Obstacle>,
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
        apply::apply(&self.doors, &plan, &self.options(true), |_| {}).await?;
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

    /// The same with all that it rests on, also where something stands in the way.
    pub async fn compare(&self) -> Result<Compared, InspectError> {
        let wanted = self.cluster.wanted(self.clock.now());
        let inspected = self.look_into_all().await?;
        let (plan, obstacles) = plan::sketch(&wanted, &inspected);
        Ok(Compared {
            wanted,
            inspected,
            plan,
            obstacles,
        })
    }

    /// The same as far as it concerns this user.
    pub async fn plan_for(&self, user: &DbUser) -> Result<PlanForUser, PlanError> {
        let wanted = self.cluster.wanted(self.clock.now());
        let user = RoleName::from(user);
        let inspected = Box::pin(self.look()).await?;
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
        Box::pin(inspect(&self.doors, &databases)).await
    }

    /// The plan of the cluster, if it is so still when no other run is under way.
    pub async fn apply(
        &self,
        plan: &Plan,
        allow_destructive: bool,
        progress: impl FnMut(Progress<'_>),
    ) -> Result<Applied, ApplyError> {
        let still = Box::pin(async { Ok(self.plan().await?.steps == plan.steps) });
        let options = self.options(allow_destructive);
        apply_if(&self.doors, plan, &options, still, progress).await
    }

    /// That of one user.
    pub async fn apply_for(
        &self,
        user: &DbUser,
        plan: &Plan,
        allow_destructive: bool,
        progress: impl FnMut(Progress<'_>),
    ) -> Result<Applied, ApplyError> {
        let still = Box::pin(async { Ok(self.plan_for(user).await?.plan.steps == plan.steps) });
        let options = self.options(allow_destructive);
        apply_if(&self.doors, plan, &options, still, progress).await
    }

    fn options(&self, allow_destructive: bool) -> Options {
        Options {
            allow_destructive,
            break_glass: self.cluster.break_glass.iter().map(RoleName::from).collect(),
        }
    }

    /// Who can reach what. With `log_in` every db user is tried at every database, as far as dbproxy's credentials are
    /// good for it.
    pub async fn isolation(
        &self,
        log_in: bool,
        mut progress: impl FnMut(&str),
    ) -> Result<Verdict, InspectError> {
        let wanted = self.cluster.wanted(self.clock.now());
        let facts = catalogs::look(&self.doors, &wanted, |database| progress(database.as_str())).await?;
        let mut logins = Logins::new();
        for user in facts.users.iter().filter(|_| log_in) {
            progress(user.as_str());
            // Names of roles and of db users follow the same rules.
            let Ok(db_user) = DbUser::new(user.as_str()) else {
                continue;
            };
            let doors = self.doors.for_user(db_user);
            let tried = attempt(&doors, facts.databases.keys()).await;
            let tried = tried.into_iter();
            logins.extend(tried.map(|(database, login)| ((user.clone(), database), login)));
        }
        Ok(judge(&facts, &wanted, &logins))
    }

    /// Ends what the user has open in the database, through dbproxy or not.
    pub async fn end_sessions(&self, user: &DbUser) -> Result<Ended, EndError> {
        sessions::end(&self.doors, &RoleName::from(user)).await
    }
}
