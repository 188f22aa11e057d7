//! A cluster that nobody has provisioned yet: an administrator makes the provisioner, and that does the rest.

use super::ClusterDoors;
use super::cluster::PlanError;
use crate::app::StartError;
use crate::config::Settings;
use crate::domain::name::DbUser;
use crate::domain::secret::Secret;
use crate::domain::target::{CredentialKind, Target};
use crate::platform::clock::Clock;
use crate::platform::task::Background;
use crate::provision::apply::{Applied, ApplyError, Options, Progress, apply_if};
use crate::provision::doors::Doors;
use crate::provision::inspect::{InspectError, inspect};
use crate::provision::inspected::Inspected;
use crate::provision::manifest::Cluster;
use crate::provision::name::RoleName;
use crate::provision::plan;
use crate::provision::plan::bootstrap::{finish, foreseen, founding, without_untrusted};
use crate::provision::step::Plan;
use crate::provision::wanted::Wanted;
use std::collections::BTreeSet;

/// Where an administrator's password comes from if it is not what the configuration says.
pub const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// Two ways into one cluster.
pub struct Bootstrap {
    administrator: ClusterDoors,
    provisioner: ClusterDoors,
    cluster: Cluster,
    pub administrator_name: RoleName,
    clock: Clock,
}

/// All that is going to be done, as far as can be seen before it begins.
#[derive(Debug)]
pub struct Foreseen {
    /// As the administrator.
    pub founding: Plan,
    /// As the provisioner.
    pub rest: Plan,
    /// As the administrator again.
    pub finish: Plan,
}

/// Who does a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Founding,
    Rest,
    Finish,
}

impl Bootstrap {
    /// `target` is one of `settings`. `password` is the administrator's, in the place of the configured credential.
    pub async fn new(
        settings: &Settings,
        background: &Background,
        target: &Target,
        cluster: Cluster,
        administrator: DbUser,
        password: Option<Secret>,
    ) -> Result<Self, StartError> {
        let administrator_name = RoleName::from(&administrator);
        let mut of_administrator = target.clone();
        if let Some(secret) = password {
            let variable = PASSWORD_VARIABLE.to_owned();
            let credential = CredentialKind::Password { variable, secret };
            of_administrator
                .user_credentials
                .insert(administrator.clone(), credential);
        }
        let provisioner = cluster.provisioner.clone();
        Ok(Self {
            administrator: ClusterDoors::new(settings, background, &of_administrator, administrator).await?,
            provisioner: ClusterDoors::new(settings, background, target, provisioner).await?,
            cluster,
            administrator_name,
            clock: Clock::system(),
        })
    }

    /// Everything that stands in the way is said before anything is changed.
    pub async fn foresee(&self) -> Result<Foreseen, PlanError> {
        let (wanted, found) = (self.wanted(), self.look(&self.administrator).await?);
        let founding = founding(&wanted, &found, &self.provisioner_name()).map_err(PlanError::Obstacles)?;
        let later = foreseen(&found, &self.provisioner_name(), &founding);
        let rest = plan::plan(&without_untrusted(&wanted, &found), &later).map_err(PlanError::Obstacles)?;
        let mut finish = finish(&wanted, &found).map_err(PlanError::Obstacles)?;
        if !finish.steps.is_empty() && !self.may_come_back(&found) {
            finish.notes.push(format!(
                "put \"{0}\" into break_glass of the manifest: afterwards PUBLIC may not enter its databases, and \"{0}\" \
                 has to",
                self.administrator_name
            ));
        }
        Ok(Foreseen {
            founding: founding.plan,
            rest,
            finish,
        })
    }

    /// What is to be done now in this part.
    pub async fn plan(&self, part: Part) -> Result<Plan, PlanError> {
        let wanted = self.wanted();
        let found = self.look(self.doors(part)).await?;
        match part {
            Part::Founding => {
                founding(&wanted, &found, &self.provisioner_name()).map(|founding| founding.plan)
            }
            Part::Rest => plan::plan(&without_untrusted(&wanted, &found), &found),
            Part::Finish => finish(&wanted, &found),
        }
        .map_err(PlanError::Obstacles)
    }

    /// What the provisioner would still do.
    pub async fn left(&self) -> Result<Plan, PlanError> {
        let found = self.look(&self.provisioner).await?;
        plan::plan(&self.wanted(), &found).map_err(PlanError::Obstacles)
    }

    pub async fn apply(
        &self,
        part: Part,
        plan: &Plan,
        allow_destructive: bool,
        progress: impl FnMut(Progress<'_>),
    ) -> Result<Applied, ApplyError> {
        let options = Options {
            allow_destructive,
            break_glass: self.cluster.break_glass.iter().map(RoleName::from).collect(),
        };
        let still = Box::pin(async { Ok(self.plan(part).await?.steps == plan.steps) });
        apply_if(self.doors(part), plan, &options, still, progress).await
    }

    fn doors(&self, part: Part) -> &ClusterDoors {
        match part {
            Part::Founding | Part::Finish => &self.administrator,
            Part::Rest => &self.provisioner,
        }
    }

    fn wanted(&self) -> Wanted {
        self.cluster.wanted(self.clock.now())
    }

    fn provisioner_name(&self) -> RoleName {
        RoleName::from(&self.cluster.provisioner)
    }

    async fn look(&self, doors: &impl Doors) -> Result<Inspected, InspectError> {
        let databases: BTreeSet<_> = self.cluster.databases.keys().cloned().collect();
        Box::pin(inspect(doors, &databases)).await
    }

    /// Whether the administrator can enter the databases when PUBLIC cannot.
    fn may_come_back(&self, found: &Inspected) -> bool {
        let mut break_glass = self.cluster.break_glass.iter().map(RoleName::from);
        found.server.provisioner_is_superuser || break_glass.any(|role| role == self.administrator_name)
    }
}
