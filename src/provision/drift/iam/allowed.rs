//! What a principal is allowed, and should not be, by exact ARNs.

use super::holder::Holder;
use super::rule::May;
use super::{Account, exists, is_same, wild};
use crate::domain::name::{DbUser, TargetName};
use crate::platform::aws::policy_document::dbuser_arn;
use crate::provision::drift::finding::{Finding, Mend};
use crate::provision::drift::kind::Kind;
use crate::provision::iam::Site;

pub fn findings(account: &Account<'_>, holder: &Holder<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, rule) in holder.connect.iter().filter(|(_, rule)| rule.allows) {
        if rule.resources.is_not {
            findings.extend(wild::finding(account, holder, place, rule, None));
            continue;
        }
        for pattern in &rule.resources.patterns {
            match pattern.only() {
                None => findings.extend(wild::finding(account, holder, place, rule, Some(pattern))),
                Some(arn) => findings.extend(exact(account, holder, place, &arn)),
            }
        }
    }
    findings
}

pub fn under(may: May) -> &'static str {
    match may {
        May::UnderCondition => " under a condition",
        May::Yes | May::No => "",
    }
}

/// Where the account has but one cluster in the manifest, it is about that one.
pub fn only_cluster(account: &Account<'_>) -> Option<TargetName> {
    match account.sites.as_slice() {
        [site] => Some(site.name.clone()),
        _ => None,
    }
}

pub fn arn(site: &Site<'_>, id: &str, user: &str) -> String {
    match DbUser::new(user) {
        Ok(user) => dbuser_arn(&site.region, site.account.as_str(), id, &user),
        Err(_) => String::new(),
    }
}

fn exact(account: &Account<'_>, holder: &Holder<'_>, place: &str, arn: &str) -> Option<Finding> {
    let may = holder.may_connect(arn);
    let ["arn", partition, "rds-db", region, owner, resource] = *arn.splitn(6, ':').collect::<Vec<_>>()
    else {
        return None;
    };
    let (id, user) = resource.strip_prefix("dbuser:")?.split_once('/')?;
    if may == May::No || partition != account.found.partition || owner != account.found.account.as_str() {
        return None;
    }
    let here: Vec<_> = account
        .sites
        .iter()
        .filter(|site| site.region.as_str() == region)
        .collect();
    let told = |kind, cluster, what: String, mend| Finding {
        kind,
        cluster,
        database: None,
        subject: holder.shown(),
        what,
        mend,
    };
    let take = format!("take `{arn}` out of {place} of {}", holder.shown());
    let Some(site) = here.iter().find(|site| site.resource_ids.contains(id)) else {
        let is_known = account.facts.other_ids.contains(id) || here.is_empty();
        let what = format!(
            "{place} lets it be {user:?} of `{id}`, which is no cluster of the manifest or the configuration"
        );
        let mend = Mend::Edit(format!(
            "{take}, or add the resource id to the manifest if the cluster has a new one"
        ));
        return (!is_known).then(|| told(Kind::StaleResourceId, only_cluster(account), what, mend));
    };
    let is_provisioner = site.cluster.provisioner.as_str() == user;
    let mut of_provisioner = site.cluster.provisioner_principals.iter();
    let is_left_alone = match is_provisioner {
        true => of_provisioner.any(|known| is_same(known.as_str(), holder.arn)),
        false => site.cluster.unmanaged.iter().any(|known| known.as_str() == user),
    };
    let entitled = account
        .entitled
        .get(holder.arn)
        .is_some_and(|arns| arns.contains(arn));
    if is_left_alone || entitled {
        return None;
    }
    let (cluster, condition) = (Some(site.name.clone()), under(may));
    if exists(account.facts, site, user) == Some(false) {
        let what = format!("{place} lets it be db user {user:?}{condition}, who does not exist");
        return Some(told(Kind::PolicyForMissingUser, cluster, what, Mend::Edit(take)));
    }
    let whom = if is_provisioner {
        "the provisioner"
    } else {
        "db user"
    };
    let what = format!("{place} lets it be {whom} {user:?}{condition}, and the manifest does not");
    let (key, table) = match is_provisioner {
        true => ("provisioner_principals", format!("[clusters.{}]", site.name)),
        false => ("principals", format!("[clusters.{}.users.{user:?}]", site.name)),
    };
    let mend = Mend::Edit(format!("{take}, or add `{}` to `{key}` of {table}", holder.arn));
    Some(told(Kind::ExtraPolicy, cluster, what, mend))
}
