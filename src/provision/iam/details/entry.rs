//! Entries of the lists: users, groups, roles, policies.

use super::Account;
use super::fields::{At, Mistaken};
use crate::provision::iam::found::{FoundHeld, FoundManaged, FoundPrincipal, FoundRole};
use crate::provision::manifest::arn::AccountId;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

pub type Reader = fn(&mut Account, String, &At<'_>, &mut Mistaken);
pub type Key = (String, AccountId);

pub fn user(account: &mut Account, arn: String, entry: &At<'_>, mistaken: &mut Mistaken) {
    let groups = entry.value("GroupList").and_then(Value::as_array);
    let groups = groups
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    account.members.entry(arn.clone()).or_default().extend(groups);
    let principal = FoundPrincipal {
        held: held(entry, "UserPolicyList", mistaken),
        groups: BTreeSet::new(),
        role: None,
    };
    account.principals.insert(arn, principal);
}

pub fn group(account: &mut Account, arn: String, entry: &At<'_>, mistaken: &mut Mistaken) {
    account
        .groups
        .insert(arn, held(entry, "GroupPolicyList", mistaken));
}

pub fn role(account: &mut Account, arn: String, entry: &At<'_>, mistaken: &mut Mistaken) {
    let Some(trust) = entry.document("AssumeRolePolicyDocument", mistaken) else {
        return;
    };
    let tags = entry.list("Tags", mistaken).into_iter();
    let tags = tags.filter_map(|tag| Some((tag.text("Key")?.to_owned(), tag.text("Value")?.to_owned())));
    let role = FoundRole {
        trust,
        tags: tags.collect(),
        max_session: entry
            .value("MaxSessionDuration")
            .and_then(Value::as_u64)
            .map(Duration::from_secs),
    };
    let principal = FoundPrincipal {
        held: held(entry, "RolePolicyList", mistaken),
        groups: BTreeSet::new(),
        role: Some(role),
    };
    account.principals.insert(arn, principal);
}

fn held(entry: &At<'_>, inline: &str, mistaken: &mut Mistaken) -> FoundHeld {
    let mut held = FoundHeld::default();
    for policy in entry.list(inline, mistaken) {
        let name = policy.required("PolicyName", mistaken);
        let document = policy.document("PolicyDocument", mistaken);
        held.inline.extend(name.map(str::to_owned).zip(document));
    }
    for policy in entry.list("AttachedManagedPolicies", mistaken) {
        held.attached
            .extend(policy.required("PolicyArn", mistaken).map(str::to_owned));
    }
    held
}

pub fn policy(entry: &At<'_>, mistaken: &mut Mistaken) -> Option<(String, FoundManaged)> {
    let arn = entry.required("Arn", mistaken)?.to_owned();
    let default = entry.required("DefaultVersionId", mistaken)?;
    let versions = entry.list("PolicyVersionList", mistaken);
    let is_default = |version: &&At<'_>| version.text("VersionId") == Some(default);
    let Some(chosen) = versions.iter().find(is_default) else {
        mistaken.add(
            &entry.place("PolicyVersionList"),
            &format!("has not the default version `{default}`"),
        );
        return None;
    };
    let document = chosen.document("Document", mistaken)?;
    let others = versions.iter().filter_map(|version| version.text("VersionId"));
    let others = others.filter(|id| *id != default);
    let policy = FoundManaged {
        name: entry
            .text("PolicyName")
            .unwrap_or_else(|| name_of(&arn))
            .to_owned(),
        document,
        versions: std::iter::once(default)
            .chain(others)
            .map(str::to_owned)
            .collect(),
    };
    Some((arn, policy))
}

pub fn arn(entry: &At<'_>, mistaken: &mut Mistaken) -> Option<(Key, String)> {
    let arn = entry.required("Arn", mistaken)?;
    let key = account_of(arn);
    if key.is_none() {
        mistaken.add(&entry.place("Arn"), &format!("`{arn}` is not an ARN of IAM"));
    }
    Some((key?, arn.to_owned()))
}

pub fn account_of(arn: &str) -> Option<Key> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match *parts.as_slice() {
        ["arn", partition, "iam", _, account, _] => Some((partition.to_owned(), AccountId::new(account)?)),
        _ => None,
    }
}

pub fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
