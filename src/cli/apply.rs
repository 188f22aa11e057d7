//! `dbproxy apply [CLUSTER]`: makes the cluster what the manifest says.

use super::exit::Failure;
use super::output;
use super::provision::args::Apply;
use super::provision::manifest::ManifestFile;
use super::provision::plan_file::PlanFile;
use super::provision::progress::Ticker;
use super::provision::{at, show};
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
    if let Some(reviewed) = reviewed {
        reviewed.must_be(&plan)?;
    }
    let notes: Vec<String> = file.notes().collect();
    show::plan(&plan, &notes, false);
    let mut ticker = Ticker::new();
    let work = here
        .provisioning
        .apply(&plan, flags.allow_destructive, |progress| ticker.tell(progress));
    let outcome = here.runtime.block_on(work);
    ticker.clear();
    outcome?;
    let left = here.runtime.block_on(here.provisioning.plan())?;
    if !left.steps.is_empty() {
        show::plan(&left, &[], false);
        return Err(Failure::text(
            1,
            "something is left to do, though all steps have run",
        ));
    }
    if !plan.steps.is_empty() {
        output::line(&format!("done: cluster {name} is what the manifest says"));
    }
    Ok(ExitCode::SUCCESS)
}
