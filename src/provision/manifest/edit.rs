//! Changes of a manifest that look as if its owner had written them: comments, order and manner stay.

mod list;
mod place;

use super::arn::PrincipalArn;
use super::problems::Problems;
use super::types::{Cluster, Manifest};
use crate::domain::name::{DbRole, DbUser, TargetName};
use std::time::SystemTime;
use toml_edit::{Datetime, DocumentMut, InlineTable, Item, Value};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a manifest was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("{0}")]
    Before(#[source] Problems),
    #[error("the manifest has no cluster `{0}`")]
    NoCluster(TargetName),
    #[error("cluster `{cluster}` has no db role `{role}`; it has {known}")]
    NoRole {
        cluster: TargetName,
        role: DbRole,
        known: String,
    },
    #[error("cluster `{cluster}` has no db user `{user}`")]
    NoUser { cluster: TargetName, user: DbUser },
    #[error("db user `{user}` does not have the role `{role}`")]
    NotGranted { user: DbUser, role: DbRole },
    #[error("{0} is a moment that cannot be written")]
    Moment(String),
    /// A way of writing that was not foreseen; the file is as it was.
    #[error("`{0}` is written in a manner that dbproxy cannot change; change it by hand")]
    Manner(String),
    #[error("with this change, {0}")]
    After(#[source] Problems),
}

/// What a grant may say beyond user and role.
#[derive(Debug, Clone, Default)]
pub struct GrantOptions {
    /// Whole seconds; absent: for good.
    pub until: Option<SystemTime>,
    /// May be the user, by IAM: as long as the role is granted, unless it may be already for good.
    pub principal: Option<PrincipalArn>,
}

/// Gives a user a role, and declares the user if it is new. A grant that is there already changes nothing.
pub fn grant(
    text: &str,
    cluster: &TargetName,
    user: &DbUser,
    role: &DbRole,
    options: &GrantOptions,
    now: SystemTime,
) -> Result<String, EditError> {
    let manifest = super::read(text, now).map_err(EditError::Before)?;
    let declared = declared(&manifest, cluster)?;
    if !declared.roles.contains_key(role) {
        let known: Vec<_> = declared.roles.keys().map(|role| format!("`{role}`")).collect();
        return Err(EditError::NoRole {
            cluster: cluster.clone(),
            role: role.clone(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    }
    let until = options.until.map(moment).transpose()?;
    let entry = declared.users.get(user);
    let is_granted = entry.is_some_and(|entry| {
        let mut grants = entry.roles.iter();
        grants.any(|grant| grant.role == *role && grant.until.map(moment).transpose() == Ok(until))
    });
    let principal = options.principal.as_ref();
    let principal = principal.filter(|arn| {
        let present = entry.and_then(|entry| entry.principals.get(arn));
        match present {
            None => true,
            Some(None) => false,
            Some(Some(end)) => moment(*end).map(Some) != Ok(until),
        }
    });
    if is_granted && principal.is_none() {
        return Ok(text.to_owned());
    }
    change(text, now, |document| {
        let user = place::user(document, cluster, user)?;
        if !is_granted {
            list::put(
                place::list(user, "roles")?,
                role.as_str(),
                written("role", role.as_str(), until),
            );
        }
        if let Some(principal) = principal {
            list::put(
                place::list(user, "principals")?,
                principal.as_str(),
                written("arn", principal.as_str(), until),
            );
        }
        Some(())
    })
    .and_then(|changed| changed.ok_or_else(|| manner(cluster, user)))
}

/// Takes a role from a user, or takes the user out of the manifest, also where accounts of others may be it.
pub fn revoke(
    text: &str,
    cluster: &TargetName,
    user: &DbUser,
    role: Option<&DbRole>,
    now: SystemTime,
) -> Result<String, EditError> {
    let manifest = super::read(text, now).map_err(EditError::Before)?;
    let entry = declared(&manifest, cluster)?.users.get(user);
    let entry = entry.ok_or_else(|| EditError::NoUser {
        cluster: cluster.clone(),
        user: user.clone(),
    })?;
    if let Some(role) = role.filter(|role| !entry.roles.iter().any(|grant| grant.role == **role)) {
        return Err(EditError::NotGranted {
            user: user.clone(),
            role: role.clone(),
        });
    }
    let changed = change(text, now, |document| match role {
        Some(role) => {
            let user = place::user(document, cluster, user)?;
            list::take(place::list(user, "roles")?, role.as_str());
            Some(())
        }
        None => place::remove_user(document, cluster, user),
    })?;
    changed.ok_or_else(|| manner(cluster, user))
}

fn declared<'m>(manifest: &'m Manifest, cluster: &TargetName) -> Result<&'m Cluster, EditError> {
    let found = manifest.clusters.get(cluster);
    found.ok_or_else(|| EditError::NoCluster(cluster.clone()))
}

fn manner(cluster: &TargetName, user: &DbUser) -> EditError {
    EditError::Manner(format!("clusters.{cluster}.users.{user}"))
}

/// `"role"`, or `{ role = "role", until = … }`.
fn written(key: &str, name: &str, until: Option<Datetime>) -> Value {
    let Some(until) = until else {
        return name.into();
    };
    let mut table = InlineTable::new();
    table.insert(key, name.into());
    table.insert("until", until.into());
    table.into()
}

fn moment(time: SystemTime) -> Result<Datetime, EditError> {
    let wrong = || EditError::Moment(format!("{time:?}"));
    let stamp = jiff::Timestamp::try_from(time).map_err(|_| wrong())?;
    let stamp = jiff::Timestamp::from_second(stamp.as_second()).map_err(|_| wrong())?;
    stamp.to_string().parse().map_err(|_| wrong())
}

/// Changes the text, and reads what has become of it. `None`: the change could not be made.
fn change(
    text: &str,
    now: SystemTime,
    edit: impl FnOnce(&mut Item) -> Option<()>,
) -> Result<Option<String>, EditError> {
    let (mark, body) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(body) => (true, body),
        None => (false, text),
    };
    // The editor knows LF alone.
    let windows = body.matches('\n').count() == body.matches("\r\n").count();
    let Ok(mut document) = body.replace("\r\n", "\n").parse::<DocumentMut>() else {
        return Ok(None);
    };
    if edit(document.as_item_mut()).is_none() {
        return Ok(None);
    }
    let mut changed = document.to_string();
    if windows {
        changed = changed.replace('\n', "\r\n");
    }
    if mark {
        changed.insert(0, BYTE_ORDER_MARK);
    }
    super::read(&changed, now).map_err(EditError::After)?;
    Ok(Some(changed))
}
