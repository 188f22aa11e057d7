//! Clusters with the facts that ARNs need: from the manifest, or the configuration where it leaves them out.

use crate::cli::exit::Failure;
use crate::cli::settings_of;
use crate::config::check::CommandLine;
use crate::domain::name::TargetName;
use crate::provision::iam::{Known, Mistakes, Site};
use crate::provision::manifest::Cluster;
use std::collections::BTreeMap;
use std::path::Path;

pub type Clusters<'m> = BTreeMap<&'m TargetName, &'m Cluster>;

pub fn sites<'m>(config: Option<&Path>, clusters: &Clusters<'m>) -> Result<Vec<Site<'m>>, Failure> {
    sites_with(clusters, &known(config, clusters)?).map_err(Failure::usage)
}

/// What the configuration knows, which is read only where the manifest leaves something out.
fn known(config: Option<&Path>, clusters: &Clusters<'_>) -> Result<BTreeMap<TargetName, Known>, Failure> {
    if clusters.values().all(|cluster| Site::is_complete(cluster)) {
        return Ok(BTreeMap::new());
    }
    let settings = settings_of(config, CommandLine::default()).map_err(|mut failure| {
        failure.hint = Some(
            "The manifest leaves out an account_id, a region or resource_ids, so the configuration is asked."
                .to_owned(),
        );
        failure
    })?;
    let targets = settings.targets.into_iter();
    let known = targets.filter_map(|target| Known::of(&target).map(|known| (target.name, known)));
    Ok(known.collect())
}

fn sites_with<'m>(
    clusters: &Clusters<'m>,
    known: &BTreeMap<TargetName, Known>,
) -> Result<Vec<Site<'m>>, Mistakes> {
    let mut mistakes = Vec::new();
    let nothing = Known::default();
    let sites: Vec<Site<'m>> = clusters
        .iter()
        .filter_map(|(name, cluster)| {
            let known = known.get(name).unwrap_or(&nothing);
            Site::new(name, cluster, known, &mut mistakes)
        })
        .collect();
    match mistakes.is_empty() {
        true => Ok(sites),
        false => Err(Mistakes(mistakes)),
    }
}
