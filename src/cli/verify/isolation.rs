//! `dbproxy verify isolation [CLUSTER]`

mod json;
mod text;

use super::BROKEN;
use super::args::Isolation;
use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::provision::at;
use crate::cli::provision::manifest::ManifestFile;
use crate::provision::isolation::verdict::{Verdict, Weight};
use std::process::ExitCode;

/// Nobody could look.
const UNKNOWN: u8 = 1;

pub fn run(flags: &Isolation) -> Result<ExitCode, Failure> {
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let (name, cluster) = file.cluster(flags.cluster.as_deref())?;
    let here = at::go(flags.places.config.as_deref(), &name, cluster)?;
    let in_place = output::is_terminal();
    let looked = here.provisioning.isolation(!flags.no_login, |place| {
        if in_place {
            output::in_place(&format!("looking: {}", output::printable(place)));
        }
    });
    let verdict = here.runtime.block_on(looked);
    if in_place {
        output::in_place("");
    }
    let verdict = verdict?;
    match flags.output {
        Format::Text => text::show(&name, &verdict),
        Format::Json => output::line(&json::of(&name, &verdict).to_string()),
    }
    Ok(exit_code(&verdict))
}

fn exit_code(verdict: &Verdict) -> ExitCode {
    match (verdict.is_isolated(), verdict.of(Weight::Unknown).next()) {
        (false, _) => ExitCode::from(BROKEN),
        (true, Some(_)) => ExitCode::from(UNKNOWN),
        (true, None) => ExitCode::SUCCESS,
    }
}
