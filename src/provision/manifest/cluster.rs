//! One cluster of the manifest, and its databases.

use super::arn::{AccountId, PrincipalArn};
use super::node::Node;
use super::types::{Cluster, DatabaseEntry};
use super::{FEW_MAX, MANY_MAX, names, principals, role, user};
use crate::domain::endpoint::Region;
use crate::domain::name::{DbRole, DbUser};
use crate::provision::name::SchemaName;
use crate::provision::wanted::Need;
use std::collections::{BTreeMap, BTreeSet};

/// Most connections of one role or database (`MAX_BACKENDS` of PostgreSQL).
pub const CONNECTIONS_MAX: u32 = 262_143;
const PROVISIONER: &str = "dbproxy_provisioner";
const RESOURCE_PREFIXES: [&str; 3] = ["cluster-", "db-", "prx-"];

/// Reads leniently: what is wrong is told, and left out or taken by its default, so that it does not make more mistakes
/// than it is.
pub fn read(mut node: Node<'_>) -> Option<Cluster> {
    let account = node.parsed("account_id", |text| {
        AccountId::new(text).ok_or("is not the 12 digits of an AWS account")
    });
    let region = node.parsed("region", |text| {
        Region::new(text).ok_or_else(|| format!("`{text}` is not a region such as `eu-west-1`"))
    });
    let resource_ids = node.set("resource_ids", FEW_MAX, resource_id).unwrap_or_default();
    let past_ids = node.set("past_resource_ids", MANY_MAX, resource_id);
    let provisioner = node
        .parsed("provisioner", db_user)
        .or_else(|| DbUser::new(PROVISIONER).ok());
    let break_glass = node.set("break_glass", FEW_MAX, db_user).unwrap_or_default();
    let broker = node.set("broker_principals", FEW_MAX, PrincipalArn::new);
    let of_provisioner = node.set("provisioner_principals", FEW_MAX, PrincipalArn::new);
    let unmanaged = node
        .set("unmanaged", MANY_MAX, names::anybody)
        .unwrap_or_default();
    let principals = node.set("unmanaged_principals", MANY_MAX, PrincipalArn::new);
    let databases = node.tables("databases", FEW_MAX).into_iter();
    let databases = databases.filter_map(|(name, node)| {
        let key = node.key().to_owned();
        let mistakes = node.mistakes;
        let database = database(&name, node);
        Some((mistakes.keep(&key, None, names::database(&name))?, database?))
    });
    let cluster = Cluster {
        account,
        region,
        past_resource_ids: past_ids.unwrap_or_default(),
        resource_ids,
        provisioner: provisioner?,
        break_glass,
        broker_principals: broker.unwrap_or_default(),
        provisioner_principals: of_provisioner.unwrap_or_default(),
        unmanaged,
        unmanaged_principals: principals.unwrap_or_default(),
        databases: databases.collect(),
        roles: role::all(&mut node),
        users: user::all(&mut node),
        cross_account: principals::cross_account(&mut node),
    };
    judge_counts(&node, &cluster);
    node.finish();
    Some(cluster)
}

fn judge_counts(node: &Node<'_>, cluster: &Cluster) {
    if cluster.users.len().saturating_add(cluster.roles.len()) > MANY_MAX {
        node.wrong(
            "users",
            format_args!("roles and users together: the limit is {MANY_MAX}"),
        );
    }
}

fn database(name: &str, mut node: Node<'_>) -> Option<DatabaseEntry> {
    let owner = node.parsed("owner", |text| names::role(text).map(|_| text.to_owned()));
    // A name too long for this default is told when the role is looked for.
    let default = format!("{name}_owner");
    let named = owner.is_some();
    let owner = DbRole::new(owner.as_deref().unwrap_or(&default));
    if !named && owner.is_err() {
        node.wrong(
            "owner",
            format_args!("the default `{default}` is no name of a role: name the owner"),
        );
    }
    let schemas = node.set("schemas", FEW_MAX, names::schema);
    let public = || SchemaName::new("public").into_iter().collect::<BTreeSet<_>>();
    let database = DatabaseEntry {
        owner: owner.ok()?,
        connection_limit: node.integer("connection_limit", 0..=CONNECTIONS_MAX),
        extensions: extensions(&mut node),
        schemas: schemas.unwrap_or_else(public),
    };
    node.finish();
    Some(database)
}

fn extensions(node: &mut Node<'_>) -> BTreeMap<String, Need> {
    let mut found = BTreeMap::new();
    for text in node.strings("extensions", FEW_MAX).unwrap_or_default() {
        let (name, need) = match text.strip_suffix('?') {
            Some(name) => (name, Need::WhereAvailable),
            None => (text.as_str(), Need::Required),
        };
        if !names::is_extension(name) {
            let what = format_args!("`{text}` is not an extension such as `pg_trgm` or `pgaudit?`");
            node.item_wrong("extensions", Some(&text), what);
        } else if found.insert(name.to_owned(), need).is_some() {
            node.item_wrong(
                "extensions",
                Some(&text),
                format_args!("`{name}` is listed twice"),
            );
        }
    }
    found
}

pub fn db_user(text: &str) -> Result<DbUser, names::BadName> {
    names::role(text)?;
    DbUser::new(text).map_err(|error| names::BadName::Illegal(text.to_owned(), error))
}

pub fn db_role(text: &str) -> Result<DbRole, names::BadName> {
    names::role(text)?;
    DbRole::new(text).map_err(|error| names::BadName::Illegal(text.to_owned(), error))
}

fn resource_id(text: &str) -> Result<String, String> {
    let known = RESOURCE_PREFIXES.iter().any(|prefix| {
        let rest = text.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    });
    match known {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is not a resource id such as `cluster-ABC` or `db-ABC`; see the database's configuration page"
        )),
    }
}
