//! What a principal should be allowed, and is not; and users whom nobody can be.

use super::allowed::arn;
use super::holder::{about, shown};
use super::rule::{May, may};
use super::{Account, CONNECT, wanted};
use crate::domain::name::TargetName;
use crate::provision::drift::finding::{Finding, Mend, shell};
use crate::provision::drift::kind::Kind;
use crate::provision::drift::logins::Ways;
use crate::provision::iam::document::ASSUME;
use crate::provision::iam::{Bundle, Placement, Site};
use crate::provision::name::RDS_IAM;
use crate::provision::sql::identifier;
use std::collections::BTreeSet;

pub fn findings(account: &Account<'_>) -> Vec<Finding> {
    let missing = account.bundles().flat_map(|bundle| missing(account, bundle));
    let alone = account.sites.iter().flat_map(|site| nobody(account, site));
    missing.chain(alone).collect()
}

fn missing(account: &Account<'_>, bundle: &Bundle) -> Vec<Finding> {
    let holder = bundle.holder.to_string();
    let told = |cluster, what| Finding {
        kind: Kind::MissingPolicy,
        cluster,
        database: None,
        subject: shown(&holder),
        what,
        mend: mend(bundle),
    };
    let Some((_, principal)) = account.principal(&holder) else {
        let what = format!("`{holder}`, which the manifest names, does not exist");
        return vec![told(None, what)];
    };
    let mut findings = Vec::new();
    for action in [CONNECT].iter().chain(&ASSUME) {
        let rules = about(account.found, principal, action);
        let rules = || rules.iter().map(|(_, rule)| rule);
        let lacking = wanted(bundle, action).filter(|arn| may(rules(), arn) == May::No);
        for arn in lacking {
            let what = format!("is not allowed {action} on `{arn}`, which the manifest gives it");
            findings.push(told(cluster_of(account, arn), what));
        }
    }
    findings
}

fn mend(bundle: &Bundle) -> Mend {
    let holder = &bundle.holder;
    match bundle.placement {
        Placement::PermissionSet => Mend::Edit(format!(
            "put what `dbproxy iam-policy --principal {holder}` prints into the inline policy of the permission set"
        )),
        Placement::Inline | Placement::Managed => Mend::Edit(format!(
            "run what `dbproxy iam-policy --principal {holder} --format cli` prints"
        )),
    }
}

/// The cluster of a db user's ARN.
fn cluster_of(account: &Account<'_>, arn: &str) -> Option<TargetName> {
    let is_of = |site: &&&Site<'_>| {
        let mut ids = site.resource_ids.iter();
        ids.any(|id| arn.contains(&format!(":dbuser:{id}/")))
    };
    let site = account.sites.iter().find(is_of)?;
    Some(site.name.clone())
}

/// Those that are known and left alone, such as administrators, do not count: they may be everybody.
fn nobody(account: &Account<'_>, site: &Site<'_>) -> Vec<Finding> {
    let declared = site.cluster.users.iter().filter(|(_, user)| user.rds_iam);
    let mut users: BTreeSet<&str> = declared.map(|(name, _)| name.as_str()).collect();
    if let Some(inspected) = account.facts.inspected.get(site.name) {
        let ways = Ways::new(inspected);
        let by_iam = inspected.roles.iter().filter(|(name, role)| {
            let text = name.as_str();
            role.login
                && !role.superuser
                && text != site.cluster.provisioner.as_str()
                && !site.cluster.unmanaged.contains(*name)
                && !site.cluster.users.keys().any(|user| user.as_str() == text)
                && ways.to_rds_iam(name).is_some()
        });
        users.extend(by_iam.map(|(name, _)| name.as_str()));
    }
    let counted = || {
        let holders = account.holders.iter();
        holders.filter(|holder| !holder.connect.is_empty() && !account.is_known_and_left_alone(holder.arn))
    };
    let alone = users.into_iter().filter(|user| {
        let can_be = |id: &String| {
            let arn = arn(site, id, user);
            counted().any(|holder| holder.may_connect(&arn) != May::No)
        };
        !site.resource_ids.iter().any(can_be)
    });
    let told = |user: &str| Finding {
        kind: Kind::UserNobodyCanBe,
        cluster: Some(site.name.clone()),
        database: None,
        subject: format!("db user {user:?}"),
        what: format!(
            "no role or user of account {} may be it: nobody can log in as it",
            account.found.account
        ),
        mend: nobody_mend(site, user),
    };
    alone.map(told).collect()
}

fn nobody_mend(site: &Site<'_>, user: &str) -> Mend {
    let (cluster, mut declared) = (site.name, site.cluster.users.keys());
    Mend::Edit(match declared.any(|known| known.as_str() == user) {
        true => format!(
            "add `principals` to [clusters.{cluster}.users.{user:?}] and apply their policies, or drop the user: \
             dbproxy revoke {} --cluster {cluster} --allow-destructive",
            shell(user)
        ),
        false => format!(
            "declare it with its `principals` as [clusters.{cluster}.users.{user:?}], name it in `unmanaged` of \
             [clusters.{cluster}], or let an administrator run: REVOKE {} FROM {};",
            identifier(RDS_IAM),
            identifier(user)
        ),
    })
}
