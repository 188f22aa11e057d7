//! `dbproxy iam-policy`

pub mod args;

use super::exit::Failure;
use super::output;
use super::provision::sites::{Clusters, sites};
use crate::domain::name::TargetName;
use crate::platform::clock::Clock;
use crate::provision::iam::provisioner::{Writing, provisioner};
use crate::provision::iam::render::{cloudformation, commands, json, terraform};
use crate::provision::iam::{Bundle, Placement, Policies, Site, policies};
use crate::provision::manifest::arn::AccountId;
use crate::provision::manifest::{Manifest, file, read};
use args::{Format, IamPolicy};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

pub fn run(flags: &IamPolicy) -> Result<ExitCode, Failure> {
    let manifest = manifest(&flags.at.path(flags.config.as_deref())?)?;
    let clusters = chosen(&manifest, flags.cluster.as_deref())?;
    let sites = sites(flags.config.as_deref(), &clusters)?;
    let mut made = policies(&sites, Clock::system().now()).map_err(Failure::usage)?;
    if flags.provisioner {
        let boundaries = flags.boundary.iter().cloned().collect();
        let writing = flags.writes_iam.then_some(Writing {
            policies: &made,
            boundaries: &boundaries,
        });
        made = provisioner(&sites, writing).map_err(Failure::usage)?;
    } else if clusters.len() < manifest.clusters.len() {
        output::note(
            "note: grants of other clusters are left out; in the place of documents of the same names, these take \
             them away",
        );
    }
    narrow(flags, &sites, &mut made)?;
    made.notes
        .iter()
        .for_each(|note| output::note(&format!("note: {note}")));
    let text = match flags.format {
        Format::Json => json::render(&made),
        Format::Cloudformation => cloudformation::render(&made).map_err(Failure::usage)?,
        Format::Terraform => terraform::render(&made),
        Format::Cli => commands::render(&made),
    };
    output::line(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn manifest(path: &Path) -> Result<Manifest, Failure> {
    let text = file::load(path).map_err(Failure::usage)?;
    let shown = path.display();
    read(&text, Clock::system().now()).map_err(|problems| Failure::text(1, format!("{shown}: {problems}")))
}

fn chosen<'m>(manifest: &'m Manifest, wanted: Option<&str>) -> Result<Clusters<'m>, Failure> {
    let is_wanted = |name: &TargetName| wanted.is_none_or(|wanted| name.as_str() == wanted);
    let chosen: Clusters<'m> = manifest
        .clusters
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .collect();
    if let (Some(wanted), true) = (wanted, chosen.is_empty()) {
        let names: Vec<&str> = manifest.clusters.keys().map(TargetName::as_str).collect();
        let message = format!(
            "the manifest has no cluster `{wanted}`; it has {}",
            names.join(", ")
        );
        return Err(Failure::text(1, message));
    }
    Ok(chosen)
}

/// To the principal and the account that are asked for. Only JSON holds more than one account.
fn narrow(flags: &IamPolicy, sites: &[Site<'_>], made: &mut Policies) -> Result<(), Failure> {
    if let Some(wanted) = &flags.principal {
        made.bundles
            .retain(|bundle| bundle.holder.to_string() == wanted.as_str());
        if made.bundles.is_empty() {
            return Err(Failure::text(1, format!("the manifest gives `{wanted}` nothing")));
        }
        made.notes = made.bundles.iter().filter_map(Bundle::note).collect();
    }
    let accounts = accounts(&made.bundles);
    let account = match &flags.account {
        Some(account) => Some(account.clone()),
        None if flags.format == Format::Json || accounts.len() < 2 => None,
        None => Some(only(sites)?),
    };
    let Some(account) = account else {
        return Ok(());
    };
    made.bundles.retain(|bundle| *bundle.holder.account() == account);
    made.notes = made.bundles.iter().filter_map(Bundle::note).collect();
    if flags.account.is_none() {
        let left = accounts.iter().filter(|other| **other != account);
        let left: Vec<String> = left.map(ToString::to_string).collect();
        let left = left.join(", ");
        made.notes.push(format!(
            "principals of account {left} are left out: --account prints them"
        ));
    }
    let sets = |bundle: &Bundle| bundle.placement == Placement::PermissionSet;
    if flags.format != Format::Json && made.bundles.iter().any(sets) {
        made.notes
            .push("documents of permission sets are in --format json alone".to_owned());
    }
    Ok(())
}

fn accounts(bundles: &[Bundle]) -> BTreeSet<AccountId> {
    bundles
        .iter()
        .map(|bundle| bundle.holder.account().clone())
        .collect()
}

fn only(sites: &[Site<'_>]) -> Result<AccountId, Failure> {
    let accounts: BTreeSet<&AccountId> = sites.iter().map(|site| &site.account).collect();
    let mut accounts = accounts.into_iter();
    match (accounts.next(), accounts.next()) {
        (Some(account), None) => Ok(account.clone()),
        _ => Err(Failure::text(
            1,
            "the clusters are in several accounts, and this format is for one: name it with --account",
        )),
    }
}
