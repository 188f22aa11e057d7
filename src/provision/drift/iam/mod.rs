//! IAM of the accounts against the manifest: who may be whom, who should, and whom nobody can be.
//!
//! An explicit denial takes away what is allowed. What a condition says is not judged: such a permission counts, and
//! is called one under a condition. Permissions boundaries and policies of the organization are not in what is looked
//! at, so what is allowed here may be refused in the end; never the other way round.

mod allowed;
mod holder;
mod missing;
mod pattern;
mod rule;
mod trust;
mod wild;

use super::finding::{Finding, Mend, sorted};
use super::kind::Kind;
use crate::domain::name::TargetName;
use crate::provision::iam::found::{Found, FoundPrincipal};
use crate::provision::iam::{Bundle, Policies, Site};
use crate::provision::inspected::Inspected;
use crate::provision::manifest::Cluster;
use crate::provision::name::RoleName;
use holder::Holder;
use std::collections::{BTreeMap, BTreeSet};

const CONNECT: &str = "rds-db:connect";

/// All that is known about all clusters.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Clusters of the manifest with their ARNs.
    pub sites: &'a [Site<'a>],
    /// Of those that could be looked at.
    pub inspected: &'a BTreeMap<TargetName, Inspected>,
    /// What the manifest implies.
    pub policies: &'a Policies,
    pub found: &'a [Found],
    /// Resource ids of targets of the configuration, which need not be in the manifest.
    pub other_ids: &'a BTreeSet<String>,
}

/// Findings of the accounts that were looked at.
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for found in facts.found {
        let account = Account::new(facts, found);
        for holder in &account.holders {
            if !account.is_known_and_left_alone(holder.arn) {
                findings.extend(allowed::findings(&account, holder));
            }
        }
        findings.extend(missing::findings(&account));
        findings.extend(trust::findings(&account));
    }
    sorted(findings)
}

/// The configuration leads to a cluster that the manifest does not know: one of them was restored, or is the old side of a
/// blue/green deployment.
pub fn resource_id(name: &TargetName, cluster: &Cluster, configured: Option<&str>) -> Option<Finding> {
    let configured = configured.filter(|id| !cluster.resource_ids.contains(*id))?;
    if cluster.resource_ids.is_empty() {
        return None;
    }
    let ids: Vec<String> = cluster.resource_ids.iter().map(|id| format!("`{id}`")).collect();
    Some(Finding {
        kind: Kind::StaleResourceId,
        cluster: Some(name.clone()),
        database: None,
        subject: format!("cluster {name}"),
        what: format!(
            "the configuration says `{configured}`, the manifest {}",
            ids.join(", ")
        ),
        mend: Mend::Edit(format!(
            "put `{configured}` into `resource_ids` of [clusters.{name}], and apply its policies"
        )),
    })
}

/// One account, and what the manifest has to do with it.
struct Account<'a> {
    facts: &'a Facts<'a>,
    found: &'a Found,
    holders: Vec<Holder<'a>>,
    /// Clusters whose databases are in it.
    sites: Vec<&'a Site<'a>>,
    /// By ARN of the principal: ARNs of db users that the manifest lets it be.
    entitled: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Account<'a> {
    fn new(facts: &'a Facts<'a>, found: &'a Found) -> Self {
        let own =
            |site: &&Site<'_>| site.account == found.account && site.region.partition() == found.partition;
        let mut account = Self {
            facts,
            found,
            holders: holder::holders(found),
            sites: facts.sites.iter().filter(own).collect(),
            entitled: BTreeMap::new(),
        };
        for bundle in account.bundles() {
            let arns = wanted(bundle, CONNECT).map(String::as_str).collect();
            if let Some((arn, _)) = account.principal(&bundle.holder.to_string()) {
                account.entitled.insert(arn, arns);
            }
        }
        account
    }

    /// What principals of this account should have.
    fn bundles(&self) -> impl Iterator<Item = &'a Bundle> + use<'a> {
        let (found, bundles) = (self.found, &self.facts.policies.bundles);
        let own = |bundle: &&Bundle| {
            *bundle.holder.account() == found.account && bundle.holder.partition() == found.partition
        };
        bundles.iter().filter(own)
    }

    /// As it was found. Names are unique in an account, so that a path may be left out (IAM Identity Center's is long).
    fn principal(&self, wanted: &str) -> Option<(&'a str, &'a FoundPrincipal)> {
        let mut principals = self.found.principals.iter();
        let exact = self.found.principals.get_key_value(wanted);
        let found = exact.or_else(|| principals.find(|(arn, _)| is_same(arn, wanted)));
        found.map(|(arn, principal)| (arn.as_str(), principal))
    }

    fn is_known_and_left_alone(&self, arn: &str) -> bool {
        let mut sites = self.sites.iter();
        sites.any(|site| {
            let mut known = site.cluster.unmanaged_principals.iter();
            known.any(|principal| is_same(principal.as_str(), arn))
        })
    }
}

/// The same role or user, whatever is said of its path.
fn is_same(one: &str, other: &str) -> bool {
    let parts = |arn: &'_ str| -> Option<(String, String)> {
        let (kind, path) = arn.split_once('/')?;
        Some((kind.to_owned(), path.rsplit('/').next()?.to_owned()))
    };
    one == other || parts(one).is_some_and(|one| parts(other) == Some(one))
}

/// ARNs that a bundle allows an action on.
fn wanted<'b>(bundle: &'b Bundle, action: &str) -> impl Iterator<Item = &'b String> + use<'b> {
    let action = action.to_owned();
    let statements = bundle.documents.iter().flat_map(|document| &document.statements);
    let about = statements.filter(move |statement| statement.actions.contains(&action.as_str()));
    about.flat_map(|statement| &statement.resources)
}

/// What the database and the manifest say of a name.
fn exists(facts: &Facts<'_>, site: &Site<'_>, user: &str) -> Option<bool> {
    let declared = site.cluster.users.keys().any(|known| known.as_str() == user);
    let inspected = facts.inspected.get(site.name);
    let found = inspected.map(|found| {
        let role = RoleName::new(user).ok().and_then(|name| found.roles.get(&name));
        role.is_some_and(|role| role.login)
    });
    match (declared, found) {
        (true, _) => Some(true),
        (false, found) => found,
    }
}
