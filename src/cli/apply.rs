//! `dbproxy apply [CLUSTER]`: makes the cluster, and IAM, what the manifest says.

use super::exit::Failure;
use super::output;
use super::provision::args::Apply;
use super::provision::at::{self, Here};
use super::provision::iam::{self, Plane};
use super::provision::manifest::ManifestFile;
use super::provision::plan_file::PlanFile;
use super::provision::progress::Ticker;
use super::provision::show;
use crate::provision::step::Plan;
use std::process::ExitCode;

pub fn run(flags: &Apply) -> Result<ExitCode, Failure> {
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let reviewed = flags.plan_in.as_deref().map(PlanFile::read).transpose()?;
    let named = match (&flags.cluster, &reviewed) {
        (Some(named), Some(plan)) if *named != plan.cluster => {
            let what = format!("the plan is for cluster `{}`, not `{named}`", plan.cluster);
            return Err(Failure::text(1, what));
        }
        (None, Some(plan)) => Some(plan.cluster.as_str()),
        (named, _) => named.as_deref(),
    };
    let (name, cluster) = file.cluster(named)?;
    let here = at::go(flags.places.config.as_deref(), &name, cluster)?;
    let plan = here.runtime.block_on(here.provisioning.plan())?;
    let plane = match with_iam(flags, reviewed.as_ref())? {
        true => {
            let config = flags.places.config.as_deref();
            Some(Plane::go(&here.runtime, config, &file.manifest, None)?)
        }
        false => None,
    };
    let in_iam = plane.as_ref().map(Plane::plan).transpose()?;
    if let Some(reviewed) = reviewed {
        reviewed.must_be(&plan, in_iam.as_ref())?;
    }
    let notes: Vec<String> = file.notes().collect();
    show::plan(&plan, in_iam.as_ref(), &notes, false);
    iam::allowed(in_iam.as_ref(), flags.allow_destructive)?;
    database(&here, &plan, flags.allow_destructive)?;
    if let (Some(plane), Some(plan)) = (&plane, &in_iam) {
        plane
            .apply(plan, flags.allow_destructive)
            .map_err(|(failure, _)| failure)?;
        plane.verify(plan)?;
    }
    if !plan.steps.is_empty() || in_iam.is_some_and(|plan| !plan.steps.is_empty()) {
        output::line(&iam::done(&name, plane.as_ref()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A plan is run as it was made.
fn with_iam(flags: &Apply, reviewed: Option<&PlanFile>) -> Result<bool, Failure> {
    match reviewed {
        None => Ok(flags.iam.iam),
        Some(reviewed) if flags.iam.iam && !reviewed.is_with_iam() => {
            let what = "the plan was made without --iam: it says nothing of IAM";
            Err(Failure::text(1, what))
        }
        Some(reviewed) => Ok(reviewed.is_with_iam()),
    }
}

fn database(here: &Here, plan: &Plan, allow_destructive: bool) -> Result<(), Failure> {
    let mut ticker = Ticker::new();
    let work = here
        .provisioning
        .apply(plan, allow_destructive, |progress| ticker.tell(progress));
    let outcome = here.runtime.block_on(work);
    ticker.clear();
    outcome?;
    let left = here.runtime.block_on(here.provisioning.plan())?;
    if !left.steps.is_empty() {
        show::plan(&left, None, &[], false);
        return Err(Failure::text(
            1,
            "something is left to do, though all steps have run",
        ));
    }
    Ok(())
}
