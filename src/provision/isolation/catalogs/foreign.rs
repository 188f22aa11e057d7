//! Ways out of a database: to other databases, to the server's machine.

use crate::provision::inspect::InspectError;
use crate::provision::inspect::rows::Snapshot;
use crate::provision::isolation::facts::Inside;

pub(super) async fn read(
    snapshot: &Snapshot<'_>,
    faces: &str,
    inside: &mut Inside,
) -> Result<(), InspectError> {
    dblink(snapshot, faces, inside).await?;
    wrappers(snapshot, faces, inside).await?;
    servers(snapshot, faces, inside).await?;
    languages(snapshot, faces, inside).await
}

/// All that connect have `connect` in their name or are `dblink` itself and its kin, so any of the extension counts.
async fn dblink(snapshot: &Snapshot<'_>, faces: &str, inside: &mut Inside) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT r.rolname::text FROM pg_roles r WHERE r.rolname = ANY ({faces}) AND EXISTS (SELECT FROM pg_proc p \
         JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
         JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid \
         WHERE e.extname = 'dblink' AND p.proname IN ('dblink', 'dblink_connect', 'dblink_connect_u', 'dblink_exec') \
         AND has_function_privilege(r.oid, p.oid, 'EXECUTE') \
         AND has_schema_privilege(r.oid, p.pronamespace, 'USAGE'))"
    );
    for mut row in snapshot.rows("who may use dblink", &sql).await? {
        inside.dblink.insert(row.role()?);
    }
    Ok(())
}

async fn wrappers(snapshot: &Snapshot<'_>, faces: &str, inside: &mut Inside) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT f.fdwname::text, r.rolname::text FROM pg_foreign_data_wrapper f CROSS JOIN pg_roles r \
         WHERE r.rolname = ANY ({faces}) AND has_foreign_data_wrapper_privilege(r.oid, f.oid, 'USAGE')"
    );
    for mut row in snapshot
        .rows("who may use which foreign data wrapper", &sql)
        .await?
    {
        inside
            .wrappers
            .entry(row.take()?)
            .or_default()
            .insert(row.role()?);
    }
    Ok(())
}

/// The view says whose mappings there are, and shows nobody's secrets.
async fn servers(snapshot: &Snapshot<'_>, faces: &str, inside: &mut Inside) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT s.srvname::text, f.fdwname::text, r.rolname::text, \
         EXISTS (SELECT FROM pg_user_mappings m WHERE m.srvid = s.oid AND m.umuser = r.oid), \
         EXISTS (SELECT FROM pg_user_mappings m WHERE m.srvid = s.oid AND m.umuser = 0) \
         FROM pg_foreign_server s JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw CROSS JOIN pg_roles r \
         WHERE r.rolname = ANY ({faces}) AND has_server_privilege(r.oid, s.oid, 'USAGE')"
    );
    for mut row in snapshot.rows("who may use which foreign server", &sql).await? {
        let (name, wrapper, role) = (row.take()?, row.take()?, row.role()?);
        let (own, all): (bool, bool) = (row.take()?, row.take()?);
        let server = inside.servers.entry(name).or_default();
        server.wrapper = wrapper;
        server.mapped_for_all = all;
        if own {
            server.mapped.insert(role.clone());
        }
        server.usage.insert(role);
    }
    Ok(())
}

/// `c` and `internal` are everywhere, and nobody but a superuser can use them.
async fn languages(snapshot: &Snapshot<'_>, faces: &str, inside: &mut Inside) -> Result<(), InspectError> {
    let sql = format!(
        "SELECT l.lanname::text, r.rolname::text FROM pg_language l CROSS JOIN pg_roles r WHERE NOT l.lanpltrusted \
         AND l.lanispl AND r.rolname = ANY ({faces}) AND has_language_privilege(r.oid, l.oid, 'USAGE')"
    );
    for mut row in snapshot.rows("who may use which language", &sql).await? {
        inside
            .languages
            .entry(row.take()?)
            .or_default()
            .insert(row.role()?);
    }
    Ok(())
}
