//! The catalogs of a cluster, read for who can reach what; changes nothing.
//!
//! Who has which privilege, the server's own functions say: they know what is inherited, owned and everybody's.

mod foreign;
mod inside;

use super::facts::{DatabaseFacts, Facts, OnDatabase};
use crate::provision::doors::Doors;
use crate::provision::inspect::rows::Snapshot;
use crate::provision::inspect::{InspectError, inspect, is_shut};
use crate::provision::name::{Database, RoleName};
use crate::provision::session::{self, SessionError};
use crate::provision::sql::literal;
use crate::provision::wanted::{Privilege, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// Looks into every database that lets the provisioner in. `progress` is told the name of each.
pub async fn look(
    doors: &impl Doors,
    wanted: &Wanted,
    mut progress: impl FnMut(&Database),
) -> Result<Facts, InspectError> {
    let cluster = inspect(doors, &BTreeSet::new()).await?;
    let is_user = |name: &RoleName| match (cluster.roles.get(name), wanted.roles.get(name)) {
        (Some(_), Some(role)) => role.login,
        (Some(role), None) => role.marked && role.login,
        (None, _) => false,
    };
    let users: BTreeSet<RoleName> = cluster
        .roles
        .keys()
        .filter(|name| is_user(name))
        .cloned()
        .collect();
    let mut facts = Facts {
        cluster,
        users,
        databases: BTreeMap::new(),
    };
    let faces: BTreeSet<RoleName> = facts.users.iter().flat_map(|user| facts.faces(user)).collect();
    let faces = array(&faces);
    let mut session = session::open(doors, None).await?;
    facts.databases = databases(&Snapshot::of(&mut session.client).await?, &faces).await?;
    drop(session);
    for (name, found) in &mut facts.databases {
        progress(name);
        let mut session = match session::open(doors, Some(name)).await {
            Err(SessionError::Open(error)) if is_shut(&error) => continue,
            opened => opened?,
        };
        let snapshot = Snapshot::of(&mut session.client).await?;
        found.inside = Some(inside::read(&snapshot, &faces).await?);
    }
    Ok(facts)
}

/// As SQL writes them.
fn array(roles: &BTreeSet<RoleName>) -> String {
    let names: Vec<String> = roles.iter().map(literal).collect();
    format!("ARRAY[{}]::text[]", names.join(", "))
}

/// Unlike for plans, templates count: who may enter them may enter them.
async fn databases(
    snapshot: &Snapshot<'_>,
    faces: &str,
) -> Result<BTreeMap<Database, DatabaseFacts>, InspectError> {
    let sql = "SELECT d.datname::text, pg_get_userbyid(d.datdba)::text, \
        array(SELECT x.privilege_type::text FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x \
            WHERE x.grantee = 0) FROM pg_database d WHERE d.datallowconn";
    let mut databases = BTreeMap::new();
    for mut row in snapshot.rows("the databases", sql).await? {
        let (name, owner, public) = (row.database()?, row.role()?, row.take::<Vec<String>>()?);
        let known = Privilege::ALL.into_iter();
        let facts = DatabaseFacts {
            owner,
            public: known
                .filter(|one| public.iter().any(|name| name == one.as_str()))
                .collect(),
            by_role: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            inside: None,
        };
        databases.extend(name.map(|name| (name, facts)));
    }
    rights(snapshot, faces, &mut databases).await?;
    subscriptions(snapshot, &mut databases).await?;
    Ok(databases)
}

async fn rights(
    snapshot: &Snapshot<'_>,
    faces: &str,
    databases: &mut BTreeMap<Database, DatabaseFacts>,
) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT d.datname::text, r.rolname::text, has_database_privilege(r.oid, d.oid, 'CONNECT'), \
         has_database_privilege(r.oid, d.oid, 'CREATE'), pg_has_role(r.oid, d.datdba, 'USAGE') \
         FROM pg_database d CROSS JOIN pg_roles r WHERE d.datallowconn AND r.rolname = ANY ({faces})"
    );
    for mut row in snapshot.rows("who may enter which database", &sql).await? {
        let (name, role) = (row.database()?, row.role()?);
        let rights = OnDatabase {
            connect: row.take()?,
            create: row.take()?,
            own: row.take()?,
        };
        if let Some(database) = name.and_then(|name| databases.get_mut(&name)) {
            database.by_role.insert(role, rights);
        }
    }
    Ok(())
}

async fn subscriptions(
    snapshot: &Snapshot<'_>,
    databases: &mut BTreeMap<Database, DatabaseFacts>,
) -> Result<(), InspectError> {
    let sql = "SELECT d.datname::text, s.subname::text, pg_get_userbyid(s.subowner)::text \
        FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid";
    for mut row in snapshot.rows("the subscriptions", sql).await? {
        let (name, subscription, owner) = (row.database()?, row.take()?, row.role()?);
        if let Some(database) = name.and_then(|name| databases.get_mut(&name)) {
            database.subscriptions.insert(subscription, owner);
        }
    }
    Ok(())
}
