//! IAM and the audit log: read, and judged as far as they go.

use super::report::Report;
use crate::access::audit::query::{self, Filter};
use crate::app::provision::iam::look;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Settings;
use crate::domain::name::TargetName;
use crate::error::Chain;
use crate::platform::clock::Clock;
use crate::provision::drift::{iam, usage};
use crate::provision::iam::details::{BYTES_MAX, Details};
use crate::provision::iam::found::Found;
use crate::provision::iam::{Known, Mistake, Mistakes, Policies, Site, policies};
use crate::provision::inspected::Inspected;
use crate::provision::manifest::Cluster;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

type Clusters = BTreeMap<TargetName, Cluster>;

/// None were named.
pub fn details(files: &[PathBuf]) -> Result<Option<Vec<Found>>, Failure> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut details = Details::default();
    for path in files {
        let shown = path.display();
        let mut bytes = Vec::new();
        let most = BYTES_MAX.saturating_add(1);
        let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(|error| Failure::text(1, format!("cannot read {shown}: {}", Chain(&error))))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > BYTES_MAX) {
            return Err(Failure::text(
                1,
                format!("{shown}: the limit is {}", output::bytes(BYTES_MAX)),
            ));
        }
        details.take(&shown.to_string(), &bytes);
    }
    details.finish().map(Some).map_err(|error| {
        let mut failure = Failure::usage(error);
        failure.hint = Some("Write it with: aws iam get-account-authorization-details > FILE".to_owned());
        failure
    })
}

pub fn usage(files: &[PathBuf]) -> Result<Option<usage::Usage>, Failure> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut seen = usage::Usage::default();
    let summary = query::run(files, &Filter::default(), |line| seen.take(line)).map_err(Failure::usage)?;
    if summary.skipped > 0 {
        output::note(&format!(
            "{} audit lines were skipped: they are no JSON objects, or too long",
            summary.skipped
        ));
    }
    Ok(Some(seen))
}

/// Whether manifest and configuration speak of the same clusters.
pub fn resource_ids(settings: &Settings, chosen: &Clusters, report: &mut Report) {
    for target in &settings.targets {
        if let Some(cluster) = chosen.get(&target.name) {
            let finding = iam::resource_id(&target.name, cluster, target.resource_id.as_deref());
            report.findings.extend(finding);
        }
    }
}

fn known(settings: &Settings) -> BTreeMap<&TargetName, Known> {
    let targets = settings.targets.iter();
    targets
        .filter_map(|target| Known::of(target).map(|known| (&target.name, known)))
        .collect()
}

/// What all clusters of the manifest imply: a principal may be entitled by any.
pub struct Implied<'m> {
    pub sites: Vec<Site<'m>>,
    pub policies: Policies,
}

/// Mistakes of the clusters that are not chosen are for their own run.
pub fn implied<'m>(
    all: &'m Clusters,
    chosen: &Clusters,
    settings: &Settings,
) -> Result<Implied<'m>, Mistakes> {
    let (known, nothing) = (known(settings), Known::default());
    let (mut sites, mut mistakes) = (Vec::new(), Vec::new());
    for (name, cluster) in all {
        let mut own = Vec::new();
        sites.extend(Site::new(
            name,
            cluster,
            known.get(name).unwrap_or(&nothing),
            &mut own,
        ));
        mistakes.extend(own.into_iter().filter(|_: &Mistake| chosen.contains_key(name)));
    }
    match mistakes.is_empty() {
        true => policies(&sites, Clock::system().now()).map(|policies| Implied { sites, policies }),
        false => Err(Mistakes(mistakes)),
    }
}

/// IAM as it is now, in the place of what a file says of the same account.
pub async fn live(implied: &Implied<'_>, found: &mut Vec<Found>) -> Result<(), Failure> {
    let Some(first) = implied.sites.first() else {
        return Err(Failure::text(
            1,
            "the manifest has no cluster whose account is known",
        ));
    };
    let now = look(&first.region, &implied.policies).await?;
    found.retain(|other| other.account != now.account);
    found.push(now);
    Ok(())
}

/// Findings are told of the clusters that are chosen.
pub fn iam(
    implied: &Implied<'_>,
    chosen: &Clusters,
    settings: &Settings,
    inspected: &BTreeMap<TargetName, Inspected>,
    found: &[Found],
    report: &mut Report,
) {
    let Implied { sites, policies } = implied;
    let other_ids = settings
        .targets
        .iter()
        .filter_map(|target| target.resource_id.clone());
    let findings = iam::findings(&iam::Facts {
        sites,
        inspected,
        policies,
        found,
        other_ids: &other_ids.collect(),
    });
    let is_told = |name: &Option<TargetName>| name.as_ref().is_none_or(|name| chosen.contains_key(name));
    report
        .findings
        .extend(findings.into_iter().filter(|finding| is_told(&finding.cluster)));
    for account in found {
        report.looked_at("iam", format!("account {}", account.account));
    }
    for site in sites.iter().filter(|site| chosen.contains_key(site.name)) {
        if !found.iter().any(|found| found.account == site.account) {
            let what = format!(
                "account {} of cluster {}: neither a file nor the AWS credentials are of it",
                site.account, site.name
            );
            report.not_looked_at("iam", what);
        }
    }
}

pub fn unused(
    settings: &Settings,
    chosen: &Clusters,
    usage: Option<&usage::Usage>,
    days: u64,
    report: &mut Report,
) {
    let Some(usage) = usage else {
        return report.not_looked_at("audit", "name its files with --audit".to_owned());
    };
    for (name, cluster) in chosen {
        let targets = targets(settings, name, cluster);
        let asked = usage::Question {
            name,
            cluster,
            targets: &targets,
            days,
            now: Clock::system().now(),
        };
        match usage::findings(&asked, usage) {
            Ok(findings) => {
                report.findings.extend(findings);
                report.looked_at("audit", format!("users of cluster {name}, {days} days back"));
            }
            Err(why) => report.not_looked_at("audit", format!("users of cluster {name}: {why}")),
        }
    }
}

/// Targets that lead to a cluster: that of its name, and those that say so or have its resource id, such as one for
/// readers.
fn targets(settings: &Settings, name: &TargetName, cluster: &Cluster) -> BTreeSet<String> {
    let own = settings.targets.iter().find(|target| target.name == *name);
    let mut ids = cluster.resource_ids.clone();
    ids.extend(own.and_then(|target| target.resource_id.clone()));
    let leads = settings.targets.iter().filter(|target| {
        let has = |id: &String| ids.contains(id);
        let says_so = target.cluster.as_ref() == Some(name);
        target.name == *name || says_so || target.resource_id.as_ref().is_some_and(has)
    });
    leads
        .map(|target| target.name.to_string())
        .chain([name.to_string()])
        .collect()
}
