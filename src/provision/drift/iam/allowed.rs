//! What a principal is allowed, and should not be.

use super::holder::Holder;
use super::pattern::Pattern;
use super::rule::{May, Rule};
use super::{Account, exists};
use crate::domain::name::DbUser;
use crate::platform::aws::policy_document::dbuser_arn;
use crate::provision::drift::finding::{Finding, Mend};
use crate::provision::drift::kind::Kind;
use crate::provision::iam::Site;
use std::collections::BTreeSet;

/// A name and a resource id that nothing has: what covers these covers everything.
const ANY_USER: &str = "(any)";
const ANY_ID: &str = "(any)";
/// Names that a sentence lists.
const SHOWN_MAX: usize = 5;

pub fn findings(account: &Account<'_>, holder: &Holder<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, rule) in holder.connect.iter().filter(|(_, rule)| rule.allows) {
        if rule.resources.is_not {
            findings.extend(wild(account, holder, place, rule, None));
            continue;
        }
        for pattern in &rule.resources.patterns {
            match pattern.only() {
                None => findings.extend(wild(account, holder, place, rule, Some(pattern))),
                Some(arn) => findings.extend(exact(account, holder, place, &arn)),
            }
        }
    }
    findings
}

fn under(may: May) -> &'static str {
    match may {
        May::UnderCondition => " under a condition",
        May::Yes | May::No => "",
    }
}

/// `pattern`: none of `NotResource`.
fn wild(
    account: &Account<'_>,
    holder: &Holder<'_>,
    place: &str,
    rule: &Rule,
    pattern: Option<&Pattern>,
) -> Option<Finding> {
    let fits = |arn: &str| match pattern {
        Some(pattern) => pattern.fits(arn),
        None => rule.resources.covers(arn, true),
    };
    let mut covered = Vec::new();
    let mut most = May::No;
    for site in &account.sites {
        let names = names(account, site, pattern);
        let covers = |user: &str, most: &mut May| {
            let arns = arns(site, user);
            let may = arns
                .iter()
                .filter(|arn| fits(arn))
                .map(|arn| holder.may_connect(arn))
                .max();
            *most = may.unwrap_or(May::No).max(*most);
            may.is_some_and(|may| may != May::No)
        };
        if covers(ANY_USER, &mut most) {
            covered.push(format!("every db user of cluster {}", site.name));
            continue;
        }
        let some: Vec<String> = names
            .iter()
            .filter(|name| covers(name, &mut most))
            .cloned()
            .collect();
        if !some.is_empty() {
            covered.push(format!("{} of cluster {}", few(&some), site.name));
        }
    }
    let elsewhere = account.sites.first().is_some_and(|site| {
        let arn = arn(site, ANY_ID, ANY_USER);
        fits(&arn) && holder.may_connect(&arn) != May::No
    });
    if elsewhere {
        covered.push("every other cluster of the account, those to come included".to_owned());
    }
    if covered.is_empty() {
        return None;
    }
    let condition = if rule.has_condition {
        " under a condition"
    } else {
        under(most)
    };
    let by = match pattern {
        Some(pattern) => format!("Resource `{}`", pattern.text),
        None => "NotResource".to_owned(),
    };
    let action = match rule.actions.is_not {
        true => " with NotAction".to_owned(),
        false => {
            let own = rule
                .actions
                .patterns
                .iter()
                .find(|action| action.fits(super::CONNECT));
            let own = own.map_or("", |action| action.text.as_str());
            if own == super::CONNECT {
                String::new()
            } else {
                format!(" with Action `{own}`")
            }
        }
    };
    let what = format!(
        "{place} allows rds-db:connect{condition} by {by}{action}: it covers {}",
        covered.join("; ")
    );
    Some(Finding {
        kind: Kind::WildcardArn,
        cluster: only_cluster(account),
        database: None,
        subject: holder.shown(),
        what,
        mend: Mend::Edit(format!(
            "put exact ARNs there (`dbproxy iam-policy` prints those of the manifest), or name `{}` in \
             `unmanaged_principals` of the cluster if it is known and right",
            holder.arn
        )),
    })
}

/// Where the account has but one cluster in the manifest, it is about that one.
fn only_cluster(account: &Account<'_>) -> Option<crate::domain::name::TargetName> {
    match account.sites.as_slice() {
        [site] => Some(site.name.clone()),
        _ => None,
    }
}

/// Db users that a pattern may mean: those that are known, and the one that it spells out.
fn names(account: &Account<'_>, site: &Site<'_>, pattern: Option<&Pattern>) -> BTreeSet<String> {
    let declared = site.cluster.users.iter().filter(|(_, user)| user.rds_iam);
    let mut names: BTreeSet<String> = declared.map(|(name, _)| name.to_string()).collect();
    names.insert(site.cluster.provisioner.to_string());
    if let Some(inspected) = account.facts.inspected.get(site.name) {
        let logins = inspected.roles.iter().filter(|(_, role)| role.login);
        names.extend(logins.map(|(name, _)| name.to_string()));
    }
    let spelled = pattern.and_then(|pattern| pattern.text.rsplit_once('/'));
    names.extend(spelled.and_then(|(_, name)| Pattern::new(name).only()));
    names
}

fn few(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN_MAX);
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN_MAX)
        .map(|name| format!("{name:?}"))
        .collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn arns(site: &Site<'_>, user: &str) -> Vec<String> {
    site.resource_ids.iter().map(|id| arn(site, id, user)).collect()
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
    let is_left_alone = site.cluster.provisioner.as_str() == user
        || site.cluster.unmanaged.iter().any(|known| known.as_str() == user);
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
    let what = format!("{place} lets it be db user {user:?}{condition}, and the manifest does not");
    let mend = Mend::Edit(format!(
        "{take}, or add `{}` to `principals` of [clusters.{}.users.{user:?}]",
        holder.arn, site.name
    ));
    Some(told(Kind::ExtraPolicy, cluster, what, mend))
}
