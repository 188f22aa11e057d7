//! What all databases of a cluster share.

use super::rows::{PRIVILEGES, Snapshot, privileges_of};
use super::{InspectError, VERSION_MIN};
use crate::provision::inspected::{
    Inspected, InspectedDatabase, InspectedMembership, InspectedRole, MARK, Server,
};
use crate::provision::name::{Database, RoleName};
use crate::provision::sql::literal;
use crate::provision::wanted::{Grants, MembershipOptions, SettingName};
use std::collections::{BTreeMap, BTreeSet};

type Roles = BTreeMap<RoleName, InspectedRole>;

pub(super) async fn read(snapshot: &Snapshot<'_>) -> Result<Inspected, InspectError> {
    let server = server(snapshot).await?;
    let mut roles = roles(snapshot).await?;
    memberships(snapshot, &server, &mut roles).await?;
    settings(snapshot, &mut roles).await?;
    Ok(Inspected {
        server,
        roles,
        databases: databases(snapshot).await?,
        dependencies: dependencies(snapshot).await?,
        creditors: creditors(snapshot).await?,
        closed: closed(snapshot).await?,
    })
}

const SERVER: &str = "SELECT current_setting('server_version_num')::int4, r.rolname::text, r.rolsuper, \
    r.rolcreaterole, r.rolcreatedb FROM pg_roles r WHERE r.rolname = session_user";

/// Whoever may create in a database may create a trusted extension, and one that needs no superuser.
const EXTENSIONS: &str = "SELECT e.name::text, bool_or(v.trusted OR NOT v.superuser) \
    FROM pg_available_extensions e JOIN pg_available_extension_versions v ON v.name = e.name \
    AND v.version = e.default_version GROUP BY e.name";

async fn server(snapshot: &Snapshot<'_>) -> Result<Server, InspectError> {
    let mut found = None;
    for mut row in snapshot.rows("the server's version", SERVER).await? {
        let version = u32::try_from(row.take::<i32>()?).unwrap_or_default();
        if version < VERSION_MIN {
            return Err(InspectError::TooOld(version));
        }
        found = Some(Server {
            version,
            provisioner: row.role()?,
            provisioner_is_superuser: row.take()?,
            provisioner_may_create_roles: row.take()?,
            provisioner_may_create_databases: row.take()?,
            available_extensions: BTreeMap::new(),
        });
    }
    let mut server = found.ok_or(InspectError::TooOld(0))?;
    for mut row in snapshot.rows("the available extensions", EXTENSIONS).await? {
        server.available_extensions.insert(row.take()?, row.take()?);
    }
    Ok(server)
}

async fn roles(snapshot: &Snapshot<'_>) -> Result<Roles, InspectError> {
    let sql = format!(
        "SELECT r.rolname::text, r.rolcanlogin, r.rolinherit, r.rolsuper, r.rolcreaterole, r.rolcreatedb, \
         r.rolreplication, r.rolbypassrls, r.rolconnlimit, \
         coalesce(shobj_description(r.oid, 'pg_authid') = {}, false) FROM pg_roles r",
        literal(MARK)
    );
    let mut roles = Roles::new();
    for mut row in snapshot.rows("the roles", &sql).await? {
        let name = row.role()?;
        let role = InspectedRole {
            login: row.take()?,
            inherit: row.take()?,
            superuser: row.take()?,
            create_role: row.take()?,
            create_db: row.take()?,
            replication: row.take()?,
            bypass_rls: row.take()?,
            connection_limit: row.limit()?,
            marked: row.take()?,
            ..InspectedRole::default()
        };
        roles.insert(name, role);
    }
    Ok(roles)
}

/// Before PostgreSQL 16 a member inherits if it inherits at all, and can always SET ROLE. There a grantor may be gone;
/// its name then says so.
async fn memberships(
    snapshot: &Snapshot<'_>,
    server: &Server,
    roles: &mut Roles,
) -> Result<(), InspectError> {
    let options = match server.has_membership_options() {
        true => "m.inherit_option, m.set_option",
        false => "u.rolinherit, true",
    };
    let sql = format!(
        "SELECT u.rolname::text, r.rolname::text, m.admin_option, {options}, pg_get_userbyid(m.grantor)::text \
         FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member \
         ORDER BY 1, 2, 6"
    );
    for mut row in snapshot.rows("the memberships", &sql).await? {
        let member = row.role()?;
        let membership = InspectedMembership {
            role: row.role()?,
            options: MembershipOptions {
                admin: row.take()?,
                inherit: row.take()?,
                set: row.take()?,
            },
            grantor: row.role()?,
        };
        if let Some(role) = roles.get_mut(&member) {
            role.member_of.push(membership);
        }
    }
    Ok(())
}

