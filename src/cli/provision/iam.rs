//! The IAM plane of a command: what all clusters of the manifest imply, against the account of the credentials.

use super::progress::Ticker;
use super::sites::{Clusters, sites};
use crate::app::provision::iam::Account;
use crate::cli::exit::Failure;
use crate::cli::provision::show;
use crate::domain::name::{DbUser, TargetName};
use crate::error::Chain;
use crate::platform::aws::AwsError;
use crate::platform::clock::Clock;
use crate::provision::iam::apply::{IamApplyError, permitted, remedy};
use crate::provision::iam::difference::{Difference, IamObstacles};
use crate::provision::iam::step::IamPlan;
use crate::provision::iam::{Policies, policies};
use crate::provision::manifest::Manifest;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::runtime::Runtime;

pub struct Plane<'r> {
    runtime: &'r Runtime,
    account: Account,
    wanted: Policies,
    /// ARNs of the one db user that a command is about.
    about: Option<BTreeSet<String>>,
}

impl<'r> Plane<'r> {
    /// A principal has its grants of all clusters in one document, so all of them count, whichever a command is for.
    pub fn go(
        runtime: &'r Runtime,
        config: Option<&Path>,
        manifest: &Manifest,
        about: Option<(&TargetName, &DbUser)>,
    ) -> Result<Self, Failure> {
        let clusters: Clusters<'_> = manifest.clusters.iter().collect();
        let sites = sites(config, &clusters)?;
        let wanted = policies(&sites, Clock::system().now()).map_err(Failure::usage)?;
        let about = about.map(|(cluster, user)| {
            let site = sites.iter().find(|site| site.name == cluster);
            site.and_then(|site| site.arns(user).ok()).unwrap_or_default()
        });
        let Some(first) = sites.first() else {
            return Err(Failure::text(1, "the manifest has no cluster"));
        };
        let account = runtime.block_on(Account::open(&first.region))?;
        account.place(&wanted).map_err(|one| IamObstacles(vec![one]))?;
        Ok(Self {
            runtime,
            account,
            wanted,
            about,
        })
    }

    pub fn plan(&self) -> Result<IamPlan, Failure> {
        let (difference, found) = self.runtime.block_on(self.account.difference(&self.wanted))?;
        let narrowed = match &self.about {
            None => difference,
            Some(arns) => difference.narrowed(&concerned(&self.wanted, &found.naming(arns), arns)),
        };
        let mut plan = narrowed.into_plan()?;
        if !self
            .wanted
            .bundles
            .iter()
            .any(|bundle| bundle.holder.account() == self.account.id())
        {
            let id = self.account.id();
            plan.notes.push(format!(
                "the AWS credentials are of account {id}, of which the manifest names nobody"
            ));
        }
        Ok(plan)
    }

    /// With a failure, whether all is as it was.
    pub fn apply(&self, plan: &IamPlan, allow_destructive: bool) -> Result<(), (Failure, bool)> {
        let ticker = Ticker::new();
        let of = plan.steps.len();
        let run = self.account.apply(plan, allow_destructive, |number, step| {
            ticker.began("IAM ", number, of, &step.title);
        });
        let outcome = self.runtime.block_on(run);
        ticker.clear();
        outcome.map_err(|error| {
            let nothing = error.has_changed_nothing();
            (error.into(), nothing)
        })
    }

    /// Nothing is left to do.
    pub fn verify(&self, done: &IamPlan) -> Result<(), Failure> {
        // What a run did not touch may have been changed by others meanwhile, which is no failure of it.
        let holders: BTreeSet<String> = done.steps.iter().flat_map(|step| step.holders.clone()).collect();
        if done.steps.is_empty() {
            return Ok(());
        }
        let narrow = |difference: Difference| difference.narrowed(&holders);
        let left = self
            .runtime
            .block_on(self.account.settled(&self.wanted, narrow))?;
        if left.plan.steps.is_empty() {
            return Ok(());
        }
        show::iam(&left.plan, false);
        let mut failure = Failure::text(1, "something is left to do in IAM, though all steps have run");
        failure.hint = Some("IAM takes a while to tell what was changed: plan again in a minute.".to_owned());
        Err(failure)
    }
}

/// Those whose documents name one of these ARNs, or are to.
fn concerned(wanted: &Policies, having: &BTreeSet<String>, arns: &BTreeSet<String>) -> BTreeSet<String> {
    let mut concerned = having.clone();
    for bundle in &wanted.bundles {
        let statements = bundle.documents.iter().flat_map(|document| &document.statements);
        if statements
            .into_iter()
            .any(|statement| !statement.resources.is_disjoint(arns))
        {
            concerned.insert(bundle.holder.to_string());
        }
    }
    concerned
}

/// Of what was looked at, and no more.
pub fn done(cluster: &TargetName, plane: Option<&Plane<'_>>) -> String {
    match plane {
        Some(plane) => {
            let account = plane.account.id();
            format!("done: cluster {cluster} and IAM of account {account} are what the manifest says")
        }
        None => format!("done: cluster {cluster} is what the manifest says"),
    }
}

/// Before anything is changed, in any plane.
pub fn allowed(plan: Option<&IamPlan>, allow_destructive: bool) -> Result<(), Failure> {
    plan.map_or(Ok(()), |plan| {
        permitted(plan, allow_destructive).map_err(Failure::from)
    })
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        let mut failure = Self::usage(&error);
        failure.hint = Some(remedy(&error));
        failure
    }
}

impl From<IamObstacles> for Failure {
    fn from(obstacles: IamObstacles) -> Self {
        let mut failure = Self::usage(&obstacles);
        failure.hint = Some("Nothing was changed.".to_owned());
        failure
    }
}

impl From<IamApplyError> for Failure {
    fn from(error: IamApplyError) -> Self {
        let mut failure = Self::text(1, Chain(&error).to_string());
        failure.hint = error.remedy();
        failure
    }
}
