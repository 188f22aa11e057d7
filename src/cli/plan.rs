//! `dbproxy plan [CLUSTER]`: what would be done so that the cluster is what the manifest says.

use super::args::Format;
use super::exit::Failure;
use super::output;
use super::provision::args::Plan;
use super::provision::manifest::ManifestFile;
use super::provision::plan_file::PlanFile;
use super::provision::{at, show};
use std::process::ExitCode;

pub fn run(flags: &Plan) -> Result<ExitCode, Failure> {
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let (name, cluster) = file.cluster(flags.cluster.as_deref())?;
    let here = at::go(flags.places.config.as_deref(), &name, cluster)?;
    let plan = here.runtime.block_on(here.provisioning.plan())?;
    let notes: Vec<String> = file.notes().collect();
    match flags.output {
        Format::Text => show::plan(&plan, &notes, flags.sql),
        Format::Json => output::line(&show::json(name.as_str(), &plan, &notes).to_string()),
    }
    if let Some(path) = &flags.plan_out {
        PlanFile::write(path, name.as_str(), &plan)?;
    }
    Ok(ExitCode::SUCCESS)
}
