//! `dbproxy drift [CLUSTER]`: where the access manifest, the database and IAM have moved apart.

mod planes;
mod report;

use super::args::Format;
use super::exit::{DRIFT, Failure};
use super::provision::args::Drift;
use super::provision::at;
use super::provision::manifest::ManifestFile;
use super::{output, settings_of};
use crate::app::provision::cluster::{Compared, PlanError, Provisioning};
use crate::config::Settings;
use crate::config::check::CommandLine;
use crate::domain::name::TargetName;
use crate::platform::task::Background;
use crate::platform::telemetry::logs::{self, Level};
use crate::provision::drift::{self, Facts};
use crate::provision::iam::found::Found;
use crate::provision::manifest::Cluster;
use planes::Implied;
use report::Report;
use std::collections::BTreeMap;
use std::process::ExitCode;
use tokio::runtime::Runtime;

pub fn run(flags: &Drift) -> Result<ExitCode, Failure> {
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let chosen: BTreeMap<TargetName, Cluster> = match flags.cluster.as_deref() {
        Some(name) => [file.cluster(Some(name))?].into(),
        None if file.manifest.clusters.is_empty() => file.cluster(None).map(|one| [one].into())?,
        None => file.manifest.clusters.clone(),
    };
    let mut settings = settings_of(flags.places.config.as_deref(), CommandLine::default())?;
    settings.log.level = Level::Error;
    let _logs = logs::install(&settings.log);
    // What is wrong with these files is told before anything is waited for.
    let details = planes::details(&flags.iam_details)?;
    let usage = planes::usage(&flags.audit)?;
    let runtime = super::runtime()?;
    let mut report = Report::default();
    report.notes.extend(file.notes());
    let compared = compare_all(&runtime, &settings, &chosen, &mut report);
    for (name, compared) in &compared {
        let Some(cluster) = chosen.get(name) else { continue };
        report.findings.extend(drift::database(&Facts {
            name,
            cluster,
            wanted: &compared.wanted,
            inspected: &compared.inspected,
            plan: &compared.plan,
            obstacles: &compared.obstacles,
        }));
        report.looked_at("database", format!("cluster {name}"));
        let notes = compared.plan.notes.iter();
        report
            .notes
            .extend(notes.map(|note| format!("cluster {name}: {note}")));
    }
    let inspected = compared
        .into_iter()
        .map(|(name, compared)| (name, compared.inspected));
    planes::resource_ids(&settings, &chosen, &mut report);
    if let Some((implied, found)) = iam(flags, &file, &chosen, &settings, &runtime, details, &mut report) {
        planes::iam(
            &implied,
            &chosen,
            &settings,
            &inspected.collect(),
            &found,
            &mut report,
        );
    }
    planes::unused(&settings, &chosen, usage.as_ref(), flags.unused_days, &mut report);
    match flags.output {
        Format::Text => report.show(),
        Format::Json => output::line(&report.json().to_string()),
    }
    Ok(report.exit_code())
}

/// What IAM has, and what it should have; unless nobody asked, or it could not be told.
fn iam<'m>(
    flags: &Drift,
    file: &'m ManifestFile,
    chosen: &BTreeMap<TargetName, Cluster>,
    settings: &Settings,
    runtime: &Runtime,
    details: Option<Vec<Found>>,
    report: &mut Report,
) -> Option<(Implied<'m>, Vec<Found>)> {
    if details.is_none() && !flags.iam {
        report.not_looked_at(
            "iam",
            "give --iam, or name its details with --iam-details".to_owned(),
        );
        return None;
    }
    let implied = match planes::implied(&file.manifest.clusters, chosen, settings) {
        Ok(implied) => implied,
        Err(mistakes) => {
            report.not_looked_at("iam", mistakes.to_string());
            report.failures.push(Failure::usage(mistakes));
            return None;
        }
    };
    let mut found = details.unwrap_or_default();
    if flags.iam
        && let Err(failure) = runtime.block_on(planes::live(&implied, &mut found))
    {
        report.not_looked_at("iam", failure.message.clone());
        report.failures.push(failure);
        if found.is_empty() {
            return None;
        }
    }
    Some((implied, found))
}

impl Report {
    /// Each failure is told; what else was found counts less.
    fn exit_code(&self) -> ExitCode {
        self.failures.iter().for_each(output::problem);
        match (self.failures.is_empty(), self.findings.is_empty()) {
            (false, _) => ExitCode::from(1),
            (true, false) => ExitCode::from(DRIFT),
            (true, true) => ExitCode::SUCCESS,
        }
    }
}

/// One after the other; a cluster that cannot be looked at does not keep the others from it.
fn compare_all(
    runtime: &Runtime,
    settings: &Settings,
    chosen: &BTreeMap<TargetName, Cluster>,
    report: &mut Report,
) -> BTreeMap<TargetName, Compared> {
    let background = Background::new(runtime.handle().clone());
    let mut all = BTreeMap::new();
    for (name, cluster) in chosen {
        match runtime.block_on(compare(settings, &background, name, cluster)) {
            Ok(compared) => {
                all.insert(name.clone(), compared);
            }
            Err(mut failure) => {
                failure.message = format!("cluster {name}: {}", failure.message);
                report.not_looked_at("database", failure.message.clone());
                report.failures.push(failure);
            }
        }
    }
    all
}

async fn compare(
    settings: &Settings,
    background: &Background,
    name: &TargetName,
    cluster: &Cluster,
) -> Result<Compared, Failure> {
    let Some(target) = settings.targets.iter().find(|target| target.name == *name) else {
        let mut failure = Failure::text(1, "the configuration has no target of this name");
        failure.hint = Some(format!(
            "A cluster of the manifest needs a target of its name: [targets.{name}]"
        ));
        return Err(failure);
    };
    at::agree(name, cluster, target)?;
    let provisioning = Provisioning::new(settings, background, target, cluster.clone()).await;
    let compared = provisioning.map_err(Failure::usage)?.compare().await;
    compared.map_err(|error| Failure::from(PlanError::from(error)))
}
