//! What is inside one database.

use super::foreign;
use crate::provision::inspect::InspectError;
use crate::provision::inspect::rows::Snapshot;
use crate::provision::isolation::facts::{Definer, Inside};
use crate::provision::isolation::verdict::Level;
use crate::provision::name::RoleName;
use std::collections::{BTreeMap, BTreeSet};

const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// What extensions bring is theirs to protect.
const OF_NO_EXTENSION: &str = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = CATALOG::regclass AND e.objid = OID \
    AND e.deptype = 'e')";

pub(super) async fn read(snapshot: &Snapshot<'_>, faces: &str) -> Result<Inside, InspectError> {
    let mut inside = Inside {
        extensions: names(
            snapshot,
            "the extensions",
            "SELECT extname::text FROM pg_extension",
        )
        .await?,
        definers: definers(snapshot, faces).await?,
        ..Inside::default()
    };
    schemas(snapshot, faces, &mut inside).await?;
    publications(snapshot, &mut inside).await?;
    let sql = "SELECT current_setting('lo_compat_privileges')::boolean";
    for mut row in snapshot.rows("the setting lo_compat_privileges", sql).await? {
        inside.large_objects_open = row.take()?;
    }
    foreign::read(snapshot, faces, &mut inside).await?;
    Ok(inside)
}

async fn names(
    snapshot: &Snapshot<'_>,
    what: &'static str,
    sql: &str,
) -> Result<BTreeSet<String>, InspectError> {
    let mut names = BTreeSet::new();
    for mut row in snapshot.rows(what, sql).await? {
        names.insert(row.take()?);
    }
    Ok(names)
}

/// One row a schema and role. The first privilege that is found on any table decides, and whoever may not use a schema is
/// not asked about its tables.
async fn schemas(snapshot: &Snapshot<'_>, faces: &str, inside: &mut Inside) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT n.nspname::text, r.rolname::text, CASE \
         WHEN pg_has_role(r.oid, n.nspowner, 'USAGE') THEN 3 \
         WHEN has_schema_privilege(r.oid, n.oid, 'CREATE') THEN 2 \
         WHEN NOT has_schema_privilege(r.oid, n.oid, 'USAGE') THEN 0 \
         WHEN {} THEN 2 WHEN {} THEN 1 ELSE 0 END \
         FROM pg_namespace n CROSS JOIN pg_roles r WHERE {OURS} AND r.rolname = ANY ({faces})",
        any_table("INSERT, UPDATE, DELETE, TRUNCATE", "INSERT, UPDATE"),
        any_table("SELECT", "SELECT")
    );
    for mut row in snapshot.rows("who reaches which schema", &sql).await? {
        let (schema, role) = (row.schema()?, row.role()?);
        let level = match row.take::<i32>()? {
            3 => Level::Own,
            2 => Level::Write,
            1 => Level::Read,
            _ => Level::None,
        };
        inside.schemas.entry(schema).or_default().insert(role, level);
    }
    let sql = format!(
        "SELECT n.nspname::text FROM pg_namespace n, aclexplode(n.nspacl) x \
         WHERE {OURS} AND x.grantee = 0 AND x.privilege_type = 'CREATE'"
    );
    for mut row in snapshot.rows("where PUBLIC creates", &sql).await? {
        inside.public_creates_in.insert(row.schema()?);
    }
    Ok(())
}

/// On a table that is there, on a column of it, or on those to come of somebody who may create in the schema.
fn any_table(privileges: &str, of_columns: &str) -> String {
    let of_no_extension = OF_NO_EXTENSION
        .replace("CATALOG", "'pg_class'")
        .replace("OID", "c.oid");
    let listed = privileges.replace(", ", "', '");
    format!(
        "(EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND (has_table_privilege(r.oid, c.oid, '{privileges}') \
         OR has_any_column_privilege(r.oid, c.oid, '{of_columns}')) AND {of_no_extension}) \
         OR EXISTS (SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) x WHERE d.defaclobjtype = 'r' \
         AND d.defaclnamespace IN (0, n.oid) AND x.privilege_type IN ('{listed}') AND x.grantee <> d.defaclrole \
         AND has_schema_privilege(d.defaclrole, n.oid, 'CREATE') \
         AND (x.grantee = 0 OR pg_has_role(r.oid, x.grantee, 'USAGE'))))"
    )
}

async fn definers(
    snapshot: &Snapshot<'_>,
    faces: &str,
) -> Result<BTreeMap<Definer, BTreeSet<RoleName>>, InspectError> {
    let sql = format!(
        "SELECT n.nspname::text, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', \
         pg_get_userbyid(p.proowner)::text, r.rolname::text \
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace CROSS JOIN pg_roles r \
         WHERE {OURS} AND p.prosecdef AND r.rolname = ANY ({faces}) \
         AND has_function_privilege(r.oid, p.oid, 'EXECUTE') AND has_schema_privilege(r.oid, n.oid, 'USAGE') AND {}",
        OF_NO_EXTENSION
            .replace("CATALOG", "'pg_proc'")
            .replace("OID", "p.oid")
    );
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for mut row in snapshot
        .rows("the functions that run as their owner", &sql)
        .await?
    {
        let definer = Definer {
            schema: row.schema()?,
            function: row.take()?,
            owner: row.role()?,
        };
        found.entry(definer).or_default().insert(row.role()?);
    }
    Ok(found)
}

async fn publications(snapshot: &Snapshot<'_>, inside: &mut Inside) -> Result<(), InspectError> {
    let sql = "SELECT pubname::text, puballtables FROM pg_publication";
    for mut row in snapshot.rows("the publications", sql).await? {
        inside.publications.insert(row.take()?, row.take()?);
    }
    Ok(())
}
