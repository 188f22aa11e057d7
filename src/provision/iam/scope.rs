//! What a manifest speaks for: its clusters by their resource ids, and its roles for other accounts. Names and tags of dbproxy's
//! are the same whichever manifest they come from; what a document speaks of is not.

use super::Site;
use super::bundle::Bundle;
use super::found::{Found, FoundRole};
use crate::domain::name::TargetName;
use crate::provision::manifest::arn::AccountId;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Clusters by partition and account.
    accounts: BTreeMap<(&'static str, AccountId), BTreeSet<TargetName>>,
    /// `arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-ABC/`
    clusters: BTreeSet<String>,
    roles: BTreeSet<String>,
}

/// What a document speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Of something that is the manifest's.
    pub of_ours: bool,
    /// Of this, too, which the manifest does not know.
    pub of_others: BTreeSet<String>,
}

impl Scope {
    pub fn new(sites: &[Site<'_>], bundles: &[Bundle]) -> Self {
        let mut scope = Self::default();
        for site in sites {
            let (partition, account) = (site.region.partition(), &site.account);
            let clusters = scope.accounts.entry((partition, account.clone())).or_default();
            clusters.insert(site.name.clone());
            let ids = site.resource_ids.iter().chain(&site.cluster.past_resource_ids);
            let arn = |id| format!("arn:{partition}:rds-db:{}:{account}:dbuser:{id}/", site.region);
            scope.clusters.extend(ids.map(arn));
        }
        let made = bundles.iter().filter(|bundle| bundle.made.is_some());
        scope.roles.extend(made.map(|bundle| bundle.holder.to_string()));
        scope
    }

    /// Whether a cluster of the manifest is in this account.
    pub fn covers(&self, partition: &str, account: &AccountId) -> bool {
        let mut accounts = self.accounts.keys();
        accounts.any(|(own, id)| *own == partition && id == account)
    }

    /// `111122223333 (orders, billing)`, for people.
    pub fn accounts(&self) -> String {
        let accounts = self.accounts.iter().map(|((_, account), clusters)| {
            let names: Vec<&str> = clusters.iter().map(TargetName::as_str).collect();
            format!("{account} ({})", names.join(", "))
        });
        accounts.collect::<Vec<_>>().join(" or ")
    }

    pub fn spoken(&self, document: &Value, found: &Found) -> Spoken {
        let mut spoken = Spoken::default();
        for resource in resources(document) {
            let is_ours = self.has_cluster(resource) || self.has_role(resource, found);
            match is_ours {
                true => spoken.of_ours = true,
                false => drop(spoken.of_others.insert(resource.to_owned())),
            }
        }
        spoken
    }

    fn has_cluster(&self, arn: &str) -> bool {
        self.clusters.iter().any(|cluster| arn.starts_with(cluster))
    }

    /// A role that the manifest declares, or did: then it is gone, or all its documents are of the manifest's clusters.
    fn has_role(&self, arn: &str, found: &Found) -> bool {
        let stem = format!("arn:{}:iam::{}:role/", found.partition, found.account);
        if self.roles.contains(arn) {
            return true;
        }
        if !arn.starts_with(&stem) || arn.contains(['*', '?', '$']) {
            return false;
        }
        let Some(there) = found.principals.get(arn) else {
            return true;
        };
        let is_own = there.role.as_ref().is_some_and(FoundRole::is_own);
        let mut documents = found.own_documents(&there.held);
        is_own && documents.all(|(_, document)| resources(document).iter().all(|arn| self.has_cluster(arn)))
    }
}

impl Spoken {
    /// And nothing else: what speaks of nothing is nobody's.
    pub fn is_ours_alone(&self) -> bool {
        self.of_others.is_empty()
    }
}

/// What no statement of dbproxy's is without.
const NONE: &str = "a statement without Resource";

fn resources(document: &Value) -> Vec<&str> {
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None if document.is_object() => Vec::new(),
        None => vec![document],
    };
    statements.into_iter().flat_map(of_statement).collect()
}

fn of_statement(statement: &Value) -> Vec<&str> {
    match statement.get("Resource") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().map(|one| one.as_str().unwrap_or(NONE)).collect(),
        _ => vec![NONE],
    }
}