const SETTINGS: &str = "SELECT r.rolname::text, d.datname::text, s.setconfig FROM pg_db_role_setting s \
    JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase \
    WHERE s.setdatabase = 0 OR d.oid IS NOT NULL";

/// Of roles; what is set for a database alone is its owner's affair.
async fn settings(snapshot: &Snapshot<'_>, roles: &mut Roles) -> Result<(), InspectError> {
    for mut row in snapshot.rows("the settings of roles", SETTINGS).await? {
        let (role, database) = (row.role()?, row.database()?);
        let assignments: Vec<String> = row.take()?;
        let Some(role) = roles.get_mut(&role) else {
            continue;
        };
        for (name, value) in assignments.iter().filter_map(|text| text.split_once('=')) {
            let name = SettingName {
                database: database.clone(),
                name: name.to_owned(),
            };
            role.settings.insert(name, value.to_owned());
        }
    }
    Ok(())
}

async fn databases(snapshot: &Snapshot<'_>) -> Result<BTreeMap<Database, InspectedDatabase>, InspectError> {
    let sql = format!(
        "SELECT d.datname::text, pg_get_userbyid(d.datdba)::text, d.datconnlimit, {PRIVILEGES} \
         FROM pg_database d {} WHERE d.datallowconn AND NOT d.datistemplate",
        privileges_of("d.datacl", "'d'", "d.datdba")
    );
    let mut databases = BTreeMap::new();
    for mut row in snapshot.rows("the databases", &sql).await? {
        let Some(name) = row.database()? else {
            continue;
        };
        let (owner, connection_limit) = (row.role()?, row.limit()?);
        let database = databases.entry(name).or_insert(InspectedDatabase {
            owner,
            connection_limit,
            grants: Grants::new(),
            contents: None,
        });
        row.grants_into(&mut database.grants)?;
    }
    Ok(databases)
}

async fn closed(snapshot: &Snapshot<'_>) -> Result<BTreeSet<Database>, InspectError> {
    let sql = "SELECT datname::text FROM pg_database WHERE NOT datallowconn OR datistemplate";
    let mut closed = BTreeSet::new();
    for mut row in snapshot.rows("the databases", sql).await? {
        closed.extend(row.database()?);
    }
    Ok(closed)
}

const DEPENDENCIES: &str = "SELECT DISTINCT r.rolname::text, d.datname::text FROM pg_shdepend s \
    JOIN pg_roles r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid \
    WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype <> 'p' AND (s.dbid = 0 OR d.oid IS NOT NULL)";

/// Since PostgreSQL 16 a membership that a role has granted is one too.
async fn dependencies(
    snapshot: &Snapshot<'_>,
) -> Result<BTreeMap<RoleName, BTreeSet<Option<Database>>>, InspectError> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for mut row in snapshot.rows("what roles own", DEPENDENCIES).await? {
        found.entry(row.role()?).or_default().insert(row.database()?);
    }
    Ok(found)
}

/// Owners that are pinned (the first superuser, `pg_database_owner`) are not recorded. `DROP OWNED` takes default
/// privileges away whoever's they are.
const CREDITORS: &str = "SELECT DISTINCT r.rolname::text, d.datname::text, CASE \
    WHEN o.refobjid IS NOT NULL THEN pg_get_userbyid(o.refobjid)::text \
    WHEN s.classid = 'pg_namespace'::regclass AND s.objid = 2200 \
        AND current_setting('server_version_num')::int4 >= 150000 THEN 'pg_database_owner' \
    ELSE pg_get_userbyid(10)::text END \
    FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid \
    LEFT JOIN pg_shdepend o ON o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid \
        AND o.refclassid = s.refclassid AND o.deptype = 'o' \
    WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype IN ('a', 'o') AND s.classid <> 'pg_default_acl'::regclass \
    AND s.classid <> 'pg_auth_members'::regclass AND (s.dbid = 0 OR d.oid IS NOT NULL)";

async fn creditors(
    snapshot: &Snapshot<'_>,
) -> Result<BTreeMap<RoleName, BTreeSet<(Option<Database>, RoleName)>>, InspectError> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for mut row in snapshot
        .rows("who gave roles their privileges", CREDITORS)
        .await?
    {
        let (role, database, owner) = (row.role()?, row.database()?, row.role()?);
        found.entry(role).or_default().insert((database, owner));
    }
    Ok(found)
}
