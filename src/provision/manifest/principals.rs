//! IAM roles of the database's account that other accounts may assume.

use super::arn::{PrincipalArn, is_name};
use super::node::Node;
use super::types::CrossAccount;
use super::{FEW_MAX, cluster};
use crate::domain::written::duration;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long an assumed role lives (AWS STS API Reference, `AssumeRole`).
const SESSION: RangeInclusive<Duration> = Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 3600);
const SESSION_DEFAULT: Duration = Duration::from_secs(3600);

pub fn cross_account(cluster: &mut Node<'_>) -> Vec<CrossAccount> {
    let tables = cluster.table_list("cross_account", FEW_MAX);
    tables.into_iter().map(read).collect()
}

fn read(mut node: Node<'_>) -> CrossAccount {
    let name = node.parsed("name", |text| match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}`: an IAM role has 1 to 64 of letters, digits and _+=,.@-"
        )),
    });
    let trusts = node.set("trusts", FEW_MAX, PrincipalArn::new);
    let external_id = node.parsed("external_id", external_id);
    let users = node.set("users", FEW_MAX, cluster::db_user);
    let max_session = node.parsed("max_session", session).unwrap_or(SESSION_DEFAULT);
    for (name, why) in [
        ("name", "is missing: what the IAM role is called"),
        (
            "trusts",
            "is missing: the principals of other accounts that may assume the role",
        ),
        (
            "external_id",
            "is missing: a random text that those who assume the role must know",
        ),
        ("users", "is missing: the db users that the role may be"),
    ] {
        if !node.has(name) {
            node.wrong(name, why);
        }
    }
    if trusts.as_ref().is_some_and(std::collections::BTreeSet::is_empty) {
        node.wrong("trusts", "names nobody");
    }
    if users.as_ref().is_some_and(std::collections::BTreeSet::is_empty) {
        node.wrong("users", "names nobody");
    }
    node.finish();
    CrossAccount {
        name: name.unwrap_or_default(),
        trusts: trusts.unwrap_or_default(),
        external_id: external_id.unwrap_or_default(),
        users: users.unwrap_or_default(),
        max_session,
    }
}

/// AWS STS API Reference, `AssumeRole`.
fn external_id(text: &str) -> Result<String, &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    match (2..=1_224).contains(&text.len()) && text.bytes().all(legal) {
        true => Ok(text.to_owned()),
        false => Err("is not 2 to 1224 of letters, digits and _+=,.@:/-"),
    }
}

fn session(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    match SESSION.contains(&length) {
        true => Ok(length),
        false => Err(format!("`{text}`: a role's session lives 15m to 12h")),
    }
}
