//! Db users of the manifest.

use super::arn::PrincipalArn;
use super::node::{Entry, Node};
use super::types::{DbUserEntry, Grant};
use super::{FEW_MAX, MANY_MAX, cluster, names};
use crate::domain::name::DbUser;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;
use toml_edit::Item;

/// Longest value of a setting: more than any is.
const VALUE_BYTES_MAX: usize = 1_024;
/// Settings that dbproxy gives itself, or that would make a user somebody else.
const RESERVED: [&str; 2] = ["role", "session_authorization"];

pub fn all(cluster: &mut Node<'_>) -> BTreeMap<DbUser, DbUserEntry> {
    let mut users = BTreeMap::new();
    for (name, node) in cluster.tables("users", MANY_MAX) {
        let key = node.key().to_owned();
        let mistakes = node.mistakes;
        let user = read(node);
        if let Some(name) = mistakes.keep(&key, None, cluster::db_user(&name)) {
            users.insert(name, user);
        }
    }
    users
}

fn read(mut node: Node<'_>) -> DbUserEntry {
    let user = DbUserEntry {
        roles: grants(&mut node),
        connection_limit: node.integer("connection_limit", 0..=cluster::CONNECTIONS_MAX),
        settings: settings(&mut node),
        rds_iam: node.boolean("rds_iam").unwrap_or(true),
        principals: principals(&mut node),
        was: node.parsed("was", names::role),
    };
    node.finish();
    user
}

/// `"role"`, or `{ role = "role", until = … }`.
fn grants(node: &mut Node<'_>) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    let mut seen = BTreeSet::new();
    let what = "a list of roles, such as [\"read_only\", { role = \"owner\", until = 2026-12-01T00:00:00Z }]";
    for entry in node.list("roles", FEW_MAX, what).unwrap_or_default() {
        let (grant, place) = match entry {
            Entry::Text(text) => {
                let role = node.keep("roles", Some(&text), cluster::db_role(&text));
                let place = node.mistakes.offset(&node.key_of("roles"), Some(&text));
                (role.map(|role| Grant { role, until: None }), place)
            }
            Entry::Table(table) => {
                let place = node.mistakes.offset(table.key(), None);
                (ending(table), place)
            }
        };
        let Some(grant) = grant else {
            continue;
        };
        let key = node.key_of("roles");
        node.mistakes.remember(&key, Some(grant.role.as_str()), place);
        match seen.insert(grant.role.clone()) {
            true => grants.push(grant),
            false => node
                .mistakes
                .at(place, &key, format_args!("`{}` is listed twice", grant.role)),
        }
    }
    grants
}

fn ending(mut node: Node<'_>) -> Option<Grant> {
    let role = node.parsed("role", cluster::db_role);
    let until = node.datetime("until");
    if !node.has("role") {
        node.wrong("role", "is missing");
    }
    node.finish();
    role.map(|role| Grant { role, until })
}

/// `"arn:…"`, or `{ arn = "arn:…", until = … }`.
fn principals(node: &mut Node<'_>) -> BTreeMap<PrincipalArn, Option<SystemTime>> {
    let mut principals = BTreeMap::new();
    let what = "a list of ARNs, such as [\"arn:aws:iam::111122223333:role/app\"]";
    for entry in node.list("principals", FEW_MAX, what).unwrap_or_default() {
        let (arn, until, place) = match entry {
            Entry::Text(text) => {
                let place = node.mistakes.offset(&node.key_of("principals"), Some(&text));
                let arn = node.keep("principals", Some(&text), PrincipalArn::new(&text));
                (arn, None, place)
            }
            Entry::Table(mut table) => {
                let place = node.mistakes.offset(table.key(), None);
                let arn = table.parsed("arn", PrincipalArn::new);
                let until = table.datetime("until");
                if !table.has("arn") {
                    table.wrong("arn", "is missing");
                }
                table.finish();
                (arn, until, place)
            }
        };
        let Some(arn) = arn else {
            continue;
        };
        let key = node.key_of("principals");
        node.mistakes.remember(&key, Some(arn.as_str()), place);
        match principals.contains_key(&arn) {
            true => node
                .mistakes
                .at(place, &key, format_args!("`{arn}` is listed twice")),
            false => {
                principals.insert(arn, until);
            }
        }
    }
    principals
}

fn settings(node: &mut Node<'_>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let Some(table) = node.table("settings") else {
        return settings;
    };
    for (name, item) in table.entries(FEW_MAX) {
        let folded = name.to_ascii_lowercase();
        if !names::is_setting(&name) {
            table.wrong(
                &name,
                "is no name of a setting, such as `statement_timeout` or `myapp.tenant`",
            );
        } else if RESERVED.contains(&folded.as_str()) {
            table.wrong(
                &name,
                "is set by dbproxy alone, for users that have an owner role",
            );
        } else if let Some(value) = table.keep(&name, None, value(item))
            && settings.insert(folded, value).is_some()
        {
            table.wrong(&name, "is given twice: settings differ by more than case");
        }
    }
    settings
}

fn value(item: &Item) -> Result<String, String> {
    let text = item.as_str().map(str::to_owned);
    let text = text.or_else(|| item.as_integer().map(|number| number.to_string()));
    let text = text.or_else(|| item.as_bool().map(|on| if on { "on" } else { "off" }.to_owned()));
    match text {
        Some(text) if text.len() > VALUE_BYTES_MAX => Err(format!("longer than {VALUE_BYTES_MAX} bytes")),
        Some(text) if text.contains('\0') => Err("contains a NUL byte".to_owned()),
        Some(text) => Ok(text),
        None => Err(format!(
            "expected a string, a whole number, true or false, found {}; write others as strings",
            item.type_name()
        )),
    }
}
